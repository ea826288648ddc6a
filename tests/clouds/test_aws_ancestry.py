"""The parent of a copy, as far as EC2 tells it."""

from __future__ import annotations

import pytest
from tests.clouds.aws_scripts import COPIED, OTHER, OWN, PARENT, Script, cloud, gathered, no_credentials, own_image
from tests.clouds.aws_stand_in import TAGS, Answer, Request, ancestry, error, images

from packer_publisher.errors import CloudTrouble

__all__ = ["no_credentials"]


def copy_script(answer: Answer) -> Script:
    """Return a script in which the own image is a copy, its original is gone, and ancestry answers this."""

    def script(request: Request) -> Answer:
        return answer if request.action == "GetImageAncestry" else images(own_image(COPIED))

    return script


CHAINS = [
    ("a copy of the build's image", ancestry((OWN, OTHER, "us-east-1"), (OTHER, PARENT, "us-east-1")), PARENT),
    ("a copy of a registered image", ancestry((OWN, OTHER, "us-east-1"), (OTHER, "", "")), None),
    (
        "a copy of a copy from abroad",
        ancestry((OWN, OTHER, "us-east-1"), (OTHER, "ami-0d", "eu-west-1"), ("ami-0d", PARENT, "eu-west-1")),
        PARENT,
    ),
    ("a chain that ends early", ancestry((OWN, OTHER, "us-east-1")), None),
    ("no chain", ancestry(), None),
    ("a circle", ancestry((OWN, OTHER, "eu-west-1"), (OTHER, OWN, "us-east-1")), None),
]


@pytest.mark.parametrize(("answer", "parent"), [chain[1:] for chain in CHAINS], ids=[chain[0] for chain in CHAINS])
def test_the_parent_of_a_copy_is_what_the_first_launch_in_its_chain_started_from(
    answer: Answer, parent: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies are stepped over; where no launch is certain there is no parent."""
    assert parent == gathered(copy_script(answer), monkeypatch, cloud("us-east-1")).source


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "InvalidAction"])
def test_without_ancestry_a_copy_has_no_parent(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The permission is optional, and the call is not in every region; the build is whole, and the refusal told."""
    aws = cloud("us-east-1")

    image = gathered(copy_script(error(code, 403)), monkeypatch, aws)

    assert (True, None) == (image.whole, image.source)
    assert {"us-east-1 GetImageAncestry": code} == aws.denied


def test_ancestry_that_is_throttled_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent is written once: it is worth waiting for."""
    with pytest.raises(CloudTrouble) as caught:
        gathered(copy_script(error("RequestLimitExceeded", 503)), monkeypatch, cloud("us-east-1"))

    assert "AWS region us-east-1 throttles (RequestLimitExceeded), 3 tries" == str(caught.value)


def test_a_tag_that_names_the_parent_saves_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """hcp-packer-source-image is exact; ancestry is not asked for."""
    tags = {**TAGS, "hcp-packer-source-image": PARENT}

    def answer(request: Request) -> Answer:
        assert request.action != "GetImageAncestry"
        return images(own_image(COPIED, tags))

    assert None is gathered(answer, monkeypatch, cloud("us-east-1"), tags).source
