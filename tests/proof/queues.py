"""The three platforms' queues in simulated time: when a message comes again, when it is given up, who may work at once.

The figures are those that are deployed: infra/aws/template.json and host.json are read; Google's are the
subscription's limits.
"""

from __future__ import annotations

import heapq
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packer_publisher.clouds.aws_queue import rest
from packer_publisher.image import ImageEvent

ROOT = Path(__file__).parents[2]
DAY = 86400.0


@dataclass
class Message:
    """One event on a queue; ``tries`` counts its deliveries."""

    event: ImageEvent
    sent: float
    tries: int = 0
    ended: float | None = None


Rest = Callable[[int, float | None], float]
"""For how many seconds a message rests after a number of tries, with what the registry asked for."""


@dataclass(frozen=True, slots=True)
class Platform:
    """How one platform delivers.

    ``workers`` is how many batches are handled at the same time, ``seconds`` what an invocation gives to its batch,
    ``delay`` how long a new message rests, ``most`` the deliveries before it is dead (None: no limit), ``keeps`` the
    seconds before it expires. ``pushes`` is set where a message that finds every worker busy is refused, and rests.
    """

    name: str
    workers: int
    batch: int
    seconds: float
    delay: float
    most: int | None
    keeps: float
    rest: Rest
    pushes: bool = False


@dataclass
class Queue:
    """The messages of one platform's function."""

    platform: Platform
    resting: list[tuple[float, int, Message]] = field(default_factory=list)
    busy: int = 0
    dead: list[Message] = field(default_factory=list)
    expired: list[Message] = field(default_factory=list)
    done: list[Message] = field(default_factory=list)
    deliveries: int = 0
    _number: int = 0

    def put(self, message: Message, visible: float) -> None:
        """Let a message rest until it is visible."""
        self._number += 1
        heapq.heappush(self.resting, (visible, self._number, message))

    def visible(self, now: float) -> bool:
        """Return whether a message can be taken."""
        return bool(self.resting) and self.resting[0][0] <= now

    def take(self, now: float) -> list[Message]:
        """Return the batch that a free worker is given now; what has been tried too often is dead, not given."""
        batch: list[Message] = []
        while self.visible(now) and len(batch) < self.platform.batch:
            _, _, message = heapq.heappop(self.resting)
            if now - message.sent > self.platform.keeps:
                self.expired.append(message)
            elif self.platform.most is not None and message.tries >= self.platform.most:
                self.dead.append(message)
            else:
                message.tries += 1
                batch.append(message)
        self.deliveries += len(batch)
        return batch


def platforms(rng: random.Random) -> dict[str, Platform]:
    """Return the three platforms as they are deployed."""
    return {"aws": _sqs(rng), "azure": _storage_queue(), "gce": _pubsub(rng)}


def _sqs(rng: random.Random) -> Platform:
    text = (ROOT / "infra" / "aws" / "template.json").read_text(encoding="utf-8")
    deployed: dict[str, Any] = {
        name: resource["Properties"] for name, resource in json.loads(text)["Resources"].items()
    }
    queue, trigger = deployed["Events"], deployed["PublishEventSourceMappingSQSEvents"]
    return Platform(
        name="SQS",
        workers=trigger["ScalingConfig"]["MaximumConcurrency"],
        batch=trigger["BatchSize"],
        seconds=deployed["PublishLambdaFunction"]["Timeout"] - 5.0,
        delay=queue["DelaySeconds"],
        most=queue["RedrivePolicy"]["maxReceiveCount"],
        keeps=queue["MessageRetentionPeriod"],
        rest=lambda tries, retry_after: rest(tries, retry_after, rng.uniform),
    )


def _storage_queue() -> Platform:
    host = json.loads((ROOT / "functions" / "azure" / "host.json").read_text(encoding="utf-8"))
    queues = host["extensions"]["queues"]
    hours, minutes, seconds = map(int, queues["visibilityTimeout"].split(":"))
    return Platform(
        name="Storage queue",
        workers=1,
        batch=queues["batchSize"],
        seconds=120.0,
        delay=0.0,
        most=queues["maxDequeueCount"],
        keeps=7 * DAY,
        rest=lambda _tries, _retry_after: hours * 3600.0 + minutes * 60 + seconds,
    )


def _pubsub(rng: random.Random) -> Platform:
    # The longest that a subscription's retry policy allows is 600 s, the longest retention of the default kind 7 days
    # (Pub/Sub documentation, "Handle message failures"); the pushes back off exponentially in between.
    return Platform(
        name="Pub/Sub",
        workers=2,
        batch=1,
        seconds=50.0,
        delay=0.0,
        most=None,
        keeps=7 * DAY,
        rest=lambda tries, _retry_after: min(600.0, 10.0 * 2.0 ** min(tries - 1, 10)) * rng.uniform(0.9, 1.1),
        pushes=True,
    )
