"""An AWS account that is surveyed: what the tests of surveys begin with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from tests.clouds.aws_stand_in import NOW, TAGS, forget_credentials
from tests.clouds.ec2_exchange import Exchange, KeptClients, aws_on
from tests.clouds.surveying import Waits

from packer_publisher.clouds.aws import AWS
from packer_publisher.image import Platform, Scope
from packer_publisher.local.ec2 import ACCOUNT, EC2
from packer_publisher.local.ec2_fleet import AMI
from packer_publisher.local.server import serving

IRELAND = Scope(Platform.AWS, ACCOUNT, "eu-west-1")
VIRGINIA = Scope(Platform.AWS, ACCOUNT, "us-east-1")


@pytest.fixture(scope="module")
def exchange() -> Exchange:
    return Exchange()


@pytest.fixture(scope="module")
def address(exchange: Exchange) -> Iterator[str]:
    with serving(exchange) as address:
        yield address


@cache
def _clients_of(_address: str) -> KeptClients:
    return KeptClients()


def session() -> KeptClients:
    """Return what opens clients of the account that is served now: one costs more than most tests, and is kept."""
    return _clients_of(os.environ["AWS_ENDPOINT_URL"])


@pytest.fixture
def ec2(exchange: Exchange, address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[EC2]:
    """An account; a fault that was never met fails the test."""
    forget_credentials(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    exchange.ec2 = EC2(not_enabled=("me-south-1",))
    yield exchange.ec2
    assert [] == exchange.ec2.unmet_faults


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def aws(ec2: EC2, waits: Waits) -> AWS:
    return aws_on(session(), waits)


def ami(name: str, **more: Any) -> AMI:
    """Return a tagged image of the account."""
    identifier = f"ami-{int.from_bytes(name.encode()[-8:], 'big'):017x}"
    return AMI(**{"image_id": identifier, "name": name, "owner": ACCOUNT, "created": NOW, "tags": TAGS, **more})


def lists(ec2: EC2) -> int:
    """Return how many pages of images were asked for."""
    return sum(request.action == "DescribeImages" for request in ec2.requests)
