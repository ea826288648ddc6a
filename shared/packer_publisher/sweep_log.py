"""What a function says about its messages and sweeps: log lines and figures, the same in all clouds.

A sweep logs what it changed and what somebody should look at, one line for each version that waits too long, and one
line about itself; versions that are as they were are only counted there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from packer_publisher.durations import format_duration
from packer_publisher.overdue import Overdue
from packer_publisher.report import Outcome, Report
from packer_publisher.reporting import log_fields, log_level, log_line
from packer_publisher.sweep import Sweep
from packer_publisher.wording import counted, listed, shown

WAITING, OLDEST, NOT_REACHED = "waiting_versions", "oldest_waiting_version", "versions_not_reached"
"""Figures of every sweep, 0 included: how many versions wait too long, the seconds that the oldest of them has waited,
and how many a sweep left to the next one."""

_AS_IT_WAS = (Outcome.REGISTERED, Outcome.UNCHANGED, Outcome.WAITING, Outcome.IGNORED)


@dataclass(frozen=True, slots=True)
class Entry:
    """One log line: ``title`` in a word, ``line`` as a sentence, and fields that are safe to log."""

    level: str
    title: str
    line: str
    fields: Mapping[str, object]


def report_entry(report: Report) -> Entry:
    """Return the entry of one image."""
    return Entry(log_level(report), str(report.outcome), log_line(report), log_fields(report))


def overdue_entry(version: Overdue) -> Entry:
    """Return the entry of a version that waits too long: which one, for what, since when, and what to do."""
    where = f"{shown(version.bucket)}/{shown(version.fingerprint)}"
    fields: dict[str, object] = {
        "bucket": shown(version.bucket),
        "fingerprint": shown(version.fingerprint),
        "waits_for": [shown(name) for name in version.waits_for],
        "since": f"{version.since:%Y-%m-%dT%H:%M:%SZ}",
        "waiting_seconds": int(version.waiting.total_seconds()),
        "reason": shown(version.reason, 1000),
        "remedy": shown(version.remedy, 1000),
    }
    line = f"overdue {where} since {version.since:%Y-%m-%d %H:%M} UTC: {fields['reason']} ({fields['remedy']})"
    return Entry("WARNING", "overdue", line, fields)


def sweep_entries(swept: Sweep, window: timedelta) -> Iterator[Entry]:
    """Yield the entries of a sweep, its own last."""
    for report in _told(swept):
        yield report_entry(report)
    for version in swept.overdue:
        yield overdue_entry(version)
    yield _summary(swept, window)


def sweep_figures(swept: Sweep) -> dict[str, float]:
    """Return what a sweep counts: its logged outcomes as those of events are counted, and its own figures."""
    return {**Counter(str(report.outcome) for report in _told(swept)), **overdue_figures(swept.overdue)} | {
        NOT_REACHED: len(swept.not_reached)
    }


def overdue_figures(versions: tuple[Overdue, ...]) -> dict[str, float]:
    """Return how many versions wait too long, and the seconds of the oldest."""
    oldest = max((version.waiting.total_seconds() for version in versions), default=0.0)
    return {WAITING: len(versions), OLDEST: oldest}


def _told(swept: Sweep) -> tuple[Report, ...]:
    """Return the reports that are worth a line."""
    changed = tuple(
        found.report for found in swept.publications if found.steps or found.report.outcome not in _AS_IT_WAS
    )
    return (*swept.rejected, *swept.missed, *changed)


def _summary(swept: Sweep, window: timedelta) -> Entry:
    outcomes = Counter(str(version.outcome) for version in swept.versions)
    counts = [f"{number} {outcome}" for outcome, number in sorted(outcomes.items())]
    line = f"swept {format_duration(window)}: {counted(swept.images, 'image')}, "
    line += f"{counted(len(swept.versions), 'version')} read"
    line += f" ({', '.join(counts)})" if counts else ""
    line += f", {swept.known} known to be complete" if swept.known else ""
    line += f", {len(swept.handed_over)} handed over to the queue" if swept.handed_over else ""
    line += f", {len(swept.not_reached)} left to the next sweep" if swept.not_reached else ""
    line += f"; {shown(swept.problem, 1000)}" if swept.problem else ""
    line += f"; no access to {listed([region for region, _ in swept.denied])}" if swept.denied else ""
    fields: dict[str, object] = {
        "window": format_duration(window),
        "images": swept.images,
        "versions": len(swept.versions),
        "outcomes": dict(sorted(outcomes.items())),
        "known": swept.known,
        "handed_over": len(swept.handed_over),
        **overdue_figures(swept.overdue),
        NOT_REACHED: len(swept.not_reached),
    }
    if swept.denied:
        fields["denied"] = {shown(region): shown(reason) for region, reason in swept.denied}
    if swept.problem:
        fields["problem"] = shown(swept.problem, 1000)
    return Entry("WARNING" if swept.not_reached or swept.problem else "INFO", "sweep", line, fields)
