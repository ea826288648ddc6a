"""What drift says of one artifact or one image, as a frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum


class Verdict(StrEnum):
    """How an artifact or an image stands, in the words of an audit."""

    CORRECT = "correct"
    MISSING = "missing"  # from its cloud or from the registry
    INCORRECT = "incorrect"
    UNREACHABLE = "unreachable"


class How(StrEnum):
    """What is wrong, as a word; docs/drift.md says what it means and how it is mended."""

    FINE = ""
    GONE = "gone"  # its cloud does not show the image
    UNREGISTERED = "unregistered"  # no build lists the tagged image
    TAGS = "tags"  # they name another version or component type, or break a rule
    OWNER = "owner"  # the image is another account's than the build says
    NUMBER = "number"  # Google: the name was given to another image
    REGION = "region"  # the image is not in the region that the build lists it in
    DISABLED = "disabled"
    FAILED = "failed"
    TWICE = "twice"  # two builds of one version list the image
    UNFINISHED = "unfinished"  # the build is whole and was never set DONE
    FOREIGN = "foreign"  # Packer or somebody else made the build
    ELSEWHERE = "elsewhere"  # an account or a region that the credentials do not belong to
    DENIED = "denied"  # a part of a cloud is closed to the credentials, or there are none for the cloud
    SILENT = "silent"  # a part of a cloud did not answer
    UNREAD = "unread"  # the image is there and could not be read


CLOUD, REGISTRY = "cloud", "registry"
"""Where something is missing from."""

VERDICTS: Mapping[How, Verdict] = (
    dict.fromkeys(How, Verdict.INCORRECT)
    | {How.FINE: Verdict.CORRECT}
    | dict.fromkeys((How.GONE, How.UNREGISTERED), Verdict.MISSING)
    | dict.fromkeys((How.FOREIGN, How.ELSEWHERE, How.DENIED, How.SILENT, How.UNREAD), Verdict.UNREACHABLE)
)
MISSING_FROM: Mapping[How, str] = {How.GONE: CLOUD, How.UNREGISTERED: REGISTRY}

DRIFT = (Verdict.MISSING, Verdict.INCORRECT)
"""The verdicts that a pipeline stops at."""


@dataclass(frozen=True, slots=True)
class Row:
    """One artifact of the registry, or one tagged image that no build lists.

    ``version`` is HCP's name of the version, "" where there is none. ``reason`` says what is wrong in words, ``remedy``
    what to do about it; a command stands in it whole. ``image`` is the number that the census gave to the image, None
    where it knows of none.
    """

    bucket: str = ""
    fingerprint: str = ""
    version: str = ""
    component_type: str = ""
    platform: str = ""
    owner: str = ""
    region: str = ""
    identifier: str = ""
    how: How = How.FINE
    reason: str = ""
    remedy: str = ""
    image: int | None = None

    @property
    def verdict(self) -> Verdict:
        """Return the verdict, which follows from what is wrong."""
        return VERDICTS[self.how]

    @property
    def missing_from(self) -> str:
        """Return ``cloud`` or ``registry``, "" where nothing is missing."""
        return MISSING_FROM.get(self.how, "")

    def found(self, how: How, reason: str, remedy: str = "") -> Row:
        """Return the row with what was found."""
        return replace(self, how=how, reason=reason, remedy=remedy)

    @property
    def document(self) -> dict[str, str]:
        """Return what a program gets. Keys and their order are stable; what does not apply is ""."""
        return {name: str(getattr(self, name)) for name in COLUMNS}


COLUMNS = (
    "verdict", "how", "missing_from", "bucket", "fingerprint", "version", "component_type", "platform", "owner",
    "region", "identifier", "reason", "remedy",
)  # fmt: skip
"""The names of what a program gets of a row."""
