"""The commands that mend a row: of this program, and of the clouds' own tools."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from packer_publisher.image import CLOUDS, DEFAULT_COMPONENT_TYPE, Image, Platform
from packer_publisher.placement import Placement
from packer_publisher.policy import Contract
from packer_publisher.snapshot import Version
from packer_publisher.verdict import NEW_FINGERPRINT
from packer_publisher.wording import shown

WORDS: Mapping[Platform, str] = {platform: word for word, platform in CLOUDS.items()}
"""The words by which commands call the clouds."""

ALLOW = "allow it, or leave it out with --region"


def retire(version: Version) -> str:
    """Return how a version is taken out of use whose images are not what it says."""
    bucket, fingerprint = shown(version.bucket), shown(version.fingerprint)
    if version.complete:
        return f"revoke version {shown(version.name)} of bucket {bucket} in HCP Packer, then {NEW_FINGERPRINT}"
    return f"packer-publisher versions abandon {bucket} {fingerprint}; then {NEW_FINGERPRINT}"


def backfill(platform: Platform, bucket: str, mapping: str = "") -> str:
    """Return the command that brings the images of a bucket into their versions."""
    placed = f" --mapping {_word(mapping)}" if mapping else ""
    return f"packer-publisher backfill {WORDS[platform]} --bucket {_word(bucket)}{placed}"


def publish(image: Image, placement: Placement | None = None) -> str:
    """Return the command that records one image, under a placement that its tags do not tell."""
    ref = image.ref
    match image.platform:
        case Platform.AWS:
            address = f"{ref.region}:{ref.identifier}"
        case Platform.AZURE:
            address = ref.identifier
        case Platform.GCE:
            address = f"projects/{ref.owner_id}/global/images/{ref.identifier}"
    told = f" --bucket {placement.bucket} --fingerprint {placement.fingerprint}" if placement else ""
    return f"packer-publisher publish {_word(address)}{told}"


def tag(image: Image, bucket: str, fingerprint: str, component_type: str, contract: Contract) -> str:
    """Return the command by which a person gives an image the tags of its build."""
    ref, google = image.ref, image.platform is Platform.GCE
    wanted = {"bucket": bucket, "fingerprint": fingerprint}
    if component_type not in (
        DEFAULT_COMPONENT_TYPE[image.platform],
        f"{DEFAULT_COMPONENT_TYPE[image.platform]}.arm64",
    ):
        wanted["component_type"] = component_type.replace(".", "__") if google else component_type
    tags = {contract.keys[name][0]: value.lower() if google else value for name, value in wanted.items()}
    match image.platform:
        case Platform.AWS:
            pairs = " ".join(_word(f"Key={key},Value={value}") for key, value in tags.items())
            return f"aws ec2 create-tags --region {ref.region} --resources {_word(ref.identifier)} --tags {pairs}"
        case Platform.AZURE:
            pairs = " ".join(_word(f"{key}={value}") for key, value in tags.items())
            return f"az tag update --operation Merge --resource-id {_word(ref.identifier)} --tags {pairs}"
        case Platform.GCE:
            pairs = _word(",".join(f"{key}={value}" for key, value in tags.items()))
            where = f"--project {_word(ref.owner_id)} --labels {pairs}"
            return f"gcloud compute images add-labels {_word(ref.identifier)} {where}"


def enable(image: Image) -> str:
    """Return the command that enables a disabled AMI."""
    return f"aws ec2 enable-image --region {image.ref.region} --image-id {_word(image.ref.identifier)}"


def _word(value: str) -> str:
    """Return foreign text as one word of a shell, in one line."""
    return shlex.quote(shown(value, 512))
