"""The local AWS of the tests that need a whole one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.clouds.aws_stand_in import fresh_account_id

from packer_publisher.local.aws import REGIONS, LocalAccount, LocalAWS


@pytest.fixture(scope="module")
def local() -> Iterator[LocalAWS]:
    with LocalAWS() as running:
        yield running


@pytest.fixture(scope="module")
def used(local: LocalAWS) -> LocalAccount:
    """Return the one account of these tests: a new one costs moto a second."""
    return local.account(fresh_account_id())


@pytest.fixture
def account(used: LocalAccount, monkeypatch: pytest.MonkeyPatch) -> LocalAccount:
    for region in REGIONS:
        for image in used.ec2(region).describe_images(Owners=["self"])["Images"]:
            used.deregister(region, image["ImageId"])
    for name, value in used.environment.items():
        monkeypatch.setenv(name, value)
    return used
