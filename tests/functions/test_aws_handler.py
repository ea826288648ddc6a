"""The Lambda: what it acknowledges, what it leaves in the queue and for how long, what it counts and logs."""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.clouds.aws_stand_in import TAGS, fresh_account_id
from tests.registered import parents_of, register
from tests.switches import completing, setting

from packer_publisher.image import Artifact, Platform
from packer_publisher.local.aws import LocalAccount, LocalAWS
from packer_publisher.local.aws_delivery import LocalContext, LocalDelivery
from packer_publisher.local.aws_events import Event, state_change, tag_change
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.registry import HCPPacker
from packer_publisher.runtime import open_publisher

ROOT = Path(__file__).parents[2]
HANDLER = ROOT / "functions" / "aws" / "handler.py"
CONFIG = json.dumps({"buckets": {"base": {"create_buckets": True}}})
TEN_MINUTES_AGO = datetime.now(UTC) - timedelta(minutes=10)
GHOST = "ami-0123456789abcdef0"


@pytest.fixture(scope="module")
def local() -> Iterator[LocalAWS]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # moto's server tells each request
    with LocalAWS(("eu-west-1", "us-east-1"), ()) as running:
        yield running


@pytest.fixture(scope="module")
def account(local: LocalAWS) -> LocalAccount:
    return local.account(fresh_account_id())


@dataclass(slots=True)
class Function:
    """The deployed function: its queue, and everything that it wrote to its log."""

    account: LocalAccount
    queue: LocalDelivery
    registry: LocalRegistry
    module: Any
    log: io.StringIO

    def send(self, body: str) -> None:
        """Put a text into the queue."""
        sqs = self.account.session().client("sqs", endpoint_url=self.account.endpoint)
        sqs.send_message(QueueUrl=self.queue.queue_url, MessageBody=body)

    def run(self, *, seconds: float = 60.0) -> frozenset[str]:
        """Let Lambda hand over one batch; return the messages that stay."""
        with redirect_stdout(self.log):  # metrics are printed
            delivery = self.queue.deliver(self.module.handler, seconds=seconds)
        assert delivery is not None
        return delivery.failed

    def lines(self) -> list[dict[str, Any]]:
        """Return what was logged, metrics left out."""
        return [line for line in map(json.loads, self.log.getvalue().splitlines()) if "_aws" not in line]

    def outcomes(self) -> list[str]:
        """Return the outcomes in the order in which they were logged."""
        return [line["outcome"] for line in self.lines() if "outcome" in line]

    def counts(self) -> dict[str, float]:
        """Return what was counted."""
        found: dict[str, float] = {}
        for line in map(json.loads, self.log.getvalue().splitlines()):
            for directive in line.get("_aws", {}).get("CloudWatchMetrics", ()):
                for metric in directive["Metrics"]:
                    found[metric["Name"]] = found.get(metric["Name"], 0) + sum(line[metric["Name"]])
        return found

    def visible_in(self, message: str) -> int:
        """Return for how many seconds a message rests, as moto keeps it."""
        from moto.core.utils import unix_time_millis
        from moto.sqs.models import sqs_backends

        queue = sqs_backends[self.account.account_id][self.account.home].queues["packer-publisher-events"]
        (until,) = [m.visible_at for m in queue._messages if m.id == message]
        return round((until - unix_time_millis()) / 1000)


@pytest.fixture
def function(account: LocalAccount) -> Iterator[Function]:
    with closing(RegistryModel(switches=setting())) as model, local_registry(model) as registry:
        queue = LocalDelivery(account, settings_for(registry))
        log = io.StringIO()
        spec = importlib.util.spec_from_file_location("aws_handler", HANDLER)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.logger.registered_handler.setStream(log)
        yield Function(account, queue, registry, module, log)
        sqs = account.session().client("sqs", endpoint_url=account.endpoint)
        sqs.delete_queue(QueueUrl=queue.queue_url)
        close_registry(queue)


def settings_for(registry: LocalRegistry) -> dict[str, str]:
    """Return the function's own settings."""
    return {**registry.environment(), "PUBLISHER_CONFIG": CONFIG, "PUBLISHER_EXPECTS": "aws"}


def close_registry(queue: LocalDelivery) -> None:
    """Close the connections of a function's publisher: it is the same one, once per environment."""
    publisher = open_publisher(Platform.AWS, queue.environment)
    if "registry" in vars(publisher):
        assert isinstance(publisher.registry, HCPPacker)
        publisher.registry.close()


def ghost_event(function: Function) -> Event:
    """Return the event of an image that EC2 does not know (yet)."""
    return tag_change(function.account.account_id, "eu-west-1", GHOST, list(TAGS), TAGS, 1)


def fingerprint(name: str) -> dict[str, str]:
    """Return the tags of a build of its own."""
    return {"hcp-packer-bucket": "base", "hcp-packer-fingerprint": name}


