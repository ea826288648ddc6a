"""A day without HCP, simulated: three functions, their queues, the real publisher, and a registry that is down.

``python -m tests.proof.outage`` prints what it came to.
"""

from __future__ import annotations

import heapq
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from itertools import count
from statistics import median
from typing import Any

from packer_publisher.deadline import Deadline
from packer_publisher.errors import CredentialsTrouble, OutcomeUnknown, RegistryTrouble
from packer_publisher.image import ImageRef
from packer_publisher.image import Platform as Cloud
from packer_publisher.policy import BucketPolicy, BucketRule, Policy
from packer_publisher.publish import Publisher
from packer_publisher.registry.retries import TRIES, Patience
from packer_publisher.registry.wire import CALL_SECONDS
from packer_publisher.report import Outcome
from tests.proof.queues import DAY, Message, Platform, Queue, platforms
from tests.simulation.registry import ModelRegistry
from tests.simulation.world import T0, World, cloud_of, event

LATENCY = 0.2
"""Seconds that a call takes while HCP is up."""

ACCOUNTS = 40

TYPES = "amazon-ebs azure-arm googlecompute"
PLATFORMS = "aws azure gce"
REGIONS = ("eu-west-1", "us-east-1", "us-west-2")
POLICY = Policy(rules=(BucketRule("*", BucketPolicy(create_bucket=True)),))


class Failure(Enum):
    """How HCP fails while it is down."""

    UNAVAILABLE = "HCP answers 503"
    STALLING = "HCP does not answer"
    REFUSING = "HCP refuses the key"  # for a day: until somebody mends it


