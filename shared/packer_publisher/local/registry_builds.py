"""The rules of builds: the platform is taken once, and the last DONE completes the version."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from packer_publisher.local import registry_bodies as read
from packer_publisher.local.registry_bodies import Body
from packer_publisher.local.registry_documents import Document, build_document
from packer_publisher.local.registry_ledger import operation
from packer_publisher.local.registry_pages import BUILD_ORDER, FIRST_PAGE, PageRequest, ordered, page
from packer_publisher.local.registry_records import Artifact, Build, Sbom, Version
from packer_publisher.local.registry_refusals import exists, invalid, not_found, precondition
from packer_publisher.local.registry_switches import AcceptOrRefuse, Switches
from packer_publisher.local.registry_versions import Versions

STATUSES = ("BUILD_UNSET", "BUILD_RUNNING", "BUILD_DONE", "BUILD_CANCELLED", "BUILD_FAILED")
SBOM_FORMATS = ("CYCLONEDX", "SPDX")
_SEALED = (
    "This version is complete. If you wish to add a new build a new version must be created by changing the "
    "build fingerprint."
)


@dataclass(frozen=True, slots=True)
class _Change:
    """The body of CreateBuild or UpdateBuild; "" and None mean not given."""

    status: str
    platform: str
    packer_run_uuid: str
    artifacts: list[tuple[str, str]]
    labels: dict[str, str]
    metadata: Any
    source: str
    parent_version_id: str
    parent_channel_id: str

    @classmethod
    def of(cls, body: Body, switches: Switches) -> _Change:
        status = read.word(body, "status", STATUSES, switches)
        return cls(
            status="" if status == STATUSES[0] else status,
            platform=read.text(body, "platform"),
            packer_run_uuid=read.text(body, "packer_run_uuid"),
            artifacts=read.artifacts(body),
            labels=read.labels(body, "labels", switches),
            metadata=read.metadata(body, "metadata"),
            source=read.text(body, "source_external_identifier"),
            parent_version_id=read.text(body, "parent_version_id"),
            parent_channel_id=read.text(body, "parent_channel_id"),
        )

    @property
    def empty(self) -> bool:
        """Return whether nothing was given: such an update is answered 200 and changes nothing."""
        return self == _Change("", "", "", [], {}, None, "", "", "")


class Builds(Versions):
    """Operations on builds and their SBOMs."""

    @operation(writes=True)
    def create_build(self, bucket: str, fingerprint: str, body: Body) -> Document:
        """CreateBuild: 400/9 in a complete version, 409/6 for a component type that is there already."""
        component_type = read.text(body, "component_type")
        # CreateBuild's body has no metadata: like every unknown field it is ignored.
        change = _Change.of({**body, "metadata": None}, self.switches)
        before = self.version_for_builds(bucket, fingerprint)
        if before.complete:
            raise precondition(_SEALED)
        if not component_type:
            raise invalid("component_type must be set.")
        if change.source and not change.parent_version_id:
            raise invalid("source_external_identifier needs parent_version_id when a build is created.")
        by_platform = self.switches.duplicate_build_key == "component_type_and_platform"
        for other in before.builds:
            same_platform = not by_platform or other.platform == change.platform
            if other.component_type == component_type and same_platform:
                raise exists(f"Error: The build with identifier {component_type} already exists.")
        now = self.clock()
        build = Build(self.new_id(now), component_type, "BUILD_UNSET", now, now, now)
        build = self._changed(build, change, now)
        build = replace(build, platform_at_create=bool(change.platform))
        version = replace(before, builds=(*before.builds, build), updated_at=now)
        version = self._with_parent(version, build, now)
        if self.switches.create_with_done_completes and build.status == "BUILD_DONE":
            version = self.completed_if_done(version, now)
        self.save_version(version, before)
        return {"build": build_document(build, version.id, metadata=True)}

    @operation()
    def get_build(self, bucket: str, fingerprint: str, build_id: str) -> Document:
        """GetBuild: 404/5 where it is missing."""
        version = self.version_for_builds(bucket, fingerprint)
        return {"build": build_document(_build(version, build_id), version.id, metadata=True)}

    @operation()
    def list_builds(self, bucket: str, fingerprint: str, request: PageRequest = FIRST_PAGE) -> Document:
        """ListBuilds, in the order of creation unless ``order_by`` says otherwise."""
        version = self.version_for_builds(bucket, fingerprint)
        shown, pagination = page(ordered(version.builds, request, BUILD_ORDER), request, self.switches)
        return {
            "builds": [build_document(build, version.id, metadata=True) for build in shown],
            "location": self.location(),
            "pagination": pagination,
        }

    @operation(writes=True)
    def update_build(self, bucket: str, fingerprint: str, build_id: str, body: Body) -> Document:
        """UpdateBuild: also the heartbeat; completes the version when all builds are DONE after it."""
        change = _Change.of(body, self.switches)
        before = self.version_for_builds(bucket, fingerprint)
        build = _build(before, build_id)
        if change.empty:
            return {"build": build_document(build, before.id, metadata=True)}
        self._check_once(build, change)
        self._check_status(build, change)
        now = self.clock()
        build = self._changed(build, change, now)
        if change.status == "BUILD_DONE" and not build.artifacts and self.switches.done_without_artifacts == "refuse":
            raise precondition("A build without artifacts can not be done.")
        builds = tuple(build if other.id == build_id else other for other in before.builds)
        version = self._with_parent(replace(before, builds=builds, updated_at=now), build, now)
        version = self.completed_if_done(version, now)
        self.save_version(version, before)
        return {"build": build_document(build, version.id, metadata=True)}

    @operation(writes=True)
    def delete_build(self, bucket: str, fingerprint: str, build_id: str) -> Document:
        """DeleteBuild: a complete version keeps its name, whatever is left of it."""
        before = self.version_for_builds(bucket, fingerprint)
        if not any(build.id == build_id for build in before.builds):
            # Without "Error:" in front, unlike all others: so the live service was seen to answer.
            raise not_found(f"The build with identifier {build_id} does not exist.")
        if before.complete and self.switches.delete_build_on_complete == "refuse":
            raise precondition("This version is complete, its builds can not be deleted.")
        now = self.clock()
        builds = tuple(build for build in before.builds if build.id != build_id)
        version = replace(before, builds=builds, updated_at=now)
        if self.switches.delete_last_open_build_completes:
            version = self.completed_if_done(version, now)
        self.save_version(version, before)
        return {}

    def _check_once(self, build: Build, change: _Change) -> None:
        """Refuse what may be set only once: the platform, even with the same value, and the parents."""
        resent: AcceptOrRefuse = (
            self.switches.platform_resent_after_create
            if build.platform_at_create
            else self.switches.platform_resent_same
        )
        once = (
            ("Platform", build.platform, change.platform, resent),
            (
                "Parent Version ID",
                build.parent_version_id,
                change.parent_version_id,
                self.switches.parents_resent_same,
            ),
            (
                "Parent Channel ID",
                build.parent_channel_id,
                change.parent_channel_id,
                self.switches.parents_resent_same,
            ),
        )
        for name, old, new, same in once:
            if old and new and (old != new or same == "refuse"):
                raise exists(f"You cannot override a build's {name} if it has already been set.")

    def _check_status(self, build: Build, change: _Change) -> None:
        if build.status == "BUILD_DONE" and self.switches.updates_after_done == "refuse":
            raise precondition("This build is done and can not be updated.")
        # A build that failed or was cancelled may always go on: Packer resumes it with the same fingerprint.
        jump = change.status == "BUILD_DONE" and build.status == "BUILD_UNSET"
        if jump and self.switches.unset_to_done == "refuse":
            raise precondition("A build must be running before it is done.")

    def _changed(self, build: Build, change: _Change, now: datetime) -> Build:
        labels = change.labels or dict(build.labels or {})
        if change.labels and self.switches.labels_on_update == "merge":
            labels = {**(build.labels or {}), **change.labels}
        return replace(
            build,
            status=change.status or build.status,
            platform=change.platform or build.platform,
            packer_run_uuid=change.packer_run_uuid or build.packer_run_uuid,
            artifacts=self._artifacts(build, change, now),
            labels=labels,
            metadata=change.metadata or build.metadata,
            source_external_identifier=change.source or build.source_external_identifier,
            parent_version_id=change.parent_version_id or build.parent_version_id,
            parent_channel_id=change.parent_channel_id or build.parent_channel_id,
            updated_at=now,
            seen_at=now,
        )

    def _artifacts(self, build: Build, change: _Change, now: datetime) -> tuple[Artifact, ...]:
        if not change.artifacts:
            return build.artifacts
        result = [] if self.switches.artifacts_on_update == "replace" else list(build.artifacts)
        for identifier, region in change.artifacts:
            regions = {artifact.region for artifact in result if artifact.external_identifier == identifier}
            if region in regions and self.switches.repeated_artifact != "double":
                if self.switches.repeated_artifact == "ignore":
                    continue
                raise exists(f"Error: The artifact with identifier {identifier} already exists.")
            if regions - {region} and self.switches.same_identifier_twice == "refuse":
                raise exists(f"Error: The artifact with identifier {identifier} already exists.")
            result.append(Artifact(self.new_id(now), identifier, region, now))
        return tuple(result)

    def _with_parent(self, version: Version, build: Build, now: datetime) -> Version:
        """Return the version after its parent was told of it; a child of a revoked parent is revoked too."""
        if build.parent_channel_id and not build.parent_version_id:
            raise invalid("parent_channel_id needs parent_version_id.")
        if not build.parent_version_id:
            return version
        parent = self.version_by_id(build.parent_version_id)
        if parent is None:
            raise not_found(f"Error: The version with identifier {build.parent_version_id} does not exist.")
        if version.id not in parent.children and parent.id != version.id:
            self.put_version(replace(parent, children=(*parent.children, version.id)))
            self.put_bucket(replace(self.bucket(parent.bucket), parent=True))
        if parent.revoked and not parent.skip_descendants and not version.revoked:
            return replace(
                version,
                revoked=True,
                revoke_at=now,
                revocation_message=parent.revocation_message,
                revocation_author=parent.revocation_author,
                revoked_with=parent.revoked_with or parent.id,
            )
        return version

    # SBOMs

    @operation(writes=True)
    def upload_sbom(self, bucket: str, fingerprint: str, build_id: str, body: Body) -> Document:
        """UploadSbom: only while the build is RUNNING. What is in it is not looked at: it is zstd."""
        before = self.version_for_builds(bucket, fingerprint)
        build = _build(before, build_id)
        form = read.word(body, "format", SBOM_FORMATS, self.switches)
        if build.status != "BUILD_RUNNING":
            raise invalid("This build's status isn't Running, so sboms can not be uploaded")
        compressed = read.content(body, "compressed_sbom")
        if not compressed:
            raise invalid("sbom contains no packages")
        now = self.clock()
        new_id = self.new_id(now)
        name = read.text(body, "name")
        sbom = Sbom(new_id, read.checked_name("sbom", name) if name else new_id, form, compressed)
        if any(other.name == sbom.name for other in build.sboms):
            raise exists(f"Error: The sbom with identifier {sbom.name} already exists.")
        build = replace(build, sboms=(*build.sboms, sbom), seen_at=now)
        builds = tuple(build if other.id == build_id else other for other in before.builds)
        self.save_version(replace(before, builds=builds), before)
        return {"sbom": _sbom_document(sbom)}

    @operation()
    def list_sboms(self, bucket: str, fingerprint: str, build_id: str) -> Document:
        """ListSboms; there are no pages."""
        build = _build(self.version_for_builds(bucket, fingerprint), build_id)
        return {"sboms": [_sbom_document(sbom) for sbom in build.sboms]}


def _build(version: Version, build_id: str) -> Build:
    for build in version.builds:
        if build.id == build_id:
            return build
    raise not_found(f"Error: The build with identifier {build_id} does not exist.")


def _sbom_document(sbom: Sbom) -> Document:
    return {"id": sbom.id, "name": sbom.name, "format": sbom.format}
