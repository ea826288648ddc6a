"""The two EventBridge events that tell of an AMI, reduced to an ImageEvent; standard library only.

``Tag Change on Resource`` (source ``aws.tag``) carries the complete tag set after the change: AWS Tag Editor user
guide, "Monitor tag changes". ``EC2 AMI State Change`` (source ``aws.ec2``) carries no tags: Amazon EC2 user guide,
"Monitor AMI events". Both are sent to the region in which the image lives, best effort, at least once, in no order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from packer_publisher.errors import Rejected
from packer_publisher.image import Change, ImageEvent, ImageRef, Platform
from packer_publisher.wording import shown

TAG_CHANGE = ("aws.tag", "Tag Change on Resource")
STATE_CHANGE = ("aws.ec2", "EC2 AMI State Change")

# ``failed`` counts as written: describing the image then says FAILED, and whoever tagged it is told; dropping it here
# would make a build that never comes look like one that is late. EnableImage sends ``available`` for an old image.
_CHANGES: Mapping[str, Change] = {
    "available": Change.WRITTEN,
    "failed": Change.WRITTEN,
    "deregistered": Change.DELETED,
    "disabled": Change.DISABLED,
}

# State events leave the account out of the ARN (EC2 user guide); for tag events the form is not documented, so it may
# be there. The partition is aws, aws-cn, aws-us-gov, aws-iso, ...: only its shape is checked.
_ARN = re.compile(
    r"arn:aws[a-z-]*:ec2:(?P<region>[a-z]{2,}(?:-[a-z]+)+-[0-9]{1,2}):(?P<account>[0-9]{12})?:"
    r"image/(?P<id>ami-[0-9a-f]{8,32})"
)
_ACCOUNT = re.compile(r"[0-9]{12}")
_REMEDY = "deliver what EventBridge sends as it is, without an input transformer"


def read_event(body: Mapping[str, object]) -> ImageEvent | None:
    """Return what an EventBridge event says about an image, or None where it tells of something else.

    None: another source or detail type, a tag change of another resource type, a state that changes nothing for us
    (``pending`` is never sent). A tag event whose change removed our keys is an event like any other: the caller
    decides on ``tags``, which is the complete set after the change.

    Raises Rejected for an event of an image that cannot be what EventBridge sends: a field missing or of the wrong
    type, an ARN that is none, a region, account or image id that disagrees with the ARN.
    """
    kind = (body.get("source"), body.get("detail-type"))
    if kind not in (TAG_CHANGE, STATE_CHANGE):
        return None
    event_id = _text(body, "id", "event", 64)
    where = f"event {shown(event_id)}"
    detail = body.get("detail")
    if not isinstance(detail, Mapping):
        raise _refused(where, "has no detail")
    if kind == TAG_CHANGE:
        if (_text(detail, "service", where), _text(detail, "resource-type", where)) != ("ec2", "image"):
            return None
        return ImageEvent(_ref(body, where).ref, Change.WRITTEN, _time(body, where), event_id, _tags(detail, where))
    change = _CHANGES.get(_text(detail, "State", where))
    if change is None:
        return None
    named = _ref(body, where)
    image_id = _text(detail, "ImageId", where)
    if image_id != named.ref.identifier:
        raise _refused(where, f"is about {shown(image_id)} in detail.ImageId and about {named.arn} in resources")
    return ImageEvent(named.ref, change, _time(body, where), event_id)


@dataclass(frozen=True, slots=True)
class _Named:
    """The image that an event names, and the ARN by which it does."""

    ref: ImageRef
    arn: str


def _ref(body: Mapping[str, object], where: str) -> _Named:
    resources = body.get("resources")
    arns = [arn for arn in resources if isinstance(arn, str)] if isinstance(resources, list) else []
    if len(arns) != 1:
        raise _refused(where, f"names {len(arns)} resources, not one image")
    arn = _ARN.fullmatch(arns[0])
    if arn is None:
        raise _refused(where, f"names {shown(arns[0])}, which is not the ARN of an image")
    account = _text(body, "account", where)
    if not _ACCOUNT.fullmatch(account):
        raise _refused(where, f"comes from {shown(account)}, which is no account id")
    if arn["account"] not in (None, account):
        raise _refused(where, f"comes from account {account} and names {arn[0]}")
    region = _text(body, "region", where)
    if region != arn["region"]:
        # Forwarding to a bus of another region keeps the region of origin; whoever overwrites it hides the image's own.
        raise _refused(where, f"comes from region {shown(region)} and names {arn[0]}")
    return _Named(ImageRef(Platform.AWS, account, arn["region"], arn["id"]), arn[0])


def _tags(detail: Mapping[str, object], where: str) -> Mapping[str, str]:
    tags = detail.get("tags")
    if not isinstance(tags, Mapping) or not all(isinstance(part, str) for pair in tags.items() for part in pair):
        raise _refused(where, "carries no readable tags in detail.tags")
    return dict(tags)


def _time(body: Mapping[str, object], where: str) -> datetime:
    text = _text(body, "time", where)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise _refused(where, f"has the time {shown(text)}, which is none with a zone")
    return time


def _text(table: Mapping[str, object], key: str, where: str, limit: int = 512) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value or len(value) > limit:
        raise _refused(where, f"has no readable field {key}")
    return value


def _refused(where: str, what: str) -> Rejected:
    return Rejected(f"AWS {where} {what}", remedy=_REMEDY)
