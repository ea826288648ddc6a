"""What the two EventBridge events say, and what is none of ours."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from packer_publisher.clouds.aws_events import read_event
from packer_publisher.errors import Rejected
from packer_publisher.image import Change, ImageEvent, ImageRef, Platform

EVENTS = Path(__file__).parents[1] / "events" / "aws"
TAGGED = datetime(2026, 11, 20, 10, 41, 38, tzinfo=UTC)
CHANGED = datetime(2026, 11, 20, 10, 15, 30, tzinfo=UTC)
TAG_ID = "bddcf1d6-0251-35a1-aab0-adc1fb47c11c"
STATE_ID = "9f07f1c2-51db-246b-d8b8-441bcdf00001"
TAGS = {
    "Name": "base",
    "hcp-packer-bucket": "base",
    "hcp-packer-fingerprint": "01JCXYZ0000000000000000000",
}


def load(name: str) -> dict[str, Any]:
    """Return one of the event files."""
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    return event


def tagged(region: str, tags: dict[str, str]) -> ImageEvent:
    """Return what a tag event of the files should become."""
    ref = ImageRef(Platform.AWS, "123456789012", region, "ami-0fedcba9876543210")
    return ImageEvent(ref, Change.WRITTEN, TAGGED, TAG_ID, tags)


def changed(change: Change, region: str = "us-east-1") -> ImageEvent:
    """Return what a state event of the files should become."""
    ref = ImageRef(Platform.AWS, "123456789012", region, "ami-0abcdef1234567890")
    return ImageEvent(ref, change, CHANGED, STATE_ID)


EXPECTED: dict[str, ImageEvent | None] = {
    "ami_available": changed(Change.WRITTEN),
    "ami_available_gov": changed(Change.WRITTEN, "us-gov-west-1"),
    "ami_deregistered": changed(Change.DELETED),
    "ami_disabled": changed(Change.DISABLED),
    "ami_failed": changed(Change.WRITTEN),
    "cloudtrail_create_image": None,
    "cloudtrail_create_tags": None,
    "cloudtrail_deregister_image": None,
    "instance_state": None,
    "snapshot_notification": None,
    "tag_change": tagged("eu-west-1", TAGS),
    "tag_change_china": tagged("cn-north-1", TAGS),
    "tag_change_image_builder": None,
    "tag_change_instance": None,
    "tag_change_like_ours": tagged(
        "eu-west-1",
        {
            "Name": "base",
            "HCP-Packer-Bucket": "base",
            "hcp_packer_fingerprint": "01JCXYZ0000000000000000000",
            "x-hcp-packer-bucket": "base",
        },
    ),
    "tag_change_other_keys": tagged("eu-west-1", {"Name": "base"}),
    "tag_change_removed": tagged("eu-west-1", {"Name": "base"}),
    "tag_change_snapshot": None,
    "tag_change_without_account": tagged("eu-west-1", TAGS),
}


@pytest.mark.parametrize("name", sorted(path.stem for path in EVENTS.glob("*.json")))
def test_every_event_file_has_its_reading(name: str) -> None:
    """Each file is read as the table says; a file without a row fails."""
    assert EXPECTED[name] == read_event(load(name))


@pytest.mark.parametrize("state", ["pending", "transient", "AVAILABLE"])
def test_a_state_that_no_event_announces_is_not_ours(state: str) -> None:
    """EventBridge sends four states, in lower case; others change nothing for us."""
    event = load("ami_available")
    event["detail"]["State"] = state

    assert None is read_event(event)


@pytest.mark.parametrize(
    "body", [{}, {"source": "aws.tag"}, {"source": ["aws.tag"], "detail-type": {}}, {"Records": []}]
)
def test_a_body_that_is_no_event_of_these_kinds_is_not_ours(body: dict[str, Any]) -> None:
    """Without the source and the detail type it could be anything."""
    assert None is read_event(body)


GONE = object()
MALFORMED: list[tuple[str, tuple[str, ...], object, str]] = [
    ("ami_available", ("id",), GONE, "AWS event has no readable field id"),
    ("ami_available", ("detail",), GONE, f"AWS event {STATE_ID} has no detail"),
    ("ami_available", ("detail",), "State: available", f"AWS event {STATE_ID} has no detail"),
    ("ami_available", ("detail", "State"), GONE, f"AWS event {STATE_ID} has no readable field State"),
    ("ami_available", ("detail", "ImageId"), GONE, f"AWS event {STATE_ID} has no readable field ImageId"),
    (
        "ami_available",
        ("detail", "ImageId"),
        "ami-0bbbbbbbbbbbbbbbb",
        f"AWS event {STATE_ID} is about ami-0bbbbbbbbbbbbbbbb in detail.ImageId and about "
        "arn:aws:ec2:us-east-1::image/ami-0abcdef1234567890 in resources",
    ),
    ("ami_available", ("resources",), [], f"AWS event {STATE_ID} names 0 resources, not one image"),
    ("ami_available", ("resources",), GONE, f"AWS event {STATE_ID} names 0 resources, not one image"),
    ("ami_available", ("resources",), ["a", "b"], f"AWS event {STATE_ID} names 2 resources, not one image"),
    (
        "ami_available",
        ("resources",),
        ["arn:aws:ec2:us-east-1::image/\u001b[31m"],
        f"AWS event {STATE_ID} names arn:aws:ec2:us-east-1::image/\\x1b[31m, which is not the ARN of an image",
    ),
    (
        "ami_available",
        ("region",),
        "eu-west-1",
        f"AWS event {STATE_ID} comes from region eu-west-1 and names "
        "arn:aws:ec2:us-east-1::image/ami-0abcdef1234567890",
    ),
    ("ami_available", ("region",), GONE, f"AWS event {STATE_ID} has no readable field region"),
    ("ami_available", ("account",), "me", f"AWS event {STATE_ID} comes from me, which is no account id"),
    ("ami_available", ("account",), GONE, f"AWS event {STATE_ID} has no readable field account"),
    (
        "tag_change",
        ("account",),
        "210987654321",
        f"AWS event {TAG_ID} comes from account 210987654321 and names "
        "arn:aws:ec2:eu-west-1:123456789012:image/ami-0fedcba9876543210",
    ),
    (
        "ami_available",
        ("time",),
        "yesterday",
        f"AWS event {STATE_ID} has the time yesterday, which is none with a zone",
    ),
    (
        "ami_available",
        ("time",),
        "2026-11-20T10:15:30",
        f"AWS event {STATE_ID} has the time 2026-11-20T10:15:30, which is none with a zone",
    ),
    ("ami_available", ("time",), 1700000000, f"AWS event {STATE_ID} has no readable field time"),
    ("tag_change", ("detail", "tags"), GONE, f"AWS event {TAG_ID} carries no readable tags in detail.tags"),
    ("tag_change", ("detail", "tags"), {"a": 1}, f"AWS event {TAG_ID} carries no readable tags in detail.tags"),
    ("tag_change", ("detail", "resource-type"), GONE, f"AWS event {TAG_ID} has no readable field resource-type"),
]


@pytest.mark.parametrize(("name", "path", "value", "text"), MALFORMED)
def test_an_image_event_that_eventbridge_cannot_have_sent_is_rejected(
    name: str, path: tuple[str, ...], value: object, text: str
) -> None:
    """A missing or contradictory field is said in words, and nothing is guessed."""
    event = copy.deepcopy(load(name))
    table = event
    for key in path[:-1]:
        table = table[key]
    if value is GONE:
        del table[path[-1]]
    else:
        table[path[-1]] = value

    with pytest.raises(Rejected) as caught:
        read_event(event)

    assert text == str(caught.value)
    assert "deliver what EventBridge sends as it is, without an input transformer" == caught.value.remedy


def test_reading_an_event_imports_no_sdk() -> None:
    """Most events are not ours: they must not pay for boto3."""
    code = (
        "import json, sys; from packer_publisher.clouds.aws import read_event; "
        f"read_event(json.load(open({str(EVENTS / 'tag_change.json')!r}))); "
        "print(sorted({'boto3', 'botocore', 'httpx'} & set(sys.modules)))"
    )

    assert "[]\n" == subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
