"""The Google Cloud function's sweeps: Cloud Scheduler's messages on its own topic, with the real SDKs."""

from __future__ import annotations

import base64
import importlib.util
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
from tests.simulation.registry import look
from tests.switches import completing, let_lags_pass, setting

from packer_publisher.clouds.gcp_queue import Topic, own_topic
from packer_publisher.errors import CloudTrouble, CredentialsTrouble
from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.local.server import serving
from packer_publisher.runtime import close_publishers
from packer_publisher.sweep import MARGIN

MAIN = Path(__file__).parents[2] / "functions" / "gcp" / "main.py"
CONFIG = json.dumps({"buckets": {"web": {"expects": ["gce"], "create_buckets": True}}})
TOPIC = "projects/img-proj/topics/images"


class PubSub:
    """Pub/Sub's one method that is called, as its REST reference has it (projects.topics.publish)."""

    def __init__(self) -> None:
        self.published: list[str] = []
        self.requests = 0
        self.status = 200
        self.app = Starlette(routes=[Route("/v1/{topic:path}", self._publish, methods=["POST"])])

    async def _publish(self, request: Request) -> JSONResponse:
        self.requests += 1
        if self.status != 200:
            return JSONResponse({"error": {"code": self.status, "status": "REFUSED"}}, self.status)
        assert f"{TOPIC}:publish" == request.path_params["topic"]
        messages = (await request.json())["messages"]
        self.published += [message["data"] for message in messages]
        return JSONResponse({"messageIds": [str(number) for number, _ in enumerate(messages)]})


@pytest.fixture
def compute() -> Iterator[ComputeEngine]:
    """Compute Engine a day ago: what was made then has settled."""
    compute = ComputeEngine(now=lambda: datetime.now(UTC) - timedelta(days=1))
    yield compute
    assert [] == compute.writes


@pytest.fixture
def pubsub() -> PubSub:
    return PubSub()


@pytest.fixture
def registry(compute: ComputeEngine, pubsub: PubSub, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalRegistry]:
    """A deployment whose Google Cloud and whose HCP are the stand-ins."""
    with (
        closing(RegistryModel(switches=setting())) as model,
        local_registry(model) as registry,
        serving(compute.app) as address,
        serving(pubsub.app) as publisher,
    ):
        settings = {
            **registry.environment(),
            "PUBLISHER_COMPUTE_ENDPOINT": address,
            "PUBLISHER_CONFIG": CONFIG,
            "PUBLISHER_QUEUE": TOPIC,
            "PUBSUB_EMULATOR_HOST": publisher.removeprefix("http://"),
            "GOOGLE_CLOUD_PROJECT": "img-proj",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield registry
        close_publishers()


class Function:
    """The function behind its framework, and what it logged."""

    def __init__(self, client: FlaskClient, capsys: pytest.CaptureFixture[str]) -> None:
        self._client = client
        self._capsys = capsys

    def deliver(self, data: str) -> int:
        """Deliver a message of the topic, its data in base64, as Eventarc does."""
        headers = {
            "content-type": "application/json",
            "ce-specversion": "1.0",
            "ce-id": "1",
            "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
            "ce-source": f"//pubsub.googleapis.com/{TOPIC}",
        }
        body = {"message": {"data": data, "messageId": "1"}, "subscription": "projects/img-proj/subscriptions/s"}
        return self._client.post("/", headers=headers, data=json.dumps(body)).status_code

    def sweep(self, window: str = "") -> int:
        """Deliver what Cloud Scheduler puts on the topic."""
        asked = {"window": window} if window else {}
        return self.deliver(base64.b64encode(json.dumps({"packer-publisher": {"sweep": asked}}).encode()).decode())

    def lines(self) -> list[dict[str, Any]]:
        """Return what was logged since."""
        return [json.loads(line) for line in self._capsys.readouterr().out.splitlines()]


@pytest.fixture
def function(registry: LocalRegistry, capsys: pytest.CaptureFixture[str]) -> Function:
    create: Any = functions_framework.create_app  # it has no types
    return Function(create("publish_image", str(MAIN), "cloudevent").test_client(), capsys)


def lose(compute: ComputeEngine, name: str, **labels: str) -> None:
    """Make an image whose entry never comes."""
    contract = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": name}
    compute.insert_image(name, labels={**contract, **{key.replace("_", "-"): text for key, text in labels.items()}})


def name_of(registry: LocalRegistry, fingerprint: str) -> str:
    """Return the name of a version."""
    let_lags_pass(registry.model)
    return look(registry.model, "web", fingerprint).name


@pytest.mark.switches(completion_lag=0.0)
def test_a_sweep_heals_a_lost_event(compute: ComputeEngine, registry: LocalRegistry, function: Function) -> None:
    """An idle project costs no call to HCP; a lost image comes into its version; what is complete is remembered."""
    assert 200 == function.sweep()
    assert 0 == registry.requests.count()
    lose(compute, "web-1")
    assert 200 == function.sweep()
    assert "v1" == name_of(registry, "web-1")
    registry.requests.clear()
    assert 200 == function.sweep("14d")
    assert 0 == registry.requests.count()
    assert [
        ("swept 2d: 0 images, 0 versions read", 0),
        ("completed web-1 web/web-1", None),
        ("swept 2d: 1 image, 1 version read (1 completed)", 0),
        ("swept 14d: 1 image, 0 versions read, 1 known to be complete", 0),
    ] == [(line["message"], line.get("waiting_versions")) for line in function.lines()]


def test_an_image_that_the_scan_passes_over_is_rejected(
    compute: ComputeEngine, registry: LocalRegistry, function: Function
) -> None:
    """A label that breaks the contract is told, never passed over in silence; its neighbour goes on."""
    contract = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "odd-1", "hcp-packer-region": "_"}
    compute.insert_image("odd-1", labels=contract, zone="")
    lose(compute, "web-1")
    assert 200 == function.sweep()
    rejected, completed, _ = function.lines()
    assert ("rejected", "WARNING", completing()) == (rejected["outcome"], rejected["severity"], completed["outcome"])
    assert "label hcp-packer-region names _, which is no zone or region." in rejected["reason"]


