"""The fault matrix played: one story per cell, over HTTP, with the real publisher and the real client.

``python -m tests.proof.fault_play`` prints the figures.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from itertools import count, product
from time import monotonic

from packer_publisher.image import Artifact, Change, ImageEvent, ImageRef
from packer_publisher.placement import Item, place
from packer_publisher.policy import BucketRule, Policy
from packer_publisher.publish import Publisher
from packer_publisher.registry import HCPPacker
from packer_publisher.registry.environment import read_environment
from packer_publisher.report import Outcome, Report
from tests.proof.contents import Contents, contents, doubles, without_parents
from tests.proof.fault_columns import COLUMNS, Column
from tests.proof.fault_matrix import End, expected
from tests.proof.fault_rows import CLOUDS, ROWS, Row, Story
from tests.proof.network import Network, Timepiece
from tests.publishing import Service, service
from tests.registered import register
from tests.simulation.world import World, cloud_of, event

SECONDS = 115.0
"""The time that the Lambda function gives to an event."""

MOST = 7
"""How often one call is made in one event at most: six tries, or one and as many more as a refusal is borne."""

REDELIVERIES = 3
"""More than these would be a message that never comes to rest."""

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Run:
    """One cell as it was played.

    ``end`` is how the event came to rest, ``contents`` what the bucket holds when the story is told, ``struck`` how
    many requests met the fault, and ``wrong`` what must never be.
    """

    end: End
    contents: Contents
    struck: int
    wrong: tuple[str, ...]


class Play:
    """One story, played in a bucket of its own; the process lives on from event to event, as a warm function does."""

    def __init__(self, at: Service, story: Story, client: type[HCPPacker] = HCPPacker) -> None:
        self.at = at
        self._client = client
        self.story = story
        self.bucket = f"web-{next(_numbers)}"
        self.time = Timepiece()
        self.network = Network(at.registry.faults, self.time)
        self.world = World()
        self.images: dict[str, ImageRef] = {}
        for cloud, (platform, owner, region) in CLOUDS.items():
            tags = {"hcp-packer-bucket": self.bucket, **story.tags(platform)}
            if story.parent:
                base = Artifact(region, f"base-of-{self.bucket}-{cloud}")
                register(at.registry.model, str(platform), base, bucket=base.external_identifier, channels=["stable"])
                tags["hcp-packer-source-image"] = base.external_identifier
            (self.images[cloud],) = self.world.add(platform, owner, f"web-{cloud}", [region], tags)
        if story.bucket is not None:
            at.bucket(self.bucket, **story.bucket)
        if story.channel:
            at.registry.model.create_channel(self.bucket, {"name": story.channel})
        self._clients: list[HCPPacker] = []
        self.new_process()

    def new_process(self) -> None:
        """Go on with another process, which remembers nothing."""
        environ = self.at.registry.environment()
        if self.story.discovers:
            environ |= {"HCP_ORGANIZATION_ID": "", "HCP_PROJECT_ID": ""}
        client = self._client(read_environment(environ), transport=self.network, draw=lambda: 0.5)
        self._clients.append(client)
        # Its own bucket alone: the images have the same names in all plays, and one that is gone is gone for each.
        policy = Policy(rules=(BucketRule(self.bucket, self.story.policy),))
        self.publisher = Publisher(policy, lambda: client, cloud_of(self.world), now=self.at.clock)

    def deliver(self, number: int, *, again: bool = False) -> Report:
        """Deliver one event of the story, or deliver it again."""
        if number == self.story.quiet_before and not again:
            self.at.clock.forward(hours=7)
            self.new_process()
        name = self.story.events[number]
        ref, now = self.images[name.removeprefix("-")], self.at.clock()
        told = event(ref, number, now)
        if name.startswith("-"):
            self.world.images.pop(ref, None)
            told = ImageEvent(ref, Change.DELETED, now - timedelta(minutes=5), told.event_id)
        return self.publisher.on_event(told, self.time.deadline(SECONDS))

    def sweep(self, number: int) -> Report:
        """Converge the version of one event's image, as the next sweep does."""
        image = self.world.images[self.images[self.story.events[number]]]
        placement = place(image, self.publisher.policy)
        assert placement is not None
        (found,) = self.publisher.converge((Item(image, placement),), self.time.deadline(SECONDS))
        return found.report

    def contents(self) -> Contents:
        """Return what the bucket holds."""
        return contents(self.at.registry.model, self.bucket)

    def close(self) -> None:
        for client in self._clients:
            client.close()


