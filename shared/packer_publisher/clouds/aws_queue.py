"""The queue that holds the events of an account: how long one rests after trouble.

Lambda gives a failed message back after the queue's own visibility time-out. That is either too long for an image that
is pending or too short for an outage of a day, so each failed message gets its own, growing one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import ChangeMessageVisibilityBatchRequestEntryTypeDef

FLOOR = 30.0
CAP = 900.0
MOST = 43_000.0
"""A little less than SQS's own limit: 12 hours from the receive (Amazon SQS developer guide, visibility timeout)."""


def rest(receive_count: int, retry_after: float | None, jitter: Callable[[float, float], float]) -> int:
    """Return for how many seconds a message rests after its ``receive_count``-th try.

    Exponential with full jitter (``jitter(low, high)`` picks), at least FLOOR, at most CAP; what the other side asked
    for in ``retry_after`` is honoured even beyond CAP.
    """
    ceiling = min(CAP, FLOOR * 2.0 ** min(max(receive_count, 1), 16))
    seconds = max(FLOOR, jitter(0.0, ceiling), retry_after or 0.0)
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


def _client(region: str) -> SQSClient:
    """Return a client for the end of an invocation: one short try, made anew because trouble is rare."""
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 1})
    return boto3.client("sqs", region_name=region, config=config)
