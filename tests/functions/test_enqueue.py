"""``backfill --enqueue`` as a person runs it, with the three real functions behind real queues of stand-ins."""

from __future__ import annotations

import base64
import importlib.util
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import functions_framework
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.clouds.aws_stand_in import fresh_account_id
from tests.clouds.azure_stand_in import Out
from tests.functions.storage_queue import QUEUE, StorageQueue
from tests.simulation.registry import look
from tests.switches import let_lags_pass, setting

from packer_publisher.local.arm import Arm
from packer_publisher.local.aws import LocalAccount, LocalAWS
from packer_publisher.local.aws_delivery import LocalDelivery
from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.local.server import serving
from packer_publisher.runtime import close_publishers

pytestmark = pytest.mark.switches(completion_lag=0.0)  # the time of the command is real

ROOT = Path(__file__).parents[2]
TOPIC = "projects/img-proj/topics/images"
CONFIG = json.dumps({"buckets": {"*": {"create_buckets": True}}})


@dataclass
class Topic:
    """Pub/Sub's method projects.topics.publish."""

    published: list[str] = field(default_factory=list)
    status: int = 200

    @property
    def app(self) -> Starlette:
        """Return the HTTP face."""
        return Starlette(routes=[Route(f"/v1/{TOPIC}:publish", self._publish, methods=["POST"])])

    async def _publish(self, request: Request) -> JSONResponse:
        if self.status != 200:
            return JSONResponse({"error": {"code": self.status}}, self.status)
        messages = (await request.json())["messages"]
        self.published += [message["data"] for message in messages]
        return JSONResponse({"messageIds": [str(number) for number, _ in enumerate(messages)]})


@dataclass
class Deployment:
    """Three accounts with their functions and queues, one registry, and the command in a process of its own."""

    folder: Path
    account: LocalAccount
    delivery: LocalDelivery
    arm: Arm
    compute: ComputeEngine
    queue: StorageQueue
    topic: Topic
    registry: LocalRegistry
    environment: dict[str, str]
    functions: tuple[ModuleType, ModuleType, Any]
    log: StringIO = field(default_factory=StringIO)
    delivered: int = 0
    repeated: str = ""

    def add(self, fingerprint: str, *clouds: str, days: float = 5, bucket: str = "web", **tags: str) -> None:
        """Make images of one version whose events never came."""
        own = {"hcp-packer-bucket": bucket, "hcp-packer-fingerprint": fingerprint}
        given = own | {f"hcp-packer-{key.replace('_', '-')}": value for key, value in tags.items()}
        created = datetime.now(UTC) - timedelta(days=days)
        name = f"{bucket}-{fingerprint}"
        if "aws" in clouds:
            for region in ("eu-west-1", "us-east-1"):
                image = self.account.register(name, region=region, created=created)
                self.account.tag(region, image, given)
        if "azure" in clouds:
            self.arm.put_managed_image("images", name, tags=given, created=created)
        if "gcp" in clouds:
            self.compute.insert_image(name, labels=given, created=created)

    def start(self, cloud: str, *words: str) -> subprocess.Popen[str]:
        """Begin the command."""
        command = [sys.executable, "-m", "packer_publisher.cli", "backfill", cloud, "--yes", "--enqueue", *words]
        return subprocess.Popen(
            command, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, cwd=self.folder,
        )  # fmt: skip

    def run(self, cloud: str, *words: str, works: bool = True, twice: bool = False) -> tuple[int, str, str]:
        """Run the command to its end while the functions do what is on their queues; return what it ended with."""
        with self.start(cloud, *words) as process:
            ended = time.monotonic() + 90
            while process.poll() is None and time.monotonic() < ended:
                if works:
                    self.work(twice=twice)
                time.sleep(0.05)
            process.kill()
            out, err = process.communicate()
        return process.returncode, out, err

    def work(self, *, twice: bool = False) -> None:
        """Let each platform hand its function what is on its queue."""
        aws, azure, gcp = self.functions
        with redirect_stdout(self.log):
            while (delivery := self.delivery.deliver(aws.handler)) is not None:
                self.delivered += len(delivery.records)
                assert frozenset() == delivery.failed
                if twice and not self.repeated:
                    self.repeated = str(delivery.records[0]["body"])
                    sqs = self.account.session().client("sqs", endpoint_url=self.account.endpoint)
                    sqs.send_message(QueueUrl=self.delivery.queue_url, MessageBody=self.repeated)
            for message in self.queue.take():
                self.delivered += 1
                azure.publish_image(message, Out())
            taken, self.topic.published = self.topic.published, []
            for data in taken:
                self.delivered += 1
                body = {
                    "message": {"data": data, "messageId": "1"},
                    "subscription": "projects/img-proj/subscriptions/s",
                }
                headers = {
                    "content-type": "application/json", "ce-specversion": "1.0", "ce-id": "1", "ce-source": "//p",
                    "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
                }  # fmt: skip
                assert 200 == gcp.post("/", headers=headers, data=json.dumps(body)).status_code

    def waiting(self) -> list[dict[str, Any]]:
        """Return the messages that are on the queues."""
        texts = [base64.b64decode(text).decode() for text in (*self.queue.texts, *self.topic.published)]
        return [json.loads(text)["packer-publisher"]["converge"] for text in texts]

    def names(self, *fingerprints: str, bucket: str = "web") -> list[str]:
        """Return the names of versions."""
        let_lags_pass(self.registry.model)
        return [look(self.registry.model, bucket, fingerprint).name for fingerprint in fingerprints]