def clean(at: Service, story: Story) -> Contents:
    """Return what a story ends in where nothing breaks."""
    play = Play(at, story)
    for number in range(len(story.events)):
        play.deliver(number)
    play.close()
    return play.contents()


def run(
    at: Service, row: Row, column: Column, exact: Contents, *, lasting: bool, client: type[HCPPacker] = HCPPacker
) -> Run:
    """Play one cell: the fault strikes the row's call once, or (``lasting``) each time until the event has ended.

    ``exact`` is what the story ends in where nothing breaks; ``client`` is the client to be proved.
    """
    play = Play(at, row.story, client)
    for number in range(row.event):
        play.deliver(number)
    play.network.strike(row, column.fault, lasting=lasting)
    began = play.time()
    report = play.deliver(row.event)
    lasted = play.time() - began
    play.network.spare()
    play.network.arrive()
    wrong = [] if lasted <= SECONDS else [f"took {lasted:.0f} s"]
    if report.outcome is Outcome.DEFERRED and lasting and column.retry_after != report.retry_after:
        wrong.append(f"asks for another try after {report.retry_after} s")
    outcomes = [report.outcome]
    while report.outcome is Outcome.DEFERRED and len(outcomes) <= REDELIVERIES:
        report = play.deliver(row.event, again=True)
        outcomes.append(report.outcome)
    if report.outcome is Outcome.REJECTED and row.clean is not Outcome.REJECTED:
        outcomes.append(play.sweep(row.event).outcome)
    for number in range(row.event + 1, len(row.story.events)):
        play.deliver(number)
    end = End.of(tuple(outcomes), row.clean)
    found = play.contents()
    if row.channels and end is End.ON and found != exact:
        play.sweep(row.event)
        end, found = End.LATER, play.contents()
    told = any("parent" in note for note in report.notes)
    if row.parents and end is End.ON and told and found == held(row, End.ORPHAN, exact):
        end = End.ORPHAN
    wrong += [f"stands there twice: {what}" for what in doubles(found)]
    wrong += [f"written blindly: {what}" for what in play.network.blind_writes()]
    wrong += [f"not met: {what}" for what in at.registry.faults.left()]
    if not 1 <= play.network.struck <= MOST:
        wrong.append(f"sent {play.network.struck} times")
    play.close()
    return Run(end, found, play.network.struck, tuple(wrong))


def held(row: Row, end: End, exact: Contents) -> Contents:
    """Return what a bucket must hold after such an end, given what it holds where nothing breaks."""
    if end is not End.ORPHAN:
        return exact
    return without_parents(exact, "googlecompute", channel_only=row.operation == "ListChannels")


def main() -> int:
    """Play every cell and print the figures."""
    ends: Counter[End] = Counter()
    met, wrong, began = 0, 0, monotonic()
    with service() as at:
        for row in ROWS:
            exact = clean(at, row.story)
            for column, lasting in product(COLUMNS, (False, True)):
                found = run(at, row, column, exact, lasting=lasting)
                ends[found.end] += 1
                met += found.struck
                end = expected(row, column, lasting=lasting)
                as_expected = found.end is end and found.contents == held(row, end, exact)
                wrong += not as_expected or bool(found.wrong)
    names = ", ".join(f"{end.name.lower()} {number}" for end, number in ends.most_common())
    sys.stdout.write(
        f"fault matrix: {ends.total()} cells ({names}), {met} faults met, {wrong} cells wrong, "
        f"{monotonic() - began:.0f} s\n"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
