"""The Lambda function: EventBridge events, brought by SQS, recorded in HCP Packer.

Entry point only; the rules live in packer_publisher. A record is acknowledged unless its outcome is ``deferred`` (or
our code failed): then SQS keeps it, and it rests longer with every try. No event body is ever logged.
"""

from __future__ import annotations

import json
import logging
import os
import random
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType

from packer_publisher.clouds.aws_events import read_event
from packer_publisher.clouds.aws_queue import rest, stretch
from packer_publisher.deadline import Deadline
from packer_publisher.errors import ConfigurationError, Rejected
from packer_publisher.image import Platform
from packer_publisher.report import Outcome, Report
from packer_publisher.reporting import log_fields, log_level
from packer_publisher.runtime import open_publisher

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

MARGIN = 5.0
"""Seconds kept for the answer: one call to SQS (3 at most), metrics and logs."""

# A level that is none is refused by the settings, in a sentence and with every event; here it must not end the import.
LEVEL = logging.getLevelNamesMapping().get(os.environ.get("PUBLISHER_LOG_LEVEL", "").strip().upper(), logging.INFO)

logger = Logger(service="packer-publisher", level=LEVEL)
metrics = Metrics(namespace="PackerPublisher", service="packer-publisher")


class Deferred(Exception):
    """Keeps a record in the queue; raised in place of an answer, because that is what BatchProcessor counts."""


@logger.inject_lambda_context(log_event=False, clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Handle one batch of SQS records; return those to be kept as ``batchItemFailures``, even if that is all."""
    deadline = Deadline.after(context.get_remaining_time_in_millis() / 1000 - MARGIN)
    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    seconds: dict[str, int] = {}

    def handle(record: SQSRecord) -> None:
        with logger.append_context_keys(message_id=record.message_id):
            report = report_on(record.body, deadline)
            log = logger.info if log_level(report) == "INFO" else logger.warning
            log(str(report.outcome), extra=log_fields(report))
            metrics.add_metric(name=str(report.outcome), unit=MetricUnit.Count, value=1)
            if report.outcome is Outcome.DEFERRED:
                tries = int(record.attributes.approximate_receive_count)
                seconds[record.receipt_handle] = rest(tries, report.retry_after, random.uniform)
                raise Deferred

    with processor(records=event["Records"], handler=handle):
        processor.process()
    if seconds:
        unset = stretch(os.environ.get("PUBLISHER_QUEUE", ""), event["Records"][0]["awsRegion"], seconds)
        for reason in unset.values():
            logger.warning("a message rests for the queue's own time", extra={"reason": reason})
    return processor.response()


def report_on(body: str, deadline: Deadline) -> Report:
    """Return what became of one message; an event of something else costs neither an SDK nor a connection."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):  # their texts are not logged: they may quote the body
        return Report(Outcome.REJECTED, platform=Platform.AWS, reason="the message is not JSON")
    if not isinstance(message, dict):
        return Report(Outcome.REJECTED, platform=Platform.AWS, reason="the message is JSON, but no event")
    try:
        event = read_event(message)
        if event is None:
            return Report(Outcome.IGNORED, platform=Platform.AWS, reason="the event is not about an image")
        return open_publisher(Platform.AWS, os.environ).on_event(event, deadline)
    except Rejected as problem:
        return Report(Outcome.REJECTED, platform=Platform.AWS, reason=str(problem), remedy=problem.remedy)
    except ConfigurationError as problem:
        return Report(Outcome.DEFERRED, platform=Platform.AWS, reason=str(problem), remedy=problem.remedy)
    except Exception:
        # A fault of ours loses no event: it is tried again, and ends in the dead-letter queue if that does not help.
        logger.exception("our code failed")
        return Report(Outcome.DEFERRED, platform=Platform.AWS, reason="our code failed; the log says where")
