"""The Lambda and AMIs that change after the fact, through the real SDK: deregistered, disabled or retagged."""

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
from tests.switches import catch_up, completing, fresh, let_lags_pass, setting

from packer_publisher.local.aws import LocalAccount, LocalAWS
from packer_publisher.local.aws_delivery import LocalContext, LocalDelivery
from packer_publisher.local.aws_events import Event, state_change
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.runtime import close_publishers

HANDLER = Path(__file__).parents[2] / "functions" / "aws" / "handler.py"
REVOKE = json.dumps({"buckets": {"base": {"create_buckets": True, "on_delete": "revoke"}}})
IGNORE = json.dumps({"buckets": {"base": {"create_buckets": True}}})
HOME, OTHER = "us-east-1", "eu-west-1"
HOURS_AGO = datetime.now(UTC) - timedelta(hours=3)


class Function:
    """A deployed function and its queue, three hours after its images were registered."""

    def __init__(self, account: LocalAccount, registry: LocalRegistry) -> None:
        settings = {**registry.environment(), "PUBLISHER_CONFIG": REVOKE, "PUBLISHER_EXPECTS": "aws"}
        self.account = account
        self.registry = registry
        self.queue = LocalDelivery(account, settings)
        self.log = io.StringIO()
        spec = importlib.util.spec_from_file_location("aws_departures_handler", HANDLER)
        assert spec
        assert spec.loader
        self.module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)
        self.module.logger.registered_handler.setStream(self.log)
        self.sqs = account.session().client("sqs", endpoint_url=account.endpoint)

    def build(self, fingerprint: str, *, copies: tuple[str, ...] = (), **tags: str) -> dict[str, str]:
        """Build in the home region and in others, and let the events be handled; return the images by region."""
        contract = {"hcp-packer-bucket": "base", "hcp-packer-fingerprint": fingerprint, **tags}
        made = self.account.build(f"image-{fingerprint}", contract, copies=copies, created=HOURS_AGO)
        self.registry.model.clock = lambda: HOURS_AGO
        for event in made.events:
            self.queue.emit(event)
        self.run()
        self.registry.model.clock = lambda: datetime.now(UTC)
        catch_up(self.registry.model, "base", fingerprint)
        self.lines()
        self.registry.requests.clear()
        return dict(made.images)

    def event(self, event: Event, minutes: float = 5) -> None:
        """Put into the queue what EventBridge has put there so many minutes ago."""
        time = datetime.now(UTC) - timedelta(minutes=minutes)
        self.send({**event, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ")})

    def send(self, message: Any) -> None:
        """Put a message into the queue."""
        self.sqs.send_message(QueueUrl=self.queue.queue_url, MessageBody=json.dumps(message))

    def run(self) -> list[str]:
        """Let Lambda hand over everything that is visible; return the messages that stay."""
        with redirect_stdout(self.log):
            return [message for delivery in self.queue.drain(self.module.handler) for message in delivery.failed]

    def left(self) -> list[dict[str, Any]]:
        """Return what a rule of our own put on the queue: the messages that rest are taken off it."""
        self.queue.wake()
        found = [json.loads(record["body"]) for record in self.queue.receive(10)]
        self.sqs.purge_queue(QueueUrl=self.queue.queue_url)
        return found

    def lines(self) -> list[dict[str, Any]]:
        """Return what was logged since, metrics left out, and forget it."""
        text = self.log.getvalue()
        self.log.seek(0)
        self.log.truncate()
        return [line for line in map(json.loads, text.splitlines()) if "_aws" not in line]

    def status(self, fingerprint: str) -> tuple[str, str]:
        """Return a version's name and status."""
        version = fresh(self.registry.model).get_version("base", fingerprint)["version"]
        return version["name"], version["status"].removeprefix("VERSION_")


@pytest.fixture(scope="module")
def local() -> Iterator[LocalAWS]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # moto's server tells each request
    with LocalAWS((OTHER, HOME), ()) as running:
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


def test_a_deregistered_ami_revokes_its_version(function: Function) -> None:
    """The template's rule brings the event, and no SDK's error stands between it and HCP."""
    images = function.build("one-1")
    function.event(function.account.deregister(HOME, images[HOME]))
    assert [] == function.run()
    (line,) = function.lines()
    assert ("revoked", "WARNING", images[HOME], "base", 3) == (
        line["outcome"],
        line["level"],
        line["image"],
        line["bucket"],
        line["calls"],
    )
    assert ("v1", "REVOKED") == function.status("one-1")


def test_under_ignore_a_deregistration_costs_nothing(function: Function) -> None:
    """No call to HCP, and the version stays as it is."""
    images = function.build("one-2")
    function.queue.change_settings(PUBLISHER_CONFIG=IGNORE)
    function.event(function.account.deregister(HOME, images[HOME]))
    assert [] == function.run()
    assert ["ignored"] == [line["outcome"] for line in function.lines()]
    assert (0, ("v1", "ACTIVE")) == (function.registry.requests.count(), function.status("one-2"))


def test_an_event_of_this_moment_rests(function: Function) -> None:
    """Until HCP's search can be trusted; it is kept, and asks nobody."""
    images = function.build("one-3")
    function.queue.emit(function.account.deregister(HOME, images[HOME]))
    assert 1 == len(function.run())
    (line,) = function.lines()
    assert ("deferred", 0) == (line["outcome"], function.registry.requests.count())


def test_the_other_regions_are_looked_for_twice(function: Function) -> None:
    """With a message of its own on the queue, which rests there for the ten minutes."""
    images = function.build("two-1", copies=(OTHER,))
    event = function.account.deregister(HOME, images[HOME])
    function.event(event)
    assert [] == function.run()
    (kept,) = function.lines()
    assert ("unchanged", True) == (kept["outcome"], kept["reason"].endswith(f"{images[OTHER]} ({OTHER}) is there"))
    function.account.deregister(OTHER, images[OTHER])
    function.event(event)
    assert 1 == len(function.run())
    waiting, deferred = function.lines()
    assert ("waiting", "deferred") == (waiting["outcome"], deferred["outcome"])
    assert ("v1", "ACTIVE") == function.status("two-1")
    (message,) = function.left()
    asked = message["packer-publisher"]["look-again"]
    assert sorted(images.values()) == sorted(image["image"] for image in asked["images"])
    asked["first"] = (datetime.now(UTC) - timedelta(minutes=11)).isoformat()
    function.send(message)
    assert [] == function.run()
    assert ["revoked"] == [line["outcome"] for line in function.lines()]
    assert ("v1", "REVOKED") == function.status("two-1")


def test_a_message_that_is_not_due_rests_until_it_is(function: Function) -> None:
    """SQS keeps it for what is left of the ten minutes."""
    from moto.core.utils import unix_time_millis
    from moto.sqs.models import sqs_backends

    images = function.build("two-2")
    address = {"owner": function.account.account_id, "region": HOME, "image": images[HOME]}
    first = datetime.now(UTC) - timedelta(minutes=2)
    order = {"bucket": "base", "fingerprint": "two-2", "first": first.isoformat(), "images": [address]}
    function.send({"packer-publisher": {"look-again": order}})
    (stays,) = function.run()
    queue = sqs_backends[function.account.account_id][HOME].queues["packer-publisher-events"]
    (until,) = [message.visible_at for message in queue._messages if message.id == stays]
    assert 470 <= (until - unix_time_millis()) / 1000 <= 481


def test_an_event_or_a_message_of_another_account_is_not_judged(
    function: Function, local: LocalAWS, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EC2 does not know a stranger's AMI, which is no evidence: the credentials' own account is asked for."""
    images = function.build("two-3")
    function.account.deregister(HOME, images[HOME])
    forged = state_change(function.account.account_id, HOME, images[HOME], "deregistered")
    address = {"owner": function.account.account_id, "region": HOME, "image": images[HOME]}
    order = {"bucket": "base", "fingerprint": "two-3", "first": HOURS_AGO.isoformat(), "images": [address]}
    bodies = ({**forged, "time": HOURS_AGO.isoformat()}, {"packer-publisher": {"look-again": order}})
    record = {"receiptHandle": "r", "attributes": {"ApproximateReceiveCount": "1"}, "awsRegion": HOME}
    records = [{**record, "messageId": str(n), "body": json.dumps(body)} for n, body in enumerate(bodies)]
    for name, value in {**function.queue.environment, **local.account(fresh_account_id()).environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    close_publishers()
    with redirect_stdout(function.log):
        assert {"batchItemFailures": []} == function.module.handler({"Records": records}, LocalContext())
    assert 2 * [("ignored", f"belongs to aws:{function.account.account_id}, whose own function judges it")] == [
        (line["outcome"], line["reason"]) for line in function.lines()
    ]
    assert (0, ("v1", "ACTIVE")) == (function.registry.requests.count(), function.status("two-3"))


def test_a_sweep_finds_the_region_that_is_gone_from_an_open_version(function: Function) -> None:
    """Its event was lost; the build is held, and the sweep after that tells who waits for what."""
    images = function.build("open-1", copies=(OTHER,), **{"hcp-packer-expects": "aws azure"})
    function.queue.change_settings(PUBLISHER_CONFIG=IGNORE)
    function.account.deregister(OTHER, images[OTHER])
    function.send({"packer-publisher": {"sweep": {}}})
    function.run()
    missed, swept, _ = function.lines()
    assert ("waiting", "sweep") == (missed["outcome"], swept["message"])
    (message,) = function.left()
    message["packer-publisher"]["look-again"]["first"] = (datetime.now(UTC) - timedelta(minutes=11)).isoformat()
    function.send(message)
    assert [] == function.run()
    noted, overdue = function.lines()
    assert ("waiting", "overdue", "WARNING", ["amazon-ebs"]) == (
        noted["outcome"],
        overdue["message"],
        overdue["level"],
        overdue["waits_for"],
    )
    (build,) = fresh(function.registry.model).get_version("base", "open-1")["version"]["builds"]
    # Held: not DONE, whatever the registry makes of a build that has been silent for so long.
    assert (images[OTHER], False) == (build["labels"]["gone"], build["status"] == "BUILD_DONE")


@pytest.mark.parametrize(("config", "outcome"), [(REVOKE, "rejected"), (IGNORE, "ignored")])
def test_a_disabled_ami_is_not_gone(function: Function, config: str, outcome: str) -> None:
    """HCP is not asked; where somebody wants to hear of such things, it is said what to do."""
    images = function.build("off-1")
    function.queue.change_settings(PUBLISHER_CONFIG=config)
    function.account.set_state(HOME, images[HOME], "disabled")
    function.event(state_change(function.account.account_id, HOME, images[HOME], "disabled"))
    assert [] == function.run()
    (line,) = function.lines()
    assert (outcome, 0, ("v1", "ACTIVE")) == (
        line["outcome"],
        function.registry.requests.count(),
        function.status("off-1"),
    )
    if config == REVOKE:
        assert ("the image is disabled", "enable it") == (line["reason"], line["remedy"])


def test_a_retagged_ami_is_in_both_versions(function: Function) -> None:
    """The new tags are placed as those of any image; what was recorded before stays, and nobody complains."""
    images = function.build("old-1")
    tags = {"hcp-packer-fingerprint": "new-1"}
    function.queue.emit(function.account.tag(HOME, images[HOME], tags))
    assert [] == function.run()
    (line,) = function.lines()
    assert (completing(), "new-1", False) == (line["outcome"], line["fingerprint"], "notes" in line)
    let_lags_pass(function.registry.model)
    for fingerprint, name in (("old-1", "v1"), ("new-1", "v2")):
        version = fresh(function.registry.model).get_version("base", fingerprint)["version"]
        listed = [artifact["external_identifier"] for build in version["builds"] for artifact in build["artifacts"]]
        assert (name, "VERSION_ACTIVE", [images[HOME]]) == (version["name"], version["status"], listed)
