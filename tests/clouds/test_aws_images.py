"""Describing, gathering and listing AMIs, against moto through the real boto3."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.clouds.aws_stand_in import (
    NOW,
    TAGS,
    aws,
    describe,
    fresh_account_id,
    gather,
    minutes,
    policy,
    soon,
)

from packer_publisher.clouds.aws import AWS
from packer_publisher.errors import Rejected
from packer_publisher.image import Artifact, Image, ImageRef, ImageState, Platform
from packer_publisher.local.aws import LocalAccount, LocalAWS


def test_an_image_is_described_with_all_that_the_flow_needs(account: LocalAccount) -> None:
    """Owner, region, name, state, time, tags, architecture, description, and the AMI that it was launched from."""
    identifier = account.create("base-1", TAGS, architecture="arm64", created=minutes(30))
    account.record("us-east-1", identifier).description = "Golden, 24.04"

    image = describe(aws(account), account, "us-east-1", identifier)

    assert ImageRef(Platform.AWS, account.account_id, "us-east-1", identifier) == image.ref
    assert ("base-1", ImageState.AVAILABLE, minutes(30)) == (image.name, image.state, image.created_at)
    assert (TAGS, "arm64", "Golden, 24.04") == (image.tags, image.architecture, image.description)
    assert account.record("us-east-1", identifier).source_image_id == image.source
    assert (Artifact("us-east-1", identifier),) == image.artifacts
    assert image.whole is None


def test_an_image_that_does_not_exist_is_none(account: LocalAccount) -> None:
    """EC2 says NotFound for an id it never saw, and gives an empty list for one that is deregistered."""
    cloud = aws(account)
    identifier = account.create("base-1", TAGS)
    account.deregister("us-east-1", identifier)

    for gone in (identifier, "ami-0123456789abcdef0"):
        assert None is cloud.describe(ImageRef(Platform.AWS, account.account_id, "us-east-1", gone), soon())


def test_a_shared_image_keeps_its_real_owner(local: LocalAWS, account: LocalAccount) -> None:
    """Whoever compares the event's account with the image's owner sees that it is a stranger's."""
    identifier = account.create("base-1", {})
    account.record("us-east-1", identifier).owner_id = "210987654321"

    image = describe(aws(account), account, "us-east-1", identifier)

    assert "aws:210987654321" == image.owner


def test_an_identifier_that_is_no_ami_is_rejected(account: LocalAccount) -> None:
    """A person's typing error is said before AWS is asked."""
    with pytest.raises(Rejected) as caught:
        aws(account).describe(ImageRef(Platform.AWS, account.account_id, "us-east-1", "ami-me"), soon())

    assert "ami-me is no AMI id" == str(caught.value)
    assert "write it as in ami-0123456789abcdef0" == caught.value.remedy


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("pending", ImageState.PENDING),
        ("transient", ImageState.PENDING),
        ("new-in-2030", ImageState.PENDING),
        ("failed", ImageState.FAILED),
        ("error", ImageState.FAILED),
        ("invalid", ImageState.FAILED),
        ("disabled", ImageState.DISABLED),
        ("deregistered", ImageState.GONE),
    ],
)
def test_a_state_other_than_available_is_never_whole(account: LocalAccount, state: str, expected: ImageState) -> None:
    """Each of EC2's states has one of ours; one that is not known yet is asked again."""
    identifier = account.create("base-1", TAGS)
    account.set_state("us-east-1", identifier, state)

    image = describe(aws(account), account, "us-east-1", identifier)

    assert (expected, False, f"the image is {expected}") == (image.state, image.whole, image.lacks)


def test_all_regions_of_a_build_are_gathered_from_any_of_them(account: LocalAccount) -> None:
    """Whichever image's event comes first, the build has one artifact per region and the parent of the original."""
    build = account.build("base-1", TAGS, copies=["eu-west-1", "us-west-2"], created=minutes(40))
    parent = account.record("us-east-1", build.images["us-east-1"]).source_image_id

    for region, identifier in build.images.items():
        image = gather(aws(account), account, region, identifier)

        assert tuple(Artifact(where, build.images[where]) for where in sorted(build.images)) == image.artifacts
        assert (True, "", "") == (image.whole, image.lacks, image.rival)
        assert (parent, minutes(40)) == (image.source, image.created_at)


def test_the_oldest_sibling_tells_when_the_build_was_made(account: LocalAccount) -> None:
    """Copies are younger than what they copy; the build's age must not depend on whose event comes first."""
    first = account.create("base-1", TAGS, created=minutes(50))
    copied = account.copy(first, "us-east-1", "eu-west-1", "base-1", TAGS, created=minutes(30))

    assert minutes(50) == gather(aws(account), account, "eu-west-1", copied).created_at


