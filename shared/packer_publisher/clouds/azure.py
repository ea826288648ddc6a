"""Azure: managed images and gallery image versions, as :class:`~packer_publisher.image.Image` values.

Both carry the tags of Packer's ``azure_tags``; a gallery image version that was made from a managed image
(``storageProfile.source.id``) is the same build. Which of them is the artifact is ``Policy.azure_artifact``:

- ``managed`` (Packer's own choice: packer-plugin-azure ``builder/azure/arm/artifact.go``): the version leads to its
  managed image, and is the artifact itself only where it has none, or where that one is gone or carries no tags;
- ``gallery``: the managed image alone is a build that is not whole yet.

A version that was captured from a virtual machine has no managed image: it is the artifact under both settings.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from packer_publisher.clouds.azure_arm import LEAST_SECONDS, Arm
from packer_publisher.clouds.azure_events import read_event
from packer_publisher.clouds.azure_ids import GalleryVersionId, ImageId, ManagedImageId, parse_image_id, region
from packer_publisher.errors import CloudTrouble, ConfigurationError, CredentialsTrouble, Rejected, Trouble
from packer_publisher.image import Artifact, Image, ImageRef, ImageState, Platform
from packer_publisher.placement import Placement, is_ours
from packer_publisher.wording import shown

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.mgmt.compute import models

    from packer_publisher.deadline import Deadline
    from packer_publisher.policy import Policy

__all__ = ["Azure", "read_event"]

_LACKS = "its gallery image version"
_IMAGES = "Microsoft.Compute/images"
_VERSIONS = "Microsoft.Compute/galleries/images/versions"
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_STATES: Mapping[str, ImageState] = {
    "succeeded": ImageState.AVAILABLE,
    "failed": ImageState.FAILED,
    "canceled": ImageState.FAILED,
    "deleting": ImageState.GONE,
}  # everything else (Creating, Updating, Migrating, words yet to come) changes by itself: pending
_ARCHITECTURES: Mapping[str, str] = {"x64": "x86_64", "arm64": "arm64"}


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at Azure: until when, and what it is told or finds out on the way.

    ``created`` is asked for the time of creation of an image whose own resource does not tell it; ``sources``
    collects the managed images (ids in lower case) that versions were made from.
    """

    deadline: Deadline
    created: Callable[[ImageId, Deadline], datetime]
    sources: set[str] = field(default_factory=set)