def test_what_there_is_no_time_for_goes_back_to_the_topic(
    compute: ComputeEngine, registry: LocalRegistry, pubsub: PubSub, function: Function
) -> None:
    """One message for each version; delivered again, they are done."""
    spec = importlib.util.spec_from_file_location("gcp_sweep_main", MAIN)
    assert spec
    assert spec.loader
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    lose(compute, "web-1")
    lose(compute, "web-2")
    registry.faults.stall("GetVersion", 3.0, on=1)
    module.SECONDS = MARGIN + 2.9  # so MARGIN is not left after the first version
    answer = module.handle({"packer-publisher": {"sweep": {}}})
    assert (1, 1) == (answer.entries[-1].fields["handed_over"], len(pubsub.published))
    assert 200 == function.deliver(pubsub.published[0])
    assert {"v1", "v2"} == {name_of(registry, "web-1"), name_of(registry, "web-2")}


@pytest.mark.parametrize(
    ("status", "trouble", "text"),
    [
        (403, CredentialsTrouble, "Pub/Sub refused what is to be done later (HTTP 403)."),
        (503, CloudTrouble, "Pub/Sub did not take what is to be done later (HTTP 503)."),
    ],
)
def test_a_topic_that_takes_nothing_is_trouble(
    pubsub: PubSub, status: int, trouble: type[CloudTrouble], text: str
) -> None:
    """With what to do about it."""
    pubsub.status = status
    with serving(pubsub.app) as address, pytest.raises(trouble) as caught:
        Topic(TOPIC, address.removeprefix("http://")).put(["{}"])
    assert text == str(caught.value)


def test_a_topic_takes_many_messages_in_few_requests(pubsub: PubSub) -> None:
    """A hundred at a time, each as it was given."""
    with serving(pubsub.app) as address:
        topic = own_topic({"PUBLISHER_QUEUE": TOPIC, "PUBSUB_EMULATOR_HOST": address.removeprefix("http://")})
        assert topic is not None
        topic.put([str(number) for number in range(101)])
    assert 2 == pubsub.requests
    assert [str(number) for number in range(101)] == [base64.b64decode(text).decode() for text in pubsub.published]


def test_a_name_that_is_no_topic_is_trouble_when_something_is_handed_over() -> None:
    """Events are handled all the same; without any name a sweep does what it can by itself."""
    assert own_topic({}) is None
    topic = own_topic({"PUBLISHER_QUEUE": "images"})
    assert topic is not None
    with pytest.raises(CloudTrouble) as caught:
        topic.put(["{}"])
    assert "PUBLISHER_QUEUE is images, which is no topic." == str(caught.value)


def test_a_list_that_cannot_be_had(compute: ComputeEngine, registry: LocalRegistry, function: Function) -> None:
    """The frequent sweep is taken, for the next is on its way; the daily one is delivered again."""
    compute.fail(403, "forbidden", "no")
    assert 200 == function.sweep()
    compute.fail(403, "forbidden", "no")
    assert 503 == function.sweep("14d")
    assert 2 * ["deferred"] == [line["outcome"] for line in function.lines()]
