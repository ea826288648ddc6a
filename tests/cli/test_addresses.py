"""Addresses of images, in every form that a person has at hand."""

from __future__ import annotations

import pytest

from packer_publisher.cli.addresses import FORMS, read_address
from packer_publisher.errors import ConfigurationError
from packer_publisher.image import ImageRef, Platform

AMI = "ami-0123456789abcdef0"
SUBSCRIPTION = "00000000-1111-4222-8333-444444444444"
MANAGED = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/images/providers/Microsoft.Compute/images/web"
GALLERY = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/images/providers/Microsoft.Compute/galleries/g/images/web"


def read(text: str, region: str | None = None, project: str | None = None, **environ: str) -> ImageRef:
    return read_address(text, region=region, project=project, environ=environ)


def refused(text: str, region: str | None = None, project: str | None = None, **environ: str) -> tuple[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        read(text, region, project, **environ)
    return str(caught.value), caught.value.remedy


@pytest.mark.parametrize(
    "found",
    [
        read(AMI, "eu-west-1"),
        read(AMI, AWS_REGION="eu-west-1"),
        read(AMI, AWS_DEFAULT_REGION="eu-west-1"),
        read(AMI, "eu-west-1", AWS_REGION="us-east-1"),
        read(f"eu-west-1:{AMI}"),
        read(f" eu-west-1:{AMI}\n"),
        read(f"eu-west-1:{AMI}", "eu-west-1"),
        read(f"arn:aws:ec2:eu-west-1::image/{AMI}"),
        read(f"arn:aws-us-gov:ec2:eu-west-1:123456789012:image/{AMI}"),
    ],
)
def test_an_ami_is_found_by_id_and_region(found: ImageRef) -> None:
    """Its owner is left open, because only EC2 knows it."""
    assert ImageRef(Platform.AWS, "", "eu-west-1", AMI) == found


@pytest.mark.parametrize(
    "address", [MANAGED, f"{GALLERY}/versions/1.2.3", MANAGED.replace("resourceGroups", "resourcegroups")]
)
def test_an_azure_image_is_found_by_its_arm_id(address: str) -> None:
    """The id is kept as it was spelled, the subscription is its owner."""
    assert ImageRef(Platform.AZURE, SUBSCRIPTION, "", address) == read(address)
    assert ImageRef(Platform.AZURE, SUBSCRIPTION, "", address) == read(f"{address}/")


@pytest.mark.parametrize(
    "found",
    [
        read("https://www.googleapis.com/compute/v1/projects/acme-images/global/images/web-1"),
        read("https://compute.googleapis.com/compute/beta/projects/acme-images/global/images/web-1"),
        read("//compute.googleapis.com/projects/acme-images/global/images/web-1"),
        read("projects/acme-images/global/images/web-1"),
        read("projects/acme-images/global/images/web-1", project="acme-images"),
        read("web-1", project="acme-images"),
        read("web-1", GOOGLE_CLOUD_PROJECT="acme-images"),
    ],
)
def test_a_google_image_is_found_by_link_or_name(found: ImageRef) -> None:
    """Project and name are all that its address says."""
    assert ImageRef(Platform.GCE, "acme-images", "", "web-1") == found


def test_a_google_image_is_found_by_its_number() -> None:
    """The numeric id stands where the name does."""
    assert ImageRef(Platform.GCE, "acme-images", "", "8765432109876543210") == read(
        "8765432109876543210", project="acme-images"
    )


@pytest.mark.parametrize(
    ("expected", "refusal"),
    [
        ((f"{AMI} alone does not say its region", f"give --region, or eu-west-1:{AMI}"), refused(AMI)),
        (
            (f"{AMI} is said to be in eu-west-1 and in us-east-1", "leave out --region"),
            refused(f"eu-west-1:{AMI}", "us-east-1"),
        ),
        (('"Ireland" is no AWS region', "write it as in eu-west-1"), refused(AMI, "Ireland")),
        (
            (f'--project is for a Google image, and "{AMI}" is none', "leave out --project"),
            refused(AMI, "eu-west-1", "p"),
        ),
        ((f'--region is for an AMI, and "{MANAGED}" is none', "leave out --region"), refused(MANAGED, "eu-west-1")),
        (
            ('--region is for an AMI, and "web-1" is none', "leave out --region"),
            refused("web-1", "eu-west-1", "acme-images"),
        ),
        (
            (f'"{GALLERY}" is an image definition, not an image', f"name one version: {GALLERY}/versions/1.0.0"),
            refused(GALLERY),
        ),
        (
            (
                '"projects/acme-images/global/images/family/web" is an image family, not an image',
                "gcloud compute images describe-from-family web names its newest image",
            ),
            refused("projects/acme-images/global/images/family/web"),
        ),
        (
            ('"projects/acme-images/global/images/web" is not in project "other-images"', "leave out --project"),
            refused("projects/acme-images/global/images/web", project="other-images"),
        ),
        (
            ('"My Project" is no id of a Google project', "give its id, not its name or number"),
            refused("web-1", project="My Project"),
        ),
        (('"web-1" is no address of an image', FORMS), refused("web-1")),
        (
            ('"ami-xyz" is no address of an image', FORMS),
            refused("ami-xyz", "eu-west-1", GOOGLE_CLOUD_PROJECT="acme-images"),
        ),
        (('"\\u001b[31m" is no address of an image', FORMS), refused("\x1b[31m")),
        (('"" is no address of an image', FORMS), refused("", project="acme-images")),
    ],
)
def test_what_names_no_image_is_refused_with_what_would(expected: tuple[str, str], refusal: tuple[str, str]) -> None:
    """Each text says which form would do, or which option is too much."""
    assert expected == refusal


@pytest.mark.parametrize(
    "address",
    [
        f"/subscriptions/{SUBSCRIPTION}",
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/a/providers/Microsoft.Compute/disks/d",
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/a/providers/Microsoft.Compute/images/../disks/d",
    ],
)
def test_an_arm_id_of_something_else_is_refused(address: str) -> None:
    """Only managed images and gallery image versions are images."""
    assert f'"{address}" is no ARM id of an image' == refused(address)[0]
