"""What becomes of a survey of AWS where EC2 throttles, fails, refuses or has expired."""

from __future__ import annotations

import pytest
from tests.clouds.aws_account import IRELAND, VIRGINIA, address, ami, aws, ec2, exchange, lists, waits
from tests.clouds.aws_stand_in import NOW, forget_credentials, image_xml, images, policy, scripted_ec2, soon
from tests.clouds.ec2_exchange import KeptClients
from tests.clouds.surveying import Waits, names, surveyed

from packer_publisher.clouds.aws import AWS
from packer_publisher.clouds.aws_survey import SURVEY_PAGE
from packer_publisher.errors import CloudTrouble, CredentialsTrouble, Forbidden
from packer_publisher.image import Image, Platform, Scope, Unread
from packer_publisher.local.ec2 import ACCOUNT, EC2
from packer_publisher.local.ec2_fleet import Fleet

__all__ = ["address", "aws", "ec2", "exchange", "waits"]

PERMISSIONS = "allow ec2:DescribeImages and ec2:DescribeRegions in the function's role"
MEND = "renew the AWS credentials of this function or command, and check the clock"


def test_throttling_is_waited_out(ec2: EC2, aws: AWS, waits: Waits) -> None:
    """In the middle of a list, with pauses that grow; what EC2 asks for is kept. Nothing is lost or told twice."""
    ec2.fleet = Fleet(ACCOUNT, ["eu-west-1", "us-east-1"], SURVEY_PAGE + 10)
    ec2.throttle(times=4, after=1)
    ec2.throttle(times=1, retry_after=20, after=1)

    found = names(aws, IRELAND, tagged=False)

    assert [ec2.fleet.image("eu-west-1", n).name for n in range(SURVEY_PAGE + 10)] == sorted(
        found, key=lambda name: name.rsplit("-", 1)[1]
    )
    assert [0.5, 1.0, 2.0, 4.0, 28.0] == waits.seconds
    assert 2 + 5 == lists(ec2)


def test_throttling_without_end_is_given_up(ec2: EC2, aws: AWS, waits: Waits) -> None:
    """After ten tries the region is in trouble, and that is no matter of credentials."""
    ec2.throttle("eu-west-1", times=10)

    with pytest.raises(CloudTrouble) as caught:
        surveyed(aws, IRELAND)

    assert "AWS region eu-west-1 throttles (RequestLimitExceeded), 10 tries" == str(caught.value)
    assert (10, 9) == (lists(ec2), len(waits.seconds))


def test_a_failing_region_is_asked_again_and_then_trouble(ec2: EC2, aws: AWS, waits: Waits) -> None:
    """An error of AWS's own may pass."""
    ec2.put("eu-west-1", ami("tagged"))
    ec2.fail(500, "InternalError", times=2)
    assert ["tagged"] == names(aws, IRELAND)

    ec2.fail(503, "Unavailable", times=10)
    with pytest.raises(CloudTrouble) as caught:
        surveyed(aws, IRELAND)

    assert "AWS region eu-west-1 answered Unavailable, 10 tries" == str(caught.value)


def test_a_refusal_is_not_asked_again(ec2: EC2, aws: AWS, waits: Waits) -> None:
    """A token of a page that EC2 has forgotten will not come back."""
    ec2.fail(400, "InvalidNextToken")

    with pytest.raises(CloudTrouble) as caught:
        surveyed(aws, IRELAND)

    assert ("AWS region eu-west-1 answered InvalidNextToken", []) == (str(caught.value), waits.seconds)


