"""The two kinds of ARM ids that name machine images, and Azure's spelling of regions.

ARM compares ids without case and returns them in changing case (Microsoft.Compute writes the resource group of a
managed image in upper case: Azure/azure-rest-api-specs issue 8068; Event Grid's own samples show both
``resourcegroups`` and ``resourceGroups``), so everything here is read without case and kept as it was spelled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from packer_publisher.listing import canonical_identifier

_GROUP = (
    r"/subscriptions/(?P<subscription>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
    r"/resourceGroups/(?P<group>[\w().-]{0,89}[\w()-])"
)
_NAME = r"[a-z0-9_](?:[a-z0-9_.-]{0,79})"
_MANAGED = re.compile(rf"{_GROUP}/providers/Microsoft\.Compute/images/(?P<name>{_NAME})", re.IGNORECASE)
_VERSION = re.compile(
    rf"{_GROUP}/providers/Microsoft\.Compute/galleries/(?P<gallery>{_NAME})"
    rf"/images/(?P<definition>{_NAME})/versions/(?P<version>[0-9]+\.[0-9]+\.[0-9]+)",
    re.IGNORECASE,
)
_TAGS = "/providers/microsoft.resources/tags/default"


@dataclass(frozen=True, slots=True)
class ManagedImageId:
    """The id of a managed image, each part as it was spelled; ``subscription`` in lower case."""

    spelled: str
    subscription: str
    group: str
    name: str

    @property
    def artifact(self) -> str:
        """Return the id in the one spelling in which it is registered: the words between the names as Microsoft
        documents them and Packer writes them, the resource group in lower case.

        Events and lists spell them otherwise, and HCP Packer's search by image may compare exactly.
        """
        return canonical_identifier(
            f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
            f"/providers/Microsoft.Compute/images/{self.name}"
        )


@dataclass(frozen=True, slots=True)
class GalleryVersionId:
    """The id of a gallery image version, each part as it was spelled; ``subscription`` in lower case."""

    spelled: str
    subscription: str
    group: str
    gallery: str
    definition: str
    version: str

    @property
    def artifact(self) -> str:
        """Return the id as Packer registers it, as that of a managed image."""
        return canonical_identifier(
            f"/subscriptions/{self.subscription}/resourceGroups/{self.group}/providers/Microsoft.Compute"
            f"/galleries/{self.gallery}/images/{self.definition}/versions/{self.version}"
        )

    @property
    def name(self) -> str:
        """Return the version as a person would name it: gallery, definition and number."""
        return f"{self.gallery}/{self.definition}/{self.version}"


ImageId = ManagedImageId | GalleryVersionId


def parse_image_id(text: str) -> ImageId | None:
    """Return the id of a managed image or of a gallery image version, None for anything else.

    Names follow the rules of Microsoft.Compute (letters, digits, ``_``, ``.``, ``-``; three numbers for a version),
    so no accepted part can climb out of its place in a URL.
    """
    if found := _MANAGED.fullmatch(text):
        return ManagedImageId(text, found["subscription"].lower(), found["group"], found["name"])
    if found := _VERSION.fullmatch(text):
        return GalleryVersionId(
            text, found["subscription"].lower(), found["group"], found["gallery"], found["definition"], found["version"]
        )
    return None


def strip_tags_suffix(text: str) -> str:
    """Return the id of the resource whose tags the id names, or the text unchanged.

    The Tags API addresses the tags of a resource as ``<resource id>/providers/Microsoft.Resources/tags/default``.
    """
    return text[: -len(_TAGS)] if text.lower().endswith(_TAGS) else text


def region(spelled: str) -> str:
    """Return a region in its one spelling: ``East US`` and ``eastus`` are the same, as in Packer's plugin."""
    return "".join(spelled.split()).lower()