def test_only_configured_regions_and_the_own_one_are_asked(account: LocalAccount) -> None:
    """PUBLISHER_REGIONS narrows what is looked at; the image's own region always counts."""
    build = account.build("base-1", TAGS, copies=["eu-west-1", "us-west-2"], created=minutes(40))

    image = gather(aws(account, "eu-west-1"), account, "us-east-1", build.images["us-east-1"])

    assert ["eu-west-1", "us-east-1"] == [artifact.region for artifact in image.artifacts]


@pytest.mark.parametrize(
    "other",
    [
        {"hcp-packer-bucket": "web"},
        {"hcp-packer-fingerprint": "other-1"},
        {"hcp-packer-component-type": "amazon-ebs.ubuntu"},
    ],
)
def test_an_image_of_another_build_is_no_sibling(account: LocalAccount, other: dict[str, str]) -> None:
    """The same name is not enough: bucket, fingerprint and component type must agree."""
    own = account.create("base-1", TAGS, created=minutes(40))
    account.create("base-1", {**TAGS, **other}, region="eu-west-1", created=minutes(40))

    image = gather(aws(account), account, "us-east-1", own)

    assert (Artifact("us-east-1", own),) == image.artifacts
    assert (True, "") == (image.whole, image.rival)


def test_an_arm64_image_is_another_component_type(account: LocalAccount) -> None:
    """The default component type of arm64 ends in .arm64, so it is a build of its own."""
    own = account.create("base-1", TAGS, created=minutes(40))
    account.create("base-1", TAGS, region="eu-west-1", architecture="arm64", created=minutes(40))

    assert (Artifact("us-east-1", own),) == gather(aws(account), account, "us-east-1", own).artifacts


def test_a_copy_that_is_not_tagged_yet_holds_the_build(account: LocalAccount) -> None:
    """Packer tags region by region: a young image of the same name without tags is one it has not come to."""
    build = account.build("base-1", TAGS, copies=["eu-west-1"], tag_order=["us-east-1"], created=minutes(10))

    image = gather(aws(account), account, "us-east-1", build.images["us-east-1"])

    assert image.whole is False
    assert f"{build.images['eu-west-1']} in eu-west-1 has the same name and no readable tags yet" == image.lacks


def test_a_copy_that_is_pending_holds_the_build(account: LocalAccount) -> None:
    """With the keys in run_tags even a copy that is not finished carries them."""
    build = account.build("base-1", TAGS, copies=["eu-west-1"], created=minutes(10))
    account.set_state("eu-west-1", build.images["eu-west-1"], "pending")

    image = gather(aws(account), account, "us-east-1", build.images["us-east-1"])

    assert image.whole is False
    assert f"{build.images['eu-west-1']} in eu-west-1 has the same name and is pending" == image.lacks


@pytest.mark.parametrize(("age", "whole"), [(timedelta(minutes=119), False), (timedelta(hours=2), True)])
def test_an_untagged_copy_holds_for_two_hours(account: LocalAccount, age: timedelta, whole: bool) -> None:
    """After that it is what a failed run left behind."""
    build = account.build("base-1", TAGS, copies=["eu-west-1"], tag_order=["us-east-1"], created=NOW - age)

    assert whole is gather(aws(account), account, "us-east-1", build.images["us-east-1"]).whole


def test_a_failed_copy_holds_nothing(account: LocalAccount) -> None:
    """Packer's run ends with it, so nobody will tag it."""
    build = account.build("base-1", TAGS, copies=["eu-west-1"], tag_order=["us-east-1"], created=minutes(10))
    account.set_state("eu-west-1", build.images["eu-west-1"], "failed")

    assert gather(aws(account), account, "us-east-1", build.images["us-east-1"]).whole is True


def test_named_regions_are_the_truth(account: LocalAccount) -> None:
    """With hcp-packer-regions the build is whole when each has its image, whatever else has the same name."""
    tags = {**TAGS, "hcp-packer-regions": "us-east-1 eu-west-1"}
    build = account.build("base-1", tags, copies=["eu-west-1"], tag_order=["us-east-1"], created=minutes(10))
    account.copy(build.images["us-east-1"], "us-east-1", "us-west-2", "base-1", {}, created=minutes(5))
    own = build.images["us-east-1"]

    before = gather(aws(account), account, "us-east-1", own)
    account.tag("eu-west-1", build.images["eu-west-1"], tags)
    after = gather(aws(account), account, "us-east-1", own)

    assert (False, "eu-west-1 has no available image base-1 of this build") == (before.whole, before.lacks)
    assert (True, "") == (after.whole, after.lacks)
    assert ["eu-west-1", "us-east-1"] == [artifact.region for artifact in after.artifacts]


