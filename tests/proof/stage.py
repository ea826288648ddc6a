"""The stage of the state machine: the world and everybody in it, and how a rule lets somebody act."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from hypothesis.stateful import RuleBasedStateMachine

from packer_publisher.errors import Rejected
from packer_publisher.image import Artifact, Change, ImageEvent, ImageRef, Platform
from packer_publisher.labels import MARKER
from packer_publisher.messages import Queue
from packer_publisher.placement import Placement, place
from packer_publisher.policy import BucketPolicy, BucketRule, Policy
from packer_publisher.publish import Publisher
from packer_publisher.report import Outcome, Report
from packer_publisher.snapshot import Version
from packer_publisher.sweep import sweep
from tests.proof.accounts import ENDLESS, Account, AccountCloud, Flight
from tests.proof.packer import PackerRun, Phase, Source
from tests.proof.reference import Made, declared_in, is_packers, misdirected, misplaced, stuck
from tests.proof.unreliable import Line, Weather, Written, as_it_is
from tests.proof.watch import Watch
from tests.registered import register
from tests.simulation.registry import ModelRegistry
from tests.simulation.world import T0, World

BUCKET, FINGERPRINTS = "web", ("a1", "b2")
BASE = "ami-base"
"""What the first AWS account's images are built from: a registered image."""
OWNERS = (
    (Platform.AWS, "111111111111"),
    (Platform.AWS, "222222222222"),
    (Platform.AZURE, "sub-1"),
    (Platform.GCE, "project-1"),
)
REGIONS = {Platform.AWS: ("eu-west-1", "us-east-1"), Platform.AZURE: ("westeurope",), Platform.GCE: ("europe-west1-b",)}
COPY_TIME, QUIET = timedelta(hours=2, minutes=1), timedelta(hours=7)

totals: Counter[str] = Counter()
"""What all runs of this process did, for the figures."""


