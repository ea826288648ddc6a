"""The Azure archive under Azure's own worker library, fed from a Storage queue (Azurite) and by its timers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from packer_publisher.local.arm import Arm
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.local.server import serving
from tests.clouds.azure_stand_in import SUBSCRIPTION
from tests.deploy.azure_host import Host, Worker
from tests.deploy.azurite import StorageQueue, azurite

EVENTS = Path(__file__).parents[1] / "events" / "azure"
TAGS = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "4f2a9c1-812"}
CONFIG = json.dumps({"buckets": {"web": {"expects": ["azure"], "create_buckets": True}}})
EARLIER = datetime.now(UTC) - timedelta(minutes=10)

_names = count()


@pytest.fixture(scope="module")
def app(unpacked: Callable[[str], Path]) -> Path:
    """Return /home/site/wwwroot."""
    return unpacked("azure")


@pytest.fixture(scope="module")
def storage() -> Iterator[str]:
    with azurite() as address:
        yield address


@pytest.fixture
def queues(storage: str) -> Iterator[tuple[StorageQueue, StorageQueue]]:
    """Return the queue of events and the one of poison."""
    name = f"events-{next(_names)}"
    with closing(StorageQueue(storage, name)) as events, closing(StorageQueue(storage, f"{name}-poison")) as poison:
        yield events, poison


@pytest.fixture
def arm() -> Arm:
    return Arm()


@pytest.fixture
def registry() -> Iterator[LocalRegistry]:
    with closing(RegistryModel()) as model, local_registry(model) as running:
        yield running


@pytest.fixture
def settings(arm: Arm, registry: LocalRegistry) -> Iterator[dict[str, str]]:
    """Return the app settings of a deployment whose Azure and whose HCP are the stand-ins."""
    with serving(arm.app) as address:
        yield {
            **registry.environment(),
            "PUBLISHER_ARM_ENDPOINT": address,
            "PUBLISHER_CONFIG": CONFIG,
            "PUBLISHER_QUEUE": "events",
            "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
        }


def test_the_worker_finds_the_functions(app: Path, settings: dict[str, str]) -> None:
    """Azure's worker indexes the queue's function and the two sweeps, with their bindings and retries."""
    with Worker(app, settings) as worker:
        assert worker.started.succeeded, worker.started.exception
        functions = worker.functions
    assert {"publish_image": 0, "sweep_images": 0, "sweep_weeks": 5} == {
        name: function["retries"] for name, function in functions.items()
    }
    kinds = {name: {binding["type"] for binding in function["bindings"]} for name, function in functions.items()}
    assert {"queueTrigger", "queue"} == kinds["publish_image"]
    assert {"timerTrigger", "queue"} == kinds["sweep_images"] == kinds["sweep_weeks"]


def test_an_image_is_recorded(
    app: Path,
    settings: dict[str, str],
    arm: Arm,
    registry: LocalRegistry,
    queues: tuple[StorageQueue, StorageQueue],
) -> None:
    """Event Grid's message goes through the queue and the worker, and its version is complete."""
    events, poison = queues
    event = arm.put_managed_image("rg-images", "web-1", tags=TAGS, created=EARLIER)
    events.put_event(event)
    with Worker(app, settings) as worker:
        taken = Host(worker, app, events, poison).take()
    assert taken is not None
    _, ended = taken
    assert (True, ["completed"]) == (ended.succeeded, [report["outcome"] for report in ended.reports()])
    assert (0, 0) == (events.count(), poison.count())
    version = registry.model.get_version("web", "4f2a9c1-812")["version"]
    listed = [artifact["external_identifier"] for build in version["builds"] for artifact in build["artifacts"]]
    assert ("v1", [arm.image_id("rg-images", "web-1")]) == (version["name"], listed)


@pytest.mark.parametrize("name", ["deployment_written", "virtual_machine_written", "subscription_validation"])
def test_an_event_that_is_not_ours_loads_no_sdk(
    app: Path, settings: dict[str, str], queues: tuple[StorageQueue, StorageQueue], name: str
) -> None:
    """A real event about something else is acknowledged; neither Azure's SDK nor an HTTP client is imported."""
    event: Any = json.loads((EVENTS / f"{name}.json").read_text("utf-8"))
    with Worker(app, settings) as worker:
        metadata = {"DequeueCount": {"json": "1"}}
        ended = worker.invoke("publish_image", {"message": {"string": json.dumps(event)}}, metadata, modules=True)
    assert (True, ["ignored"]) == (ended.succeeded, [report["outcome"] for report in ended.reports()])
    assert "azure.functions" in ended.modules
    unwanted = ("azure.core", "azure.identity", "azure.mgmt", "msal", "httpx", "requests", "cryptography")
    assert [] == sorted(module for module in ended.modules if module.startswith(unwanted))


def test_a_message_in_trouble_stays_and_comes_again(
    app: Path,
    settings: dict[str, str],
    arm: Arm,
    registry: LocalRegistry,
    queues: tuple[StorageQueue, StorageQueue],
) -> None:
    """While Azure refuses to answer the message rests for the time in host.json; afterwards it is recorded."""
    events, poison = queues
    events.put_event(arm.put_managed_image("rg-images", "web-1", tags=TAGS, created=EARLIER))
    arm.fail(403, "AuthorizationFailed", "not yet")
    with Worker(app, settings) as worker:
        host = Host(worker, app, events, poison)
        taken = host.take()
        assert taken is not None
        assert (False, 1, None) == (taken[1].succeeded, events.count(), host.take())
        assert taken[1].exception.startswith("RetryLater: deferred ")
        events.put_event(arm.put_managed_image("rg-images", "web-1", tags=TAGS, created=EARLIER))  # sent twice
        taken = host.take()
    assert taken is not None
    assert (True, 1) == (taken[1].succeeded, taken[0].taken)
    assert "v1" == registry.model.get_version("web", "4f2a9c1-812")["version"]["name"]


def test_poison_is_moved_away_after_as_many_tries_as_are_allowed(
    app: Path, settings: dict[str, str], arm: Arm, queues: tuple[StorageQueue, StorageQueue]
) -> None:
    """A message that can never be handled ends in the poison queue after 200 tries, as it was; others do not wait."""
    events, poison = queues
    event = arm.put_managed_image("rg-images", "web-1", tags=TAGS)
    events.put_event(event)
    with Worker(app, {**settings, "PUBLISHER_CONFIG": '{"buckets": {"web": {"quite": "6h"}}}'}) as worker:
        host = Host(worker, app, events, poison, hurried=True)
        tries = 0
        while (taken := host.take()) is not None:
            assert not taken[1].succeeded
            tries += 1
    moved = poison.get(60)
    assert moved is not None
    assert (host.most, 200) == (tries, tries)
    assert (0, taken_text(event)) == (events.count(), moved.text)


def taken_text(event: object) -> str:
    """Return a message as Event Grid puts it."""
    return base64.b64encode(json.dumps(event).encode()).decode()


def test_the_timers_find_what_no_event_told(
    app: Path, settings: dict[str, str], arm: Arm, registry: LocalRegistry
) -> None:
    """Both sweeps run in the worker; the image whose event was lost is recorded."""
    arm.put_managed_image("rg-images", "web-1", tags=TAGS, created=EARLIER)
    with Worker(app, settings) as worker:
        for timer in ("sweep_images", "sweep_weeks"):
            ended = worker.tick(timer)
            assert ended.succeeded, ended.exception
    assert "v1" == registry.model.get_version("web", "4f2a9c1-812")["version"]["name"]
