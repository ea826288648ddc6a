"""What a survey of an AWS account finds, and what it asks for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import boto3
import pytest
from tests.clouds.aws_account import IRELAND, VIRGINIA, address, ami, aws, ec2, exchange, lists, session, waits
from tests.clouds.aws_stand_in import NOW, policy, soon
from tests.clouds.ec2_exchange import aws_on
from tests.clouds.permissions import aws_actions
from tests.clouds.surveying import Waits, at_the_same_time, names, surveyed

from packer_publisher.clouds.aws import AWS
from packer_publisher.clouds.aws_survey import SURVEY_PAGE, creation_filter
from packer_publisher.errors import ConfigurationError, CredentialsTrouble
from packer_publisher.image import Image, ImageState
from packer_publisher.local.ec2 import ACCOUNT, EC2
from packer_publisher.local.ec2_fleet import Fleet

__all__ = ["address", "aws", "ec2", "exchange", "waits"]


def test_the_scopes_are_the_enabled_regions_of_the_own_account(ec2: EC2, aws: AWS) -> None:
    """STS tells whose account it is, EC2 where it is."""
    assert (IRELAND, VIRGINIA) == aws.scopes(soon())
    assert ["GetCallerIdentity", "DescribeRegions"] == [request.action for request in ec2.requests]


def test_configured_regions_are_believed(ec2: EC2, waits: Waits) -> None:
    """Whoever may not list regions names them, each once at most; a closed one tells by itself."""
    aws = aws_on(session(), waits, "us-east-1", "eu-north-1", "us-east-1")

    assert ("eu-north-1", "us-east-1") == tuple(scope.region for scope in aws.scopes(soon()))
    assert ["GetCallerIdentity"] == [request.action for request in ec2.requests]


def test_a_person_names_regions(ec2: EC2, waits: Waits) -> None:
    """Those that are enabled, configured or not, each once."""
    assert (IRELAND,) == aws_on(session(), waits).scopes(soon(), ["eu-west-1", "eu-west-1"])
    assert (IRELAND,) == aws_on(session(), waits, "us-east-1").scopes(soon(), ["eu-west-1"])
    assert (VIRGINIA,) == aws_on(session(), waits, "us-east-1").scopes(soon(), ["us-east-1"])


@pytest.mark.parametrize(
    ("named", "text"),
    [
        (["eu-west-1", "eu-west-9", "mars-1"], "AWS has no region eu-west-9 and mars-1."),
        (["me-south-1"], f"AWS account {ACCOUNT} has not enabled me-south-1."),
    ],
)
def test_a_region_that_is_not_there_is_not_passed_over(named: list[str], text: str, aws: AWS) -> None:
    """A slip of the pen must not look like an empty region."""
    with pytest.raises(ConfigurationError) as caught:
        aws.scopes(soon(), named)

    assert (text, "`aws ec2 describe-regions` lists those that are enabled") == (
        str(caught.value),
        caught.value.remedy,
    )


def test_without_a_home_region_a_named_one_is_asked(ec2: EC2, waits: Waits, monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop may have none; where nothing is named either, there is nobody to ask."""
    monkeypatch.delenv("AWS_REGION")

    assert (IRELAND,) == aws_on(session(), waits).scopes(soon(), ["eu-west-1"])
    assert (IRELAND,) == aws_on(session(), waits, "eu-west-1").scopes(soon())
    with pytest.raises(ConfigurationError) as caught:
        aws_on(session(), waits).scopes(soon())

    assert ("no AWS region is set", "set AWS_REGION, or name the regions") == (str(caught.value), caught.value.remedy)
    assert {"eu-west-1"} == {request.region for request in ec2.requests}


