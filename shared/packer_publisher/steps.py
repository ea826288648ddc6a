"""The calls that a plan asks for, as frozen values: reads, writes to the registry, and one look at the cloud."""

from __future__ import annotations

from dataclasses import dataclass

from packer_publisher.image import Artifact
from packer_publisher.provenance import Metadata
from packer_publisher.snapshot import BuildStatus


@dataclass(frozen=True, slots=True)
class ReadVersion:
    """GetVersion: answered with a :class:`~packer_publisher.snapshot.Version`, also where there is none."""

    bucket: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class ReadBucket:
    """GetBucket: answered with a :class:`~packer_publisher.snapshot.Bucket`."""

    bucket: str


@dataclass(frozen=True, slots=True)
class FindParent:
    """Search for the version that an image was built from: answered with a :class:`~packer_publisher.snapshot.Parent`.

    ``identifier`` is the source image; ``number`` is Google's numeric id of it, "" where it is not known. ``bucket``
    and ``fingerprint`` are those of the version to be filled, which is nobody's parent but its children's.
    """

    bucket: str
    fingerprint: str
    platform: str
    identifier: str
    number: str = ""


@dataclass(frozen=True, slots=True)
class Gather:
    """Ask the image's own cloud for the other regions of its build (``Image.whole`` is None until then)."""

    identifier: str


@dataclass(frozen=True, slots=True)
class CreateBucket:
    """CreateBucket with what the configuration says of it."""

    bucket: str
    description: str
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class CreateVersion:
    """CreateVersion."""

    bucket: str
    fingerprint: str
    template_type: str


@dataclass(frozen=True, slots=True)
class CreateBuild:
    """CreateBuild, always UNSET and empty: for an image of ours, or as a placeholder."""

    bucket: str
    fingerprint: str
    component_type: str
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class FillBuild:
    """The one UpdateBuild that makes a build whole.

    Platform, artifacts, labels and metadata travel together: the registry takes the platform once per build, so
    exactly one writer wins and the loser reads again. So do the source and the parents, which are set once.
    """

    bucket: str
    fingerprint: str
    build_id: str
    component_type: str
    status: BuildStatus
    platform: str
    artifacts: tuple[Artifact, ...]
    labels: tuple[tuple[str, str], ...]
    source_external_identifier: str = ""
    parent_version_id: str = ""
    parent_channel_id: str = ""
    metadata: Metadata | None = None


@dataclass(frozen=True, slots=True)
class SetStatus:
    """UpdateBuild with nothing but a status."""

    bucket: str
    fingerprint: str
    build_id: str
    component_type: str
    status: BuildStatus


@dataclass(frozen=True, slots=True)
class SetLabels:
    """UpdateBuild with nothing but the whole set of labels."""

    bucket: str
    fingerprint: str
    build_id: str
    component_type: str
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class DeleteBuild:
    """DeleteBuild, of an empty build in a complete version only."""

    bucket: str
    fingerprint: str
    build_id: str
    component_type: str


@dataclass(frozen=True, slots=True)
class ReadChannel:
    """GetChannel: answered with a :class:`~packer_publisher.snapshot.Channel`, also where there is none."""

    bucket: str
    channel: str


@dataclass(frozen=True, slots=True)
class CreateChannel:
    """CreateChannel, pointing to the version at once."""

    bucket: str
    channel: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class AssignChannel:
    """UpdateChannel with the one field of the version (HCP insists on an update mask)."""

    bucket: str
    channel: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class RevokeVersion:
    """UpdateVersion that revokes a complete version at once: it alone, with all user channels where they are."""

    bucket: str
    fingerprint: str
    message: str


Read = ReadVersion | ReadBucket | ReadChannel | FindParent | Gather
Write = CreateBucket | CreateVersion | CreateBuild | FillBuild | SetStatus | SetLabels | CreateChannel | AssignChannel
Call = Read | Write
