"""When is an AWS build whole? The decision, made from what the regions showed; pure.

Packer makes one image per region and tags them last, one region after the other, when every copy is finished
(hashicorp/packer-plugin-amazon, builder/ebs: AMIRegionCopy ... CreateTags). So an image with its tags may stand
beside siblings that have theirs not yet, and nothing on it says how many there are, unless a tag names the regions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from packer_publisher.clouds.aws_images import Found
from packer_publisher.errors import Rejected
from packer_publisher.image import Artifact, Image, ImageState
from packer_publisher.placement import Placement, place
from packer_publisher.policy import Policy
from packer_publisher.wording import shown

COPY_TIME = timedelta(hours=2)
"""How long an image of the same name without tags holds the build: a copy that Packer has not tagged yet."""

_INTERMEDIARY = re.compile(r"[0-9A-Za-z]{7}")
"""Packer's name for the image that it encrypts or copies and then removes (packer-plugin-amazon: AlphaNum(7))."""

_LIVING = (ImageState.AVAILABLE, ImageState.PENDING)


@dataclass(frozen=True, slots=True)
class View:
    """What could be seen of an account: images, and for regions that were named but are closed, why."""

    found: tuple[Found, ...]
    closed: Mapping[str, str]


def assemble(image: Image, placement: Placement, view: View, policy: Policy, now: datetime) -> Image:
    """Return the image with the artifacts of its siblings, its creation time the oldest of them, ``whole`` decided.

    Siblings have the same owner, name, bucket, fingerprint and component type. With ``placement.regions`` the build is
    whole when each of them shows an available sibling; without, when no image of the same name is pending, or without
    contract tags, and younger than COPY_TIME. (An image that carries none itself was named by a person, on the command
    line: then tags that nobody wrote are not waited for.)

    Images of another name for the same build are rivals; the one whose oldest image is older wins, and ``rival`` names
    it on the other. An image named like Packer's intermediary never counts beside one that is not; where the image
    itself is that intermediary, ``rival`` names the other image whatever the ages, and ``whole`` is False: the build
    is the other one's.
    """
    others = [f.image for f in view.found if f.image.ref != image.ref and f.image.owner == image.owner]
    mates = [other for other in others if other.state in _LIVING and _same_build(other, placement, policy)]
    named = [other for other in mates if other.name != image.name]
    proper = [other for other in named if not _is_intermediary(other)]
    if _is_intermediary(image) and proper:
        final = min(proper, key=_age)
        return replace(
            image,
            whole=False,
            rival=_told(final),
            lacks=f"it looks like the temporary image from which Packer made {_told(final)}",
        )
    siblings = [image, *(m for m in mates if m.name == image.name and m.state is ImageState.AVAILABLE)]
    oldest = min(siblings, key=_age)
    contenders = [
        other for other in (named if _is_intermediary(image) else proper) if other.state is ImageState.AVAILABLE
    ]
    senior = min(contenders, key=_age, default=None)
    lacks = _lacks(image, placement, siblings, others, view.closed, policy, now)
    return replace(
        image,
        artifacts=_artifacts(siblings),
        created_at=oldest.created_at,
        source=_source(image, siblings),
        whole=not lacks,
        lacks="; ".join(lacks),
        rival=_told(senior) if senior is not None and _age(senior) < _age(oldest) else "",
    )


def unmarked(image: Image, policy: Policy) -> bool:
    """Return whether an image says nothing readable of where it belongs (yet)."""
    try:
        return place(image, policy) is None
    except Rejected:
        # Half a contract: all tags of an image are written in one call, so a person is at work on it, or never was.
        # Its own event is rejected with the reason.
        return True


def _same_build(other: Image, placement: Placement, policy: Policy) -> bool:
    try:
        found = place(other, policy)
    except Rejected:
        return False  # rejected, with its reason, by its own event
    return found is not None and (
        found.bucket.casefold(),
        found.fingerprint,
        found.component_type.casefold(),
    ) == (placement.bucket.casefold(), placement.fingerprint, placement.component_type.casefold())


def _lacks(
    image: Image,
    placement: Placement,
    siblings: Sequence[Image],
    others: Sequence[Image],
    closed: Mapping[str, str],
    policy: Policy,
    now: datetime,
) -> list[str]:
    if placement.regions:
        there = {sibling.ref.region for sibling in siblings}
        return [
            f"{region} {closed.get(region, f'has no available image {shown(image.name)} of this build')}"
            for region in sorted(placement.regions)
            if region in closed or region not in there
        ]
    waited_for = [] if unmarked(image, policy) else [other for other in others if unmarked(other, policy)]
    return [
        f"{_told(other)} has the same name and " + ("no readable tags yet" if other in waited_for else "is pending")
        for other in sorted(others, key=_age)
        if other.name == image.name
        and other.state in _LIVING
        and now - other.created_at < COPY_TIME
        and (other in waited_for or (other.state is ImageState.PENDING and _same_build(other, placement, policy)))
    ]


def _artifacts(siblings: Iterable[Image]) -> tuple[Artifact, ...]:
    """Return one artifact per region, sorted; names are unique in a region, so the oldest is the only one."""
    by_region: dict[str, Artifact] = {}
    for sibling in sorted(siblings, key=_age):
        for artifact in sibling.artifacts:
            by_region.setdefault(artifact.region, artifact)
    return tuple(by_region[region] for region in sorted(by_region))


def _source(image: Image, siblings: Iterable[Image]) -> str | None:
    """Return the parent that any of the siblings knows: they are copies of one image."""
    return image.source or next((s.source for s in sorted(siblings, key=_age) if s.source), None)


def _is_intermediary(image: Image) -> bool:
    return _INTERMEDIARY.fullmatch(image.name) is not None


def _age(image: Image) -> tuple[datetime, str, str]:
    return (image.created_at, image.name, image.ref.identifier)


def _told(image: Image) -> str:
    return f"{image.ref.identifier} in {image.ref.region}"
