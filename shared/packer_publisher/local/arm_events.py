"""The Event Grid events of the stand-in's changes, in the three shapes in which Azure delivers them.

Shapes: Microsoft's pages "Azure subscription as an Event Grid source" (in whose samples a write says
``resourcegroups`` and a delete ``resourceGroups``), "CloudEvents schema" and "Azure Resource Notifications - Resource
Management events". ``claims`` and ``authorization`` are made up, and hold :data:`IDENTITY` so that a test can look
for it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

IDENTITY = "made-up-caller@example.com"
"""Stands in every ``claims``; it must never reach a log line."""
TENANT = "22222222-2222-2222-2222-222222222222"
_TAGS = "/providers/Microsoft.Resources/tags/default"


def write_event(identifier: str, resource_type: str, time: datetime) -> dict[str, Any]:
    """Return the event of a PUT or PATCH of a resource that has succeeded."""
    uri = identifier.replace("/resourceGroups/", "/resourcegroups/", 1)
    return _event("Microsoft.Resources.ResourceWriteSuccess", uri, f"{resource_type}/write", time)


def tags_event(identifier: str, time: datetime) -> dict[str, Any]:
    """Return the event of a write through the Tags API: the resource's own provider raises none."""
    return _event(
        "Microsoft.Resources.ResourceWriteSuccess", identifier + _TAGS, "Microsoft.Resources/tags/write", time
    )


def delete_event(identifier: str, resource_type: str, time: datetime) -> dict[str, Any]:
    """Return the event of a DELETE of a resource that has succeeded."""
    event = _event("Microsoft.Resources.ResourceDeleteSuccess", identifier, f"{resource_type}/delete", time)
    event["data"]["httpRequest"] = {
        "clientRequestId": str(uuid.uuid4()),
        "clientIpAddress": "203.0.113.7",
        "method": "DELETE",
        "url": f"https://management.azure.com{identifier}?api-version=2026-04-01",
    }
    return event


def as_cloud_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an Event Grid event as a subscription with the CloudEvents schema delivers it."""
    return {
        "specversion": "1.0",
        "id": event["id"],
        "source": event["topic"],
        "subject": event["subject"],
        "type": event["eventType"],
        "time": event["eventTime"],
        "data": event["data"],
    }


def notification(resource: Mapping[str, Any], time: datetime, *, deleted: bool = False) -> dict[str, Any]:
    """Return the Azure Resource Notification about a resource, which carries the resource and its tags."""
    word = "Deleted" if deleted else "CreatedOrUpdated"
    return {
        "id": str(uuid.uuid4()),
        "topic": _topic(resource["id"]),
        "subject": resource["id"],
        "eventType": f"Microsoft.ResourceNotifications.Resources.{word}",
        "eventTime": _stamp(time),
        "dataVersion": "1",
        "metadataVersion": "1",
        "data": {
            "resourceInfo": {
                **{key: resource[key] for key in ("id", "name", "type", "location", "tags")},
                "properties": {"provisioningState": resource["properties"]["provisioningState"]},
            },
            "apiVersion": "2026-03-03",
            "operationalInfo": {"resourceEventTime": _stamp(time)},
        },
    }


def _event(kind: str, uri: str, operation: str, time: datetime) -> dict[str, Any]:
    subscription = uri.split("/")[2]
    return {
        "id": str(uuid.uuid4()),
        "topic": _topic(uri),
        "subject": uri,
        "eventType": kind,
        "eventTime": _stamp(time),
        "dataVersion": "2",
        "metadataVersion": "1",
        "data": {
            "authorization": {"scope": uri, "action": operation, "evidence": {"principalId": IDENTITY}},
            "claims": {
                "aud": "https://management.core.windows.net/",
                "iss": f"https://sts.windows.net/{TENANT}/",
                "name": IDENTITY,
            },
            "correlationId": str(uuid.uuid4()),
            "resourceProvider": operation.split("/", 1)[0],
            "resourceUri": uri,
            "operationName": operation,
            "status": "Succeeded",
            "subscriptionId": subscription,
            "tenantId": TENANT,
        },
    }


def _topic(identifier: str) -> str:
    return "/".join(identifier.split("/")[:3])


def _stamp(time: datetime) -> str:
    """Return a time with seven digits of a second, as .NET writes them."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.%f") + "7Z"
