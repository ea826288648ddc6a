"""Items, builds and versions made by hand: what the tests of the rules begin with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from packer_publisher.expectation import Quirks
from packer_publisher.image import Artifact, Image, ImageRef, ImageState, Platform
from packer_publisher.labels import own_labels, placeholder_labels
from packer_publisher.placement import Item, Placement
from packer_publisher.policy import BucketPolicy
from packer_publisher.report import Outcome
from packer_publisher.snapshot import Build, BuildStatus, Version
from packer_publisher.verdict import judge

T0 = datetime(2026, 11, 1, 12, tzinfo=UTC)
WEB = ("web", "a1")
QUIRKS = Quirks()
OWNERS = {Platform.AWS: "111111111111", Platform.AZURE: "sub-1", Platform.GCE: "project-1"}
TYPES = {Platform.AWS: "amazon-ebs", Platform.AZURE: "azure-arm", Platform.GCE: "googlecompute"}
REGIONS = {Platform.AWS: "eu-west-1", Platform.AZURE: "westeurope", Platform.GCE: "europe-west1-b"}


def item(
    platform: Platform = Platform.AWS,
    expects: str = "",
    *,
    identifier: str = "",
    owner: str = "",
    whole: bool | None = True,
    age: int = 0,
    rules: BucketPolicy | None = None,
    channels: tuple[str, ...] = (),
) -> Item:
    name = identifier or f"{platform}-image"
    ref = ImageRef(platform, owner or OWNERS[platform], "", name)
    artifacts = (Artifact(REGIONS[platform], name),)
    image = Image(ref, name, ImageState.AVAILABLE, T0 - timedelta(minutes=age), artifacts, whole=whole)
    rules = rules or BucketPolicy()
    names = tuple(sorted(expects.split()))
    return Item(image, Placement(*WEB, TYPES[platform], rules, expects=names, channels=channels))


def build(
    subject: Item,
    status: BuildStatus = BuildStatus.UNSET,
    *,
    full: bool = True,
    owner: bool = True,
    **fields: object,
) -> Build:
    """Return the build of an item as our functions write it, whole or still empty."""
    component_type = subject.placement.component_type
    empty = Build(
        f"build-{component_type}",
        component_type,
        status=status,
        labels=own_labels(subject.image.owner, subject.placement.expects) if owner else placeholder_labels(),
        created_at=T0,
    )
    whole = {"platform": str(subject.image.platform), "artifacts": frozenset(subject.image.artifacts)}
    return replace(empty, **(whole if full else {}), **fields)  # type: ignore[arg-type]


def version(*builds: Build, **fields: object) -> Version:
    base = Version(*WEB, exists=True, name="v0", builds=builds, created_at=T0, read_at=T0 + timedelta(minutes=1))
    return replace(base, **fields)  # type: ignore[arg-type]


def outcome(subject: Item, at: Version, *, wrote: bool = False) -> Outcome:
    (verdict,) = judge((subject,), at, wrote=wrote)
    return verdict.outcome
