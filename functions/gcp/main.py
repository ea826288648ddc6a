"""The Google Cloud function: each request brings one audit log entry (Pub/Sub or Eventarc), and its image is published.

Only an exception makes the platform deliver again: functions-framework answers 200 whatever is returned, and the
subscription (or the trigger, if its retry policy says so) repeats anything else. So trouble is raised, and everything
final returns None.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

import functions_framework

from packer_publisher.clouds.gcp_events import read_event, unwrap
from packer_publisher.deadline import Deadline
from packer_publisher.errors import ConfigurationError, Rejected
from packer_publisher.image import Platform
from packer_publisher.report import Outcome, Report
from packer_publisher.reporting import log_fields, log_level, log_line
from packer_publisher.runtime import open_publisher

SECONDS = 50.0  # within the platform's default time limit of 60 s

_one_at_a_time = threading.Lock()  # a publisher is not for several threads, which the framework's server has


class RetryLater(Exception):
    """Raised to have the event delivered again."""


@functions_framework.cloud_event
def publish_image(event: Any) -> None:
    """Publish the image of one CloudEvent (a raw Pub/Sub push request is made into one by the framework).

    Returns None for every outcome that is final, and raises RetryLater for trouble and wrong settings.
    """
    try:
        report = handle(event.data)
    except ConfigurationError as problem:
        _write("ERROR", {"message": str(problem), "remedy": problem.remedy})
        raise RetryLater("the settings are wrong; the event is kept") from None
    _log(report)
    if report.outcome is Outcome.DEFERRED:
        raise RetryLater(log_line(report))


def handle(data: object) -> Report:
    """Return what became of one event; nothing of one that is no image event is ever quoted."""
    try:
        event = read_event(unwrap(data))
    except Rejected as problem:
        return Report(Outcome.REJECTED, platform=str(Platform.GCE), reason=str(problem), remedy=problem.remedy)
    if event is None:
        return Report(Outcome.IGNORED, platform=str(Platform.GCE), reason="the event is about no usable image")
    deadline = Deadline.after(SECONDS)
    with _one_at_a_time:
        return open_publisher(Platform.GCE, os.environ).on_event(event, deadline)


@functions_framework.errorhandler(RetryLater)  # type: ignore[untyped-decorator]  # the framework's is a Flask method
def retry(_: RetryLater) -> tuple[str, int]:
    """Answer 503 to trouble, which is in the log already: no stack trace beside it."""
    return "", 503


@functions_framework.errorhandler(400)  # type: ignore[untyped-decorator]  # the same
@functions_framework.errorhandler(415)  # type: ignore[untyped-decorator]  # the same
def reject(_: Exception) -> tuple[str, int]:
    """Acknowledge a request that holds no event: it would be as broken the next time.

    The framework's own answer would quote the request with its headers, and so the caller's token.
    """
    _log(Report(Outcome.REJECTED, platform=str(Platform.GCE), reason="the request holds no readable event"))
    return "", 204


def _log(report: Report) -> None:
    _write(log_level(report), {"message": log_line(report), **log_fields(report)})


def _write(severity: str, fields: dict[str, object]) -> None:
    """Write one line that Cloud Logging reads as a structured entry, unless PUBLISHER_LOG_LEVEL leaves it out."""
    levels = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    least = os.environ.get("PUBLISHER_LOG_LEVEL", "").strip().upper()
    if least not in levels or levels.index(severity) >= levels.index(least):
        sys.stdout.write(json.dumps({"severity": severity, **fields}) + "\n")
        sys.stdout.flush()
