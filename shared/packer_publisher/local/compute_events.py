"""The audit log entries of the stand-in's changes, and the envelopes in which Google Cloud delivers them.

Entries: real ones are in elastic/beats ``x-pack/filebeat/module/gcp/audit/test/audit-log-entries.json.log`` (a first
one), GoogleCloudPlatform/eventarc-samples ``gce-vm-labeler`` and cloud-custodian ``tools/c7n_gcp`` (last ones).
Envelopes: Google's pages "Push subscriptions" (Pub/Sub) and "Event format" (Eventarc). The caller is made up, so that
a test can look for it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

CALLER = "made-up-caller@example.com"
"""Stands in every ``authenticationInfo``; it must never reach a log line."""
_RECEIVED_AFTER = timedelta(milliseconds=900)
_LAST_AFTER = timedelta(seconds=12)


def entries(
    verb: str,
    link: str,
    image_id: str,
    time: datetime,
    operation: str,
    request: Mapping[str, Any] | None = None,
    *,
    api_version: str = "v1",
    single: bool = False,
) -> tuple[dict[str, Any], ...]:
    """Return the entries of one operation that succeeded: the first and the last, or one that is both.

    ``link`` is ``projects/P/global/images/I``. Only the first of two entries holds the request; Google has shown
    labels there as a list of keys and values.
    """
    method = f"{api_version}.compute.images.{verb}"
    if single:
        entry = _entry(method, link, image_id, time, {"id": operation, "first": True, "last": True})
        return (entry,)
    first = _entry(method, link, image_id, time, {"id": operation, "first": True})
    body = {key: value for key, value in (request or {}).items() if value not in ({}, [], "")}
    if "labels" in body:
        body["labels"] = [{"key": key, "value": value} for key, value in body["labels"].items()]
    payload = first["protoPayload"]
    payload["request"] |= body
    payload["authorizationInfo"] = [
        {
            "granted": True,
            "permission": "compute.images.create" if verb == "insert" else f"compute.images.{verb}",
            "resourceAttributes": {"name": link, "service": "compute", "type": "compute.images"},
        }
    ]
    payload["resourceLocation"] = {"currentLocations": ["us"]}
    payload["response"] = {
        "@type": "type.googleapis.com/operation",
        "operationType": verb,
        "progress": "0",
        "status": "RUNNING",
        "targetId": image_id,
        "targetLink": f"https://www.googleapis.com/compute/v1/{link}",
    }
    last = _entry(method, link, image_id, time + _LAST_AFTER, {"id": operation, "last": True})
    return first, last


def refused(entry: Mapping[str, Any], code: int = 7, message: str = "PERMISSION_DENIED") -> dict[str, Any]:
    """Return the entry of the same call as it is logged when it was denied: one, without an operation."""
    denied = {key: value for key, value in entry.items() if key != "operation"}
    payload = {**entry["protoPayload"], "status": {"code": code, "message": message}}
    return {**denied, "severity": "ERROR", "protoPayload": payload}


def push_body(entry: Mapping[str, Any], message_id: str = "11031384567890123") -> dict[str, Any]:
    """Return the body of a Pub/Sub push request that carries an entry."""
    return {
        "deliveryAttempt": 1,
        "message": {
            "attributes": {"logging.googleapis.com/timestamp": entry["timestamp"]},
            "data": base64.b64encode(json.dumps(entry).encode()).decode(),
            "messageId": message_id,
            "message_id": message_id,
            "publishTime": entry["receiveTimestamp"],
            "publish_time": entry["receiveTimestamp"],
        },
        "subscription": f"projects/{_project(entry)}/subscriptions/packer-publisher",
    }


def message_published(entry: Mapping[str, Any], message_id: str = "11031384567890123") -> dict[str, Any]:
    """Return the CloudEvent that a Pub/Sub trigger makes of a message that carries an entry."""
    return {
        "specversion": "1.0",
        "id": message_id,
        "type": "google.cloud.pubsub.topic.v1.messagePublished",
        "source": f"//pubsub.googleapis.com/projects/{_project(entry)}/topics/packer-publisher",
        "time": entry["receiveTimestamp"],
        "datacontenttype": "application/json",
        "data": push_body(entry, message_id),
    }


def audit_log_written(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the CloudEvent of an Eventarc trigger for audit logs: the entry is its data."""
    payload = entry["protoPayload"]
    return {
        "specversion": "1.0",
        "id": f"projects/{_project(entry)}/logs/cloudaudit.googleapis.com%2Factivity{entry['insertId']}",
        "type": "google.cloud.audit.log.v1.written",
        "source": f"//cloudaudit.googleapis.com/projects/{_project(entry)}/logs/activity",
        "subject": f"compute.googleapis.com/{payload['resourceName']}",
        "time": entry["receiveTimestamp"],
        "datacontenttype": "application/json",
        "servicename": "compute.googleapis.com",
        "methodname": payload["methodName"],
        "resourcename": payload["resourceName"],
        "data": dict(entry),
    }


def binary(event: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
    """Return headers and body of a CloudEvent in binary content mode, Eventarc's own choice."""
    headers = {f"ce-{key}": str(value) for key, value in event.items() if key not in ("data", "datacontenttype")}
    return {**headers, "content-type": "application/json"}, json.dumps(event["data"]).encode()


def structured(event: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
    """Return headers and body of a CloudEvent in structured content mode."""
    return {"content-type": "application/cloudevents+json"}, json.dumps(event).encode()


def _entry(method: str, link: str, image_id: str, time: datetime, operation: Mapping[str, Any]) -> dict[str, Any]:
    project = link.split("/")[1]
    return {
        "insertId": f"-{operation['id'][-8:]}{'l' if operation.get('last') else 'f'}",
        "logName": f"projects/{project}/logs/cloudaudit.googleapis.com%2Factivity",
        "operation": {"producer": "compute.googleapis.com", **operation},
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "authenticationInfo": {"principalEmail": CALLER},
            "methodName": method,
            "request": {"@type": f"type.googleapis.com/{method.partition('.')[2]}"},
            "requestMetadata": {"callerIp": "203.0.113.7", "callerSuppliedUserAgent": "Packer/1.14.2"},
            "resourceName": link,
            "serviceName": "compute.googleapis.com",
        },
        "receiveTimestamp": _timestamp(time + _RECEIVED_AFTER),
        "resource": {"labels": {"image_id": image_id, "project_id": project}, "type": "gce_image"},
        "severity": "NOTICE",
        "timestamp": _timestamp(time),
    }


def _project(entry: Mapping[str, Any]) -> str:
    return str(entry["resource"]["labels"]["project_id"])


def _timestamp(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
