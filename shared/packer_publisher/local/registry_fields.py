"""What the operations are asked with: every field of their bodies and queries, how it is read and described.

The HTTP face reads all fields that an operation has here before it begins, as protobuf does, and hands on no other:
what is described is what is read. A field says its type; a rule beyond that (the form of a name, what excludes what)
is described here and kept by the operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from packer_publisher.local import registry_bodies as read
from packer_publisher.local.registry_builds import SBOM_FORMATS, STATUSES
from packer_publisher.local.registry_channels import CHANNEL_MASK
from packer_publisher.local.registry_lineage import ANCESTRY_TYPES
from packer_publisher.local.registry_model import REGISTRY_MASK, TIERS
from packer_publisher.local.registry_pages import BUCKET_ORDER, BUILD_ORDER, VERSION_ORDER, criterion
from packer_publisher.local.registry_switches import Switches
from packer_publisher.local.registry_versions import TEMPLATE_TYPES

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One field; ``read`` raises 400/3 for a wrong type, ``schema`` is what the OpenAPI description says."""

    read: Callable[[Mapping[str, Any], str, Switches], object]
    schema: Callable[[Switches], Schema]
    required: bool = False


Fields = Mapping[str, Field]


def _field(reader: Callable[[Mapping[str, Any], str], object], *types: str, **schema: Any) -> Field:
    """Return a field whose description is the same under every switch; null counts as missing."""
    described = {"type": [*types, "null"], **schema}
    return Field(lambda given, key, _: reader(given, key), lambda _: described)


def _needed(reader: Callable[[Mapping[str, Any], str], object], **schema: Any) -> Field:
    """Return a text field without which the operation is refused."""
    described = {"type": "string", **schema}
    return Field(lambda given, key, _: reader(given, key), lambda _: described, required=True)


def _word(known: tuple[str, ...]) -> Field:
    """Return a field that takes one of some words, or any where unknown ones are accepted."""

    def schema(switches: Switches) -> Schema:
        words = {"enum": [*known, None]} if switches.unknown_enum == "refuse" else {"examples": list(known)}
        return {"type": ["string", "null"], **words}

    return Field(lambda body, key, switches: read.word(body, key, known, switches), schema)


def _labels(switches: Switches) -> Schema:
    limit = {"maxProperties": switches.label_limit} if switches.label_limit else {}
    return {"type": ["object", "null"], "additionalProperties": {"type": "string"}, **limit}


def _whole(pattern: str) -> str:
    return f"^({pattern})$"


def _mask(*names: str) -> str:
    one = f"({'|'.join(names)})"
    return f"{one}(,{one})*"


_TEXT = _field(read.text, "string")
_FLAG = _field(read.flag, "boolean")
_LABELS = Field(read.labels, _labels)
_ARTIFACT: Schema = {
    "type": "object",
    "properties": {
        "external_identifier": {"type": ["string", "null"]},
        "region": {"type": ["string", "null"]},
    },
}
_ANY_OBJECT: Schema = {"type": ["object", "null"]}
_DURATION: Schema = {"type": "string", "pattern": _whole(f"({read.DURATION})?")}
_NAME = _needed(read.text, pattern=_whole(read.NAME))

_BUILD: Fields = {
    "status": _word(STATUSES),
    "platform": _TEXT,
    "packer_run_uuid": _TEXT,
    "artifacts": _field(lambda body, _: read.artifacts(body), "array", items=_ARTIFACT),
    "labels": _LABELS,
    "source_external_identifier": _TEXT,
    "parent_version_id": _TEXT,
    "parent_channel_id": _TEXT,
}

