"""Versions and their builds."""

from __future__ import annotations

from typing import Any

from packer_publisher.deadline import Deadline
from packer_publisher.errors import OutcomeUnknown, RegistryRefused, RegistryTrouble
from packer_publisher.registry import decoding
from packer_publisher.registry.operations import (
    Operations,
    Place,
    bucket_place,
    build_place,
    ignored,
    version_place,
)
from packer_publisher.registry.records import Complete, Restore, Revoke, VersionChange
from packer_publisher.registry.transport import ABORTED, NOT_FOUND, Call, Reply
from packer_publisher.registry.wording import excerpt
from packer_publisher.snapshot import Build, BuildStatus, Version
from packer_publisher.steps import CreateBuild, FillBuild, SetLabels, SetStatus

WAIT_SECONDS = 5
"""How long HCP holds one request for an operation that is not done yet; well below the limit of a call."""


class VersionOperations(Operations):
    """What concerns one version of a bucket, or all of them."""

    def get_version(self, bucket: str, fingerprint: str, deadline: Deadline, project: str | None = None) -> Version:
        """Return the version with its builds, in one request; none gives one with ``exists=False``.

        HCP answers an unknown fingerprint with 409 and code 10 (hashicorp/packer decides on that very code), and a
        missing bucket with 404 and code 5.
        """
        return self._read(
            "GetVersion",
            version_place(bucket, fingerprint),
            lambda reply: (
                Version(bucket, fingerprint, read_at=reply.at)
                if reply.document is None
                else decoding.version(
                    decoding.member(reply.document, "version"), bucket, fingerprint, reply.at, fresh=True
                )
            ),
            deadline,
            project,
            frozenset({ABORTED, NOT_FOUND}),
        )

    def create_version(
        self, bucket: str, fingerprint: str, template_type: str, deadline: Deadline, project: str | None = None
    ) -> Version:
        """Create and return the version (``fresh=False``).

        Raises RegistryRefused with code 6 when there is one, with code 5 when the bucket is missing.
        """
        body = {"fingerprint": fingerprint}
        if template_type != "TEMPLATE_TYPE_UNSET":  # left out is how the Terraform provider's tests leave it unset
            body["template_type"] = template_type
        return self._write(
            "CreateVersion",
            "POST",
            version_place(bucket, fingerprint).at(bucket_place(bucket).inside("versions")),
            body,
            lambda reply: decoding.version(
                decoding.member(reply.body, "version"), bucket, fingerprint, reply.at, fresh=False
            ),
            deadline,
            project,
        )

    def update_version(
        self,
        bucket: str,
        fingerprint: str,
        change: VersionChange,
        deadline: Deadline,
        project: str | None = None,
    ) -> Version:
        """Complete, revoke or restore a version and return it, once HCP has finished doing so.

        An immediate revocation is an operation that takes its time; OutcomeUnknown when it is not done in time.
        """
        place = version_place(bucket, fingerprint)

        def decode(reply: Reply) -> tuple[Version | None, str]:
            operation = decoding.optional(reply.body, "operation") or {}
            done = decoding.text(operation, "state") in ("", "DONE")
            document = decoding.optional(reply.body, "version")
            changed = (
                None if document is None else decoding.version(document, bucket, fingerprint, reply.at, fresh=False)
            )
            return changed, "" if done else decoding.text(operation, "id")

        version, pending = self._write("UpdateVersion", "PATCH", place, change_body(change), decode, deadline, project)
        if pending:
            self._wait(place, pending, deadline, project)
        if version is None or pending:
            return self.get_version(bucket, fingerprint, deadline, project)
        return version

    def revoke_version(
        self, bucket: str, fingerprint: str, message: str, deadline: Deadline, project: str | None = None
    ) -> Version:
        """Revoke a complete version at once and return it: it alone, and channels that users assigned stay.

        Raises RegistryRefused with code 9 where it is revoked already or not complete, OutcomeUnknown as
        :meth:`update_version`.
        """
        change = Revoke(message, descendants=False, roll_back_channels=False)
        return self.update_version(bucket, fingerprint, change, deadline, project)

    def delete_version(self, bucket: str, fingerprint: str, deadline: Deadline, project: str | None = None) -> None:
        """Delete the version; RegistryRefused with code 9 while a channel points to it, with 5 if there is none."""
        self._write("DeleteVersion", "DELETE", version_place(bucket, fingerprint), None, ignored, deadline, project)

    def list_versions(
        self, bucket: str, deadline: Deadline, project: str | None = None, *, limit: int | None = None
    ) -> tuple[Version, ...]:
        """Return the versions of a bucket, newest first, at most ``limit``.

        Whether HCP lists builds here is not known: use get_version or list_builds for them.
        """
        return self._list(
            "ListVersions",
            bucket_place(bucket).inside("versions"),
            "versions",
            lambda item: decoding.version(item, bucket, "", None, fresh=False),
            deadline,
            project,
            query=(("sorting.order_by", "created_at desc"),),
            limit=limit,
        )

    def list_builds(
        self, bucket: str, fingerprint: str, deadline: Deadline, project: str | None = None
    ) -> tuple[Build, ...]:
        """Return all builds of a version."""
        place = version_place(bucket, fingerprint).inside("builds")
        return self._list("ListBuilds", place, "builds", decoding.build, deadline, project)

    def create_build(self, step: CreateBuild, deadline: Deadline, project: str | None = None) -> Build:
        """Create and return an empty, UNSET build.

        Raises RegistryRefused with code 6 when the version has one of this component type, with code 9 when it is
        complete.
        """
        place = version_place(step.bucket, step.fingerprint)
        return self._write(
            "CreateBuild",
            "POST",
            place.inside("builds", words=f"build {step.component_type!r}"),
            {
                "component_type": step.component_type,
                "status": BuildStatus.UNSET.value,
                "labels": dict(step.labels),
            },
            _build,
            deadline,
            project,
        )

    def update_build(
        self, step: FillBuild | SetStatus | SetLabels, deadline: Deadline, project: str | None = None
    ) -> Build:
        """Fill a build, or set its status, in one request, and return it.

        Raises RegistryRefused with code 6 when another writer has set the platform.
        """
        place = build_place(step.bucket, step.fingerprint, step.build_id, step.component_type)
        return self._write("UpdateBuild", "PATCH", place, update_body(step), _build, deadline, project)

    def delete_build(
        self, bucket: str, fingerprint: str, build_id: str, deadline: Deadline, project: str | None = None
    ) -> None:
        """Delete a build; RegistryRefused with code 5 if there is none."""
        place = build_place(bucket, fingerprint, build_id)
        self._write("DeleteBuild", "DELETE", place, None, ignored, deadline, project)

    def _wait(self, place: Place, operation_id: str, deadline: Deadline, project: str | None) -> None:
        what = f"UpdateVersion of {place.words}"
        unfinished = f"{what}: HCP has begun the change, but had not finished it when the time was over."
        call = Call(
            operation="WaitForOperation",
            about=place.words,
            method="GET",
            path=f"/operation/2020-05-05{self._tenant_path(deadline, project)}"
            f"{Place(('operations', operation_id, 'wait'), '').path}",
            query=(("timeout", f"{WAIT_SECONDS}s"),),
        )
        while True:
            try:
                reply = self._transport.send(call, deadline)
                operation = decoding.member(reply.body, "operation")
                state = decoding.text(operation, "state")
                failure = decoding.optional(operation, "error")
            except RegistryTrouble as error:  # the change itself was accepted already
                raise OutcomeUnknown(f"{unfinished} {error}", remedy="Read the version to see.") from error
            if state == "DONE":
                break
            if not deadline.pause(1.0):  # a server that does not hold the request is not asked in a tight loop
                raise OutcomeUnknown(unfinished, remedy="Read the version to see.")
        if failure is not None and failure.get("code"):
            code = failure["code"]
            said = excerpt(decoding.text(failure, "message")).rstrip(".")
            raise RegistryRefused(
                f"{what}: HCP could not do it (code {code}): {said}.",
                code=code if isinstance(code, int) else 0,
                status=200,
            )


