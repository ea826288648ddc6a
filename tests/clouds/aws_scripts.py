"""One image of AWS, and an EC2 that answers by a script: what the tests of its trouble begin with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.clouds.aws_stand_in import (
    NOW,
    TAGS,
    Answer,
    Request,
    forget_credentials,
    image_xml,
    images,
    minutes,
    policy,
    regions,
    scripted_ec2,
    session,
    soon,
)

from packer_publisher.clouds.aws import AWS
from packer_publisher.image import Image, ImageRef, Platform
from packer_publisher.placement import place

OWN = "ami-0aaaaaaaaaaaaaaaa"
OTHER = "ami-0bbbbbbbbbbbbbbbb"
PARENT = "ami-0cccccccccccccccc"
REF = ImageRef(Platform.AWS, "123456789012", "us-east-1", OWN)
LAUNCHED = (
    f"<sourceInstanceId>i-0123456789abcdef0</sourceInstanceId><sourceImageId>{PARENT}</sourceImageId>"
    "<sourceImageRegion>us-east-1</sourceImageRegion>"
)
COPIED = f"<sourceImageId>{OTHER}</sourceImageId><sourceImageRegion>us-east-1</sourceImageRegion>"
REGIONS = regions(us_east_1="opt-in-not-required", eu_west_1="opt-in-not-required", me_south_1="not-opted-in")

Script = Callable[[Request], Answer]


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_credentials(monkeypatch)


def cloud(*names: str) -> AWS:
    """Return the cloud as a function would have it."""
    return AWS(policy(*names), session_factory=session, now=lambda: NOW)


def own_image(more: str = LAUNCHED, tags: dict[str, str] = TAGS) -> str:
    """Return the image of these tests as EC2 describes it."""
    return image_xml(OWN, "base-1", minutes(10), tags, more)


def everywhere(more: str = LAUNCHED, **by_region: Answer) -> Script:
    """Return a script: the own image in us-east-1, the regions, and what is given for a region (eu_west_1=...)."""

    def answer(request: Request) -> Answer:
        if request.action == "DescribeRegions":
            return REGIONS
        special = by_region.get(request.region.replace("-", "_"))
        if special is not None:
            return special
        return images(own_image(more)) if request.region == "us-east-1" else images()

    return answer


def gathered(script: Script, monkeypatch: pytest.MonkeyPatch, aws: AWS, tags: dict[str, str] = TAGS) -> Image:
    """Return the image of these tests with its regions."""
    with scripted_ec2(script) as ec2:
        monkeypatch.setenv("AWS_ENDPOINT_URL", ec2.url)
        image = aws.describe(REF, soon())
        assert image is not None
        image = replace(image, tags=tags)
        placement = place(image, aws.policy)
        assert placement is not None
        return aws.gather(image, placement, soon())