BODIES: Mapping[str, Fields] = {
    "SearchExternalArtifact": {
        "external_identifier": _needed(read.text, minLength=1),
        "platform": _TEXT,
        "region": _TEXT,
    },
    "CreateBucket": {"name": _NAME, "description": _TEXT, "labels": _LABELS},
    "UpdateBucket": {
        "description": _TEXT,
        "labels": _LABELS,
        "platforms": _field(read.texts, "array", items={"type": "string"}),
    },
    "CreateChannel": {"name": _NAME, "version_fingerprint": _TEXT, "restricted": _FLAG},
    "AssignChannelVersion": {"source_channel": _needed(read.text), "target_channel": _needed(read.text)},
    "UpdateChannel": {
        "version_fingerprint": _TEXT,
        "restricted": _FLAG,
        "update_mask": _needed(read.text, pattern=_whole(_mask(*CHANNEL_MASK))),
    },
    "CreateVersion": {
        "fingerprint": _needed(read.text, pattern=_whole(read.FINGERPRINT)),
        "template_type": _word(TEMPLATE_TYPES),
    },
    "UpdateVersion": {
        "complete": _FLAG,
        "restore": _FLAG,
        "revoke_at": _field(read.moment, "string", format="date-time"),
        "revoke_in": _field(read.duration, "string", pattern=_DURATION["pattern"]),
        "revocation_message": _TEXT,
        "skip_descendants_revocation": _FLAG,
        "disable_rollback_channels": _FLAG,
    },
    "CreateBuild": {"component_type": _needed(read.text, minLength=1), **_BUILD},
    "UpdateBuild": {
        **_BUILD,
        "metadata": _field(read.metadata, "object", properties=dict.fromkeys(read.METADATA, _ANY_OBJECT)),
    },
    "UploadSbom": {
        "compressed_sbom": _needed(read.content, minLength=1, format="byte"),
        "format": _word(SBOM_FORMATS),
        "name": _field(read.text, "string", pattern=_whole(f"({read.NAME})?")),
    },
    "CreateRegistry": {"feature_tier": _word(TIERS)},
    "UpdateRegistry": {
        "feature_tier": _word(TIERS),
        "activated": _FLAG,
        "update_mask": _field(read.text, "string", pattern=_whole(f"({_mask(*REGISTRY_MASK)})?")),
    },
}

_ASKED = Field(lambda query, key, _: query.get(key), lambda _: {"type": "string"})
_PAGE: Fields = {
    "pagination.page_size": Field(
        lambda query, key, _: read.number(query, key),
        lambda _: {"type": "integer", "minimum": 0, "maximum": read.LARGEST},
    ),
    "pagination.next_page_token": _ASKED,
    "pagination.previous_page_token": _ASKED,
}


def _choice(*known: str, required: bool = False) -> Field:
    def reader(query: Mapping[str, str], key: str, _: Switches) -> str:
        return read.choice(query, key, known)

    return Field(reader, lambda _: {"type": "string", "enum": list(known)}, required)


def _sorted(fields: tuple[str, ...]) -> Fields:
    """Return the parameter that sorts a list; it may be repeated, and ``ordered`` reads it."""
    item = {"type": "string", "pattern": _whole(criterion(fields))}
    return {"sorting.order_by": Field(lambda *_: None, lambda _: {"type": "array", "items": item})}


QUERIES: Mapping[str, Fields] = {
    "SearchExternalArtifact": _PAGE,
    "ListBuckets": {**_PAGE, **_sorted(BUCKET_ORDER)},
    "ListBucketAncestry": {
        "type": _choice(*ANCESTRY_TYPES),
        "channel_name": _ASKED,
        "version_fingerprint": _ASKED,
        **_PAGE,
    },
    "ListChannelAssignmentHistory": _PAGE,
    "ListVersions": {**_PAGE, **_sorted(VERSION_ORDER)},
    "DeleteVersion": {
        "rollback_channels": Field(lambda query, key, _: read.truth(query, key), lambda _: {"type": "boolean"})
    },
    "ListBuilds": {**_PAGE, **_sorted(BUILD_ORDER)},
    "ListOrganizations": _PAGE,
    "ListProjects": {
        "scope.id": replace(_ASKED, required=True),
        "scope.type": _choice("ORGANIZATION", required=True),
        **_PAGE,
    },
    "WaitOperation": {"timeout": Field(lambda query, key, _: read.duration(query, key), lambda _: _DURATION)},
}