def test_a_named_region_that_aws_does_not_have_is_rejected(account: LocalAccount) -> None:
    """Nobody will ever build there: the tag is wrong."""
    own = account.create("base-1", {**TAGS, "hcp-packer-regions": "us-east-1,eu-west-9"})

    with pytest.raises(Rejected) as caught:
        gather(aws(account), account, "us-east-1", own)

    text = f"{own} (aws:{account.account_id}, us-east-1): hcp-packer-regions names eu-west-9, unknown to AWS"
    assert text == str(caught.value)
    assert "correct the tag on the images; `aws ec2 describe-regions --all-regions` lists the names" == (
        caught.value.remedy
    )


def test_a_named_region_that_is_not_enabled_is_lacked(account: LocalAccount) -> None:
    """A person can enable it, and then the image comes."""
    own = account.create("base-1", {**TAGS, "hcp-packer-regions": "us-east-1,me-south-1"})

    image = gather(aws(account), account, "us-east-1", own)

    assert (False, "me-south-1 is not enabled in this account") == (image.whole, image.lacks)


def test_an_image_outside_its_named_regions_is_rejected(account: LocalAccount) -> None:
    """Tag and place contradict each other: a copy made by hand, or Packer's intermediary that was left behind."""
    own = account.create("base-1", {**TAGS, "hcp-packer-regions": "eu-west-1"})

    with pytest.raises(Rejected) as caught:
        gather(aws(account), account, "us-east-1", own)

    assert f"{own} (aws:{account.account_id}, us-east-1) is in a region that its tag does not name: eu-west-1" == str(
        caught.value
    )
    assert "name us-east-1 in hcp-packer-regions, or leave the tag out" == caught.value.remedy


def test_of_two_images_for_one_build_the_older_one_wins(account: LocalAccount) -> None:
    """The younger one names the older one as its rival, wherever the two are."""
    older = account.create("base-1", TAGS, created=minutes(50))
    younger = account.create("base-2", TAGS, region="eu-west-1", created=minutes(40))
    cloud = aws(account)

    assert "" == gather(cloud, account, "us-east-1", older).rival
    assert f"{older} in us-east-1" == gather(cloud, account, "eu-west-1", younger).rival


def test_a_rival_is_as_old_as_the_oldest_image_of_its_build(account: LocalAccount) -> None:
    """A late copy of the older build does not make it the younger one."""
    older = account.build("base-1", TAGS, created=minutes(50)).images["us-east-1"]
    copied = account.copy(older, "us-east-1", "us-west-2", "base-1", TAGS, created=minutes(20))
    younger = account.create("base-2", TAGS, created=minutes(40))
    cloud = aws(account)

    assert "" == gather(cloud, account, "us-west-2", copied).rival
    assert f"{older} in us-east-1" == gather(cloud, account, "us-east-1", younger).rival


def test_a_name_of_seven_letters_and_digits_is_fine_on_its_own(account: LocalAccount) -> None:
    """People call images ubuntu1, too; beside another such name the older one wins as usual."""
    older = account.create("ubuntu1", TAGS, created=minutes(50))
    younger = account.create("ubuntu2", TAGS, created=minutes(40))
    cloud = aws(account)

    assert (True, "") == (
        (image := gather(cloud, account, "us-east-1", older)).whole,
        image.rival,
    )
    assert f"{older} in us-east-1" == gather(cloud, account, "us-east-1", younger).rival


def test_a_sibling_with_half_a_contract_holds_like_an_untagged_one(account: LocalAccount) -> None:
    """Its own event is rejected with the reason; the build waits two hours for somebody to mend it."""
    own = account.create("base-1", TAGS, created=minutes(10))
    half = account.create("base-1", {"hcp-packer-bucket": "base"}, region="eu-west-1", created=minutes(10))

    image = gather(aws(account), account, "us-east-1", own)

    assert f"{half} in eu-west-1 has the same name and no readable tags yet" == image.lacks


def test_fingerprints_are_compared_in_their_canonical_form(account: LocalAccount) -> None:
    """A ULID in lower case is the same version."""
    own = account.create("base-1", TAGS, created=minutes(10))
    lower = {**TAGS, "hcp-packer-fingerprint": TAGS["hcp-packer-fingerprint"].lower()}
    other = account.create("base-1", lower, region="eu-west-1", created=minutes(10))

    expected = (Artifact("eu-west-1", other), Artifact("us-east-1", own))
    assert expected == gather(aws(account), account, "us-east-1", own).artifacts


