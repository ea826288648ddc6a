"""Which build lists which image: identifiers, compared as each cloud means them. Pure, a part of the plan."""

from __future__ import annotations

import re

from packer_publisher.image import Artifact, Image
from packer_publisher.labels import OWNER
from packer_publisher.snapshot import Build

_IN_GROUP = re.compile(r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)/", re.IGNORECASE)


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
    return same_identifier(artifact.external_identifier, own_identifier(image))


def same_identifier(one: str, other: str) -> bool:
    """Return whether two identifiers name the same image; ARM compares its ids without case."""
    return one == other or (other.startswith("/subscriptions/") and one.casefold() == other.casefold())


def canonical_identifier(identifier: str) -> str:
    """Return an identifier in the one spelling in which it is registered and searched for.

    ARM writes the resource group of one and the same image in capitals where it lists it, and as it was typed in an
    event (Azure/azure-rest-api-specs issue 8068); HCP's search may compare exactly. Identifiers of other clouds have
    one spelling.
    """
    found = _IN_GROUP.match(identifier)
    if found is None:
        return identifier
    scope = f"/subscriptions/{found['subscription'].lower()}/resourceGroups/{found['group'].lower()}/"
    return scope + identifier[found.end() :]


def own_identifier(image: Image) -> str:
    """Return what a build lists for this very image: its identifier, or where an address differs, its artifact's."""
    identifiers = {artifact.external_identifier for artifact in image.artifacts}
    if image.ref.identifier in identifiers or not identifiers:
        return image.ref.identifier
    return min(identifiers)


def repeats_identifier(image: Image) -> bool:
    """Return whether the build would list one identifier in several regions (an Azure gallery version)."""
    return len({artifact.external_identifier for artifact in image.artifacts}) < len(image.artifacts)
