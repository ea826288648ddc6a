"""Readers of single values, the same for environment variables and for the configuration document.

Each takes what was written (text, or a list, mapping, boolean, number or None of a document), returns the
typed value, and raises :class:`Unreadable` with what is wrong and what would be right. What a tag may hold is
decided by :mod:`packer_publisher.tag_values`, so that tags and configuration cannot disagree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, TypeVar

from packer_publisher.document import Number, Table, child, quoted
from packer_publisher.durations import EXAMPLES, format_duration, parse_duration
from packer_publisher.errors import Rejected
from packer_publisher.labels import RESERVED_LABELS
from packer_publisher.tag_values import (
    MAX_CHANNELS,
    MAX_EXPECTS,
    MAX_REGIONS,
    parse_bucket,
    parse_channel,
    parse_expected,
    parse_region,
)

T = TypeVar("T")
Reader = Callable[[Any], T]

MOST_LABELS, MOST_TAG_KEYS = 32, 8
MOST_DESCRIPTION, MOST_LABEL_VALUE, MOST_TAG_KEY = 255, 256, 128

_PATTERN = re.compile(r"(?=.*[*?])[A-Za-z0-9*?-]{1,36}")
_LABEL_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}")  # placement.py takes over no other
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Unreadable(ValueError):
    """A value that is not what its key wants: ``what`` is wrong with it, and what would be ``right``.

    ``at`` is the place within the value (``[2]`` for the third item of a list), "" for the value itself.
    """

    def __init__(self, what: str, right: str, at: str = "") -> None:
        super().__init__(f"{what}; {right}")
        self.what = what
        self.right = right
        self.at = at


def shown(value: Any) -> str:
    """Return a value as messages show it: ``is "8d"``, ``is empty``, ``is a list``."""
    if value is None or value == "":
        return "is empty"
    if isinstance(value, bool):
        return f"is {str(value).lower()}"
    if isinstance(value, Number):
        return f"is the number {value}"
    if isinstance(value, str):
        return f"is {quoted(value)}"
    return "is a mapping" if isinstance(value, Table) else "is a list"


def nearest(key: str, known: Iterable[str]) -> str:
    """Return what would be right in the place of an unknown key: the nearest known one, else all of them."""
    import difflib  # functions need it only where they refuse to start

    names = sorted(known)
    folded = {name.casefold().replace("-", "_"): name for name in names}
    close = difflib.get_close_matches(key.casefold().replace("-", "_"), folded, n=1)
    return f"write {folded[close[0]]}" if close else f"known are {', '.join(names)}"


def read_text(value: Any, right: str) -> str:
    """Return a text; a number or a boolean of a JSON document is refused, it may have lost its form."""
    if not isinstance(value, str) or value == "":
        raise Unreadable(shown(value), right)
    if isinstance(value, Number):
        raise Unreadable(shown(value), f"write it in quotes, {right.removeprefix('write ')}")
    return value


def choice(*words: str) -> Reader[str]:
    """Return the reader of one of a few words, written exactly so."""

    def read(value: Any) -> str:
        right = f"write {' or '.join(words)}"
        text = read_text(value, right)
        if text not in words:
            raise Unreadable(shown(text), right)
        return text

    return read


def boolean(value: Any) -> bool:
    """Return a boolean: ``true`` or ``false``, also as text."""
    if isinstance(value, bool):
        return value
    return choice("true", "false")(value) == "true"


def duration(least: timedelta, most: timedelta) -> Reader[timedelta]:
    """Return the reader of a duration between two limits."""

    def read(value: Any) -> timedelta:
        right = f"write a duration {EXAMPLES}"
        text = read_text(value, right)
        found = parse_duration(text)
        if found is None:
            raise Unreadable(shown(text), right)
        if found > most:
            raise Unreadable(shown(text), f"write at most {format_duration(most)}")
        if found < least:
            raise Unreadable(shown(text), f"write at least {format_duration(least)}")
        return found

    return read


def names(item: Reader[str], most: int, right: str, *, least: int = 0, split: bool = True) -> Reader[tuple[str, ...]]:
    """Return the reader of a list of names, also as one text split on spaces and commas.

    A name repeated in any case counts once, as first written. ``least`` 1 refuses the empty list.
    """

    def read(value: Any) -> tuple[str, ...]:
        if isinstance(value, str) and not isinstance(value, Number):
            items = [part for part in re.split(r"[ ,]+", value) if part] if split else [value]
            if not items:
                raise Unreadable(shown(value.strip()), right)
        elif isinstance(value, list):
            items = value
        else:
            raise Unreadable(shown(value), right)
        if len(items) < least:
            raise Unreadable("is an empty list", f"{right}, or leave the key out")
        if len(items) > most:
            raise Unreadable(f"holds {len(items)} names", f"at most {most} are allowed")
        found: dict[str, str] = {}
        for index, element in enumerate(items):
            try:
                name = item(element)
            except Unreadable as error:
                raise Unreadable(error.what, error.right, f"[{index}]") from error
            found.setdefault(name.casefold(), name)
        return tuple(found.values())

    return read


def _contract(parse: Callable[[str, str], str], right: str) -> Reader[str]:
    """Return the reader of what a tag could hold as well, with a text of its own for configuration."""

    def read(value: Any) -> str:
        text = read_text(value, right)
        try:
            return parse("", text)
        except Rejected as error:
            raise Unreadable(shown(text), right) from error

    return read


def channel(value: Any) -> str:
    """Return a channel's name."""
    if isinstance(value, str) and value.casefold() == "latest":
        raise Unreadable(shown(value), "HCP Packer assigns that channel itself, leave it out")
    return _contract(parse_channel, "a channel has 3 to 36 letters, digits or hyphens")(value)


