"""A small world of clouds in memory: images that appear, are tagged region by region, and are observed.

It stands in for what the three clouds would answer, not for any code of ours: the real flow runs on top of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from packer_publisher.deadline import Deadline
from packer_publisher.image import Artifact, Change, Image, ImageEvent, ImageRef, ImageState, Platform
from packer_publisher.placement import Placement

T0 = datetime(2026, 11, 1, 12, tzinfo=UTC)


@dataclass
class World:
    """The images of all clouds and accounts; ``regions`` says which regions an AWS build (by its name) will have."""

    images: dict[ImageRef, Image] = field(default_factory=dict)

    def add(
        self,
        platform: Platform,
        owner: str,
        name: str,
        regions: Iterable[str],
        tags: dict[str, str],
        *,
        age: int = 0,
    ) -> list[ImageRef]:
        """Add the image or images of one build and return their addresses: on AWS one for each region."""
        regions = list(regions)
        created = T0 - timedelta(minutes=age)
        if platform is Platform.AWS:
            refs = [ImageRef(platform, owner, region, f"ami-{name}-{region}") for region in regions]
            for ref in refs:
                artifacts: tuple[Artifact, ...] = (Artifact(ref.region, ref.identifier),)
                self.images[ref] = Image(
                    ref,
                    name,
                    ImageState.AVAILABLE,
                    created,
                    artifacts,
                    tags=tags,
                    architecture="x86_64",
                    whole=None,
                )
            return refs
        if platform is Platform.AZURE:
            identifier = f"/subscriptions/{owner}/resourceGroups/rg/providers/Microsoft.Compute/images/{name}"
        else:
            identifier = name
        ref = ImageRef(platform, owner, "", identifier)
        artifacts = tuple(Artifact(region, identifier) for region in regions)
        identity = (("image_id", str(abs(hash(name)) % 10**9)),) if platform is Platform.GCE else ()
        self.images[ref] = Image(
            ref, name, ImageState.AVAILABLE, created, artifacts, tags=tags, architecture="x86_64", identity=identity
        )
        return [ref]

    def tag(self, ref: ImageRef, tags: Mapping[str, str]) -> None:
        """Give an image its tags, as Packer does region by region at the end of its run."""
        self.images[ref] = replace(self.images[ref], tags=tags)


class WorldCloud:
    """One cloud of the world, as publishing sees it."""

    def __init__(self, world: World, platform: Platform) -> None:
        self.platform = platform
        self._world = world

    def describe(self, ref: ImageRef, deadline: Deadline) -> Image | None:
        return self._world.images.get(ref)

    def scan(self, since: datetime | None, until: datetime | None, deadline: Deadline) -> Iterator[Image]:
        for image in list(self._world.images.values()):
            within = (since is None or image.created_at >= since) and (until is None or image.created_at < until)
            if image.platform is self.platform and "hcp-packer-fingerprint" in image.tags and within:
                yield image

    def gather(self, image: Image, placement: Placement, deadline: Deadline) -> Image:
        siblings = sorted(
            (other for other in self._world.images.values() if (other.owner, other.name) == (image.owner, image.name)),
            key=lambda other: other.ref.region,
        )
        untagged = [other.ref.region for other in siblings if other.tags != image.tags]
        present = {other.ref.region for other in siblings} - set(untagged)
        absent = [region for region in placement.regions if region not in present] or untagged
        artifacts = tuple(a for other in siblings if other.tags == image.tags for a in other.artifacts)
        lacks = f"region {', '.join(absent)}" if absent else ""
        return replace(image, artifacts=artifacts, whole=not absent, lacks=lacks)


def cloud_of(world: World) -> Callable[[Platform], WorldCloud]:
    """Return the function that opens a cloud of this world."""
    return lambda platform: WorldCloud(world, platform)


def event(ref: ImageRef, number: int = 0, at: datetime = T0) -> ImageEvent:
    """Return the event by which a cloud says that an image was written."""
    return ImageEvent(ref, Change.WRITTEN, at, f"event-{number}")
