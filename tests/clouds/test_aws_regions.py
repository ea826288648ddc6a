"""A region that AWS does not have: an event or a message that names it is rejected, not asked about again for days."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.clouds.aws_stand_in import Answer, Request, error, policy, regions, scripted_ec2, soon

from packer_publisher.clouds.aws import AWS
from packer_publisher.errors import CloudTrouble, CredentialsTrouble, Rejected
from packer_publisher.image import Image, ImageRef, Platform

LISTED = regions(us_east_1="opt-in-not-required", eu_west_1="opt-in-not-required", me_south_1="not-opted-in")
BROKEN, DENIED = error("InternalFailure"), error("AuthFailure", 401)

Describe = Callable[[str, Answer, Answer], Image | None]


@pytest.fixture
def describe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Describe]:
    """Describe an image in some region, with what that region and the list of regions answer."""
    answers: dict[str, Answer] = {}

    def answer(request: Request) -> Answer:
        return answers["listed" if request.action == "DescribeRegions" else "asked"]

    def describe(region: str, asked: Answer, listed: Answer = LISTED) -> Image | None:
        answers.update(asked=asked, listed=listed)
        return AWS(policy()).describe(ImageRef(Platform.AWS, "1", region, "ami-0aaaaaaaaaaaaaaaa"), soon())

    with scripted_ec2(answer) as ec2:
        monkeypatch.setenv("AWS_ENDPOINT_URL", ec2.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "made-up")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        yield describe


@pytest.mark.parametrize("asked", [BROKEN, DENIED], ids=["no answer", "denied"])
def test_a_region_that_aws_does_not_have_is_rejected(describe: Describe, asked: Answer) -> None:
    """Its address leads nowhere, or to another partition that does not know the account: it would stay so."""
    with pytest.raises(Rejected) as caught:
        describe("xx-nowhere-1", asked, LISTED)
    assert "AWS has no region xx-nowhere-1" == str(caught.value)
    assert "`aws ec2 describe-regions --all-regions` lists the names" == caught.value.remedy


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "me-south-1"])
def test_a_region_that_aws_has_may_be_in_trouble(describe: Describe, region: str) -> None:
    """Whether it is the function's own, another or one that is not enabled."""
    with pytest.raises(CloudTrouble, match=f"^AWS region {region} answered InternalFailure$"):
        describe(region, BROKEN, LISTED)
    with pytest.raises(CredentialsTrouble, match=rf"^AWS region {region} denied access \(AuthFailure\)$"):
        describe(region, DENIED, LISTED)


@pytest.mark.parametrize("listed", [BROKEN, DENIED], ids=["no answer", "denied"])
def test_without_the_list_the_trouble_stays(describe: Describe, listed: Answer) -> None:
    """Nobody can say that there is no such region; the first error is the one that is told."""
    with pytest.raises(CloudTrouble, match=r"^AWS region xx-nowhere-1 answered InternalFailure$"):
        describe("xx-nowhere-1", BROKEN, listed)


def test_without_a_region_of_its_own_the_trouble_stays(describe: Describe, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a laptop there may be none to ask for the list."""
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(CloudTrouble, match=r"^AWS region xx-nowhere-1 answered InternalFailure$"):
        describe("xx-nowhere-1", BROKEN, LISTED)


def test_made_up_regions_fill_no_memory(describe: Describe, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client takes megabytes, and whoever sends events can make up any number of regions."""
    aws = AWS(policy())
    with scripted_ec2(lambda request: LISTED if request.action == "DescribeRegions" else BROKEN) as ec2:
        monkeypatch.setenv("AWS_ENDPOINT_URL", ec2.url)
        for number in range(5):
            with pytest.raises(Rejected):
                aws.describe(ImageRef(Platform.AWS, "1", f"xx-nowhere-{number}", "ami-0aaaaaaaaaaaaaaaa"), soon())
    assert {"us-east-1"} == {region for _, region, _ in aws._clients._clients}
