"""Who plays in an exploration: handlers with their decisions, the stages of their world, the scenario of it all.

:class:`Figures` say afterwards how much of it was looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from packer_publisher.converge import Progress, Reply, Settled, next_request, received, settle
from packer_publisher.image import Image
from packer_publisher.local.registry_switches import Switches
from packer_publisher.placement import Item
from packer_publisher.steps import Call, DeleteBuild
from tests.proof.invariants import Rules
from tests.proof.registry_states import Naming

CRASH, LOSS = 1, 2
MISHAPS = CRASH | LOSS


class Logic:
    """The decisions of a handler: those of the product. Negative controls replace a part of it."""

    def start(self, items: tuple[Item, ...]) -> Progress:
        """Return what a handler knows at first."""
        return Progress(items)

    def next_request(self, progress: Progress) -> tuple[Progress, Call | DeleteBuild | None]:
        """Return the next call, None at the end."""
        return next_request(progress)

    def received(self, progress: Progress, call: Call | DeleteBuild, reply: Reply | None) -> Progress:
        """Return what a handler knows after a reply."""
        if isinstance(call, DeleteBuild) or reply is None:
            raise TypeError("the product deletes no build of an open version")
        return received(progress, call, reply)

    def settle(self, progress: Progress) -> Settled:
        """Return the end."""
        return settle(progress)


@dataclass(frozen=True)
class Actor:
    """A handler: the event of an image, or a sweep over several; it can begin once stage ``since`` has come."""

    name: str
    items: tuple[Item, ...]
    since: int = 0


@dataclass(frozen=True)
class Stage:
    """The world for a while. It comes at any moment, when no handler is at work, or when all are done."""

    name: str
    now: datetime
    gathered: Mapping[str, Image] = field(default_factory=dict)  # what a look at the cloud answers, by image
    comes: Literal["any time", "idle", "over"] = "any time"


@dataclass(frozen=True)
class Scenario:
    """What is explored: handlers, the stages of their world, and the rules that nothing may break."""

    name: str
    actors: tuple[Actor, ...]
    stages: tuple[Stage, ...]
    rules: Rules
    bucket: str = "web"
    fingerprint: str = "3f2a-77"
    bucket_exists: bool = True
    mishaps: int = MISHAPS
    naming: Naming = "by name"
    switches: Switches | None = None  # None: those of the tests, as they are when it is played
    base: str = ""  # an image that a complete version of another bucket lists


@dataclass(frozen=True)
class Figures:
    """How much was looked at."""

    name: str
    states: int
    transitions: int
    registries: int
    handlers: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.name:<86} {self.states:>9,} states {self.transitions:>11,} transitions "
            f"{self.registries:>6,} registries {self.seconds:>6.1f} s"
        )
