"""What the ways in need from a cloud and from the registry; neither knows the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from packer_publisher.deadline import Deadline
from packer_publisher.image import Image, ImageRef, Platform, Scope, Unread
from packer_publisher.placement import Placement
from packer_publisher.secret_reference import SecretReference
from packer_publisher.snapshot import Bucket, Build, Channel, FoundArtifact, Version
from packer_publisher.steps import CreateBuild, FillBuild, SetLabels, SetStatus


class ReadSecret(Protocol):
    """What the registry needs of a cloud's secret store."""

    def __call__(self, reference: SecretReference, deadline: Deadline, /) -> str:
        """Return the text of a secret.

        Raises CredentialsTrouble (refused, or no such secret) or CloudTrouble (unreachable, throttled, not enough
        time), with neither the secret nor the store's own words in them.
        """


class Cloud(Protocol):
    """What publishing needs from one cloud. Every call honours the deadline and raises Trouble, never SDK errors."""

    platform: Platform

    def describe(self, ref: ImageRef, deadline: Deadline) -> Image | None:
        """Return the image, or None when its own cloud says that it does not exist (yet, or any more).

        Raises CloudTrouble (unreachable, throttled, not enough time) or CredentialsTrouble (refused).
        """

    def gather(self, image: Image, placement: Placement, deadline: Deadline) -> Image:
        """Return the image with all regions of its build and ``whole`` decided (True or False).

        Only called when ``image.whole`` is None. Raises Rejected for an unknown region name, and as ``describe``.
        """

    def speaks_for(self, owner_id: str, deadline: Deadline) -> bool:
        """Return whether this cloud's "there is none" is the word of an account, subscription or project itself.

        Raises as ``describe``.
        """


class Scan(Protocol):
    """What the sweep needs of a cloud beside what publishing does."""

    def scan(self, since: datetime | None, until: datetime | None, deadline: Deadline) -> Iterator[Image]:
        """Yield the own tagged images created in ``[since, until)``; None leaves that end open.

        Raises as ``describe``, and ConfigurationError where it is not said what to scan.
        """


class Survey(Protocol):
    """What a backfill needs of a cloud: everything that the credentials reach, scope by scope."""

    platform: Platform

    def scopes(self, deadline: Deadline, only: Sequence[str] = ()) -> tuple[Scope, ...]:
        """Return what the credentials reach, sorted; ``only`` names regions (AWS), subscriptions or projects of it.

        Raises ConfigurationError where ``only`` names something that is not there or nothing is named at all,
        CredentialsTrouble and CloudTrouble as ``describe``.
        """

    def survey(
        self, scope: Scope, since: datetime | None, until: datetime | None, *, tagged: bool
    ) -> Iterator[Image | Unread]:
        """Yield the scope's own images created in ``[since, until)``, page by page, in no order; None is open.

        ``tagged`` leaves out, on the server where it can, those that carry no contract tag. Disabled, pending and
        failed images are among them with their states, shared ones of other owners never. One that cannot be read is an
        :class:`~packer_publisher.image.Unread`. ``whole`` may be None (AWS). Throttling is waited out; each call has
        its own deadline. Raises Forbidden where the scope is closed to the credentials (others may not be), another
        CredentialsTrouble where they have expired or are good for nothing, CloudTrouble where the scope does not
        answer. May be called from several threads, one for each scope.
        """

    def together(
        self, image: Image, others: Sequence[Image], placement: Placement, closed: Mapping[str, str], /
    ) -> Image:
        """Return the image with all regions of its build, as ``gather`` does, from what surveys found; asks nobody.

        ``others`` are images of its version, ``closed`` the regions that could not be looked at, with the reasons.
        """


class Registry(Protocol):
    """What publishing needs from HCP Packer. ``project`` is an HCP project id or None for the default one.

    Every method raises CredentialsTrouble, RegistryTrouble (nothing was written), OutcomeUnknown (a write whose
    answer is lost) or RegistryRefused (a definite answer, with its gRPC code). Reads are retried within the
    deadline; a write is repeated only where the registry said that it did not happen (429).
    """

    @property
    def calls(self) -> int:
        """Return the number of requests sent to the registry's API so far (no tokens, no discovery)."""

    def is_active(self, deadline: Deadline, project: str | None = None) -> bool:
        """Return whether the project has a registry that is active."""

    def get_version(self, bucket: str, fingerprint: str, deadline: Deadline, project: str | None = None) -> Version:
        """Return the version; 409 with code 10 and 404 with code 5 give one with ``exists=False``."""

    def create_version(
        self,
        bucket: str,
        fingerprint: str,
        template_type: str,
        deadline: Deadline,
        project: str | None = None,
    ) -> Version:
        """Create and return the version (``fresh=False``)."""

    def get_bucket(self, bucket: str, deadline: Deadline, project: str | None = None) -> Bucket:
        """Return the bucket; 404 with code 5 gives one with ``exists=False``."""

    def create_bucket(
        self,
        bucket: str,
        description: str,
        labels: tuple[tuple[str, str], ...],
        deadline: Deadline,
        project: str | None = None,
    ) -> Bucket:
        """Create and return the bucket."""

    def update_bucket(
        self,
        bucket: str,
        description: str,
        labels: tuple[tuple[str, str], ...],
        deadline: Deadline,
        project: str | None = None,
    ) -> Bucket:
        """Write description and labels, always both: no update mask exists (facts 3.2)."""

    def search_artifact(
        self,
        external_identifier: str,
        platform: str,
        deadline: Deadline,
        project: str | None = None,
        *,
        limit: int | None = None,
    ) -> tuple[FoundArtifact, ...]:
        """Return where an image is registered in the project, at most ``limit`` places."""

    def list_channels(self, bucket: str, deadline: Deadline, project: str | None = None) -> tuple[Channel, ...]:
        """Return the channels of a bucket, without restricted ones that the credentials may not see."""

    def get_channel(self, bucket: str, channel: str, deadline: Deadline, project: str | None = None) -> Channel | None:
        """Return the channel, or None when there is none."""

    def create_channel(
        self,
        bucket: str,
        channel: str,
        deadline: Deadline,
        project: str | None = None,
        *,
        version_fingerprint: str = "",
    ) -> Channel:
        """Create and return a channel that points to a complete version."""

    def update_channel(
        self,
        bucket: str,
        channel: str,
        deadline: Deadline,
        project: str | None = None,
        *,
        version_fingerprint: str | None = None,
    ) -> Channel:
        """Point a channel to a complete version and return it."""

    def revoke_version(
        self, bucket: str, fingerprint: str, message: str, deadline: Deadline, project: str | None = None
    ) -> Version:
        """Revoke a complete version at once, without its descendants; channels of users stay; return the version."""

    def create_build(self, step: CreateBuild, deadline: Deadline, project: str | None = None) -> Build:
        """Create and return the build."""

    def update_build(
        self, step: FillBuild | SetStatus | SetLabels, deadline: Deadline, project: str | None = None
    ) -> Build:
        """Update and return the build."""

    def delete_build(
        self, bucket: str, fingerprint: str, build_id: str, deadline: Deadline, project: str | None = None
    ) -> None:
        """Delete a build."""
