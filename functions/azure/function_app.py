"""The Azure Function: Event Grid puts one event per message on a Storage queue, and this publishes its image.

A timer sweeps the images of the last days, whatever became of their events.

A queue instead of Event Grid's own trigger, because there a Python function can only succeed or be asked again, and
permanent errors would be repeated (Azure/azure-functions-python-worker issue 874). Settings: ``PUBLISHER_QUEUE`` is
the queue's name, ``PUBLISHER_STORAGE`` (or ``PUBLISHER_STORAGE__queueServiceUri``) its connection.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import threading

import azure.functions as func

from packer_publisher.clouds.azure_events import read_event
from packer_publisher.deadline import Deadline
from packer_publisher.errors import Rejected
from packer_publisher.image import Platform
from packer_publisher.report import Outcome, Report
from packer_publisher.reporting import log_fields, log_level, log_line
from packer_publisher.runtime import open_publisher, sweep_window

SECONDS = 150.0  # well within host.json's functionTimeout

app = func.FunctionApp()
_one_at_a_time = threading.Lock()  # the host calls from several threads; a publisher serves one at a time
log = logging.getLogger("packer_publisher")
logging.getLogger("azure").setLevel(logging.WARNING)  # the SDK tells every token request at INFO


class RetryLater(Exception):
    """Raised to leave the message on the queue; the host shows it again after host.json's visibilityTimeout."""


@app.queue_trigger(arg_name="message", queue_name="%PUBLISHER_QUEUE%", connection="PUBLISHER_STORAGE")
def publish_image(message: func.QueueMessage) -> None:
    """Publish the image of one event.

    Returns None (any other value would fail the invocation: there is no ``$return`` binding) for every outcome that
    is final, and raises RetryLater for trouble. Wrong settings raise ConfigurationError: the event is kept.
    """
    report = handle(message.get_body())
    _log(report)
    if report.outcome is Outcome.DEFERRED:
        raise RetryLater(log_line(report))


@app.timer_trigger(arg_name="timer", schedule="0 */15 * * * *")
def sweep_images(timer: func.TimerRequest) -> None:  # noqa: ARG001  # the host passes it by this name
    """Converge the versions of the window's images: heals lost events and finishes what has become due.

    Trouble with the cloud raises, and the next turn tries again; trouble with one version is in its report.
    """
    with _one_at_a_time:
        swept = sweep_window(Platform.AZURE, os.environ, Deadline.after(SECONDS))
    for report in swept.reports:
        _log(report)
    if swept.not_reached:
        log.warning(json.dumps({"message": "the sweep ran out of time", "not_reached": len(swept.not_reached)}))


def handle(body: bytes) -> Report:
    """Return what became of one message; nothing of a message that is no image event is ever quoted."""
    try:
        event = read_event(decoded(body))
    except Rejected as problem:
        return Report(Outcome.REJECTED, platform=str(Platform.AZURE), reason=str(problem), remedy=problem.remedy)
    if event is None:
        return Report(Outcome.IGNORED, platform=str(Platform.AZURE), reason="the event is about no image")
    with _one_at_a_time:
        return open_publisher(Platform.AZURE, os.environ).on_event(event, Deadline.after(SECONDS))


def _log(report: Report) -> None:
    log.log(logging.getLevelName(log_level(report)), json.dumps({"message": log_line(report), **log_fields(report)}))


def decoded(body: bytes) -> object:
    """Return the JSON of a message, plain or once more in base64; raises Rejected for anything else.

    Event Grid writes base64, which the host undoes where host.json says ``"messageEncoding": "base64"``; a message
    that a person or another tool put there may be encoded twice or not at all.
    """
    for read in (bytes, _from_base64):
        try:
            return json.loads(read(body))
        except (ValueError, RecursionError):  # the other form, or neither
            continue
    raise Rejected(f"The message is not JSON ({len(body)} bytes).")


def _from_base64(body: bytes) -> bytes:
    return base64.b64decode(body.strip(), validate=True)
