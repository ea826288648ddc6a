"""What a cloud says about one machine image, as frozen values.

Clouds make an :class:`Image` (``describe``, ``gather``, ``scan``) and an :class:`ImageEvent` (``read_event``);
everything after that is the same for all clouds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Platform(StrEnum):
    """A cloud, in the very word that Packer's plugin sends to HCP as the build's platform."""

    AWS = "aws"
    AZURE = "azure"
    GCE = "gce"


CLOUDS: Mapping[str, Platform] = {"aws": Platform.AWS, "azure": Platform.AZURE, "gcp": Platform.GCE}
"""The clouds as commands call them."""

DEFAULT_COMPONENT_TYPE: Mapping[Platform, str] = {
    Platform.AWS: "amazon-ebs",
    Platform.AZURE: "azure-arm",
    Platform.GCE: "googlecompute",
}
"""The component type of an image that names none: the builder's name."""


class ImageState(StrEnum):
    """What an image is good for at the moment it was described."""

    AVAILABLE = "available"
    PENDING = "pending"  # being created, copied or replicated: trouble, it will change by itself
    FAILED = "failed"
    DISABLED = "disabled"  # AWS only: exists, cannot be launched
    GONE = "gone"  # deregistered or being deleted, said by the cloud itself


@dataclass(frozen=True, slots=True, order=True)
class Artifact:
    """One entry of a build in HCP Packer: where an image is and what it is called there."""

    region: str
    external_identifier: str


@dataclass(frozen=True, slots=True)
class ImageRef:
    """The address of one image.

    aws: account ``owner_id``, ``region``, AMI id. azure: subscription, region "" (the image says it), ARM id as
    the event spells it. gce: project, region "", image name or numeric id.
    """

    platform: Platform
    owner_id: str
    region: str
    identifier: str

    @property
    def owner(self) -> str:
        """Return the value of the ``image-owner`` label, e.g. ``aws:123456789012``."""
        return f"{self.platform}:{self.owner_id}"


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """A part of a cloud that is listed as a whole: a region of an AWS account, an Azure subscription, a Google project.

    ``region`` is "" but on AWS.
    """

    platform: Platform
    owner_id: str
    region: str = ""

    @property
    def at(self) -> str:
        """Return the scope as a person would name it: ``aws:123456789012, eu-west-1``."""
        return ", ".join(filter(None, (f"{self.platform}:{self.owner_id}", self.region)))


class Change(StrEnum):
    """What an event says happened to the image."""

    WRITTEN = "written"  # created, became available, tags or properties changed
    DELETED = "deleted"  # deregistered or deleted
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class ImageEvent:
    """One event of a cloud, reduced to what the flow needs.

    ``tags`` is the complete tag set after the change where the event carries it, else None: then only
    ``describe`` can tell whether the image is ours. ``identity`` is as in :class:`Image`, where the event tells it.
    """

    ref: ImageRef
    change: Change
    time: datetime
    event_id: str
    tags: Mapping[str, str] | None = None
    identity: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Unread:
    """An image that is there and could not be read: what its cloud calls it, and why."""

    scope: Scope
    identifier: str
    problem: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """One machine image, or (AWS, after ``gather``) the images of one build in all its regions.

    ``artifacts`` is what the build will list. ``whole`` is True when every region of the build is there, False when
    one is missing (``lacks`` says what, for a person) and None when only ``gather`` can tell. ``identity`` are labels
    that tell this image from another of the same external identifier (Google: ``project_id``, ``image_id``);
    ``labels`` are those that Packer's own plugin would write. ``source`` is the exact parent image where the cloud
    knows it for certain. ``rival`` names an older image of the same owner, component type and region, which takes
    precedence. ``stands_behind`` is set on an image that is only the source of the one to be listed (Azure: a managed
    image where gallery versions are the artifacts): labels of the build that was made from it. ``description`` and
    ``family`` (Google's) are "" where there is none.
    """

    ref: ImageRef
    name: str
    state: ImageState
    created_at: datetime
    artifacts: tuple[Artifact, ...]
    tags: Mapping[str, str] = field(default_factory=dict)
    architecture: str | None = None  # "x86_64", "arm64" or None where the cloud does not say
    source: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    identity: tuple[tuple[str, str], ...] = ()
    whole: bool | None = True
    lacks: str = ""
    rival: str = ""
    stands_behind: tuple[tuple[str, str], ...] = ()
    description: str = ""
    family: str = ""

    @property
    def platform(self) -> Platform:
        """Return the cloud the image lives in."""
        return self.ref.platform

    @property
    def owner(self) -> str:
        """Return the value of the ``image-owner`` label, e.g. ``aws:123456789012``."""
        return self.ref.owner

    @property
    def at(self) -> str:
        """Return the image as a person would name it, for messages: ``ami-0abc (aws:123456789012, eu-west-1)``."""
        where = ", ".join(filter(None, (self.owner, self.ref.region)))
        return f"{self.ref.identifier} ({where})"
