"""The documents that the operations answer with, as JSON Schema: exactly the members that the registry sends.

Names and members are those of the published description (hcp.swagger.json of cloud-packer-service 2023-01-01, and of
the services beside it); what is always sent is required here, and nothing else is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from packer_publisher.local.registry_bodies import METADATA, NAME
from packer_publisher.local.registry_builds import SBOM_FORMATS, STATUSES
from packer_publisher.local.registry_model import TIERS
from packer_publisher.local.registry_versions import TEMPLATE_TYPES

Schema = dict[str, Any]

VERSION_STATUSES = (
    "VERSION_RUNNING",
    "VERSION_CANCELLED",
    "VERSION_FAILED",
    "VERSION_REVOKED",
    "VERSION_REVOCATION_SCHEDULED",
    "VERSION_ACTIVE",
    "VERSION_INCOMPLETE",
)


def ref(name: str) -> Schema:
    """Return a reference to one of the documents."""
    return {"$ref": f"#/components/schemas/{name}"}


def _document(**members: Schema) -> Schema:
    return {"type": "object", "properties": members, "required": sorted(members), "additionalProperties": False}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _list(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _word(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_NOTHING: Schema = {"type": "null"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_ID: Schema = {"type": "string", "pattern": "^[0-7][0-9A-HJKMNP-TV-Z]{25}$"}  # a ULID
_UUID: Schema = {"type": "string", "format": "uuid"}
_LABELS: Schema = {"type": "object", "additionalProperties": _TEXT}
_VERSION_NAME: Schema = {"type": "string", "pattern": "^v(0|[1-9][0-9]*)$"}
_BUCKET_NAME: Schema = {"type": "string", "pattern": f"^{NAME}$"}
_ANCESTRY = _word("UNDETERMINED", "UP_TO_DATE", "OUT_OF_DATE")
_ANY_OBJECT: Schema = {"type": ["object", "null"]}
_RELATIVES = _document(href=_TEXT, status=_ANCESTRY)

_REVOCATION: Mapping[str, Schema] = {
    "revoke_at": _or_null(_TIME),
    "revocation_message": _TEXT,
    "revocation_author": _TEXT,
    "revocation_type": _word("REVOCATION_TYPE_UNSET", "MANUAL", "INHERITED"),
}

_BUILD = _document(
    id=_ID,
    version_id=_ID,
    component_type=_TEXT,
    packer_run_uuid=_TEXT,
    platform=_TEXT,
    status=_word(*STATUSES),
    artifacts=_list(ref("Artifact")),
    labels=_LABELS,
    source_external_identifier=_TEXT,
    created_at=_TIME,
    updated_at=_TIME,
)
# Only the operations on builds, and those that answer with one version, tell it.
_METADATA = _or_null(_document(**dict.fromkeys(METADATA, _ANY_OBJECT)))

SCHEMAS: Mapping[str, Schema] = {
    "Status": _document(
        code={"type": "integer"},
        message=_TEXT,
        details=_list({"type": "object", "required": ["@type"], "properties": {"@type": _TEXT}}),
    ),
    "Pagination": _document(next_page_token=_TEXT, previous_page_token=_TEXT),
    "Location": _document(organization_id=_UUID, project_id=_UUID, region=_NOTHING),
    "Artifact": _document(id=_ID, external_identifier=_TEXT, region=_TEXT, created_at=_TIME),
    "Build": {**_BUILD, "properties": {**_BUILD["properties"], "metadata": _METADATA}},
    "Sbom": _document(id=_ID, name=_TEXT, format=_word(*SBOM_FORMATS)),
    "RevokedAncestor": _document(
        href=_TEXT, bucket_name=_BUCKET_NAME, version_name=_VERSION_NAME, version_id=_ID, version_fingerprint=_TEXT
    ),
    "Version": _document(
        id=_ID,
        bucket_name=_BUCKET_NAME,
        name=_VERSION_NAME,
        status=_word(*VERSION_STATUSES),
        author_id=_TEXT,
        fingerprint=_TEXT,
        template_type=_word(*TEMPLATE_TYPES),
        builds=_list(ref("Build")),
        has_descendants=_FLAG,
        parents=_RELATIVES,
        **_REVOCATION,
        revocation_inherited_from=_or_null(ref("RevokedAncestor")),
        created_at=_TIME,
        updated_at=_TIME,
    ),
    "Channel": _document(
        id=_ID,
        name=_TEXT,
        bucket_name=_BUCKET_NAME,
        author_id=_TEXT,
        managed=_FLAG,
        restricted=_FLAG,
        version=_or_null(ref("Version")),
        created_at=_TIME,
        updated_at=_TIME,
    ),
    "ChannelAssignment": _document(assigned_at=_TIME, author_id=_TEXT, version=_or_null(ref("Version"))),
    "Bucket": _document(
        id=_ID,
        name=_BUCKET_NAME,
        resource_name=_TEXT,
        location=ref("Location"),
        description=_TEXT,
        labels=_LABELS,
        platforms=_list(_TEXT),
        version_count={"type": "string", "pattern": "^[0-9]+$", "format": "int64"},
        latest_version=_or_null(ref("Version")),
        parents=_RELATIVES,
        children=_RELATIVES,
        created_at=_TIME,
        updated_at=_TIME,
    ),
    "BucketAncestry": _document(
        parent=_document(
            bucket_name=_BUCKET_NAME,
            channel_name=_TEXT,
            channel_version=_or_null(_document(id=_ID, fingerprint=_TEXT, name=_VERSION_NAME)),
            version_id=_ID,
            version_fingerprint=_TEXT,
            version_name=_VERSION_NAME,
        ),
        child=_document(
            bucket_name=_BUCKET_NAME, version_id=_ID, version_fingerprint=_TEXT, version_name=_VERSION_NAME
        ),
        status=_ANCESTRY,
    ),
    "ExternalArtifact": _document(
        bucket=_document(id=_ID, name=_BUCKET_NAME, labels=_LABELS),
        version=_document(
            id=_ID,
            name=_VERSION_NAME,
            fingerprint=_TEXT,
            status=_word(*VERSION_STATUSES),
            author_id=_TEXT,
            **_REVOCATION,
        ),
        build=ref("Build"),
    ),
    "Registry": _document(
        id=_ID,
        location=ref("Location"),
        config=_document(
            activated=_FLAG,
            feature_tier=_word(*TIERS),
            billing_deprovision=_NOTHING,
            tfc_run_task_config=_NOTHING,
        ),
        created_at=_TIME,
        updated_at=_TIME,
    ),
    "Operation": _document(
        id=_ID,
        state=_word("DONE"),
        error=_NOTHING,
        response=_NOTHING,
        link=_NOTHING,
        location=ref("Location"),
        created_at=_TIME,
        updated_at=_TIME,
    ),
    "Organization": _document(
        id=_UUID, name=_TEXT, created_at=_TIME, owner=_document(user=_TEXT), state=_word("ACTIVE")
    ),
    "Project": _document(
        id=_UUID,
        name=_TEXT,
        description=_TEXT,
        created_at=_TIME,
        parent=_document(id=_UUID, type=_word("ORGANIZATION")),
        state=_word("ACTIVE"),
    ),
}

_PAGED = {"pagination": ref("Pagination")}
_COUNT: Schema = {"type": "integer", "minimum": 0, "format": "int32"}
_ONE_BUCKET = _document(bucket=ref("Bucket"))
_ONE_VERSION = _document(version=ref("Version"))
_ONE_BUILD = _document(build=ref("Build"))
_ONE_CHANNEL = _document(channel=ref("Channel"))
_CHANGED_REGISTRY = _document(registry=ref("Registry"), operation=ref("Operation"))
_ONE_OPERATION = _document(operation=ref("Operation"))
_EMPTY = _document()

ANSWERS: Mapping[str, Schema] = {
    "SearchExternalArtifact": _document(artifacts=_list(ref("ExternalArtifact")), **_PAGED),
    "ListBuckets": _document(buckets=_list(ref("Bucket")), **_PAGED),
    "CreateBucket": _ONE_BUCKET,
    "DeleteBucket": _EMPTY,
    "GetBucket": _ONE_BUCKET,
    "UpdateBucket": _ONE_BUCKET,
    "ListBucketAncestry": _document(relations=_list(ref("BucketAncestry")), total_count=_COUNT, **_PAGED),
    "ListChannels": _document(channels=_list(ref("Channel"))),
    "CreateChannel": _ONE_CHANNEL,
    "AssignChannelVersion": _document(
        source_channel=ref("Channel"), target_channel=ref("Channel"), version=ref("Version"), fingerprint=_TEXT
    ),
    "DeleteChannel": _EMPTY,
    "GetChannel": _ONE_CHANNEL,
    "UpdateChannel": _ONE_CHANNEL,
    "ListChannelAssignmentHistory": _document(history=_list(ref("ChannelAssignment")), count=_COUNT, **_PAGED),
    "ListVersions": _document(versions=_list(ref("Version")), **_PAGED),
    "CreateVersion": _ONE_VERSION,
    "DeleteVersion": _EMPTY,
    "GetVersion": _ONE_VERSION,
    "UpdateVersion": _document(version=ref("Version"), operation=_or_null(ref("Operation"))),
    "ListBuilds": _document(builds=_list(ref("Build")), location=ref("Location"), **_PAGED),
    "CreateBuild": _ONE_BUILD,
    "DeleteBuild": _EMPTY,
    "GetBuild": _ONE_BUILD,
    "UpdateBuild": _ONE_BUILD,
    "ListSboms": _document(sboms=_list(ref("Sbom"))),
    "UploadSbom": _document(sbom=ref("Sbom")),
    "GetEnforcedBlocksByBucket": _document(enforced_block_detail={"type": "array", "maxItems": 0}),
    "DeleteRegistry": _CHANGED_REGISTRY,
    "GetRegistry": _document(registry=ref("Registry")),
    "UpdateRegistry": _CHANGED_REGISTRY,
    "CreateRegistry": _CHANGED_REGISTRY,
    "ListOrganizations": _document(organizations=_list(ref("Organization")), **_PAGED),
    "GetOrganization": _document(organization=ref("Organization")),
    "ListProjects": _document(projects=_list(ref("Project")), **_PAGED),
    "GetProject": _document(project=ref("Project")),
    "GetOperation": _ONE_OPERATION,
    "WaitOperation": _ONE_OPERATION,
}
