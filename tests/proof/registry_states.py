"""The states of the local registry as numbers: each call on each state is made once, then remembered.

The rules are those of the real model (``packer_publisher.local``), asked through the real decoding; nothing is
re-implemented here. Two states that differ only in ids, in the order of builds or in times that nobody decides on
count as one.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from packer_publisher.converge import Reply
from packer_publisher.errors import RegistryRefused
from packer_publisher.image import Artifact
from packer_publisher.labels import MARKER, OWNER
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_records import Bucket as BucketRecord
from packer_publisher.local.registry_records import Build as BuildRecord
from packer_publisher.local.registry_records import Channel as ChannelRecord
from packer_publisher.local.registry_records import Earlier
from packer_publisher.local.registry_records import Version as VersionRecord
from packer_publisher.local.registry_switches import Switches
from packer_publisher.snapshot import Build, Version
from packer_publisher.steps import Call, DeleteBuild, SetLabels
from tests.registered import register
from tests.simulation.handlers import DEADLINE, ask
from tests.simulation.registry import Clock, ModelRegistry

Naming = Literal["by name", "by creation"]
"""How ids of builds sort: as component types do, or as builds were created (as HCP's ULIDs presumably do)."""


@dataclass(frozen=True, slots=True)
class Held:
    """One build as the registry holds it, without what may differ between two runs (ids and times)."""

    component_type: str
    platform: str
    status: str
    artifacts: frozenset[tuple[str, str]]
    labels: tuple[tuple[str, str], ...]
    parent: str = ""

    def label(self, key: str) -> str:
        """Return a label's value, "" if there is none."""
        return dict(self.labels).get(key, "")

    @property
    def ours(self) -> bool:
        """Return whether one of our functions created it."""
        return self.label(MARKER) != ""

    @property
    def owner(self) -> str:
        """Return whose image it holds, "" where nobody has said."""
        return self.label(OWNER)


@dataclass(frozen=True, slots=True)
class Contents:
    """What the registry holds of the one version: None where it does not exist; its builds by component type."""

    complete: bool
    builds: Mapping[str, Held] | None


class RegistryStates:
    """Every state of one registry that was reached, by number; state 0 is the first."""

    def __init__(
        self,
        bucket: str,
        fingerprint: str,
        *,
        bucket_exists: bool,
        naming: Naming,
        switches: Switches | None = None,
        base: str = "",
    ) -> None:
        self._bucket = bucket
        self._fingerprint = fingerprint
        self._naming = naming
        self._registry = ModelRegistry(switches, clock=Clock())
        if base:
            register(self._registry.model, "aws", Artifact("eu-west-1", base), channels=("production",))
        if bucket_exists:
            self._registry.model.create_bucket({"name": bucket})
        self._models: list[RegistryModel] = []
        self._numbers: dict[Hashable, int] = {}
        self._answers: dict[tuple[int, Call | DeleteBuild, datetime], tuple[int, Reply | None]] = {}
        self._contents: dict[int, Contents] = {}
        self._number_of(self._registry.model.fork())

    def __len__(self) -> int:
        return len(self._models)

    def ask(self, state: int, call: Call | DeleteBuild, now: datetime) -> tuple[int, Reply | None]:
        """Return the state after a call, and its reply (None to a deletion that went well)."""
        key = (state, call, now)
        if key not in self._answers:
            self._answers[key] = self._ask(state, call, now)
        return self._answers[key]

    def contents(self, state: int) -> Contents:
        """Return what the version holds in a state."""
        if state not in self._contents:
            model = self._models[state]
            record = model.store.get(VersionRecord, model.key(self._bucket, self._fingerprint))
            builds = None if record is None else {b.component_type: _held(b, _parent(b, model)) for b in record.builds}
            self._contents[state] = Contents(record is not None and record.complete, builds)
        return self._contents[state]

    def _ask(self, state: int, call: Call | DeleteBuild, now: datetime) -> tuple[int, Reply | None]:
        registry, model = self._registry, self._models[state].fork()
        registry.model = model
        registry.clock.now = now  # the stand-in's clock moves with each call; here time stands still between stages
        reply: Reply | None
        try:
            match call:
                case DeleteBuild():  # the product never asks for it here; negative controls do
                    registry.delete_build(call.bucket, call.fingerprint, call.build_id, DEADLINE)
                    reply = None
                case SetLabels():
                    reply = registry.update_build(call, DEADLINE)
                case _:
                    reply = ask(registry, call)
        except RegistryRefused as refusal:
            reply = refusal
        names = self._rename(model)
        if isinstance(reply, Build):
            reply = replace(reply, id=names.get(reply.id, reply.id))
        elif isinstance(reply, Version):
            builds = sorted(reply.builds, key=lambda build: build.id)
            reply = replace(reply, id=names.get(reply.id, reply.id), builds=tuple(builds))
        return self._number_of(model), reply

    def _rename(self, model: RegistryModel) -> dict[str, str]:
        """Give what the model has just made an id that says nothing but what it is; return the new ids by the old."""
        key = model.key(self._bucket, self._fingerprint)
        record = model.store.get(VersionRecord, key)
        if record is None:
            return {}
        names = {record.id: "version"}
        builds = []
        for place, build in enumerate(record.builds):
            name = build.id
            if not name.startswith("build-"):
                word = build.component_type if self._naming == "by name" else f"{place:02}-{build.component_type}"
                name = names[build.id] = f"build-{word}"
            builds.append(replace(build, id=name))
        builds.sort(key=lambda build: build.id)
        model.store.put(key, replace(record, id="version", builds=tuple(builds)))
        return names

    def _number_of(self, model: RegistryModel) -> int:
        version = model.key(self._bucket, self._fingerprint)
        key = (
            model.store.get(BucketRecord, model.key(self._bucket)) is not None,
            _identity(model.store.get(VersionRecord, version)),
            _earlier(model.store.get(Earlier, version)),
        )
        number = self._numbers.setdefault(key, len(self._models))
        if number == len(self._models):
            self._models.append(model)
        return number


def _held(build: BuildRecord, parent: str = "") -> Held:
    artifacts = frozenset((artifact.region, artifact.external_identifier) for artifact in build.artifacts)
    labels = tuple(sorted((build.labels or {}).items()))
    return Held(build.component_type, build.platform, build.status, artifacts, labels, parent)


def _parent(build: BuildRecord, model: RegistryModel) -> str:
    """Return the parent as a person would name it: version, and the channel that it was taken from."""
    version = model.version_by_id(build.parent_version_id)
    if version is None:
        return ""
    channels = model.store.scan(ChannelRecord, model.project, version.bucket)
    return " ".join(
        [version.bucket, version.name, *(channel.name for channel in channels if channel.id == build.parent_channel_id)]
    )


def _earlier(earlier: Earlier | None) -> Hashable:
    return None if earlier is None else (True, _identity(earlier.version))


def _identity(version: VersionRecord | None) -> Hashable:
    """Return what tells one state of a version from another: all that a reader can decide on."""
    if version is None:
        return None
    builds = tuple(
        (
            build.id,
            _held(build),
            len(build.artifacts),
            build.packer_run_uuid,
            build.source_external_identifier,
            build.parent_version_id,
            build.parent_channel_id,
            build.created_at,
            max((artifact.created_at for artifact in build.artifacts), default=None),
        )
        for build in version.builds
    )
    return (version.number, version.template_type, version.created_at, version.completes_at, builds)
