"""A probe through a function's own intake: it says how it is, writes nothing, and is done whatever it finds."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from tests.clouds.aws_stand_in import fresh_account_id
from tests.switches import setting

from packer_publisher import __version__
from packer_publisher.clouds import aws_events, azure_events, gcp_events
from packer_publisher.deadline import Deadline
from packer_publisher.image import Platform
from packer_publisher.intake import Answer, receive
from packer_publisher.local.arm import Arm
from packer_publisher.local.aws import LocalAWS
from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.local.server import serving
from packer_publisher.runtime import close_publishers
from packer_publisher.settings import configuration_digest

CONFIG = json.dumps({"buckets": {"web": {}}})
READ: Any = {Platform.AWS: aws_events, Platform.AZURE: azure_events, Platform.GCE: gcp_events}


@pytest.fixture
def registry() -> Iterator[LocalRegistry]:
    with closing(RegistryModel(switches=setting())) as model, local_registry(model) as registry:
        yield registry
        close_publishers()


@contextmanager
def cloud(platform: Platform) -> Iterator[dict[str, str]]:
    """Serve a cloud without images; yield the variables that lead there."""
    if platform is Platform.AWS:
        with LocalAWS(("eu-west-1",), ()) as local:
            yield local.account(fresh_account_id(), "eu-west-1").environment
    elif platform is Platform.AZURE:
        arm = Arm()
        with serving(arm.app) as url:
            yield {"PUBLISHER_ARM_ENDPOINT": url, "AZURE_SUBSCRIPTION_ID": arm.subscriptions[0]}
    else:
        compute = ComputeEngine()
        with serving(compute.app) as url:
            yield {"PUBLISHER_COMPUTE_ENDPOINT": url, "GOOGLE_CLOUD_PROJECT": "img-proj"}


def as_process(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> dict[str, str]:
    """Set the variables of a function's process; return all that it then has."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return dict(os.environ)


def probe(platform: Platform, environ: dict[str, str], identifier: str = "3f2a9c1b7d04") -> Answer:
    body = json.dumps({"packer-publisher": {"probe": {"id": identifier}}}).encode()
    return receive(body, READ[platform].read_event, platform, environ, Deadline.after(30), None, not_ours="none")


@pytest.mark.parametrize("platform", Platform)
def test_a_function_that_is_well(platform: Platform, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version, configuration, registry, images: one line, and nothing is written anywhere."""
    with cloud(platform) as variables:
        settings = {**registry.environment(), "PUBLISHER_CONFIG": CONFIG, "PUBLISHER_EXPECTS": "aws"}
        answer = probe(platform, as_process(monkeypatch, {**variables, **settings}))

    [entry] = answer.entries
    assert ("INFO", "probe", None, {}) == (entry.level, entry.title, answer.trouble, dict(answer.figures))
    assert {
        "probe": "3f2a9c1b7d04",
        "version": __version__,
        "configuration": configuration_digest({"PUBLISHER_CONFIG": CONFIG}),
        "registry": "active",
        "images": "readable",
        "denied": [],
    } == entry.fields
    assert ["GetRegistry"] == registry.requests.operations()


def test_what_is_wrong_is_said_and_the_probe_is_done(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that HCP refuses, a cloud that does not answer: a warning, and never a retry."""
    settings = {**registry.environment(), "PUBLISHER_CONFIG": CONFIG, "HCP_CLIENT_SECRET": "made-up-secret"}
    azure = {"PUBLISHER_ARM_ENDPOINT": "http://127.0.0.1:9", "AZURE_SUBSCRIPTION_ID": "1"}
    answer = probe(Platform.AZURE, as_process(monkeypatch, {**settings, **azure}))

    [entry] = answer.entries
    assert ("WARNING", None) == (entry.level, answer.trouble)
    assert str(entry.fields["registry"]).startswith("refused: Asking http://127.0.0.1:")
    assert str(entry.fields["images"]).startswith("not readable: ")
    assert "made-up-secret" not in f"{entry.line}{entry.fields}"


def test_a_registry_that_is_not_active(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket may lie in another project; each project's registry is asked for."""
    other = "99999999-9999-4999-8999-999999999999"
    config = json.dumps({"buckets": {"web": {}, "other": {"project": other}}})
    arm = Arm()
    with serving(arm.app) as url:
        variables = {"PUBLISHER_ARM_ENDPOINT": url, "AZURE_SUBSCRIPTION_ID": arm.subscriptions[0]}
        settings = {**registry.environment(), **variables, "PUBLISHER_CONFIG": config}
        answer = probe(Platform.AZURE, as_process(monkeypatch, settings))
    [entry] = answer.entries
    assert "WARNING" == entry.level
    assert "active" != entry.fields["registry"]
    assert "readable" == entry.fields["images"]
    assert 2 == registry.requests.count("GetRegistry")


def test_a_registry_that_is_off_is_not_asked(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """HCP_PACKER_REGISTRY=off is no fault."""
    arm = Arm()
    with serving(arm.app) as url:
        variables = {"PUBLISHER_ARM_ENDPOINT": url, "AZURE_SUBSCRIPTION_ID": arm.subscriptions[0]}
        off = {**registry.environment(), **variables, "PUBLISHER_CONFIG": CONFIG, "HCP_PACKER_REGISTRY": "off"}
        [entry] = probe(Platform.AZURE, as_process(monkeypatch, off)).entries
    assert ("INFO", "off") == (entry.level, entry.fields["registry"])
    assert [] == registry.requests.operations()


def test_wrong_settings_are_the_answer() -> None:
    """A configuration that cannot be read is said, and the message is not kept for it."""
    answer = probe(Platform.AWS, {"PUBLISHER_CONFIG": "{", "PUBLISHER_QUIET": "soon"})
    [entry] = answer.entries
    assert ("ERROR", None) == (entry.level, answer.trouble)
    assert "PUBLISHER_QUIET" in str(entry.fields["problem"])
