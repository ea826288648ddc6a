"""Addresses of images as a person has them at hand: from a console, a manifest, a log line."""

from __future__ import annotations

import re
from collections.abc import Mapping

from packer_publisher.clouds.azure_ids import parse_image_id
from packer_publisher.document import quoted
from packer_publisher.errors import ConfigurationError
from packer_publisher.image import ImageRef, Platform

FORMS = (
    "give an AMI id with --region, or as eu-west-1:ami-0123456789abcdef0; the ARM id of a managed image or of a "
    "gallery image version; a Google image as projects/PROJECT/global/images/NAME, or its name with --project"
)

_REGION = r"[a-z]{2,}(?:-[a-z]+)+-[0-9]{1,2}"
_AMI = r"ami-[0-9a-f]{8}(?:[0-9a-f]{9})?"
_AMI_ID = re.compile(rf"(?:(?P<region>{_REGION})[:/])?(?P<ami>{_AMI})")
_AMI_ARN = re.compile(rf"arn:aws[a-z-]*:ec2:(?P<region>{_REGION}):[0-9]*:image/(?P<ami>{_AMI})")
_PROJECT = r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]"
_NAME = r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?|[0-9]{1,20}"  # a name, or the numeric id
_LINK = re.compile(
    rf"(?:(?:https?:)?//[^/\s]+/)?(?:compute/[a-z0-9]+/)?projects/(?P<project>{_PROJECT})/global/images/(?P<name>{_NAME})"
)
_FAMILY = re.compile(r".*projects/[^/]+/global/images/family/(?P<family>[^/]+)")
_DEFINITION = re.compile(r"/subscriptions/.+/providers/Microsoft\.Compute/galleries/[^/]+/images/[^/]+", re.IGNORECASE)


def read_address(text: str, *, region: str | None, project: str | None, environ: Mapping[str, str]) -> ImageRef:
    """Return the image that a person means.

    ``region`` and ``project`` are the options; where they are not given, AWS_REGION, AWS_DEFAULT_REGION and
    GOOGLE_CLOUD_PROJECT stand in, as for the clouds' own tools. The account of an AMI is left open: the cloud says
    who owns it. Raises ConfigurationError that says which form would do.
    """
    address = text.strip()
    if (ami := _AMI_ARN.fullmatch(address) or _AMI_ID.fullmatch(address)) is not None:
        _refuse_option("--project", project, "a Google image", address)
        return _ami(ami["ami"], ami["region"], region, environ)
    if (link := _LINK.fullmatch(address)) is not None:
        _refuse_option("--region", region, "an AMI", address)
        if project is not None and project != link["project"]:
            raise ConfigurationError(
                f"{quoted(address)} is not in project {quoted(project)}", remedy="leave out --project"
            )
        return ImageRef(Platform.GCE, link["project"], "", link["name"])
    if address.lower().startswith("/subscriptions/"):
        _refuse_option("--region", region, "an AMI", address)
        _refuse_option("--project", project, "a Google image", address)
        return _arm(address.rstrip("/"))
    if (family := _FAMILY.fullmatch(address)) is not None:
        remedy = f"gcloud compute images describe-from-family {family['family']} names its newest image"
        raise ConfigurationError(f"{quoted(address)} is an image family, not an image", remedy=remedy)
    name = re.fullmatch(_NAME, address)
    named = project or (None if region else environ.get("GOOGLE_CLOUD_PROJECT"))
    if name is None or named is None:
        raise ConfigurationError(f"{quoted(address)} is no address of an image", remedy=FORMS)
    _refuse_option("--region", region, "an AMI", address)
    if not re.fullmatch(_PROJECT, named):
        raise ConfigurationError(
            f"{quoted(named)} is no id of a Google project", remedy="give its id, not its name or number"
        )
    return ImageRef(Platform.GCE, named, "", address)


def _ami(ami: str, own: str | None, option: str | None, environ: Mapping[str, str]) -> ImageRef:
    if own and option and own != option:
        raise ConfigurationError(f"{ami} is said to be in {own} and in {option}", remedy="leave out --region")
    region = own or option or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise ConfigurationError(f"{ami} alone does not say its region", remedy=f"give --region, or eu-west-1:{ami}")
    if not re.fullmatch(_REGION, region):
        raise ConfigurationError(f"{quoted(region)} is no AWS region", remedy="write it as in eu-west-1")
    return ImageRef(Platform.AWS, "", region, ami)


def _arm(address: str) -> ImageRef:
    image = parse_image_id(address)
    if image is not None:
        return ImageRef(Platform.AZURE, image.subscription, "", address)
    if _DEFINITION.fullmatch(address):
        remedy = f"name one version: {address}/versions/1.0.0"
        raise ConfigurationError(f"{quoted(address, 512)} is an image definition, not an image", remedy=remedy)
    remedy = (
        "write /subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.Compute/images/NAME, or "
        ".../galleries/GALLERY/images/DEFINITION/versions/1.0.0"
    )
    raise ConfigurationError(f"{quoted(address, 512)} is no ARM id of an image", remedy=remedy)


def _refuse_option(option: str, value: str | None, whose: str, address: str) -> None:
    if value is not None:
        raise ConfigurationError(
            f"{option} is for {whose}, and {quoted(address, 512)} is none", remedy=f"leave out {option}"
        )
