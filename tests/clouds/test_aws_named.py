"""AMIs that a person names, with options in place of tags, and without an account."""

from __future__ import annotations

import pytest
from tests.clouds.aws_stand_in import TAGS, aws, describe, minutes, soon

from packer_publisher.errors import Rejected
from packer_publisher.image import Artifact, Image, ImageRef, Platform
from packer_publisher.local.aws import LocalAccount
from packer_publisher.placement import Override, place

OPTIONS = Override(bucket="base", fingerprint="by-hand")
STRANGER = "210987654321"


def unowned(identifier: str, region: str = "us-east-1") -> ImageRef:
    """Return the address of an AMI as a person gives it: without the account."""
    return ImageRef(Platform.AWS, "", region, identifier)


def published(account: LocalAccount, region: str, identifier: str, override: Override = OPTIONS) -> Image:
    """Return an image with all regions of its build, placed by options."""
    cloud = aws(account)
    image = describe(cloud, account, region, identifier)
    placement = place(image, cloud.policy, override)
    assert placement is not None
    return cloud.gather(image, placement, soon())


def test_an_ami_without_an_account_is_looked_for_among_the_own_ones(account: LocalAccount) -> None:
    """The account is then that of the credentials; one that does not exist is None, as ever."""
    identifier = account.create("base-1", TAGS)
    cloud = aws(account)

    image = cloud.describe(unowned(identifier), soon())

    assert image is not None
    assert ImageRef(Platform.AWS, account.account_id, "us-east-1", identifier) == image.ref
    assert None is cloud.describe(unowned("ami-0123456789abcdef0"), soon())
    account.deregister("us-east-1", identifier)
    assert None is cloud.describe(unowned(identifier), soon())


def test_a_strangers_public_ami_is_never_taken_for_an_own_one(account: LocalAccount) -> None:
    """Else anybody's laptop would record it as its owner's, whose own function knows nothing of it."""
    identifier = account.create("ubuntu-24.04", {})
    account.record("us-east-1", identifier).owner_id = STRANGER

    with pytest.raises(Rejected) as caught:
        aws(account).describe(unowned(identifier), soon())

    assert (
        f"{identifier} (aws:{STRANGER}, us-east-1) belongs to another account, and only its own account can record it"
    ) == str(caught.value)
    assert f"run it with credentials of account {STRANGER}" == caught.value.remedy


def test_copies_without_tags_are_siblings_of_an_image_that_a_person_names(account: LocalAccount) -> None:
    """`publish --bucket --fingerprint` is for a build without tags, in all its regions; no tag is waited for."""
    own = account.create("base-1", {"team": "web"}, created=minutes(10))
    copied = account.copy(own, "us-east-1", "eu-west-1", "base-1", {}, created=minutes(9))

    for region, identifier in (("us-east-1", own), ("eu-west-1", copied)):
        gathered = published(account, region, identifier)

        assert (True, "", "") == (gathered.whole, gathered.lacks, gathered.rival)
        assert (Artifact("eu-west-1", copied), Artifact("us-east-1", own)) == gathered.artifacts


def test_a_pending_copy_holds_the_build_that_a_person_names(account: LocalAccount) -> None:
    """The version would be complete without it, for good."""
    own = account.create("base-1", {}, created=minutes(10))
    copied = account.copy(own, "us-east-1", "eu-west-1", "base-1", {}, created=minutes(9))
    account.set_state("eu-west-1", copied, "pending")

    gathered = published(account, "us-east-1", own)

    assert (False, f"{copied} in eu-west-1 has the same name and is pending") == (gathered.whole, gathered.lacks)


def test_what_carries_tags_of_another_build_is_no_sibling_of_an_untagged_image(account: LocalAccount) -> None:
    """Neither is an image of another name or another architecture."""
    own = account.create("base-1", {}, created=minutes(10))
    account.create("base-1", TAGS, region="eu-west-1", created=minutes(10))
    account.create("base-1", {}, region="us-west-2", architecture="arm64", created=minutes(10))
    account.create("base-2", {}, region="us-west-2", created=minutes(10))

    gathered = published(account, "us-east-1", own)

    assert (True, "", (Artifact("us-east-1", own),)) == (gathered.whole, gathered.rival, gathered.artifacts)


def test_an_option_in_place_of_a_missing_tag_counts_for_all_images_of_the_build(account: LocalAccount) -> None:
    """Images with the bucket alone, and the fingerprint from the command line, are one build."""
    half = {"hcp-packer-bucket": "base"}
    own = account.create("base-1", half, created=minutes(10))
    copied = account.copy(own, "us-east-1", "eu-west-1", "base-1", half, created=minutes(9))

    gathered = published(account, "us-east-1", own, Override(fingerprint="by-hand"))

    assert (Artifact("eu-west-1", copied), Artifact("us-east-1", own)) == gathered.artifacts
