"""The Google Cloud function: each request brings one audit log entry (Pub/Sub or Eventarc), and its image is published.

Only an exception makes the platform deliver again: functions-framework answers 200 whatever is returned, and the
subscription (or the trigger, if its retry policy says so) repeats anything else. So trouble is raised, and everything
final returns None. Cloud Scheduler puts its sweeps on the same topic, and a sweep what it has no time for.
"""

from __future__ import annotations

import json
import os
import threading
import traceback
from typing import Any

import functions_framework
from flask import request

from packer_publisher.clouds.gcp_events import read_event, unwrap
from packer_publisher.clouds.gcp_queue import own_topic, set_aside
from packer_publisher.deadline import Deadline
from packer_publisher.errors import ConfigurationError, Rejected
from packer_publisher.image import Platform
from packer_publisher.intake import Answer, begin, put_aside, receive, unreadable
from packer_publisher.report import Report
from packer_publisher.reporting import log_line

SECONDS = 50.0  # within the platform's default time limit of 60 s

_one_at_a_time = threading.Lock()  # a publisher is not for several threads, which the framework's server has


class RetryLater(Exception):
    """Raised to have the event delivered again."""


@functions_framework.cloud_event
def publish_image(event: Any) -> None:
    """Publish the image of a CloudEvent, or of a raw push request; raise RetryLater for trouble and wrong settings."""
    try:
        answer = handle(event.data)
    except ConfigurationError as problem:
        _write("ERROR", {"message": str(problem), "remedy": problem.remedy})
        raise RetryLater("the settings are wrong; the event is kept") from None
    except Exception as error:
        # A fault of ours loses no event; it must not look like one of the request, either (see reject).
        _write("ERROR", {"message": "our code failed", "stack_trace": traceback.format_exc()})
        raise RetryLater("our code failed; the log says where") from error
    if (trouble := _end(answer)) is not None:
        raise RetryLater(log_line(trouble))


def handle(data: object) -> Answer:
    """Return what became of one event; nothing of one that is no image event is ever quoted."""
    try:
        message = unwrap(data)
    except Rejected as problem:
        return unreadable(Platform.GCE, problem)
    deadline, queue, not_ours = Deadline.after(SECONDS), own_topic(os.environ), "the event is about no usable image"
    with _one_at_a_time:
        return receive(message, read_event, Platform.GCE, os.environ, deadline, queue, not_ours=not_ours)


@functions_framework.errorhandler(RetryLater)  # type: ignore[untyped-decorator]  # the framework's is a Flask method
def retry(_: RetryLater) -> tuple[str, int]:
    """Answer 503 to trouble, which is in the log already: no stack trace beside it."""
    return "", 503


@functions_framework.errorhandler(Exception)  # type: ignore[untyped-decorator]  # the same
def reject(_: Exception) -> tuple[str, int]:
    """Acknowledge a request that holds no event: the framework's parsers fail at it, and would the next time, too.

    The framework's own answers (functions-framework 3.10) have it sent again for days, or quote it with its token.
    """
    trouble = _end(unreadable(Platform.GCE, Rejected("the request holds no readable event")))
    return "", 204 if trouble is None else 503


def _end(answer: Answer) -> Report | None:
    """Log an answer, put aside what nobody can read; return the trouble that has the request delivered again."""
    answer = put_aside(answer, lambda: set_aside(request.get_data(), os.environ))
    for entry in answer.entries:
        _write(entry.level, {"message": entry.line, **entry.fields})
    return answer.trouble


def _write(severity: str, fields: dict[str, object]) -> None:
    """Write one line that Cloud Logging reads as a structured entry, unless PUBLISHER_LOG_LEVEL leaves it out."""
    levels = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    least = os.environ.get("PUBLISHER_LOG_LEVEL", "").strip().upper()
    if least not in levels or levels.index(severity) >= levels.index(least):
        print(json.dumps({"severity": severity, **fields}), flush=True)  # noqa: T201  # Cloud Logging reads it there


if (wrong := begin(Platform.GCE, os.environ)) is not None:
    _write("ERROR", {"message": str(wrong), "remedy": wrong.remedy})