class Azure:
    """Azure's images, read through Azure Resource Manager.

    ``environ`` (default: the process's) is looked at for ``PUBLISHER_ARM_ENDPOINT``, ``IDENTITY_ENDPOINT``,
    ``AZURE_CLIENT_ID`` and ``AZURE_SUBSCRIPTION_ID``. ``now`` is asked only for an image whose time of creation
    Azure does not tell. ``broken`` holds what is wrong with the images that the last scan passed over, by their ids;
    ``denied`` is for clouds that are asked region by region, and stays empty.
    """

    platform = Platform.AZURE

    def __init__(
        self,
        policy: Policy,
        credential: TokenCredential | None = None,
        environ: Mapping[str, str] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._policy = policy
        self._environ = os.environ if environ is None else environ
        self._arm = Arm(credential, self._environ)
        self._now = now
        self.denied: dict[str, str] = {}
        self.broken: dict[str, Rejected | Trouble] = {}

    def close(self) -> None:
        """Close the connections to Azure."""
        self._arm.close()

    def describe(self, ref: ImageRef, deadline: Deadline) -> Image | None:
        """Return the image, or None when Azure says that it does not exist.

        The artifact's identifier is the id with its names as ``ref`` spells them. Raises Rejected for an id of
        anything else, CredentialsTrouble and CloudTrouble.
        """
        return self._described(ref, _Look(deadline, self._creation_time))

    def gather(self, image: Image, placement: Placement, deadline: Deadline) -> Image:  # noqa: ARG002 - the protocol's
        """Return the image unchanged: an Azure image says itself where it is, so ``whole`` is decided."""
        return image

    def together(self, image: Image, *_: object) -> Image:
        """Return the image unchanged: it says itself where it is."""
        return image

    def speaks_for(self, owner_id: str, deadline: Deadline) -> bool:  # noqa: ARG002 - the protocol's
        """Return True: an id names its subscription, and whoever may not look there is refused, not told "none"."""
        return True

    def scan(self, since: datetime | None, until: datetime | None, deadline: Deadline) -> Iterator[Image]:
        """Yield the tagged images of ``AZURE_SUBSCRIPTION_ID`` that were created in ``[since, until)``, each once.

        None leaves that end open; an image whose time of creation Azure does not tell is always within. With
        ``gallery`` a managed image is left out where the version made from it is found. Ids are spelled as Azure
        lists them. A single image that Azure refuses or fails to show, or that breaks a rule, is entered in ``broken``
        and passed over. Raises ConfigurationError where no subscription is set, and as :meth:`describe` where the
        list fails, Azure throttles, or no time is left.
        """
        subscription = self._environ.get("AZURE_SUBSCRIPTION_ID", "").lower()
        if not subscription:
            raise ConfigurationError(
                "Azure cannot be scanned: no subscription is named.", remedy="set AZURE_SUBSCRIPTION_ID"
            )
        window = (since or _FIRST, until or _LAST)
        done: set[str] = set()
        sources: set[str] = set()
        self.broken.clear()
        for kind in (_VERSIONS, _IMAGES):  # the versions first: they know their managed images
            for entry in self._arm.resources(subscription, kind, deadline):
                if self._policy.azure_artifact == "gallery" and str(entry.get("id", "")).lower() in sources:
                    continue
                try:
                    image = self._listed(subscription, entry, window, _Look(deadline, self._creation_time, sources))
                except (Rejected, Trouble) as problem:
                    if _stops(problem, deadline):
                        raise
                    self.broken[shown(entry.get("id", ""), 300)] = problem
                    continue
                if image is None or image.ref.identifier.lower() in done:
                    continue
                done.add(image.ref.identifier.lower())
                yield image

    def _listed(
        self, subscription: str, entry: Mapping[str, object], window: tuple[datetime, datetime], look: _Look
    ) -> Image | None:
        """Return the image of one entry of the list, None when it is not ours, outside of the window, or gone."""
        since, until = window
        tags, listed = entry.get("tags"), _time(entry.get("createdTime"))
        if isinstance(tags, Mapping) and not is_ours(tags, self._policy):
            return None
        if listed is not None and not since <= listed < until:
            return None
        ref = ImageRef(Platform.AZURE, subscription, "", str(entry.get("id", "")))
        unknown = min(max(self._now(), since), until - timedelta.resolution)
        image = self._described(ref, replace(look, created=lambda *_: listed or unknown))
        if image is None or image.ref.owner_id != subscription or not is_ours(image.tags, self._policy):
            return None
        return image if listed is not None or since <= image.created_at < until else None

    def _described(self, ref: ImageRef, look: _Look) -> Image | None:
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

    def _managed_image(self, ref: ImageRef, image: ManagedImageId, look: _Look) -> Image | None:
        found = self._arm.managed_image(image, look.deadline)
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
            created_at=_system_time(found) or look.created(image, look.deadline),
            artifacts=(Artifact(region(found.location or ""), image.artifact),),
            tags=dict(found.tags or {}),
            labels=tuple(sorted((key, text) for key, text in labels.items() if text)),
            whole=not alone,
            lacks=_LACKS if alone else "",
            stands_behind=traces if alone else (),
        )

    def _gallery_version(self, ref: ImageRef, version: GalleryVersionId, look: _Look) -> Image | None:
        found = self._arm.gallery_version(version, look.deadline)
        if found is None:
            return None
        source = _source(found)
        if source is not None:
            look.sources.add(source.spelled.lower())
            if self._policy.azure_artifact == "managed":
                managed = self._made_from(source, found, version.subscription, look.deadline)
                if managed is not None:
                    return managed
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
        published = _time(publishing.published_date) if publishing else None
        return Image(
            ref=ref,
            name=version.name,
            state=_version_state(properties, regions),
            created_at=published or _system_time(found) or look.created(version, look.deadline),
            artifacts=tuple(Artifact(name, version.artifact) for name in ((location,) if single else regions)),
            tags=dict(found.tags or {}),
            architecture=self._architecture(version, look.deadline),
            labels=tuple(sorted((key, text) for key, text in labels.items() if text)),
        )

    def _made_from(
        self, source: ManagedImageId, version: models.GalleryImageVersion, subscription: str, deadline: Deadline
    ) -> Image | None:
        """Return the managed image that a version was made from, None where the version itself is the artifact."""
        ref = ImageRef(Platform.AZURE, source.subscription, "", source.spelled)
        try:
            managed = self._managed_image(ref, source, _Look(deadline, self._creation_time))
        except CredentialsTrouble:
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

    def _architecture(self, version: GalleryVersionId, deadline: Deadline) -> str | None:
        definition = self._arm.image_definition(version, deadline)
        spelled = definition.properties.architecture if definition and definition.properties else None
        return _ARCHITECTURES.get(_spelled(spelled).lower())

    def _creation_time(self, image: ImageId, deadline: Deadline) -> datetime:
        """Return when an image was created whose own resource does not tell it.

        A managed image has no such property unless Azure adds ``systemData``; the list of resources knows it. Where
        that is silent too the image counts as new: it then gives way to any rival whose age is known.
        """
        if isinstance(image, ManagedImageId):
            found = self._arm.resources(image.subscription, _IMAGES, deadline, group=image.group, name=image.name)
            wanted = image.spelled.lower()
            times = [_time(entry.get("createdTime")) for entry in found if str(entry.get("id")).lower() == wanted]
            if times and times[0]:
                return times[0]
        return self._now()


def _stops(problem: Rejected | Trouble, deadline: Deadline) -> bool:
    """Return whether trouble with one image is trouble with all of them: Azure asks to wait, or the time is over."""
    return isinstance(problem, Trouble) and (problem.retry_after is not None or deadline.remaining() < LEAST_SECONDS)


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
    return _time(resource.system_data.created_at) if resource.system_data else None


def _time(value: object) -> datetime | None:
    """Return a time of Azure's, None where it is absent; raises CloudTrouble for one that is unreadable."""
    if value is None or value == "":
        return None
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise CloudTrouble(f"Azure answered with an unreadable time: {shown(value, 64)}") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
