"""Images that go, and what the tests of departures look at: events, second looks, a queue, the registry."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from packer_publisher.deadline import Deadline
from packer_publisher.errors import CloudTrouble, Rejected, Trouble
from packer_publisher.image import Change, Image, ImageEvent, ImageRef, Platform
from packer_publisher.messages import LookAgainOrder, read_order
from packer_publisher.policy import BucketPolicy
from packer_publisher.publish import Publisher
from packer_publisher.report import Report
from tests.publishing import Service, service
from tests.simulation.world import WorldCloud

OWNER = "111111111111"
TAGS = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "a1"}
REVOKE = BucketPolicy(on_delete="revoke")
REGIONS = ["eu-west-1", "us-east-1"]


class Line:
    """A queue that keeps its messages, or takes none."""

    def __init__(self, *, broken: bool = False) -> None:
        self.messages: list[str] = []
        self.broken = broken

    def put(self, messages: Sequence[str]) -> None:
        if self.broken:
            raise CloudTrouble("the queue is gone", retry_after=30)
        self.messages += messages

    def orders(self, platform: Platform = Platform.AWS) -> list[LookAgainOrder]:
        """Return what the messages ask for."""
        found = [read_order(json.loads(text), platform) for text in self.messages]
        return [order for order in found if isinstance(order, LookAgainOrder)]


@pytest.fixture
def at() -> Iterator[Service]:
    """A registry with the bucket ``web``."""
    with service() as found:
        found.bucket()
        yield found


def add(
    at: Service, *, expects: str = "aws", regions: Sequence[str] = ("eu-west-1",), name: str = "web"
) -> list[ImageRef]:
    """Make a build of AMIs, and let its events be handled."""
    tags = {**TAGS, "hcp-packer-expects": expects}
    refs = at.world.add(Platform.AWS, OWNER, name, regions, tags, age=60)
    for ref in refs:
        at.deliver(at.function(), ref)
    return refs


def delete(at: Service, *refs: ImageRef) -> None:
    """Deregister AMIs, without a word."""
    for ref in refs:
        del at.world.images[ref]


def deleted(at: Service, ref: ImageRef, *, age: float = 5, **fields: Any) -> ImageEvent:
    """Return the event of a deletion so many minutes ago."""
    return ImageEvent(ref, Change.DELETED, at.clock() - timedelta(minutes=age), "event-1", **fields)


def tell(
    at: Service,
    event: ImageEvent,
    *,
    line: Line | None = None,
    rules: BucketPolicy = REVOKE,
    function: Publisher | None = None,
) -> Report:
    """Deliver the event of a deletion to a new process."""
    return (function or at.function(rules)).on_event(event, Deadline.after(60), line)


def seeing(at: Service, cloud: WorldCloud, rules: BucketPolicy = REVOKE) -> Publisher:
    """Return a new process's publisher that sees AWS as a test says."""
    opened = at.function(rules)
    return Publisher(opened.policy, lambda: opened.registry, lambda _: cloud, now=at.clock)


def look_again(at: Service, order: LookAgainOrder, rules: BucketPolicy = REVOKE, line: Line | None = None) -> Report:
    """Deliver the message of a second look to a new process."""
    return at.function(rules).departures.look_again(order, Deadline.after(60), line)


def status(at: Service, fingerprint: str = "a1") -> tuple[str, str]:
    """Return a version's name and status."""
    at.registry.model.get_version("web", fingerprint)  # the first read may lag
    version = at.registry.model.get_version("web", fingerprint)["version"]
    return version["name"], version["status"].removeprefix("VERSION_")


def labels(at: Service) -> dict[str, str]:
    """Return the labels of the version's one build."""
    (build,) = at.registry.model.get_version("web", "a1")["version"]["builds"]
    return dict(build["labels"])


def operations(at: Service) -> list[str]:
    """Return what was asked of the registry since the last time."""
    found = [name for name in at.registry.requests.operations() if name != "Token"]
    at.registry.requests.clear()
    return found


class Sick(WorldCloud):
    """A cloud that shows what it scans, and is in trouble when it is asked for the first AMI."""

    def __init__(self, at: Service, trouble: Trouble | Rejected) -> None:
        super().__init__(at.world, Platform.AWS)
        self._trouble = trouble

    def describe(self, ref: ImageRef, deadline: Deadline) -> Image | None:
        if ref.region == "eu-west-1":
            raise self._trouble
        return super().describe(ref, deadline)
