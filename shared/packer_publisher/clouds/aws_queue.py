"""The queue that holds the events of an account: how long one rests after trouble, and what a sweep puts there.

Lambda gives a failed message back after the queue's own visibility time-out. That is either too long for an image that
is pending or too short for an outage of a day, so each failed message gets its own, growing one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packer_publisher.errors import CloudTrouble

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import ChangeMessageVisibilityBatchRequestEntryTypeDef

FLOOR = 30.0
CAP = 900.0
BATCH = 10  # messages per call, SQS's own limit
MOST = 43_000.0
"""A little less than SQS's own limit: 12 hours from the receive (Amazon SQS developer guide, visibility timeout)."""


def rest(receive_count: int, retry_after: float | None, jitter: Callable[[float, float], float]) -> int:
    """Return for how many seconds a message rests after its ``receive_count``-th try.

    Exponential, the upper half of it with jitter (``jitter(low, high)`` picks), at least FLOOR, at most CAP; what the
    other side asked for in ``retry_after`` is honoured even beyond CAP. With the whole of it random, 200 receives would
    last a day on average only, and one message in four would be dead before its day was over.
    """
    ceiling = min(CAP, FLOOR * 2.0 ** min(max(receive_count, 1), 16))
    seconds = max(FLOOR, jitter(ceiling / 2, ceiling), retry_after or 0.0)
    return int(min(seconds, MOST))


def stretch(queue_url: str, region: str, seconds: Mapping[str, int]) -> dict[str, str]:
    """Set how long messages rest, by their receipt handle, in one call; at most 10, as many as a batch has.

    Returns the reasons of those that could not be set, by receipt handle: they come back after the queue's own
    visibility time-out, which is late but loses nothing. So errors of the call itself are reasons, too, not raised.
    """
    if not seconds:
        return {}
    from botocore.exceptions import BotoCoreError, ClientError

    handles = list(seconds)
    entries: list[ChangeMessageVisibilityBatchRequestEntryTypeDef] = [
        {"Id": str(index), "ReceiptHandle": handle, "VisibilityTimeout": seconds[handle]}
        for index, handle in enumerate(handles)
    ]
    try:
        answer = _client(region).change_message_visibility_batch(QueueUrl=queue_url, Entries=entries)
    except ClientError as error:
        return dict.fromkeys(handles, error.response.get("Error", {}).get("Code", "ClientError"))
    except BotoCoreError as error:
        return dict.fromkeys(handles, type(error).__name__)
    return {handles[int(failed["Id"])]: failed["Code"] for failed in answer.get("Failed", ())}


@dataclass(frozen=True, slots=True)
class OwnQueue:
    """The function's own queue, by its URL; messages rest there for the queue's own delay, as events do."""

    url: str
    region: str

    def put(self, messages: Sequence[str]) -> None:
        """Put messages on the queue, ten per call; raises CloudTrouble with the first call that SQS does not take."""
        from botocore.exceptions import BotoCoreError, ClientError

        client = _client(self.region)
        for first in range(0, len(messages), BATCH):
            batch = messages[first : first + BATCH]
            try:
                answer = client.send_message_batch(
                    QueueUrl=self.url,
                    Entries=[{"Id": str(index), "MessageBody": text} for index, text in enumerate(batch)],
                )
            except ClientError as error:
                refused = [error.response.get("Error", {}).get("Code", "ClientError")]
            except BotoCoreError as error:
                refused = [type(error).__name__]
            else:
                refused = [failed["Code"] for failed in answer.get("Failed", ())]
            if refused:
                raise CloudTrouble(
                    f"SQS did not take what is to be done later ({refused[0]})",
                    remedy="allow sqs:SendMessage on the queue, and name it in PUBLISHER_QUEUE",
                )


def own_queue(environ: Mapping[str, str]) -> OwnQueue | None:
    """Return the queue that PUBLISHER_QUEUE names, None where it names none."""
    url = environ.get("PUBLISHER_QUEUE", "")
    return OwnQueue(url, environ.get("AWS_REGION", "")) if url else None


def sweeps_last(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a batch's records with orders to sweep at the end: a sweep takes what time the others leave."""
    return sorted(records, key=lambda record: '"sweep"' in str(record.get("body", ""))[:64])


def _client(region: str) -> SQSClient:
    """Return a client for the end of an invocation: one short try, made anew because trouble is rare."""
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 1})
    return boto3.client("sqs", region_name=region, config=config)