def test_a_profile_that_is_not_there_is_a_matter_of_credentials(ec2: EC2, monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 looks for it when it looks for the region."""
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.setenv("AWS_PROFILE", "of-a-colleague")

    with pytest.raises(CredentialsTrouble) as caught:
        AWS(policy(), session_factory=boto3.Session).scopes(soon())

    assert "AWS credentials were not found or not usable (ProfileNotFound)" == str(caught.value)
    assert [] == ec2.requests


def test_a_survey_finds_the_own_images_in_every_state(ec2: EC2, aws: AWS) -> None:
    """Tagged and half-tagged ones, deprecated ones as available, disabled ones too; what others share never."""
    ec2.put(
        "eu-west-1",
        ami("tagged"),
        ami("half", tags={"hcp-packer-bucket": "base"}),
        ami("expecting", tags={"hcp-packer-expects": "aws"}),
        ami("deprecated", deprecated=NOW - timedelta(days=1)),
        ami("disabled", state="disabled"),
        ami("pending", state="pending"),
        ami("failed", state="failed"),
        ami("deregistered", state="deregistered"),
        ami("untagged", tags={"Name": "web"}),
        ami("labelled", tags={"hcp-packer-label-team": "web"}),
        ami("shared", owner="210987654321"),
        ami("shared and untagged", owner="210987654321", tags={}),
    )
    states = dict.fromkeys(["tagged", "half", "expecting", "deprecated"], ImageState.AVAILABLE) | {
        "disabled": ImageState.DISABLED,
        "pending": ImageState.PENDING,
        "failed": ImageState.FAILED,
    }

    tagged = [entry for entry in surveyed(aws, IRELAND) if isinstance(entry, Image)]

    assert states == {image.name: image.state for image in tagged}
    assert {f"aws:{ACCOUNT}"} == {image.owner for image in tagged}
    assert sorted([*states, "labelled", "untagged"]) == names(aws, IRELAND, tagged=False)
    assert [] == names(aws, VIRGINIA, tagged=False)


def test_a_survey_leaves_all_to_gather_that_only_other_regions_tell(ec2: EC2, aws: AWS) -> None:
    """An image is what its own region says: ``whole`` is not decided."""
    ec2.put("eu-west-1", ami("tagged"))

    assert [(None, "eu-west-1")] == [
        (image.whole, image.ref.region) for image in surveyed(aws, IRELAND) if isinstance(image, Image)
    ]


def test_the_server_leaves_out_what_is_not_ours(ec2: EC2, aws: AWS) -> None:
    """Every key of the contract is asked for, and nothing where all images are."""
    ec2.put("eu-west-1", ami("tagged"))
    surveyed(aws, IRELAND)
    surveyed(aws, IRELAND, tagged=False)

    tagged, every = (request.parameters for request in ec2.requests)
    keys = sorted(value for name, value in tagged.items() if name.startswith("Filter.1.Value"))
    assert sorted(key for names in aws.policy.contract.keys.values() for key in names) == keys
    assert ("tag-key", None) == (tagged["Filter.1.Name"], every.get("Filter.1.Name"))
    assert {("self", "true", str(SURVEY_PAGE))} == {
        (asked["Owner.1"], asked["IncludeDisabled"], asked["MaxResults"]) for asked in (tagged, every)
    }


def test_a_survey_reads_every_page_of_every_region(ec2: EC2, aws: AWS) -> None:
    """Regions at the same time, each from its own thread; a page without any image of ours is not the end."""
    ec2.fleet = Fleet(ACCOUNT, ["eu-west-1", "us-east-1"], 2 * SURVEY_PAGE + 10)
    ec2.put("eu-west-1", *(ami(f"untagged {n}", tags={}) for n in range(SURVEY_PAGE)))

    found = at_the_same_time(aws, (IRELAND, VIRGINIA))

    for scope, pages in ((IRELAND, 4), (VIRGINIA, 3)):
        images = [ec2.fleet.image(scope.region, n) for n in range(ec2.fleet.releases)]
        assert sorted(image.name for image in images if "hcp-packer-bucket" in image.tags) == found[scope]
        assert pages == sum(request.region == scope.region for request in ec2.requests)


def test_a_survey_takes_one_page_at_a_time(ec2: EC2, aws: AWS) -> None:
    """The next one is asked for when the last image of this one was taken."""
    ec2.fleet = Fleet(ACCOUNT, ["eu-west-1", "us-east-1"], 3 * SURVEY_PAGE)

    found = aws.survey(IRELAND, None, None, tagged=False)

    assert 0 == lists(ec2)
    for number in range(2 * SURVEY_PAGE + 1):
        next(found)
        assert 1 + number // SURVEY_PAGE == lists(ec2)


def test_a_window_takes_in_its_first_moment_and_leaves_out_its_last(ec2: EC2, aws: AWS) -> None:
    """None leaves an end open."""
    since, until = NOW - timedelta(days=40), NOW - timedelta(days=1)
    second = timedelta(seconds=1)
    for name, created in {"before": since - second, "first": since, "last": until - second, "after": until}.items():
        ec2.put("eu-west-1", ami(name, created=created))

    assert ["first", "last"] == names(aws, IRELAND, since, until)
    assert ["after", "first", "last"] == names(aws, IRELAND, since, None)
    assert ["before", "first", "last"] == names(aws, IRELAND, None, until)
    assert [] == names(aws, IRELAND, until, since)


@pytest.mark.parametrize(
    ("since", "until", "values"),
    [
        ("2026-11-18T23:00", "2026-11-19T01:00", ["2026-11-18T*", "2026-11-19T*", "2026-11-20T*"]),
        ("2025-11-30", "2026-01-30", ["2025-11-*", "2025-12-*", "2026-01-*"]),
        ("2026-10-21", "", ["2026-10-*", "2026-11-*"]),
        (
            "2026-10-22",
            "",
            [f"2026-10-{day}T*" for day in range(22, 32)] + [f"2026-11-{day:02}T*" for day in range(1, 22)],
        ),
        ("2026-11-19", "", ["2026-11-19T*", "2026-11-20T*", "2026-11-21T*"]),
        ("2026-11-19", "2099-01-01", ["2026-11-19T*", "2026-11-20T*", "2026-11-21T*"]),
        ("", "2026-11-19", []),
        ("1990-01-01", "", []),
        ("2027-01-01", "", []),
    ],
)
def test_the_server_leaves_out_what_is_far_from_the_window(since: str, until: str, values: list[str]) -> None:
    """EC2 compares days and months as text; the last day has another after it, because clocks differ."""
    first, last = (datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None for text in (since, until))

    filters = creation_filter(first, last, NOW)

    assert [("creation-date", values)] * bool(values) == [(found["Name"], found["Values"]) for found in filters]


def test_a_window_is_asked_for_at_the_server(ec2: EC2, waits: Waits) -> None:
    """What is far from it never travels."""
    aws = AWS(policy(), session_factory=session, now=lambda: NOW, patience=waits.patience())
    ec2.put("eu-west-1", ami("old", created=NOW - timedelta(days=400)), ami("new", created=NOW))

    assert ["new"] == names(aws, IRELAND, NOW - timedelta(days=1))
    (asked,) = (request.parameters for request in ec2.requests)
    assert ("creation-date", "2026-11-19T*") == (asked["Filter.1.Name"], asked["Filter.1.Value.1"])
    assert "tag-key" == asked["Filter.2.Name"]


def test_the_documented_policy_is_enough(ec2: EC2, aws: AWS) -> None:
    """What the person who runs a backfill is told to allow is all that is asked for, and STS."""
    ec2.put("eu-west-1", ami("tagged"))
    for scope in aws.scopes(soon()):
        surveyed(aws, scope)

    asked = {request.action for request in ec2.requests} - {"GetCallerIdentity"}  # which needs no permission
    assert {"ec2:GetImageAncestry"} == aws_actions() - {f"ec2:{action}" for action in asked}  # that is for gather
    assert asked <= {action.removeprefix("ec2:") for action in aws_actions()}
