"""Handlers that run the real flow call by call, so that a test owns every interleaving, crash and lost reply."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from packer_publisher.ancestry import find_parent
from packer_publisher.converge import Reply, Settled, converge
from packer_publisher.deadline import Deadline
from packer_publisher.errors import OutcomeUnknown, RegistryRefused, RegistryTrouble
from packer_publisher.expectation import Quirks
from packer_publisher.image import ImageRef
from packer_publisher.placement import Item, place
from packer_publisher.policy import Policy
from packer_publisher.protocols import Registry
from packer_publisher.steps import (
    Call,
    CreateBucket,
    CreateBuild,
    CreateVersion,
    FillBuild,
    FindParent,
    Gather,
    Read,
    ReadBucket,
    ReadVersion,
    SetStatus,
)
from tests.simulation.world import World, WorldCloud

DEADLINE = Deadline.after(3600)


def ask(registry: Registry, call: Call) -> Reply:
    """Return the registry's reply to one call, a refusal being a reply."""
    try:
        match call:
            case ReadVersion():
                return registry.get_version(call.bucket, call.fingerprint, DEADLINE)
            case ReadBucket():
                return registry.get_bucket(call.bucket, DEADLINE)
            case FindParent():
                return find_parent(
                    call,
                    lambda asked: registry.search_artifact(asked.identifier, asked.platform, DEADLINE),
                    lambda bucket: registry.list_channels(bucket, DEADLINE),
                )
            case CreateBucket():
                return registry.create_bucket(call.bucket, call.description, call.labels, DEADLINE)
            case CreateVersion():
                return registry.create_version(call.bucket, call.fingerprint, call.template_type, DEADLINE)
            case CreateBuild():
                return registry.create_build(call, DEADLINE)
            case FillBuild() | SetStatus():
                return registry.update_build(call, DEADLINE)
            case _:
                raise TypeError(call)
    except RegistryRefused as refusal:
        return refusal


@dataclass
class Handler:
    """One delivery of one image's event, advanced one call at a time; ``quirks`` is its process's memory."""

    world: World
    registry: Registry
    ref: ImageRef
    policy: Policy
    quirks: Quirks = field(default_factory=Quirks)
    settled: Settled | None = None

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin again from the start, as a retry after a crash does."""
        image = self.world.images[self.ref]
        placement = place(image, self.policy)
        assert placement is not None
        self._items: Sequence[Item] = (Item(image, placement),)
        self._flow = converge(self._items, self.quirks)
        self._call: Call | None = next(self._flow)

    @property
    def done(self) -> bool:
        return self.settled is not None

    def step(self, *, lose: bool = False) -> None:
        """Make the next call; with ``lose`` a write happens, but its reply is lost."""
        call = self._call
        assert call is not None
        if isinstance(call, Gather):
            (item,) = self._items
            reply: Reply = WorldCloud(self.world, self.ref.platform).gather(item.image, item.placement, DEADLINE)
        else:
            reply = ask(self.registry, call)
            if lose and not isinstance(call, Read):
                reply = OutcomeUnknown("the reply is lost")
        try:
            self._call = self._flow.send(reply)
        except StopIteration as end:
            self.settled = end.value
            self.quirks = end.value.quirks
        except (OutcomeUnknown, RegistryTrouble):
            self.restart()  # deferred: the platform delivers the event again


def run_all(handlers: Sequence[Handler], rng: random.Random, *, crashes: float = 0.0, losses: float = 0.0) -> int:
    """Run handlers to their ends in a random interleaving; return the number of calls made."""
    steps = 0
    open_handlers = [handler for handler in handlers if not handler.done]
    while open_handlers:
        handler = rng.choice(open_handlers)
        if rng.random() < crashes:
            handler.restart()
        handler.step(lose=rng.random() < losses)
        steps += 1
        assert steps < 5000, "the handlers do not come to an end"
        if handler.done:
            open_handlers.remove(handler)
    return steps
