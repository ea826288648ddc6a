"""What stands behind the three doors while poison comes in: the clouds' stand-ins with a few images, and a registry.

Most poison dies at the door. What still names an image is asked about over HTTP, as in any other test: good images are
there to be found, others that are nobody's, that are not finished, or whose tags nobody would write.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3

from packer_publisher.image import Platform
from packer_publisher.local.arm import Arm
from packer_publisher.local.aws import LocalAWS
from packer_publisher.local.aws_events import tag_change
from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import local_registry
from packer_publisher.local.server import serving
from packer_publisher.runtime import close_publishers
from tests.proof.poison_doors import Door, LambdaDoor, Message, QueueDoor, RequestDoor
from tests.proof.poison_requests import push
from tests.proof.poison_words import PRIVATE
from tests.switches import setting

EVENTS = Path(__file__).parents[1] / "events"
ACCOUNT, SUBSCRIPTION, PROJECT = "123456789012", "11111111-1111-1111-1111-111111111111", "img-proj"
REGION = "eu-west-1"
GOOD = {"hcp-packer-bucket": "good"}
FILED = frozenset({"completed", "unchanged"})
ABSURD: tuple[Mapping[str, str], ...] = (
    {"hcp-packer-bucket": "../../x", "hcp-packer-fingerprint": "a1"},
    {"hcp-packer-bucket": "good"},
    {"hcp-packer-fingerprint": "f" * 200},
    {**GOOD, "hcp-packer-fingerprint": "a\u202e\u2028b"},
    {**GOOD, "hcp-packer-fingerprint": "b2", "hcp-packer-expects": " ".join(f"amazon-ebs.n{n}" for n in range(12))},
    {**GOOD, "hcp-packer-fingerprint": "b3", "hcp-packer-expects": ",;,"},
    {**GOOD, "hcp-packer-fingerprint": "b4", "hcp-packer-regions": "xx-nowhere-1", "hcp-packer-region": "../x"},
    {**GOOD, "hcp-packer-fingerprint": "b5", "hcp-packer-channels": "latest", "hcp-packer-label-image-owner": "x"},
    {**GOOD, "hcp-packer-fingerprint": "b6", **{f"tag{number}": "x" * 200 for number in range(45)}},
)
"""Tags that clouds accept and nobody would write; the label rules of Google leave few of them possible there."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A good message, and the outcomes that it may have."""

    message: Message
    outcomes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Site:
    """One cloud: its function's door and settings, good events to be spoiled, and its images' addresses.

    ``neighbours`` must fare well whatever came beside them; the last one's image is to be found in the registry then.
    ``secrets`` are what nothing may tell.
    """

    platform: Platform
    door: Door
    environment: Mapping[str, str]
    events: tuple[Any, ...]
    images: tuple[tuple[str, str, str], ...]
    neighbours: tuple[Neighbour, ...]
    secrets: Callable[[], Sequence[str]]

    @contextmanager
    def deployed(self) -> Iterator[None]:
        """Let the function see its own settings, and nobody else's."""
        before = dict(os.environ)
        os.environ.update(self.environment)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


@contextmanager
def sites() -> Iterator[dict[Platform, Site]]:
    """Open the stand-ins and the three functions."""
    with ExitStack() as stack:
        model = RegistryModel(switches=setting(completion_lag=0.0))  # else its neighbours fare otherwise for a while
        stack.callback(model.close)
        registry = stack.enter_context(local_registry(model))
        common = {
            **registry.environment(),
            "PUBLISHER_CONFIG": json.dumps({"buckets": {"*": {"create_buckets": True, "on_delete": "revoke"}}}),
            "NO_PROXY": "127.0.0.1,localhost",
        }
        for logger in map(logging.getLogger, ("werkzeug", "moto")):  # which tell each request and each region unknown
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL)
        stack.callback(close_publishers)
        yield {
            Platform.AWS: _aws(stack, common, registry.tokens.issued),
            Platform.AZURE: _azure(stack, common, registry.tokens.issued),
            Platform.GCE: _google(stack, common, registry.tokens.issued),
        }


