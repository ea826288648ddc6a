"""What a function does with one message: an event of its cloud, or an order of our own; the same in all clouds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from packer_publisher.deadline import Deadline
from packer_publisher.errors import ConfigurationError, Rejected, Trouble
from packer_publisher.handed_over import converge_images
from packer_publisher.image import Change, ImageEvent, Platform
from packer_publisher.messages import LONGEST, ConvergeOrder, LookAgainOrder, ProbeOrder, Queue, SweepOrder, read_order
from packer_publisher.overdue import Overdue, held_by_gone, out_of_reach
from packer_publisher.probe import answer_probe, unanswerable
from packer_publisher.report import Outcome, Report
from packer_publisher.runtime import open_publisher, sweep_window, window_of
from packer_publisher.settings import Settings, configuration_digest
from packer_publisher.sweep import MARGIN, Sweep
from packer_publisher.sweep_log import Entry, overdue_entry, overdue_figures, report_entry, sweep_entries, sweep_figures

ReadEvent = Callable[[Any], ImageEvent | None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one message: what to log and to count, and the trouble (DEFERRED) that keeps it in its queue.

    ``unreadable`` says that it is nothing that this function could ever make sense of, whatever its image is like: a
    queue without a dead-letter queue puts it aside.
    """

    entries: tuple[Entry, ...]
    figures: Mapping[str, float]
    trouble: Report | None = None
    unreadable: bool = False

    @property
    def outcome(self) -> str:
        """Return the word of the first line: of a single image, its outcome."""
        return self.entries[0].title


def begin(platform: Platform, environ: Mapping[str, str]) -> ConfigurationError | None:
    """Read the settings at the start of a process, before any event; return what is wrong with them.

    It is to be logged, not raised: a process that cannot start tells less, and events wait for mended settings anyway.
    """
    try:
        open_publisher(platform, environ)
    except ConfigurationError as problem:
        return problem
    return None


def receive(
    message: object, read_event: ReadEvent, platform: Platform, environ: Mapping[str, str], deadline: Deadline,
    queue: Queue | None, *, not_ours: str,
) -> Answer:  # fmt: skip
    """Return what became of a message, decoded or (bytes) as JSON; ``not_ours`` says that it is about no image.

    What costs nothing stays so: neither an SDK nor a connection for a message that is about something else. Raises
    ConfigurationError; every other way it can end is in the answer.
    """
    try:
        if isinstance(message, bytes):
            message = _decoded(message)
        order = read_order(message, platform)
        event = read_event(message) if order is None else None
    except Rejected as problem:
        return unreadable(platform, problem)
    try:
        match order:
            case SweepOrder(None):
                return _swept_or_told(platform, environ, deadline, queue)
            case SweepOrder(window):
                return sweep_once(platform, environ, deadline, queue, window)
            case ConvergeOrder() as order:
                return _converged(converge_images(open_publisher(platform, environ), order, deadline))
            case LookAgainOrder() as order:
                return _departed(open_publisher(platform, environ).departures.look_again(order, deadline, queue))
            case ProbeOrder(identifier):
                return _probed(identifier, platform, environ, deadline)
        if event is None:
            return reported(Report(Outcome.IGNORED, platform=platform, reason=not_ours))
        return _on_event(event, platform, environ, deadline, queue)
    except Rejected as problem:
        return _rejected(platform, problem)


def unreadable(platform: Platform, problem: Rejected) -> Answer:
    """Return the answer to what holds neither an event nor an order."""
    return replace(_rejected(platform, problem), unreadable=True)


def put_aside(answer: Answer, put: Callable[[], None]) -> Answer:
    """Return the answer once ``put`` has kept what nobody can read; where it raises Trouble, the message stays."""
    if not answer.unreadable:
        return answer
    try:
        put()
    except Trouble as trouble:
        report = Report(Outcome.DEFERRED, reason=str(trouble), remedy=trouble.remedy)
        return Answer((*answer.entries, report_entry(report)), {str(report.outcome): 1}, report)
    return answer


def _rejected(platform: Platform, problem: Rejected) -> Answer:
    return reported(Report(Outcome.REJECTED, platform=platform, reason=str(problem), remedy=problem.remedy))


