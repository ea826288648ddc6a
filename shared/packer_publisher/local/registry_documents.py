"""The JSON documents of the API, made from records (hcp.swagger.json of cloud-packer-service 2023-01-01)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from packer_publisher.local.registry_records import Bucket, Build, Channel, RegistryState, Version

Document = dict[str, Any]


def stamp(at: datetime | None, digits: int = 6) -> str | None:
    """Return RFC 3339 in UTC; the live service mixes 3, 6 and 9 fractional digits in one document."""
    if at is None:
        return None
    whole = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{f'{at.microsecond:06d}000'[:digits]}Z"


def build_document(build: Build, version_id: str, *, metadata: bool) -> Document:
    """Return a build; its parents are never told, its metadata only where ``metadata`` says so."""
    document: Document = {
        "id": build.id,
        "version_id": version_id,
        "component_type": build.component_type,
        "packer_run_uuid": build.packer_run_uuid,
        "platform": build.platform,
        "status": build.status,
        "artifacts": [
            {
                "id": artifact.id,
                "external_identifier": artifact.external_identifier,
                "region": artifact.region,
                "created_at": stamp(artifact.created_at, 9),
            }
            for artifact in build.artifacts
        ],
        "labels": dict(build.labels or {}),
        "source_external_identifier": build.source_external_identifier,
        "created_at": stamp(build.created_at),
        "updated_at": stamp(build.updated_at),
    }
    if metadata:
        document["metadata"] = build.metadata
    return document


def version_status(version: Version, priority: str, empty: str) -> str:
    """Return the status word: of the builds while the version is ``v0``, of its revocation afterwards."""
    if version.revoked:
        return "VERSION_REVOKED"
    if version.complete:
        return "VERSION_REVOCATION_SCHEDULED" if version.revoke_at else "VERSION_ACTIVE"
    statuses = {build.status for build in version.builds}
    if statuses <= {"BUILD_UNSET"}:
        return empty
    words = [
        ("BUILD_RUNNING", "VERSION_RUNNING"),
        ("BUILD_FAILED", "VERSION_FAILED"),
        ("BUILD_CANCELLED", "VERSION_CANCELLED"),
    ]
    if priority == "failed":
        words.insert(0, words.pop(1))
    if priority == "incomplete" and "BUILD_DONE" in statuses:
        return "VERSION_INCOMPLETE"
    return next((word for status, word in words if status in statuses), "VERSION_INCOMPLETE")


def version_document(
    version: Version, *, status: str, builds: list[Document], parents: Document, inherited: Document | None
) -> Document:
    """Return a version with the builds that the caller wants to show."""
    revocation = "REVOCATION_TYPE_UNSET"
    if version.revoke_at is not None:
        revocation = "INHERITED" if version.revoked_with else "MANUAL"
    return {
        "id": version.id,
        "bucket_name": version.bucket,
        "name": version.name,
        "status": status,
        "author_id": version.author,
        "fingerprint": version.fingerprint,
        "template_type": version.template_type,
        "builds": builds,
        "has_descendants": bool(version.children),
        "parents": parents,
        "revoke_at": stamp(version.revoke_at),
        "revocation_message": version.revocation_message,
        "revocation_author": version.revocation_author,
        "revocation_type": revocation,
        "revocation_inherited_from": inherited,
        "created_at": stamp(version.created_at),
        "updated_at": stamp(version.updated_at),
    }


def channel_document(channel: Channel, version: Document | None) -> Document:
    """Return a channel with its nested version: data sources read the artifacts from there."""
    return {
        "id": channel.id,
        "name": channel.name,
        "bucket_name": channel.bucket,
        "author_id": channel.author,
        "managed": channel.managed,
        "restricted": channel.restricted,
        "version": version,
        "created_at": stamp(channel.created_at, 3),
        "updated_at": stamp(channel.updated_at, 3),
    }


def bucket_document(bucket: Bucket, location: Document, latest: Document | None, platforms: list[str]) -> Document:
    """Return a bucket without its relatives; ``version_count`` is a 64-bit counter and travels as text."""
    return {
        "id": bucket.id,
        "name": bucket.name,
        "resource_name": f"packer/project/{location['project_id']}/bucket/{bucket.name}",
        "location": location,
        "description": bucket.description,
        "labels": dict(bucket.labels),
        "platforms": platforms,
        "version_count": str(bucket.versions),
        "latest_version": latest,
        "created_at": stamp(bucket.created_at, 3),
        "updated_at": stamp(bucket.updated_at, 3),
    }


def registry_document(state: RegistryState, location: Document) -> Document:
    """Return the registry of a project."""
    return {
        "id": state.id,
        "location": location,
        "config": {
            "activated": state.activated,
            "feature_tier": state.feature_tier,
            "billing_deprovision": None,
            "tfc_run_task_config": None,
        },
        "created_at": stamp(state.created_at),
        "updated_at": stamp(state.updated_at),
    }


def operation_document(operation_id: str, location: Document, at: datetime) -> Document:
    """Return a long-running operation; here each is done when it is answered."""
    return {
        "id": operation_id,
        "state": "DONE",
        "error": None,
        "response": None,
        "link": None,
        "location": location,
        "created_at": stamp(at),
        "updated_at": stamp(at),
    }
