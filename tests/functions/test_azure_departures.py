"""The Azure Function and images that change after the fact, with the real SDK: deleted, missed or retagged."""

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
from tests.switches import catch_up, completing, fresh, let_lags_pass, setting

from packer_publisher.listing import canonical_identifier
from packer_publisher.local.arm import Arm
from packer_publisher.local.arm_events import notification
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.local.server import serving
from packer_publisher.runtime import close_publishers

REVOKE = json.dumps({"buckets": {"web": {"create_buckets": True, "on_delete": "revoke"}}})
IGNORE = json.dumps({"buckets": {"web": {"create_buckets": True}}})
HOURS_AGO = datetime.now(UTC) - timedelta(hours=3)
LOOK = timedelta(minutes=11)


def load() -> ModuleType:
    path = Path(__file__).parents[2] / "functions" / "azure" / "function_app.py"
    spec = importlib.util.spec_from_file_location("function_app", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def arm() -> Arm:
    """Azure as it was five minutes ago: so old are its events."""
    return Arm(now=lambda: datetime.now(UTC) - timedelta(minutes=5))


class Function:
    """A deployed function: what it takes, what it leaves to be done later, what it logs."""

    def __init__(self, registry: LocalRegistry, arm: Arm, caplog: pytest.LogCaptureFixture) -> None:
        self.module: Any = load()
        self.registry = registry
        self.arm = arm
        self._log = caplog
        caplog.set_level("INFO", logger="packer_publisher")

    def build(self, name: str, fingerprint: str = "a1", **tags: str) -> str:
        """Make a managed image three hours ago, and let its event be handled; return its id."""
        contract = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": fingerprint, "hcp-packer-expects": "azure"}
        self.registry.model.clock = lambda: HOURS_AGO
        event = self.arm.put_managed_image("Images", name, tags={**contract, **tags}, created=HOURS_AGO)
        self.take(event)
        self.registry.model.clock = lambda: datetime.now(UTC)
        catch_up(self.registry.model, "web", fingerprint)
        self.lines()
        self.registry.requests.clear()
        return self.arm.image_id("Images", name)

    def take(self, message: Any) -> list[dict[str, Any]]:
        """Let the host hand over a message; return what the function leaves on its queue."""
        out = Out()
        self.module.publish_image(func.QueueMessage(id="m-1", body=json.dumps(message).encode()), out)
        return [json.loads(text) for text in out.messages]

    def sweep(self) -> list[dict[str, Any]]:
        """Let the timer run; return what the function leaves on its queue."""
        out = Out()
        self.module.sweep_images(TimerRequest(past_due=False), out)
        return [json.loads(text) for text in out.messages]

    def lines(self) -> list[dict[str, Any]]:
        """Return what was logged since."""
        found = [json.loads(r.getMessage()) for r in self._log.records if r.name == "packer_publisher"]
        self._log.clear()
        return found

    def status(self, fingerprint: str = "a1") -> tuple[str, str]:
        """Return a version's name and status."""
        version = fresh(self.registry.model).get_version("web", fingerprint)["version"]
        return version["name"], version["status"].removeprefix("VERSION_")

    def gone(self) -> dict[str, str | None]:
        """Return which image each build of the version misses, "" where it is there again."""
        builds = fresh(self.registry.model).get_version("web", "a1")["version"]["builds"]
        return {build["component_type"]: build["labels"].get("gone") for build in builds}


@pytest.fixture
def function(arm: Arm, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Function]:
    """A deployment whose Azure and whose HCP are the stand-ins."""
    with (
        closing(RegistryModel(switches=setting())) as model,
        local_registry(model) as registry,
        serving(arm.app) as address,
    ):
        settings = {**registry.environment(), "PUBLISHER_ARM_ENDPOINT": address, "PUBLISHER_CONFIG": REVOKE}
        for name, value in {**settings, "AZURE_SUBSCRIPTION_ID": arm.subscriptions[0]}.items():
            monkeypatch.setenv(name, value)
        yield Function(registry, arm, caplog)
        close_publishers()


def later(message: dict[str, Any]) -> dict[str, Any]:
    """Return the message of a second look as if its first one had been ten minutes ago."""
    asked = message["packer-publisher"]["look-again"]
    asked["first"] = (datetime.fromisoformat(asked["first"]) - LOOK).isoformat()
    return message


@pytest.mark.parametrize("shape", ["Event Grid", "notification"])
def test_a_deleted_image_revokes_its_version(function: Function, arm: Arm, shape: str) -> None:
    """Events of Azure spell ids in changing ways; what is searched for is what was registered."""
    identifier = function.build("web-1")
    resource = arm.resource(identifier)
    event = arm.delete(identifier)
    function.take(event if shape == "Event Grid" else notification(resource, arm.now(), deleted=True))
    (line,) = function.lines()
    assert ("revoked", 3) == (line["outcome"], line["calls"])
    assert ("v1", "REVOKED") == function.status()


def test_under_ignore_a_deletion_costs_nothing(function: Function, arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a question to Azure nor one to HCP."""
    event = arm.delete(function.build("web-1"))
    monkeypatch.setenv("PUBLISHER_CONFIG", IGNORE)
    arm.asked.clear()
    function.take(event)
    assert [("ignored", 0)] == [(line["outcome"], line["calls"]) for line in function.lines()]
    assert ([], 0, ("v1", "ACTIVE")) == (arm.asked, function.registry.requests.count(), function.status())


def test_an_image_that_was_built_anew_under_its_name_is_there(function: Function, arm: Arm) -> None:
    """Packer's -force deletes the image of the same name first: the event of that is old news by then."""
    event = arm.delete(function.build("web-1"))
    arm.put_managed_image("Images", "web-1", tags={"team": "a"})
    function.take(event)
    (line,) = function.lines()
    assert ("ignored", "the image is there; nothing is changed in HCP") == (line["outcome"], line["reason"])
    assert 0 == function.registry.requests.count()


def test_two_images_of_one_version_take_a_second_look(function: Function, arm: Arm) -> None:
    """It leaves by the output binding; while it is not due the host shows it again ten minutes later."""
    declared = "azure-arm.one azure-arm.two"
    one, two = (
        function.build(name, **{"hcp-packer-component-type": f"azure-arm.{name}", "hcp-packer-expects": declared})
        for name in ("one", "two")
    )
    assert ("v1", "ACTIVE") == function.status()
    arm.delete(one)
    (message,) = function.take(arm.delete(two))
    assert ["waiting"] == [line["outcome"] for line in function.lines()]
    with pytest.raises(function.module.RetryLater):
        function.take(message)
    assert ["deferred"] == [line["outcome"] for line in function.lines()]
    assert [] == function.take(later(message))
    assert ["revoked"] == [line["outcome"] for line in function.lines()]
    assert ("v1", "REVOKED") == function.status()


def test_a_sweep_misses_an_image_of_an_open_version(
    function: Function, arm: Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sibling's sweep looks for it; the second look notes it, and whoever restores it takes that back."""
    monkeypatch.setenv("PUBLISHER_CONFIG", IGNORE)
    declared = "azure-arm.one azure-arm.two aws"
    one, _ = (
        function.build(name, **{"hcp-packer-component-type": f"azure-arm.{name}", "hcp-packer-expects": declared})
        for name in ("one", "two")
    )
    kept = arm.resource(one)
    arm.delete(one)
    (message,) = function.sweep()
    missed, swept = function.lines()
    assert ("waiting", "swept") == (missed["outcome"], swept["message"].split()[0])
    function.take(later(message))
    noted, overdue = function.lines()
    assert ("waiting", ["azure-arm.one"]) == (noted["outcome"], overdue["waits_for"])
    assert {"azure-arm.one": canonical_identifier(one), "azure-arm.two": None} == function.gone()
    catch_up(function.registry.model, "web", "a1")
    assert [] == function.sweep()
    restored = arm.put_managed_image("Images", "one", tags=kept["tags"], created=HOURS_AGO)
    function.take(restored)
    assert {"azure-arm.one": "", "azure-arm.two": None} == function.gone()


def test_work_that_is_handed_over_and_second_looks_leave_together(function: Function) -> None:
    """The binding keeps what was put first when more is put."""
    from packer_publisher.clouds.azure_queue import OutputBinding

    out = Out()
    binding = OutputBinding(out)
    binding.put(["one"])
    binding.put(["two", "three"])
    assert ["one", "two", "three"] == out.messages


def test_a_retagged_image_is_in_both_versions(function: Function, arm: Arm) -> None:
    """What was recorded before stays, and nobody complains."""
    identifier = function.build("web-1")
    tags = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "b2", "hcp-packer-expects": "azure"}
    function.take(arm.write_tags(identifier, tags))
    (line,) = function.lines()
    assert (completing(), "b2", False) == (line["outcome"], line["fingerprint"], "notes" in line)
    let_lags_pass(function.registry.model)
    assert [("v1", "ACTIVE"), ("v2", "ACTIVE")] == [function.status("a1"), function.status("b2")]
