"""A backfill lists a real cloud: boto3 against the paged EC2, spooled into the journal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest

from packer_publisher.backfill.asked import Asked
from packer_publisher.backfill.beginning import claim
from packer_publisher.backfill.journal import Journal
from packer_publisher.backfill.listing import list_scopes, spooling
from packer_publisher.clouds.aws import AWS
from packer_publisher.errors import CredentialsTrouble
from packer_publisher.image import Platform, Scope
from packer_publisher.local.ec2 import ACCOUNT, EC2
from packer_publisher.local.ec2_fleet import Fleet
from packer_publisher.local.server import serving
from packer_publisher.placement import place
from tests.clouds.aws_stand_in import forget_credentials, policy, soon
from tests.clouds.ec2_exchange import KeptClients, aws_on
from tests.clouds.surveying import Waits, surveyed

REGIONS = ("eu-west-1", "us-east-1", "us-west-2")
IRELAND, VIRGINIA, OREGON = (Scope(Platform.AWS, ACCOUNT, region) for region in REGIONS)


@pytest.fixture
def ec2() -> EC2:
    return EC2(regions=REGIONS, fleet=Fleet(ACCOUNT, REGIONS, 30, every=timedelta(days=1)))


@pytest.fixture
def aws(ec2: EC2, monkeypatch: pytest.MonkeyPatch) -> Iterator[AWS]:
    forget_credentials(monkeypatch)
    with serving(ec2.app) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        yield aws_on(KeptClients(), Waits())
    assert [] == ec2.unmet_faults


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.sqlite")
    yield journal
    journal.close()


def listed(journal: Journal, aws: AWS, threads: int) -> None:
    """List what is open of everything that the credentials reach."""
    claim(journal, aws.scopes(soon()))
    errand = spooling(Asked(("aws",)), lambda image: place(image, policy()))
    list_scopes(journal, {Platform.AWS: aws}, errand, threads, lambda *_: None, Event())


def states(journal: Journal) -> dict[Scope, tuple[str, str]]:
    """Return what the journal knows of each scope, but the images."""
    return {scope: (state, problem) for scope, (state, problem, _) in journal.scopes().items()}


def test_a_region_that_denies_access_is_noted_and_the_others_are_listed(ec2: EC2, aws: AWS, journal: Journal) -> None:
    """All at the same time, with throttling on the way; every image that is seen is counted."""
    ec2.deny("us-west-2")
    ec2.throttle("us-east-1", times=2)
    listed(journal, aws, threads=3)
    assert {
        IRELAND: ("listed", ""),
        VIRGINIA: ("listed", ""),
        OREGON: ("denied", "AWS region us-west-2 denied access (UnauthorizedOperation)"),
    } == states(journal)
    seen = len(surveyed(aws, IRELAND))
    assert [seen, seen, 0] == [images for _, _, images in journal.scopes().values()]
    assert 0 < seen


def test_credentials_that_expire_end_the_listing_and_a_resumed_one_goes_on(
    ec2: EC2, aws: AWS, journal: Journal
) -> None:
    """No region is noted as closed for what is the same everywhere; the one that was listed is not listed again."""
    ec2.expire(after=3)  # STS, the regions, and Ireland's page
    with pytest.raises(CredentialsTrouble) as caught:
        listed(journal, aws, threads=1)
    assert "AWS region us-east-1 refused the credentials (RequestExpired)" == str(caught.value)
    assert {IRELAND: ("listed", ""), VIRGINIA: ("open", ""), OREGON: ("open", "")} == states(journal)

    ec2.renew()
    ec2.requests.clear()
    listed(journal, aws, threads=1)
    assert {IRELAND: ("listed", ""), VIRGINIA: ("listed", ""), OREGON: ("listed", "")} == states(journal)
    assert ["us-east-1", "us-west-2"] == [
        request.region for request in ec2.requests if request.action == "DescribeImages"
    ]
