"""The events that EC2 and the tag service send to EventBridge, in their real shape; moto sends none.

Shapes: Amazon EC2 user guide, "Monitor AMI events"; AWS Tag Editor user guide, "Monitor tag changes".
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

Event = dict[str, Any]


def state_change(account: str, region: str, image: str, state: str, error: str = "") -> Event:
    """Return ``EC2 AMI State Change``: no tags, no name, and an ARN without an account."""
    detail = {"RequestId": str(_uuid()), "ImageId": image, "State": state, "ErrorMessage": error}
    arn = f"arn:aws:ec2:{region}::image/{image}"
    return _event("aws.ec2", "EC2 AMI State Change", account, region, arn, detail)


def tag_change(
    account: str, region: str, image: str, changed: Sequence[str], tags: Mapping[str, str], version: int
) -> Event:
    """Return ``Tag Change on Resource``: the keys that changed and the complete set after the change."""
    detail = {
        "changed-tag-keys": list(changed),
        "tags": dict(tags),
        "service": "ec2",
        "resource-type": "image",
        "version": version,
    }
    arn = f"arn:aws:ec2:{region}:{account}:image/{image}"
    return _event("aws.tag", "Tag Change on Resource", account, region, arn, detail)


def _event(source: str, kind: str, account: str, region: str, arn: str, detail: Mapping[str, object]) -> Event:
    return {
        "version": "0",
        "id": str(_uuid()),
        "detail-type": kind,
        "source": source,
        "account": account,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": [arn],
        "detail": dict(detail),
    }


def _uuid() -> uuid.UUID:
    """Return a random id that a seeded demo repeats."""
    return uuid.UUID(int=random.getrandbits(128), version=4)
