"""What Google Cloud's audit log says about images."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.clouds.gcp_stand_in import LABELS, OLD, sample

from packer_publisher.clouds.gcp import read_event, unwrap
from packer_publisher.errors import Rejected
from packer_publisher.image import Change, ImageEvent, ImageRef, Platform
from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.compute_events import audit_log_written, message_published, push_body, refused

NAMED = ImageRef(Platform.GCE, "img-proj", "", "web-20261001")


def read(entry: Mapping[str, Any]) -> ImageEvent:
    event = read_event(entry)
    assert event is not None
    return event


def last(**changes: Any) -> dict[str, Any]:
    """Return the usual last entry of an insert with top-level fields or, by ``payload__x``, payload fields replaced."""
    entry: dict[str, Any] = deepcopy(sample("image_insert_last"))
    for key, value in changes.items():
        part, name = (entry["protoPayload"], key.removeprefix("payload__")) if "__" in key else (entry, key)
        if value is None:
            del part[name]
        else:
            part[name] = value
    return entry


def refusal(entry: Mapping[str, Any]) -> str:
    with pytest.raises(Rejected) as caught:
        read_event(entry)
    return str(caught.value)


def broken(body: object) -> str:
    with pytest.raises(Rejected) as caught:
        unwrap(body)
    return str(caught.value)


def test_the_last_entry_of_an_insert_is_an_image_that_was_written() -> None:
    """Project and name come from the resource name; tags are left to describe, no usable entry carries them."""
    assert ImageEvent(
        ref=NAMED,
        change=Change.WRITTEN,
        time=datetime(2026, 10, 1, 10, 4, 17, 428123, tzinfo=UTC),
        event_id="-c7ctxmd2zab",
        tags=None,
    ) == read(sample("image_insert_last"))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("image_insert_last_beta", Change.WRITTEN),
        ("image_deprecate_last", Change.WRITTEN),
        ("image_set_labels_single", Change.WRITTEN),
        ("image_patch_without_operation", Change.WRITTEN),
        ("image_insert_bare", Change.WRITTEN),
        ("image_delete_last", Change.DELETED),
    ],
)
def test_every_usable_shape(name: str, change: Change) -> None:
    """Last entries, entries that are first and last, entries without operation, and bare ones are all usable."""
    event = read(sample(name))
    assert (NAMED, change) == (event.ref, event.change)


@pytest.mark.parametrize("version", ["v1", "beta", "alpha"])
@pytest.mark.parametrize("verb", ["insert", "setLabels", "patch", "update", "deprecate", "delete"])
def test_every_verb_of_every_api_version(version: str, verb: str) -> None:
    """Packer speaks v1, the console has spoken beta: all count alike, and delete alone deletes."""
    entry = last(payload__methodName=f"{version}.compute.images.{verb}")
    assert (Change.DELETED if verb == "delete" else Change.WRITTEN) is read(entry).change


@pytest.mark.parametrize(
    "name",
    [
        "image_insert_first",  # labels are there, as a list, but the image is not
        "image_insert_first_labels_as_map",
        "image_insert_denied",
        "image_insert_failed_last",
        "disk_create_snapshot_last",
        "instance_insert_last",
    ],
)
def test_what_is_not_usable_is_left_alone(name: str) -> None:
    """First entries, failures and other resources are no event of ours."""
    assert read_event(sample(name)) is None


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(last(payload__methodName="v2.compute.images.insert"), id="unknown version"),
        pytest.param(last(payload__methodName="v1.compute.images.setIamPolicy"), id="other verb"),
        pytest.param(last(payload__methodName="v1.compute.images.insertion"), id="longer verb"),
        pytest.param(last(payload__methodName=None), id="no method"),
        pytest.param(last(payload__serviceName="storage.googleapis.com"), id="other service"),
        pytest.param(last(severity="ERROR"), id="error"),
        pytest.param(last(severity="CRITICAL"), id="worse than an error"),
        pytest.param(last(payload__status={"code": 3, "message": "QUOTA_EXCEEDED"}), id="failed status"),
        pytest.param(last(operation={"first": True}), id="first without last"),
        pytest.param(last(operation={"first": True, "last": False}), id="first, not last"),
        pytest.param(
            last(
                payload__resourceName="projects/img-proj/zones/us-central1-a/disks/d",
                resource={"type": "gce_disk", "labels": {}},
            ),
            id="an image's method logged under another resource",
        ),
        pytest.param({"textPayload": "hello"}, id="no audit entry"),
        pytest.param({"protoPayload": "text"}, id="payload is no object"),
        pytest.param({"sweep": True}, id="another message of the same topic"),
        pytest.param({}, id="nothing"),
    ],
)
def test_foreign_entries_are_left_alone(entry: dict[str, Any]) -> None:
    """What is no successful, finished change of an image is None, never an error."""
    assert read_event(entry) is None


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(last(operation={}), id="empty operation"),
        pytest.param(last(operation={"id": "o", "last": True, "first": True}), id="first and last"),
        pytest.param(last(payload__status={}), id="empty status"),
        pytest.param(last(payload__status={"code": 0}), id="status zero"),
        pytest.param(last(severity="NOTICE"), id="notice"),
        pytest.param(last(severity=None), id="no severity"),
        pytest.param(last(resource=None), id="no resource"),
        pytest.param(last(resource={"type": "gce_image"}), id="resource without labels"),
        pytest.param(last(resource={"type": "audited_resource", "labels": {}}), id="generic resource type"),
        pytest.param(last(timestamp=None), id="only the time of receipt"),
        pytest.param(last(logName=None), id="no log name"),
        pytest.param(last(insertId=None), id="no insert id"),
        pytest.param(
            last(payload__resourceName="//compute.googleapis.com/projects/img-proj/global/images/web-20261001"),
            id="full resource name",
        ),
    ],
)
def test_absences_are_tolerated(entry: dict[str, Any]) -> None:
    """Shapes differ per method; what identifies the image is enough."""
    assert NAMED == read(entry).ref


def test_an_image_under_its_numbers() -> None:
    """A project's number gives way to its id, which the entry holds elsewhere; an image's number is kept."""
    assert (
        ImageRef(Platform.GCE, "img-proj", "", "7718790431234567890")
        == read(sample("image_insert_last_by_numbers")).ref
    )
    by_log = deepcopy(sample("image_insert_last_by_numbers"))
    del by_log["resource"]
    assert "img-proj" == read(by_log).ref.owner_id
    del by_log["logName"]
    assert "The log entry names the project by its number alone: 120000000001" == refusal(by_log)


def test_a_project_of_a_domain() -> None:
    """Old projects carry their domain in the id."""
    name = "projects/example.com:img-proj/global/images/web-1"
    assert "example.com:img-proj" == read(last(payload__resourceName=name)).ref.owner_id


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (last(payload__resourceName=None), "The log entry of v1.compute.images.insert has no resourceName."),
        (last(payload__resourceName=7), "The log entry of v1.compute.images.insert has no resourceName."),
        (
            last(payload__resourceName="projects/img-proj/global/images/"),
            "The log entry of v1.compute.images.insert names no image: projects/img-proj/global/images/",
        ),
        (
            last(payload__resourceName="projects/img-proj/global/images/We\nb"),
            "The log entry of v1.compute.images.insert names no image: projects/img-proj/global/images/We\\nb",
        ),
        (
            last(payload__resourceName="projects/IMG/global/images/web"),
            "The log entry names no project: IMG",
        ),
        (
            last(timestamp="yesterday"),
            "The log entry about projects/img-proj/global/images/web-20261001 has no readable time: yesterday",
        ),
    ],
)
def test_a_broken_entry_of_an_image_is_rejected(entry: dict[str, Any], problem: str) -> None:
    """Ours, but broken: it is told what is wrong, with foreign text on one line."""
    assert problem == refusal(entry)


@pytest.mark.parametrize("name", ["pubsub_push_body", "pubsub_message_published", "eventarc_audit_log_written"])
def test_every_envelope_holds_the_same_entry(name: str) -> None:
    """A push request, a Pub/Sub CloudEvent and an Eventarc CloudEvent lead to one entry."""
    entry = sample("image_insert_last")
    body = sample(name)
    assert entry == unwrap(body)
    assert entry == unwrap(json.dumps(body))
    assert entry == unwrap(json.dumps(body).encode())
    if "data" in body:
        assert entry == unwrap(body["data"])
        assert entry == unwrap({**body, "data": json.dumps(body["data"])})
        encoded = base64.b64encode(json.dumps(body["data"]).encode()).decode()
        assert entry == unwrap({"specversion": "1.0", "data_base64": encoded})


def test_an_entry_needs_no_envelope() -> None:
    """An entry comes back as it is, and so does what is none: read_event leaves it alone."""
    assert sample("image_insert_last") == unwrap(sample("image_insert_last"))
    assert {"bucket": "b", "name": "o"} == unwrap({"bucket": "b", "name": "o"})


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("", "The request holds no readable JSON."),
        (b'{"message": {"data"', "The request holds no readable JSON."),
        (b"\xff\xfe", "The request holds no readable JSON."),
        ("[" * 100_000, "The request holds no readable JSON."),
        ("[]", "The request holds no JSON object."),
        (None, "The request holds no JSON object."),
        (7, "The request holds no JSON object."),
        ({"specversion": "1.0"}, "The CloudEvent holds no JSON object."),
        ({"specversion": "1.0", "data": "x"}, "The CloudEvent holds no readable JSON."),
        ({"specversion": "1.0", "data_base64": "%"}, "The CloudEvent carries data that is not base64."),
        ({"message": {}}, "The Pub/Sub message carries no data."),
        ({"message": "text"}, "The Pub/Sub message carries no data."),
        ({"message": {"data": "***"}}, "The Pub/Sub message carries data that is not base64."),
        ({"message": {"data": "é"}}, "The Pub/Sub message carries data that is not base64."),
        ({"message": {"data": ["e30="]}}, "The Pub/Sub message carries data that is not base64."),
        ({"message": {"data": "eyJh"}}, "The Pub/Sub message holds no readable JSON."),
        ({"message": {"data": "W10="}}, "The Pub/Sub message holds no JSON object."),
    ],
)
def test_a_broken_envelope_is_rejected(body: object, problem: str) -> None:
    """Truncated, wrongly encoded or wrongly typed: rejected, and nothing of it is quoted."""
    assert problem == broken(body)


def test_what_the_stand_in_logs_is_read_as_what_happened() -> None:
    """A build of Packer's, relabelled and deleted, gives these events in this order, in every envelope."""
    compute = ComputeEngine(now=lambda: OLD)
    compute.insert_image("web-1", labels=LABELS)
    compute.deprecate("web-1")
    compute.set_labels("web-1", {**LABELS, "team": "a"})
    compute.delete("web-1")
    for envelope in (dict, push_body, message_published, audit_log_written):
        events = [read_event(unwrap(envelope(entry))) for entry in compute.log]
        changes = [event.change if event else None for event in events]
        assert [None, Change.WRITTEN, None, Change.WRITTEN, Change.WRITTEN, None, Change.DELETED] == changes
        assert {"web-1"} == {event.ref.identifier for event in events if event}
    assert read_event(refused(compute.log[1])) is None
