"""The Lambda archive under Lambda's own runtime interface client: real events, the real SDK, stand-ins over HTTP."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from packer_publisher.local.aws import LocalAccount, LocalAWS
from packer_publisher.local.aws_delivery import LocalDelivery
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from tests.clouds.aws_stand_in import fresh_account_id
from tests.deploy.lambda_runtime import LambdaProcess

EVENTS = Path(__file__).parents[1] / "events" / "aws"
REGIONS = ("eu-west-1", "us-east-1")
CONFIG = json.dumps({"buckets": {"base": {"create_buckets": True}}, "regions": list(REGIONS)})
TAGS = {"hcp-packer-bucket": "base", "hcp-packer-fingerprint": "3f2a9c1-412", "hcp-packer-expects": "aws"}
EARLIER = datetime.now(UTC) - timedelta(minutes=10)


@pytest.fixture(scope="module")
def task(unpacked: Callable[[str], Path]) -> Path:
    """Return /var/task."""
    return unpacked("aws")


@pytest.fixture(scope="module")
def local() -> Iterator[LocalAWS]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # moto's server tells each request
    with LocalAWS(REGIONS, ()) as running:
        yield running


@pytest.fixture
def account(local: LocalAWS) -> LocalAccount:
    return local.account(fresh_account_id())


@pytest.fixture
def registry() -> Iterator[LocalRegistry]:
    with closing(RegistryModel()) as model, local_registry(model) as serving:
        yield serving


@pytest.fixture
def delivery(account: LocalAccount, registry: LocalRegistry) -> LocalDelivery:
    """Return the rules, the queue and the poller of the account's function."""
    return LocalDelivery(account, {**registry.environment(), "PUBLISHER_CONFIG": CONFIG})


def artifacts(
    registry: LocalRegistry, bucket: str = "base", fingerprint: str = TAGS["hcp-packer-fingerprint"]
) -> set[str]:
    """Return the identifiers of all images that a version lists."""
    version = registry.model.get_version(bucket, fingerprint)["version"]
    return {artifact["external_identifier"] for build in version["builds"] for artifact in build["artifacts"]}


def test_a_build_is_recorded(
    task: Path, account: LocalAccount, delivery: LocalDelivery, registry: LocalRegistry
) -> None:
    """The events of a build in two regions go through rules, queue and poller, and its version is complete."""
    build = account.build("base-1", TAGS, region=REGIONS[0], copies=REGIONS[1:], created=EARLIER)
    for event in build.events:
        delivery.emit(event)
    with LambdaProcess(task, delivery.environment) as function:
        deliveries = delivery.drain(function.handler)
    assert [frozenset()] == list({answered.failed for answered in deliveries})
    assert set(build.images.values()) == artifacts(registry)
    assert "v1" == registry.model.get_version("base", "3f2a9c1-412")["version"]["name"]
    outcomes = [line["outcome"] for line in function.lines() if "outcome" in line]
    assert ("completed", len(build.events)) == (sorted(outcomes)[0], len(outcomes))
