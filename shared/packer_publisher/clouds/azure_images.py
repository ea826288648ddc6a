"""What Azure says about one image, as an :class:`~packer_publisher.image.Image`.

Both kinds carry the tags of Packer's ``azure_tags``; a gallery image version that was made from a managed image
(``storageProfile.source.id``) is the same build. Which of them is the artifact is ``Policy.azure_artifact``:

- ``managed`` (Packer's own choice: packer-plugin-azure ``builder/azure/arm/artifact.go``): the version leads to its
  managed image, and is the artifact itself only where it has none, or where that one is gone or carries no tags;
- ``gallery``: the managed image alone is a build that is not whole yet.

A version that was captured from a virtual machine has no managed image: it is the artifact under both settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from packer_publisher.clouds.azure_arm import Arm
from packer_publisher.clouds.azure_ids import GalleryVersionId, ImageId, ManagedImageId, parse_image_id, region
from packer_publisher.errors import CloudTrouble, Forbidden, Rejected
from packer_publisher.image import Artifact, Image, ImageRef, ImageState, Platform
from packer_publisher.placement import is_ours
from packer_publisher.wording import shown

if TYPE_CHECKING:
    from azure.mgmt.compute import models

    from packer_publisher.patience import Patience
    from packer_publisher.policy import Policy

IMAGES = "Microsoft.Compute/images"
VERSIONS = "Microsoft.Compute/galleries/images/versions"
_LACKS = "its gallery image version"
_STATES: Mapping[str, ImageState] = {
    "succeeded": ImageState.AVAILABLE,
    "failed": ImageState.FAILED,
    "canceled": ImageState.FAILED,
    "deleting": ImageState.GONE,
}  # everything else (Creating, Updating, Migrating, words yet to come) changes by itself: pending
_ARCHITECTURES: Mapping[str, str] = {"x64": "x86_64", "arm64": "arm64"}


@dataclass(frozen=True, slots=True)
class Look:
    """One look at Azure: with what patience, and what it is told or finds out on the way.

    ``created`` is asked for the time of creation of an image whose own resource does not tell it; None: Azure's list
    of resources is. ``follows`` is whether a version may stand for the managed image that it was made from; else that
    one is told of by itself, and the version not at all. ``sources`` collects the managed images (ids in lower case)
    that versions were made from, ``architectures`` those of image definitions.
    """

    patience: Patience
    created: Callable[[], datetime] | None = None
    follows: bool = True
    sources: set[str] = field(default_factory=set)
    architectures: dict[str, str | None] = field(default_factory=dict)


class Images:
    """Azure's images, described one by one. ``now`` is the age of an image of which Azure does not tell it."""

    def __init__(self, arm: Arm, policy: Policy, now: Callable[[], datetime]) -> None:
        self._arm = arm
        self._policy = policy
        self._now = now

    def described(self, ref: ImageRef, look: Look) -> Image | None:
        """Return the image, None when Azure says that it does not exist, or that it need not be told of (``look``).

        The artifact's identifier is the id with its names as ``ref`` spells them. Raises Rejected for an id of anything
        else, and as :class:`~packer_publisher.clouds.azure_arm.Arm`.
        """
        match parse_image_id(ref.identifier):
            case ManagedImageId() as image:
                return self._managed_image(ref, image, look)
            case GalleryVersionId() as version:
                return self._gallery_version(ref, version, look)
            case None:
                raise Rejected(
                    f"{shown(ref.identifier, 300)} is no id of a managed image or of a gallery image version.",
                    remedy="name it as /subscriptions/…/providers/Microsoft.Compute/images/NAME "
                    "or …/galleries/GALLERY/images/DEFINITION/versions/1.2.3",
                )

    def _managed_image(self, ref: ImageRef, image: ManagedImageId, look: Look) -> Image | None:
        found = self._arm.managed_image(image, look.patience)
        if found is None:
            return None
        properties = found.properties
        profile = properties.storage_profile if properties else None
        os_type = _spelled(profile.os_disk.os_type) if profile and profile.os_disk else ""
        labels = {
            "os_type": os_type,
            "managed_image_resourcegroup_name": image.group,
            "managed_image_name": image.name,
        }
        alone = self._policy.azure_artifact == "gallery"
        traces = (("managed_image_name", image.name), ("managed_image_resourcegroup_name", image.group))
        return Image(
            ref=ref,
            name=image.name,
            state=_state(properties.provisioning_state if properties else None),
            created_at=_system_time(found) or self._created(image, look),
            artifacts=(Artifact(region(found.location or ""), image.artifact),),
            tags=dict(found.tags or {}),
            labels=tuple(sorted((key, text) for key, text in labels.items() if text)),
            whole=not alone,
            lacks=_LACKS if alone else "",
            stands_behind=traces if alone else (),
        )

    def _gallery_version(self, ref: ImageRef, version: GalleryVersionId, look: Look) -> Image | None:
        found = self._arm.gallery_version(version, look.patience)
        if found is None:
            return None
        source = _source(found)
        if source is not None:
            look.sources.add(source.spelled.lower())
            if self._policy.azure_artifact == "managed":
                managed = self._made_from(source, found, version.subscription, look)
                if managed is not None:
                    return managed if look.follows else None
        properties = found.properties
        publishing = properties.publishing_profile if properties else None
        location = region(found.location or "")
        regions = _regions(publishing, location)
        labels = {
            "managed_image_resourcegroup_name": source.group if source is not None else "",
            "managed_image_name": source.name if source is not None else "",
            "sig_resource_group": version.group,
            "sig_name": version.gallery,
            "sig_image_name": version.definition,
            "sig_image_version": version.version,
            "sig_replicated_regions": ", ".join(regions),
        }
        single = self._policy.azure_gallery_regions == "single"
        published = time_of(publishing.published_date) if publishing else None
        return Image(
            ref=ref,
            name=version.name,
            state=_version_state(properties, regions),
            created_at=published or _system_time(found) or self._created(version, look),
            artifacts=tuple(Artifact(name, version.artifact) for name in ((location,) if single else regions)),
            tags=dict(found.tags or {}),
            architecture=self._architecture(version, look),
            labels=tuple(sorted((key, text) for key, text in labels.items() if text)),
        )

    def _made_from(
        self, source: ManagedImageId, version: models.GalleryImageVersion, subscription: str, look: Look
    ) -> Image | None:
        """Return the managed image that a version was made from, None where the version itself is the artifact."""
        ref = ImageRef(Platform.AZURE, source.subscription, "", source.spelled)
        try:
            created = None if look.follows else self._now  # of what is told of by itself nobody asks
            managed = self._managed_image(ref, source, replace(look, created=created))
        except Forbidden:
            if source.subscription == subscription:
                raise
            return self._stranger(ref, source, version)
        if managed is None or managed.state is ImageState.GONE:
            return None
        # Somebody may have tagged the version by hand; Packer tags both alike.
        return managed if is_ours(managed.tags, self._policy) or not is_ours(version.tags, self._policy) else None

    def _stranger(self, ref: ImageRef, source: ManagedImageId, version: models.GalleryImageVersion) -> Image:
        """Return what is known of a managed image in a subscription that this function may not read.

        Its owner is the other subscription, whose own function records it: nobody fills a build from this value.
        """
        return Image(
            ref=ref,
            name=source.name,
            state=ImageState.AVAILABLE,
            created_at=self._now(),
            artifacts=(),
            tags=dict(version.tags or {}),
            whole=False,
            lacks=f"the function of subscription {source.subscription}",
        )

    def _architecture(self, version: GalleryVersionId, look: Look) -> str | None:
        key = "/".join((version.group, version.gallery, version.definition)).lower()
        if key not in look.architectures:
            definition = self._arm.image_definition(version, look.patience)
            spelled = definition.properties.architecture if definition and definition.properties else None
            look.architectures[key] = _ARCHITECTURES.get(_spelled(spelled).lower())
        return look.architectures[key]

    def _created(self, image: ImageId, look: Look) -> datetime:
        """Return when an image was created whose own resource does not tell it.

        A managed image has no such property unless Azure adds ``systemData``; the list of resources knows it. Where
        that is silent too the image counts as new: it then gives way to any rival whose age is known.
        """
        if look.created is not None:
            return look.created()
        if isinstance(image, ManagedImageId):
            found = self._arm.resources(image.subscription, IMAGES, look.patience, group=image.group, name=image.name)
            wanted = image.spelled.lower()
            times = [time_of(entry.get("createdTime")) for entry in found if str(entry.get("id")).lower() == wanted]
            if times and times[0]:
                return times[0]
        return self._now()


