"""A whole deployment in moto that the doctor examines, through a gate where a test wants one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from packer_publisher.examiners import Named
from packer_publisher.finding import Finding
from packer_publisher.image import Platform
from packer_publisher.local.aws import LocalAWS
from packer_publisher.local.registry_serve import LocalRegistry
from tests.clouds.aws_stand_in import fresh_account_id
from tests.doctor.aws_deployment import Deployment
from tests.doctor.examining import examine
from tests.doctor.gate import Gate, gate

REGIONS = ("eu-west-1", "us-east-1")


@pytest.fixture(scope="module")
def local() -> Iterator[LocalAWS]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with LocalAWS(REGIONS, ("me-south-1",)) as running:
        yield running


@pytest.fixture(scope="module")
def deployed(local: LocalAWS) -> Deployment:
    return Deployment(local.account(fresh_account_id(), "eu-west-1"), ("us-east-1",))


@pytest.fixture
def deployment(deployed: Deployment, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """The one deployment, mended; boto3's default session would keep the credentials of somebody else."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for name, value in {**deployed.account.environment, **registry.environment()}.items():
        monkeypatch.setenv(name, value)
    # Every boto3 session reads the services' models anew; this one has them.
    monkeypatch.setattr(boto3, "Session", deployed.account.session)
    deployed.mend()
    return deployed


def look(registry: LocalRegistry, **named: Any) -> list[Finding]:
    return examine(Platform.AWS, Named(**named), registry.environment())


@pytest.fixture(scope="module")
def guarded(deployed: Deployment) -> Iterator[tuple[Gate, str]]:
    with gate(deployed.account.endpoint) as found:
        yield found


@pytest.fixture
def guard(guarded: tuple[Gate, str], deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """A gate between the doctor and the account, open at first."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", guarded[1])
    guarded[0].denied.clear()
    yield guarded[0]
    guarded[0].closed.clear()
    guarded[0].words.clear()


WELL = [
    "AWS credentials", "function", "archive", "configuration", "function's credentials", "HCP credentials", "registry",
    "clock", "buckets", "role", "event source", "queue", "dead letters", "queue policy", "rule of tag changes",
    "rule of state changes", "sweeps", "region us-east-1", "dead letters of us-east-1", "probe",
]  # fmt: skip
