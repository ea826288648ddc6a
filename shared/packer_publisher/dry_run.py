"""Predicting replies: the same flow as for real, but nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from packer_publisher.channels import PREDICTED
from packer_publisher.converge import NOT_FOUND, Reply
from packer_publisher.errors import RegistryRefused
from packer_publisher.snapshot import Bucket, Build, BuildStatus, Channel, Version, label_pairs
from packer_publisher.steps import (
    AssignChannel,
    Call,
    CreateBucket,
    CreateBuild,
    CreateChannel,
    CreateVersion,
    FillBuild,
    FindParent,
    ReadBucket,
    ReadChannel,
    ReadVersion,
    SetLabels,
    SetStatus,
)


class Prediction:
    """What the registry would say if the writes so far had been made.

    Reads go to the registry once; after the first predicted write the version is what was predicted. Identifiers of
    predicted builds are ``(new) <component type>``.
    """

    def __init__(self) -> None:
        self._version: Version | None = None
        self._bucket_made = False
        self._channels: dict[str, Channel] = {}

    def reply(self, call: Call, ask: Callable[[Call], Reply]) -> Reply:
        """Return the registry's answer to a read, or the predicted answer to a write."""
        match call:
            case ReadVersion():
                if self._version is None or not self._version.exists:
                    answer = ask(call)
                    self._version = answer if isinstance(answer, Version) else None
                    return answer
                return replace(self._version, fresh=True, settled=False)
            case ReadBucket() | FindParent():
                return ask(call)
            case CreateBucket():
                self._bucket_made = True
                return Bucket(call.bucket, description=call.description, labels=call.labels)
            case CreateVersion():
                return self._create_version(call, ask)
            case CreateBuild() | FillBuild() | SetStatus() | SetLabels():
                return self._write_build(call)
            case ReadChannel():
                return self._channels.get(call.channel) or ask(call)
            case CreateChannel() | AssignChannel():
                name = self._version.name if self._version else ""
                self._channels[call.channel] = Channel(
                    call.channel, version_fingerprint=call.fingerprint, version_name=name
                )
                return self._channels[call.channel]
            case _:
                raise TypeError(f"{type(call).__name__} is not for the registry")

    def _create_version(self, call: CreateVersion, ask: Callable[[Call], Reply]) -> Reply:
        if not self._bucket_made:
            bucket = ask(ReadBucket(call.bucket))
            if isinstance(bucket, Bucket) and not bucket.exists:
                raise RegistryRefused(f"bucket {call.bucket} does not exist", code=NOT_FOUND, status=404)
        read_at = self._version.read_at if self._version else None
        self._version = Version(
            call.bucket,
            call.fingerprint,
            exists=True,
            name="v0",
            template_type=call.template_type,
            created_at=read_at,
            read_at=read_at,
        )
        return self._version

    def _write_build(self, call: CreateBuild | FillBuild | SetStatus | SetLabels) -> Build:
        version = self._version
        if version is None:
            raise TypeError("a build is written after its version was read")
        match call:
            case CreateBuild():
                build = Build(
                    f"(new) {call.component_type}",
                    call.component_type,
                    labels=label_pairs(call.labels),
                    created_at=version.read_at,
                )
            case FillBuild():
                build = replace(
                    self._build(version, call.build_id),
                    status=call.status,
                    platform=call.platform,
                    artifacts=frozenset(call.artifacts),
                    labels=label_pairs(call.labels),
                    source_external_identifier=call.source_external_identifier,
                    artifacts_created_at=version.read_at,
                )
            case SetLabels():
                build = replace(self._build(version, call.build_id), labels=label_pairs(call.labels))
            case SetStatus():
                build = replace(self._build(version, call.build_id), status=call.status)
        version = version.with_build(build)
        if all(other.status is BuildStatus.DONE for other in version.builds):
            version = replace(version, name=PREDICTED, status="VERSION_ACTIVE")
        self._version = version
        return build

    @staticmethod
    def _build(version: Version, build_id: str) -> Build:
        return next(build for build in version.builds if build.id == build_id)
