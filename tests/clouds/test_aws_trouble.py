"""What EC2 can answer that moto never does, over HTTP through the real boto3: pages, throttles, refusals, silence."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.clouds.aws_scripts import OTHER, OWN, REF, REGIONS, cloud, everywhere, gathered, no_credentials, own_image
from tests.clouds.aws_stand_in import (
    NOW,
    TAGS,
    Answer,
    Request,
    error,
    image_xml,
    images,
    minutes,
    policy,
    regions,
    scripted_ec2,
    soon,
)

from packer_publisher.clouds.aws import AWS
from packer_publisher.clouds.aws_calls import ATTEMPTS
from packer_publisher.errors import CloudTrouble, ConfigurationError, CredentialsTrouble, Trouble
from packer_publisher.image import Artifact
from packer_publisher.placement import place

__all__ = ["no_credentials"]


def test_a_list_in_pages_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page may be empty and still have a successor; the token goes back as it came."""
    pages = {
        "": images(own_image(), next_token="one"),
        "one": images(next_token="two"),
        "two": images(image_xml(OTHER, "base-1", minutes(5))),
    }
    with scripted_ec2(lambda request: pages[request.parameters.get("NextToken", "")]) as ec2:
        monkeypatch.setenv("AWS_ENDPOINT_URL", ec2.url)

        found = [image.ref.identifier for image in cloud("us-east-1").scan(None, NOW, soon())]

    assert [OWN, OTHER] == found
    assert [None, "one", "two"] == [request.parameters.get("NextToken") for request in ec2.requests]
    assert {"200"} == {request.parameters["MaxResults"] for request in ec2.requests}
    assert {"self"} == {request.parameters["Owner.1"] for request in ec2.requests}


def test_siblings_on_a_second_page_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gathering reads all pages, too."""

    def answer(request: Request) -> Answer:
        if request.region == "us-east-1":
            return images(own_image())
        if "NextToken" in request.parameters:
            return images(image_xml(OTHER, "base-1", minutes(5)))
        return images(next_token="more")

    image = gathered(answer, monkeypatch, cloud("eu-west-1"))

    assert (Artifact("eu-west-1", OTHER), Artifact("us-east-1", OWN)) == image.artifacts


def test_throttling_is_tried_again_and_then_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore tries three times; after that the event rests in the queue."""
    with scripted_ec2(lambda _: error("RequestLimitExceeded", 503)) as ec2:
        monkeypatch.setenv("AWS_ENDPOINT_URL", ec2.url)
        with pytest.raises(CloudTrouble) as caught:
            cloud().describe(REF, soon())

    assert "AWS region us-east-1 throttles (RequestLimitExceeded), 3 tries" == str(caught.value)
    assert ATTEMPTS == len(ec2.requests)


def test_one_throttled_call_is_not_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next try succeeds."""
    answers = [error("RequestLimitExceeded", 503), images(own_image())]
    with scripted_ec2(lambda _: answers.pop(0)) as ec2:
        monkeypatch.setenv("AWS_ENDPOINT_URL", ec2.url)

        image = cloud().describe(REF, soon())

    assert image is not None
    assert REF == image.ref


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "AuthFailure", "OptInRequired"])
def test_a_region_that_denies_access_is_not_ours(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service control policy may close regions: the build is whole without them, and the denial is told."""
    aws = cloud()

    image = gathered(everywhere(eu_west_1=error(code, 403)), monkeypatch, aws)

    assert (True, "", (Artifact("us-east-1", OWN),)) == (image.whole, image.lacks, image.artifacts)
    assert {"eu-west-1": code} == aws.denied


