"""The images of one version, as the plan takes them: the regions of a build together, and all parts declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from packer_publisher.backfill.asked import Place
from packer_publisher.image import Image, ImageRef, ImageState, Platform
from packer_publisher.placement import Item, Placement
from packer_publisher.protocols import Survey


def items_of(
    images: Sequence[Image],
    place: Place,
    clouds: Mapping[Platform, Survey],
    closed: Mapping[str, str],
    expects: Sequence[str],
) -> tuple[Item, ...]:
    """Return one item for each build that the images make, the oldest first.

    Each declares the component types of all of them, besides what tags, configuration and ``expects`` say: a backfill
    has seen them. ``closed`` are regions that could not be listed. An image that only stands in for another (Packer's
    intermediary AMI) is left out.
    """
    placed = [(image, placement) for image in images if (placement := place(image)) is not None]
    builds: dict[tuple[str, ...], list[tuple[Image, Placement]]] = {}
    for image, placement in sorted(placed, key=lambda pair: _age(pair[0])):
        own = (image.name,) if image.whole is None else (image.ref.region, image.ref.identifier)
        builds.setdefault((image.owner, placement.component_type.casefold(), *own), []).append((image, placement))
    items = []
    for regions in builds.values():
        (image, placement), others = regions[0], [other for other, _ in placed if other is not regions[0][0]]
        placement = _united(placement, [other for _, other in regions[1:]])
        if image.whole is None:
            image = clouds[image.platform].together(image, others, placement, closed)
        if image.state is not ImageState.GONE:
            items.append(Item(image, placement))
    types = {item.placement.component_type for item in items}
    return tuple(_declaring(item, (*types, *expects)) for item in items)


def refs_of(items: Sequence[Item], images: Sequence[Image], place: Place) -> tuple[ImageRef, ...]:
    """Return the images by which a function finds the builds of a version: one of each, the others it gathers itself.

    Besides, those regions of a build whose tags ask for channels that the first one's do not.
    """
    first = {item.image.ref for item in items}
    builds = {(item.image.owner, item.placement.component_type.casefold()) for item in items}
    asked: dict[tuple[str, str], set[str]] = {}
    refs = []
    for image in sorted(images, key=lambda found: (found.ref not in first, _age(found))):
        placement = place(image)
        build = (image.owner, placement.component_type.casefold()) if placement is not None else ("", "")
        if placement is None or build not in builds:
            continue
        said = asked.setdefault(build, set())
        if image.ref in first or not said.issuperset(placement.channels):
            refs.append(image.ref)
        said.update(placement.channels)
    return tuple(refs)


def _declaring(item: Item, names: Sequence[str]) -> Item:
    return replace(item, placement=replace(item.placement, expects=_distinct((*item.placement.expects, *names))))


def _united(placement: Placement, others: Sequence[Placement]) -> Placement:
    """Return the placement of a build whose regions were tagged one by one: each may say more than the oldest."""
    everything = (placement, *others)
    return replace(
        placement,
        expects=_distinct([name for one in everything for name in one.expects]),
        channels=_distinct([name for one in everything for name in one.channels]),
    )


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names sorted, each once, compared without case; which spelling stays does not depend on the order."""
    by_fold: dict[str, str] = {}
    for name in sorted(names):
        by_fold.setdefault(name.casefold(), name)
    return tuple(by_fold[fold] for fold in sorted(by_fold))


def _age(image: Image) -> tuple[object, str, str, str]:
    return (image.created_at, image.owner, image.ref.region, image.ref.identifier)
