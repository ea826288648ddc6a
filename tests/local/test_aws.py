"""The local AWS: images as Packer makes them, in accounts that do not see each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from packer_publisher.local.aws import LocalAWS
from tests.clouds.aws_stand_in import TAGS, fresh_account_id, minutes


@pytest.fixture(scope="module")
def local() -> Iterator[LocalAWS]:
    with LocalAWS() as running:
        yield running


def test_a_build_sends_its_events_in_packers_order(local: LocalAWS) -> None:
    """Every image becomes available first; the tags come last, region by region."""
    account = local.account(fresh_account_id())

    build = account.build(
        "base-1", TAGS, copies=["eu-west-1"], run_tags={"team": "x"}, tag_order=["eu-west-1", "us-east-1"]
    )

    assert [
        ("EC2 AMI State Change", "us-east-1"),
        ("EC2 AMI State Change", "eu-west-1"),
        ("Tag Change on Resource", "eu-west-1"),
        ("Tag Change on Resource", "us-east-1"),
    ] == [(event["detail-type"], event["region"]) for event in build.events]
    assert {"team": "x", **TAGS} == build.events[-1]["detail"]["tags"]
    assert list(TAGS) == build.events[-1]["detail"]["changed-tag-keys"]
    assert f"arn:aws:ec2:us-east-1::image/{build.images['us-east-1']}" == build.events[0]["resources"][0]


def test_what_moto_leaves_out_is_there(local: LocalAWS) -> None:
    """Copies name what they copy and have no source instance; architecture and age are as asked."""
    account = local.account(fresh_account_id())
    build = account.build("base-1", TAGS, copies=["eu-west-1"], architecture="arm64", created=minutes(9))

    (first,) = account.ec2("us-east-1").describe_images(ImageIds=[build.images["us-east-1"]])["Images"]
    (copied,) = account.ec2("eu-west-1").describe_images(ImageIds=[build.images["eu-west-1"]])["Images"]

    assert "SourceInstanceId" in first
    assert "SourceInstanceId" not in copied
    assert (first["ImageId"], "us-east-1") == (copied["SourceImageId"], copied["SourceImageRegion"])
    assert "arm64" == first["Architecture"] == copied["Architecture"]
    assert f"{minutes(9):%Y-%m-%dT%H:%M:%S.000Z}" == first["CreationDate"] == copied["CreationDate"]


def test_accounts_do_not_see_each_other(local: LocalAWS) -> None:
    """Each has its own credentials, and Owners=self means itself."""
    ours, theirs = local.account(fresh_account_id()), local.account(fresh_account_id())
    image = ours.create("base-1", TAGS)

    own = ours.ec2("us-east-1").describe_images(Owners=["self"])["Images"]
    assert [image] == [found["ImageId"] for found in own if found["Name"] == "base-1"]
    assert [] == theirs.ec2("us-east-1").describe_images(Owners=["self"])["Images"]


def test_only_one_local_aws_runs_at_a_time(local: LocalAWS) -> None:
    """moto keeps its accounts in the process: a second one would share them unnoticed."""
    with pytest.raises(RuntimeError) as caught, LocalAWS():
        pass

    assert "only one local AWS can run in a process: moto keeps its accounts there" == str(caught.value)
