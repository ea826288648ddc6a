"""The Lambda function: EventBridge events, brought by SQS, recorded in HCP Packer; its schedules' sweeps come so, too.

Entry point only; the rules live in packer_publisher. A record is acknowledged unless its outcome is ``deferred`` (or
our code failed): then SQS keeps it, and it rests longer with every try. No event body is ever logged.
"""

from __future__ import annotations

import logging
import os
import random
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType

from packer_publisher.clouds.aws_events import read_event
from packer_publisher.clouds.aws_queue import own_queue, rest, stretch, sweeps_last
from packer_publisher.deadline import Deadline
from packer_publisher.errors import ConfigurationError
from packer_publisher.image import Platform
from packer_publisher.intake import Answer, begin, receive, reported
from packer_publisher.report import Outcome, Report
from packer_publisher.sweep_log import OLDEST

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
if (wrong := begin(Platform.AWS, os.environ)) is not None:
    logger.error(str(wrong), extra={"remedy": wrong.remedy})


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
            answer = answer_to(record.body, deadline)
            for entry in answer.entries:
                log = logger.warning if entry.level == "WARNING" else logger.info
                log(entry.title, extra=dict(entry.fields))
            for name, value in answer.figures.items():
                unit = MetricUnit.Seconds if name == OLDEST else MetricUnit.Count
                metrics.add_metric(name=name, unit=unit, value=value)
            if answer.trouble is not None:
                tries = int(record.attributes.approximate_receive_count)
                seconds[record.receipt_handle] = rest(tries, answer.trouble.retry_after, random.uniform)
                raise Deferred

    with processor(records=sweeps_last(event["Records"]), handler=handle):
        processor.process()
    if seconds:
        unset = stretch(os.environ.get("PUBLISHER_QUEUE", ""), event["Records"][0]["awsRegion"], seconds)
        for reason in unset.values():
            logger.warning("a message rests for the queue's own time", extra={"reason": reason})
    return processor.response()


def answer_to(body: str, deadline: Deadline) -> Answer:
    """Return what became of one message; an event of something else costs neither an SDK nor a connection."""
    try:
        queue, text = own_queue(os.environ), body.encode(errors="surrogatepass")
        not_ours = "the event is not about an image"
        return receive(text, read_event, Platform.AWS, os.environ, deadline, queue, not_ours=not_ours)
    except ConfigurationError as problem:
        return reported(Report(Outcome.DEFERRED, platform=Platform.AWS, reason=str(problem), remedy=problem.remedy))
    except Exception:
        # A fault of ours loses no event: it is tried again, and ends in the dead-letter queue if that does not help.
        logger.exception("our code failed")
        reason = "our code failed; the log says where"
        return reported(Report(Outcome.DEFERRED, platform=Platform.AWS, reason=reason))
