"""The three functions as their platforms call them, each behind one face: messages in, what became of them out.

Everything that a function writes is kept beside its message, whether through a log, stdout or stderr.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from packer_publisher.local.aws_delivery import LocalContext
from packer_publisher.local.demo_stage import FUNCTIONS, load_function

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Message:
    """What a platform delivers: a body and, where it is an HTTP request (Google), its headers and path."""

    body: bytes
    headers: tuple[tuple[str, str], ...] = (("content-type", JSON),)
    path: str = "/"


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of one message.

    ``lines`` are the function's own log lines, decoded; ``written`` is all text that came out meanwhile (of a batch:
    for all of it). ``kept`` says whether the platform brings the message again, ``bred`` how many new ones the function
    put on its queue (seen where that is a binding), ``escaped`` names the error that left it instead of an answer.
    """

    lines: tuple[Mapping[str, Any], ...]
    written: str
    kept: bool
    escaped: str = ""
    bred: int = 0

    @property
    def reports(self) -> tuple[Mapping[str, Any], ...]:
        """Return the lines that tell what became of an image or a message."""
        return tuple(line for line in self.lines if "outcome" in line)


class Door(Protocol):
    """One function; ``batch`` is how many messages its platform hands over at once."""

    batch: int

    def deliver(self, messages: Sequence[Message]) -> list[Handled]:
        """Hand over messages at once, as the platform does, and return what became of each."""


class _Work:
    """The host's output binding: what a call puts on the function's own queue."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def set(self, val: list[str]) -> None:
        self.messages += val


class _Log(io.StringIO):
    """A stream that is read and emptied in one go."""

    def take(self) -> str:
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text


def decoded(text: str) -> tuple[Mapping[str, Any], ...]:
    """Return log lines as objects; one that is no JSON object becomes ``{"unreadable": line}``."""
    return tuple(_decoded(line) for line in text.split("\n") if line)


def _decoded(line: str) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"unreadable": line}


class LambdaDoor:
    """The Lambda: a batch of SQS records, of which those that failed come again."""

    batch = 5  # as serverless.yml has it

    def __init__(self) -> None:
        self._log = _Log()
        self._module = load_function("aws/handler.py")
        for handler in self._module.logger.handlers:
            handler.setStream(self._log)

    def deliver(self, messages: Sequence[Message]) -> list[Handled]:
        """Hand over one batch; an error that leaves the handler brings all of it again."""
        records = [self._record(number, message) for number, message in enumerate(messages)]
        escaped, failed = "", {record["messageId"] for record in records}
        with redirect_stdout(self._log), redirect_stderr(self._log):
            try:
                answer = self._module.handler({"Records": records}, LocalContext())
            except Exception as error:  # noqa: BLE001  # the very thing that must not happen; the judge is told
                escaped = type(error).__name__
            else:
                failed = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
        written = self._log.take()
        lines = [line for line in decoded(written) if "_aws" not in line]
        return [
            Handled(
                tuple(line for line in lines if line.get("message_id", identifier) == identifier),
                written,
                identifier in failed,
                escaped,
            )
            for identifier in (record["messageId"] for record in records)
        ]

    @staticmethod
    def _record(number: int, message: Message) -> dict[str, Any]:
        # SQS carries text; bytes that are none become lone surrogates, which is more than SQS would let through.
        return {
            "messageId": f"message-{number}",
            "receiptHandle": f"handle-{number}",
            "body": message.body.decode(errors="surrogateescape"),
            "attributes": {"ApproximateReceiveCount": "1"},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:events",
            "awsRegion": "us-east-1",
        }


class QueueDoor:
    """The Azure Function: one queue message per call, which comes again when the call raises."""

    batch = 1  # host.json

    def __init__(self) -> None:
        self._log = _Log()
        self._module = load_function("azure/function_app.py")
        self._handler = logging.StreamHandler(self._log)
        self._handler.addFilter(lambda record: record.name == "packer_publisher" or record.levelno >= logging.WARNING)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Keep what the function logs and what anybody warns of, as the Functions host does."""
        root, ours = logging.getLogger(), logging.getLogger("packer_publisher")
        before = root.level, ours.level
        root.addHandler(self._handler)
        root.setLevel(logging.INFO)
        ours.setLevel(logging.INFO)
        try:
            yield
        finally:
            root.removeHandler(self._handler)
            root.setLevel(before[0])
            ours.setLevel(before[1])

    def deliver(self, messages: Sequence[Message]) -> list[Handled]:
        """Hand over messages one after the other."""
        with self._listening():
            return [self._deliver(message) for message in messages]

    def _deliver(self, message: Message) -> Handled:
        from azure.functions import QueueMessage

        escaped, kept, work = "", False, _Work()
        with redirect_stdout(self._log), redirect_stderr(self._log):
            try:
                self._module.publish_image(QueueMessage(id="message-0", body=message.body), work)
            except self._module.RetryLater as later:
                kept = True
                self._log.write(f"{json.dumps({'raised': str(later)})}\n")
            except Exception as error:  # noqa: BLE001  # the very thing that must not happen; the judge is told
                escaped, kept = type(error).__name__, True
        written = self._log.take()
        return Handled(decoded(written), written, kept, escaped, len(work.messages))


@dataclass
class RequestDoor:
    """The Google Cloud function behind its framework: one request per event, which comes again without a 2xx."""

    batch: int = 1
    _log: _Log = field(default_factory=_Log)

    def __post_init__(self) -> None:
        """Load the function as the framework does."""
        import functions_framework

        create: Any = functions_framework.create_app  # it has no types
        self._client = create("publish_image", str(Path(FUNCTIONS) / "gcp" / "main.py"), "cloudevent").test_client()

    def deliver(self, messages: Sequence[Message]) -> list[Handled]:
        """Hand over messages one after the other."""
        return [self._deliver(message) for message in messages]

    def _deliver(self, message: Message) -> Handled:
        with redirect_stdout(self._log), redirect_stderr(self._log):
            answer = self._client.post(message.path, headers=list(message.headers), data=message.body)
        written = self._log.take()
        kept = not 200 <= answer.status_code < 300
        escaped = f"HTTP {answer.status_code}" if kept and answer.status_code != 503 else ""
        return Handled(decoded(written), written + answer.get_data(as_text=True).removeprefix("OK"), kept, escaped)