def test_an_image_made_from_snapshots_has_no_parent(account: LocalAccount) -> None:
    """RegisterImage knows no source image (chroot, instance, ebssurrogate), and nobody is asked for one."""
    own = account.register("base-1", created=minutes(10))
    account.tag("us-east-1", own, TAGS)

    image = gather(aws(account), account, "us-east-1", own)

    assert (True, None) == (image.whole, image.source)


def test_one_account_never_sees_the_images_of_another(local: LocalAWS, account: LocalAccount) -> None:
    """Two accounts with the same tags are two owners; their functions meet in the registry only."""
    other = local.account(fresh_account_id())
    own = account.create("base-1", TAGS, created=minutes(10))
    foreign = other.create("base-1", TAGS, region="eu-west-1", created=minutes(10))

    assert (Artifact("us-east-1", own),) == gather(aws(account), account, "us-east-1", own).artifacts
    assert (Artifact("eu-west-1", foreign),) == gather(aws(other), other, "eu-west-1", foreign).artifacts


def test_a_scan_lists_own_tagged_images_of_a_window(account: LocalAccount) -> None:
    """From the first moment until, but not with, the last; untagged images are none of ours."""
    old = account.create("base-1", TAGS, created=minutes(90))
    new = account.create(
        "base-2", {**TAGS, "hcp-packer-fingerprint": "other-1"}, region="eu-west-1", created=minutes(30)
    )
    account.create("base-3", {}, created=minutes(30))
    account.create("base-4", TAGS, created=minutes(10))
    cloud = aws(account)

    everything = {image.ref.identifier for image in cloud.scan(None, minutes(10), soon())}
    window = [image.ref.identifier for image in cloud.scan(minutes(60), minutes(10), soon())]

    assert {old, new} == everything
    assert [new] == window
    assert {} == cloud.denied


def test_a_survey_finds_what_a_scan_finds(account: LocalAccount) -> None:
    """Region by region, in the same window, with the account that STS tells."""
    account.create("base-1", TAGS, created=minutes(90 * 24 * 60))
    new = account.create("base-2", TAGS, region="eu-west-1", created=minutes(30))
    account.create("base-3", {}, created=minutes(30))
    cloud = aws(account)

    scopes = cloud.scopes(soon())
    found = {
        scope.region: [
            entry.ref.identifier
            for entry in cloud.survey(scope, minutes(60), NOW, tagged=True)
            if isinstance(entry, Image)
        ]
        for scope in scopes
    }

    assert {account.account_id} == {scope.owner_id for scope in scopes}
    assert {"eu-west-1": [new], "us-east-1": [], "us-west-2": []} == found
    assert [new] == [image.ref.identifier for image in cloud.scan(minutes(60), NOW, soon())]


def test_a_build_is_found_by_configured_keys(account: LocalAccount) -> None:
    """Where the configuration gives the contract other keys, siblings are looked for by those, too."""
    standard = policy()
    keys = {name: (*names, f"x-{name}") for name, names in standard.contract.keys.items()}
    cloud = AWS(
        replace(standard, contract=replace(standard.contract, keys=keys)),
        session_factory=account.session,
        now=lambda: NOW,
    )
    tags = {"x-bucket": "base", "x-fingerprint": "build-1"}
    own = account.create("base-1", tags, created=minutes(10))
    other = account.create("base-1", tags, region="eu-west-1", created=minutes(9))

    image = gather(cloud, account, "us-east-1", own)

    assert (Artifact("eu-west-1", other), Artifact("us-east-1", own)) == image.artifacts


def test_the_parent_of_copies_whose_original_is_gone_is_told_by_ancestry(account: LocalAccount) -> None:
    """With encrypt_boot the image of the build is a temporary one, deregistered when the copies are tagged."""
    doomed = account.create("aB3dE5g", {}, created=minutes(50))
    final = account.copy(doomed, "us-east-1", "us-east-1", "base-1", TAGS, created=minutes(40))
    abroad = account.copy(doomed, "us-east-1", "eu-west-1", "base-1", TAGS, created=minutes(40))
    parent = account.record("us-east-1", doomed).source_image_id
    account.deregister("us-east-1", doomed)
    cloud = aws(account)

    assert None is describe(cloud, account, "us-east-1", final).source
    for region, identifier in (("us-east-1", final), ("eu-west-1", abroad)):
        assert parent == gather(cloud, account, region, identifier).source
