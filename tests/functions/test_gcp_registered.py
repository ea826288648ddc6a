"""The Google Cloud function from a delivered event to HCP Packer, with the real SDK and the local registry."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import functions_framework
import httpx
import pytest
from flask.testing import FlaskClient
from tests.clouds.gcp_stand_in import LABELS
from tests.registered import parents_of
from tests.simulation.registry import look
from tests.switches import completing, fresh, let_lags_pass, setting

from packer_publisher.image import Artifact, Platform
from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.compute_events import audit_log_written, binary, message_published, structured
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.local.server import serving
from packer_publisher.registry import HCPPacker
from packer_publisher.runtime import open_publisher
from packer_publisher.snapshot import BuildStatus, Version

MAIN = Path(__file__).parents[2] / "functions" / "gcp" / "main.py"
RULES = {"expects": ["gce"], "create_buckets": True}
CONFIG = json.dumps({"buckets": {"web": RULES, "base": RULES}})


@pytest.fixture
def compute() -> Iterator[ComputeEngine]:
    """Compute Engine a day ago: what was made then has settled. Nothing is ever written to it."""
    compute = ComputeEngine(now=lambda: datetime.now(UTC) - timedelta(days=1))
    yield compute
    assert [] == compute.writes


@pytest.fixture
def registry(compute: ComputeEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalRegistry]:
    """A deployment whose Google Cloud and whose HCP are the stand-ins."""
    with (
        closing(RegistryModel(switches=setting())) as model,
        local_registry(model) as registry,
        serving(compute.app) as address,
    ):
        settings = {**registry.environment(), "PUBLISHER_COMPUTE_ENDPOINT": address, "PUBLISHER_CONFIG": CONFIG}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield registry


@pytest.fixture
def client(registry: LocalRegistry) -> Iterator[FlaskClient]:
    create: Any = functions_framework.create_app  # it has no types
    app = create("publish_image", str(MAIN), "cloudevent")
    yield app.test_client()
    publisher = open_publisher(Platform.GCE, os.environ)  # the one that the function used: once per environment
    assert isinstance(publisher.registry, HCPPacker)
    publisher.registry.close()


def deliver(client: FlaskClient, entry: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    headers, body = binary(message_published(entry))
    assert 200 == client.post("/", headers=headers, data=body).status_code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def version(registry: LocalRegistry) -> Version:
    let_lags_pass(registry.model)
    return look(registry.model, "web", "4f2a9c1-812")


def test_an_image_completes_its_version(
    compute: ComputeEngine, registry: LocalRegistry, client: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """Platform, zone, name and labels are the very ones that Packer writes, with the image's number beside."""
    _, last = compute.insert_image("web-20261001", zone="europe-west1-b", labels=LABELS)
    assert completing() == deliver(client, last, capsys)["outcome"]
    (build,) = version(registry).builds
    assert (BuildStatus.DONE, "gce", "googlecompute") == (build.status, build.platform, build.component_type)
    assert {Artifact("europe-west1-b", "web-20261001")} == set(build.artifacts)
    link = "projects/img-proj/global/images/web-20261001"
    assert {
        "image-owner": "gce:img-proj",
        "image_id": last["resource"]["labels"]["image_id"],
        "project_id": "img-proj",
        "self_link": f"https://www.googleapis.com/compute/v1/{link}",
        "disk_size_gb": "10",
    }.items() <= dict(build.labels).items()


def test_the_source_that_a_label_names_is_the_parent(
    compute: ComputeEngine, registry: LocalRegistry, client: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its name and, because a name can be given again, by its number, where the label has one."""
    _, base = compute.insert_image("base-1", labels={**LABELS, "hcp-packer-bucket": "base"})
    assert completing() == deliver(client, base, capsys)["outcome"]
    let_lags_pass(registry.model)
    number = base["resource"]["labels"]["image_id"]
    parents = {}
    for name, source in {"by-name": "base-1", "by-number": f"base-1_{number}", "another": "base-1_77"}.items():
        labels = {**LABELS, "hcp-packer-fingerprint": name, "hcp-packer-source-image": source}
        _, last = compute.insert_image(f"web-{name}", labels=labels)
        assert completing() == deliver(client, last, capsys)["outcome"]
        parents[name] = parents_of(registry.model, "web", name)
        (build,) = fresh(registry.model).get_version("web", name)["version"]["builds"]
        assert "base-1" == build["source_external_identifier"]
    found = [("base v1", "", "UP_TO_DATE")]
    assert {"by-name": found, "by-number": found, "another": []} == parents


def test_packers_deprecation_and_a_repetition_change_nothing(
    compute: ComputeEngine, registry: LocalRegistry, client: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every build of Packer's gives a second event, and delivery is at least once."""
    _, inserted = compute.insert_image("web-20261001", labels=LABELS)
    _, deprecated = compute.deprecate("web-20261001")
    reports = [deliver(client, entry, capsys) for entry in (inserted, deprecated, inserted)]
    assert [completing(), "unchanged", "unchanged"] == [report["outcome"] for report in reports]
    assert [1, 1] == [report["calls"] for report in reports[1:]]


@contextmanager
def real_server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Serve the function as Cloud Run does, with the framework's own program; yield its address and its log."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path / "log"
    command = [sys.executable, "-c", "from functions_framework._cli import _cli; _cli()"]
    options = ["--target", "publish_image", "--source", str(MAIN), "--port", str(port), "--host", "127.0.0.1"]
    with log.open("w") as out:
        server = subprocess.Popen([*command, *options], stdout=out, stderr=subprocess.STDOUT, env={**os.environ})
        try:
            for _ in range(200):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}", log
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(20)


def test_behind_the_frameworks_own_server(compute: ComputeEngine, registry: LocalRegistry, tmp_path: Path) -> None:
    """Over HTTP, in both content modes: trouble is 503, the same event later is 200, and the version completes."""
    _, last = compute.insert_image("web-20261001", labels=LABELS, pending=1)
    with real_server(tmp_path) as (address, log):
        answers = []
        for headers, body in (structured(audit_log_written(last)), binary(message_published(last))):
            answers.append(httpx.post(address, headers=headers, content=body, timeout=30, trust_env=False).status_code)
        assert [503, 200] == answers
        reports = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    assert ["deferred", completing()] == [report["outcome"] for report in reports]
    assert version(registry).complete