def test_a_named_region_that_denies_access_is_lacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tag says that there is an image, and nobody can see it."""
    tags = {**TAGS, "hcp-packer-regions": "us-east-1 eu-west-1"}
    script = everywhere(eu_west_1=error("UnauthorizedOperation", 403))

    image = gathered(script, monkeypatch, cloud(), tags)

    assert (False, "eu-west-1 denies access (UnauthorizedOperation)") == (image.whole, image.lacks)


def test_any_other_failure_of_a_region_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be looked at may hold a sibling."""
    with pytest.raises(CloudTrouble) as caught:
        gathered(everywhere(eu_west_1=error("InternalError", 500)), monkeypatch, cloud())

    assert "AWS region eu-west-1 answered InternalError" == str(caught.value)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((502, "<html><p>Bad gateway"), "AWS region eu-west-1 answered 502"),
        ((200, "<html><p>Sign in"), "AWS region eu-west-1 did not answer usefully (ResponseParserError)"),
    ],
)
def test_a_page_that_is_no_xml_is_trouble(answer: Answer, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a proxy says in place of EC2 says nothing about images."""
    with pytest.raises(CloudTrouble) as caught:
        gathered(everywhere(eu_west_1=answer), monkeypatch, cloud())

    assert text == str(caught.value)


CREDENTIALS = [
    ("RequestExpired", "AWS region us-east-1 refused the credentials (RequestExpired)"),
    ("ExpiredToken", "AWS region us-east-1 refused the credentials (ExpiredToken)"),
    ("InvalidClientTokenId", "AWS region us-east-1 refused the credentials (InvalidClientTokenId)"),
    ("AuthFailure", "AWS region us-east-1 denied access (AuthFailure)"),
    ("UnauthorizedOperation", "AWS region us-east-1 denied access (UnauthorizedOperation)"),
]


@pytest.mark.parametrize(("code", "text"), CREDENTIALS)
def test_refused_credentials_are_told_from_other_trouble(code: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the image itself lives, a refusal is about the credentials or the permission."""
    with scripted_ec2(lambda _: error(code, 403)) as ec2:
        monkeypatch.setenv("AWS_ENDPOINT_URL", ec2.url)
        with pytest.raises(CredentialsTrouble) as caught:
            cloud().describe(REF, soon())

    assert text == str(caught.value)
    assert 1 == len(ec2.requests)


def test_credentials_that_expire_while_gathering_are_no_denied_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the build would count as whole without the regions that were asked too late."""
    with pytest.raises(CredentialsTrouble) as caught:
        gathered(everywhere(eu_west_1=error("RequestExpired")), monkeypatch, cloud())

    assert "AWS region eu-west-1 refused the credentials (RequestExpired)" == str(caught.value)


def test_a_denial_in_the_images_own_region_is_the_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could be described a moment ago, so it is ours."""
    answers = iter([images(own_image()), error("UnauthorizedOperation", 403)])

    with pytest.raises(CredentialsTrouble) as caught:
        gathered(lambda _: next(answers), monkeypatch, cloud("us-east-1"))

    assert "AWS region us-east-1 denied access (UnauthorizedOperation)" == str(caught.value)
    assert "allow ec2:DescribeImages and ec2:DescribeRegions in the function's role" == caught.value.remedy


def test_without_any_credentials_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names no key and no place."""
    with scripted_ec2(lambda _: images()) as ec2:
        monkeypatch.setenv("AWS_ENDPOINT_URL", ec2.url)
        with pytest.raises(CredentialsTrouble) as caught:
            AWS(policy()).describe(REF, soon())

    assert "AWS credentials were not found or not usable (NoCredentialsError)" == str(caught.value)
    assert [] == ec2.requests


def test_a_list_of_regions_that_is_denied_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the list nobody knows where to look; configured regions need none."""

    def answer(request: Request) -> Answer:
        if request.action == "DescribeRegions":
            return error("UnauthorizedOperation", 403)
        return images(own_image()) if request.region == "us-east-1" else images()

    with pytest.raises(CredentialsTrouble) as caught:
        gathered(answer, monkeypatch, cloud())

    assert "AWS region us-east-1 denied access to the list of regions (UnauthorizedOperation)" == str(caught.value)
    assert "allow ec2:DescribeRegions, or name the regions in PUBLISHER_REGIONS" == caught.value.remedy
    image = gathered(answer, monkeypatch, cloud("us-east-1", "eu-west-1"))
    assert ("", True, ["us-east-1"]) == (image.lacks, image.whole, [artifact.region for artifact in image.artifacts])


def test_the_list_of_regions_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It hardly ever changes, and every image would ask for it."""
    aws = cloud()
    with scripted_ec2(everywhere()) as ec2:
        monkeypatch.setenv("AWS_ENDPOINT_URL", ec2.url)
        for _ in range(2):
            image = aws.describe(REF, soon())
            assert image is not None
            placement = place(image, aws.policy)
            assert placement is not None
            aws.gather(image, placement, soon())

    assert 1 == [request.action for request in ec2.requests].count("DescribeRegions")
    asked = {request.region for request in ec2.requests}
    assert {"us-east-1", "eu-west-1"} == asked


def test_a_region_enabled_meanwhile_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a named region counts as closed the list is read again."""
    tags = {**TAGS, "hcp-packer-regions": "us-east-1 me-south-1"}
    lists = [REGIONS, regions(us_east_1="opt-in-not-required", me_south_1="opted-in")]

    def answer(request: Request) -> Answer:
        if request.action == "DescribeRegions":
            return lists.pop(0)
        if request.region == "me-south-1":
            return images(image_xml(OTHER, "base-1", minutes(5), tags))
        return images(own_image(tags=tags))

    image = gathered(answer, monkeypatch, cloud(), tags)

    assert (True, ["me-south-1", "us-east-1"]) == (image.whole, [artifact.region for artifact in image.artifacts])


def test_one_query_per_region_is_enough_where_the_tag_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of the same name are only looked for where nothing says how many there are."""
    tags = {**TAGS, "hcp-packer-regions": "us-east-1"}
    with scripted_ec2(everywhere()) as ec2:
        monkeypatch.setenv("AWS_ENDPOINT_URL", ec2.url)
        aws = cloud()
        image = aws.describe(REF, soon())
        assert image is not None
        for wanted in (tags, TAGS):
            placement = place(replace(image, tags=wanted), aws.policy)
            assert placement is not None
            ec2.requests.clear()
            aws.gather(image, placement, soon())
            lists = [r for r in ec2.requests if r.action == "DescribeImages"]
            expected = 1 if wanted is tags else 4
            assert expected == len(lists)


def test_a_scan_passes_over_denied_regions_and_tells_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed region is not ours; that all are closed is the credentials."""
    aws = cloud("eu-west-1", "us-east-1")
    with scripted_ec2(everywhere(eu_west_1=error("UnauthorizedOperation", 403))) as ec2:
        monkeypatch.setenv("AWS_ENDPOINT_URL", ec2.url)
        assert [OWN] == [image.ref.identifier for image in aws.scan(None, NOW, soon())]
        assert {"eu-west-1": "UnauthorizedOperation"} == aws.denied

        with pytest.raises(CredentialsTrouble) as caught:
            list(cloud("eu-west-1").scan(None, NOW, soon()))

    assert "AWS region eu-west-1 denied access (UnauthorizedOperation)" == str(caught.value)


def test_a_scan_of_enabled_regions_begins_in_the_home_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without configured regions the list of regions is asked where the function lives; without that, nowhere."""
    with scripted_ec2(everywhere()) as ec2:
        monkeypatch.setenv("AWS_ENDPOINT_URL", ec2.url)
        assert [OWN] == [image.ref.identifier for image in cloud().scan(None, NOW, soon())]
        assert ("DescribeRegions", "us-east-1") == (ec2.requests[0].action, ec2.requests[0].region)

        monkeypatch.delenv("AWS_REGION")
        monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
        with pytest.raises(ConfigurationError) as caught:
            list(cloud().scan(None, NOW, soon()))

    assert "no AWS region is set" == str(caught.value)


@pytest.mark.parametrize("date", ["", "yesterday"])
def test_an_image_without_a_creation_date_is_trouble(date: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every AMI has one, and the older one wins: it is not made up."""
    broken = own_image().replace(f"{minutes(10):%Y-%m-%dT%H:%M:%S.000Z}", date)
    with scripted_ec2(lambda _: images(broken)) as ec2:
        monkeypatch.setenv("AWS_ENDPOINT_URL", ec2.url)
        with pytest.raises(Trouble) as caught:
            cloud().describe(REF, soon())

    assert f"{OWN} has the creation date {date}, which is none" == str(caught.value)


def test_a_scan_passes_over_an_image_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """One image without a creation date stops neither the others nor the next scan."""
    pages = iter([images(image_xml(OTHER, "base-2", minutes(5)).replace("-11-20T", "-99-20T"), own_image()), images()])
    aws = cloud("us-east-1")
    with scripted_ec2(lambda _: next(pages)) as ec2:
        monkeypatch.setenv("AWS_ENDPOINT_URL", ec2.url)

        assert [OWN] == [image.ref.identifier for image in aws.scan(None, NOW, soon())]
        ((identifier, problem),) = aws.broken.items()
        assert [] == list(aws.scan(None, NOW, soon()))

    assert OTHER == identifier
    assert f"{OTHER} has the creation date 2026-99-20T11:55:00.000Z, which is none" == str(problem)
    assert {} == aws.broken
