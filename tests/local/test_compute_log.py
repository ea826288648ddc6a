"""The audit log of the Compute Engine stand-in, and the envelopes around its entries."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.compute_events import (
    CALLER,
    audit_log_written,
    binary,
    message_published,
    push_body,
    structured,
)
from tests.clouds.gcp_stand_in import LABELS, OLD, sample


@pytest.fixture
def compute() -> ComputeEngine:
    return ComputeEngine(now=lambda: OLD)


def keys(value: Any, at: str = "") -> set[str]:
    """Return the path of every field."""
    if not isinstance(value, dict):
        return {at}
    return {path for key, part in value.items() for path in keys(part, f"{at}.{key}")}


@pytest.mark.parametrize(
    ("name", "which", "beside"),
    [
        (
            "image_insert_first",
            0,
            {".operationType", ".user", ".id", ".insertTime", ".name", ".selfLink", ".startTime"},
        ),
        ("image_insert_last", 1, set()),
    ],
)
def test_an_insert_is_logged_as_google_logs_it(compute: ComputeEngine, name: str, which: int, beside: set[str]) -> None:
    """First and last entry have the fields of the collected samples, ``beside`` some of the operation's own."""
    made = compute.insert_image("web-1", labels=LABELS, family="web", description="Created by Packer", sourceType="RAW")
    allowed = {f".protoPayload.response{key}" for key in beside}
    assert set() == (keys(sample(name)) ^ keys(made[which])) - allowed


def test_the_two_entries_of_one_operation(compute: ComputeEngine) -> None:
    """They share the operation; the request is in the first alone, labels as a list; both name the caller."""
    first, last = compute.insert_image("web-1", labels={"team": "a"}, api_version="beta")
    assert first["operation"]["id"] == last["operation"]["id"]
    assert ((True, None), (None, True)) == tuple(
        (e["operation"].get("first"), e["operation"].get("last")) for e in (first, last)
    )
    assert [{"key": "team", "value": "a"}] == first["protoPayload"]["request"]["labels"]
    assert {"@type": "type.googleapis.com/compute.images.insert"} == last["protoPayload"]["request"]
    assert {"beta.compute.images.insert"} == {entry["protoPayload"]["methodName"] for entry in (first, last)}
    assert {CALLER} == {entry["protoPayload"]["authenticationInfo"]["principalEmail"] for entry in (first, last)}
    assert first["insertId"] != last["insertId"]
    assert datetime.fromisoformat(first["timestamp"]) < datetime.fromisoformat(last["timestamp"])
    assert UTC == datetime.fromisoformat(first["timestamp"]).tzinfo


def test_the_envelopes_have_the_shape_of_the_samples(compute: ComputeEngine) -> None:
    """A push request, a Pub/Sub CloudEvent and an Eventarc CloudEvent hold the fields that Google's hold."""
    _, last = compute.insert_image("web-1")
    assert keys(sample("pubsub_push_body")) == keys(push_body(last))
    assert keys(sample("pubsub_message_published")) == keys(message_published(last))
    assert keys(sample("eventarc_audit_log_written")) == keys(audit_log_written(last))
    assert last == json.loads(base64.b64decode(push_body(last)["message"]["data"]))


def test_content_modes(compute: ComputeEngine) -> None:
    """Binary puts the attributes into headers, structured everything into the body."""
    _, last = compute.insert_image("web-1")
    event = audit_log_written(last)
    headers, body = binary(event)
    assert last == json.loads(body)
    assert ("google.cloud.audit.log.v1.written", "1.0", "application/json") == (
        headers["ce-type"],
        headers["ce-specversion"],
        headers["content-type"],
    )
    assert ({"content-type": "application/cloudevents+json"}, event) == (
        structured(event)[0],
        json.loads(structured(event)[1]),
    )
