"""The functions of three clouds and their queues, as a backfill that hands over meets them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from packer_publisher.backfill.handover import Handover
from packer_publisher.backfill.journal import Journal
from packer_publisher.backfill.run import Backfill
from packer_publisher.deadline import Deadline
from packer_publisher.handed_over import converge_images
from packer_publisher.image import Platform
from packer_publisher.messages import ConvergeOrder, read_order
from packer_publisher.publish import Publisher
from packer_publisher.report import Report
from tests.backfill.account import Estate
from tests.simulation.world import cloud_of

HOUR = Deadline(1e9, clock=lambda: 0.0, sleep=lambda _: None)


class Killed(BaseException):
    """The process is gone, at this very line."""


@dataclass
class Line:
    """A queue, and all that was ever put on it. ``fails`` is asked before each message is taken."""

    messages: list[str] = field(default_factory=list)
    everything: list[str] = field(default_factory=list)
    fails: Callable[[], None] = lambda: None
    dies: bool = False

    def put(self, messages: Sequence[str]) -> None:
        self.fails()
        self.messages += messages
        self.everything += messages
        if self.dies:
            self.dies = False
            raise Killed


@dataclass
class Functions:
    """The functions of three clouds behind their queues, each of which sees its own cloud's images alone."""

    estate: Estate
    queues: dict[Platform, Line] = field(default_factory=lambda: {platform: Line() for platform in Platform})
    most_at_once: int = 0
    twice: bool = False
    off: bool = False

    def orders(self, platform: Platform) -> list[ConvergeOrder]:
        """Return everything that was ever sent to a cloud's function."""
        read = [read_order(json.loads(text), platform) for text in self.queues[platform].everything]
        return [order for order in read if isinstance(order, ConvergeOrder)]

    def work(self, _: float = 0.0) -> list[Report]:
        """Let each function do what is on its queue, each version that waits there once or twice; time passes."""
        waiting = [
            json.loads(text)["packer-publisher"]["converge"] for q in self.queues.values() for text in q.messages
        ]
        versions = {(order["bucket"], order["fingerprint"]) for order in waiting}
        buckets = [bucket for bucket, _ in versions]
        self.most_at_once = max([self.most_at_once, *map(buckets.count, buckets)])
        reports: list[Report] = []
        for platform, queue in self.queues.items() if not self.off else ():
            taken, queue.messages = queue.messages, []
            for text in taken * (2 if self.twice else 1):
                reports += self.deliver(platform, text)
        self.estate.forward(minutes=3)
        return reports

    def deliver(self, platform: Platform, text: str) -> tuple[Report, ...]:
        """Hand one message to a cloud's function."""
        order = read_order(json.loads(text), platform)
        assert isinstance(order, ConvergeOrder)
        estate = self.estate
        publisher = Publisher(estate.policy, lambda: estate.registry, cloud_of(estate.world), now=estate.registry.clock)
        return converge_images(publisher, order, HOUR, estate.registry.clock).reports


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    """Nothing is there yet but the bucket ``web``."""
    found = Estate(tmp_path)
    found.registry.model.create_bucket({"name": "web"})
    return found


@pytest.fixture
def functions(estate: Estate) -> Functions:
    return Functions(estate)


def begin(estate: Estate, journal: Journal | None = None, **asked: object) -> Backfill:
    """Return a run that has listed and looked."""
    run = estate.backfill(journal, **asked)
    run.list_clouds(lambda *_: None)
    run.look()
    return run


def hand_over(run: Backfill, functions: Functions) -> str:
    """Hand a run over; the functions work in its pauses."""
    return Handover(run, functions.queues, pause=functions.work).run()


def history(estate: Estate) -> dict[str, str]:
    """Fill the estate with versions of one, two and three clouds; return what their numbers must be."""
    for name, days in (("a1", 30), ("b2", 20), ("c3", 10)):
        estate.add(name, days=days, regions=["eu-west-1", "us-east-1"])
        estate.add(f"{name}-db", bucket="database", days=40 - days)
    estate.add("a1", platform=Platform.AZURE, regions=["westeurope"], owner="sub-1", days=30)
    estate.add("b2", platform=Platform.GCE, regions=["europe-west1-b"], owner="project-1", days=20)
    estate.add("a1", platform=Platform.GCE, regions=["europe-west1-b"], owner="project-1", days=30)
    return {"a1": "v1", "b2": "v2", "c3": "v3", "c3-db": "v1", "b2-db": "v2", "a1-db": "v3"}
