"""Azure subscriptions that are surveyed: what the tests of surveys begin with."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from tests.clouds.azure_stand_in import SUBSCRIPTION, azure_on
from tests.clouds.surveying import Waits

from packer_publisher.clouds.azure import Azure
from packer_publisher.image import Platform, Scope
from packer_publisher.local.arm import Arm
from packer_publisher.local.server import serving

OTHER = "99999999-9999-9999-9999-999999999999"
HERE, THERE = Scope(Platform.AZURE, SUBSCRIPTION), Scope(Platform.AZURE, OTHER)
SINCE = datetime(2026, 10, 1, tzinfo=UTC)
UNTIL = datetime(2026, 10, 3, tzinfo=UTC)
WITHIN = datetime(2026, 10, 2, tzinfo=UTC)


@pytest.fixture
def arm() -> Iterator[Arm]:
    """Azure with two subscriptions; a fault that was never met fails the test."""
    arm = Arm(subscriptions=(SUBSCRIPTION, OTHER), now=lambda: WITHIN)
    yield arm
    assert 0 == arm.unmet_faults


@pytest.fixture
def address(arm: Arm) -> Iterator[str]:
    with serving(arm.app) as address:
        yield address


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def azure(address: str, waits: Waits) -> Iterator[Azure]:
    with azure_on(address, patience=waits.patience()) as azure:
        yield azure


def lists(arm: Arm) -> int:
    """Return how many pages of lists were asked for."""
    return sum(path.endswith("/resources") for path in arm.asked)