def _probed(identifier: str, platform: Platform, environ: Mapping[str, str], deadline: Deadline) -> Answer:
    """Return the answer to a probe: done in any case, because it is the answer that somebody waits for."""
    try:
        publisher = open_publisher(platform, environ)
        digest, off = configuration_digest(environ), Settings.from_environment(environ).registry_off
        return Answer((answer_probe(identifier, publisher, platform, digest, deadline, off=off),), {})
    except ConfigurationError as problem:
        return Answer((unanswerable(identifier, problem),), {})


def sweep_once(
    platform: Platform,
    environ: Mapping[str, str],
    deadline: Deadline,
    queue: Queue | None,
    window: timedelta | None = None,
) -> Answer:
    """Return what one sweep did; ``window`` None is the configured one.

    A sweep whose cloud cannot be listed, or that has no time, is in trouble; it is tried again only where the next
    one on schedule would not see as far: the frequent ones would else pile up while a cloud is out of order.
    """
    usual = window_of(environ)
    trouble = Trouble("not enough time is left for a sweep")
    if deadline.remaining() >= MARGIN:
        try:
            swept = sweep_window(platform, environ, deadline, window=window, queue=queue)
        except Trouble as caught:
            trouble = caught
        else:
            return Answer(tuple(sweep_entries(swept, window or usual)), sweep_figures(swept))
    report = Report(
        Outcome.DEFERRED,
        platform=platform,
        reason=str(trouble),
        remedy=trouble.remedy,
        retry_after=trouble.retry_after,
    )
    again = report if window is not None and window > usual else None
    return Answer((report_entry(report),), {str(report.outcome): 1}, again)


def _swept_or_told(platform: Platform, environ: Mapping[str, str], deadline: Deadline, queue: Queue | None) -> Answer:
    """Return the answer of a frequent sweep; wrong settings are told, and not kept: the next one comes soon enough."""
    try:
        return sweep_once(platform, environ, deadline, queue)
    except ConfigurationError as problem:
        report = Report(Outcome.DEFERRED, platform=platform, reason=str(problem), remedy=problem.remedy)
        return Answer((report_entry(report),), {str(report.outcome): 1})


def reported(report: Report) -> Answer:
    """Return the answer that a single report is."""
    trouble = report if report.outcome is Outcome.DEFERRED else None
    return Answer((report_entry(report),), {str(report.outcome): 1}, trouble)


def _on_event(
    event: ImageEvent, platform: Platform, environ: Mapping[str, str], deadline: Deadline, queue: Queue | None
) -> Answer:
    publisher = open_publisher(platform, environ)
    report = publisher.on_event(event, deadline, queue)
    if event.change is Change.DELETED:
        return _departed(report)
    if report.outcome is not Outcome.WAITING:
        return reported(report)
    # Whether a sweep will finish it depends on the image's age, which a report does not tell.
    try:
        image = publisher.cloud(platform).describe(event.ref, deadline)
    except Trouble as trouble:
        reason = f"{report.reason}; whether a sweep will come by is not known: {trouble}"
        return reported(Report(Outcome.DEFERRED, report.image, platform, reason=reason, remedy=trouble.remedy))
    late = out_of_reach(image, report, datetime.now(UTC), LONGEST) if image is not None else None
    return reported(report) if late is None else _with_overdue(report, late)


def _departed(report: Report) -> Answer:
    """Return the answer about images that are gone; a version that is held because of them is told of at once."""
    held = held_by_gone(report, datetime.now(UTC))
    return reported(report) if held is None else _with_overdue(report, held)


def _with_overdue(report: Report, late: Overdue) -> Answer:
    return Answer((report_entry(report), overdue_entry(late)), {str(report.outcome): 1, **overdue_figures((late,))})


def _converged(swept: Sweep) -> Answer:
    """Return the answer to what a sweep handed over: trouble with one image keeps the message."""
    reports = swept.reports
    troubles = [report for report in reports if report.outcome is Outcome.DEFERRED]
    entries = [*map(report_entry, reports), *map(overdue_entry, swept.overdue)]
    figures: dict[str, float] = {}
    for report in reports:
        figures[str(report.outcome)] = figures.get(str(report.outcome), 0) + 1
    if swept.overdue:
        figures |= overdue_figures(swept.overdue)
    return Answer(tuple(entries), figures, max(troubles, key=lambda found: found.retry_after or 0.0, default=None))


def _decoded(text: bytes) -> object:
    """Return the JSON object of a text; its content is never quoted. Raises Rejected for anything else."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise Rejected("the message is not JSON") from None
    if not isinstance(message, dict):
        raise Rejected("the message is JSON, but no event")
    return message
