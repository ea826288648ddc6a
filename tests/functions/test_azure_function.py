"""The Azure Function: what it acknowledges, what it leaves on the queue, and what it logs."""

from __future__ import annotations

import base64
import importlib.util
import json
import logging
import types
import typing
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import azure.functions as func
import pytest
from tests.clouds.azure_stand_in import Out

from packer_publisher.errors import ConfigurationError
from packer_publisher.local.arm import Arm
from packer_publisher.local.arm_events import IDENTITY, TENANT
from packer_publisher.local.server import serving

ROOT = Path(__file__).parents[2]
FUNCTION = ROOT / "functions" / "azure"
EVENTS = ROOT / "tests" / "events" / "azure"
TAGS = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "4f2a9c1-812"}
CONFIG = json.dumps({"buckets": {"web": {"expects": ["azure"]}}})
SECRETS = (IDENTITY, TENANT, "claims", "authorization", "evidence", "203.0.113.7", "principalId", "44444444")


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("function_app", FUNCTION / "function_app.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


APP = load()


@pytest.fixture
def arm() -> Arm:
    return Arm()


@pytest.fixture(autouse=True)
def deployed(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The settings of a deployment that writes nothing, pointed at the stand-in."""
    with serving(arm.app) as address:
        monkeypatch.setenv("PUBLISHER_ARM_ENDPOINT", address)
        monkeypatch.setenv("PUBLISHER_CONFIG", CONFIG)
        monkeypatch.setenv("HCP_PACKER_REGISTRY", "off")
        yield


@pytest.fixture(autouse=True)
def nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test does, no log record holds who caused an event."""
    caplog.set_level(logging.DEBUG)
    yield
    logged = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.get_records("call"))
    assert [] == [secret for secret in SECRETS if secret in logged]


def deliver(body: Any, *, encode: bool = False) -> None:
    text = (body if isinstance(body, str) else json.dumps(body)).encode()
    message = func.QueueMessage(id="m-1", body=base64.b64encode(text) if encode else text)
    assert APP.publish_image(message, Out()) is None


def logged(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """Return the one report that was logged."""
    (record,) = [record for record in caplog.records if record.name == "packer_publisher"]
    return {"level": record.levelname, **json.loads(record.getMessage())}


def sample(name: str) -> Any:
    return json.loads((EVENTS / f"{name}.json").read_text())


def test_one_function_takes_from_the_queue_and_two_sweep() -> None:
    """The queue and its connection are settings of the deployment; what is to be done later goes back to it."""
    publish, *sweeps = load().app.get_functions()
    assert ["publish_image", "sweep_images", "sweep_weeks"] == [
        function.get_function_name() for function in (publish, *sweeps)
    ]
    bindings = {binding["type"]: binding for binding in map(json.loads, publish.get_raw_bindings())}
    queue = {"queueName": "%PUBLISHER_QUEUE%", "connection": "PUBLISHER_STORAGE"}
    for kind, own in (
        ("queueTrigger", {"direction": "IN", "name": "message"}),
        ("queue", {"direction": "OUT", "name": "work"}),
    ):
        assert {**queue, **own}.items() <= bindings[kind].items()


def test_no_binding_is_annotated_as_the_worker_cannot_read_it() -> None:
    """Azure's worker takes ``typing.List[str]`` for a generic type, and loads no function that says ``list[str]``."""
    for function in (APP.publish_image, APP.sweep_images, APP.sweep_weeks):
        hints = typing.get_type_hints(function._function.get_user_function())
        inner = [argument for hint in hints.values() for argument in typing.get_args(hint)]
        assert [typing.List[str]] == inner  # noqa: UP006  # this is what it is about
        assert [] == [argument for argument in inner if isinstance(argument, types.GenericAlias)]


def test_the_host_retries_for_more_than_a_day_and_one_message_at_a_time() -> None:
    """Trouble outlives a day's outage; a publisher serves one event at a time."""
    queues = json.loads((FUNCTION / "host.json").read_text())["extensions"]["queues"]
    hours, minutes, seconds = (int(part) for part in queues["visibilityTimeout"].split(":"))
    pause = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    assert timedelta(hours=24) < pause * queues["maxDequeueCount"] < timedelta(days=7)
    assert (1, 0, "base64") == (queues["batchSize"], queues["newBatchThreshold"], queues["messageEncoding"])


@pytest.mark.parametrize("encode", [False, True], ids=["plain", "base64"])
def test_an_image_that_is_not_ours_is_ignored(arm: Arm, caplog: pytest.LogCaptureFixture, encode: bool) -> None:
    """An image without contract tags is acknowledged, whichever way the message was encoded."""
    event = arm.put_managed_image("rg-images", "web-1", tags={"team": "web"})
    deliver(event, encode=encode)
    assert {
        "level": "INFO",
        "outcome": "ignored",
        "image": event["data"]["resourceUri"],
        "platform": "azure",
        "region": "eastus",
        "reason": "carries no contract tag",
    }.items() <= logged(caplog).items()


@pytest.mark.parametrize("name", ["deployment_written", "virtual_machine_tags_written", "subscription_validation"])
def test_an_event_about_something_else_costs_nothing(arm: Arm, caplog: pytest.LogCaptureFixture, name: str) -> None:
    """It is acknowledged without a question to Azure."""
    deliver(sample(name))
    assert ("ignored", "the event is about no image") == (logged(caplog)["outcome"], logged(caplog)["reason"])
    assert [] == arm.asked


def test_a_notification_of_an_untagged_image_costs_nothing(arm: Arm, caplog: pytest.LogCaptureFixture) -> None:
    """Where the event carries the tags, it alone can tell."""
    body = sample("gallery_version_notification")
    body["data"]["resourceInfo"]["tags"] = {"team": "web"}
    deliver(body)
    assert ("ignored", []) == (logged(caplog)["outcome"], arm.asked)


def test_an_image_of_ours_is_placed(arm: Arm, caplog: pytest.LogCaptureFixture) -> None:
    """With the registry switched off the report still says where the image belongs."""
    deliver(arm.put_managed_image("rg-images", "web-1", tags=TAGS))
    report = logged(caplog)
    assert ("web", "4f2a9c1-812", "azure-arm", "HCP_PACKER_REGISTRY is off: nothing was written") == (
        report["bucket"],
        report["fingerprint"],
        report["component_type"],
        report["reason"],
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("not json", "The message is not JSON (8 bytes)."),
        ("", "The message is not JSON (0 bytes)."),
        ('{"eventType": ', "The message is not JSON (14 bytes)."),
        ("[" * 100_000, "The message is not JSON (100000 bytes)."),
        ('"text"', "The message is no event: its JSON is not an object."),
        ("{}", "The message is no event: it has neither eventType nor type."),
    ],
)
def test_a_message_that_is_no_event_is_rejected_and_taken(
    caplog: pytest.LogCaptureFixture, body: str, reason: str
) -> None:
    """It is logged with the reason and never delivered again."""
    deliver(body)
    report = logged(caplog)
    assert ("WARNING", "rejected", reason) == (report["level"], report["outcome"], report["reason"])


def test_a_truncated_message_quotes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Half an event still holds who caused it; the report tells its length alone."""
    text = json.dumps(sample("managed_image_written"))
    deliver(text[: len(text) - 20])
    assert f"The message is not JSON ({len(text) - 20} bytes)." == logged(caplog)["reason"]


def test_an_image_event_without_its_image_is_rejected_and_taken(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is guessed from other fields."""
    body = sample("managed_image_written")
    del body["data"]["resourceUri"]
    deliver(body)
    assert "The Microsoft.Compute/images/write event has no data.resourceUri." == logged(caplog)["reason"]


def test_trouble_leaves_the_message_on_the_queue(arm: Arm, caplog: pytest.LogCaptureFixture) -> None:
    """Refused credentials are trouble: the host is asked to deliver again, in words without Azure's own."""
    event = arm.put_managed_image("rg-images", "web-1", tags=TAGS)
    arm.fail(403, "AuthorizationFailed", f"The client '{IDENTITY}' may not read this.")
    with pytest.raises(APP.RetryLater) as raised:
        deliver(event)
    identifier = event["data"]["resourceUri"]
    assert f"Azure refused to show {identifier} (HTTP 403 AuthorizationFailed)." == logged(caplog)["reason"]
    assert str(raised.value).startswith(f"deferred {identifier}: Azure refused to show {identifier} (HTTP 403")
    assert [] == [secret for secret in SECRETS if secret in str(raised.value)]


def test_an_image_that_is_not_there_yet_is_asked_for_again(arm: Arm) -> None:
    """Right after its event an unknown image may still appear."""
    event = arm.put_managed_image("rg-images", "web-1", tags=TAGS)
    arm.delete(arm.image_id("rg-images", "web-1"))
    with pytest.raises(APP.RetryLater):
        deliver(event)


def test_an_image_that_is_gone_is_taken(arm: Arm, caplog: pytest.LogCaptureFixture) -> None:
    """An old event of an image that no longer exists is over."""
    event = arm.put_managed_image("rg-images", "web-1", tags=TAGS)
    arm.put_managed_image("rg-images", "web-2", tags=TAGS)
    arm.delete(arm.image_id("rg-images", "web-1"))
    deliver({**event, "eventTime": (datetime.now(UTC) - timedelta(hours=2)).isoformat()})
    assert ("ignored", "its cloud does not know the image (any more)") == (
        logged(caplog)["outcome"],
        logged(caplog)["reason"],
    )


def test_an_unfinished_version_is_asked_for_again(arm: Arm, caplog: pytest.LogCaptureFixture) -> None:
    """While regions are being replicated the event is kept."""
    event = arm.put_gallery_version("rg-images", "gal", "web", "1.0.0", tags=TAGS, replicating=1)
    with pytest.raises(APP.RetryLater):
        deliver(event)
    assert "the image is not available yet" == logged(caplog)["reason"]


def test_a_deletion_changes_nothing(arm: Arm, caplog: pytest.LogCaptureFixture) -> None:
    """A deleted image costs no question and no write."""
    deliver(sample("managed_image_deleted"))
    assert ("ignored", []) == (logged(caplog)["outcome"], arm.asked)


def test_wrong_settings_keep_the_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment that is set up wrongly loses nothing: the message stays until the settings are mended."""
    monkeypatch.setenv("PUBLISHER_AZURE_ARTIFACT", "vhd")
    with pytest.raises(ConfigurationError):
        deliver(sample("managed_image_written"))


@pytest.mark.parametrize(("level", "lines"), [("", 1), ("loud", 1), ("info", 1), ("WARNING", 0), ("ERROR", 0)])
def test_the_log_level(
    arm: Arm, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, level: str, lines: int
) -> None:
    """PUBLISHER_LOG_LEVEL leaves lines of less severity out; one that is none is refused by the settings, not here."""
    caplog.set_level(logging.NOTSET, logger="packer_publisher")  # which is put back afterwards
    monkeypatch.setenv("PUBLISHER_LOG_LEVEL", level)
    function = load()
    caplog.clear()
    function.publish_image(func.QueueMessage(id="m-1", body=json.dumps(sample("deployment_written")).encode()), Out())
    assert lines == len([record for record in caplog.records if record.name == "packer_publisher"])
