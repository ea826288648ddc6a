"""Azurite, the stand-in of Azure Storage, and one of its queues over plain REST, as Event Grid talks to it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from xml.etree import ElementTree

import httpx

ROOT = Path(__file__).parents[2]
AZURITE = ROOT / "node_modules" / "azurite" / "dist" / "src" / "queue" / "main.js"
OPTIONS = ("--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry")
ACCOUNT = "devstoreaccount1"
KEY = base64.b64encode(b"a key that only this Azurite knows, made up").decode()


@dataclass(frozen=True, slots=True)
class Message:
    """A message that was taken from a queue; ``receipt`` is what its taker holds, ``text`` is as it was put."""

    identifier: str
    receipt: str
    text: str
    taken: int
    inserted: str
    expires: str
    visible: str


class StorageQueue:
    """One queue, by the operations of the Queue service's REST API."""

    def __init__(self, address: str, name: str) -> None:
        self._url = f"{address}/{ACCOUNT}/{name}"
        self._client = httpx.Client(params=_signature(), timeout=10)
        self._client.put(self._url).raise_for_status()

    def put(self, text: str) -> None:
        """Put Message."""
        body = f"<QueueMessage><MessageText>{text}</MessageText></QueueMessage>"
        self._client.post(f"{self._url}/messages", content=body).raise_for_status()

    def put_event(self, event: object) -> None:
        """Put an event as Event Grid does: as base64 of its JSON, one per message."""
        self.put(base64.b64encode(json.dumps(event).encode()).decode())

    def get(self, rest: int) -> Message | None:
        """Get Messages: one that can be seen now, which then rests for so many seconds; None where there is none."""
        answer = self._client.get(f"{self._url}/messages", params={"visibilitytimeout": rest})
        answer.raise_for_status()
        for found in ElementTree.fromstring(answer.content).iter("QueueMessage"):  # noqa: S314  # Azurite's own
            told = {child.tag: child.text or "" for child in found}
            return Message(
                told["MessageId"],
                told["PopReceipt"],
                told["MessageText"],
                int(told["DequeueCount"]),
                told["InsertionTime"],
                told["ExpirationTime"],
                told["TimeNextVisible"],
            )
        return None

    def delete(self, message: Message) -> None:
        """Delete Message."""
        self._client.delete(
            f"{self._url}/messages/{message.identifier}", params={"popreceipt": message.receipt}
        ).raise_for_status()

    def rest(self, message: Message, seconds: int) -> Message:
        """Update Message: let it rest for so many seconds from now; return it with its new receipt."""
        answer = self._client.put(
            f"{self._url}/messages/{message.identifier}",
            params={"popreceipt": message.receipt, "visibilitytimeout": seconds},
        )
        answer.raise_for_status()
        return replace(message, receipt=answer.headers["x-ms-popreceipt"])

    def count(self) -> int:
        """Return how many messages there are, those that rest included."""
        answer = self._client.get(self._url, params={"comp": "metadata"})
        answer.raise_for_status()
        return int(answer.headers["x-ms-approximate-messages-count"])

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


@contextmanager
def azurite() -> Iterator[str]:
    """Run Azurite's queue service on loopback, in memory; yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        ["node", str(AZURITE), "--queueHost", "127.0.0.1", "--queuePort", str(port), *OPTIONS],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, "Azurite has ended"
                assert monotonic() < until, "Azurite does not listen after 30 seconds"
                sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _signature() -> dict[str, str]:
    """Return an account's shared access signature for an hour: all operations on queues and their messages."""
    expires = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields = {"sp": "rwdlacup", "ss": "q", "srt": "sco", "st": "", "se": expires, "sip": "", "spr": "https,http"}
    version = "2021-08-06"
    signed = "\n".join([ACCOUNT, *fields.values(), version, "", ""])
    digest = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
    given = {name: value for name, value in fields.items() if value}
    return {**given, "sv": version, "sig": base64.b64encode(digest).decode()}
