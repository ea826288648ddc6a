"""HCP Packer's JSON as frozen values; a body of another shape is RegistryTrouble, never a guess.

Null counts as missing throughout, because Go sends nil lists and maps as null; fields that nobody asked for are
ignored. Field names: HCP's published swagger, cloud-packer-service stable 2023-01-01.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from packer_publisher.errors import RegistryTrouble
from packer_publisher.image import Artifact
from packer_publisher.registry.records import (
    Assignment,
    RegistryState,
    Relation,
    VersionName,
)
from packer_publisher.snapshot import (
    Bucket,
    Build,
    BuildStatus,
    Channel,
    FoundArtifact,
    Latest,
    Version,
    label_pairs,
)

Document = Mapping[str, Any]

NO_RUN = "00000000-0000-0000-0000-000000000000"
"""What is written as the run of Packer of a build that none has made, and read as "".

Terraform's ``hcp_packer_artifact`` fails on a build whose run is no UUID, the empty text included
(hashicorp/terraform-provider-hcp, internal/provider/customtypes/uuid.go and packer/datasources/artifact).
"""


class WrongShape(RegistryTrouble):
    """HCP answered 2xx with something else than its interface describes."""


_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d{0,9}))?(?:([Zz])|([+-])(\d\d):?(\d\d))", re.ASCII
)
_STATUSES = {status.value: status for status in BuildStatus}


def timestamp(value: Any) -> datetime | None:
    """Return an RFC 3339 time in UTC; None for null, "" and Go's zero time.

    HCP mixes 3, 6 and 9 fractional digits in one document; anything from none to nine is read, nanoseconds are cut.
    """
    if value is None or value == "":
        return None
    match = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise _wrong("a time", value)
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    if year <= 1:  # 0001-01-01T00:00:00Z is how Go writes "unset"
        return None
    fraction = int((match[7] or "").ljust(9, "0")[:6])
    offset = timedelta(0)
    if match[9]:
        offset = timedelta(hours=int(match[10]), minutes=int(match[11])) * (-1 if match[9] == "-" else 1)
    try:
        # A leap second is the last microsecond of its minute: order matters here, not the sum.
        exact = (second, fraction) if second != 60 else (59, 999_999)
        zone = timezone(offset) if offset else UTC
        return datetime(year, month, day, hour, minute, *exact, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _wrong("a time", value) from error


def member(document: Document, key: str) -> Document:
    """Return an object that the answer must contain."""
    value = document.get(key)
    if not isinstance(value, dict):
        raise _wrong(f"an object in {key!r}", value)
    return value


def optional(document: Document, key: str) -> Document | None:
    """Return an object, None where it is missing or null."""
    return None if document.get(key) is None else member(document, key)


def items(document: Document, key: str) -> tuple[Document, ...]:
    """Return a list of objects, () where it is missing or null."""
    value = document.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _wrong(f"a list of objects in {key!r}", value)
    return tuple(value)


def text(document: Document, key: str) -> str:
    """Return a text, "" where it is missing or null."""
    value = document.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(f"a text in {key!r}", value)
    return value


def flag(document: Document, key: str) -> bool:
    """Return a boolean, False where it is missing or null."""
    value = document.get(key)
    if value is not None and not isinstance(value, bool):
        raise _wrong(f"true or false in {key!r}", value)
    return bool(value)


def labels(document: Document) -> tuple[tuple[str, str], ...]:
    """Return labels as sorted pairs."""
    value = document.get("labels")
    if value is not None and not isinstance(value, dict):
        raise _wrong("an object in 'labels'", value)
    return label_pairs(value)


def next_page(document: Document) -> str:
    """Return the token of the next page, "" after the last one."""
    pagination = optional(document, "pagination")
    return text(pagination, "next_page_token") if pagination is not None else ""


def build(document: Document) -> Build:
    """Return a build; an unknown status word is UNSET, because it is not DONE."""
    if not text(document, "id"):
        raise _wrong("a build's 'id'", document.get("id"))
    listed = items(document, "artifacts")
    times = [time for item in listed if (time := timestamp(item.get("created_at"))) is not None]
    return Build(
        id=text(document, "id"),
        component_type=text(document, "component_type"),
        status=_STATUSES.get(text(document, "status"), BuildStatus.UNSET),
        platform=text(document, "platform"),
        artifacts=frozenset(Artifact(text(item, "region"), text(item, "external_identifier")) for item in listed),
        labels=labels(document),
        packer_run_uuid=_run(document),
        source_external_identifier=text(document, "source_external_identifier"),
        created_at=timestamp(document.get("created_at")),
        artifacts_created_at=max(times, default=None),
    )


def _run(document: Document) -> str:
    run = text(document, "packer_run_uuid")
    return "" if run == NO_RUN else run


def version(document: Document, bucket: str, fingerprint: str, read_at: datetime | None, fresh: bool) -> Version:
    """Return a version under the bucket's and (unless "") the fingerprint's spelling that was asked for."""
    if not text(document, "id"):
        raise _wrong("a version's 'id'", document.get("id"))
    return Version(
        bucket=bucket,
        fingerprint=fingerprint or text(document, "fingerprint"),
        exists=True,
        id=text(document, "id"),
        name=text(document, "name"),
        status=text(document, "status"),
        template_type=text(document, "template_type"),
        builds=tuple(build(item) for item in items(document, "builds")),
        created_at=timestamp(document.get("created_at")),
        read_at=read_at,
        fresh=fresh,
    )


def bucket(document: Document, name: str = "") -> Bucket:
    """Return a bucket, under the spelling that was asked for where there is one."""
    if not name and not text(document, "name"):
        raise _wrong("a bucket's 'name'", document.get("name"))
    newest = optional(document, "latest_version") or {}
    return Bucket(
        name=name or text(document, "name"),
        description=text(document, "description"),
        labels=labels(document),
        latest=Latest(text(newest, "fingerprint"), text(newest, "name"), timestamp(newest.get("created_at"))),
    )


def channel(document: Document) -> Channel:
    """Return a channel."""
    if not text(document, "name"):
        raise _wrong("a channel's 'name'", document.get("name"))
    assigned = optional(document, "version") or {}
    return Channel(
        name=text(document, "name"),
        id=text(document, "id"),
        managed=flag(document, "managed"),
        restricted=flag(document, "restricted"),
        version_fingerprint=text(assigned, "fingerprint"),
        version_name=text(assigned, "name"),
    )


def assignment(document: Document) -> Assignment:
    """Return one row of a channel's history."""
    assigned = optional(document, "version") or {}
    return Assignment(
        timestamp(document.get("assigned_at")),
        text(document, "author_id"),
        text(assigned, "fingerprint"),
        text(assigned, "name"),
    )


