"""Any order, duplication and concurrency of events, crashes and lost replies end in the same registry contents."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from packer_publisher.image import Artifact, ImageRef, Platform
from packer_publisher.labels import OWNER
from packer_publisher.local.registry_switches import Switches
from packer_publisher.policy import BucketPolicy, BucketRule, Policy
from packer_publisher.snapshot import BuildStatus, Version
from tests.simulation.handlers import Handler, run_all
from tests.simulation.registry import ModelRegistry
from tests.simulation.world import World
from tests.switches import survivable

POLICY = Policy(rules=(BucketRule("*", BucketPolicy(create_bucket=True)),))
FIRST, SECOND = "111111111111", "222222222222"
SEEDS = 600
CHUNKS = 12

Held = tuple[str, frozenset[Artifact], str, BuildStatus]
"""What one build holds: platform, artifacts, owner and status."""

TYPES = {
    "first": "amazon-ebs",
    "second": "amazon-ebs.base",
    "azure": "azure-arm",
    "google": "googlecompute",
}
ALL_TYPES = " ".join(TYPES.values())
# A platform is there with its first whole build; where it has several, as AWS has here, they are named.
PLATFORMS = "amazon-ebs amazon-ebs.base azure gce"
STYLES = {  # what the images of each team declare
    "component types on all": dict.fromkeys(TYPES, ALL_TYPES),
    "platforms on all": dict.fromkeys(TYPES, PLATFORMS),
    "the last image only": {"google": PLATFORMS},
    "component types on one image only": {"azure": ALL_TYPES},
    "mixed": {"first": ALL_TYPES, "azure": PLATFORMS, "google": "amazon-ebs amazon-ebs.base azure-arm googlecompute"},
    "not at all": {},
}


def populate(world: World, style: str) -> dict[str, list[ImageRef]]:
    """Add the images of two AWS accounts, one subscription and one project; return them by team."""

    def tags(team: str) -> dict[str, str]:
        found = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "3f2a-77"}
        if team == "second":
            found["hcp-packer-component-type"] = TYPES[team]
        expects = STYLES[style].get(team, "")
        if team == "google":
            expects = expects.replace(".", "__").replace(" ", "_")
        return found | ({"hcp-packer-expects": expects} if expects else {})

    return {
        "first": world.add(Platform.AWS, FIRST, "web", ["eu-west-1", "us-east-1"], tags("first"), age=9),
        "second": world.add(Platform.AWS, SECOND, "base", ["eu-west-1", "eu-north-1", "us-west-2"], tags("second")),
        "azure": world.add(Platform.AZURE, "sub-1", "web", ["westeurope"], tags("azure")),
        "google": world.add(Platform.GCE, "project-1", "web", ["europe-west1-b"], tags("google")),
    }


def contents(version: Version) -> dict[str, Held]:
    """Return what a version holds, without what may differ between two runs (ids and times)."""
    return {
        build.component_type: (build.platform, build.artifacts, build.label(OWNER), build.status)
        for build in version.builds
    }


def reference(world: World, teams: dict[str, list[ImageRef]]) -> dict[str, Held]:
    """Return what the version must hold, taken from the clouds alone."""
    return {
        TYPES[team]: (
            str(refs[0].platform),
            frozenset(artifact for ref in refs for artifact in world.images[ref].artifacts),
            refs[0].owner,
            BuildStatus.DONE,
        )
        for team, refs in teams.items()
    }


def held(version: Version) -> dict[str, frozenset[Artifact]]:
    """Return the artifacts that a version holds, as sets, whichever build of a component type lists them."""
    return {
        name: frozenset(a for build in version.builds if build.component_type == name for a in build.artifacts)
        for name in TYPES.values()
    }


def artifacts(expected: Mapping[str, Held]) -> dict[str, frozenset[Artifact]]:
    """Return the artifacts of what a version must hold."""
    return {name: found for name, (_, found, _, _) in expected.items()}


def play(
    seed: int, switches: Switches | None = None, style: str = ""
) -> tuple[str, World, dict[str, list[ImageRef]], ModelRegistry]:
    """Deliver every event at least once, in a random order, concurrency and with faults; then sweep where it is due."""
    rng = random.Random(seed)
    style = style or rng.choice(sorted(STYLES))
    world, registry = World(), ModelRegistry(switches, seed)
    teams = populate(world, style)
    refs = [ref for refs in teams.values() for ref in refs]
    events = refs + rng.choices(refs, k=rng.randrange(4))
    rng.shuffle(events)
    tags: dict[ImageRef, Mapping[str, str]] = {}
    late_tags = rng.random() < 0.5  # Packer tags region by region, so one region's event may precede another's tags
    for ref in teams["first"] + teams["second"] if late_tags else []:
        tags[ref] = world.images[ref].tags
        world.tag(ref, {})
    while events:  # events come in bursts; what is in one burst is handled concurrently
        arriving = [events.pop() for _ in range(min(len(events), rng.randrange(1, 5)))]
        for ref in arriving:
            world.tag(ref, tags.get(ref, world.images[ref].tags))
        burst = [Handler(world, registry, ref, POLICY) for ref in arriving]
        run_all(burst, rng, crashes=rng.choice((0, 0, 0.1)), losses=rng.choice((0, 0, 0.2)))
        registry.clock.forward(seconds=rng.randrange(120))
    return style, world, teams, registry


# There is no sweep, which mends what stale reads or two builds of one kind have left open; without its compare-and-sets
# only sets can be compared: below, under random settings of everything, and a sweep later.
@pytest.mark.switches(
    read_after_write="fresh",
    duplicate_build_key="component_type",
    platform_resent_same="refuse",
    platform_resent_after_create="refuse",
    updates_after_done="refuse",
)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_any_order_of_events_ends_in_the_same_contents(chunk: int) -> None:
    """What the clouds hold is what the version holds, complete where it was declared, whatever happened on the way."""
    for seed in range(chunk, SEEDS, CHUNKS):
        style, world, teams, registry = play(seed)
        if style == "not at all":
            version = registry.look("web", "3f2a-77")
            assert not version.complete, f"seed {seed}: nothing was declared and nothing was quiet"
            registry.clock.forward(hours=7)
            run_all([Handler(world, registry, refs[0], POLICY) for refs in teams.values()], random.Random(seed))
        registry.lag()
        version = registry.look("web", "3f2a-77")
        assert "v1" == version.name, f"seed {seed}: {style}"
        assert reference(world, teams) == contents(version), f"seed {seed}: {style}"


@pytest.mark.parametrize("chunk", range(4))
def test_any_order_ends_in_the_same_artifacts_whatever_the_registry_does(chunk: int) -> None:
    """Under random settings of everything that is not known of HCP, one quiet sweep later at the latest."""
    for seed in range(chunk, 120, 4):
        switches = survivable(Switches.random(random.Random(seed)))
        _, world, teams, registry = play(seed, switches)
        for _ in range(3):
            registry.clock.forward(hours=7)
            run_all([Handler(world, registry, refs[0], POLICY) for refs in teams.values()], random.Random(seed))
        version = registry.look("web", "3f2a-77")
        assert artifacts(reference(world, teams)) == held(version), f"seed {seed}: {switches}"
        assert version.complete, f"seed {seed}: {switches}"


def test_a_build_that_lacks_a_region_keeps_its_version_open() -> None:
    """Also where nothing was declared and all has been quiet for days; the missing region's event then goes on."""
    world, registry = World(), ModelRegistry()
    teams = populate(world, "not at all")
    europe, america = teams["first"]
    tags = world.images[america].tags
    world.tag(america, {})
    rng = random.Random(1)
    run_all([Handler(world, registry, ref, POLICY) for ref in (europe, *teams["google"])], rng)
    registry.clock.forward(days=2)
    run_all([Handler(world, registry, ref, POLICY) for ref in (europe, *teams["google"])], rng)
    assert not registry.look("web", "3f2a-77").complete
    world.tag(america, tags)
    run_all([Handler(world, registry, america, POLICY)], rng)
    registry.clock.forward(hours=7)
    run_all([Handler(world, registry, america, POLICY)], rng)
    registry.lag()
    version = registry.look("web", "3f2a-77")
    assert version.complete
    assert {"eu-west-1", "us-east-1"} == {a.region for b in version.builds if b.platform == "aws" for a in b.artifacts}


def test_the_undeclared_version_waits_by_the_registrys_clock() -> None:
    """A second image after five hours starts the quiet time anew."""
    world, registry = World(), ModelRegistry()
    teams = populate(world, "not at all")
    rng = random.Random(1)
    run_all([Handler(world, registry, ref, POLICY) for ref in teams["first"]], rng)
    registry.clock.forward(hours=5)
    run_all([Handler(world, registry, teams["google"][0], POLICY)], rng)
    registry.clock.forward(hours=2)
    run_all([Handler(world, registry, teams["first"][0], POLICY)], rng)
    assert not registry.look("web", "3f2a-77").complete
    registry.clock.forward(hours=4)
    run_all([Handler(world, registry, teams["first"][0], POLICY)], rng)
    registry.lag()
    assert registry.look("web", "3f2a-77").complete
    assert datetime(2026, 11, 1, 23, tzinfo=UTC) < registry.clock() < datetime(2026, 11, 1, 23, 59, tzinfo=UTC)
    assert timedelta(0) < registry.clock() - datetime(2026, 11, 1, 12, tzinfo=UTC)
