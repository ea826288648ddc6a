"""The backfill against the naive loop, in calls, time and memory: ``make bench-backfill``.

Exits with 1 where a figure misses its limit. The registry is a process of its own that waits 50 ms before each answer;
the images are generated, three to a version, one in each cloud. The naive loop takes one image at a time and makes its
four calls: look the version up, create it, create the build, fill it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

from packer_publisher.backfill.asked import Asked
from packer_publisher.backfill.beginning import claim
from packer_publisher.backfill.journal import Journal
from packer_publisher.backfill.run import Backfill
from packer_publisher.deadline import Deadline
from packer_publisher.errors import RegistryRefused
from packer_publisher.image import Artifact, Image, ImageRef, ImageState, Platform, Scope, Unread
from packer_publisher.placement import Item, Placement, place
from packer_publisher.policy import BucketPolicy, BucketRule, Policy
from packer_publisher.publish import Publisher
from packer_publisher.registry import HCPPacker
from packer_publisher.snapshot import BuildStatus
from packer_publisher.steps import CreateBuild, FillBuild
from tests.bench.registry_process import Remote, remote_registry

LATENCY, WORKERS = 0.050, 16
BUCKETS, VERSIONS, NAIVE = 64, 6, 20
POLICY = Policy(rules=(BucketRule("*", BucketPolicy(create_bucket=True)),))
OLDEST = datetime(2024, 1, 1, tzinfo=UTC)
OWNERS = {Platform.AWS: "111111111111", Platform.AZURE: "sub-1", Platform.GCE: "project-1"}
REGIONS = {Platform.AWS: "eu-west-1", Platform.AZURE: "westeurope", Platform.GCE: "europe-west1-b"}
APART = ("CreateBucket", "ListBuckets", "GetChannel", "CreateChannel", "UpdateChannel")
"""What the limit of calls per image leaves out, beside the one read by which a completion is confirmed."""


class Generated:
    """A cloud whose images are made while they are listed."""

    def __init__(self, platform: Platform, buckets: Sequence[str], versions: int) -> None:
        self.platform = platform
        self._buckets = buckets
        self._versions = versions

    def scopes(self, deadline: Deadline, only: Sequence[str] = ()) -> tuple[Scope, ...]:
        """Return the one scope there is."""
        region = REGIONS[self.platform] if self.platform is Platform.AWS else ""
        return (Scope(self.platform, OWNERS[self.platform], region),)

    def survey(
        self, scope: Scope, since: datetime | None, until: datetime | None, *, tagged: bool
    ) -> Iterator[Image | Unread]:
        """Yield all images, the newest versions first."""
        for version in reversed(range(self._versions)):
            for bucket in self._buckets:
                yield self.image(scope, bucket, version)

    def image(self, scope: Scope, bucket: str, version: int) -> Image:
        """Return one image."""
        name = f"{bucket}-{version}"
        tags = {"hcp-packer-bucket": bucket, "hcp-packer-fingerprint": f"f{version}", "team": "platform" * 4}
        identifier = {
            Platform.AWS: f"ami-{name}",
            Platform.AZURE: f"/subscriptions/sub-1/resourceGroups/rg/providers/Microsoft.Compute/images/{name}",
            Platform.GCE: name,
        }[self.platform]
        return Image(
            ImageRef(self.platform, scope.owner_id, scope.region, identifier), name, ImageState.AVAILABLE,
            OLDEST + timedelta(hours=version), (Artifact(REGIONS[self.platform], identifier),), tags, "x86_64",
        )  # fmt: skip

    def together(
        self, image: Image, others: Sequence[Image], placement: Placement, closed: Mapping[str, str], /
    ) -> Image:
        """Return the image: each build has one region."""
        return image


def clouds(prefix: str, buckets: int, versions: int) -> dict[Platform, Generated]:
    """Return three clouds with the same buckets and versions."""
    names = [f"{prefix}-{number:03}" for number in range(buckets)]
    return {platform: Generated(platform, names, versions) for platform in Platform}


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: images, wall time, and the calls that the registry counted."""

    images: int
    seconds: float
    calls: Counter[str]

    @property
    def per_second(self) -> float:
        """Return images per second."""
        return self.images / self.seconds


def backfill(remote: Remote, found: Mapping[Platform, Generated], journal: Journal) -> Measured:
    """Run a backfill to its end."""
    asked = Asked(tuple(str(platform) for platform in Platform))
    with HCPPacker.from_environment(remote.environment) as registry:
        run = Backfill(
            journal, asked, POLICY, lambda image: place(image, POLICY), found, registry,
            lambda: Publisher(POLICY, lambda: registry, lambda _: _no_cloud()), WORKERS,
        )  # fmt: skip
        remote.counts()
        began = time.monotonic()
        claim(journal, (scope for cloud in found.values() for scope in cloud.scopes(Deadline.after(1))))
        run.list_clouds(lambda *_: None)
        run.look()
        problem = run.write()
        seconds = time.monotonic() - began
    if problem:
        raise SystemExit(f"the backfill did not come to its end: {problem}")
    return Measured(sum(images for _, _, images in journal.scopes().values()), seconds, remote.counts())


