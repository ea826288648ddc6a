"""The requests by which Google delivers a body: a push of Pub/Sub, a CloudEvent in either mode, or a broken one."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from random import Random
from typing import Any

from tests.proof.poison_doors import JSON, Message
from tests.proof.poison_json import write
from tests.proof.poison_mutations import STRUCTURAL
from tests.proof.poison_words import HEADERS, PATHS, PRIVATE

CLOUD_EVENT = "application/cloudevents+json"
PUBLISHED, WRITTEN = "google.cloud.pubsub.topic.v1.messagePublished", "google.cloud.audit.log.v1.written"
TOKEN = ("authorization", f"Bearer {PRIVATE}-token")
"""Comes with every request, and is nobody's business."""


def request(kind: str, body: bytes, rng: Random) -> tuple[str, Message]:
    """Return the request that delivers a spoiled body, or one whose envelope or headers are spoiled, too.

    The first word says what was spoiled: ``kind``, or the request.
    """
    chance = rng.random()
    if chance < 0.08:
        envelope = rng.choice((_pushed(body), {**_event(PUBLISHED), "data": _pushed(body)}, _in_base64(body)))
        spoiled = write(rng.choice(STRUCTURAL)(envelope, rng), ascii_only=rng.random() < 0.9)
        return "envelope", Message(spoiled, (("content-type", rng.choice((JSON, CLOUD_EVENT))), TOKEN))
    message = rng.choice(WIRES)(body)
    if chance < 0.18:
        headers = dict(message.headers)
        name = rng.choice(list(HEADERS))
        headers[name] = rng.choice(HEADERS[name])
        if rng.random() < 0.3:
            del headers[rng.choice(list(headers))]
        return "request", Message(message.body, tuple(headers.items()), rng.choice(PATHS))
    return kind, message


def push(body: bytes) -> Message:
    """Return the request of a push subscription, without any of CloudEvents' headers."""
    return Message(json.dumps(_pushed(body)).encode(), (("content-type", JSON), TOKEN))


def structured(body: bytes) -> Message:
    """Return a CloudEvent of Pub/Sub in one JSON document."""
    event = {**_event(PUBLISHED), "data": _pushed(body)}
    return Message(json.dumps(event).encode(), (("content-type", CLOUD_EVENT), TOKEN))


def structured_in_base64(body: bytes) -> Message:
    """Return a CloudEvent that carries a log entry as bytes."""
    return Message(json.dumps(_in_base64(body)).encode(), (("content-type", CLOUD_EVENT), TOKEN))


def structured_inline(body: bytes) -> Message:
    """Return a CloudEvent of Eventarc: the entry is a part of the document, and breaks it where it is broken."""
    head = json.dumps(_event(WRITTEN)).encode()
    return Message(head[:-1] + b', "data": ' + body + b"}", (("content-type", CLOUD_EVENT), TOKEN))


def binary(body: bytes) -> Message:
    """Return a CloudEvent of Pub/Sub whose attributes are headers."""
    return Message(json.dumps(_pushed(body)).encode(), _headers(PUBLISHED))


def binary_written(body: bytes) -> Message:
    """Return a CloudEvent of Eventarc whose attributes are headers: the body is the entry itself."""
    return Message(body, _headers(WRITTEN))


WIRES: tuple[Callable[[bytes], Message], ...] = (
    push,
    structured,
    structured_in_base64,
    structured_inline,
    binary,
    binary_written,
)


def _pushed(body: bytes) -> dict[str, Any]:
    data = base64.b64encode(body).decode()
    message = {"data": data, "messageId": "1", "publishTime": "2026-10-01T10:04:19Z"}
    return {"message": message, "subscription": "projects/img-proj/subscriptions/events"}


def _event(kind: str) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "1", "source": "//pubsub.googleapis.com/x", "type": kind}


def _in_base64(body: bytes) -> dict[str, Any]:
    return {**_event(WRITTEN), "data_base64": base64.b64encode(body).decode()}


def _headers(kind: str) -> tuple[tuple[str, str], ...]:
    event = {f"ce-{name}": value for name, value in _event(kind).items()}
    return (("content-type", JSON), *event.items(), TOKEN)