def update_body(step: FillBuild | SetStatus | SetLabels) -> dict[str, Any]:
    """Return the body of UpdateBuild: what is not known is left out, as Packer's own client leaves it out."""
    if isinstance(step, SetLabels):
        return {"labels": dict(step.labels)}
    body: dict[str, Any] = {"status": step.status.value}
    if isinstance(step, SetStatus):
        return body
    body["platform"] = step.platform
    body["packer_run_uuid"] = decoding.NO_RUN
    body["artifacts"] = [
        {"external_identifier": artifact.external_identifier, "region": artifact.region} for artifact in step.artifacts
    ]
    body["labels"] = dict(step.labels)
    if step.source_external_identifier:
        body["source_external_identifier"] = step.source_external_identifier
    if step.parent_version_id:
        body["parent_version_id"] = step.parent_version_id
        if step.parent_channel_id:  # it needs the version
            body["parent_channel_id"] = step.parent_channel_id
    if step.metadata is not None:
        body["metadata"] = step.metadata.document
    return body


def _build(reply: Reply) -> Build:
    return decoding.build(decoding.member(reply.body, "build"))


def change_body(change: VersionChange) -> dict[str, Any]:
    """Return the body of UpdateVersion."""
    match change:
        case Complete():
            return {"complete": True}
        case Restore():
            return {"restore": True}
        case Revoke():
            return {
                "revoke_in": change.after,
                "revocation_message": change.message,
                "skip_descendants_revocation": not change.descendants,
                "disable_rollback_channels": not change.roll_back_channels,
            }