def naive(remote: Remote, found: Mapping[Platform, Generated]) -> Measured:
    """Take one image at a time and make its four calls."""
    images = 0
    with HCPPacker.from_environment(remote.environment) as registry:
        (bucket,) = {name for cloud in found.values() for name in cloud._buckets}
        registry.create_bucket(bucket, "", (), Deadline.after(10))
        remote.counts()
        began = time.monotonic()
        for cloud in found.values():
            (scope,) = cloud.scopes(Deadline.after(1))
            for image in cloud.survey(scope, None, None, tagged=True):
                placement = place(image, POLICY) if isinstance(image, Image) else None
                if isinstance(image, Image) and placement is not None:
                    _four_calls(registry, Item(image, placement))
                    images += 1
        seconds = time.monotonic() - began
    return Measured(images, seconds, remote.counts())


def _four_calls(registry: HCPPacker, item: Item) -> None:
    image, placement = item.image, item.placement
    deadline, address = Deadline.after(60), (placement.bucket, placement.fingerprint)
    registry.get_version(*address, deadline)
    try:
        registry.create_version(*address, "HCL2", deadline)
    except RegistryRefused as refused:
        if refused.code != 6:
            raise
    build = registry.create_build(CreateBuild(*address, placement.component_type, ()), deadline)
    step = FillBuild(
        *address, build.id, build.component_type, BuildStatus.UNSET, str(image.platform), image.artifacts, ()
    )
    registry.update_build(step, deadline)


def _no_cloud() -> NoReturn:
    raise RuntimeError("a backfill asks no cloud after its survey")


def memory(images: int) -> int:
    """Return the peak memory of listing, looking and summing up so many images in a process of its own, in bytes."""
    command = [sys.executable, "-m", "tests.bench.backfill_memory", str(images)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout)


def report(what: str, value: float, limit: float, *, least: bool = False) -> bool:
    """Print a figure beside its limit; return whether it holds."""
    holds = value >= limit if least else value <= limit
    word = "at least" if least else "at most"
    sys.stdout.write(f"  {what:<58} {value:8.2f}   {word} {limit:g}{'' if holds else '   MISSED'}\n")
    return holds


def main() -> None:
    """Measure, print, and exit with 1 where a limit is missed."""
    sys.stdout.write(
        f"{BUCKETS} buckets, {VERSIONS} versions each, 3 images per version; {LATENCY * 1000:.0f} ms per answer, "
        f"{WORKERS} workers\n"
    )
    with remote_registry(LATENCY) as remote, tempfile.TemporaryDirectory() as folder:
        slow = naive(remote, clouds("naive", 1, NAIVE))
        found = clouds("web", BUCKETS, VERSIONS)
        first_journal = Journal(Path(folder) / "first.sqlite")
        first = backfill(remote, found, first_journal)
        known = backfill(remote, found, first_journal)
        second = backfill(remote, found, Journal(Path(folder) / "second.sqlite"))
    versions = BUCKETS * VERSIONS
    counted = sum(first.calls.values()) - sum(first.calls[name] for name in APART) - versions
    ideal = sum(first.calls.values()) * LATENCY / WORKERS
    sys.stdout.write(
        f"  naive: {slow.images} images in {slow.seconds:.1f} s; backfill: {first.images} images in "
        f"{first.seconds:.1f} s, {sum(first.calls.values())} calls\n"
    )
    small, large = memory(10_000), memory(100_000)
    sys.stdout.write(f"  peak memory: {small / 2**20:.0f} MiB at 10,000 images, {large / 2**20:.0f} MiB at 100,000\n")
    held = [
        report("images per second, times the naive loop's", first.per_second / slow.per_second, 15, least=True),
        report("calls per image on a first run", counted / first.images, 2.7),
        report("calls for what the journal knows (beside ListBuckets)", _without_list(known), 0),
        report("calls per image on a second run without journal", _without_list(second) / second.images, 0.4),
        report("wall time, times calls x latency / workers", first.seconds / ideal, 1.3),
        report("peak memory at 100,000 images, times that at 10,000", large / small, 1.3),
    ]
    if not all(held):
        sys.exit(1)


def _without_list(run: Measured) -> int:
    return sum(run.calls.values()) - run.calls["ListBuckets"]


if __name__ == "__main__":
    main()
