"""What Azure's events say about images."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from packer_publisher.clouds.azure import read_event
from packer_publisher.errors import Rejected
from packer_publisher.image import Change, ImageEvent, ImageRef, Platform
from packer_publisher.local.arm import Arm
from packer_publisher.local.arm_events import as_cloud_event, notification

EVENTS = Path(__file__).parents[1] / "events" / "azure"
SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"
ROOT = f"/subscriptions/{SUBSCRIPTION}"
IMAGE_AS_WRITTEN = f"{ROOT}/resourcegroups/rg-images/providers/Microsoft.Compute/images/web-20261001"
IMAGE = f"{ROOT}/resourceGroups/rg-images/providers/Microsoft.Compute/images/web-20261001"
VERSION = f"{ROOT}/resourceGroups/rg-images/providers/Microsoft.Compute/galleries/gal/images/web/versions/1.0.0"
TAGS = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "4f2a9c1-812"}


def sample(name: str) -> Any:
    return json.loads((EVENTS / f"{name}.json").read_text())


def read(body: object) -> ImageEvent:
    event = read_event(body)
    assert event is not None
    return event


@pytest.mark.parametrize(
    ("name", "identifier", "change"),
    [
        ("managed_image_written", IMAGE_AS_WRITTEN, Change.WRITTEN),
        ("managed_image_written_data_version_1", IMAGE_AS_WRITTEN, Change.WRITTEN),
        ("managed_image_written_cloud_event", IMAGE_AS_WRITTEN, Change.WRITTEN),
        ("gallery_version_written", VERSION, Change.WRITTEN),
        ("managed_image_deleted", IMAGE, Change.DELETED),
        ("gallery_version_deleted", VERSION, Change.DELETED),
        ("managed_image_tags_written", IMAGE, Change.WRITTEN),
        ("gallery_version_notification", VERSION, Change.WRITTEN),
        ("managed_image_notification_tags_as_text", IMAGE_AS_WRITTEN, Change.WRITTEN),
        ("managed_image_notification_deleted", IMAGE, Change.DELETED),
    ],
)
def test_an_event_names_the_image_as_it_spells_it(name: str, identifier: str, change: Change) -> None:
    """The address of the image is the id of the event, casing included; the subscription is its owner.

    One that was deleted is named as it was registered, because that is what HCP can be searched for.
    """
    event = read(sample(name))
    assert (ImageRef(Platform.AZURE, SUBSCRIPTION, "", identifier), change) == (event.ref, event.change)


def test_removed_tags_are_no_deleted_image() -> None:
    """Deleting all tags through the Tags API is a change of the image, not its end."""
    event = read(sample("gallery_version_tags_deleted"))
    assert (VERSION, Change.WRITTEN) == (event.ref.identifier, event.change)


def test_an_event_has_its_time_and_id() -> None:
    """Seven digits of a second, as .NET writes them, are read."""
    event = read(sample("managed_image_written"))
    assert datetime(2026, 10, 1, 10, 4, 17, 123456, UTC) == event.time
    assert event.event_id == "5b2b1a0e-0c35-4a1d-9d0e-000000000001"


@pytest.mark.parametrize("name", ["gallery_version_notification", "managed_image_notification_tags_as_text"])
def test_a_notification_carries_the_tags(name: str) -> None:
    """Azure Resource Notifications carry the tags, as an object or as JSON text."""
    assert read(sample(name)).tags == TAGS


@pytest.mark.parametrize(("tags", "expected"), [(None, None), ("a=b; c=d", None), ("[1]", None), ({}, {}), ("{}", {})])
def test_tags_in_an_unknown_form_are_not_guessed(tags: object, expected: object) -> None:
    """Tags that cannot be read leave the question to the image itself; an empty set is an answer."""
    body = sample("gallery_version_notification")
    body["data"]["resourceInfo"]["tags"] = tags
    assert read(body).tags == expected


def test_a_write_event_says_nothing_about_tags() -> None:
    """Only notifications carry tags; of any other event only the image itself knows them."""
    assert read(sample("managed_image_written")).tags is None


@pytest.mark.parametrize(
    "name",
    [
        "virtual_machine_tags_written",
        "virtual_machine_written",
        "deployment_written",
        "disk_notification",
        "subscription_validation",
    ],
)
def test_events_about_anything_else_are_not_ours(name: str) -> None:
    """Machines, disks, deployments and handshakes are ignored."""
    assert read_event(sample(name)) is None


@pytest.mark.parametrize(
    "kind", ["Microsoft.Resources.ResourceWriteFailure", "Microsoft.Resources.ResourceActionSuccess"]
)
def test_only_success_counts(kind: str) -> None:
    """A failed write, or an action such as listing keys, changes no image."""
    assert read_event({**sample("managed_image_written"), "eventType": kind}) is None


def test_one_event_in_an_array_is_that_event() -> None:
    """Event Grid's own schema is an array on other ways of delivery."""
    assert read([sample("managed_image_written")]) == read(sample("managed_image_written"))