@pytest.mark.switches(completion_lag=0.0)
def test_a_build_in_two_regions_completes_its_version(function: Function) -> None:
    """Events through EventBridge, the template's rules and SQS end in one version with both artifacts."""
    build = function.account.build("base-1", fingerprint("one-1"), copies=["eu-west-1"], created=TEN_MINUTES_AGO)
    for event in (*build.events, *build.events):
        function.queue.emit(event)

    stay = [function.run(), function.run()]

    assert [frozenset(), frozenset()] == stay
    assert {"completed": 1, "unchanged": 7} == function.counts()
    assert 1 == function.outcomes().count("completed")
    version = HCPVersion.read(function, "base", "one-1")
    assert "v1" == version.name
    assert {Artifact(region, image) for region, image in build.images.items()} == version.artifacts


@pytest.mark.parametrize("copies", [[], ["eu-west-1"]], ids=["launched", "copied"])
def test_the_source_ami_as_ec2_knows_it_is_the_parent(function: Function, copies: list[str]) -> None:
    """SourceImageId of the launched image, without any tag; a copy in another region is built from the same."""
    release = f"nine-{len(copies)}"
    build = function.account.build(release, fingerprint(release), copies=copies, created=TEN_MINUTES_AGO)
    source = function.account.record("us-east-1", build.images["us-east-1"]).source_image_id
    register(function.registry.model, "aws", Artifact("us-east-1", source), bucket="golden", channels=["stable"])
    function.queue.emit(build.events[-1])

    assert frozenset() == function.run()

    (line,) = [line for line in function.lines() if line.get("outcome") == completing()]
    assert "golden v1 (channel stable)" == line["parent"]
    assert [("golden v1", "stable", "UP_TO_DATE")] == parents_of(function.registry.model, "base", release)


def test_two_accounts_with_one_registry_look_with_their_own_credentials(function: Function, local: LocalAWS) -> None:
    """What one account's function cannot see it does not touch; the second owner of a component type is told so."""
    other = local.account(fresh_account_id())
    queue = LocalDelivery(other, {**settings_for(function.registry), "PUBLISHER_EXPECTS": "aws azure"})
    function.queue.change_settings(PUBLISHER_EXPECTS="aws azure")
    ours = function.account.build("base-2", fingerprint("two-2"), created=TEN_MINUTES_AGO)
    theirs = other.build("base-2", fingerprint("two-2"), created=TEN_MINUTES_AGO)
    function.queue.emit(ours.events[-1])
    queue.emit(theirs.events[-1])

    assert frozenset() == function.run()
    with redirect_stdout(function.log):
        (delivery,) = queue.drain(function.module.handler)
    close_registry(queue)

    assert frozenset() == delivery.failed
    assert {"registered": 1, "conflict": 1} == function.counts()
    version = HCPVersion.read(function, "base", "two-2")
    assert {Artifact("us-east-1", ours.images["us-east-1"])} == version.artifacts


@dataclass(frozen=True, slots=True)
class HCPVersion:
    """A version as the registry shows it."""

    name: str
    artifacts: set[Artifact]

    @classmethod
    def read(cls, function: Function, bucket: str, fingerprint: str) -> HCPVersion:
        """Read it with the client that the functions use."""
        from packer_publisher.deadline import Deadline

        registry = HCPPacker.from_environment(function.registry.environment())
        try:
            version = registry.get_version(bucket, fingerprint, Deadline.after(10))
        finally:
            registry.close()
        return cls(version.name, {artifact for build in version.builds for artifact in build.artifacts})


def test_a_message_that_is_no_json_is_acknowledged_logged_and_counted(function: Function) -> None:
    """Nothing will ever make it readable; what it says is not logged."""
    for body in ("{secret-body", "[" * 100_000, '"secret-body"', "[1]"):
        function.send(body)

    assert frozenset() == function.run()
    assert {"rejected": 4} == function.counts()
    assert {"the message is not JSON", "the message is JSON, but no event"} == {
        line["reason"] for line in function.lines()
    }
    assert "secret-body" not in function.log.getvalue()


def test_a_malformed_image_event_is_rejected_with_its_reason(function: Function) -> None:
    """The reason and the remedy are in the log; the message is not tried again."""
    event = ghost_event(function)
    event["detail"]["tags"] = None
    function.queue.emit(event)

    assert frozenset() == function.run()
    (line,) = function.lines()
    assert ("rejected", "WARNING") == (line["outcome"], line["level"])
    assert line["reason"].endswith(" carries no readable tags in detail.tags")
    assert "deliver what EventBridge sends as it is, without an input transformer" == line["remedy"]


