"""The Azure Function from a queue message to HCP Packer, with the real SDK and the local registry."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import azure.functions as func
import pytest
from tests.clouds.azure_stand_in import SUBSCRIPTION, Out
from tests.registered import parents_of
from tests.simulation.registry import look
from tests.switches import let_lags_pass, setting

from packer_publisher.image import Artifact
from packer_publisher.local.arm import Arm
from packer_publisher.local.arm_events import as_cloud_event, notification
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.local.server import serving
from packer_publisher.runtime import close_publishers
from packer_publisher.snapshot import BuildStatus, Version

TAGS = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "4f2a9c1-812"}
RULES = {"expects": ["azure"], "create_buckets": True}
CONFIG = json.dumps({"buckets": {"web": RULES, "base": RULES}})


def load() -> ModuleType:
    path = Path(__file__).parents[2] / "functions" / "azure" / "function_app.py"
    spec = importlib.util.spec_from_file_location("function_app", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


APP = load()


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
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield registry
        close_publishers()


def deliver(*events: Any) -> None:
    for event in events:
        APP.publish_image(func.QueueMessage(id="m-1", body=json.dumps(event).encode()), Out())


def recorded(registry: LocalRegistry) -> Version:
    let_lags_pass(registry.model)
    return look(registry.model, "web", "4f2a9c1-812")


def test_a_pair_is_one_build_of_the_managed_image(arm: Arm, registry: LocalRegistry) -> None:
    """In every shape, repeated and in any order, a managed image and its version are one artifact, as Packer has it."""
    image = arm.put_managed_image("rg-images", "web-1", tags=TAGS)
    identifier = image["data"]["resourceUri"]
    version = arm.put_gallery_version("rg-images", "gal", "web", "1.0.0", tags=TAGS, source=identifier)
    told = notification(arm.resource(arm.version_id("rg-images", "gal", "web", "1.0.0")), arm.now())
    deliver(version, as_cloud_event(image), image, told, version)
    found = recorded(registry)
    (build,) = found.builds
    assert ("v1", "azure-arm", "azure", BuildStatus.DONE) == (
        found.name,
        build.component_type,
        build.platform,
        build.status,
    )
    assert frozenset({Artifact("eastus", arm.image_id("rg-images", "web-1"))}) == build.artifacts
    assert ("azure:11111111-1111-1111-1111-111111111111", "web-1", "Linux") == tuple(
        build.label(key) for key in ("image-owner", "managed_image_name", "os_type")
    )


@pytest.mark.switches(same_identifier_twice="accept")
def test_with_gallery_each_target_region_is_recorded(
    arm: Arm, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The managed image holds the version open, its gallery image version completes it."""
    monkeypatch.setenv("PUBLISHER_AZURE_ARTIFACT", "gallery")
    image = arm.put_managed_image("rg-images", "web-1", tags=TAGS)
    deliver(image)
    held = recorded(registry)
    assert ("v0", [frozenset()]) == (held.name, [build.artifacts for build in held.builds])
    version = arm.put_gallery_version(
        "rg-images",
        "gal",
        "web",
        "1.0.0",
        tags=TAGS,
        source=image["data"]["resourceUri"],
        target_regions=("West Europe", "East US"),
    )
    deliver(version, version)
    found = recorded(registry)
    identifier = arm.version_id("rg-images", "gal", "web", "1.0.0")
    assert "v1" == found.name
    assert [frozenset({Artifact("eastus", identifier), Artifact("westeurope", identifier)})] == [
        build.artifacts for build in found.builds
    ]


def test_the_source_that_a_tag_names_is_the_parent(arm: Arm, registry: LocalRegistry) -> None:
    """Spelled as Microsoft's pages do, although the event of the base image wrote ``resourcegroups``."""
    base = arm.put_managed_image("rg-images", "base-1", tags={**TAGS, "hcp-packer-bucket": "base"})
    deliver(base)
    let_lags_pass(registry.model)
    source = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-images/providers/Microsoft.Compute/images/base-1"
    deliver(arm.put_managed_image("rg-images", "web-1", tags={**TAGS, "hcp-packer-source-image": source}))
    assert [("base v1", "", "UP_TO_DATE")] == parents_of(registry.model, "web", "4f2a9c1-812")
    assert [source] == [build.source_external_identifier for build in recorded(registry).builds]