class Stage(RuleBasedStateMachine):
    """Two versions of one bucket, four accounts, any number of runs of Packer."""

    def __init__(self) -> None:
        super().__init__()
        totals["runs"] += 1
        self.world = World()
        self.registry = ModelRegistry()
        register(self.registry.model, "aws", Artifact("eu-west-1", BASE), channels=("production",))
        self.weather = Weather()
        self.book: list[Written] = []
        self.watch = Watch()
        self.queue: list[ImageEvent] = []
        self.past: list[ImageEvent] = []
        self.flights: list[Flight] = []
        self.runs: list[PackerRun] = []
        self.pending_tags: dict[ImageRef, dict[str, str]] = {}
        self.built: set[tuple[str, str]] = set()
        self.asked: set[str] = set()
        self.style: str | None = None
        self.done: set[str] = set()
        self.number = 0
        self.sound = True
        self.accounts: list[Account] = []

    def _deploy(self, configured: tuple[str, ...], on_delete: str = "ignore") -> None:
        """Create every account's function."""
        channels = ("production",)
        rules = BucketPolicy(create_bucket=True, channels=channels, create_channels=True, on_delete=on_delete)
        policy = Policy(rules=(BucketRule(BUCKET, rules),), expects=configured)
        for platform, owner_id in OWNERS:
            cloud = AccountCloud(self.world, platform, owner_id, policy, self.registry.clock)
            line = Line(self.registry, self.weather, f"{platform}:{owner_id}", self.book)
            publisher = Publisher(policy, lambda line=line: line, lambda _, cloud=cloud: cloud, now=self.registry.clock)  # type: ignore[misc]  # a line is every method of a Registry
            self.accounts.append(Account(platform, owner_id, cloud, line, publisher))

    def _rest(self) -> None:
        self.weather.clear()
        for flight in self.flights:
            while flight.outcome is None:
                flight.step()
                self._look()
        for run in self.runs:
            while not run.over:
                self._packer_step(run, 0)
                self._look()
        self._end_of_events()
        for pause in (COPY_TIME, QUIET):  # lost events are found, late copies given up, all is quiet
            for account in self.accounts:
                self._sweep(account)
            self._forward(pause)
        reports = {ref: report for account in self.accounts for ref, report in self._sweep(account).items()}
        made, versions = self._made(), self._versions()
        found = misdirected(made, versions, self.asked, self._production())
        for version in versions:
            here = _of(version, made)
            found += misplaced(here, version, reports)
            found += stuck(here, version, [other for other in versions if other.exists and other is not version])
        none_of(found + [f"{name} has lost its parent" for version in versions for name in self._orphans(version)])
        before = len(self.book)
        for account in self.accounts:
            self._sweep(account)
        none_of([f"a second sweep found something to write: {entry.step}" for entry in self.book[before:]])
        totals.update("ends complete" if version.complete else "ends open" for version in versions if version.exists)
        totals.update(f"reported {report.outcome}" for report in reports.values())
        totals.update(f"met {name}" for name in self.weather.met.elements())

    def _end_of_events(self) -> None:
        """Deliver what is left; where no event was ever lost, a declared version needs no sweep to complete.

        Unless Packer has a part in it: of what Packer writes no event tells.
        """
        if "lost" in self.done:
            self.queue.clear()
            return
        while self.queue:
            for event in [self.queue.pop() for _ in list(self.queue)]:
                self._deliver(event)
            self._forward(timedelta(minutes=20))  # what is deferred comes again
        for version in self._versions():
            if declared_in(version) and not any(is_packers(build) for build in version.builds):
                none_of([f"without a sweep: {problem}" for problem in stuck(_of(version, self._made()), version, [])])

    def _deliver(self, event: ImageEvent) -> None:
        account = self._account(event.ref)
        report = account.publisher.on_event(event, ENDLESS, self._post(account))
        self._look()
        if report.outcome is Outcome.DEFERRED:
            self.queue.append(event)
        else:
            self._heard(event.ref, report.outcome)

    def _post(self, account: Account) -> Queue | None:  # of whom it is
        """Return an account's own queue, None where it has none."""
        return None

    def _look(self) -> None:
        self.sound = False
        totals["looks"] += 1
        now = self.registry.clock()
        versions, images = self._versions(), self.world.images
        stale = self.registry.model.switches.read_after_write == "stale"
        racing = bool(self.flights)
        none_of(self.watch.violations(versions, self.book, self.runs, images, now, racing=racing, stale=stale))
        self.sound = True

    def _production(self) -> str:
        """Return the fingerprint that the channel points to, "" for none."""
        channel = self.registry.get_channel(BUCKET, "production", ENDLESS)
        return "" if channel is None else channel.version_fingerprint

    def _versions(self) -> list[Version]:
        return [as_it_is(self.registry, BUCKET, fingerprint) for fingerprint in FINGERPRINTS]

    def _add(self, owner: Account, regions: tuple[str, ...], tags: dict[str, str]) -> list[ImageRef]:
        self.number += 1
        if owner.owner_id == OWNERS[0][1]:
            tags["hcp-packer-source-image"] = BASE
        age = int((T0 - self.registry.clock()) / timedelta(minutes=1))
        return self.world.add(owner.platform, owner.owner_id, f"image-{self.number}", regions, tags, age=age)

    def _emit(self, ref: ImageRef, change: Change = Change.WRITTEN) -> None:
        event = ImageEvent(ref, change, self.registry.clock(), f"event-{len(self.past)}")
        self.past.append(event)
        self.queue.append(event)

    def _account(self, ref: ImageRef) -> Account:
        return next(a for a in self.accounts if (a.platform, a.owner_id) == (ref.platform, ref.owner_id))

    def _tagged(self) -> list[ImageRef]:
        return [ref for ref, image in self.world.images.items() if image.tags]

    def _pick(self, which: int) -> ImageRef:
        tagged = self._tagged()
        return tagged[which % len(tagged)]

    def _land(self, flight: Flight) -> None:
        self.flights.remove(flight)
        if flight.outcome is Outcome.DEFERRED:
            self.queue.append(flight.event)
        elif flight.outcome is not None and flight.placement is not None:
            self._heard_as(flight.event.ref, flight.outcome, flight.placement)

    def _heard(self, ref: ImageRef, outcome: Outcome) -> None:
        placement = self._placement(ref)
        if placement is not None:
            self._heard_as(ref, outcome, placement)

    def _heard_as(self, ref: ImageRef, outcome: Outcome, placement: Placement) -> None:
        totals[f"heard {outcome}"] += 1
        version = as_it_is(self.registry, placement.bucket, placement.fingerprint)
        self.watch.heard(ref, outcome, placement, version)

    def _placement(self, ref: ImageRef) -> Placement | None:
        image = self.world.images.get(ref)
        try:
            return None if image is None else place(image, self.accounts[0].publisher.policy)
        except Rejected:
            return None

    def _sweep(self, account: Account) -> dict[ImageRef, Report]:
        post = self._post(account)
        swept = sweep(account.publisher, account.cloud, T0 - timedelta(days=1), None, ENDLESS, queue=post)
        self._look()
        found: dict[ImageRef, Report] = {}
        for report in swept.reports:
            refs = [ref for ref in self.world.images if (ref.owner, ref.identifier) == (report.owner, report.image)]
            found |= dict.fromkeys(refs, report)
            for ref in refs:
                self._heard(ref, report.outcome)
        return found

    def _forward(self, time: timedelta) -> None:
        end = self.registry.clock() + time
        while any(not run.over and run.is_set_up for run in self.runs) and self.registry.clock() < end:
            self.registry.clock.forward(minutes=2)
            for run in self.runs:
                run.beat()
        self.registry.clock.now = max(self.registry.clock.now, end)

    def _packer_step(
        self, run: PackerRun, which: int, *, fails: bool = False, loses: bool = False, tagged: bool = False
    ) -> None:
        if run.over:
            return
        totals["calls of Packer"] += 1
        if not run.is_set_up:
            run.set_up_step()
            return
        going = [name for name, source in run.sources.items() if source.phase in (Phase.REGISTERED, Phase.RUNNING)]
        name = going[which % len(going)]
        source = run.sources[name]
        if source.phase is Phase.REGISTERED:
            run.start(name)
        elif fails:
            run.fail(name)
        elif tagged and not source.tagged:
            self._tag_packers(run, name, source)
        else:
            run.finish(name, lose_reply=loses)

    def _tag_packers(self, run: PackerRun, name: str, source: Source) -> None:
        """The image of a run of Packer carries the contract's tags, written before Packer says DONE."""
        account = next(account for account in self.accounts if str(account.platform) == source.platform)
        tags = {
            "hcp-packer-bucket": BUCKET,
            "hcp-packer-fingerprint": run.fingerprint,
            "hcp-packer-component-type": name,
        }
        (ref,) = self._add(account, (source.region,), tags)
        source.tagged = True
        source.identifier = self.world.images[ref].artifacts[0].external_identifier
        self._emit(ref)

    def _orphans(self, version: Version) -> list[str]:
        """Return the builds of ours that tell their source, and not the version and channel that it belongs to."""
        record = self.registry.model.find_version(version.bucket, version.fingerprint)
        ours = [b for b in (record.builds if record else ()) if MARKER in (b.labels or {}) and not b.packer_run_uuid]
        told = [b for b in ours if b.source_external_identifier == BASE]
        totals["builds with a parent"] += len(told)
        return [b.component_type for b in told if not (b.parent_version_id and b.parent_channel_id)]

    def _made(self) -> list[Made]:
        builds: dict[tuple[str, str], list[ImageRef]] = {}
        for ref, image in self.world.images.items():
            if self._placement(ref) is not None:
                builds.setdefault((image.owner, image.name), []).append(ref)
        return [
            Made(tuple(self.world.images[ref] for ref in refs), placement)
            for refs in builds.values()
            if (placement := self._placement(refs[0])) is not None
        ]


def _of(version: Version, made: Sequence[Made]) -> list[Made]:
    return [build for build in made if build.placement.fingerprint == version.fingerprint]


def none_of(found: list[str]) -> None:
    if found:
        raise AssertionError("\n".join(found))


def expects_tag(platform: Platform, names: str) -> dict[str, str]:
    if platform is Platform.GCE:
        names = names.replace(".", "__").replace(" ", "_")
    return {"hcp-packer-expects": names} if names else {}
