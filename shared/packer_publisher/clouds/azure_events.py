"""Azure's events about machine images, reduced to what the flow needs.

Three shapes arrive: Event Grid's own schema, the same data as a CloudEvent, and Azure Resource Notifications, whose
payload carries the tags. Fields are those of Microsoft's pages "Azure subscription as an Event Grid source" and
"Azure Resource Notifications - Resource Management events". Nothing but the fields named below is ever looked at:
``claims`` and ``authorization`` hold the caller's identity and never reach a value, a log line or an error text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from packer_publisher.clouds.azure_ids import ImageId, parse_image_id, strip_tags_suffix
from packer_publisher.errors import Rejected
from packer_publisher.image import Change, ImageEvent, ImageRef, Platform
from packer_publisher.wording import shown

_WRITE = "microsoft.resources.resourcewritesuccess"
_DELETE = "microsoft.resources.resourcedeletesuccess"
_NOTIFIED: Mapping[str, Change] = {
    "microsoft.resourcenotifications.resources.createdorupdated": Change.WRITTEN,
    "microsoft.resourcenotifications.resources.deleted": Change.DELETED,
}
_IMAGE_TYPES = ("microsoft.compute/images", "microsoft.compute/galleries/images/versions")
_OPERATIONS: Mapping[tuple[str, str], Change] = {
    **{(_WRITE, f"{kind}/write"): Change.WRITTEN for kind in _IMAGE_TYPES},
    **{(_DELETE, f"{kind}/delete"): Change.DELETED for kind in _IMAGE_TYPES},
}
# The Tags API raises no event of the tagged resource's own provider. Removing all tags deletes the tags, not the image.
_TAG_OPERATIONS = ((_WRITE, "microsoft.resources/tags/write"), (_DELETE, "microsoft.resources/tags/delete"))


def read_event(body: object) -> ImageEvent | None:
    """Return what a queue message says about an image, or None when it is about something else.

    ``body`` is the decoded JSON: one event, or an array that holds exactly one. Raises
    :class:`~packer_publisher.errors.Rejected` for a message that is no event, and for an event about an image that
    lacks what identifies it.
    """
    if isinstance(body, list):
        if len(body) != 1:
            raise Rejected(f"The message holds {len(body)} events; exactly one is delivered per message.")
        body = body[0]
    if not isinstance(body, Mapping):
        raise Rejected("The message is no event: its JSON is not an object.")
    kind = _text(body, "eventType") or _text(body, "type")
    if not kind:
        raise Rejected("The message is no event: it has neither eventType nor type.")
    if kind.lower() in (_WRITE, _DELETE):
        return _resource_event(body, kind)
    if kind.lower() in _NOTIFIED:
        return _notification(body, kind)
    return None


def _resource_event(body: Mapping[str, Any], kind: str) -> ImageEvent | None:
    """Read ResourceWriteSuccess or ResourceDeleteSuccess; what was done is in ``data.operationName``."""
    data = _part(body, "data", kind)
    operation = _text(data, "operationName")
    if not operation:
        raise Rejected(f"The {shown(kind)} event has no data.operationName.")
    asked = (kind.lower(), operation.lower())
    about_tags = asked in _TAG_OPERATIONS
    if not about_tags and asked not in _OPERATIONS:
        return None
    resource = _text(data, "resourceUri")
    if not resource:
        raise Rejected(f"The {shown(operation)} event has no data.resourceUri.")
    image = parse_image_id(strip_tags_suffix(resource) if about_tags else resource)
    if image is None:
        if about_tags:
            return None  # the tags of some other resource
        raise Rejected(f"The {shown(operation)} event names no image: {shown(resource, 300)}")
    return _event(body, image, Change.WRITTEN if about_tags else _OPERATIONS[asked], kind)


def _notification(body: Mapping[str, Any], kind: str) -> ImageEvent | None:
    """Read an Azure Resource Notification; the resource itself is in ``data.resourceInfo``."""
    info = _part(_part(body, "data", kind), "resourceInfo", kind)
    resource_type = _text(info, "type")
    if resource_type.lower() not in _IMAGE_TYPES:
        return None
    resource = _text(info, "id")
    if not resource:
        raise Rejected(f"The {shown(kind)} event of a {shown(resource_type)} has no data.resourceInfo.id.")
    image = parse_image_id(resource)
    if image is None:
        raise Rejected(f"The {shown(kind)} event names no image: {shown(resource, 300)}")
    return _event(body, image, _NOTIFIED[kind.lower()], kind, _tags(info.get("tags")))


def _event(
    body: Mapping[str, Any], image: ImageId, change: Change, kind: str, tags: Mapping[str, str] | None = None
) -> ImageEvent:
    spelled = _text(body, "eventTime") or _text(body, "time")
    try:
        time = datetime.fromisoformat(spelled)
    except ValueError:
        raise Rejected(
            f"The {shown(kind)} event about {image.spelled} has no readable time: {shown(spelled)}"
        ) from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    # What is gone can only be searched for in HCP Packer as it was registered, and the search may compare exactly.
    spelled_id = image.artifact if change is Change.DELETED else image.spelled
    ref = ImageRef(Platform.AZURE, image.subscription, "", spelled_id)
    return ImageEvent(ref, change, time, _text(body, "id"), tags)


def _tags(value: object) -> Mapping[str, str] | None:
    """Return the tags that a notification carries, None where it does not say.

    Microsoft documents a string and shows an object. A string in any other form than JSON is undocumented: it says
    nothing, and ``describe`` will tell.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
        except RecursionError:
            raise Rejected("The event's tags are nested deeper than any tags are.") from None
    if not isinstance(value, Mapping):
        return None
    return {str(key): "" if text is None else str(text) for key, text in value.items()}


def _part(body: Mapping[str, Any], key: str, kind: str) -> Mapping[str, Any]:
    value = body.get(key)
    if not isinstance(value, Mapping):
        raise Rejected(f"The {shown(kind)} event has no {key} object.")
    return value


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    return value if isinstance(value, str) else ""
