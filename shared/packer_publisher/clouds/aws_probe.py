"""A probe through a Lambda's own queue: sent there, and its answer looked for in the function's log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from packer_publisher.clouds.aws_desk import Desk
from packer_publisher.clouds.aws_examined_queues import NO_QUEUE
from packer_publisher.errors import CloudTrouble, Forbidden


def send_probe(desk: Desk, url: str, text: str) -> None:
    """Put a probe on the queue, past the delay in which events rest; raises Denied or Trouble."""
    sent = desk.ask("sqs", "send_message", absent=NO_QUEUE, QueueUrl=url, MessageBody=text, DelaySeconds=0)
    if sent is None:
        raise CloudTrouble(f"There is no queue {url}.", remedy="deploy serverless.yml again")


def probe_answer(desk: Desk, group: str, identifier: str, since: datetime) -> Mapping[str, Any] | None:
    """Return the function's answer from its log, None while there is none; raises Denied or Trouble.

    Forbidden where the log group is not there: nothing will ever be found in it.
    """
    found = desk.ask(
        "logs",
        "filter_log_events",
        absent={"ResourceNotFoundException"},
        logGroupName=group,
        startTime=int(since.timestamp() * 1000),
        filterPattern=f'"{identifier}"',
    )
    if found is None:
        raise Forbidden(f"There is no log group {group}.", remedy="deploy serverless.yml again")
    for event in found.get("events", ()):
        try:
            line = json.loads(event["message"])
        except ValueError:
            continue
        if isinstance(line, Mapping) and line.get("probe") == identifier:
            return line
    return None