@pytest.fixture(scope="module")
def local() -> Iterator[LocalAWS]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # moto's server tells each request
    with LocalAWS(("eu-west-1", "us-east-1"), ()) as running:
        yield running


def module(cloud: str, name: str) -> ModuleType:
    """Load a function as its host does."""
    spec = importlib.util.spec_from_file_location(f"{cloud}_enqueue", ROOT / "functions" / cloud / name)
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def at(local: LocalAWS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    arm, compute, queue, topic = Arm(), ComputeEngine(), StorageQueue(), Topic()
    account = local.account(fresh_account_id())
    with ExitStack() as opened:
        model = opened.enter_context(closing(RegistryModel(switches=setting())))
        registry = opened.enter_context(local_registry(model))
        azure, google, storage, pubsub = (
            opened.enter_context(serving(part.app)) for part in (arm, compute, queue, topic)
        )
        settings = {
            **registry.environment(), "PUBLISHER_CONFIG": CONFIG, "PUBLISHER_ARM_ENDPOINT": azure,
            "AZURE_SUBSCRIPTION_ID": arm.subscriptions[0], "PUBLISHER_COMPUTE_ENDPOINT": google,
            "GOOGLE_CLOUD_PROJECT": "img-proj", "PUBSUB_EMULATOR_HOST": pubsub.removeprefix("http://"),
        }  # fmt: skip
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        delivery = LocalDelivery(account, settings)
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_PROXY": "127.0.0.1",
            **settings, **account.environment,
            "PUBLISHER_QUEUE_AWS": delivery.queue_url, "PUBLISHER_QUEUE_AZURE": f"{storage}/stand/{QUEUE}",
            "PUBLISHER_QUEUE_GCP": TOPIC,
        }  # fmt: skip
        create: Any = functions_framework.create_app  # it has no types
        main = str(ROOT / "functions" / "gcp" / "main.py")
        functions = (
            module("aws", "handler.py"),
            module("azure", "function_app.py"),
            create("publish_image", main, "cloudevent").test_client(),
        )
        log = StringIO()
        functions[0].logger.registered_handler.setStream(log)
        yield Deployment(tmp_path, account, delivery, arm, compute, queue, topic, registry, environment, functions, log)
        close_publishers()


def test_the_functions_write_what_three_clouds_hold(at: Deployment) -> None:
    """A message per version and cloud, one of them twice; in the order of the images, none before its last cloud."""
    at.add("a1", "aws", "azure", "gcp", days=9)
    at.add("b2", "aws", days=7)
    at.add("c3", "azure", "gcp", days=5, bucket="database")
    status, out, err = at.run("all", twice=True)
    assert (0, "") == (status, err), out
    assert "Done: 2 buckets, 3 versions (3 completed), 8 artifacts, " in out
    assert ["v1", "v2"] == at.names("a1", "b2")
    assert ["v1"] == at.names("c3", bucket="database")
    builds = look(at.registry.model, "web", "a1").builds
    assert ["aws", "azure", "gce"] == sorted(build.platform for build in builds)
    assert [2] == [len(build.artifacts) for build in builds if build.platform == "aws"]
    assert 7 == at.delivered
    status, out, err = at.run("all", "--resume", works=False)
    assert (0, "") == (status, err)
    assert "Done: 2 buckets, 3 versions (3 completed)" in out


