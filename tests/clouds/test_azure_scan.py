"""Which images a scan of a subscription finds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from tests.clouds.azure_stand_in import SUBSCRIPTION, TAGS, azure_on, gallery_version, managed_image, soon

from packer_publisher.clouds.azure import Azure
from packer_publisher.errors import CloudTrouble, ConfigurationError, CredentialsTrouble, Rejected
from packer_publisher.local.arm import Arm
from packer_publisher.local.server import serving
from packer_publisher.policy import Policy

OTHER = "99999999-9999-9999-9999-999999999999"
SINCE = datetime(2026, 10, 1, tzinfo=UTC)
UNTIL = datetime(2026, 10, 3, tzinfo=UTC)
WITHIN = datetime(2026, 10, 2, tzinfo=UTC)


@pytest.fixture
def arm() -> Arm:
    return Arm(subscriptions=(SUBSCRIPTION, OTHER), now=lambda: WITHIN)


@pytest.fixture
def address(arm: Arm) -> Iterator[str]:
    with serving(arm.app) as address:
        yield address


@pytest.fixture
def azure(address: str) -> Iterator[Azure]:
    with azure_on(address, AZURE_SUBSCRIPTION_ID=SUBSCRIPTION.upper()) as azure:
        yield azure


def scanned(azure: Azure) -> list[str]:
    return sorted(image.name for image in azure.scan(SINCE, UNTIL, soon()))


def test_a_scan_reads_every_page(arm: Arm, azure: Azure) -> None:
    """Images and versions of all pages are found."""
    for number in range(5):
        managed_image(arm, f"web-{number}")
        gallery_version(arm, f"1.0.{number}")
    assert [f"gal/web/1.0.{n}" for n in range(5)] + [f"web-{n}" for n in range(5)] == scanned(azure)
    assert sum(path.endswith("/resources") for path in arm.asked) == 6  # three pages of each kind


def test_a_scan_counts_from_creation(arm: Arm, azure: Azure) -> None:
    """The window takes in its first moment and leaves out its last."""
    for name, created in {
        "before": SINCE - timedelta(seconds=1),
        "first": SINCE,
        "last": UNTIL - timedelta(seconds=1),
        "after": UNTIL,
    }.items():
        managed_image(arm, name, created=created)
    assert ["first", "last"] == scanned(azure)


def test_a_scan_asks_for_nothing_that_is_not_ours(arm: Arm, azure: Azure) -> None:
    """Untagged images, old ones and temporary machines are told apart in the list: no request for any of them."""
    managed_image(arm, "untagged", tags={"team": "web"})
    managed_image(arm, "old", created=SINCE - timedelta(days=30))
    gallery_version(arm, "1.0.0", tags={})
    arm.put_other("rg-images", "Microsoft.Compute/virtualMachines", "pkrvm0", TAGS)
    assert scanned(azure) == []
    assert [f"/subscriptions/{SUBSCRIPTION}/resources"] * 2 == [path.lower() for path in arm.asked]


def test_a_scan_does_without_times_in_the_list(arm: Arm, azure: Azure) -> None:
    """Where the list tells no creation, a version does itself, and a managed image counts as within the window."""
    arm.created_time_in_lists = False
    gallery_version(arm, "1.0.0", created=WITHIN)
    gallery_version(arm, "0.9.0", created=SINCE - timedelta(days=1))
    managed_image(arm, "timeless", created=SINCE - timedelta(days=1))
    assert ["gal/web/1.0.0", "timeless"] == scanned(azure)


def test_a_scan_gives_a_pair_once(arm: Arm, azure: Azure) -> None:
    """A version that leads to its managed image adds nothing to it."""
    gallery_version(arm, "1.0.0", source=managed_image(arm, "source"))
    assert ["source"] == scanned(azure)


def test_a_scan_finds_a_managed_image_through_a_later_version(arm: Arm, azure: Azure) -> None:
    """A version within the window brings the older managed image that it was made from."""
    gallery_version(arm, "1.0.0", source=managed_image(arm, "source", created=SINCE - timedelta(days=1)))
    assert ["source"] == scanned(azure)


def test_a_scan_with_gallery_gives_the_version_of_a_pair(arm: Arm, address: str) -> None:
    """With ``gallery`` a managed image stands for what still waits for a version, and for nothing else."""
    gallery_version(arm, "1.0.0", source=managed_image(arm, "source"))
    managed_image(arm, "waiting")
    with azure_on(address, Policy(azure_artifact="gallery"), AZURE_SUBSCRIPTION_ID=SUBSCRIPTION) as azure:
        assert ["gal/web/1.0.0", "waiting"] == scanned(azure)


def test_a_scan_leaves_another_subscription_s_images_alone(arm: Arm, azure: Azure) -> None:
    """A version may lead to a managed image elsewhere; that one is its own subscription's to find."""
    gallery_version(arm, "1.0.0", source=managed_image(arm, "elsewhere", subscription=OTHER))
    assert [] == scanned(azure)


