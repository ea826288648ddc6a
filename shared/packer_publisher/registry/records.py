"""What the registry tells beyond buckets, versions, builds and channels, and the changes a version can undergo."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class VersionName:
    """A version as ancestry names it; "" where it does not say."""

    bucket: str
    fingerprint: str
    name: str


@dataclass(frozen=True, slots=True)
class Relation:
    """One version built from another; ``status`` is UP_TO_DATE, OUT_OF_DATE or UNDETERMINED."""

    parent: VersionName
    child: VersionName
    channel: str
    status: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """One row of a channel's history; ``author`` is a name, ``HCP Packer`` for what happened by itself."""

    assigned_at: datetime | None
    author: str
    version_fingerprint: str
    version_name: str


@dataclass(frozen=True, slots=True)
class RegistryState:
    """The registry of a project; ``tier`` is STANDARD, PLUS or UNSET, ``at`` HCP's own time of the answer."""

    id: str
    activated: bool
    tier: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Complete:
    """Ask the registry to complete a version. No client of HashiCorp does so, and what HCP answers is not known."""


@dataclass(frozen=True, slots=True)
class Revoke:
    """Revoke a version, at once or after ``after`` (``30d``, ``2h45m``; later than now needs the Standard tier)."""

    message: str
    after: str = "0s"
    descendants: bool = True  # versions built from it are revoked too
    roll_back_channels: bool = True  # channels that point to it go back to their last valid version


@dataclass(frozen=True, slots=True)
class Restore:
    """Take back a revocation, or a scheduled one."""


VersionChange = Complete | Revoke | Restore
