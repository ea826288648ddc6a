"""The image that Packer encrypts or copies and then removes: it never counts, and nobody is alarmed by it."""

from __future__ import annotations

import pytest
from tests.clouds.aws_stand_in import TAGS, aws, gather, minutes

from packer_publisher.image import Artifact, ImageState
from packer_publisher.local.aws import LocalAccount

DOOMED = "aB3dE5g"


def test_an_intermediary_beside_the_image_made_from_it_counts_as_gone(account: LocalAccount) -> None:
    """It is older and carries the same tags, but Packer is about to remove it; it is no rival of its own copy."""
    doomed = account.create(DOOMED, TAGS, created=minutes(50))
    final = account.copy(doomed, "us-east-1", "eu-west-1", "base-1", TAGS, created=minutes(40))
    cloud = aws(account)

    image = gather(cloud, account, "eu-west-1", final)
    assert (True, "", (Artifact("eu-west-1", final),)) == (image.whole, image.rival, image.artifacts)

    image = gather(cloud, account, "us-east-1", doomed)
    assert (ImageState.GONE, False, "") == (image.state, image.whole, image.rival)
    assert (f"it is Packer's intermediary image beside {final} in eu-west-1, which takes its place") == image.lacks


def test_an_intermediary_steps_aside_while_the_copy_is_pending(account: LocalAccount) -> None:
    """With the keys in run_tags both carry them before the copy is finished."""
    doomed = account.create(DOOMED, TAGS, created=minutes(5))
    final = account.copy(doomed, "us-east-1", "us-east-1", "base-1", TAGS, created=minutes(4))
    account.set_state("us-east-1", final, "pending")

    assert ImageState.GONE is gather(aws(account), account, "us-east-1", doomed).state


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
@pytest.mark.parametrize("state", ["available", "pending"])
def test_an_intermediary_whose_copy_has_no_tags_yet_is_not_whole(
    account: LocalAccount, region: str, state: str
) -> None:
    """With skip_save_build_region Packer may tag the doomed image first: its final copy is still being made."""
    doomed = account.create(DOOMED, TAGS, created=minutes(50))
    final = account.copy(doomed, "us-east-1", region, "base-1", {"run": "7"}, created=minutes(40))
    account.set_state(region, final, state)

    image = gather(aws(account), account, "us-east-1", doomed)

    assert (ImageState.AVAILABLE, False) == (image.state, image.whole)
    assert f"{final} in {region} is a copy of it under another name and has no fingerprint tag yet" == image.lacks


@pytest.mark.parametrize(
    ("copied", "tags", "name"),
    [
        (121, {}, "base-1"),  # too old: whoever made it is not going to tag it
        (40, {}, DOOMED),  # of the same name: a sibling, once it is tagged
        (40, {**TAGS, "hcp-packer-fingerprint": "other-1"}, "base-1"),
    ],
)
def test_other_copies_do_not_hold_an_image_of_seven_letters_and_digits(
    account: LocalAccount, copied: float, tags: dict[str, str], name: str
) -> None:
    """People call images ubuntu1, too, and copy them for other purposes."""
    own = account.create(DOOMED, TAGS, created=minutes(180))
    account.copy(own, "us-east-1", "eu-west-1", name, tags, created=minutes(copied))

    image = gather(aws(account), account, "us-east-1", own)

    text = "" if name != DOOMED else "has the same name and no readable tags yet"
    assert text in image.lacks
    assert (ImageState.AVAILABLE, not text) == (image.state, image.whole)


def test_a_copy_made_long_after_does_not_hold_the_image(account: LocalAccount) -> None:
    """Packer copies at once; a copy of yesterday's image is somebody's own."""
    own = account.create("ubuntu1", TAGS, created=minutes(1500))
    account.copy(own, "us-east-1", "eu-west-1", "backup", {}, created=minutes(10))

    image = gather(aws(account), account, "us-east-1", own)
    assert ("", True, 1) == (image.lacks, image.whole, len(image.artifacts))


def test_copies_of_an_image_with_a_proper_name_do_not_hold_it(account: LocalAccount) -> None:
    """Only the intermediary is renamed by being copied."""
    own = account.create("base-1", TAGS, created=minutes(20))
    account.copy(own, "us-east-1", "eu-west-1", "backup", {}, created=minutes(10))

    image = gather(aws(account), account, "us-east-1", own)
    assert ("", True, 1) == (image.lacks, image.whole, len(image.artifacts))
