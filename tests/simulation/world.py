"""A small world of clouds in memory: images that appear, are tagged region by region, and are observed.

It stands in for what the three clouds would answer, not for any code of ours: the real flow runs on top of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from packer_publisher.clouds.aws_gather import View, assemble
from packer_publisher.clouds.aws_images import Found
from packer_publisher.deadline import Deadline
from packer_publisher.errors import CloudTrouble, Forbidden, Trouble
from packer_publisher.image import Artifact, Change, Image, ImageEvent, ImageRef, ImageState, Platform, Scope, Unread
from packer_publisher.placement import Placement
from packer_publisher.policy import Policy

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


class WorldSurvey(WorldCloud):
    """One cloud of the world as a backfill sees it: accounts are scopes, on AWS with their regions."""

    def __init__(self, world: World, platform: Platform, policy: Policy, clock: Callable[[], datetime]) -> None:
        super().__init__(world, platform)
        self._policy = policy
        self._clock = clock
        self.closed: set[str] = set()  # regions that deny access
        self.silent: set[str] = set()  # regions that do not answer
        self.shut: Trouble | None = None  # what every question ends in
        self.unread: list[Unread] = []  # images that are there and cannot be read

    def scopes(self, deadline: Deadline, only: Sequence[str] = ()) -> tuple[Scope, ...]:
        if self.shut is not None:
            raise self.shut
        refs = [ref for ref in self._world.images if ref.platform is self.platform]
        refs = [ref for ref in refs if not only or {ref.region, ref.owner_id} & set(only)]
        return tuple(sorted({Scope(self.platform, ref.owner_id, ref.region) for ref in refs}))

    def survey(
        self, scope: Scope, since: datetime | None, until: datetime | None, *, tagged: bool
    ) -> Iterator[Image | Unread]:
        if scope.region in self.closed:
            raise Forbidden(f"{scope.at} denies access")
        if scope.region in self.silent:
            raise CloudTrouble(f"{scope.at} does not answer")
        yield from (unread for unread in self.unread if unread.scope == scope)
        for image in list(self._world.images.values()):
            within = (since is None or image.created_at >= since) and (until is None or image.created_at < until)
            here = Scope(image.platform, image.ref.owner_id, image.ref.region) == scope
            if here and within and (image.tags or not tagged):
                yield image

    def together(
        self, image: Image, others: Sequence[Image], placement: Placement, closed: Mapping[str, str], /
    ) -> Image:
        if self.platform is not Platform.AWS:
            return image
        view = View(tuple(Found(other) for other in others), closed)
        return assemble(image, placement, view, self._policy, self._clock())


def cloud_of(world: World) -> Callable[[Platform], WorldCloud]:
    """Return the function that opens a cloud of this world."""
    return lambda platform: WorldCloud(world, platform)


def event(ref: ImageRef, number: int = 0, at: datetime = T0) -> ImageEvent:
    """Return the event by which a cloud says that an image was written."""
    return ImageEvent(ref, Change.WRITTEN, at, f"event-{number}")
