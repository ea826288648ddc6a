"""How an image stands to its version: listed, to be filled in, in conflict with another. Pure, a part of the plan."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum, auto

from packer_publisher.expectation import declared
from packer_publisher.image import Artifact, Image, ImageState
from packer_publisher.labels import OWNER, is_our_build, is_whole
from packer_publisher.placement import Item
from packer_publisher.snapshot import Build, Version


class Standing(Enum):
    """How an image stands to its version."""

    LISTED = auto()  # a build lists it: nothing to add
    TO_CREATE = auto()  # its build does not exist yet
    TO_FILL = auto()  # its build exists and is empty
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

    Of two for one empty build the older one takes part, the other is a RIVAL.
    """
    stands = [_standing(item, version) for item in items]
    first: dict[str, int] = {}
    for index in sorted(range(len(items)), key=lambda index: seniority(items[index])):
        component_type = items[index].placement.component_type.casefold()
        competes = stands[index] in ACTIVE and not items[index].image.stands_behind
        if competes and first.setdefault(component_type, index) != index:
            stands[index] = Standing.RIVAL
    return tuple(stands)


def lists(build: Build, image: Image) -> bool:
    """Return whether a build lists the image.

    Identifiers are compared without case on Azure (ARM changes the casing of resource groups). A Google image is its
    name and its number together, because a name can be given again; a build that carries no number (Packer's own)
    is taken at its word. An image that only stands behind another is listed with that one.
    """
    if image.stands_behind and build.label(OWNER) == image.owner and build.platform:
        return all(build.label(key).casefold() == value.casefold() for key, value in image.stands_behind)
    return any(artifact_matches(artifact, image) for artifact in build.artifacts) and all(
        build.label(key) in ("", value) for key, value in image.identity
    )


def artifact_matches(artifact: Artifact, image: Image) -> bool:
    """Return whether an artifact of a build carries the image's own identifier."""
    wanted = own_identifier(image)
    return artifact.external_identifier == wanted or (
        wanted.startswith("/subscriptions/") and artifact.external_identifier.casefold() == wanted.casefold()
    )


def own_identifier(image: Image) -> str:
    """Return what a build lists for this very image: its identifier, or where an address differs, its artifact's."""
    identifiers = {artifact.external_identifier for artifact in image.artifacts}
    if image.ref.identifier in identifiers or not identifiers:
        return image.ref.identifier
    return min(identifiers)


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
