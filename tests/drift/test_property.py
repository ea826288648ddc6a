"""After a backfill nothing differs; after that exactly what was spoiled does."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from packer_publisher.drift.row import How
from packer_publisher.image import ImageRef, Platform
from packer_publisher.local.registry_switches import Switches
from tests.drift.audit import Audit
from tests.simulation.registry import ModelRegistry
from tests.switches import survivable

REGIONS = ("eu-west-1", "us-east-1", "ap-south-1")
PLACES = {
    Platform.AWS: ("111111111111", "222222222222"), Platform.AZURE: ("sub-1", "sub-2"),
    Platform.GCE: ("project-1", "project-2"),
}  # fmt: skip

TAGS = {"version": {"fingerprint": "f99"}, "bucket": {"bucket": "other"}, "broken": {"bucket": "no name"}}


def populate(audit: Audit, rng: random.Random) -> list[ImageRef]:
    """Add versions of two buckets, each of one to three clouds, each of one owner and on AWS of some regions."""
    refs = []
    for number in range(rng.randint(3, 8)):
        bucket, days = rng.choice(("web", "api")), rng.uniform(3, 300)
        for platform in rng.sample(list(Platform), rng.randint(1, 3)):
            aws = platform is Platform.AWS
            regions = rng.sample(REGIONS, rng.randint(1, 3)) if aws else ["europe-west1-b"]
            owner = rng.choice(PLACES[platform])
            refs += audit.add(f"i{number}-{platform}", bucket, f"f{number}", platform, regions=regions, days=days,
                              owner=owner)  # fmt: skip
    return refs


def spoil(audit: Audit, refs: list[ImageRef], rng: random.Random) -> dict[str, How]:
    """Do something to some of the images; return how each of them then differs."""
    expected: dict[str, How] = {}
    for ref in rng.sample(refs, rng.randint(0, len(refs))):
        deed = rng.choice(("delete", "version", "bucket", "type", "broken", "untag", "disable", "number", "copy"))
        if deed == "delete":
            audit.delete(ref)
            expected[ref.identifier] = How.GONE
        elif deed == "untag":
            audit.world.tag(ref, {})
        elif deed == "disable":
            audit.disable(ref)
            expected[ref.identifier] = How.DISABLED
        elif deed == "number" and ref.platform is Platform.GCE:
            audit.change(ref, identity=(("image_id", "1"),))
            expected[ref.identifier] = How.NUMBER
        elif deed == "copy":  # the build is whole without it
            image = audit.world.images[ref]
            bucket, fingerprint = (image.tags[f"hcp-packer-{key}"] for key in ("bucket", "fingerprint"))
            (new,) = audit.add(f"{image.name}-copy", bucket, fingerprint, ref.platform,
                               regions=[image.artifacts[0].region], days=2, owner=ref.owner_id)  # fmt: skip
            expected[new.identifier] = How.UNREGISTERED
        else:
            audit.retag(ref, **TAGS.get(deed, {"component_type": f"{ref.platform}-thing"}))
            expected[ref.identifier] = How.TAGS
    return expected


@pytest.mark.parametrize("seed", range(60))
def test_exactly_what_was_spoiled_differs(seed: int, tmp_path: Path) -> None:
    """Whatever is not known of HCP Packer."""
    rng = random.Random(seed)
    switches = survivable(Switches.random(random.Random(seed))) if seed % 3 == 2 else None
    audit = Audit(tmp_path, registry=ModelRegistry(switches, seed))
    refs = populate(audit, rng)
    audit.done()
    before = len(audit.registry.log)
    assert {} == audit.differing()
    expected = spoil(audit, refs, rng)
    assert expected == {identifier: row.how for identifier, row in audit.differing().items()}
    assert {"ListBuckets", "ListVersions", "GetVersion"} >= set(audit.registry.log[before:])
