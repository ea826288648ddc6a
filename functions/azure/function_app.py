"""The Azure Function: Event Grid puts one event per message on a Storage queue, and this publishes its image.

Two timers sweep the images of the last days and weeks, whatever became of their events. What is to be done later goes
on the same queue, by its output binding: versions that a sweep has no time for, second looks at what may be gone.

A queue instead of Event Grid's own trigger, because there a Python function can only succeed or be asked again, and
permanent errors would be repeated (Azure/azure-functions-python-worker issue 874). Settings: ``PUBLISHER_QUEUE`` is
the queue's name, ``PUBLISHER_STORAGE`` (or ``PUBLISHER_STORAGE__queueServiceUri``) its connection.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from datetime import timedelta
from typing import List  # noqa: UP035  # see Work

import azure.functions as func

from packer_publisher.clouds.azure_events import read_event
from packer_publisher.clouds.azure_queue import OutputBinding, decoded
from packer_publisher.deadline import Deadline
from packer_publisher.errors import Rejected
from packer_publisher.image import Platform
from packer_publisher.intake import Answer, begin, receive, reported, sweep_once
from packer_publisher.messages import LONGEST, Queue
from packer_publisher.report import Outcome, Report
from packer_publisher.reporting import log_line

SECONDS = 120.0  # with as long a wait for another's turn still within host.json's functionTimeout

Work = func.Out[List[str]]  # noqa: UP006  # Azure's worker loads no function whose binding is list[str] (typing_inspect)

app = func.FunctionApp()
_one_at_a_time = threading.Lock()  # the host calls from several threads; a publisher serves one at a time
log = logging.getLogger("packer_publisher")
# Unset, it is the worker's, INFO. What is no level the settings refuse in a sentence; here it must not end the import.
if (level := os.environ.get("PUBLISHER_LOG_LEVEL", "").strip().upper()) in logging.getLevelNamesMapping():
    log.setLevel(level)
logging.getLogger("azure").setLevel(logging.WARNING)  # the SDK tells every token request at INFO
if (wrong := begin(Platform.AZURE, os.environ)) is not None:
    log.error(json.dumps({"message": str(wrong), "remedy": wrong.remedy}))


class RetryLater(Exception):
    """Raised to leave the message on the queue; the host shows it again after host.json's visibilityTimeout."""


@app.queue_trigger(arg_name="message", queue_name="%PUBLISHER_QUEUE%", connection="PUBLISHER_STORAGE")
@app.queue_output(arg_name="work", queue_name="%PUBLISHER_QUEUE%", connection="PUBLISHER_STORAGE")
def publish_image(message: func.QueueMessage, work: Work) -> None:
    """Publish the image of one event.

    Returns None (any other value would fail the invocation: there is no ``$return`` binding) for every outcome that
    is final, and raises RetryLater for trouble. Wrong settings raise ConfigurationError: the event is kept.
    """
    _end(handle(message.get_body(), OutputBinding(work)))


@app.timer_trigger(arg_name="timer", schedule="0 */15 * * * *")
@app.queue_output(arg_name="work", queue_name="%PUBLISHER_QUEUE%", connection="PUBLISHER_STORAGE")
def sweep_images(timer: func.TimerRequest, work: Work) -> None:  # noqa: ARG001  # the host passes both
    """Sweep the configured window; where Azure cannot be listed, the log says so, and the next turn tries again."""
    _sweep(work)


@app.retry(strategy="fixed_delay", max_retry_count="5", delay_interval="00:10:00")
@app.timer_trigger(arg_name="timer", schedule="0 7 3 * * *")
@app.queue_output(arg_name="work", queue_name="%PUBLISHER_QUEUE%", connection="PUBLISHER_STORAGE")
def sweep_weeks(timer: func.TimerRequest, work: Work) -> None:  # noqa: ARG001  # the host passes both
    """Sweep the last two weeks; trouble with the list raises, and the host tries again."""
    _sweep(work, LONGEST)


def handle(body: bytes, queue: Queue | None = None) -> Answer:
    """Return what became of one message; nothing of a message that is no image event is ever quoted."""
    try:
        message = decoded(body)
    except Rejected as problem:
        return reported(Report(Outcome.REJECTED, platform=Platform.AZURE, reason=str(problem), remedy=problem.remedy))
    with _one_at_a_time:
        deadline, not_ours = Deadline.after(SECONDS), "the event is about no image"
        return receive(message, read_event, Platform.AZURE, os.environ, deadline, queue, not_ours=not_ours)


def _sweep(work: Work, window: timedelta | None = None) -> None:
    with _one_at_a_time:
        _end(sweep_once(Platform.AZURE, os.environ, Deadline.after(SECONDS), OutputBinding(work), window))


def _end(answer: Answer) -> None:
    """Log an answer; raise RetryLater where trouble keeps the message."""
    for entry in answer.entries:
        log.log(logging.getLevelName(entry.level), json.dumps({"message": entry.line, **entry.fields}))
    if answer.trouble is not None:
        raise RetryLater(log_line(answer.trouble))
