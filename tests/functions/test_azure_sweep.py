"""The Azure Function's timers, with the real SDK and the local registry: what they sweep, and what they hand over."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import azure.functions as func
import pytest
from azure.functions.timer import TimerRequest
from tests.clouds.azure_stand_in import Out
from tests.simulation.registry import look
from tests.switches import let_lags_pass, setting

from packer_publisher.local.arm import Arm
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.local.server import serving
from packer_publisher.runtime import close_publishers
from packer_publisher.sweep import MARGIN

CONFIG = json.dumps({"buckets": {"web": {"expects": ["azure"], "create_buckets": True}}})
TIMER = TimerRequest(past_due=False)


def load() -> ModuleType:
    path = Path(__file__).parents[2] / "functions" / "azure" / "function_app.py"
    spec = importlib.util.spec_from_file_location("function_app", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def app() -> Any:
    return load()


@pytest.fixture
def arm() -> Arm:
    return Arm()


@pytest.fixture
def registry(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalRegistry]:
    """A deployment whose Azure and whose HCP are the stand-ins."""
    with (
        closing(RegistryModel(switches=setting())) as model,
        local_registry(model) as registry,
        serving(arm.app) as address,
    ):
        settings = {**registry.environment(), "PUBLISHER_ARM_ENDPOINT": address, "PUBLISHER_CONFIG": CONFIG}
        for name, value in {**settings, "AZURE_SUBSCRIPTION_ID": arm.subscriptions[0]}.items():
            monkeypatch.setenv(name, value)
        yield registry
        close_publishers()


def lose(arm: Arm, name: str, hours: float = 3) -> None:
    """Make an image whose event never comes."""
    tags = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": name}
    arm.put_managed_image("images", name, tags=tags, created=datetime.now(UTC) - timedelta(hours=hours))


def name_of(registry: LocalRegistry, fingerprint: str) -> str:
    """Return the name of a version."""
    let_lags_pass(registry.model)
    return look(registry.model, "web", fingerprint).name


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """Return what the function logged, and forget it."""
    found = [json.loads(record.getMessage()) for record in caplog.records if record.name == "packer_publisher"]
    caplog.clear()
    return found


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="packer_publisher")


def test_two_timers_with_the_queue_as_their_output() -> None:
    """Every quarter of an hour and once a day; both may put work on the function's own queue."""
    bindings = {
        function.get_function_name(): {
            binding["type"]: binding for binding in map(json.loads, function.get_raw_bindings())
        }
        for function in load().app.get_functions()
    }
    schedules = {name: found["timerTrigger"]["schedule"] for name, found in bindings.items() if "timerTrigger" in found}
    assert {"sweep_images": "0 */15 * * * *", "sweep_weeks": "0 7 3 * * *"} == schedules
    for name in schedules:
        assert {
            "direction": "OUT",
            "name": "work",
            "queueName": "%PUBLISHER_QUEUE%",
            "connection": "PUBLISHER_STORAGE",
        }.items() <= bindings[name]["queue"].items()


@pytest.mark.switches(completion_lag=0.0)
def test_the_timer_heals_a_lost_event(
    app: Any, arm: Arm, registry: LocalRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """An image whose event never came is registered by the next sweep; the one after that asks the registry nothing."""
    app.sweep_images(TIMER, Out())
    assert 0 == registry.requests.count()
    lose(arm, "web-1")
    app.sweep_images(TIMER, Out())
    assert "v1" == name_of(registry, "web-1")
    idle, completed, swept = lines(caplog)
    assert ("swept 2d: 0 images, 0 versions read", "completed") == (idle["message"], completed["outcome"])
    assert "swept 2d: 1 image, 1 version read (1 completed)" == swept["message"]
    registry.requests.clear()
    app.sweep_images(TIMER, Out())
    assert 0 == registry.requests.count()
    assert "swept 2d: 1 image, 0 versions read, 1 known to be complete" == lines(caplog)[0]["message"]


def test_the_daily_timer_looks_back_two_weeks(app: Any, arm: Arm, registry: LocalRegistry) -> None:
    """What the frequent one no longer sees."""
    lose(arm, "web-1", hours=24 * 13)
    app.sweep_images(TIMER, Out())
    assert 0 == registry.requests.count()
    app.sweep_weeks(TIMER, Out())
    assert "v1" == name_of(registry, "web-1")


def test_what_there_is_no_time_for_leaves_by_the_output_binding(
    app: Any, arm: Arm, registry: LocalRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """The host takes the messages as they are; the queue's trigger does their work."""
    lose(arm, "web-1")
    lose(arm, "web-2")
    registry.faults.stall("GetVersion", 3.0, on=1)
    app.SECONDS = MARGIN + 2.9
    out = Out()
    app.sweep_images(TIMER, out)
    assert (1, 1) == (lines(caplog)[-1]["handed_over"], len(out.messages))
    from azure.functions.queue import QueueMessageOutConverter

    assert out.messages == json.loads(QueueMessageOutConverter.encode(out.messages, expected_type=None).value)
    app.publish_image(func.QueueMessage(id="m-1", body=out.messages[0].encode()), Out())
    assert {"v1", "v2"} == {name_of(registry, "web-1"), name_of(registry, "web-2")}


def test_a_list_that_cannot_be_had(
    app: Any, arm: Arm, registry: LocalRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """The frequent timer says so and leaves it to the next turn; the daily one fails, for the host to try again."""
    arm.fail(403, "AuthorizationFailed", "no")
    app.sweep_images(TIMER, Out())
    (line,) = lines(caplog)
    assert ("deferred", "azure") == (line["outcome"], line["platform"])
    arm.fail(403, "AuthorizationFailed", "no")
    with pytest.raises(app.RetryLater):
        app.sweep_weeks(TIMER, Out())


def test_a_sweep_may_be_asked_for_by_a_message(
    app: Any, arm: Arm, registry: LocalRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """A person who puts one on the queue gets a sweep."""
    lose(arm, "web-1")
    app.publish_image(func.QueueMessage(id="m-1", body=b'{"packer-publisher": {"sweep": {"window": "4h"}}}'), Out())
    assert ("v1", "4h") == (name_of(registry, "web-1"), lines(caplog)[-1]["window"])
