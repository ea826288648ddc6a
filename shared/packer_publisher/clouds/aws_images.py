"""What DescribeImages says about an AMI, as an Image; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from packer_publisher.errors import CloudTrouble
from packer_publisher.image import Artifact, Image, ImageRef, ImageState, Platform
from packer_publisher.wording import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_ec2.type_defs import ImageAncestryEntryTypeDef, ImageTypeDef

_STATES: Mapping[str, ImageState] = {
    "available": ImageState.AVAILABLE,
    "pending": ImageState.PENDING,
    "transient": ImageState.PENDING,
    "failed": ImageState.FAILED,
    "error": ImageState.FAILED,
    "invalid": ImageState.FAILED,
    "disabled": ImageState.DISABLED,
    "deregistered": ImageState.GONE,
}
_ARCHITECTURES = {"x86_64": "x86_64", "x86_64_mac": "x86_64", "arm64": "arm64", "arm64_mac": "arm64"}
_AMI = re.compile(r"ami-[0-9a-f]{8,32}")


@dataclass(frozen=True, slots=True)
class Found:
    """One AMI as a region showed it.

    ``copied_from`` is the AMI that CopyImage copied, "" where the image was not copied. Only CreateImage records a
    source instance, so a source image without one is a copy (Amazon EC2 user guide, "View AMI source information").
    """

    image: Image
    copied_from: str = ""


def is_ami_id(text: str) -> bool:
    """Return whether a text has the form of an AMI id."""
    return _AMI.fullmatch(text) is not None


def read_image(description: ImageTypeDef, region: str) -> Found:
    """Return one entry of DescribeImages.

    ``whole`` is None for an available image, because only the other regions can tell. ``source`` is the AMI that the
    instance was launched from, which is what Packer calls the source AMI; of a copy only ``gather`` knows it.
    A state that is not known counts as pending: it is asked again. Raises CloudTrouble where a field that every AMI
    has is missing.
    """
    identifier = description.get("ImageId", "")
    created = description.get("CreationDate", "")
    owner = description.get("OwnerId", "")
    try:
        created_at = datetime.fromisoformat(created)
    except ValueError as error:
        raise CloudTrouble(f"{shown(identifier)} has the creation date {shown(created)}, which is none") from error
    if not identifier or not owner or created_at.tzinfo is None:
        raise CloudTrouble(f"AWS region {region} described {shown(identifier or 'an image')} without id, owner or zone")
    state = _STATES.get(description.get("State", ""), ImageState.PENDING)
    source = description.get("SourceImageId", "")
    launched = bool(description.get("SourceInstanceId"))
    image = Image(
        ref=ImageRef(Platform.AWS, owner, region, identifier),
        name=description.get("Name", ""),
        state=state,
        created_at=created_at,
        artifacts=(Artifact(region, identifier),),
        tags={tag.get("Key", ""): tag.get("Value", "") for tag in description.get("Tags", ())},
        architecture=_ARCHITECTURES.get(description.get("Architecture", "")),
        source=(source or None) if launched else None,
        description=description.get("Description", ""),
        whole=None if state is ImageState.AVAILABLE else False,
        lacks="" if state is ImageState.AVAILABLE else f"the image is {state}",
    )
    return Found(image, "" if launched else source)


def read_parent(entries: Sequence[ImageAncestryEntryTypeDef], copy: ImageRef) -> str | None:
    """Return the image that a copy was once built from, given the chain that GetImageAncestry tells, or None.

    The chain names ancestors, not how each came to be. A step into another region can only be a copy, because an
    instance is launched from an AMI of its own region; the copy itself is known to be one. The first step after those
    is the launch that Packer made: its region copies and its renamed or encrypted copies are all made straight from
    the image of the build (hashicorp/packer-plugin-amazon, common/step_ami_region_copy.go).
    """
    by_id = {entry["ImageId"]: entry for entry in entries if "ImageId" in entry}
    region, here = copy.region, by_id.get(copy.identifier)
    copied = True
    for _ in entries:
        if here is None:
            return None
        parent, parent_region = here.get("SourceImageId"), here.get("SourceImageRegion", region)
        if not parent:
            return None
        if not copied and parent_region == region:
            return parent
        copied, region, here = False, parent_region, by_id.get(parent)
    return None
