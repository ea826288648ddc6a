"""What the registry said at one moment, as frozen values: the only state that a plan looks at.

HCP Packer's JSON becomes these values in ``registry``; nothing here knows HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from packer_publisher.image import Artifact
from packer_publisher.wording import shown


class BuildStatus(StrEnum):
    """HCP Packer's build states; an unknown word is read as UNSET, because it is not DONE."""

    UNSET = "BUILD_UNSET"
    RUNNING = "BUILD_RUNNING"
    DONE = "BUILD_DONE"
    CANCELLED = "BUILD_CANCELLED"
    FAILED = "BUILD_FAILED"


@dataclass(frozen=True, slots=True)
class Build:
    """One build of a version as the registry shows it.

    ``artifacts`` are a set: whether the registry refuses or doubles a repeated one is not known. ``labels`` are
    sorted pairs, so that equal snapshots are equal (and hash alike).
    """

    id: str
    component_type: str
    status: BuildStatus = BuildStatus.UNSET
    platform: str = ""
    artifacts: frozenset[Artifact] = frozenset()
    labels: tuple[tuple[str, str], ...] = ()
    packer_run_uuid: str = ""
    source_external_identifier: str = ""
    created_at: datetime | None = None
    artifacts_created_at: datetime | None = None  # the newest of them

    def label(self, key: str) -> str:
        """Return a label's value, "" if there is none."""
        return next((value for name, value in self.labels if name == key), "")


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest complete version of a bucket as GetBucket tells it; ``fingerprint`` "" means there is none."""

    fingerprint: str = ""
    name: str = ""
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel and the version that it points to ("" fields if none).

    ``exists`` is False when the registry does not know it; ``problem`` says why the last call about it was refused.
    """

    name: str
    managed: bool = False
    restricted: bool = False
    version_fingerprint: str = ""
    version_name: str = ""
    exists: bool = True
    problem: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class FoundArtifact:
    """One place where an image is registered: a hit of the search by external identifier, with the whole build."""

    bucket: str
    fingerprint: str
    version_id: str
    version_name: str
    version_status: str
    build: Build


@dataclass(frozen=True, slots=True)
class Parent:
    """The version that an image was built from, as the registry tells it; "" where it does not.

    Without ``version_id`` there is none to be recorded: nothing lists the image, or ``note`` says what forbids it; then
    ``bucket`` and ``fingerprint`` still name the version, where there is just one. ``channel`` is the one channel that
    points to the version.
    """

    version_id: str = ""
    channel_id: str = ""
    bucket: str = ""
    fingerprint: str = ""
    version_name: str = ""
    channel: str = ""
    note: str = ""

    def __str__(self) -> str:
        """Return the parent as ``web-base v12 (channel production)``, "" where none is recorded."""
        if not self.version_id:
            return ""
        return f"{self.bucket} {self.version_name}{f' (channel {self.channel})' if self.channel else ''}"


@dataclass(frozen=True, slots=True)
class Version:
    """A version and its builds at the moment ``read_at`` of the registry's own clock (its Date header).

    ``exists`` is False when the registry does not know the fingerprint. ``fresh`` is True for what GetVersion
    answered, False once a write's reply was folded in: a write answers with one build, not with the version.
    ``settled`` is True while only statuses were written since a fresh read that found everything there.
    ``bucket_missing`` is set when CreateVersion said so. ``latest`` is None until GetBucket was asked.
    ``channels`` are those that were read.
    """

    bucket: str
    fingerprint: str
    exists: bool = False
    id: str = ""
    name: str = ""
    status: str = ""
    template_type: str = ""
    builds: tuple[Build, ...] = ()
    created_at: datetime | None = None
    read_at: datetime | None = None
    fresh: bool = True
    settled: bool = False
    bucket_missing: bool = False
    latest: Latest | None = None
    channels: tuple[Channel, ...] = ()

    @property
    def complete(self) -> bool:
        """Return whether the version is sealed: an incomplete one is named exactly ``v0``."""
        return self.exists and self.name not in ("", "v0")

    @property
    def revoked(self) -> bool:
        """Return whether the version is revoked, or is going to be."""
        return self.status in ("VERSION_REVOKED", "VERSION_REVOCATION_SCHEDULED")

    @property
    def at(self) -> str:
        """Return the version as a person would name it, for messages: ``version a1 (v3) of bucket web``."""
        name = f" ({shown(self.name)})" if self.complete else ""
        return f"version {shown(self.fingerprint)}{name} of bucket {shown(self.bucket)}"

    def build(self, component_type: str) -> Build | None:
        """Return the build of a component type, compared without case."""
        wanted = component_type.casefold()
        same = [build for build in self.builds if build.component_type.casefold() == wanted]
        # Two spellings of one name can only come from writers that ignore case; the oldest that holds images counts.
        return min(same, key=lambda build: (not build.platform, build.id), default=None)

    def channel(self, name: str) -> Channel | None:
        """Return what was read of a channel, compared without case, None where it was not read."""
        wanted = name.casefold()
        return next((channel for channel in self.channels if channel.name.casefold() == wanted), None)

    def with_build(self, build: Build) -> Version:
        """Return the version with one build put in or replaced, no longer fresh."""
        others = tuple(b for b in self.builds if b.id != build.id)
        return replace(self, builds=(*others, build), fresh=False)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket as GetBucket shows it; ``exists`` is False when the registry does not know it."""

    name: str
    exists: bool = True
    description: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    latest: Latest = field(default_factory=Latest)


def label_pairs(labels: Mapping[str, Any] | Iterable[tuple[str, str]] | None) -> tuple[tuple[str, str], ...]:
    """Return labels as sorted pairs; ``None`` counts as none (Go clients send null for empty maps)."""
    items = labels.items() if isinstance(labels, Mapping) else (labels or ())
    return tuple(sorted((str(key), str(value)) for key, value in items))
