"""The local registry's model as publishing sees a registry, without HTTP in between: for very many runs.

Bodies and decoding are those of the real client; only the wire is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from packer_publisher.deadline import Deadline
from packer_publisher.errors import RegistryRefused
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_pages import PageRequest
from packer_publisher.local.registry_refusals import Refusal
from packer_publisher.local.registry_store import MemoryStore
from packer_publisher.local.registry_switches import Switches
from packer_publisher.registry import decoding
from packer_publisher.registry.records import Revoke
from packer_publisher.registry.versions import change_body, update_body
from packer_publisher.snapshot import Bucket, Build, Channel, FoundArtifact, Version
from packer_publisher.steps import CreateBuild, FillBuild, SetLabels, SetStatus
from tests.simulation.world import T0
from tests.switches import fresh, setting


class Clock:
    """A clock that a test sets forward."""

    def __init__(self, now: datetime = T0) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


def look(model: RegistryModel, bucket: str, fingerprint: str) -> Version:
    """Return a version as it stands: no call of anybody's, and no read that is behind."""
    try:
        document = fresh(model).get_version(bucket, fingerprint)["version"]
    except Refusal:
        return Version(bucket, fingerprint, read_at=model.clock())
    return decoding.version(document, bucket, fingerprint, model.clock(), fresh=True)


