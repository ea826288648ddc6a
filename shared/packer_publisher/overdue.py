"""Versions that wait too long: which one, for what, since when, and the command that resolves it.

Judged on what the registry said when it was last read, by the registry's own clock; nothing is ever completed behind
anybody's back, so this is how a person learns that something is missing for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from packer_publisher.expectation import LAG, declared, missing, quiet_since
from packer_publisher.image import Image
from packer_publisher.placement import Item
from packer_publisher.report import Outcome, Report
from packer_publisher.snapshot import BuildStatus, Version
from packer_publisher.verdict import END, by_hand, ending, gone_from_version
from packer_publisher.wording import listed

PATIENCE = timedelta(hours=24)
"""How long an open version may be short of something, counted from its newest build."""

_WAITING = (Outcome.REGISTERED, Outcome.UNCHANGED, Outcome.WAITING, Outcome.CONFLICT, Outcome.LATE)
"""What the images of a version that still waits for something come to; any other word tells its own story."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """A version that somebody should look at. ``waiting`` is the time since ``since``, by the registry's clock."""

    bucket: str
    fingerprint: str
    waits_for: tuple[str, ...]
    since: datetime
    waiting: timedelta
    reason: str
    remedy: str


def overdue(items: Sequence[Item], version: Version, outcomes: Sequence[Outcome]) -> Overdue | None:
    """Return the version where it waits too long, None where it does not (or the registry's clock is not known).

    Three cases: an image of it is gone, and nobody but a person can go on; all builds are DONE and the version is still
    v0, LAG after it was due; or it is short of something, PATIENCE after its newest build. A version that declares
    nothing is due when its quiet time is over.
    """
    since = quiet_since(version)
    if since is None or version.read_at is None or not version.exists or version.complete:
        return None
    if not any(outcome in _WAITING for outcome in outcomes):
        return None
    quiet = timedelta() if declared(items, version) else items[0].placement.policy.quiet
    waiting = version.read_at - since
    if gone := gone_from_version(version):
        lacking = missing(items, version)
        return Overdue(version.bucket, version.fingerprint, lacking, since, waiting, *gone)
    unfinished = [build for build in version.builds if build.status is not BuildStatus.DONE]
    if version.builds and not unfinished:
        if waiting < quiet + LAG:
            return None
        reason = "all of its builds are DONE, and HCP Packer has not completed it"
        return Overdue(version.bucket, version.fingerprint, (), since, waiting, reason, by_hand(version, ()))
    if waiting < max(quiet, PATIENCE):
        return None
    lacking = missing(items, version)
    if not lacking:
        held = [build for build in unfinished if not build.platform or build.status is not BuildStatus.UNSET]
        names = tuple(sorted(build.component_type for build in held or unfinished))
        reason = f"not finished: {listed(list(names))}" if names else "it has no builds"
        remedy = "let the run of Packer that began them finish, or build again with a new fingerprint"
        return Overdue(version.bucket, version.fingerprint, names, since, waiting, reason, remedy)
    return Overdue(
        version.bucket,
        version.fingerprint,
        lacking,
        since,
        waiting,
        f"missing: {listed(list(lacking))}",
        f"build what is missing, or {ending(version, lacking, *END)}",
    )


def held_by_gone(report: Report, now: datetime) -> Overdue | None:
    """Return the version of a report that tells of a build noted to list what is gone: somebody should know at once."""
    if report.outcome is not Outcome.WAITING or not report.waits_for:
        return None
    return Overdue(report.bucket, report.fingerprint, report.waits_for, now, timedelta(), report.reason, report.remedy)


def out_of_reach(image: Image, report: Report, now: datetime, reach: timedelta) -> Overdue | None:
    """Return the version of an image that waits although no sweep will come by: it is older than the longest window.

    ``reach`` is that window; the version waits from ``now`` on.
    """
    if report.outcome is not Outcome.WAITING or now - image.created_at < reach:
        return None
    return Overdue(
        report.bucket,
        report.fingerprint,
        report.waits_for,
        now,
        timedelta(),
        f"{image.at} was created {image.created_at:%Y-%m-%d}, which is too long ago for a sweep to finish it",
        f"when it is due: {by_hand(Version(report.bucket, report.fingerprint), ())}",
    )
