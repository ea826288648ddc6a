"""What the Google Cloud function puts aside: what nobody can read, on a topic of its own, and nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
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
from tests.clouds.gcp_stand_in import LABELS, sample

from packer_publisher.clouds.gcp_queue import MOST_BYTES
from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.server import serving
from packer_publisher.runtime import close_publishers

MAIN = Path(__file__).parents[2] / "functions" / "gcp" / "main.py"
POISON = "projects/img-proj/topics/poison"
JSON = {"content-type": "application/json"}


@dataclass
class Topic:
    """Pub/Sub's publish method (projects.topics.publish of its REST reference): what was put where."""

    status: int = 200
    kept: list[tuple[str, bytes, dict[str, str]]] = field(default_factory=list)

    async def publish(self, request: Request) -> JSONResponse:
        if self.status != 200:
            return JSONResponse({"error": {"code": self.status}}, self.status)
        for message in (await request.json())["messages"]:
            assert message["data"] or message["attributes"], "Pub/Sub refuses an empty message"
            where = request.path_params["topic"].removesuffix(":publish")
            self.kept.append((where, base64.b64decode(message["data"]), message["attributes"]))
        return JSONResponse({"messageIds": []})


@pytest.fixture
def topic() -> Topic:
    return Topic()


@pytest.fixture
def compute() -> ComputeEngine:
    """Compute Engine a day ago: what was made then has settled."""
    return ComputeEngine(now=lambda: datetime.now(UTC) - timedelta(days=1))


@pytest.fixture
def client(topic: Topic, compute: ComputeEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    """The function as it is deployed without an event trigger: the platform then calls it an HTTP function."""
    app = Starlette(routes=[Route("/v1/{topic:path}", topic.publish, methods=["POST"])])
    with serving(app) as pubsub, serving(compute.app) as address:
        settings = {
            "PUBLISHER_COMPUTE_ENDPOINT": address,
            "PUBLISHER_CONFIG": '{"buckets": {"web": {"expects": ["gce"]}}}',
            "PUBLISHER_POISON_TOPIC": POISON,
            "PUBSUB_EMULATOR_HOST": pubsub.removeprefix("http://"),
            "HCP_PACKER_REGISTRY": "off",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        create: Any = functions_framework.create_app  # it has no types
        yield create("publish_image", str(MAIN), "http").test_client()
        close_publishers()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return what was logged since."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def pushed(message: dict[str, Any]) -> bytes:
    """Return the body of a push request that brings a message."""
    data = base64.b64encode(json.dumps(message).encode()).decode()
    return json.dumps({"message": {"data": data, "messageId": "1"}, "subscription": "s"}).encode()


UNREADABLE = {
    "no JSON": b"not json",
    "nothing at all": b"",
    "a list": b"[1]",
    "a message without data": b'{"message": {"messageId": "1"}, "subscription": "s"}',
    "data that is no JSON": b'{"message": {"data": "eyJh", "messageId": "1"}, "subscription": "s"}',
    "an order that is none": pushed({"packer-publisher": {"dance": {}}}),
    "an image's entry that names no image": pushed(
        {"protoPayload": {"methodName": "v1.compute.images.insert", "resourceName": "projects/p/zones/z/disks/d"}}
    ),
}


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_what_nobody_can_read_is_put_aside_as_it_came(
    client: FlaskClient, topic: Topic, capsys: pytest.CaptureFixture[str], body: bytes
) -> None:
    """It is acknowledged, and told once; only the topic holds what it was."""
    assert client.post("/", headers=JSON, data=body).status_code in (200, 204)
    assert [(POISON, body, {"bytes": str(len(body))})] == topic.kept
    assert ["rejected"] == [line["outcome"] for line in lines(capsys)]


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
def test_nothing_else_is_put_aside(
    client: FlaskClient, topic: Topic, compute: ComputeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither what is not ours, nor an image that breaks the contract: mending its labels brings its next event."""
    _, broken = compute.insert_image("web-1", labels={"hcp-packer-bucket": "web"})
    _, fine = compute.insert_image("web-2", labels=LABELS)
    for entry in (sample("instance_insert_last"), sample("image_insert_first"), broken, fine):
        assert 200 == client.post("/", headers=JSON, data=pushed(entry)).status_code
    assert ["ignored", "ignored", "rejected", "ignored"] == [line["outcome"] for line in lines(capsys)]
    assert [] == topic.kept


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
@pytest.mark.parametrize("body", [b"not json", UNREADABLE["an order that is none"]], ids=["framework's", "ours"])
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (403, "Pub/Sub refused what nobody can read (HTTP 403)."),
        (503, "Pub/Sub did not take what nobody can read (HTTP 503)."),
    ],
)
def test_a_topic_that_takes_nothing_keeps_the_message(
    client: FlaskClient, topic: Topic, capsys: pytest.CaptureFixture[str], body: bytes, status: int, reason: str
) -> None:
    """The subscription keeps it, and delivers it again; the log says why."""
    topic.status = status
    assert 503 == client.post("/", headers=JSON, data=body).status_code
    told = lines(capsys)
    assert [("rejected", "WARNING"), ("deferred", "WARNING")] == [(line["outcome"], line["severity"]) for line in told]
    assert reason == told[1]["reason"]


def test_a_name_that_is_no_topic_is_told(
    client: FlaskClient, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the variable that holds it."""
    monkeypatch.setenv("PUBLISHER_POISON_TOPIC", "poison")
    assert 503 == client.post("/", headers=JSON, data=b"not json").status_code
    assert "PUBLISHER_POISON_TOPIC is poison, which is no topic." == lines(capsys)[1]["reason"]


def test_without_a_topic_it_is_only_told(
    client: FlaskClient, topic: Topic, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is where Eventarc brings the events."""
    monkeypatch.delenv("PUBLISHER_POISON_TOPIC")
    assert 204 == client.post("/", headers=JSON, data=b"not json").status_code
    assert ["rejected"] == [line["outcome"] for line in lines(capsys)]
    assert [] == topic.kept


def test_a_long_request_is_cut(client: FlaskClient, topic: Topic) -> None:
    """Pub/Sub takes 10 MB; how long it was is told beside it."""
    body = b"x" * (MOST_BYTES + 1)
    assert 204 == client.post("/", headers=JSON, data=body).status_code
    ((_, kept, attributes),) = topic.kept
    assert (MOST_BYTES, {"bytes": str(MOST_BYTES + 1)}) == (len(kept), attributes)
