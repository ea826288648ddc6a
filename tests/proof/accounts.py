"""One cloud account with its function: what it sees of the world, its line to the registry, its events in flight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from packer_publisher.ancestry import find_parent
from packer_publisher.clouds.aws_gather import View, assemble
from packer_publisher.clouds.aws_images import Found
from packer_publisher.converge import Progress, Reply, next_request, received, settle
from packer_publisher.deadline import Deadline
from packer_publisher.errors import OutcomeUnknown, RegistryRefused, Rejected, Trouble
from packer_publisher.expectation import Quirks
from packer_publisher.image import Image, ImageEvent, ImageRef, Platform, Scope
from packer_publisher.placement import Item, Placement, place
from packer_publisher.policy import Policy
from packer_publisher.publish import Publisher
from packer_publisher.report import Outcome
from packer_publisher.snapshot import Channel
from packer_publisher.steps import (
    AssignChannel,
    Call,
    CreateBucket,
    CreateBuild,
    CreateChannel,
    CreateVersion,
    FillBuild,
    FindParent,
    Gather,
    ReadBucket,
    ReadChannel,
    ReadVersion,
    SetLabels,
    SetStatus,
)
from tests.proof.unreliable import Line
from tests.simulation.registry import Clock
from tests.simulation.world import World, WorldSurvey

ENDLESS = Deadline(1e9, clock=lambda: 0.0, sleep=lambda _: None)
"""Nobody waits in a simulation: pauses take no time."""


class AccountCloud(WorldSurvey):
    """A cloud of the world as one account sees it; its AWS builds are gathered by the real rule."""

    def __init__(self, world: World, platform: Platform, owner_id: str, policy: Policy, clock: Clock) -> None:
        super().__init__(world, platform, policy, clock)
        self._owner_id = owner_id

    def describe(self, ref: ImageRef, deadline: Deadline) -> Image | None:
        return super().describe(ref, deadline) if ref.owner_id == self._owner_id else None

    def speaks_for(self, owner_id: str, deadline: Deadline) -> bool:
        return owner_id == self._owner_id

    def scan(self, since: datetime | None, until: datetime | None, deadline: Deadline) -> Iterator[Image]:
        return (image for image in super().scan(since, until, deadline) if image.ref.owner_id == self._owner_id)

    def scopes(self, deadline: Deadline, only: Sequence[str] = ()) -> tuple[Scope, ...]:
        return tuple(scope for scope in super().scopes(deadline) if scope.owner_id == self._owner_id)

    def gather(self, image: Image, placement: Placement, deadline: Deadline) -> Image:
        own = tuple(
            Found(other)
            for other in self._world.images.values()
            if (other.platform, other.ref.owner_id) == (self.platform, self._owner_id)
        )
        return assemble(image, placement, View(own, {}), self._policy, self._clock())


@dataclass
class Account:
    """One account: its publisher serves whole events and sweeps, ``quirks`` its events in flight."""

    platform: Platform
    owner_id: str
    cloud: AccountCloud
    line: Line
    publisher: Publisher
    quirks: Quirks = field(default_factory=Quirks)


class Flight:
    """One delivery of one event, advanced one call at a time; ``outcome`` is None until it ends.

    A Trouble ends it DEFERRED, as it ends a delivery of the real functions: the event comes again.
    """

    def __init__(self, event: ImageEvent, account: Account) -> None:
        self.event = event
        self.account = account
        self.placement: Placement | None = None
        self.outcome: Outcome | None = None
        self._progress: Progress | None = None

    def step(self) -> None:
        """Look at the image, or make the next call."""
        try:
            if self._progress is None:
                self._observe()
            else:
                self._call(self._progress)
        except Trouble:
            self.outcome = Outcome.DEFERRED
        except (Rejected, RegistryRefused):
            self.outcome = Outcome.REJECTED

    def _observe(self) -> None:
        image = self.account.cloud.describe(self.event.ref, ENDLESS)
        if image is None:
            self.outcome = Outcome.IGNORED
            return
        self.placement = place(image, self.account.publisher.policy)
        if self.placement is None:
            self.outcome = Outcome.IGNORED
            return
        self._progress = Progress((Item(image, self.placement),), self.account.quirks)

    def _call(self, progress: Progress) -> None:
        progress, call = next_request(progress)
        if call is not None:
            progress = received(progress, call, self._reply(progress, call))
            self._progress = progress
            progress, call = next_request(progress)
        if call is None:
            settled = settle(progress)
            self.account.quirks = settled.quirks
            self.outcome = settled.verdicts[0].outcome

    def _reply(self, progress: Progress, call: Call) -> Reply:
        if isinstance(call, Gather):
            (item,) = progress.items
            return self.account.cloud.gather(item.image, item.placement, ENDLESS)
        try:
            return _ask(self.account.line, call)
        except (RegistryRefused, OutcomeUnknown) as answer:
            return answer


def _ask(line: Any, call: Call) -> Reply:
    """Return the registry's reply to one call; ``line`` has every method of a Registry."""
    reply: Reply
    match call:
        case ReadVersion():
            reply = line.get_version(call.bucket, call.fingerprint, ENDLESS)
        case ReadBucket():
            reply = line.get_bucket(call.bucket, ENDLESS)
        case ReadChannel():
            reply = line.get_channel(call.bucket, call.channel, ENDLESS) or Channel(call.channel, exists=False)
        case FindParent():
            reply = find_parent(
                call,
                lambda asked: line.search_artifact(asked.identifier, asked.platform, ENDLESS),
                lambda bucket: line.list_channels(bucket, ENDLESS),
            )
        case CreateBucket():
            reply = line.create_bucket(call.bucket, call.description, call.labels, ENDLESS)
        case CreateVersion():
            reply = line.create_version(call.bucket, call.fingerprint, call.template_type, ENDLESS)
        case CreateChannel():
            reply = line.create_channel(call.bucket, call.channel, ENDLESS, version_fingerprint=call.fingerprint)
        case AssignChannel():
            reply = line.update_channel(call.bucket, call.channel, ENDLESS, version_fingerprint=call.fingerprint)
        case CreateBuild():
            reply = line.create_build(call, ENDLESS)
        case FillBuild() | SetStatus() | SetLabels():
            reply = line.update_build(call, ENDLESS)
        case Gather():
            raise TypeError("a gather is asked of the cloud")
    return reply
