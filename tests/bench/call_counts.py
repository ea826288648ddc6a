"""Registry calls per event, by scenario: ``make bench-calls`` prints them, a test holds them to their limits."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from packer_publisher.deadline import Deadline
from packer_publisher.image import Artifact, Change, ImageEvent, ImageRef, Platform
from packer_publisher.policy import BucketPolicy
from packer_publisher.publish import Publisher
from tests.publishing import Service, service
from tests.registered import register
from tests.switches import catch_up, setting

TYPES = "amazon-ebs azure-arm googlecompute"
PLATFORMS = "aws azure gce"
CLOUDS = {
    "aws": (Platform.AWS, "111111111111", ("eu-west-1", "us-east-1")),
    "azure": (Platform.AZURE, "sub-1", ("westeurope",)),
    "gce": (Platform.GCE, "project-1", ("europe-west1-b",)),
}


@dataclass(frozen=True, slots=True)
class Count:
    """One measured scenario; ``limit`` is what the design promises at most."""

    scenario: str
    limit: int
    calls: int
    outcome: str

    @property
    def missed(self) -> bool:
        """Return whether it cost more; what calls HCP at all may cost more where HCP is otherwise than expected."""
        return self.calls > self.limit + (of_reads_behind() + of_refused_done() if self.limit else 0)


def of_reads_behind() -> int:
    """Return what reads that are behind a write may cost in one event.

    Each leads to a write that is refused, and to another read. An event reads after its writes at most twice; where
    UNSET -> DONE is refused, it does so again for each of the two steps that this takes.
    """
    if setting().read_after_write == "fresh":
        return 0
    return 2 * 2 if setting().unset_to_done == "accept" else 2 * 4


def of_refused_done() -> int:
    """Return what it may cost in one event that builds must be RUNNING before they are DONE.

    A process finds that out by two refusals, looking again after each, at latest too where nothing was declared. What
    it has to fill then waits for all the others, and the last event of three sets them all RUNNING, then DONE.
    """
    return 0 if setting().unset_to_done == "accept" else 2 * 3 + 2 + 3 * 2


class Scenario:
    """A bucket that exists, three clouds' images with one declaration, and a process for each cloud."""

    def __init__(self, at: Service, expects: str = "", rules: BucketPolicy | None = None, **tags: str) -> None:
        self.at = at
        self.images: dict[str, list[ImageRef]] = {}
        self.functions: dict[str, Publisher] = {}
        for cloud, (platform, owner, regions) in CLOUDS.items():
            names = expects.replace(".", "__").replace(" ", "_") if platform is Platform.GCE else expects
            contract = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "a1", **tags}
            contract |= {"hcp-packer-expects": names} if names else {}
            self.images[cloud] = at.world.add(platform, owner, f"web-{cloud}", regions, contract)
            self.functions[cloud] = at.function(rules)

    def count(self, scenario: str, limit: int, cloud: str, region: int = 0) -> Count:
        """Deliver one event and return what it cost."""
        report, calls = self.at.deliver(self.functions[cloud], self.images[cloud][region])
        return Count(scenario, limit, calls, str(report.outcome))


def measure() -> Iterator[Count]:
    """Run every scenario against a fresh registry and yield what it cost."""
    yield from _not_ours()
    yield from _same_component_types()
    yield from _one_read_more()
    yield from _by_platform()
    yield from _undeclared()
    yield from _not_yet_whole()
    yield from _buckets()
    yield from _ancestry()
    yield from _departures()


def _not_ours() -> Iterator[Count]:
    with service() as at:
        (foreign,) = at.world.add(Platform.GCE, "project-1", "other", ["europe-west1-b"], {"team": "a"})
        report, calls = at.deliver(at.function(), foreign)
        yield Count("image not ours", 0, calls, str(report.outcome))


def _same_component_types() -> Iterator[Count]:
    with service() as at:
        at.bucket()
        run = Scenario(at, TYPES)
        yield run.count("same component types: first, two other placeholders", 4 + 2, "aws")
        yield run.count("a repeated event", 1, "aws")
        yield run.count("another region of a whole build", 1, "aws", region=1)
        yield run.count("same component types: further, its placeholder stands", 2, "azure")
        version = at.registry.model.get_version("web", "a1")["version"]
        (empty,) = [build["id"] for build in version["builds"] if build["component_type"] == "googlecompute"]
        at.registry.model.delete_build("web", "a1", empty)
        yield run.count("same component types: further, no placeholder", 3, "gce")
        yield run.count("a repeated event, version complete", 1, "gce")


def _one_read_more() -> Iterator[Count]:
    with service() as at:
        at.bucket()
        run = Scenario(at, TYPES, BucketPolicy(channels=("staging",)), **{"hcp-packer-channels": "staging"})
        yield run.count("same component types, channels asked for: first", 4 + 2 + 1, "aws")
        yield run.count("same component types, channels asked for: further", 2 + 1, "azure")
    with service() as at:
        at.bucket()
        run = Scenario(at, TYPES)
        (azure,) = run.images["azure"]
        at.world.tag(azure, {**at.world.images[azure].tags, "hcp-packer-expects": "amazon-ebs azure-arm"})
        yield run.count("differing component types: first", 4 + 2, "aws")
        yield run.count("differing component types: further", 2 + 1, "azure")


