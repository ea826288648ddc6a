"""The Lambda's sweeps: the schedules of the template, through SQS, with the real SDK and the local registry."""

from __future__ import annotations

import importlib.util
import io
import json
import logging
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.clouds.aws_stand_in import fresh_account_id
from tests.simulation.registry import look
from tests.switches import completing, let_lags_pass, setting

from packer_publisher.local.aws import LocalAccount, LocalAWS
from packer_publisher.local.aws_delivery import LocalDelivery
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.runtime import close_publishers
from packer_publisher.sweep import MARGIN

ROOT = Path(__file__).parents[2]
RESOURCES = json.loads((ROOT / "infra" / "aws" / "template.json").read_text(encoding="utf-8"))["Resources"]
NOW = datetime.now(UTC)


class Function:
    """A deployed function and its queue; ``tick`` is what EventBridge does on a schedule."""

    def __init__(self, account: LocalAccount, registry: LocalRegistry) -> None:
        config = json.dumps({"buckets": {"base": {"create_buckets": True}}})
        settings = {**registry.environment(), "PUBLISHER_CONFIG": config, "PUBLISHER_EXPECTS": "aws"}
        self.account = account
        self.registry = registry
        self.queue = LocalDelivery(account, settings)
        self.log = io.StringIO()
        spec = importlib.util.spec_from_file_location("aws_sweep_handler", ROOT / "functions" / "aws" / "handler.py")
        assert spec
        assert spec.loader
        self.module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)
        self.module.logger.registered_handler.setStream(self.log)
        self.sqs = account.session().client("sqs", endpoint_url=account.endpoint)

    def send(self, body: str) -> None:
        """Put a text into the queue."""
        self.sqs.send_message(QueueUrl=self.queue.queue_url, MessageBody=body)

    def tick(self, schedule: str) -> None:
        """Put into the queue what a schedule of the template sends."""
        (target,) = RESOURCES[schedule]["Properties"]["Targets"]
        self.send(target["Input"])

    def run(self, seconds: float = 60.0) -> frozenset[str]:
        """Let Lambda hand over one batch; return the messages that stay."""
        with redirect_stdout(self.log):
            delivery = self.queue.deliver(self.module.handler, seconds=seconds)
        assert delivery is not None
        return delivery.failed

    def lines(self) -> list[dict[str, Any]]:
        """Return what was logged, metrics left out."""
        return [line for line in map(json.loads, self.log.getvalue().splitlines()) if "_aws" not in line]

    def metrics(self) -> dict[str, tuple[str, list[float]]]:
        """Return unit and values of what was counted."""
        found: dict[str, tuple[str, list[float]]] = {}
        for line in map(json.loads, self.log.getvalue().splitlines()):
            for directive in line.get("_aws", {}).get("CloudWatchMetrics", ()):
                for metric in directive["Metrics"]:
                    found.setdefault(metric["Name"], (metric["Unit"], []))[1].extend(line[metric["Name"]])
        return found


@pytest.fixture(scope="module")
def local() -> Iterator[LocalAWS]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # moto's server tells each request
    with LocalAWS(("eu-west-1", "us-east-1"), ()) as running:
        yield running


