"""A hypothesis state machine: clouds, faults, time, our functions and Packer, in every order that it can think of.

The rules change the world or let somebody make his next call; :class:`~tests.proof.watch.Watch` looks after each.
At rest (quiet time and one sweep later) the registry is compared with the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from packer_publisher.image import Artifact, Change, ImageEvent, ImageRef, Platform
from packer_publisher.local.registry_switches import Switches
from packer_publisher.report import Outcome
from tests.proof.accounts import ENDLESS, Flight
from tests.proof.departed import Departed
from tests.proof.packer import PackerRun, Source
from tests.proof.stage import BUCKET, FINGERPRINTS, REGIONS, expects_tag, totals
from tests.proof.unreliable import Fault
from tests.switches import setting

EXPECTS = (
    "",
    "",
    "aws",
    "aws azure gce",
    "amazon-ebs azure-arm googlecompute",
    "amazon-ebs amazon-ebs.base gce",
    "amazon-ebs.base azure-arm",
    "amazon-ebs.joined aws",  # a placeholder that a run of Packer takes up
)
# Every switch has its own tests; these change what a race between several writers comes to.
UNKNOWNS = ("", "read_after_write=stale", "unset_to_done=refuse", "updates_after_done=accept")
ADDED = ("gce", "azure", "aws azure gce", "amazon-ebs.base azure-arm")
BROKEN = (
    {"hcp-packer-bucket": "_"},
    {"hcp-packer-bucket": BUCKET},
    {"hcp-packer-expects": " ".join(f"amazon-ebs.n{n}" for n in range(17))},
    {"hcp-packer-expects": "windows"},
)
# A run that registers what nobody else names, and one that joins a placeholder of ours.
TEMPLATES = {
    "registers": {"amazon-ebs.ubuntu": Platform.AWS, "azure-arm.ubuntu": Platform.AZURE},
    "joins": {"amazon-ebs.joined": Platform.AWS},
}
IN_FLIGHT = 4

index = st.integers(0, 7)
sometimes = st.integers(0, 3).map(lambda n: n == 3)


class Machine(Departed):
    """The rules; the order of a failing run can be typed as it is printed, into a regression test."""

    @initialize(
        configured=st.sampled_from(((), (), (), (), ("aws",), ("aws", "gce"))),
        unknown=st.sampled_from(UNKNOWNS),
        first=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(FINGERPRINTS), st.integers(1, 2)), max_size=6),
        style=st.sampled_from((None, "", "", *EXPECTS[3:5], EXPECTS[-1])),
        on_delete=st.sampled_from(("ignore", "revoke")),
    )
    def functions(
        self,
        configured: tuple[str, ...],
        style: str | None,
        unknown: str = "",
        first: Sequence[tuple[int, str, int]] = (),
        on_delete: str = "ignore",
    ) -> None:
        """Deploy the functions; ``configured`` is what the configuration declares for every bucket.

        All images say what the ``style`` is; without one each says something else. ``unknown`` is how the registry
        answers a question that nobody outside of HCP can. ``first`` are images that are there when it begins.
        """
        self.registry.model.switches = setting(**Switches.parse(unknown.split()).deviations())
        self.style = style
        self._deploy(configured, on_delete)
        for account, version, copies in first:
            self.image(account, version, "", False, copies, True, False, False)

    # The clouds

    @rule(
        account=st.integers(0, 3),
        version=st.sampled_from(FINGERPRINTS),
        expects=st.sampled_from(EXPECTS),
        rival=sometimes,
        copies=st.sampled_from((1, 1, 2)),
        all_tagged=st.booleans(),
        named=sometimes,
        channel=sometimes,
    )
    def image(
        self,
        account: int,
        version: str,
        expects: str,
        rival: bool,
        copies: int,
        all_tagged: bool,
        named: bool,
        channel: bool,
    ) -> None:
        """A build ends: its images are there in all regions, and the first one, or all, have their tags.

        Both AWS accounts have a component type of their own, unless ``rival``; there is one build of each, unless so.
        """
        owner = self.accounts[account]
        if (owner.owner_id, version) in self.built and not rival:
            version = FINGERPRINTS[1 - FINGERPRINTS.index(version)]
        if (owner.owner_id, version) in self.built and not rival:
            return
        self.built.add((owner.owner_id, version))
        regions = REGIONS[owner.platform][:copies]
        tags = {"hcp-packer-bucket": BUCKET, "hcp-packer-fingerprint": version}
        tags |= expects_tag(owner.platform, expects if self.style is None else self.style)
        if (account == 1) is not rival and owner.platform is Platform.AWS:
            tags["hcp-packer-component-type"] = "amazon-ebs.base"
        if named and owner.platform is Platform.AWS:
            tags["hcp-packer-regions"] = " ".join(regions)
        if channel:
            tags["hcp-packer-channels"] = "production"
            self.asked.add(version)
        refs = self._add(owner, regions, tags)
        for ref in refs[1:] if not all_tagged else ():
            self.pending_tags[ref] = tags
            self.world.tag(ref, {})
        for ref in refs if all_tagged else refs[:1]:
            self._emit(ref)

    @precondition(lambda self: "broken" not in self.done)
    @rule(account=st.integers(0, 3), tags=st.sampled_from(BROKEN))
    def broken_image(self, account: int, tags: dict[str, str]) -> None:
        """Somebody writes tags that break the contract."""
        self.done.add("broken")
        owner = self.accounts[account]
        fingerprint = {} if tags == BROKEN[1] else {"hcp-packer-fingerprint": "a1"}
        (ref,) = self._add(owner, REGIONS[owner.platform][:1], {"hcp-packer-bucket": BUCKET} | fingerprint | tags)
        self._emit(ref)

    @precondition(lambda self: self.pending_tags)
    @rule(which=index)
    def tag_copy(self, which: int) -> None:
        """Packer tags the copy in the next region."""
        ref = sorted(self.pending_tags, key=str)[which % len(self.pending_tags)]
        tags = self.pending_tags.pop(ref)
        if ref in self.world.images:
            self.world.tag(ref, tags)
            self._emit(ref)

    @precondition(lambda self: any(ref.platform is Platform.AWS for ref in self._tagged()))
    @rule(which=index)
    def copy(self, which: int) -> None:
        """A person copies an AMI with its tags into one more region, when its build may be whole already."""
        tagged = [ref for ref in self._tagged() if ref.platform is Platform.AWS]
        image = self.world.images[tagged[which % len(tagged)]]
        ref = replace(image.ref, region="ap-south-1", identifier=f"ami-{image.name}-ap-south-1")
        if ref not in self.world.images:
            artifacts = (Artifact(ref.region, ref.identifier),)
            self.world.images[ref] = replace(image, ref=ref, created_at=self.registry.clock(), artifacts=artifacts)
            self._emit(ref)

    @precondition(lambda self: self._tagged())
    @rule(which=index, expects=st.sampled_from(ADDED), channels=sometimes)
    def retag(self, which: int, expects: str, channels: bool) -> None:
        """A person adds what the version consists of, or a channel, to all images of a build."""
        chosen = self._pick(which)
        added = {"hcp-packer-channels": "production"} if channels else expects_tag(chosen.platform, expects)
        for ref, image in list(self.world.images.items()):
            same = (image.owner, image.name) == (chosen.owner, self.world.images[chosen].name)
            if same and image.tags:
                self.world.tag(ref, added | dict(image.tags))
                if channels:
                    self.asked.add(image.tags.get("hcp-packer-fingerprint", ""))
                self._emit(ref)

    # The platforms' queues

    @precondition(lambda self: self.queue or self.flights)
    @rule(
        events=st.lists(index, max_size=IN_FLIGHT),
        turns=st.lists(st.tuples(index, st.none() | st.none() | st.sampled_from(Fault)), min_size=1, max_size=30),
    )
    def race(self, events: list[int], turns: list[tuple[int, Fault | None]]) -> None:
        """Functions take any of the events, old ones too, and make calls in any order; each call may meet a fault."""
        for which in events[: IN_FLIGHT - len(self.flights)]:
            event = self.queue.pop(which % len(self.queue)) if self.queue else self.past[which % len(self.past)]
            if event.change is Change.WRITTEN:
                self.flights.append(Flight(event, self._account(event.ref)))
            else:
                self._deliver(event)
        for which, fault in turns:
            if not self.flights:
                return
            flight = self.flights[which % len(self.flights)]
            if fault is not None:
                self.weather.faults.append(fault)
            totals["calls"] += 1
            flight.step()
            self._look()
            if flight.outcome is not None:
                self._land(flight)

    @precondition(lambda self: self.flights)
    @rule(which=index)
    def crash(self, which: int) -> None:
        """A function dies; its event comes again."""
        flight = self.flights.pop(which % len(self.flights))
        self.queue.append(flight.event)

    @precondition(lambda self: self.queue)
    @rule(events=st.lists(index, min_size=1, max_size=4))
    def deliver(self, events: list[int]) -> None:
        """Functions handle any of the events from beginning to end."""
        for which in events[: len(self.queue)]:
            self._deliver(self.queue.pop(which % len(self.queue)))

    @precondition(lambda self: self.past)
    @rule(which=index)
    def duplicate(self, which: int) -> None:
        """A platform delivers an event once more, however old it is."""
        self.queue.append(self.past[which % len(self.past)])

    @precondition(lambda self: self.queue)
    @rule(which=index)
    def lose(self, which: int) -> None:
        """A platform loses an event: only a sweep can find the image now."""
        self.done.add("lost")
        self.queue.pop(which % len(self.queue))

    @precondition(lambda self: "malformed" not in self.done)
    @rule(account=st.integers(0, 3), change=st.sampled_from(Change), old=st.booleans())
    def malformed_event(self, account: int, change: Change, old: bool) -> None:
        """An event of an image that nobody knows writes nothing, and is not retried for ever."""
        self.done.add("malformed")
        owner, before = self.accounts[account], len(self.book)
        ref = ImageRef(owner.platform, owner.owner_id, "", "ami-unknown")
        event = ImageEvent(ref, change, self.registry.clock() - timedelta(hours=2 if old else 0), "event-unknown")
        searches = change is Change.DELETED and self._revokes()
        kept = not old if change is Change.WRITTEN else searches and (not old or self._trouble())
        report = owner.publisher.on_event(event, ENDLESS)
        expected = Outcome.DEFERRED if kept else Outcome.IGNORED
        assert (expected, before) == (report.outcome, len(self.book))

    # Trouble and time

    @precondition(lambda self: self.past)
    @rule(down=sometimes)
    def outage(self, down: bool) -> None:
        """HCP goes down, or is back."""
        self.weather.outage = down

    @precondition(lambda self: self.past and len(self.weather.faults) < 2)
    @rule(fault=st.sampled_from(Fault))
    def one_fault(self, fault: Fault) -> None:
        """The next call of ours meets a fault."""
        self.weather.faults.append(fault)

    @precondition(lambda self: self.past)
    @rule(minutes=st.sampled_from((1, 5, 30, 130, 400, 1500)))
    def wait(self, minutes: int) -> None:
        """Time goes by, and every run of Packer sends its heartbeats; no function lives for half an hour."""
        if minutes >= 30:
            self.queue += [flight.event for flight in self.flights]
            self.flights.clear()
        self._forward(timedelta(minutes=minutes))

    @precondition(lambda self: self.past)
    @rule(account=st.integers(0, 3))
    def sweep(self, account: int) -> None:
        """One account is swept."""
        self._sweep(self.accounts[account])

    # Packer

    @precondition(lambda self: all(run.over for run in self.runs))
    @rule(kind=st.sampled_from(sorted(TEMPLATES)), version=st.sampled_from(FINGERPRINTS))
    def packer_build(self, kind: str, version: str) -> None:
        """A run of Packer begins; where one has died before, it resumes its version."""
        self.number += 1
        kind = "joins" if self.style == EXPECTS[-1] else kind  # it joins what there is to be joined
        sources = {
            name: Source(str(platform), REGIONS[platform][0], f"packer-{self.number}-{platform}")
            for name, platform in TEMPLATES[kind].items()
        }
        run_uuid = f"00000000-0000-4000-8000-{self.number:012}"
        model, clock, down = self.registry.model, self.registry.clock, lambda: self.weather.outage
        self.runs.append(PackerRun(model, clock, BUCKET, version, run_uuid, sources, down))

    @precondition(lambda self: any(not run.over for run in self.runs))
    @rule(which=index, calls=st.integers(1, 5), fails=sometimes, loses=sometimes, tagged=st.booleans())
    def packer(self, which: int, calls: int, fails: bool, loses: bool, tagged: bool) -> None:
        """Packer makes its next calls; ``tagged`` images carry the contract, as the template says."""
        run = next(run for run in self.runs if not run.over)
        for _ in range(calls):
            self._packer_step(run, which, fails=fails, loses=loses, tagged=tagged)
            self._look()

    @precondition(lambda self: any(not run.over for run in self.runs))
    @rule()
    def packer_dies(self) -> None:
        """The process is killed: its heartbeats lapse, nobody says FAILED."""
        next(run for run in self.runs if not run.over).kill()

    def _trouble(self) -> bool:
        """Return whether the next call to HCP fails."""
        return self.weather.outage or bool(self.weather.faults)

    # What must hold

    @invariant()
    def nothing_is_violated(self) -> None:
        """Every rule leaves the invariants whole."""
        self._look()

    def teardown(self) -> None:
        """Come to rest: all trouble ends, what is under way ends, and the sweeps do their work."""
        if self.sound and self.accounts:
            self._rest()
