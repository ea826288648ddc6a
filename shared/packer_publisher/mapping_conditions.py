"""Conditions of a mapping's rules: each is about one field of an image, and says in words why it is not met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from packer_publisher.durations import format_duration
from packer_publisher.image import Image
from packer_publisher.mapping_fields import value_of, without_case
from packer_publisher.wording import shown

Groups = Mapping[str, str | None]
"""What the named groups of a rule's expressions matched, None for one that took no part."""
Version = tuple[int, ...]
Bound = TypeVar("Bound", datetime, timedelta, Version)


class Expression(Protocol):
    """A compiled regular expression whose time grows with the length of the text and no faster."""

    @property
    def pattern(self) -> str:
        """Return the expression as it was written."""

    @property
    def groups(self) -> tuple[str, ...]:
        """Return the names of its groups."""

    def match(self, text: str) -> Groups | None:
        """Return the named groups where the whole text matches, None where it does not."""


@dataclass(frozen=True, slots=True)
class Equals:
    """The field is one of these values; on Azure its names count without case."""

    field: str
    values: tuple[str, ...]

    def groups(self, image: Image, now: datetime) -> Groups | None:  # noqa: ARG002 - as all conditions
        """Return no groups where the image meets it, None where it does not."""
        value = value_of(image, self.field)
        if value is None:
            return None
        fold = str.casefold if without_case(image, self.field) else str
        return {} if fold(value) in map(fold, self.values) else None

    def reason(self, image: Image, now: datetime) -> str:  # noqa: ARG002 - as all conditions
        """Return why an image does not meet it."""
        wanted = " or ".join(shown(value) for value in self.values)
        return _told(image, self.field, f"not {wanted}")


@dataclass(frozen=True, slots=True)
class Matches:
    """The whole field matches the expression, whose named groups are the rule's."""

    field: str
    expression: Expression

    def groups(self, image: Image, now: datetime) -> Groups | None:  # noqa: ARG002 - as all conditions
        """Return the groups where the image meets it, None where it does not."""
        value = value_of(image, self.field)
        return None if value is None else self.expression.match(value)

    def reason(self, image: Image, now: datetime) -> str:  # noqa: ARG002 - as all conditions
        """Return why an image does not meet it."""
        return _told(image, self.field, f"which does not match {shown(self.expression.pattern)} as a whole")


@dataclass(frozen=True, slots=True)
class Present:
    """The image has the field (a tag or label also with an empty value), or has it not."""

    field: str
    wanted: bool

    def groups(self, image: Image, now: datetime) -> Groups | None:  # noqa: ARG002 - as all conditions
        """Return no groups where the image meets it, None where it does not."""
        return {} if (value_of(image, self.field) is not None) is self.wanted else None

    def reason(self, image: Image, now: datetime) -> str:  # noqa: ARG002 - as all conditions
        """Return why an image does not meet it."""
        return _told(image, self.field, "which it must not have")


@dataclass(frozen=True, slots=True)
class CreatedBetween:
    """The image was created in ``[least, below)``."""

    least: datetime | None
    below: datetime | None
    field: str = "created_at"

    def groups(self, image: Image, now: datetime) -> Groups | None:  # noqa: ARG002 - as all conditions
        """Return no groups where the image meets it, None where it does not."""
        return {} if _within(image.created_at, self.least, self.below) else None

    def reason(self, image: Image, now: datetime) -> str:  # noqa: ARG002 - as all conditions
        """Return why an image does not meet it."""
        early = self.least is not None and image.created_at < self.least
        bound = self.least if early else self.below
        wanted = "" if bound is None else f"{bound.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return _told(image, self.field, f"not {'from' if early else 'before'} {wanted}{' on' if early else ''}")


@dataclass(frozen=True, slots=True)
class AgedBetween:
    """The image is at least this old, and younger than that. What it says of an image changes as time goes by."""

    least: timedelta | None
    below: timedelta | None
    field: str = "age"

    def groups(self, image: Image, now: datetime) -> Groups | None:
        """Return no groups where the image meets it, None where it does not."""
        return {} if _within(_age(image, now), self.least, self.below) else None

    def reason(self, image: Image, now: datetime) -> str:
        """Return why an image does not meet it."""
        age = _age(image, now)
        young = self.least is not None and age < self.least
        bound = self.least if young else self.below
        wanted = "" if bound is None else f"{'at least' if young else 'less than'} {format_duration(bound)}"
        return f"age is {format_duration(age)}, not {wanted}"


@dataclass(frozen=True, slots=True)
class VersionBetween:
    """The gallery image version is in ``[least, below)``, compared number by number."""

    least: Version | None
    below: Version | None
    field: str = "image_version"

    def groups(self, image: Image, now: datetime) -> Groups | None:  # noqa: ARG002 - as all conditions
        """Return no groups where the image meets it, None where it does not."""
        version = parse_version(value_of(image, self.field) or "")
        return {} if version is not None and _within(version, self.least, self.below) else None

    def reason(self, image: Image, now: datetime) -> str:  # noqa: ARG002 - as all conditions
        """Return why an image does not meet it."""
        version = parse_version(value_of(image, self.field) or "")
        low = self.least is not None and version is not None and version < self.least
        bound = self.least if low else self.below
        wanted = ".".join(map(str, bound or ()))
        return _told(image, self.field, f"not {'at least' if low else 'less than'} {wanted}")


Condition = Equals | Matches | Present | CreatedBetween | AgedBetween | VersionBetween


def parse_version(text: str) -> Version | None:
    """Return the three numbers of a gallery image version, None for another text."""
    numbers = text.split(".")
    if len(numbers) != 3 or not all(number.isascii() and number.isdigit() and len(number) < 11 for number in numbers):
        return None
    return tuple(int(number) for number in numbers)


def _age(image: Image, now: datetime) -> timedelta:
    """Return how old an image is; one whose cloud's clock is ahead of ours is new."""
    return max(now - image.created_at, timedelta(0))


def _within(value: Bound, least: Bound | None, below: Bound | None) -> bool:
    return (least is None or value >= least) and (below is None or value < below)


def _told(image: Image, field: str, wanted: str) -> str:
    """Return what an image's field is, and what it is not; ``wanted`` goes on after a comma."""
    value = value_of(image, field)
    if value is None:
        return f"it has no {shown(field)}"
    return f"{shown(field)} is {shown(value) or 'empty'}, {wanted}"