def _by_platform() -> Iterator[Count]:
    with service() as at:
        at.bucket()
        run = Scenario(at, PLATFORMS)
        yield run.count("by platform: first", 5, "aws")
        yield run.count("by platform: further", 4, "azure")
        yield run.count("by platform: the finishing one, three held", 4 + 3 + 1, "gce")


def _undeclared() -> Iterator[Count]:
    with service() as at:
        at.bucket()
        run = Scenario(at)
        yield run.count("undeclared: first", 5, "aws")
        yield run.count("undeclared: further", 4, "azure")
        yield run.count("undeclared: repeated", 1, "azure")
        at.clock.forward(hours=7)
        run.functions["azure"] = at.function()  # another process, with a token of that time
        yield run.count("undeclared: finishing after the quiet time, two held", 1 + 1 + 2 + 1, "azure")


def _not_yet_whole() -> Iterator[Count]:
    with service() as at:
        at.bucket()
        run = Scenario(at, PLATFORMS)
        tags = at.world.images[run.images["aws"][1]].tags
        at.world.tag(run.images["aws"][1], {})
        yield run.count("not yet whole: first", 3, "aws")
        yield run.count("not yet whole: further", 1, "aws")
        at.world.tag(run.images["aws"][1], tags)
        yield run.count("not yet whole: its last region", 4, "aws", region=1)


def _buckets() -> Iterator[Count]:
    rules = BucketPolicy(create_bucket=True, description="Web", labels=(("team", "a"),))
    with service() as at:
        run = Scenario(at, TYPES, rules)
        yield run.count("same component types: first, in a new bucket", 4 + 2 + 2, "aws")
    with service() as at:
        at.bucket(description="Web", labels={"team": "a", "other": "b"})
        run = Scenario(at, TYPES, rules)
        yield run.count("first, in a bucket that configuration describes", 4 + 2 + 1, "aws")
        yield run.count("the same process again", 1, "aws")
    with service() as at:
        at.bucket(description="old")
        run = Scenario(at, TYPES, rules)
        yield run.count("first, in a described bucket that changed", 4 + 2 + 2, "aws")


def _ancestry() -> Iterator[Count]:
    with service() as at:
        at.bucket()
        register(at.registry.model, "azure", Artifact("westeurope", "base-1"), channels=("production",))
        azure = Scenario(at, TYPES, None, **{"hcp-packer-source-image": "base-1"})
        yield azure.count("its source has a parent: first, two other placeholders", 4 + 2 + 2, "azure")
        yield azure.count("its source has a parent: a repeated event", 1, "azure")
        yield azure.count("its source is not registered: further, its placeholder stands", 2 + 1, "gce")
        (again,) = at.world.add(
            Platform.AZURE,
            "sub-1",
            "web-again",
            ["westeurope"],
            {**at.world.images[azure.images["azure"][0]].tags, "hcp-packer-fingerprint": "a2"},
        )
        report, calls = at.deliver(azure.functions["azure"], again)
        yield Count("its source has a parent that the process knows: first", 4 + 2, calls, str(report.outcome))


def _departures() -> Iterator[Count]:
    """Count what a deletion costs: nothing under ``ignore``, else one search, and what its versions need."""
    revoke = BucketPolicy(on_delete="revoke")
    with service() as at:
        at.bucket()
        run = Scenario(at, "azure-arm")
        run.count("", 5, "azure")
        (azure,) = run.images["azure"]
        del at.world.images[azure]
        at.clock.forward(minutes=10)  # by then searches and reads know of it, if they lag
        catch_up(at.registry.model, "web", "a1")
        yield _deleted(at, at.function(), azure, "deleted, on_delete: ignore", 0)
        stranger = ImageRef(Platform.AZURE, "sub-1", "", "other")
        yield _deleted(at, at.function(revoke), stranger, "deleted, on_delete: revoke: not registered", 1)
        yield _deleted(at, at.function(revoke), azure, "deleted, on_delete: revoke: the last image of its version", 3)
        yield _deleted(at, at.function(revoke), azure, "deleted, on_delete: revoke: a repeated event", 2)
    with service() as at:
        at.bucket()
        run = Scenario(at, PLATFORMS)
        run.count("", 5, "azure")
        (azure,) = run.images["azure"]
        del at.world.images[azure]
        at.clock.forward(minutes=10)  # by then searches and reads know of it, if they lag
        catch_up(at.registry.model, "web", "a1")
        yield _deleted(at, at.function(revoke), azure, "deleted, on_delete: revoke: of an open version", 3)


def _deleted(at: Service, function: Publisher, ref: ImageRef, scenario: str, limit: int) -> Count:
    """Deliver the event of a deletion five minutes ago; return what it cost."""
    before = at.registry.requests.count()
    time = at.clock() - timedelta(minutes=5)
    report = function.on_event(ImageEvent(ref, Change.DELETED, time, "event-1"), Deadline.after(30))
    return Count(scenario, limit, at.registry.requests.count() - before, str(report.outcome))


def main() -> int:
    """Print the table; exit status 1 where a limit is missed."""
    counts = list(measure())
    width = max(len(count.scenario) for count in counts)
    for count in counts:
        mark = "  MISSED" if count.missed else ""
        sys.stdout.write(f"{count.scenario:<{width}}  {count.calls:>2} of {count.limit:>2}  {count.outcome}{mark}\n")
    return 1 if any(count.missed for count in counts) else 0


if __name__ == "__main__":
    sys.exit(main())