def found_artifact(document: Document) -> FoundArtifact:
    """Return one hit of the search by image."""
    where, which = member(document, "bucket"), member(document, "version")
    return FoundArtifact(
        bucket=text(where, "name"),
        fingerprint=text(which, "fingerprint"),
        version_id=text(which, "id"),
        version_name=text(which, "name"),
        version_status=text(which, "status"),
        build=build(member(document, "build")),
    )


def relation(document: Document) -> Relation:
    """Return one edge of the ancestry."""
    parent, child = optional(document, "parent") or {}, optional(document, "child") or {}
    return Relation(
        parent=VersionName(
            text(parent, "bucket_name"), text(parent, "version_fingerprint"), text(parent, "version_name")
        ),
        child=VersionName(text(child, "bucket_name"), text(child, "version_fingerprint"), text(child, "version_name")),
        channel=text(parent, "channel_name"),
        status=text(document, "status"),
    )


def registry_state(document: Document) -> RegistryState:
    """Return what is known of the registry itself."""
    config = optional(document, "config") or {}
    return RegistryState(text(document, "id"), flag(config, "activated"), text(config, "feature_tier"))


def _wrong(wanted: str, value: Any) -> WrongShape:
    kind = "nothing" if value is None or value == "" else f"{type(value).__name__}"
    shown = f"{kind} {value[:40]!r}" if isinstance(value, str) and value else kind
    return WrongShape(
        f"the answer should hold {wanted}, but has {shown}.",
        remedy="Something other than HCP Packer may have answered: check HCP_API_ADDRESS and proxies.",
    )
