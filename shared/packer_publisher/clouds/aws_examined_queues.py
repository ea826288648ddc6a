"""The queue in which events rest and are tried again, and the one of those that were given up."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from packer_publisher.clouds.aws_desk import Desk, looked_at
from packer_publisher.finding import Finding, judged, note, right, wrong
from packer_publisher.wording import counted

LEAST_TRIES = 100
"""Receives that a message needs to outlast a day of trouble, with 15 minutes between the later ones."""

RETENTION = 14 * 86_400
NO_QUEUE = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})
_REMEDY = "deploy serverless.yml again, with its queues unchanged"


def queue_findings(desk: Desk, url: str, timeout: int) -> Iterator[Finding]:
    """Yield how the queue of events is, and its dead letters."""
    yield from looked_at("queue", "sqs:GetQueueAttributes", lambda: _queue(desk, url, timeout))


def dead_letters(desk: Desk, about: str, arn: str, what: str, region: str) -> Iterator[Finding]:
    """Yield how many messages lie in a dead-letter queue."""
    needed = "sqs:GetQueueUrl and sqs:GetQueueAttributes"
    yield from looked_at(about, needed, lambda: _dead_letters(desk, about, arn, what, region))


def _dead_letters(desk: Desk, about: str, arn: str, what: str, region: str) -> Iterator[Finding]:
    url = _url_of(desk, arn, region)
    found = None if url is None else attributes(desk, url, region)
    if found is None:
        yield wrong(about, f"there is no queue {arn}", _REMEDY)
        return
    waiting = int(found.get("ApproximateNumberOfMessages", 0))
    if waiting:
        yield wrong(
            about,
            f"{counted(waiting, 'message')} {what}",
            f"look at one, mend its cause, then: aws sqs start-message-move-task --region {region} "
            f"--source-arn {found['QueueArn']}",
        )
    else:
        yield right(about, "empty")


def attributes(desk: Desk, url: str, region: str = "") -> Mapping[str, str] | None:
    """Return a queue's attributes, None where there is no such queue."""
    answer = desk.ask(
        "sqs", "get_queue_attributes", region=region, absent=NO_QUEUE, QueueUrl=url, AttributeNames=["All"]
    )
    return None if answer is None else answer.get("Attributes", {})


def _url_of(desk: Desk, arn: str, region: str) -> str | None:
    """Return the URL of a queue, None where there is no such queue."""
    parts = arn.split(":")
    answer = desk.ask(
        "sqs", "get_queue_url", region=region, absent=NO_QUEUE, QueueName=parts[5], QueueOwnerAWSAccountId=parts[4]
    )
    return None if answer is None else str(answer["QueueUrl"])


def _queue(desk: Desk, url: str, timeout: int) -> Iterator[Finding]:
    found = attributes(desk, url)
    if found is None:
        yield wrong("queue", f"there is no queue {url}", _REMEDY)
        return
    redrive = json.loads(found.get("RedrivePolicy", "{}"))
    waiting = int(found.get("ApproximateNumberOfMessages", 0))
    delayed = int(found.get("ApproximateNumberOfMessagesDelayed", 0))
    problems = []
    if int(found.get("VisibilityTimeout", 0)) < 6 * timeout:
        problems.append(
            f"its visibility timeout of {found.get('VisibilityTimeout')} s is less than 6 times the function's"
        )
    if int(found.get("DelaySeconds", 0)) < 60:
        problems.append(f"events rest for {found.get('DelaySeconds')} s only: Packer may still remove its images")
    if int(found.get("MessageRetentionPeriod", 0)) < RETENTION:
        problems.append("it keeps messages for less than 14 days")
    if int(redrive.get("maxReceiveCount", 0)) < LEAST_TRIES:
        problems.append(f"a message is given up after {redrive.get('maxReceiveCount', 'no number of')} tries")
    yield judged("queue", f"{counted(waiting, 'message')} to be worked on, {delayed} resting", problems, _REMEDY)
    if waiting > 100:
        yield note("queue", f"{counted(waiting, 'message')} wait", "look at the function's log: is it in trouble?")
    if target := redrive.get("deadLetterTargetArn"):
        what = "given up, or never taken by the queue"
        yield from dead_letters(desk, "dead letters", str(target), what, desk.home)
    yield _admits(found)


def _admits(found: Mapping[str, str]) -> Finding:
    """Return whether the queue's policy lets EventBridge put messages there."""
    statements = json.loads(found.get("Policy", "{}")).get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        if statement.get("Effect") == "Allow" and "events.amazonaws.com" in json.dumps(statement.get("Principal")):
            return right("queue policy", "EventBridge may put messages there")
    return wrong("queue policy", "it does not admit EventBridge: no event arrives", _REMEDY)
