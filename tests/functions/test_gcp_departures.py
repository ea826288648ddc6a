"""The Google Cloud function and images that change after the fact: deleted, named again, deprecated, relabelled."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import functions_framework
import pytest
from flask.testing import FlaskClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.switches import catch_up, completing, fresh, let_lags_pass, setting

from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.compute_events import binary, message_published
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.local.server import serving
from packer_publisher.runtime import close_publishers

MAIN = Path(__file__).parents[2] / "functions" / "gcp" / "main.py"
REVOKE = json.dumps({"buckets": {"web": {"create_buckets": True, "on_delete": "revoke"}}})
IGNORE = json.dumps({"buckets": {"web": {"create_buckets": True}}})
TOPIC = "projects/img-proj/topics/images"
HOURS_AGO = datetime.now(UTC) - timedelta(hours=30)
LOOK = timedelta(minutes=11)


@pytest.fixture
def compute() -> Iterator[ComputeEngine]:
    """Compute Engine a day ago: what was made then has settled, and its events have rested."""
    compute = ComputeEngine(now=lambda: datetime.now(UTC) - timedelta(days=1))
    yield compute
    assert [] == compute.writes


class Function:
    """The function behind its framework, its topic, and what it logged."""

    def __init__(
        self, client: FlaskClient, registry: LocalRegistry, published: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        self._client = client
        self._published = published
        self._capsys = capsys
        self.registry = registry

    def build(self, compute: ComputeEngine, name: str, fingerprint: str = "a1", **labels: str) -> None:
        """Make an image thirty hours ago, and let its entry be handled."""
        contract = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": fingerprint, "hcp-packer-expects": "gce"}
        self.registry.model.clock = lambda: HOURS_AGO
        _, last = compute.insert_image(name, labels={**contract, **labels}, created=HOURS_AGO)
        self.take(last)
        self.registry.model.clock = lambda: datetime.now(UTC)
        catch_up(self.registry.model, "web", fingerprint)
        self.lines()
        self.registry.requests.clear()

    def take(self, message: dict[str, Any]) -> int:
        """Deliver a message of the topic; return the status that Pub/Sub gets."""
        if "packer-publisher" in message:  # what the function itself has put there
            headers, body = _published(message)
        else:
            headers, body = binary(message_published(message))
        return self._client.post("/", headers=headers, data=body).status_code

    def left(self) -> list[dict[str, Any]]:
        """Return what the function has put on its own topic since."""
        found = [json.loads(base64.b64decode(text)) for text in self._published]
        self._published.clear()
        return found

    def lines(self) -> list[dict[str, Any]]:
        """Return what was logged since."""
        return [json.loads(line) for line in self._capsys.readouterr().out.splitlines()]

    def status(self, fingerprint: str = "a1") -> tuple[str, str]:
        """Return a version's name and status."""
        version = fresh(self.registry.model).get_version("web", fingerprint)["version"]
        return version["name"], version["status"].removeprefix("VERSION_")