def test_a_region_that_does_not_exist_is_trouble_soon(
    ec2: EC2, aws: AWS, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be reached at all is asked twice more, not for minutes."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    aws = AWS(policy(), session_factory=KeptClients, patience=waits.patience())

    with pytest.raises(CloudTrouble) as caught:
        surveyed(aws, Scope(Platform.AWS, ACCOUNT, "eu-west-9"))

    assert "AWS region eu-west-9 could not be reached, 3 tries" == str(caught.value)


def test_credentials_that_expire_in_the_middle_end_it(ec2: EC2, aws: AWS, waits: Waits) -> None:
    """What was found until then was found; no other region would fare better, so it is no denied one."""
    ec2.fleet = Fleet(ACCOUNT, ["eu-west-1", "us-east-1"], 2 * SURVEY_PAGE)
    ec2.expire(after=1)

    found = aws.survey(IRELAND, None, None, tagged=False)
    taken = [next(found) for _ in range(SURVEY_PAGE)]
    with pytest.raises(CredentialsTrouble) as caught:
        next(found)

    assert SURVEY_PAGE == len(taken)
    assert (CredentialsTrouble, "AWS region eu-west-1 refused the credentials (RequestExpired)", MEND) == (
        type(caught.value),
        str(caught.value),
        caught.value.remedy,
    )
    assert [] == waits.seconds


def test_expired_credentials_are_told_before_anything_is_listed(ec2: EC2, aws: AWS) -> None:
    """STS has another word for it."""
    ec2.expire(after=0)

    with pytest.raises(CredentialsTrouble) as caught:
        aws.scopes(soon())

    assert (CredentialsTrouble, "AWS region us-east-1 refused the credentials (ExpiredToken)") == (
        type(caught.value),
        str(caught.value),
    )


def test_a_region_that_denies_access_is_told_from_credentials_that_are_no_good(ec2: EC2, aws: AWS) -> None:
    """The others go on."""
    ec2.put("us-east-1", ami("tagged"))
    ec2.deny("eu-west-1")

    with pytest.raises(Forbidden) as caught:
        surveyed(aws, IRELAND)

    assert ("AWS region eu-west-1 denied access (UnauthorizedOperation)", PERMISSIONS) == (
        str(caught.value),
        caught.value.remedy,
    )
    assert ["tagged"] == names(aws, VIRGINIA)


def test_a_region_that_is_not_enabled_denies_access(ec2: EC2, aws: AWS) -> None:
    """It knows no credentials at all, and says so."""
    with pytest.raises(Forbidden) as caught:
        surveyed(aws, Scope(Platform.AWS, ACCOUNT, "me-south-1"))

    assert "AWS region me-south-1 denied access (AuthFailure)" == str(caught.value)


def test_a_home_region_that_is_not_enabled_denies_access(aws: AWS, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody there can tell whose credentials these are."""
    monkeypatch.setenv("AWS_REGION", "me-south-1")

    with pytest.raises(Forbidden) as caught:
        aws.scopes(soon())

    assert "AWS region me-south-1 denied access (AuthFailure)" == str(caught.value)


def test_a_home_region_that_is_closed_leaves_the_others_open(ec2: EC2, aws: AWS) -> None:
    """Another region tells which there are; the closed one is among them, and denies its own list alone."""
    ec2.deny("us-east-1")

    assert (IRELAND, VIRGINIA) == aws.scopes(soon())
    assert (IRELAND,) == aws.scopes(soon(), ["eu-west-1"])
    with pytest.raises(Forbidden, match="AWS region us-east-1 denied access"):
        surveyed(aws, VIRGINIA)


def test_a_list_of_regions_that_is_denied_everywhere_names_the_way_out(ec2: EC2, aws: AWS) -> None:
    """Whoever may not list regions names them; each region was asked once."""
    ec2.deny("")

    with pytest.raises(Forbidden) as caught:
        aws.scopes(soon())

    asked = [request.region for request in ec2.requests if request.action == "DescribeRegions"]
    assert ("us-east-1", len(set(asked))) == (asked[0], len(asked))
    assert "AWS region us-east-1 denied access to the list of regions (UnauthorizedOperation)" == str(caught.value)
    assert "allow ec2:DescribeRegions, or name the regions in PUBLISHER_REGIONS" == caught.value.remedy


def test_an_image_that_vanishes_meanwhile_is_not_there(ec2: EC2, aws: AWS) -> None:
    """It is deregistered while the list is read; those around it are found."""
    ec2.put("eu-west-1", *(ami(f"web-{n:04}") for n in range(SURVEY_PAGE + 3)))

    found = aws.survey(IRELAND, None, None, tagged=True)
    first = next(found)
    ec2.deregister("eu-west-1", ami(f"web-{SURVEY_PAGE + 1:04}").image_id)
    rest = [entry.name for entry in found if isinstance(entry, Image)]

    assert isinstance(first, Image)
    assert [f"web-{n:04}" for n in range(SURVEY_PAGE + 3) if n != SURVEY_PAGE + 1] == [first.name, *rest]


def test_an_image_that_cannot_be_read_is_told_and_stops_no_other(waits: Waits, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there, so it is never passed over in silence."""
    forget_credentials(monkeypatch)
    broken = image_xml("ami-0bbbbbbbbbbbbbbbb", "broken", NOW).replace("-11-20T", "-99-20T")
    page = images(broken, image_xml("ami-0aaaaaaaaaaaaaaaa", "web-1", NOW))
    with scripted_ec2(lambda _: page) as script:
        monkeypatch.setenv("AWS_ENDPOINT_URL", script.url)
        aws = AWS(policy(), session_factory=KeptClients, patience=waits.patience())

        unread, image = surveyed(aws, IRELAND)

    problem = "ami-0bbbbbbbbbbbbbbbb has the creation date 2026-99-20T12:00:00.000Z, which is none"
    assert Unread(IRELAND, "ami-0bbbbbbbbbbbbbbbb", problem) == unread
    assert isinstance(image, Image)
    assert ({}, {}) == (aws.broken, aws.denied)
