"""Google Cloud's stand-in on a loopback port, and the values that the Google tests share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from starlette.types import Receive, Scope, Send

from packer_publisher.clouds.gcp import GoogleCloud
from packer_publisher.deadline import Deadline
from packer_publisher.image import ImageRef, Platform
from packer_publisher.local.compute import ComputeEngine
from packer_publisher.patience import SURVEY, Patience
from packer_publisher.policy import Policy

EVENTS = Path(__file__).parents[1] / "events" / "gcp"
LABELS = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "4f2a9c1-812"}
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
OLD = NOW - timedelta(days=1)


def sample(name: str) -> Any:
    """Return an event file's content."""
    return json.loads((EVENTS / f"{name}.json").read_text())


@contextmanager
def google_on(
    address: str, policy: Policy | None = None, now: datetime = NOW, patience: Patience = SURVEY, **environ: str
) -> Iterator[GoogleCloud]:
    """Give the real cloud adapter (and with it the real SDK), pointed at an address."""
    everything = {"PUBLISHER_COMPUTE_ENDPOINT": address, **environ}
    with closing(GoogleCloud(policy or Policy(), lambda: now, environ=everything, patience=patience)) as google:
        yield google


def ref(image: str = "web-1", project: str = "img-proj") -> ImageRef:
    """Return the address of an image as an event would give it."""
    return ImageRef(Platform.GCE, project, "", image)


class Switchboard:
    """An ASGI application that puts through to the Compute Engine of the test that runs: one server serves a module."""

    def __init__(self) -> None:
        self.compute = ComputeEngine()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.compute.app(scope, receive, send)


class Soon:
    """A deadline whose pauses take no time but count; ``paused`` lists them."""

    def __init__(self, seconds: float = 30) -> None:
        self.time = 0.0
        self.paused: list[float] = []
        self.deadline = Deadline.after(seconds, lambda: self.time, self._pause)

    def _pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        self.time += seconds


def soon(seconds: float = 30) -> Deadline:
    """Return a deadline whose pauses take no time but count."""
    return Soon(seconds).deadline
