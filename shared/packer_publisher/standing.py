"""How an image stands to its version: listed, to be filled in, in conflict with another. Pure, a part of the plan."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum, auto

from packer_publisher.expectation import declared
from packer_publisher.image import ImageState
from packer_publisher.labels import OWNER, is_our_build, is_whole
from packer_publisher.listing import lists
from packer_publisher.placement import Item
from packer_publisher.snapshot import Version


class Standing(Enum):
    """How an image stands to its version."""

    LISTED = auto()  # a build lists it: nothing to add
    TO_CREATE = auto()  # its build does not exist yet
    TO_FILL = auto()  # its build exists and is empty
    SIBLING = auto()  # another region of the build that an older image of it stands for
    RIVAL = auto()  # an older image takes precedence
    TAKEN = auto()  # its build holds other images, or belongs to another owner
    FOREIGN = auto()  # Packer's own run holds this component type and is not finished
    FLOODS = auto()  # with its names the version would wait for more than any version consists of
    GONE = auto()  # its cloud said, when asked for the other regions, that the image does not count


ACTIVE = (Standing.TO_CREATE, Standing.TO_FILL)


MOST_DECLARED = 64
"""How many names the images of one version may declare together: each becomes a build or is waited for, and whoever may
tag images could otherwise fill a version without end, sixteen names at a time."""


def standings(items: Sequence[Item], version: Version) -> tuple[Standing, ...]:
    """Return how each image stands, in the order of ``items``.

    Of two for one empty build the older one takes part, the other is a RIVAL, or a SIBLING where both are regions of
    one build (AWS, where only ``gather`` can tell which regions it has).
    """
    stands = [_standing(item, version) for item in items]
    first: dict[str, int] = {}
    for index in sorted(range(len(items)), key=lambda index: seniority(items[index])):
        component_type = items[index].placement.component_type.casefold()
        competes = stands[index] in ACTIVE and not items[index].image.stands_behind
        if competes and (senior := first.setdefault(component_type, index)) != index:
            stands[index] = Standing.SIBLING if are_siblings(items[senior], items[index]) else Standing.RIVAL
    return tuple(stands)


def are_siblings(one: Item, other: Item) -> bool:
    """Return whether two images are regions of one build, as far as they themselves can tell."""
    return (
        other.image.whole is None
        and (one.image.owner, one.image.name) == (other.image.owner, other.image.name)
        and one.placement.component_type.casefold() == other.placement.component_type.casefold()
    )


def seniority(item: Item) -> tuple[datetime, str, str]:
    return (item.image.created_at, item.image.owner, item.image.ref.identifier)


def _standing(item: Item, version: Version) -> Standing:
    if not version.complete and len(declared((item,), version)) > MOST_DECLARED:
        return Standing.FLOODS
    if any(lists(build, item.image) for build in version.builds):
        return Standing.LISTED
    if item.image.state is ImageState.GONE:
        return Standing.GONE
    build = version.build(item.placement.component_type)
    if build is None:
        return Standing.RIVAL if item.image.rival else Standing.TO_CREATE
    if not is_our_build(build):
        return Standing.TAKEN if is_whole(build) else Standing.FOREIGN
    if is_whole(build) or build.label(OWNER) not in ("", item.image.owner):
        return Standing.TAKEN
    return Standing.RIVAL if item.image.rival else Standing.TO_FILL