def test_a_scan_without_a_window_gives_everything(arm: Arm, azure: Azure) -> None:
    """None leaves an end of the window open."""
    managed_image(arm, "old", created=SINCE - timedelta(days=3000))
    managed_image(arm, "new", created=UNTIL + timedelta(days=3000))
    assert ["new", "old"] == sorted(image.name for image in azure.scan(None, None, soon()))
    assert ["old"] == [image.name for image in azure.scan(None, UNTIL, soon())]
    assert ["new"] == [image.name for image in azure.scan(UNTIL, None, soon())]


def test_a_scan_leaves_out_what_vanishes_meanwhile(arm: Arm, azure: Azure) -> None:
    """An image that is listed and then not found is not there."""
    managed_image(arm, "vanishing")
    arm.fail(404, "ResourceNotFound", path="/images/vanishing")
    assert scanned(azure) == []
    assert arm.unmet_faults == 0


def test_a_scan_that_may_not_list_says_so(arm: Arm, azure: Azure) -> None:
    """A refused list is trouble, never an empty account."""
    arm.fail(403, "AuthorizationFailed", path="/resources")
    with pytest.raises(CredentialsTrouble) as raised:
        scanned(azure)
    assert (
        str(raised.value)
        == "Azure refused to show the list of Microsoft.Compute/galleries/images/versions in subscription "
        f"{SUBSCRIPTION} (HTTP 403 AuthorizationFailed)."
    )


def test_a_scan_needs_a_subscription(address: str) -> None:
    """Without a subscription there is nothing to scan, and the setting is named."""
    with azure_on(address) as azure, pytest.raises(ConfigurationError) as raised:
        scanned(azure)
    assert ("Azure cannot be scanned: no subscription is named.", "set AZURE_SUBSCRIPTION_ID") == (
        str(raised.value),
        raised.value.remedy,
    )


def test_a_scan_passes_over_images_that_azure_does_not_show(arm: Arm, azure: Azure) -> None:
    """A refused image, or one of which Azure always fails to speak, hides no other; the next scan begins anew."""
    managed_image(arm, "closed")
    managed_image(arm, "failing")
    managed_image(arm, "web-1")
    arm.fail(403, "AuthorizationFailed", path="/images/closed")
    arm.fail(500, "InternalServerError", times=3, path="/images/failing")

    assert ["web-1"] == scanned(azure)
    (closed, refusal), (failing, failure) = azure.broken.items()
    assert (True, True) == (closed.lower().endswith("/images/closed"), failing.lower().endswith("/images/failing"))
    assert isinstance(refusal, CredentialsTrouble)
    assert str(refusal).endswith("/images/closed (HTTP 403 AuthorizationFailed).")
    assert str(failure).endswith("/images/failing (HTTP 500 InternalServerError).")

    assert ["closed", "failing", "web-1"] == scanned(azure)
    assert ({}, {}, 0) == (azure.broken, azure.denied, arm.unmet_faults)


def test_a_scan_passes_over_what_is_no_image(arm: Arm, azure: Azure) -> None:
    """A resource whose id breaks the rules is told by its id."""
    managed_image(arm, "web 1")
    managed_image(arm, "web-2")

    assert ["web-2"] == scanned(azure)
    ((identifier, problem),) = azure.broken.items()
    assert (True, Rejected) == (identifier.endswith("/images/web 1"), type(problem))


@pytest.mark.parametrize("status", [429, 503])
def test_a_scan_ends_where_azure_throttles(status: int, arm: Arm, azure: Azure) -> None:
    """Azure asks to wait, with all images: to go on would cost the same again for each of them."""
    managed_image(arm, "web-1")
    arm.fail(status, "TooManyRequests", retry_after=30, path="/images/web-1")

    with pytest.raises(CloudTrouble) as raised:
        scanned(azure)

    assert 30.0 == raised.value.retry_after


def test_a_scan_without_time_is_trouble(arm: Arm, azure: Azure) -> None:
    """What was not looked at is not passed over in silence, image by image."""
    managed_image(arm, "web-1")
    arm.fail(500, "InternalServerError", times=3, path="/images/web-1")

    with pytest.raises(CloudTrouble, match=r"No time was left to ask Azure for .*/images/web-1"):
        list(azure.scan(SINCE, UNTIL, soon(3.4)))


def test_a_scan_ends_where_credentials_expire(arm: Arm, azure: Azure) -> None:
    """They are the same for all images: the others would only be refused, too."""
    managed_image(arm, "web-1")
    managed_image(arm, "web-2")
    arm.fail(401, "ExpiredAuthenticationToken", path="/images/web-1")

    with pytest.raises(CredentialsTrouble, match=r"/images/web-1 \(HTTP 401 ExpiredAuthenticationToken\)\.$"):
        scanned(azure)

    assert {} == azure.broken


def test_a_scan_asks_once_for_what_several_images_share(arm: Arm, azure: Azure) -> None:
    """The definition of two versions, and the managed image that a version has brought already."""
    gallery_version(arm, "1.0.0")
    gallery_version(arm, "1.0.1")
    gallery_version(arm, "1.0.2", source=managed_image(arm, "source"))

    assert ["gal/web/1.0.0", "gal/web/1.0.1", "source"] == scanned(azure)
    paths = [path.lower() for path in arm.asked]
    assert [1, 1] == [sum(path.endswith(end) for path in paths) for end in ("/gal/images/web", "/images/source")]
