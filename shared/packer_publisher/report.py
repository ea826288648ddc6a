"""Outcomes in single words, the same in logs, metrics, tables and JSON."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How one image fared. From WAITING on, each but IGNORED carries a reason and what resolves it."""

    REGISTERED = "registered"  # written, the version is still open
    COMPLETED = "completed"  # this write completed the version
    UNCHANGED = "unchanged"
    WAITING = "waiting"
    IGNORED = "ignored"  # not ours
    REJECTED = "rejected"  # ours, but broken
    CONFLICT = "conflict"
    LATE = "late"  # the version is sealed
    SUPERSEDED = "superseded"  # a newer version is complete already
    REVOKED = "revoked"  # every image of the version is gone, and HCP was told so
    DEFERRED = "deferred"  # trouble, try again


TELLING = (
    Outcome.DEFERRED,
    Outcome.REVOKED,
    Outcome.REJECTED,
    Outcome.CONFLICT,
    Outcome.LATE,
    Outcome.SUPERSEDED,
    Outcome.WAITING,
    Outcome.COMPLETED,
    Outcome.REGISTERED,
    Outcome.UNCHANGED,
    Outcome.IGNORED,
)
"""Outcomes, the one first that somebody should know first: it stands for a version of several images."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one image: the outcome, where it belongs, why, and what a person may do.

    ``parent`` is the version that the image was built from, where that was found out now. ``waits_for`` lists the names
    that the version still lacks; ``calls`` counts requests to the registry's API (tokens and discovery not included);
    ``retry_after`` is set for DEFERRED where the other side named a time.
    """

    outcome: Outcome
    image: str = ""
    platform: str = ""
    owner: str = ""
    region: str = ""
    bucket: str = ""
    fingerprint: str = ""
    component_type: str = ""
    version: str = ""
    parent: str = ""
    reason: str = ""
    remedy: str = ""
    waits_for: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    calls: int = 0
    retry_after: float | None = None
