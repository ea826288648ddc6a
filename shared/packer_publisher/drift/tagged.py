"""Tagged images that no build of their version lists: what the plan itself says of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from packer_publisher.backfill.asked import Place
from packer_publisher.backfill.prospect import left_to_events
from packer_publisher.backfill.version_items import items_of
from packer_publisher.drift.mending import backfill, publish
from packer_publisher.drift.row import How, Row
from packer_publisher.drift.sighting import Sighting
from packer_publisher.image import Image, ImageState, Platform
from packer_publisher.listing import lists, own_identifier
from packer_publisher.placement import Item, Placement
from packer_publisher.protocols import Survey
from packer_publisher.report import Outcome
from packer_publisher.snapshot import Version
from packer_publisher.standing import ACTIVE, Standing, standings
from packer_publisher.verdict import judge
from packer_publisher.wording import shown


@dataclass(frozen=True, slots=True)
class Gathering:
    """How images become builds: as in a backfill. ``closed`` are regions that could not be listed, ``mapping`` is the
    file by which images are placed besides their tags, "" where there is none.
    """

    place: Place
    clouds: Mapping[Platform, Survey]
    closed: Mapping[str, str]
    now: datetime
    mapping: str = ""

    def items(self, images: Sequence[Image]) -> tuple[Item, ...]:
        """Return the builds that images of one version make."""
        return items_of(images, self.place, self.clouds, self.closed, ())


def image_rows(version: Version, sightings: Sequence[Sighting], gathering: Gathering) -> Iterator[Row]:
    """Yield a row for each tagged image of a version that should be listed by a build of it and is not.

    ``sightings`` are all images that their tags place there. One that is pending, failed or disabled has no business
    in the registry, nor has Packer's intermediary beside the image made from it.
    """
    fit = [(seen, seen.image) for seen in sightings if seen.image and seen.image.state is ImageState.AVAILABLE]
    unlisted = [pair for pair in fit if not any(lists(build, pair[1]) for build in version.builds)]
    items = gathering.items([image for seen, image in fit if not seen.problem]) if unlisted else ()
    for seen, image in unlisted:
        row = row_of(seen, image, version)
        if seen.problem:
            yield row.found(How.UNREGISTERED, seen.problem, seen.remedy)
        elif (index := _index(image, items)) is not None:
            yield row.found(How.UNREGISTERED, *_why(image, index, items, version, gathering))


def row_of(seen: Sighting, image: Image | None, version: Version | None = None) -> Row:
    """Return the row of an image of a cloud; what is wrong is still open."""
    return Row(
        version.bucket if version else "", seen.fingerprint, version.name if version else "",
        seen.component_type, seen.owner.partition(":")[0], seen.owner, " ".join(sorted(seen.regions)),
        own_identifier(image) if image else seen.identifier, image=seen.number,
    )  # fmt: skip


def _index(image: Image, items: Sequence[Item]) -> int | None:
    """Return which of the builds the image is a part of, None where it counts for none."""
    own = set(image.artifacts)
    parts = (i for i, item in enumerate(items) if item.image.owner == image.owner and own & set(item.image.artifacts))
    return next(parts, None)


def _why(image: Image, index: int, items: Sequence[Item], version: Version, gathering: Gathering) -> tuple[str, str]:
    """Return why the image is not in the version, and what to do: the plan's own words where it could not be put in."""
    item, standing = items[index], standings(items, version)[index]
    verdict = judge(items, version, wrote=False)[index]
    if standing is Standing.LISTED:  # its build lists other regions of it
        verdict = judge((Item(image, item.placement),), version, wrote=False)[0]
        return verdict.reason, verdict.remedy
    if version.complete or standing not in ACTIVE or (version.exists and verdict.outcome is Outcome.REJECTED):
        return verdict.reason, verdict.remedy
    if item.image.whole is False and version.exists:
        return verdict.reason or f"its build is not whole: {item.image.lacks}", verdict.remedy or publish(
            image, item.placement if gathering.mapping else None
        )
    return _absence(version), _bring(image, items, item.placement, version, gathering)


def _absence(version: Version) -> str:
    if version.bucket_missing:
        return f"there is no bucket {shown(version.bucket)}"
    return "no build of the version lists it" if version.exists else "there is no such version"


def _bring(image: Image, items: Sequence[Item], placement: Placement, version: Version, gathering: Gathering) -> str:
    """Return the command that brings an image into its version: a backfill leaves alone what may still grow."""
    if left_to_events(items, version, gathering.now):
        command = publish(image, placement if gathering.mapping else None)
    else:
        command = backfill(image.platform, version.bucket, gathering.mapping)
    if version.bucket_missing and not placement.policy.create_bucket:
        return f"create bucket {shown(version.bucket)} in HCP Packer, or set create_buckets: true; then {command}"
    return command