def sample_events(folder: str) -> list[Any]:
    """Return the real payloads of a cloud, with somebody in them whom no log may name, as old as poison is."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((EVENTS / folder).glob("*.json"))]
    return [_aged(event) for event in found]


def _aws(stack: ExitStack, common: Mapping[str, str], tokens: Callable[[], Sequence[str]]) -> Site:
    account = stack.enter_context(LocalAWS((REGION, "us-east-1"), ())).account(ACCOUNT)
    stack.callback(boto3.setup_default_session)  # the handler's own call to SQS has it remember these credentials
    created = datetime.now(UTC) - timedelta(minutes=10)
    queue = account.session().client("sqs", endpoint_url=account.endpoint).create_queue(QueueName="events")["QueueUrl"]
    tags = {**GOOD, "hcp-packer-fingerprint": "aws", "hcp-packer-expects": "aws"}
    good = account.build("good", tags, region=REGION, created=created)
    others = [account.build(f"odd-{n}", tags, region=REGION, created=created) for n, tags in enumerate(ABSURD)]
    others.append(account.build("foreign", {"Name": "foreign"}, region=REGION, created=created))
    untagged = tag_change(ACCOUNT, REGION, "ami-0123456789abcdef0", ["Name"], {"Name": "foreign"}, 1)
    keys = [value for name, value in account.environment.items() if "SECRET" in name or "TOKEN" in name]
    images = [(ACCOUNT, region, image) for build in (good, *others) for region, image in build.images.items()]
    return Site(
        Platform.AWS,
        LambdaDoor(),
        {**common, **account.environment, "PUBLISHER_QUEUE": queue},
        (*sample_events("aws"), *(_aged(event) for build in (good, *others[:3]) for event in build.events)),
        (*images[-3:], (ACCOUNT, REGION, "ami-0fedcba9876543210"), (ACCOUNT, "xx-nowhere-1", "ami-0fedcba9876543210")),
        (
            Neighbour(_message(untagged), frozenset({"ignored"})),
            Neighbour(_message(good.events[-1]), FILED),
        ),
        lambda: (*tokens(), *keys),
    )


def _azure(stack: ExitStack, common: Mapping[str, str], tokens: Callable[[], Sequence[str]]) -> Site:
    arm = Arm()
    created = datetime.now(UTC) - timedelta(hours=3)
    address = stack.enter_context(serving(arm.app))
    tags = {**GOOD, "hcp-packer-fingerprint": "azure", "hcp-packer-expects": "azure"}
    good = arm.put_managed_image("images", "good", tags=tags, created=created)
    others = [arm.put_managed_image("images", f"odd-{n}", tags=tags, created=created) for n, tags in enumerate(ABSURD)]
    others.append(arm.put_gallery_version("images", "gallery", "web", "1.0.0", tags={"team": "web"}, created=created))
    ids = [event["data"]["resourceUri"] for event in (good, *others)]
    return Site(
        Platform.AZURE,
        QueueDoor(),
        {**common, "PUBLISHER_ARM_ENDPOINT": address, "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION},
        (*sample_events("azure"), *(_aged(event) for event in (good, *others[:3], others[-1]))),
        tuple((SUBSCRIPTION, "", identifier) for identifier in (*ids[-2:], f"{ids[0]}-ghost")),
        (Neighbour(_message(good), FILED),),
        tokens,
    )


def _google(stack: ExitStack, common: Mapping[str, str], tokens: Callable[[], Sequence[str]]) -> Site:
    created = datetime.now(UTC) - timedelta(days=1)
    compute = ComputeEngine(now=lambda: created)
    address = stack.enter_context(serving(compute.app))
    labels = {**GOOD, "hcp-packer-fingerprint": "gce", "hcp-packer-expects": "gce"}
    good = compute.insert_image("good", labels=labels)
    odd: Sequence[Mapping[str, str]] = ({**GOOD}, {**labels, "hcp-packer-expects": "a___b"})
    others = [compute.insert_image(f"odd-{number}", labels=labels) for number, labels in enumerate(odd)]
    others.append(compute.insert_image("foreign", labels={"team": "web"}))
    entries = [event for event in sample_events("gcp") if "protoPayload" in event]
    return Site(
        Platform.GCE,
        RequestDoor(),
        {**common, "PUBLISHER_COMPUTE_ENDPOINT": address, "GOOGLE_CLOUD_PROJECT": PROJECT},
        (*entries, *(_aged(entry) for pair in (good, *others) for entry in pair)),
        tuple((PROJECT, "", name) for name in ("good", "odd-0", "ghost")),
        (Neighbour(push(json.dumps(good[-1]).encode()), FILED),),
        tokens,
    )


def _message(event: Mapping[str, Any]) -> Message:
    return Message(json.dumps(event).encode())


def _aged(event: Any) -> Any:
    """Return an event of two hours ago, so that an image which its cloud does not know is gone, not late."""
    aged = deepcopy(event)
    then = (datetime.now(UTC) - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for key in ("time", "eventTime", "timestamp", "receiveTimestamp"):
        if key in aged:
            aged[key] = then
    aged["claims"] = {"name": f"{PRIVATE}@example.com"}
    payload = aged.get("protoPayload", {})
    payload["authenticationInfo"] = {"principalEmail": f"{PRIVATE}@example.com"}
    return aged