@pytest.fixture
def function(
    compute: ComputeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Function]:
    """A deployment whose Google Cloud and whose HCP are the stand-ins."""
    published: list[str] = []

    async def publish(request: Request) -> JSONResponse:
        published.extend(message["data"] for message in (await request.json())["messages"])
        return JSONResponse({"messageIds": []})

    pubsub = Starlette(routes=[Route("/v1/{topic:path}", publish, methods=["POST"])])
    with (
        closing(RegistryModel(switches=setting())) as model,
        local_registry(model) as registry,
        serving(compute.app) as address,
        serving(pubsub) as publisher,
    ):
        settings = {
            **registry.environment(),
            "PUBLISHER_COMPUTE_ENDPOINT": address,
            "PUBLISHER_CONFIG": REVOKE,
            "PUBLISHER_QUEUE": TOPIC,
            "PUBSUB_EMULATOR_HOST": publisher.removeprefix("http://"),
            "GOOGLE_CLOUD_PROJECT": "img-proj",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        create: Any = functions_framework.create_app  # it has no types
        yield Function(create("publish_image", str(MAIN), "cloudevent").test_client(), registry, published, capsys)
        close_publishers()


def _published(message: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    """Return a message of the topic as Eventarc delivers it."""
    data = base64.b64encode(json.dumps(message).encode()).decode()
    headers = {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
        "ce-source": f"//pubsub.googleapis.com/{TOPIC}",
    }
    body = {"message": {"data": data, "messageId": "1"}, "subscription": "projects/img-proj/subscriptions/s"}
    return headers, json.dumps(body).encode()


def later(message: dict[str, Any]) -> dict[str, Any]:
    """Return the message of a second look as if its first one had been ten minutes ago."""
    asked = message["packer-publisher"]["look-again"]
    asked["first"] = (datetime.fromisoformat(asked["first"]) - LOOK).isoformat()
    return message


def test_a_deleted_image_revokes_its_version(function: Function, compute: ComputeEngine) -> None:
    """Its name is searched for, and its number must fit."""
    function.build(compute, "web-1")
    _, last = compute.delete("web-1")
    assert 200 == function.take(last)
    (line,) = function.lines()
    assert ("revoked", "WARNING", 3) == (line["outcome"], line["severity"], line["calls"])
    assert ("v1", "REVOKED") == function.status()


def test_under_ignore_a_deletion_costs_nothing(
    function: Function, compute: ComputeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a question to Google Cloud nor one to HCP."""
    function.build(compute, "web-1")
    _, last = compute.delete("web-1")
    monkeypatch.setenv("PUBLISHER_CONFIG", IGNORE)
    compute.asked.clear()
    assert 200 == function.take(last)
    assert ["the image was deleted; nothing is changed in HCP"] == [line["reason"] for line in function.lines()]
    assert ([], 0, ("v1", "ACTIVE")) == (compute.asked, function.registry.requests.count(), function.status())


def test_a_name_that_was_given_again_hides_nothing_and_proves_nothing(
    function: Function, compute: ComputeEngine
) -> None:
    """The old image is gone although there is one of its name; the new one's version stays as it is."""
    function.build(compute, "web-1")
    _, last = compute.delete("web-1")
    function.build(compute, "web-1", "b2")
    assert [("v1", "ACTIVE"), ("v2", "ACTIVE")] == [function.status("a1"), function.status("b2")]
    assert 200 == function.take(last)
    (line,) = function.lines()
    assert ("revoked", "a1") == (line["outcome"], line["fingerprint"])
    assert [("v1", "REVOKED"), ("v2", "ACTIVE")] == [function.status("a1"), function.status("b2")]


def test_an_image_that_is_being_deleted_is_gone_and_one_that_is_there_is_not(
    function: Function, compute: ComputeEngine
) -> None:
    """The entry alone is not enough: whoever can send one could forge it."""
    function.build(compute, "web-1")
    _, last = compute.delete("web-1", deleting=1)
    forged = json.loads(json.dumps(last).replace("web-1", "web-2"))
    function.build(compute, "web-2", "b2")
    forged["resource"]["labels"]["image_id"] = compute.resource("web-2")["id"]
    assert [200, 200] == [function.take(last), function.take(forged)]
    assert ["revoked", "ignored"] == [line["outcome"] for line in function.lines()]
    assert ("v2", "ACTIVE") == function.status("b2")


def test_two_images_of_one_version_take_a_second_look(function: Function, compute: ComputeEngine) -> None:
    """A message on the function's own topic; while it is not due it is not acknowledged."""
    for name in ("one", "two"):
        kind = {"hcp-packer-component-type": f"googlecompute__{name}"}
        function.build(compute, name, **kind, **{"hcp-packer-expects": "googlecompute__one_googlecompute__two"})
    assert ("v1", "ACTIVE") == function.status()
    compute.delete("one")
    _, last = compute.delete("two")
    assert 200 == function.take(last)
    assert ["waiting"] == [line["outcome"] for line in function.lines()]
    (message,) = function.left()
    numbers = [image["number"] for image in message["packer-publisher"]["look-again"]["images"]]
    assert 2 == len(set(numbers))
    assert 503 == function.take(message)
    assert ["deferred"] == [line["outcome"] for line in function.lines()]
    assert 200 == function.take(later(message))
    assert ["revoked"] == [line["outcome"] for line in function.lines()]
    assert ("v1", "REVOKED") == function.status()


def test_without_a_topic_it_is_said_what_is_missing(
    function: Function, compute: ComputeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is revoked on one look."""
    for name in ("one", "two"):
        kind = {"hcp-packer-component-type": f"googlecompute__{name}"}
        function.build(compute, name, **kind, **{"hcp-packer-expects": "googlecompute__one_googlecompute__two"})
    monkeypatch.setenv("PUBLISHER_QUEUE", "")
    compute.delete("one")
    _, last = compute.delete("two")
    assert 200 == function.take(last)
    (line,) = function.lines()
    assert "name the function's own queue in PUBLISHER_QUEUE, or revoke the version in HCP Packer" == line["remedy"]
    assert ("v1", "ACTIVE") == function.status()


@pytest.mark.parametrize("state", ["DEPRECATED", "OBSOLETE", "DELETED"])
def test_a_deprecated_image_changes_nothing(function: Function, compute: ComputeEngine, state: str) -> None:
    """Also in the state that Google calls DELETED: the image is there until somebody deletes it."""
    function.build(compute, "web-1")
    _, last = compute.deprecate("web-1", state=state)
    assert 200 == function.take(last)
    assert ["unchanged"] == [line["outcome"] for line in function.lines()]
    assert ("v1", "ACTIVE") == function.status()


def test_a_relabelled_image_is_in_both_versions(function: Function, compute: ComputeEngine) -> None:
    """What was recorded before stays, and nobody complains."""
    function.build(compute, "web-1")
    labels = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "b2", "hcp-packer-expects": "gce"}
    (entry,) = compute.set_labels("web-1", labels)
    assert 200 == function.take(entry)
    (line,) = function.lines()
    assert (completing(), "b2", False) == (line["outcome"], line["fingerprint"], "notes" in line)
    let_lags_pass(function.registry.model)
    assert [("v1", "ACTIVE"), ("v2", "ACTIVE")] == [function.status("a1"), function.status("b2")]
