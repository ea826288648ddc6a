"""The Google archive under functions-framework, as the buildpack starts it: pushes over HTTP, the real SDK."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.local.server import serving
from tests.deploy.google_framework import ENVIRONMENT, GoogleFunction

EVENTS = Path(__file__).parents[1] / "events" / "gcp"
LABELS = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "4f2a9c1-812"}
CONFIG = json.dumps({"buckets": {"web": {"expects": ["gce"], "create_buckets": True}}})


@pytest.fixture(scope="module")
def workspace(unpacked: Callable[[str], Path]) -> Path:
    """Return /workspace."""
    return unpacked("gcp")


@pytest.fixture
def compute() -> Iterator[ComputeEngine]:
    """Compute Engine an hour ago: what was made then has settled. Nothing is ever written to it."""
    compute = ComputeEngine(now=lambda: datetime.now(UTC) - timedelta(hours=1))
    yield compute
    assert [] == compute.writes


@pytest.fixture
def registry() -> Iterator[LocalRegistry]:
    with closing(RegistryModel()) as model, local_registry(model) as running:
        yield running


@pytest.fixture
def settings(compute: ComputeEngine, registry: LocalRegistry) -> Iterator[dict[str, str]]:
    """Return the variables of a deployment whose Google Cloud and whose HCP are the stand-ins."""
    with serving(compute.app) as address:
        yield {
            **registry.environment(),
            "PUBLISHER_COMPUTE_ENDPOINT": address,
            "PUBLISHER_CONFIG": CONFIG,
            "GOOGLE_CLOUD_PROJECT": "img-proj",
        }


def outcomes(function: GoogleFunction) -> list[str]:
    """Return the outcomes in the log, in order; it is whole once the instance has ended."""
    return [line["outcome"] for line in function.lines() if "outcome" in line]


def pushed(text: bytes) -> dict[str, Any]:
    """Return the body of the push of a message with a text of any kind."""
    message = {"data": base64.b64encode(text).decode(), "messageId": "1", "publishTime": "2026-11-21T00:00:00Z"}
    return {"message": message, "subscription": "projects/img-proj/subscriptions/packer-publisher"}


def test_the_environment_is_that_of_the_archive(workspace: Path) -> None:
    """What the tests run with was installed from the very file that the archive holds."""
    root = Path(__file__).parents[2]
    wanted = (root / "functions" / "gcp" / "requirements.txt").read_bytes()
    assert wanted == (workspace / "requirements.txt").read_bytes()
    assert (ENVIRONMENT / ".installed").is_file()


def test_an_image_is_recorded(
    workspace: Path, settings: dict[str, str], compute: ComputeEngine, registry: LocalRegistry
) -> None:
    """The pushes of an image's life are all acknowledged, and its version is complete."""
    entries = compute.insert_image("web-1", labels=LABELS, project="img-proj")
    with GoogleFunction(workspace, settings) as function:
        statuses = {function.push(entry) for entry in (*entries, *compute.deprecate("web-1", project="img-proj"))}
    assert {200} == statuses
    assert "completed" in outcomes(function)
    version = registry.model.get_version("web", "4f2a9c1-812")["version"]
    listed = [artifact["external_identifier"] for build in version["builds"] for artifact in build["artifacts"]]
    assert ("v1", ["web-1"]) == (version["name"], listed)


@pytest.mark.parametrize("name", ["disk_create_snapshot_last", "instance_insert_last", "image_insert_denied"])
def test_a_real_entry_about_something_else_is_acknowledged(
    workspace: Path, settings: dict[str, str], registry: LocalRegistry, name: str
) -> None:
    """It costs no call, and nothing of it is in the log."""
    entry: Any = json.loads((EVENTS / f"{name}.json").read_text("utf-8"))
    with GoogleFunction(workspace, settings) as function:
        assert 200 == function.push(entry)
    assert ["ignored"] == outcomes(function)
    assert "principalEmail" not in function.log
    assert [] == registry.requests.all()


def test_trouble_is_delivered_again(
    workspace: Path, settings: dict[str, str], compute: ComputeEngine, registry: LocalRegistry
) -> None:
    """While Compute Engine refuses, the subscription sees 503 and repeats; then the image is recorded."""
    entries = compute.insert_image("web-1", labels=LABELS, project="img-proj")
    compute.fail(403, "forbidden")
    with GoogleFunction(workspace, settings) as function:
        assert (503, 200) == (function.push(entries[-1]), function.push(entries[-1]))
    assert ["deferred", "completed"] == outcomes(function)
    assert "v1" == registry.model.get_version("web", "4f2a9c1-812")["version"]["name"]


def test_what_is_no_event_is_acknowledged_and_not_quoted(workspace: Path, settings: dict[str, str]) -> None:
    """A request that nobody can read would be as broken the next time; the caller's token is not in the log."""
    with GoogleFunction(workspace, settings) as function:
        assert 204 == function.post(["no", "event"])
        message = {
            "data": base64.b64encode(b"no JSON").decode(),
            "messageId": "1",
            "publishTime": "2026-11-21T00:00:00Z",
        }
        assert 200 == function.post({"message": message, "subscription": "projects/p/subscriptions/s"})
    assert ["rejected", "rejected"] == outcomes(function)
    assert "made-up-token" not in function.log


def test_the_scheduler_finds_what_no_event_told(
    workspace: Path, settings: dict[str, str], compute: ComputeEngine, registry: LocalRegistry
) -> None:
    """A sweep comes as a message on the same topic; the image whose event was lost is recorded."""
    compute.insert_image("web-1", labels=LABELS, project="img-proj")
    with GoogleFunction(workspace, settings) as function:
        assert 200 == function.post(pushed(b'{"packer-publisher": {"sweep": {}}}'))
        assert "v1" == registry.model.get_version("web", "4f2a9c1-812")["version"]["name"], function.log