read_expects = names(
    _contract(parse_expected, "write platforms (aws azure gce) or component types (amazon-ebs.ubuntu)"),
    MAX_EXPECTS,
    "list all platforms or component types that a version consists of",
    least=1,
)
read_channels = names(channel, MAX_CHANNELS, "list the channels that a tag may ask for")
read_regions = names(
    _contract(parse_region, "write AWS regions such as eu-west-1"),
    MAX_REGIONS,
    "list AWS regions such as eu-west-1",
    least=1,
)


def project(value: Any) -> str:
    """Return the id of an HCP project."""
    right = "write the id of an HCP project (a UUID, as its page in the portal shows it)"
    text = read_text(value, right)
    if not _UUID.fullmatch(text):
        raise Unreadable(shown(text), right)
    return text.lower()


def description(value: Any) -> str:
    """Return a bucket's description without the line break that YAML's block texts end with."""
    text = read_text(value, "write a text of at most 255 characters")
    if len(text) > MOST_DESCRIPTION:
        raise Unreadable(f"has {len(text)} characters", f"at most {MOST_DESCRIPTION} are allowed")
    if not text.strip() or _CONTROL.search(text.replace("\n", "")):
        raise Unreadable(shown(text), "write a text without control characters")
    return text.strip()


def tag_key(value: Any) -> str:
    """Return the key of a tag or label."""
    right = f"a tag key has 1 to {MOST_TAG_KEY} characters, no control characters"
    text = read_text(value, right)
    if len(text) > MOST_TAG_KEY or _CONTROL.search(text):
        raise Unreadable(shown(text), right)
    return text


def label_key(value: Any) -> str:
    """Return the key of a tag that becomes a build label under the same key."""
    right = "a build label has 1 to 63 letters, digits or . _ / -"
    text = read_text(value, right)
    if not _LABEL_KEY.fullmatch(text):
        raise Unreadable(shown(text), right)
    if text.casefold() in RESERVED_LABELS:
        raise Unreadable(shown(text), "this program keeps that label for itself, leave it out")
    return text


def bucket_labels(value: Any) -> tuple[tuple[str, str], ...]:
    """Return labels as sorted pairs; numbers and booleans of a JSON document count as the text they were."""
    if not isinstance(value, Table):
        raise Unreadable(shown(value), "write a mapping such as {team: platform}")
    if len(value) > MOST_LABELS:
        raise Unreadable(f"holds {len(value)} labels", f"at most {MOST_LABELS} are allowed")
    labels = []
    for key, label in value.items():
        at = child("", key) if child("", key).startswith("[") else f".{key}"
        try:
            tag_key(key)
        except Unreadable as error:
            raise Unreadable(error.what, error.right, at) from error
        text = str(label).lower() if isinstance(label, bool) else label
        if not isinstance(text, str) or len(text) > MOST_LABEL_VALUE or _CONTROL.search(text):
            right = f"a label's value is a text of at most {MOST_LABEL_VALUE} characters, no control characters"
            raise Unreadable(shown(label), right, at)
        labels.append((key, str(text)))
    return tuple(sorted(labels))


def bucket_pattern(key: str) -> str:
    """Return a bucket's name, or a glob pattern of ``*`` and ``?``."""
    try:
        return key if _PATTERN.fullmatch(key) else parse_bucket("", key)
    except Rejected as error:
        right = "a bucket has 3 to 36 letters, digits or hyphens, a pattern * and ? besides"
        raise Unreadable("is no bucket's name", right) from error
