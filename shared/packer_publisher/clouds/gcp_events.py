"""Google Cloud's events about machine images, reduced to what the flow needs.

Compute Engine tells of changes in its Admin Activity audit log. An entry arrives through a log sink and Pub/Sub (as a
push request's body or as a ``messagePublished`` CloudEvent) or through Eventarc (the entry is the CloudEvent's data).
Fields are those of Google's pages "LogEntry", "AuditLog" and "Method: images.insert"; real entries to compare with
are in elastic/beats ``x-pack/filebeat/module/gcp/audit/test`` and in GoogleCloudPlatform/eventarc-samples.

A long operation is logged twice: ``operation.first`` with the request, when the image is not usable yet, and
``operation.last`` without it (cloud-custodian issues 11022 and 11073). A short one is logged once, with both or with
no ``operation`` at all. The caller's identity (``authenticationInfo``, ``requestMetadata``) is never looked at.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from packer_publisher.errors import Rejected
from packer_publisher.image import Change, ImageEvent, ImageRef, Platform
from packer_publisher.wording import shown

_METHOD = re.compile(r"(?:v1|beta|alpha)\.compute\.images\.(?P<verb>insert|setLabels|patch|update|deprecate|delete)")
_PATH = re.compile(r"(?:.*/)?projects/(?P<project>[^/]+)/global/images/(?P<image>[^/]+)")
_LOG = re.compile(r"projects/(?P<project>[^/]+)/logs/.*")
_LABEL = r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?"
PROJECT = re.compile(rf"(?:(?:[-a-z0-9]{{1,63}}\.)*{_LABEL}:)?(?:[0-9]{{1,19}}|[a-z0-9](?:[-a-z0-9]{{0,61}}[a-z0-9])?)")
"""A project's id or number, with its domain where it has one, as in the discovery document of compute v1."""
IMAGE = re.compile(rf"{_LABEL}|[1-9][0-9]{{0,19}}")
"""An image's name or numeric id, as in the same document."""
_RESOURCE_TYPE = "gce_image"
_FAILED = ("ERROR", "CRITICAL", "ALERT", "EMERGENCY")


def unwrap(body: object) -> Mapping[str, Any]:
    """Return the log entry inside of what was delivered.

    ``body`` is the body of a Pub/Sub push request, a CloudEvent in its JSON form, the data of one, or the entry
    itself; bytes and text are decoded as JSON. What is none of these comes back as it is, for :func:`read_event` to
    leave alone. Raises :class:`~packer_publisher.errors.Rejected` for what cannot be decoded.
    """
    body = _object(body, "The request")
    if "specversion" in body:
        if "data_base64" in body:
            body = _object(_decoded(body["data_base64"], "The CloudEvent"), "The CloudEvent")
        else:
            body = _object(body.get("data"), "The CloudEvent")
    if "message" in body and "protoPayload" not in body:
        message = body["message"]
        if not isinstance(message, Mapping) or not message.get("data"):
            raise Rejected("The Pub/Sub message carries no data.")
        return _object(_decoded(message["data"], "The Pub/Sub message"), "The Pub/Sub message")
    return body


def read_event(body: Mapping[str, Any]) -> ImageEvent | None:
    """Return what a log entry says about an image, or None when it is about something else or not usable yet.

    None: another method, another kind of resource, a failed operation, the first of two entries. Raises
    :class:`~packer_publisher.errors.Rejected` for an image's entry that lacks what identifies it. What may be absent
    (``resource``, ``operation``, ``severity``, ``status``) is tolerated: shapes differ per method (cloud-custodian
    issue 10768).
    """
    payload = _part(body, "protoPayload")
    method = _METHOD.fullmatch(_text(payload, "methodName"))
    if method is None or _text(payload, "serviceName") not in ("", "compute.googleapis.com"):
        return None
    resource = _part(body, "resource")
    name = _text(payload, "resourceName")
    found = _PATH.fullmatch(name)
    if found is None and _text(resource, "type") not in ("", _RESOURCE_TYPE):
        return None
    if _failed(body, payload) or _unfinished(body):
        return None
    if not name:
        raise Rejected(f"The log entry of {method[0]} has no resourceName.")
    if found is None or not IMAGE.fullmatch(found["image"]):
        raise Rejected(f"The log entry of {method[0]} names no image: {shown(name, 300)}")
    project = _project(found["project"], body, resource)
    deleted = method["verb"] == "delete"
    return ImageEvent(
        ref=ImageRef(Platform.GCE, project, "", found["image"]),
        change=Change.DELETED if deleted else Change.WRITTEN,
        time=_time(body, name),
        event_id=_text(body, "insertId"),
        identity=_identity(resource) if deleted else (),
    )


def _identity(resource: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return a deleted image's number as a build's labels have it: its name may belong to another image by now."""
    number = _text(_part(resource, "labels"), "image_id")
    return (("image_id", number),) if number.isdecimal() and number.isascii() else ()


def _project(named: str, body: Mapping[str, Any], resource: Mapping[str, Any]) -> str:
    """Return the project's id; where the image is named under the project's number, the rest of the entry knows it.

    Raises Rejected where it does not: a build must not have two owners, one by number and one by id.
    """
    log = _LOG.fullmatch(_text(body, "logName"))
    others = (_text(_part(resource, "labels"), "project_id"), log["project"] if log else "")
    project = next((text for text in (named, *others) if text and not text.isdigit()), named)
    if not PROJECT.fullmatch(project):
        raise Rejected(f"The log entry names no project: {shown(project)}")
    if project.isdigit():
        raise Rejected(f"The log entry names the project by its number alone: {project}")
    return project


def _failed(body: Mapping[str, Any], payload: Mapping[str, Any]) -> bool:
    return _text(body, "severity").upper() in _FAILED or _part(payload, "status").get("code", 0) not in (0, None)


def _unfinished(body: Mapping[str, Any]) -> bool:
    operation = _part(body, "operation")
    return operation.get("first") is True and operation.get("last") is not True


def _time(body: Mapping[str, Any], name: str) -> datetime:
    spelled = _text(body, "timestamp") or _text(body, "receiveTimestamp")
    try:
        time = datetime.fromisoformat(spelled)
    except ValueError:
        raise Rejected(f"The log entry about {shown(name, 300)} has no readable time: {shown(spelled)}") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _decoded(data: object, what: str) -> bytes:
    if not isinstance(data, str | bytes):
        raise Rejected(f"{what} carries data that is not base64.")
    try:
        return base64.b64decode(data, validate=True)
    except ValueError:
        raise Rejected(f"{what} carries data that is not base64.") from None


def _object(value: object, what: str) -> Mapping[str, Any]:
    """Return a JSON object, decoded where it is text still; its content is never quoted."""
    if isinstance(value, str | bytes):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):  # the latter: nested deeper than any log entry
            raise Rejected(f"{what} holds no readable JSON.") from None
    if not isinstance(value, Mapping):
        raise Rejected(f"{what} holds no JSON object.")
    return value


def _part(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = body.get(key)
    return value if isinstance(value, Mapping) else {}


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    return value if isinstance(value, str) else ""
