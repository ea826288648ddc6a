"""What a backfill comes to, in figures: of the plan, and of the work; the same ones in both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from packer_publisher.backfill.journal import Entry, Journal
from packer_publisher.backfill.prospect import LEFT

WRITING = ("create", "add")
"""The actions of a plan that write something."""
LEFT_OUT = "left out"
"""The word for a version of a bucket whose ``latest`` would move back."""


@dataclass
class Sums:
    """Figures over all versions of a journal.

    ``actions`` count versions by what is planned: ``create``, ``add``, ``unchanged``, ``cannot``, ``left``,
    ``left out``; ``outcomes`` those that are done, by their outcome's word, ``written`` those of them that something
    was to be written to, by that action. ``pending`` counts those that something is still to be written to, ``sent``
    those of them that are with the functions. ``artifacts`` and ``calls`` are those of what is done,
    ``planned_artifacts`` and ``planned_calls`` those of what is pending.
    """

    buckets: int = 0
    versions: int = 0
    images: int = 0
    artifacts: int = 0
    calls: int = 0
    planned_artifacts: int = 0
    planned_calls: int = 0
    new_buckets: int = 0
    pending: int = 0
    sent: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)

    def as_json(self, *, dry_run: bool) -> dict[str, Any]:
        """Return the figures for a program; artifacts and calls are the plan's in a dry run, else the work's."""
        return {
            "buckets": self.buckets,
            "versions": self.versions,
            "images": self.images,
            "artifacts": self.planned_artifacts if dry_run else self.artifacts,
            "registry_calls": self.planned_calls if dry_run else self.calls,
            "new_buckets": self.new_buckets,
            "planned": dict(sorted(self.actions.items())),
            "done": dict(sorted(self.outcomes.items())),
            "sent": self.sent,
        }


def sums(journal: Journal, left_out: Collection[str]) -> Sums:
    """Return the figures of a journal; ``left_out`` names the buckets that are not written."""
    found = Sums(buckets=len(journal.buckets()))
    opened: set[str] = set()
    for entry in journal.versions():
        found.versions += 1
        found.images += entry.images
        action = action_of(entry, left_out)
        found.actions[action] += 1
        details: Mapping[str, Any] = entry.details or {}
        if entry.stage == "done":
            found.outcomes[entry.outcome] += 1
            found.written[action] += action in WRITING
            found.calls += entry.calls
            found.artifacts += details.get("artifacts", 0)
        elif action in WRITING:
            found.pending += 1
            found.sent += entry.stage in ("sending", "sent")
            found.planned_calls += details.get("calls", 0)
            found.planned_artifacts += details.get("artifacts", 0)
        if details.get("creates_bucket") and action == "create" and entry.stage != "done":
            opened.add(entry.bucket)
    found.new_buckets = len(opened)
    return found


def action_of(entry: Entry, left_out: Collection[str]) -> str:
    """Return what is planned for a version, as a word."""
    action = str((entry.details or {}).get("action", ""))
    return LEFT_OUT if entry.bucket in left_out and action in WRITING and entry.stage == "looked" else action


def is_written(entry: Entry) -> bool:
    """Return whether something was to be written to a version, and the run has come to its end with it."""
    return entry.stage == "done" and action_of(entry, ()) in WRITING


def is_failure(entry: Entry) -> bool:
    """Return whether images of the version did not come into it, for a reason that a person must look at."""
    return entry.outcome in ("rejected", "conflict", "late", "deferred")


__all__ = ["LEFT", "LEFT_OUT", "WRITING", "Sums", "action_of", "is_failure", "is_written", "sums"]
