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
from packer_publisher.local.aws_events import tag_change
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from tests.clouds.aws_stand_in import fresh_account_id
from tests.deploy.lambda_runtime import PROBE, RUNTIME, LambdaProcess, sqs_event

EVENTS = Path(__file__).parents[1] / "events" / "aws"
REGIONS = ("eu-west-1", "us-east-1")
CONFIG = json.dumps({"buckets": {"base": {"create_buckets": True}}, "regions": list(REGIONS)})
TAGS = {"hcp-packer-bucket": "base", "hcp-packer-fingerprint": "3f2a9c1-412", "hcp-packer-expects": "aws"}
SDKS = ("boto3", "botocore.", "s3transfer", "httpx", "urllib3")
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


@pytest.mark.parametrize("name", ["instance_state", "cloudtrail_create_image", "tag_change_snapshot"])
def test_an_event_that_is_not_ours_loads_no_sdk(
    task: Path, delivery: LocalDelivery, registry: LocalRegistry, tmp_path: Path, name: str
) -> None:
    """A real event about something else is acknowledged; neither boto3 nor an HTTP client is imported."""
    (tmp_path / "probe.py").write_text(PROBE, "utf-8")
    looking = {**delivery.environment, "PYTHONPATH": f"{RUNTIME}:{tmp_path}"}
    with LambdaProcess(task, looking, "probe.handler") as function:
        told = function.invoke(sqs_event(json.loads((EVENTS / f"{name}.json").read_text("utf-8"))))
    assert {"batchItemFailures": []} == told["answer"]
    assert ["ignored"] == [line["outcome"] for line in function.lines()]
    assert "aws_lambda_powertools" in told["modules"]
    assert [] == [module for module in told["modules"] if module.startswith(SDKS)]
    assert [] == registry.requests.all()


def test_a_message_in_trouble_rests_longer_and_comes_again(
    task: Path, account: LocalAccount, delivery: LocalDelivery, registry: LocalRegistry
) -> None:
    """An image that EC2 does not know yet is kept, and its message's rest is set by a call to SQS."""
    image = "ami-0123456789abcdef0"
    delivery.emit(tag_change(account.account_id, account.home, image, list(TAGS), TAGS, 1))
    with LambdaProcess(task, delivery.environment) as function:
        kept = delivery.deliver(function.handler)
    assert kept is not None
    assert 1 == len(kept.failed)
    lines = function.lines()
    assert ["deferred"] == [line["outcome"] for line in lines if "outcome" in line], function.log
    assert [] == [line for line in lines if line["message"] == "a message rests for the queue's own time"]
    sqs = account.session().client("sqs", endpoint_url=account.endpoint)
    counts = sqs.get_queue_attributes(QueueUrl=delivery.queue_url, AttributeNames=["All"])["Attributes"]
    assert "1" == counts["ApproximateNumberOfMessagesNotVisible"]


def test_the_sweeps_find_what_no_event_told(
    task: Path, account: LocalAccount, delivery: LocalDelivery, registry: LocalRegistry
) -> None:
    """Both schedules' orders are carried out; the image whose events were lost is recorded."""
    build = account.build("base-1", TAGS, created=EARLIER)
    with LambdaProcess(task, delivery.environment) as function:
        for order in ('{"sweep": {}}', '{"sweep": {"window": "14d"}}'):
            assert {"batchItemFailures": []} == function.invoke(sqs_event(f'{{"packer-publisher": {order}}}'))
    assert set(build.images.values()) == artifacts(registry)


def test_the_configuration_document_lies_beside_the_function(
    unpacked: Callable[[str], Path], account: LocalAccount, delivery: LocalDelivery, registry: LocalRegistry
) -> None:
    """PUBLISHER_CONFIG names the file that `make package CONFIG=...` has put into the archive."""
    folder = unpacked("aws")
    (folder / "publisher.json").write_text(CONFIG, "utf-8")
    build = account.build("base-1", TAGS, created=EARLIER)
    delivery.emit(build.events[-1])
    with LambdaProcess(folder, {**delivery.environment, "PUBLISHER_CONFIG": "publisher.json"}) as function:
        delivery.drain(function.handler)
    assert set(build.images.values()) == artifacts(registry), function.log