class ModelRegistry:
    """A Registry over the model; ``log`` holds the operations in order."""

    def __init__(self, switches: Switches | None = None, seed: int = 0, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.model = RegistryModel(store=MemoryStore(), clock=self.clock, switches=switches or setting(), seed=seed)
        self.log: list[str] = []

    @property
    def calls(self) -> int:
        return len(self.log)

    def _ask(self, name: str, operation: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
        self.log.append(name)
        self.clock.now += timedelta(milliseconds=50)
        try:
            return operation(*arguments)
        except Refusal as refusal:
            raise RegistryRefused(refusal.message, code=refusal.code, status=refusal.status) from None

    def look(self, bucket: str, fingerprint: str) -> Version:
        """Return a version as it stands: no call of anybody's, and no read that is behind."""
        return look(self.model, bucket, fingerprint)

    def lag(self) -> None:
        """Let the time pass by which completion lags behind the last DONE."""
        self.clock.forward(seconds=self.model.switches.completion_lag)

    def is_active(self, deadline: Deadline, project: str | None = None) -> bool:
        return bool(self._ask("GetRegistry", self.model.get_registry)["registry"]["config"]["activated"])

    def get_version(self, bucket: str, fingerprint: str, deadline: Deadline, project: str | None = None) -> Version:
        try:
            document = self._ask("GetVersion", self.model.get_version, bucket, fingerprint)
        except RegistryRefused as refusal:
            if refusal.code in (5, 10):
                return Version(bucket, fingerprint, read_at=self.clock())
            raise
        return decoding.version(document["version"], bucket, fingerprint, self.clock(), fresh=True)

    def create_version(
        self, bucket: str, fingerprint: str, template_type: str, deadline: Deadline, project: str | None = None
    ) -> Version:
        body = {"fingerprint": fingerprint, "template_type": template_type}
        document = self._ask("CreateVersion", self.model.create_version, bucket, body)
        return decoding.version(document["version"], bucket, fingerprint, self.clock(), fresh=False)

    def get_bucket(self, bucket: str, deadline: Deadline, project: str | None = None) -> Bucket:
        try:
            return decoding.bucket(self._ask("GetBucket", self.model.get_bucket, bucket)["bucket"], bucket)
        except RegistryRefused as refusal:
            if refusal.code == 5:
                return Bucket(bucket, exists=False)
            raise

    def list_buckets(self, deadline: Deadline, project: str | None = None) -> tuple[Bucket, ...]:
        found: list[Bucket] = []
        token = ""
        while True:
            document = self._ask("ListBuckets", self.model.list_buckets, PageRequest(next_token=token))
            found += [decoding.bucket(entry, entry["name"]) for entry in document["buckets"]]
            token = document["pagination"]["next_page_token"]
            if not token:
                return tuple(found)

    def list_versions(self, bucket: str, deadline: Deadline, project: str | None = None) -> tuple[Version, ...]:
        found: list[Version] = []
        token = ""
        while True:
            document = self._ask("ListVersions", self.model.list_versions, bucket, PageRequest(next_token=token))
            found += [decoding.version(entry, bucket, "", None, fresh=False) for entry in document["versions"]]
            token = document["pagination"]["next_page_token"]
            if not token:
                return tuple(found)

    def create_bucket(
        self,
        bucket: str,
        description: str,
        labels: tuple[tuple[str, str], ...],
        deadline: Deadline,
        project: str | None = None,
    ) -> Bucket:
        body = {"name": bucket, "description": description, "labels": dict(labels)}
        return decoding.bucket(self._ask("CreateBucket", self.model.create_bucket, body)["bucket"], bucket)

    def update_bucket(
        self,
        bucket: str,
        description: str,
        labels: tuple[tuple[str, str], ...],
        deadline: Deadline,
        project: str | None = None,
    ) -> Bucket:
        body = {"description": description, "labels": dict(labels)}
        return decoding.bucket(self._ask("UpdateBucket", self.model.update_bucket, bucket, body)["bucket"], bucket)

    def revoke_version(
        self, bucket: str, fingerprint: str, message: str, deadline: Deadline, project: str | None = None
    ) -> Version:
        body = change_body(Revoke(message, descendants=False, roll_back_channels=False))
        document = self._ask("UpdateVersion", self.model.update_version, bucket, fingerprint, body)
        return decoding.version(document["version"], bucket, fingerprint, self.clock(), fresh=False)

    def search_artifact(
        self,
        external_identifier: str,
        platform: str,
        deadline: Deadline,
        project: str | None = None,
        *,
        limit: int | None = None,
    ) -> tuple[FoundArtifact, ...]:
        body = {"external_identifier": external_identifier, "platform": platform}
        document = self._ask("SearchExternalArtifact", self.model.search_external_artifact, body)
        return tuple(map(decoding.found_artifact, document["artifacts"][:limit]))

    def list_channels(self, bucket: str, deadline: Deadline, project: str | None = None) -> tuple[Channel, ...]:
        document = self._ask("ListChannels", self.model.list_channels, bucket)
        return tuple(map(decoding.channel, document["channels"]))

    def get_channel(self, bucket: str, channel: str, deadline: Deadline, project: str | None = None) -> Channel | None:
        try:
            return decoding.channel(self._ask("GetChannel", self.model.get_channel, bucket, channel)["channel"])
        except RegistryRefused as refusal:
            if refusal.code == 5:
                return None
            raise

    def create_channel(
        self,
        bucket: str,
        channel: str,
        deadline: Deadline,
        project: str | None = None,
        *,
        version_fingerprint: str = "",
    ) -> Channel:
        body = {"name": channel, "version_fingerprint": version_fingerprint}
        return decoding.channel(self._ask("CreateChannel", self.model.create_channel, bucket, body)["channel"])

    def update_channel(
        self,
        bucket: str,
        channel: str,
        deadline: Deadline,
        project: str | None = None,
        *,
        version_fingerprint: str | None = None,
    ) -> Channel:
        body = {"version_fingerprint": version_fingerprint, "update_mask": "versionFingerprint"}
        document = self._ask("UpdateChannel", self.model.update_channel, bucket, channel, body)
        return decoding.channel(document["channel"])

    def create_build(self, step: CreateBuild, deadline: Deadline, project: str | None = None) -> Build:
        body = {"component_type": step.component_type, "status": "BUILD_UNSET", "labels": dict(step.labels)}
        document = self._ask("CreateBuild", self.model.create_build, step.bucket, step.fingerprint, body)
        return decoding.build(document["build"])

    def update_build(
        self, step: FillBuild | SetStatus | SetLabels, deadline: Deadline, project: str | None = None
    ) -> Build:
        body = update_body(step)
        document = self._ask("UpdateBuild", self.model.update_build, step.bucket, step.fingerprint, step.build_id, body)
        return decoding.build(document["build"])

    def delete_build(
        self, bucket: str, fingerprint: str, build_id: str, deadline: Deadline, project: str | None = None
    ) -> None:
        self._ask("DeleteBuild", self.model.delete_build, bucket, fingerprint, build_id)