def test_everything_is_compared_without_case() -> None:
    """Event types, operations and ids may come in any casing; the id is kept as it came."""
    body = sample("gallery_version_written")
    body["eventType"] = body["eventType"].upper()
    body["data"]["operationName"] = body["data"]["operationName"].upper()
    body["data"]["resourceUri"] = VERSION.upper()
    assert ImageRef(Platform.AZURE, SUBSCRIPTION, "", VERSION.upper()) == read(body).ref


def test_the_subscription_is_lower_case() -> None:
    """One subscription has one spelling as an owner."""
    body = sample("managed_image_written")
    body["data"]["resourceUri"] = IMAGE.replace(SUBSCRIPTION, "ABCDEF00-1111-1111-1111-111111111111")
    assert read(body).ref.owner_id == "abcdef00-1111-1111-1111-111111111111"


def test_the_stand_in_sends_what_is_read() -> None:
    """The events of the stand-in's own changes are read alike in all three shapes."""
    arm = Arm(now=lambda: datetime(2026, 10, 1, 10, 4, 17, tzinfo=UTC))
    written = arm.put_managed_image("rg-images", "web-20261001", tags=TAGS)
    typed = arm.image_id("rg-images", "web-20261001")
    assert read(written).ref.identifier == IMAGE_AS_WRITTEN
    assert read(as_cloud_event(written)) == read(written)
    assert read(notification(arm.resource(typed), arm.now())).tags == TAGS
    assert read(arm.write_tags(typed, {})).ref.identifier == typed
    assert read(arm.delete(typed)).change is Change.DELETED


def without(name: str, *path: str) -> Any:
    body = sample(name)
    part = body
    for key in path[:-1]:
        part = part[key]
    del part[path[-1]]
    return body


def with_uri(uri: str) -> Any:
    body = sample("managed_image_written")
    body["data"]["resourceUri"] = uri
    return body


WRITE = "Microsoft.Resources.ResourceWriteSuccess"
CHANGED = "Microsoft.ResourceNotifications.Resources.CreatedOrUpdated"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("web", "The message is no event: its JSON is not an object."),
        ({}, "The message is no event: it has neither eventType nor type."),
        ([], "The message holds 0 events; exactly one is delivered per message."),
        ([{}, {}], "The message holds 2 events; exactly one is delivered per message."),
        (without("managed_image_written", "data"), f"The {WRITE} event has no data object."),
        (
            without("managed_image_written", "data", "operationName"),
            f"The {WRITE} event has no data.operationName.",
        ),
        (
            without("managed_image_written", "data", "resourceUri"),
            "The Microsoft.Compute/images/write event has no data.resourceUri.",
        ),
        (
            with_uri(f"{ROOT}/resourceGroups/rg/providers/Microsoft.Compute/images/"),
            "The Microsoft.Compute/images/write event names no image: "
            f"{ROOT}/resourceGroups/rg/providers/Microsoft.Compute/images/",
        ),
        (with_uri("a\nb"), "The Microsoft.Compute/images/write event names no image: a\\nb"),
        (
            without("managed_image_written", "eventTime"),
            f"The {WRITE} event about {IMAGE_AS_WRITTEN} has no readable time: ",
        ),
        (without("gallery_version_notification", "data"), f"The {CHANGED} event has no data object."),
        (
            without("gallery_version_notification", "data", "resourceInfo"),
            f"The {CHANGED} event has no resourceInfo object.",
        ),
        (
            without("gallery_version_notification", "data", "resourceInfo", "id"),
            f"The {CHANGED} event of a Microsoft.Compute/galleries/images/versions has no data.resourceInfo.id.",
        ),
    ],
)
def test_a_broken_event_is_rejected_with_what_is_wrong(body: object, text: str) -> None:
    """An event that cannot be read says what it lacks, in one line, and nothing of who caused it."""
    with pytest.raises(Rejected) as raised:
        read_event(body)
    assert text == str(raised.value)


@pytest.mark.parametrize(
    "uri",
    [
        f"{ROOT}/resourceGroups/../providers/Microsoft.Compute/images/web",
        f"{ROOT}/resourceGroups/rg/providers/Microsoft.Compute/images/..",
        f"{ROOT}/resourceGroups/rg/providers/Microsoft.Compute/images/web?x=y",
        f"{ROOT}/resourceGroups/rg/providers/Microsoft.Compute/images/web/extra",
        f"{ROOT}/resourceGroups/rg/providers/Microsoft.Compute/galleries/gal/images/web/versions/latest",
        "/subscriptions/mine/resourceGroups/rg/providers/Microsoft.Compute/images/web",
        f"{IMAGE}\n",
    ],
)
def test_an_id_cannot_lead_elsewhere(uri: str) -> None:
    """No part of an id may climb out of its place in a URL, and nothing may follow it."""
    with pytest.raises(Rejected):
        read_event(with_uri(uri))


def test_tags_that_are_nested_without_end_are_rejected() -> None:
    """Such a text would overflow the stack; the event is broken, and the function lives on."""
    body = sample("gallery_version_notification")
    body["data"]["resourceInfo"]["tags"] = '{"a":' * 100_000

    with pytest.raises(Rejected) as raised:
        read_event(body)

    assert "The event's tags are nested deeper than any tags are." == str(raised.value)