def test_a_resumed_run_tells_what_is_open_and_sends_nothing_again(at: Deployment) -> None:
    """The time of the first is over before the functions have done anything; the second tells, the third is done."""
    at.add("a1", "azure", days=9)
    at.add("b2", "azure", days=7)
    status, out, err = at.run("azure", "--timeout", "3s", works=False)
    assert 1 == status
    assert "the time of --timeout is over" in err
    assert "sent  web/a1" in out
    assert "nothing of it is in HCP Packer yet" in out
    assert "1 sent and not finished." in out
    (order,) = at.waiting()
    assert ("a1", ["azure-arm"]) == (order["fingerprint"], order["expects"])
    status, out, err = at.run("azure", "--resume", "--timeout", "3s", "--json", works=False)
    found = json.loads(out)
    assert (1, 1, "sent", "looked") == (status, found["sums"]["sent"], *(v["stage"] for v in found["versions"]))
    assert 1 == len(at.waiting())
    # What was sent to the first queue would be waited for in vain.
    status, out, err = at.run("azure", "--resume", "--queue", f"azure={at.environment['PUBLISHER_QUEUE_AZURE']}-2")
    assert (2, True) == (status, "was begun with something else: --enqueue and the queues" in err)
    status, out, err = at.run("azure", "--resume")
    assert (0, "") == (status, err), out
    assert 2 == at.delivered
    assert ["v1", "v2"] == at.names("a1", "b2")


def test_what_a_function_has_rejected_is_sent_again_once_it_is_mended(
    at: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function's own configuration does not allow the bucket: its log alone says so, and the message is done."""
    at.add("a1", "gcp")
    monkeypatch.setenv("PUBLISHER_CONFIG", json.dumps({"buckets": {"other": None}}))
    status, _, err = at.run("gcp", "--timeout", "8s")
    assert (1, 1, []) == (status, at.delivered, at.waiting()), err
    monkeypatch.setenv("PUBLISHER_CONFIG", CONFIG)
    status, out, err = at.run("gcp", "--resume", "--send-again")
    assert (0, "", 2) == (status, err, at.delivered), out
    assert ["v1"] == at.names("a1")


def test_a_run_that_is_killed_while_it_sends_is_resumed(at: Deployment) -> None:
    """Three buckets under way; whatever the moment, every version gets in once, and in order."""
    for number in range(3):
        for name, days in (("a1", 9), ("b2", 7)):
            at.add(f"{name}-{number}", "gcp", days=days, bucket=f"bucket-{number}")
    status, out, _ = at.run("gcp", "--dry-run", "--detailed-exitcode")
    assert (3, []) == (status, at.waiting())
    assert "Plan: 3 buckets (3 new), 6 versions: 6 to create; 6 artifacts, about" in out
    with at.start("gcp") as process:
        ended = time.monotonic() + 60
        while not at.topic.published and time.monotonic() < ended:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    sent = len(at.waiting())
    assert 1 <= sent <= 3
    status, out, err = at.run("gcp", "--resume")
    assert (0, "") == (status, err), out
    for number in range(3):
        assert ["v1", "v2"] == at.names(f"a1-{number}", f"b2-{number}", bucket=f"bucket-{number}")
    assert 6 <= at.delivered <= 6 + sent


@pytest.mark.parametrize("cloud", ["azure", "gcp"])
def test_a_queue_that_denies_access_is_status_four_and_nothing_is_lost(at: Deployment, cloud: str) -> None:
    """It says which permission is missing; once it is given, the same run goes on."""
    at.add("a1", cloud)
    at.queue.refuses, at.topic.status = (403, "AuthorizationPermissionMismatch"), 403
    status, _, err = at.run(cloud)
    assert 4 == status
    assert ("Storage Queue Data Message Sender" if cloud == "azure" else "roles/pubsub.publisher") in err
    assert "Traceback" not in err
    at.queue.refuses, at.topic.status = None, 200
    assert 0 == at.run(cloud, "--resume")[0]
    assert ["v1"] == at.names("a1")


def test_a_queue_that_is_not_there_is_status_two(at: Deployment) -> None:
    """Before anything is written; the address is named."""
    at.add("a1", "aws", "azure")
    at.environment["PUBLISHER_QUEUE_AZURE"] += "-2"
    status, _, err = at.run("azure")
    assert (2, True) == (status, "There is no queue http://127.0.0.1:" in err)
    status, _, err = at.run("aws", "--queue", f"aws={at.delivery.queue_url}-2")
    assert (2, True) == (status, "there is no queue http://127.0.0.1:" in err), err
