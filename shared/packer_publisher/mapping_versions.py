"""Fingerprints for images that name none: derived from what makes their version one, so that any run derives the same.

That is the bucket, and either a text (by default the image's name, which Packer gives to all regions of a build) or a
window of time. Windows have fixed bounds in UTC; they are never drawn around the images that happen to be there, so an
image that is found later moves none of the others.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from packer_publisher.durations import format_duration
from packer_publisher.mapping_templates import Template, parse_template, slug

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = 16  # 64 bits: among a million versions of one bucket two are alike with a chance of 1 to 37 million
_PREFIX = 23  # with the hyphen and the digits the 40 characters of a fingerprint


@dataclass(frozen=True, slots=True)
class Window:
    """Windows of time, one after the other since 1970-01-01 plus ``offset``, in UTC."""

    size: timedelta
    offset: timedelta = timedelta(0)

    def start(self, moment: datetime) -> datetime:
        """Return when the window began that a moment lies in."""
        first = _EPOCH + self.offset
        return first + (moment.astimezone(UTC) - first) // self.size * self.size

    @property
    def length(self) -> str:
        """Return its size in words: ``day``, ``hour``, ``6h``."""
        return {DAY: "day", HOUR: "hour"}.get(self.size) or format_duration(self.size)

    def __str__(self) -> str:
        return self.length + (f" from {format_duration(self.offset)} on" if self.offset else "")


BY_NAME = parse_template("{name}")
Grouping = Template | Window
"""What makes the images of one bucket one version."""


def fingerprint_of_text(bucket: str, text: str) -> str:
    """Return the fingerprint of a bucket's version that a text makes one; the case of both counts for nothing."""
    return _fingerprint(bucket, "text", text.casefold(), slug(text))


def fingerprint_of_window(bucket: str, window: Window, moment: datetime) -> str:
    """Return the fingerprint of a bucket's version that a window of time makes one."""
    start = window.start(moment)
    whole_days = not window.size % DAY and not window.offset % DAY
    readable = f"{start:%Y-%m-%d}" if whole_days else f"{start:%Y-%m-%d-%H%M}"
    size = int(window.size.total_seconds())
    return _fingerprint(bucket, "window", f"{start:%Y-%m-%dT%H:%M:%SZ} {size}", readable)


def _fingerprint(bucket: str, kind: str, key: str, readable: str) -> str:
    """Return a readable beginning and a hash of everything; a hyphen is always in it, so it can be no ULID."""
    said = "\n".join((bucket.casefold(), kind, key))
    digits = hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    return f"{readable[:_PREFIX].rstrip('-._') or 'image'}-{digits}"