@pytest.fixture
def function(local: LocalAWS, monkeypatch: pytest.MonkeyPatch) -> Iterator[Function]:
    """A function in an account of its own; boto3's default session would keep the credentials of the one before."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with closing(RegistryModel(switches=setting())) as model, local_registry(model) as registry:
        found = Function(local.account(fresh_account_id()), registry)
        yield found
        found.sqs.delete_queue(QueueUrl=found.queue.queue_url)
        close_publishers()


def lose(function: Function, fingerprint: str, hours: float = 1, **tags: str) -> str:
    """Make an image whose event never comes; return its id."""
    contract = {"hcp-packer-bucket": "base", "hcp-packer-fingerprint": fingerprint}
    created = NOW - timedelta(hours=hours)
    image = function.account.register(f"image-{fingerprint}", region="eu-west-1", created=created)
    function.account.tag("eu-west-1", image, {**contract, **tags})
    return image


def test_an_idle_account_asks_hcp_nothing(function: Function) -> None:
    """The sweep says that it was there, and what it counted: nothing."""
    function.tick("SweepOften")
    assert frozenset() == function.run()
    (line,) = function.lines()
    assert ("sweep", "INFO", "2d", 0, 0) == (
        line["message"],
        line["level"],
        line["window"],
        line["images"],
        line["versions"],
    )
    assert {
        "waiting_versions": ("Count", [0]),
        "oldest_waiting_version": ("Seconds", [0]),
        "versions_not_reached": ("Count", [0]),
    } == function.metrics()
    assert 0 == function.registry.requests.count()


def test_the_frequent_sweep_looks_back_two_days_and_the_daily_one_two_weeks(function: Function) -> None:
    """What is older than the first sees the second finds."""
    lose(function, "recent-1")
    lose(function, "older-1", hours=24 * 5)
    function.tick("SweepOften")
    assert frozenset() == function.run()
    function.tick("SweepDaily")
    assert frozenset() == function.run()
    told = [(line["message"], line.get("fingerprint", line.get("window"))) for line in function.lines()]
    assert [(completing(), "recent-1"), ("sweep", "2d"), (completing(), "older-1"), ("sweep", "14d")] == told
    assert ("Count", [1.0, 1.0]) == function.metrics()[completing()]


def test_a_sweep_comes_after_the_events_of_its_batch(function: Function) -> None:
    """It takes the time that they leave."""
    function.tick("SweepOften")
    function.send(json.dumps({"source": "aws.s3", "detail-type": "Object Created"}))
    function.send("no json")
    function.run()
    assert "sweep" == function.lines()[-1]["message"]
    assert {"ignored", "rejected", "sweep"} == {line["message"] for line in function.lines()}


def test_versions_that_a_sweep_has_no_time_for_come_back_through_the_queue(function: Function) -> None:
    """One message per version, done one by one by later invocations."""
    for number in range(4):
        lose(function, f"many-{number}")
    function.tick("SweepOften")
    function.registry.faults.stall("GetVersion", 4.0, on=1)
    assert frozenset() == function.run(seconds=5 + MARGIN + 3.9)  # so MARGIN is not left after the first version
    line = function.lines()[-1]
    assert ("sweep", 1, 3) == (line["message"], line["versions"], line["handed_over"])
    with redirect_stdout(function.log):
        function.queue.drain(function.module.handler)
    let_lags_pass(function.registry.model)
    assert {f"v{number}" for number in range(1, 5)} == {
        look(function.registry.model, "base", f"many-{number}").name for number in range(4)
    }


def test_a_version_that_waits_too_long_is_a_metric_and_a_line(function: Function) -> None:
    """Which one, for what, since when, and what to do about it."""
    registry = function.registry
    lose(function, "short-1", hours=30, **{"hcp-packer-expects": "azure"})
    function.tick("SweepOften")
    function.run()
    registry.model.clock = lambda: datetime.now(UTC) + timedelta(hours=25)
    function.tick("SweepOften")
    function.run()
    (line,) = [line for line in function.lines() if line["message"] == "overdue"]
    assert ("WARNING", "base", "short-1", ["azure"]) == (
        line["level"],
        line["bucket"],
        line["fingerprint"],
        line["waits_for"],
    )
    assert 24 * 3600 < line["waiting_seconds"] < 26 * 3600
    assert line["remedy"].endswith("packer-publisher versions complete base short-1 --without azure")
    unit, (first, second) = function.metrics()["oldest_waiting_version"]
    assert ("Seconds", 0.0, True) == (unit, first, 24 * 3600 < second < 26 * 3600)
    assert ("Count", [0.0, 1.0]) == function.metrics()["waiting_versions"]


def test_an_image_that_no_sweep_will_come_by_is_told_at_once(function: Function) -> None:
    """It is older than the longest window, and waits for its quiet time: nobody would finish it."""
    function.queue.change_settings(PUBLISHER_EXPECTS="")
    old = lose(function, "ancient-1", hours=24 * 20)
    function.queue.emit(function.account.tag_event("eu-west-1", old, ["hcp-packer-bucket"]))
    young = lose(function, "young-1")
    function.queue.emit(function.account.tag_event("eu-west-1", young, ["hcp-packer-bucket"]))
    function.run()
    (line,) = [line for line in function.lines() if line["message"] == "overdue"]
    assert "ancient-1" == line["fingerprint"]
    assert "which is too long ago for a sweep to finish it" in line["reason"]
    assert "when it is due: packer-publisher versions complete base ancient-1" == line["remedy"]
    assert ("Count", [1.0, 1.0]) == function.metrics()["waiting"]
    assert ("Count", [1.0]) == function.metrics()["waiting_versions"]


def test_a_list_that_cannot_be_had_is_tried_again_by_the_daily_sweep_alone(function: Function) -> None:
    """The frequent ones would pile up while AWS is out of order; the next of them is on its way."""
    function.queue.change_settings(PUBLISHER_REGIONS="us-east-1")
    seconds = 15.0
    function.tick("SweepOften")
    assert frozenset() == function.run(seconds)
    function.tick("SweepDaily")
    assert 1 == len(function.run(seconds))
    assert 2 * [("deferred", "not enough time is left for a sweep")] == [
        (line["outcome"], line["reason"]) for line in function.lines() if "outcome" in line
    ]


def test_wrong_settings_keep_the_daily_sweep_alone(function: Function) -> None:
    """Until people mend them each frequent sweep says what is wrong, and does not wait for its successors."""
    function.queue.change_settings(PUBLISHER_QUIET="soon")
    function.tick("SweepOften")
    assert frozenset() == function.run()
    function.tick("SweepDaily")
    assert 1 == len(function.run())
    reasons = [line["reason"] for line in function.lines() if "outcome" in line]
    assert 2 * ['the environment: PUBLISHER_QUIET is "soon"; write a duration such as 2m, 6h or 1h30m'] == reasons


@pytest.mark.parametrize("asked", ['{"sweep": {"window": "9w"}}', '{"converge": {"images": []}}', "[]"])
def test_a_broken_order_is_rejected_and_taken(function: Function, asked: str) -> None:
    """It would be as broken the next time."""
    function.send(f'{{"packer-publisher": {asked}}}')
    assert frozenset() == function.run()
    (line,) = function.lines()
    assert ("rejected", "WARNING") == (line["outcome"], line["level"])
    assert line["reason"].startswith("The message to ")


def test_an_order_about_images_that_are_not_there_costs_hcp_nothing(function: Function) -> None:
    """Whoever can write to the queue can cause a look at AWS, and no more."""
    image = {"owner": function.account.account_id, "region": "eu-west-1", "image": "ami-0123456789abcdef0"}
    order = {"converge": {"bucket": "base", "fingerprint": "x", "images": [image, {**image, "image": "no-ami"}]}}
    function.send(json.dumps({"packer-publisher": order}))
    assert frozenset() == function.run()
    assert [
        ("ignored", "the image is gone, or not available any more"),
        ("rejected", "no-ami is no AMI id"),
    ] == [(line["outcome"], line["reason"]) for line in function.lines()]
    assert 0 == function.registry.requests.count()


def test_both_schedules_lead_to_the_queue() -> None:
    """Every quarter of an hour and once a day; a frequent one that cannot be delivered is followed by the next."""
    often, daily = (RESOURCES[name]["Properties"] for name in ("SweepOften", "SweepDaily"))
    assert ("rate(15 minutes)", "cron(7 3 * * ? *)") == (often["ScheduleExpression"], daily["ScheduleExpression"])
    for rule in (often, daily):
        (target,) = rule["Targets"]
        assert {"Fn::GetAtt": ["Events", "Arn"]} == target["Arn"]
    assert "DeadLetterConfig" not in often["Targets"][0]
    assert {"Arn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}} == daily["Targets"][0]["DeadLetterConfig"]
