"""Google Cloud: Compute Engine's custom images, as :class:`~packer_publisher.image.Image` values.

The artifact is what Packer's own plugin registers: the image's name, in the zone that it was built in
(packer-plugin-googlecompute ``builder/googlecompute/artifact.go``). A name can be given again to another image once
the first is deleted, so the numeric id and the project travel along as labels.

The resource knows neither the machine type nor the parent image: ``sourceImage`` is set on a copy alone, and names
what was copied. So ``source`` is always None; the tag ``hcp-packer-source-image`` names the parent.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from packer_publisher.clouds.gcp_compute import Compute
from packer_publisher.clouds.gcp_events import IMAGE, PROJECT, read_event, unwrap
from packer_publisher.durations import format_duration
from packer_publisher.errors import CloudTrouble, ConfigurationError, Forbidden, Rejected, Trouble
from packer_publisher.image import Artifact, Image, ImageRef, ImageState, Platform, Scope, Unread
from packer_publisher.patience import SURVEY, Patience
from packer_publisher.placement import Placement, is_ours
from packer_publisher.wording import counted, listed, shown

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud.compute_v1 import Image as Resource

    from packer_publisher.deadline import Deadline
    from packer_publisher.policy import Policy

__all__ = ["GoogleCloud", "read_event", "unwrap"]

PROJECT_VARIABLE = "GOOGLE_CLOUD_PROJECT"
PROJECTS_VARIABLE = "PUBLISHER_PROJECTS"
"""The projects that a sweep looks through, where a deployment hears of more than its own: ids, split as any list."""
_REQUIRED = ("bucket", "fingerprint")  # an image that carries neither is not ours
_STATES: Mapping[str, ImageState] = {
    "READY": ImageState.AVAILABLE,
    "FAILED": ImageState.FAILED,
    "DELETING": ImageState.GONE,
}  # everything else (PENDING, words yet to come) changes by itself: pending
_ARCHITECTURES: Mapping[str, str] = {"X86_64": "x86_64", "ARM64": "arm64"}
_SELF = re.compile(r"(?:.*/)?projects/(?P<project>[^/]+)/global/images/[^/]+")
_ZONE = re.compile(r"(?:.*/)?zones/(?P<zone>[^/]+)/disks/.*")
_PLACE = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")


class GoogleCloud:
    """Google Cloud's images, read through Compute Engine's API; fit to be shared by threads.

    ``clock`` tells how old an image is. ``credentials`` None means Application Default Credentials. ``environ``
    (default: the process's) is looked at for ``PUBLISHER_COMPUTE_ENDPOINT``, ``GOOGLE_CLOUD_PROJECT`` and
    ``PUBLISHER_PROJECTS``. ``patience`` is that of a survey. ``broken`` holds what is wrong with the images that the
    last scan passed over, by their self link; ``denied`` the projects among several that it may not look into.
    """

    platform = Platform.GCE

    def __init__(
        self,
        policy: Policy,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        credentials: Credentials | None = None,
        environ: Mapping[str, str] | None = None,
        patience: Patience = SURVEY,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._environ = os.environ if environ is None else environ
        self._compute = Compute(credentials, self._environ)
        self._open_projects: set[str] = set()
        self._patience = patience
        self.denied: dict[str, str] = {}
        self.broken: dict[str, Rejected | Trouble] = {}

    def close(self) -> None:
        """Close the connections to Google Cloud."""
        self._compute.close()

    def describe(self, ref: ImageRef, deadline: Deadline) -> Image | None:
        """Return the image, or None when Google Cloud says that it does not exist.

        The image's ``ref`` carries its name, also where it was asked for by its numeric id. A deprecated image is
        available still. Raises CloudTrouble for an image of ours that is younger than the settle time (a build is
        finished a while after its image: Packer deprecates it in a last step), CredentialsTrouble and CloudTrouble
        where Google Cloud does not answer, and Rejected for a ``ref`` or a region label that names nothing.
        """
        _check(ref)
        found = self._compute.image(ref.owner_id, ref.identifier, Patience.until(deadline))
        if found is None:
            return None
        image = self._image(found, ref.owner_id)
        if ref.owner_id.isdigit() and image.ref.owner_id != ref.owner_id:
            raise Rejected(
                f"{shown(ref.identifier)} was asked for under the number of its project, {ref.owner_id}.",
                remedy=f"name the project by its id, {image.ref.owner_id}",
            )
        if image.state is ImageState.AVAILABLE and is_ours(image.tags, self._policy):
            self._require_settled(image)
        return image

    def gather(self, image: Image, placement: Placement, deadline: Deadline) -> Image:  # noqa: ARG002 - the protocol's
        """Return the image unchanged: a Google image lies everywhere its project does, so it is always whole."""
        return image

    def together(self, image: Image, *_: object) -> Image:
        """Return the image unchanged: it says itself where it is."""
        return image

    def speaks_for(self, owner_id: str, deadline: Deadline) -> bool:
        """Return True where the project shows its images at all: to a stranger its images do not exist, either.

        Raises CredentialsTrouble where it does not.
        """
        if owner_id not in self._open_projects:
            tagged = self._filter(("bucket", "fingerprint"))
            next(self._compute.images(owner_id, tagged, Patience.until(deadline)), None)
            self._open_projects.add(owner_id)
        return True

    def scan(
        self, since: datetime | None, until: datetime | None, deadline: Deadline, projects: Sequence[str] = ()
    ) -> Iterator[Image]:
        """Yield the tagged images of the projects that were created in ``[since, until)`` and have settled.

        None leaves that end open. ``projects`` () means those of ``PUBLISHER_PROJECTS``, else the one of
        ``GOOGLE_CLOUD_PROJECT``; ConfigurationError where neither is set, or one is named by something else than its
        id. An image whose region label breaks the contract, or whose time of creation is unreadable, is entered in
        ``broken`` and passed over; of several projects one that is closed is entered in ``denied``. Else raises as
        :meth:`describe`.
        """
        projects = tuple(projects) or self._own_projects()
        if not projects:
            raise ConfigurationError(
                "Google Cloud cannot be scanned: no project is named.", remedy=f"set {PROJECT_VARIABLE}"
            )
        settled = self._clock() - self._policy.settle
        until = min(until or settled, settled)
        self.broken.clear()
        self.denied.clear()
        for project in dict.fromkeys(projects):
            try:
                for found in self._listed(project, _REQUIRED, since, until, Patience.until(deadline)):
                    if isinstance(found, Image):
                        yield found
                    else:
                        identifier, problem = found
                        self.broken[identifier] = problem
            except Forbidden as refusal:
                if len(projects) == 1:
                    raise
                self.denied[project] = str(refusal)

    def scopes(self, deadline: Deadline, only: Sequence[str] = ()) -> tuple[Scope, ...]:  # noqa: ARG002 - the protocol's
        """Return the projects that ``only`` names, without any the one of ``GOOGLE_CLOUD_PROJECT``, sorted.

        Nobody is asked: Compute Engine does not list projects, and whether one is there and open its survey tells.
        Raises ConfigurationError where no project is named, or one by something else than its id: images belong to the
        id, and a build must not have two owners.
        """
        named = set(only) or set(filter(None, (self._environ.get(PROJECT_VARIABLE, ""),)))
        if not named:
            raise ConfigurationError(
                "Google Cloud cannot be surveyed: no project is named.",
                remedy=f"name projects, or set {PROJECT_VARIABLE}",
            )
        if wrong := sorted(name for name in named if name.isdigit() or not PROJECT.fullmatch(name)):
            raise ConfigurationError(
                f"{listed(wrong)} {'is' if len(wrong) == 1 else 'are'} no id of a Google Cloud project.",
                remedy="`gcloud projects list` names the ids; numbers and display names are none",
            )
        return tuple(sorted(Scope(Platform.GCE, name) for name in named))

    def survey(
        self, scope: Scope, since: datetime | None, until: datetime | None, *, tagged: bool
    ) -> Iterator[Image | Unread]:
        """Yield a project's images, those younger than the settle time among them, deprecated ones as available.

        What is being deleted is left out. The rest is as in :class:`~packer_publisher.protocols.Survey`; Forbidden
        is also a project that Google does not know.
        """
        fields = tuple(self._policy.contract.keys) if tagged else ()
        for found in self._listed(scope.owner_id, fields, since, until, self._patience):
            if isinstance(found, Image):
                if found.state is not ImageState.GONE:
                    yield found
            else:
                identifier, problem = found
                yield Unread(scope, identifier, str(problem), problem.remedy)

    def _own_projects(self) -> tuple[str, ...]:
        named = tuple(re.split(r"[\s,]+", self._environ.get(PROJECTS_VARIABLE, "").strip(" ,")))
        if named == ("",):
            return tuple(filter(None, (self._environ.get(PROJECT_VARIABLE, ""),)))
        if wrong := [name for name in named if name.isdigit() or not PROJECT.fullmatch(name)]:
            raise ConfigurationError(
                f"{PROJECTS_VARIABLE} names {listed([shown(name) for name in wrong])}, which is no id of a project.",
                remedy="`gcloud projects list` names the ids; numbers and display names are none",
            )
        return named

    def _listed(
        self,
        project: str,
        fields: Sequence[str],
        since: datetime | None,
        until: datetime | None,
        patience: Patience,
    ) -> Iterator[Image | tuple[str, Rejected | Trouble]]:
        """Yield a project's images created in ``[since, until)``, and by their self link those that cannot be read.

        Asked for are those that carry a key of one of the contract's ``fields``; () means all images, ours or not.
        """
        for found in self._compute.images(project, self._filter(fields), patience):
            if fields and not is_ours(dict(found.labels), self._policy):
                continue
            try:
                created = _created_at(found)
                if (until and created >= until) or (since and created < since):
                    continue
                image = self._image(found, project)
            except (Rejected, CloudTrouble) as problem:
                yield found.self_link or found.name, problem
            else:
                yield image

    def _filter(self, fields: Sequence[str]) -> str:
        """Return the filter for images that carry a key of one of the fields.

        Times are compared here, being text over there.
        """
        keys = (key for name in fields for key in self._policy.contract.keys[name])
        return " OR ".join(f"(labels.{key}:*)" for key in keys if key == key.lower())

    def _require_settled(self, image: Image) -> None:
        left = min(image.created_at + self._policy.settle - self._clock(), self._policy.settle).total_seconds()
        if left > 0:
            # A function's event is retried by its platform, a command line is not: the text fits both.
            raise CloudTrouble(
                f"{image.at} is younger than the settle time of {format_duration(self._policy.settle)}.",
                remedy=f"run it again in {counted(math.ceil(left), 'second')}",
                retry_after=left,
            )

    def _image(self, found: Resource, project: str) -> Image:
        spelled = _SELF.fullmatch(found.self_link)
        owner = spelled["project"] if spelled else project
        tags = dict(found.labels)
        labels = {
            "self_link": found.self_link,
            "project_id": owner,
            "disk_size_gb": str(found.disk_size_gb) if found.disk_size_gb else "",
            "licenses": ",".join(found.licenses),
        }
        return Image(
            ref=ImageRef(Platform.GCE, owner, "", found.name),
            name=found.name,
            state=_STATES.get(found.status, ImageState.PENDING),
            created_at=_created_at(found),
            artifacts=(Artifact(self._region(found, tags, owner), found.name),),
            tags=tags,
            architecture=_ARCHITECTURES.get(found.architecture),
            description=found.description,
            family=found.family,
            labels=tuple(sorted((key, text) for key, text in labels.items() if text)),
            identity=(("image_id", str(found.id)), ("project_id", owner)),
        )

    def _region(self, found: Resource, tags: Mapping[str, str], project: str) -> str:
        """Return the zone that the image was built in, as Packer has it, or the best there is in its place.

        Imported images, copies and images of regional disks name no zone.
        """
        zone = _ZONE.fullmatch(found.source_disk)
        if zone:
            return zone["zone"]
        for key in self._policy.contract.keys["region"]:
            place = tags.get(key, "")
            if place and not _PLACE.fullmatch(place):
                raise Rejected(
                    f"{found.name} (gce:{project}): label {key} names {shown(place)}, which is no zone or region.",
                    remedy="write it as in us-central1-a",
                )
            if place:
                return place
        return found.storage_locations[0] if found.storage_locations else "global"


def _check(ref: ImageRef) -> None:
    """Raise Rejected for an address that Google Cloud could never resolve (the SDK would build a wrong URL of it)."""
    if not PROJECT.fullmatch(ref.owner_id):
        raise Rejected(
            f"{shown(ref.owner_id) or 'nothing'} is no project of Google Cloud.",
            remedy="name the image as projects/PROJECT/global/images/NAME",
        )
    if not IMAGE.fullmatch(ref.identifier):
        raise Rejected(
            f"{shown(ref.identifier) or 'nothing'} is no name of a Google Cloud image.",
            remedy="a name has lower-case letters, digits and dashes, at most 63, and begins with a letter",
        )


def _created_at(found: Resource) -> datetime:
    try:
        time = datetime.fromisoformat(found.creation_timestamp)
    except ValueError:
        raise CloudTrouble(
            f"Google Cloud answered with an unreadable time: {shown(found.creation_timestamp, 64)}"
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