def test_an_image_that_is_not_there_yet_stays_and_rests(function: Function) -> None:
    """EC2 is eventually consistent: the record fails alone, with a visibility of its own between 30 and 60 s."""
    ignored = function.account.build("other", {"Name": "other"}).events
    function.queue.emit(ghost_event(function))
    for event in ignored:
        function.queue.emit(event)

    (stays,) = function.run()

    assert {"deferred": 1, "ignored": 1} == function.counts()
    assert 29 <= function.visible_in(stays) <= 60
    assert [] == function.queue.receive()
    assert 1 == function.queue.wake()


def test_when_every_record_fails_the_batch_still_says_so_record_by_record(function: Function) -> None:
    """An error in place of an answer would bring the batch back at once, receive counts and all."""
    for _ in range(3):
        function.queue.emit(ghost_event(function))

    assert 3 == len(function.run())
    assert {"deferred": 3} == function.counts()


def test_a_record_rests_longer_with_every_try(function: Function) -> None:
    """ApproximateReceiveCount decides the ceiling; jitter picks below it."""
    function.queue.emit(ghost_event(function))
    for _ in range(7):
        (stays,) = function.run()
        assert 29 <= function.visible_in(stays) <= 900
        function.queue.wake()


def test_a_visibility_that_cannot_be_set_fails_nothing(function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PUBLISHER_QUEUE, or with a queue that is gone, messages come back after the queue's own time."""
    function.queue.emit(ghost_event(function))
    records = function.queue.receive()
    environment = {**function.queue.environment, "PUBLISHER_QUEUE": f"{function.queue.queue_url}-gone"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    with redirect_stdout(function.log):
        answer = function.module.handler({"Records": records}, LocalContext())

    assert {"batchItemFailures": [{"itemIdentifier": records[0]["messageId"]}]} == answer
    assert "a message rests for the queue's own time" == function.lines()[-1]["message"]


def test_without_time_the_event_stays(function: Function) -> None:
    """The batch shares one deadline; what it leaves no time for is deferred, not dropped."""
    identifier = function.account.create("base-9", fingerprint("nine-9"), region="eu-west-1")
    function.queue.emit(state_change(function.account.account_id, "eu-west-1", identifier, "available"))

    (_,) = function.run(seconds=6.0)

    (line,) = function.lines()
    assert ("deferred", "not enough time is left to ask AWS region eu-west-1") == (line["outcome"], line["reason"])


def test_wrong_settings_keep_the_event(function: Function) -> None:
    """People mend settings; until then nothing is lost, and each try says what is wrong."""
    function.queue.emit(ghost_event(function))
    function.queue.change_settings(PUBLISHER_QUIET="soon")

    (_,) = function.run()
    function.queue.change_settings(PUBLISHER_QUIET="")

    (line,) = function.lines()
    assert ("deferred", "WARNING") == (line["outcome"], line["level"])
    assert 'the environment: PUBLISHER_QUIET is "soon"; write a duration such as 2m, 6h or 1h30m' == line["reason"]


def test_a_level_that_is_none_does_not_end_the_import() -> None:
    """It is told at the start and with each event; a function that cannot even start tells nothing."""
    code = "import handler; print(handler.LEVEL)"
    environment = {**os.environ, "PUBLISHER_LOG_LEVEL": "loud", "PYTHONPATH": os.pathsep.join(sys.path)}

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=HANDLER.parent, env=environment, capture_output=True, text=True, check=True
    )

    told, level = done.stdout.splitlines()
    assert str(logging.INFO) == level
    assert 'PUBLISHER_LOG_LEVEL is "LOUD"; write DEBUG or INFO' in json.loads(told)["message"]


def test_what_is_not_ours_imports_neither_boto3_nor_httpx() -> None:
    """A foreign event, and an image whose tags are not ours, cost no SDK and no connection."""
    events = ROOT / "tests" / "events" / "aws"
    code = f"""
import json, sys
sys.path.insert(0, {str(HANDLER.parent)!r})
import handler
from packer_publisher.local.aws_delivery import LocalContext
names = ("cloudtrail_create_image", "tag_change_snapshot", "tag_change_other_keys", "ami_deregistered")
records = [
    {{"messageId": name, "receiptHandle": name, "body": open({str(events)!r} + "/" + name + ".json").read(),
     "attributes": {{"ApproximateReceiveCount": "1"}}, "awsRegion": "us-east-1"}}
    for name in names
]
answer = handler.handler({{"Records": records}}, LocalContext())
print(json.dumps([answer, sorted({{"boto3", "botocore.session", "httpx"}} & set(sys.modules))]))
"""
    environment = {**os.environ, "PUBLISHER_CONFIG": CONFIG, "PYTHONPATH": os.pathsep.join(sys.path)}

    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [{"batchItemFailures": []}, []] == lines[-1]
    assert ["ignored"] * 4 == [line["outcome"] for line in lines if "level" in line]


def test_the_entry_point_stays_thin() -> None:
    """Under 100 lines: what is longer belongs into the package."""
    assert len(HANDLER.read_text(encoding="utf-8").splitlines()) < 100
