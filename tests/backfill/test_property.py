"""One backfill of a world ends where any order of that world's events ends."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from packer_publisher.labels import EXPECTS
from packer_publisher.local.registry_switches import Switches
from packer_publisher.snapshot import Version
from tests.backfill.account import Estate
from tests.simulation.registry import ModelRegistry
from tests.simulation.test_order_freedom import POLICY, STYLES, contents, play
from tests.simulation.world import World
from tests.switches import survivable

DECLARED = sorted(set(STYLES) - {"not at all"})


def labels(version: Version) -> dict[str, dict[str, str]]:
    """Return every build's labels but what it declares: a backfill has seen all parts, and names them besides."""
    return {
        build.component_type: {key: value for key, value in build.labels if not key.startswith(EXPECTS)}
        for build in version.builds
    }


def backfilled(seed: int, switches: Switches | None, style: str, folder: Path) -> tuple[World, Version, Version]:
    """Return a world, what its events came to, and what a backfill of it comes to, both in registries alike."""
    _, world, teams, events = play(seed, switches, style)
    registry = ModelRegistry(switches, seed)
    registry.clock.forward(hours=7)  # what is younger than the quiet time is left to the events
    (entry,) = Estate(folder, world, registry, POLICY).done()
    assert ("completed", "v1", len(teams)) == (entry.outcome, entry.name, len({i.owner for i in world.images.values()}))
    return world, events.look("web", "3f2a-77"), registry.look("web", "3f2a-77")


@pytest.mark.switches(duplicate_build_key="component_type")  # else two writers make one build each
@pytest.mark.parametrize("style", DECLARED)
@pytest.mark.parametrize("seed", range(8))
def test_a_backfill_ends_where_any_order_of_events_does(seed: int, style: str, tmp_path: Path) -> None:
    """The same builds, artifacts, owners and labels."""
    _, delivered, found = backfilled(seed, None, style, tmp_path)
    assert contents(delivered) == contents(found)
    assert labels(delivered) == labels(found)


@pytest.mark.parametrize("style", DECLARED)
@pytest.mark.parametrize("seed", range(12))
def test_it_does_so_whatever_the_registry_does(seed: int, style: str, tmp_path: Path) -> None:
    """Under random settings of what is not known of HCP the version holds every image, and is complete."""
    world, _, found = backfilled(seed, survivable(Switches.random(random.Random(seed))), style, tmp_path)
    wanted = {artifact for image in world.images.values() for artifact in image.artifacts}
    assert wanted == {artifact for build in found.builds for artifact in build.artifacts}
