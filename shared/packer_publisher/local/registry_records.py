"""What the local registry remembers: frozen records, and their JSON for a database.

A record is never changed, only replaced; that is why a store can be copied without copying what is in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Artifact:
    """One machine image of a build."""

    id: str
    external_identifier: str
    region: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Sbom:
    """A software bill of materials as it was uploaded (base64 of zstd)."""

    id: str
    name: str
    format: str
    compressed: str


@dataclass(frozen=True, slots=True)
class Build:
    """One build; ``seen_at`` is its last sign of life, ``platform_at_create`` that CreateBuild named it."""

    id: str
    component_type: str
    status: str
    created_at: datetime
    updated_at: datetime
    seen_at: datetime
    platform: str = ""
    platform_at_create: bool = False
    packer_run_uuid: str = ""
    artifacts: tuple[Artifact, ...] = ()
    labels: Labels | None = None
    metadata: Any = None
    source_external_identifier: str = ""
    parent_version_id: str = ""
    parent_channel_id: str = ""
    sboms: tuple[Sbom, ...] = ()


@dataclass(frozen=True, slots=True)
class Version:
    """One version with its builds; ``number`` 0 means that it is not complete.

    ``completes_at`` is set while a completion lags, ``revoke_at`` once it is revoked or about to be;
    ``children`` are the ids of versions that name this one as parent.
    """

    id: str
    bucket: str
    fingerprint: str
    author: str
    template_type: str
    created_at: datetime
    updated_at: datetime
    number: int = 0
    builds: tuple[Build, ...] = ()
    children: tuple[str, ...] = ()
    completes_at: datetime | None = None
    revoke_at: datetime | None = None
    revocation_message: str = ""
    revocation_author: str = ""
    revoked_with: str = ""  # the id of the ancestor from which the revocation is inherited
    revoked: bool = False
    skip_descendants: bool = False
    keep_channels: bool = False

    @property
    def complete(self) -> bool:
        """Return whether the version is sealed."""
        return self.number > 0

    @property
    def name(self) -> str:
        """Return the name: ``v0`` until it is complete."""
        return f"v{self.number}"


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket; ``due`` is the earliest moment at which something in it changes by itself."""

    id: str
    name: str
    description: str
    labels: Labels
    created_at: datetime
    updated_at: datetime
    versions: int = 0
    highest: int = 0
    parent: bool = False
    due: datetime | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """One line of a channel's history."""

    assigned_at: datetime
    author: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel; ``fingerprint`` "" means that no version is assigned."""

    id: str
    bucket: str
    name: str
    author: str
    created_at: datetime
    updated_at: datetime
    managed: bool = False
    restricted: bool = False
    fingerprint: str = ""
    history: tuple[Assignment, ...] = ()


@dataclass(frozen=True, slots=True)
class VersionPlace:
    """Where the version with an id is found."""

    bucket: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """The version as it was before its latest write, None if it did not exist (only where reads are stale)."""

    version: Version | None


@dataclass(frozen=True, slots=True)
class RegistryState:
    """The registry of one project."""

    id: str
    created_at: datetime
    updated_at: datetime
    activated: bool = True
    feature_tier: str = "PLUS"


@dataclass(frozen=True, slots=True)
class Operation:
    """A long-running operation; here each is done at once."""

    id: str
    created_at: datetime


Record = Bucket | Version | Channel | VersionPlace | Earlier | RegistryState | Operation
R = TypeVar("R", bound=Record)


def encode(record: Record) -> str:
    """Return a record as JSON text."""
    return json.dumps(_plain(record), separators=(",", ":"), ensure_ascii=False)


def decode(kind: type[R], text: str) -> R:
    """Return the record of ``kind`` that ``encode`` has written."""
    record: R = _typed(kind, json.loads(text))
    return record


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {entry.name: _plain(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _typed(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    if get_origin(hint) in (UnionType, Union):
        hint = next(arm for arm in get_args(hint) if arm is not type(None))
    if isinstance(hint, type) and is_dataclass(hint):
        return hint(**{name: _typed(_hints(hint)[name], item) for name, item in value.items()})
    if hint is datetime:
        return datetime.fromisoformat(value)
    if get_origin(hint) is tuple:
        return tuple(_typed(get_args(hint)[0], item) for item in value)
    return value