def _source(version: models.GalleryImageVersion) -> ManagedImageId | None:
    profile = version.properties.storage_profile if version.properties else None
    source = parse_image_id(profile.source.id or "") if profile and profile.source else None
    return source if isinstance(source, ManagedImageId) else None


def _regions(publishing: models.GalleryImageVersionPublishingProfile | None, location: str) -> tuple[str, ...]:
    """Return the target regions, each once, the version's own location first.

    A version that names no target lies in its own location alone.
    """
    targets = [region(target.name or "") for target in (publishing.target_regions if publishing else None) or ()]
    ordered = sorted(filter(None, dict.fromkeys(targets)), key=lambda name: name != location)
    return tuple(ordered) or (location,)


def _state(provisioning: object) -> ImageState:
    return _STATES.get(_spelled(provisioning).lower(), ImageState.PENDING)


def _version_state(properties: models.GalleryImageVersionProperties | None, regions: tuple[str, ...]) -> ImageState:
    """Return a version's state: it is available once every target region has its replica.

    The write event may come before that; and a region that was added later replicates anew. What Azure does not
    say (no replication status, Unknown) counts as pending.
    """
    state = _state(properties.provisioning_state if properties else None)
    if state is not ImageState.AVAILABLE or properties is None:
        return state
    replication = properties.replication_status
    if replication is None:
        return ImageState.PENDING
    aggregated = _spelled(replication.aggregated_state).lower()
    replicas = {region(entry.region or ""): _spelled(entry.state).lower() for entry in replication.summary or ()}
    if aggregated == "failed":
        return ImageState.FAILED
    lacking = [name for name in regions if replicas.get(name) != "completed"] if replicas else []
    if aggregated == "completed" and not lacking:
        return ImageState.AVAILABLE
    return ImageState.PENDING


def _spelled(value: object) -> str:
    """Return an enumeration's word, whether the SDK knows it or left it as text; "" for none."""
    return str(getattr(value, "value", value) or "")


def _system_time(resource: models.Image | models.GalleryImageVersion) -> datetime | None:
    return time_of(resource.system_data.created_at) if resource.system_data else None


def time_of(value: object) -> datetime | None:
    """Return a time of Azure's, None where it is absent; raises CloudTrouble for one that is unreadable."""
    if value is None or value == "":
        return None
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise CloudTrouble(f"Azure answered with an unreadable time: {shown(value, 64)}") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
