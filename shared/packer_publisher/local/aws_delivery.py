"""From EventBridge to the function, as infra/aws/template.json deploys it: rules, a queue, Lambda's poller; on moto.

Three things differ from AWS, and are made good here. moto drops ``account`` from what it delivers and sets ``region``
to the bus's own: both are put back, from the account and from the image's ARN, because forwarding between buses keeps
them in AWS. moto's own forwarding also loses the resources, so events are put straight on the home region's bus, where
the forwarder would bring them. And the queue has no delay: the settle time of a build that never was needs no waiting.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from packer_publisher.local.aws_events import Event

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

    from packer_publisher.local.aws import LocalAccount

TEMPLATE = Path(__file__).parents[3] / "infra" / "aws" / "template.json"

Handler = Callable[[dict[str, Any], Any], Mapping[str, Any]]


def read_patterns(path: Path = TEMPLATE) -> dict[str, dict[str, Any]]:
    """Return the event patterns that the template deploys, by the name of their rule; schedules have none.

    A parameter in a pattern has its default.
    """
    template = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: _with_defaults(resource["Properties"]["EventPattern"], template["Parameters"])
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Events::Rule" and "EventPattern" in resource["Properties"]
    }


def _with_defaults(part: Any, parameters: Mapping[str, Mapping[str, Any]]) -> Any:
    if isinstance(part, dict):
        if set(part) == {"Ref"}:
            return parameters[part["Ref"]]["Default"]
        return {key: _with_defaults(value, parameters) for key, value in part.items()}
    return [_with_defaults(value, parameters) for value in part] if isinstance(part, list) else part


@dataclass(frozen=True, slots=True)
class LocalContext:
    """The context that Lambda passes to a handler, as far as ours looks at it."""

    seconds: float = 60.0
    function_name: str = "packer-publisher-local-publish"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:packer-publisher-local-publish"
    aws_request_id: str = "00000000-0000-4000-8000-000000000000"
    began: float = field(default_factory=monotonic)

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds left."""
        return max(0, int((self.seconds - (monotonic() - self.began)) * 1000))


@dataclass(frozen=True, slots=True)
class Delivery:
    """One batch that the function was given: the records, and the ids of those that it wants to see again."""

    records: tuple[Mapping[str, Any], ...]
    failed: frozenset[str]


class LocalDelivery:
    """The rules, the queue and the event source mapping of one account's function.

    ``environment`` are the function's own settings (HCP_*, PUBLISHER_*), seen by the handler in ``os.environ`` for as
    long as it runs, together with the account's: as in Lambda, and therefore not from several threads at once.
    """

    def __init__(
        self,
        account: LocalAccount,
        environment: Mapping[str, str] | None = None,
        patterns: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        session = account.session()
        self._account = account
        self._settings = dict(environment or {})
        self._sqs = session.client("sqs", endpoint_url=account.endpoint)
        self._events = session.client("events", endpoint_url=account.endpoint)
        self._held: list[str] = []
        self.queue_url = self._sqs.create_queue(
            QueueName="packer-publisher-events", Attributes={"DelaySeconds": "0", "VisibilityTimeout": "720"}
        )["QueueUrl"]
        self.queue_arn = self._sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=["QueueArn"])[
            "Attributes"
        ]["QueueArn"]
        for name, pattern in (read_patterns() if patterns is None else patterns).items():
            self._events.put_rule(Name=name, EventPattern=json.dumps(pattern))
            self._events.put_targets(Rule=name, Targets=[{"Id": "events", "Arn": self.queue_arn}])

    @property
    def environment(self) -> dict[str, str]:
        """Return what the function sees in ``os.environ``: Lambda's own variables, its settings and its queue."""
        return {**self._account.environment, **self._settings, "PUBLISHER_QUEUE": self.queue_url}

    def change_settings(self, **settings: str) -> None:
        """Change the function's own settings, as a new deployment does; "" counts as unset."""
        self._settings |= settings

    def emit(self, event: Event) -> None:
        """Put an event on the bus of the home region; the rules decide whether it reaches the queue.

        AWS itself refuses events from ``aws.*`` that customers put; moto takes them.
        """
        answer = self._events.put_events(
            Entries=[
                {
                    "Source": event["source"],
                    "DetailType": event["detail-type"],
                    "Resources": event["resources"],
                    "Detail": json.dumps(event["detail"]),
                }
            ]
        )
        if answer["FailedEntryCount"]:
            raise RuntimeError(f"moto did not take the event: {answer['Entries'][0].get('ErrorMessage', '')}")

    def receive(self, most: int = 5) -> list[dict[str, Any]]:
        """Return up to ``most`` messages as the records that Lambda would hand over; [] when none is visible."""
        answer = self._sqs.receive_message(
            QueueUrl=self.queue_url,
            MaxNumberOfMessages=most,
            MessageSystemAttributeNames=["All"],
            WaitTimeSeconds=0,
        )
        return [self._record(message) for message in answer.get("Messages", ())]

    def deliver(self, handler: Handler, *, most: int = 5, seconds: float = 60.0) -> Delivery | None:
        """Hand one batch to the handler, delete what succeeded, and return what happened; None when none is visible.

        A handler that raises leaves its batch in the queue, as in Lambda, and the error goes on to the caller.
        """
        records = self.receive(most)
        if not records:
            return None
        self._held += [record["receiptHandle"] for record in records]
        with self._environment():
            answer = handler({"Records": records}, LocalContext(seconds))
        failed = frozenset(item["itemIdentifier"] for item in answer["batchItemFailures"])
        for record in records:
            if record["messageId"] not in failed:
                self._sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=record["receiptHandle"])
                self._held.remove(record["receiptHandle"])
        return Delivery(tuple(records), failed)

    def wake(self) -> int:
        """Make every message that rests visible at once, as if its time had passed; return how many there were."""
        held, self._held = self._held, []
        for handle in held:
            self._sqs.change_message_visibility(QueueUrl=self.queue_url, ReceiptHandle=handle, VisibilityTimeout=0)
        return len(held)

    def drain(self, handler: Handler, *, rounds: int = 100) -> list[Delivery]:
        """Deliver until no message is visible, at most ``rounds`` batches; messages that rest stay."""
        deliveries: list[Delivery] = []
        while len(deliveries) < rounds and (delivery := self.deliver(handler)) is not None:
            deliveries.append(delivery)
        return deliveries

    def _record(self, message: MessageTypeDef) -> dict[str, Any]:
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": self._restored(message["Body"]),
            "attributes": message.get("Attributes", {}),
            "messageAttributes": {},
            "md5OfBody": message.get("MD5OfBody", ""),
            "eventSource": "aws:sqs",
            "eventSourceARN": self.queue_arn,
            "awsRegion": self._account.home,
        }

    def _restored(self, body: str) -> str:
        """Return a message with what moto took away; anything that is no event of ours stays as it is."""
        try:
            event = json.loads(body)
            region = event["resources"][0].split(":")[3]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):  # broken on purpose
            return body
        return json.dumps({**event, "account": self._account.account_id, "region": region})

    @contextmanager
    def _environment(self) -> Iterator[None]:
        wanted = self.environment
        before = {key: os.environ.get(key) for key in wanted}
        os.environ.update(wanted)
        try:
            yield
        finally:
            for key, value in before.items():
                if value is None:
                    del os.environ[key]
                else:
                    os.environ[key] = value
