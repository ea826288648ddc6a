"""The Storage queue that brings the function its events: how a message is read, and what a sweep puts there."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Protocol

from packer_publisher.errors import Rejected


class Out(Protocol):
    """The host's output binding of a queue (``azure.functions.Out[list[str]]``)."""

    def set(self, val: list[str]) -> None:
        """Name the messages that leave with the end of the invocation."""


class OutputBinding:
    """The function's own queue behind an output binding: no SDK, and no permission that the host has not already."""

    def __init__(self, out: Out) -> None:
        self._out = out
        self._messages: list[str] = []

    def put(self, messages: Sequence[str]) -> None:
        """Put messages on the queue, all of them with the end of an invocation that did not fail."""
        self._messages += messages
        self._out.set(list(self._messages))


def decoded(body: bytes) -> object:
    """Return the JSON of a message, plain or once more in base64; raises Rejected for anything else.

    Event Grid writes base64, which the host undoes where host.json says ``"messageEncoding": "base64"``; a message
    that a person or another tool put there may be encoded twice or not at all.
    """
    for read in (bytes, _from_base64):
        try:
            return json.loads(read(body))
        except (ValueError, RecursionError):  # the other form, or neither
            continue
    raise Rejected(f"The message is not JSON ({len(body)} bytes).")


def _from_base64(body: bytes) -> bytes:
    return base64.b64decode(body.strip(), validate=True)
