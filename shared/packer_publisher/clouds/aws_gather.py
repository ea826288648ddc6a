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

    Siblings have the same owner and name, and either the same bucket, fingerprint and component type, or, beside the
    same architecture, the same contract tags: a person who names bucket or fingerprint in place of tags means all
    images of the build, and of an image without contract tags those of the same name that have none either.

    With ``placement.regions`` the build is whole when each of them shows an available sibling; without, when no image
    of the same name is pending, or without contract tags that the image has, and younger than COPY_TIME.

    Images of another name for the same build are rivals; the one whose oldest image is older wins, and ``rival`` names
    it on the other. An image named like Packer's intermediary never counts beside one that is not. Where the image
    itself is that intermediary its state is GONE, whatever EC2 says: Packer is about to remove it, and the build is
    the other image's. It is not whole, either, while a copy of it under another name waits for its tags.
    """
    others = [f.image for f in view.found if f.image.ref != image.ref and f.image.owner == image.owner]
    mates = [
        other
        for other in others
        if other.state in _LIVING and (_same_build(other, placement, policy) or _same_tags(other, image, policy))
    ]
    named = [other for other in mates if other.name != image.name]
    proper = [other for other in named if not is_intermediary(other)]
    if is_intermediary(image) and proper:
        final = min(proper, key=_age)
        return replace(
            image,
            state=ImageState.GONE,
            whole=False,
            lacks=f"it is Packer's intermediary image beside {_told(final)}, which takes its place",
        )
    siblings = [image, *(m for m in mates if m.name == image.name and m.state is ImageState.AVAILABLE)]
    oldest = min(siblings, key=_age)
    contenders = [
        other for other in (named if is_intermediary(image) else proper) if other.state is ImageState.AVAILABLE
    ]
    senior = min(contenders, key=_age, default=None)
    lacks = [
        *_lacks(
            image, placement, siblings, [o for o in others if o.name == image.name], mates, view.closed, policy, now
        ),
        *(_unfinished(image, view.found, policy, now) if is_intermediary(image) else ()),
    ]
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


def is_intermediary(image: Image) -> bool:
    """Return whether an image is named as Packer names the image that it encrypts or copies and then removes.

    People call images ubuntu1, too: the name alone decides nothing.
    """
    return _INTERMEDIARY.fullmatch(image.name) is not None


def _same_tags(other: Image, image: Image, policy: Policy) -> bool:
    """Return whether two images of one name have the same contract tags (none, mostly) and architecture."""
    return (other.name, other.architecture, _contract_tags(other, policy)) == (
        image.name,
        image.architecture,
        _contract_tags(image, policy),
    )


def _contract_tags(image: Image, policy: Policy) -> dict[str, str]:
    keys = {key.casefold() for names in policy.contract.keys.values() for key in names}
    return {key: value for key, value in image.tags.items() if key.casefold() in keys}


def _unfinished(image: Image, found: Iterable[Found], policy: Policy, now: datetime) -> list[str]:
    """Return what holds an intermediary: copies under another name, one of which Packer may be about to tag.

    Every copy knows what was copied, in whatever region (Amazon EC2 API reference, Image.SourceImageId).
    """
    keys = policy.contract.keys["fingerprint"]
    copies = [f.image for f in found if f.copied_from == image.ref.identifier and f.image.owner == image.owner]
    return [
        f"{_told(copy)} is a copy of it under another name and has no fingerprint tag yet"
        for copy in sorted(copies, key=_age)
        if copy.name != image.name
        and copy.state in _LIVING
        and not any(key in copy.tags for key in keys)
        and copy.created_at - image.created_at < COPY_TIME
        and now - copy.created_at < COPY_TIME
    ]


def _lacks(
    image: Image,
    placement: Placement,
    siblings: Sequence[Image],
    namesakes: Sequence[Image],
    mates: Sequence[Image],
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
    # An image without tags was named by a person, on the command line: tags that nobody wrote are not waited for.
    waited_for = [] if unmarked(image, policy) else [other for other in namesakes if unmarked(other, policy)]
    return [
        f"{_told(other)} has the same name and " + ("no readable tags yet" if other in waited_for else "is pending")
        for other in sorted(namesakes, key=_age)
        if other.state in _LIVING
        and now - other.created_at < COPY_TIME
        and (other in waited_for or (other.state is ImageState.PENDING and other in mates))
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


def _age(image: Image) -> tuple[datetime, str, str]:
    return (image.created_at, image.name, image.ref.identifier)


def _told(image: Image) -> str:
    return f"{image.ref.identifier} in {image.ref.region}"