class UnsteadyRegistry(ModelRegistry):
    """The model with an outage: until ``up_at`` every request fails.

    Retries are those of the real client: as many tries, the same pauses, reads only; time passes on the test's clock.
    """

    def __init__(self, rng: random.Random, up_at: float, failure: Failure) -> None:
        super().__init__()
        self.up_at = up_at
        self.failure = failure
        self.deadline = Deadline.after(0.0, self.seconds)
        self.requests: list[float] = []
        self._patience = Patience(rng.random)

    def seconds(self) -> float:
        """Return the seconds since the outage began."""
        return (self.clock.now - T0).total_seconds()

    def at(self, seconds: float) -> None:
        """Set the clock."""
        self.clock.now = T0 + timedelta(seconds=seconds)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.forward(seconds=seconds)

    def begin(self, seconds: float) -> Deadline:
        """Return the deadline of an invocation that begins now; requests honour it until the next one."""
        self.deadline = Deadline.after(seconds, self.seconds, self.sleep)
        return self.deadline

    def _ask(self, name: str, operation: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
        for tries in range(1, TRIES + 1):
            left = self.deadline.remaining()
            if left <= 0:
                raise RegistryTrouble(f"{name}: no time was left")
            self.requests.append(self.seconds())
            if self.requests[-1] >= self.up_at:
                self.sleep(LATENCY - 0.05)  # the model takes the rest
                return super()._ask(name, operation, *arguments)
            self.sleep(min(CALL_SECONDS if self.failure is Failure.STALLING else LATENCY, left))
            if self.failure is Failure.REFUSING:
                raise CredentialsTrouble(f"{name}: HCP refuses the key")
            if not name.startswith("Get"):
                raise OutcomeUnknown(f"{name}: HCP is down")
            if tries == TRIES or not self.deadline.pause(self._patience.pause(tries, None)):
                break
        raise RegistryTrouble(f"{name}: HCP is down")


@dataclass
class Simulation:
    """Events in a number of accounts, and what becomes of them; each account has its own queue and function.

    ``shape`` may change how the platforms are deployed.
    """

    seed: int
    failure: Failure = Failure.UNAVAILABLE
    outage: float = DAY
    shape: Callable[[Platform], Platform] = lambda platform: platform
    world: World = field(default_factory=World)
    queues: dict[str, Queue] = field(default_factory=dict)
    last_event: dict[str, float] = field(default_factory=dict)
    completed: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.registry = UnsteadyRegistry(self.rng, self.outage, self.failure)
        self.now = 0.0
        self._platforms = platforms(self.rng)
        self._publishers: dict[str, Publisher] = {}
        self._numbers = count()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []

    def send(self, ref: ImageRef, at: float) -> None:
        """Put an event on its account's queue."""
        if ref.owner not in self.queues:
            registry, clouds = self.registry, cloud_of(self.world)
            self.queues[ref.owner] = Queue(self.shape(self._platforms[str(ref.platform)]))
            self._publishers[ref.owner] = Publisher(POLICY, lambda: registry, clouds, now=registry.clock)
        queue = self.queues[ref.owner]
        message = Message(event(ref, next(self._numbers), T0 + timedelta(seconds=at)), at)
        fingerprint = self.world.images[ref].tags["hcp-packer-fingerprint"]
        self.last_event[fingerprint] = max(at, self.last_event.get(fingerprint, 0.0))
        self._rest(queue, message, at + queue.platform.delay)

    def run(self) -> None:
        """Work until every queue is empty and every worker is free."""
        while self._agenda:
            self.now, _, action = heapq.heappop(self._agenda)
            action()

    def _rest(self, queue: Queue, message: Message, until: float) -> None:
        queue.put(message, until)
        heapq.heappush(self._agenda, (until, next(self._numbers), lambda: self._work(queue)))

    def _work(self, queue: Queue) -> None:
        """Give what is visible to the workers that are free."""
        while queue.visible(self.now):
            busy = queue.busy == queue.platform.workers
            if busy and not queue.platform.pushes:
                return
            batch = queue.take(self.now)
            if busy:  # Cloud Run sends away what it cannot take, with 429
                for message in batch:
                    self._rest(queue, message, self.now + queue.platform.rest(message.tries, None))
            elif batch:
                self._handle(queue, batch)

    def _handle(self, queue: Queue, batch: list[Message]) -> None:
        """Handle a batch from now on, in one go: handlers that pass each other are proved elsewhere."""
        queue.busy += 1
        self.registry.at(self.now)
        deadline = self.registry.begin(queue.platform.seconds)
        kept: list[tuple[Message, float]] = []
        for message in batch:
            report = self._publishers[message.event.ref.owner].on_event(message.event, deadline)
            if report.outcome is Outcome.COMPLETED:
                self.completed.setdefault(report.fingerprint, self.registry.seconds())
            if report.outcome is Outcome.DEFERRED:
                kept.append((message, queue.platform.rest(message.tries, report.retry_after)))
            else:
                message.ended = self.registry.seconds()
                queue.done.append(message)

        def end() -> None:
            queue.busy -= 1
            for message, seconds in kept:
                self._rest(queue, message, self.now + seconds)
            self._work(queue)

        heapq.heappush(self._agenda, (self.registry.seconds(), next(self._numbers), end))

    def per_minute(self, since: float, until: float = float("inf")) -> Counter[int]:
        """Return how many requests the registry got in each minute of a time."""
        return Counter(int(at // 60) for at in self.registry.requests if since <= at < until)

    def lags(self) -> list[float]:
        """Return the seconds from the end of the outage (or a version's last event) to its completion, sorted."""
        return sorted(at - max(self.outage, self.last_event[name]) for name, at in self.completed.items())

    def lost(self) -> list[str]:
        """Return the messages that were given up, each with the time when it was."""
        return [
            f"{name}: event {message.event.event_id}, sent {message.sent / 3600:.1f} h after the outage began, "
            f"is dead after {message.tries} tries"
            for name, queue in self.queues.items()
            for message in (*queue.dead, *queue.expired)
        ]


def three_clouds(seed: int, failure: Failure = Failure.UNAVAILABLE, versions: int = 100, **more: Any) -> Simulation:
    """Run an outage in which the images of many versions appear in one account of each cloud, ten events for each."""
    found = Simulation(seed, failure, **more)
    for version in range(versions):
        began = found.rng.uniform(0, found.outage - 1800)
        declared = (TYPES, PLATFORMS)[version % 2]
        for cloud, owner, regions in (
            (Cloud.AWS, "111111111111", REGIONS),
            (Cloud.AZURE, "sub-1", ("westeurope",)),
            (Cloud.GCE, "project-1", ("europe-west1-b",)),
        ):
            tags = {
                "hcp-packer-bucket": f"web-{version % 10}",
                "hcp-packer-fingerprint": f"3f2a-{version:03d}",
                "hcp-packer-expects": declared.replace(" ", "_") if cloud is Cloud.GCE else declared,
            }
            for ref in found.world.add(cloud, owner, f"web-{version}", regions, tags):
                for _ in range(2):  # the clouds send two events for one image: it became available, it was tagged
                    found.send(ref, began + found.rng.uniform(0, 1800))
    found.run()
    return found


def many_accounts(seed: int, cloud: Cloud, failure: Failure, **more: Any) -> Simulation:
    """Run an outage at whose very beginning one image appears in each of many accounts of one cloud."""
    found = Simulation(seed, failure, **more)
    for account in range(ACCOUNTS):
        tags = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": f"a{account}", "hcp-packer-expects": str(cloud)}
        (ref,) = found.world.add(cloud, f"account-{account}", "web", ("region-1",), tags)
        found.send(ref, 0.0)
    found.run()
    return found


def figures(simulation: Simulation) -> list[str]:
    """Return what a simulation came to, in lines."""
    queues = simulation.queues.values()
    during = simulation.per_minute(0, simulation.outage)
    after = simulation.per_minute(simulation.outage)
    lags = simulation.lags()
    done = [message for queue in queues for message in queue.done]
    return [
        f"{len(done)} events done, {len(simulation.lost())} lost, {sum(queue.deliveries for queue in queues)} "
        f"deliveries, {max(message.tries for message in done)} for one event at most",
        f"requests per minute: {max(during.values())} at most during the outage, {max(after.values())} at most after "
        f"it, {sum(after.values())} then in all",
        f"{len(lags)} versions complete: half of them {median(lags) / 60:.1f} minutes after the outage, all of them "
        f"after {lags[-1] / 60:.1f}",
    ]


def main() -> int:
    """Print the figures of each kind of outage."""
    for failure in Failure:
        runs = {"1,000 events of 100 versions in three clouds": three_clouds(1, failure)}
        runs |= {
            f"one event in each of {ACCOUNTS} accounts, {cloud}": many_accounts(1, cloud, failure) for cloud in Cloud
        }
        for name, simulation in runs.items():
            lines = "".join(f"  {line}\n" for line in figures(simulation))
            sys.stdout.write(f"{failure.value} for a day; {name}:\n{lines}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
