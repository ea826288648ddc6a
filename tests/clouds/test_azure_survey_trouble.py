"""What becomes of a survey of Azure where it throttles, refuses, is silent or has expired."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest
from tests.clouds.azure_account import HERE, OTHER, THERE, address, arm, azure, waits
from tests.clouds.azure_stand_in import SUBSCRIPTION, azure_on, gallery_version, managed_image
from tests.clouds.surveying import Waits, names, surveyed

from packer_publisher.clouds.azure import Azure
from packer_publisher.clouds.azure_survey import READERS
from packer_publisher.errors import CloudTrouble, CredentialsTrouble, Forbidden
from packer_publisher.image import Image, Unread
from packer_publisher.local.arm import Arm

__all__ = ["address", "arm", "azure", "waits"]

ROLE = "give the function's identity the role that infra/azure defines (read images, galleries and resources)"
VERSIONS = f"the list of Microsoft.Compute/galleries/images/versions in subscription {SUBSCRIPTION}"
IMAGES = f"the list of Microsoft.Compute/images in subscription {SUBSCRIPTION}"


def test_an_image_that_vanishes_meanwhile_is_not_there(arm: Arm, azure: Azure) -> None:
    """It was listed, and is gone when it is read: no trouble, and no image."""
    managed_image(arm, "vanishing")
    managed_image(arm, "web-1")
    gallery_version(arm, "1.0.0")
    arm.fail(404, "ResourceNotFound", path="/images/vanishing")
    arm.fail(404, "ResourceNotFound", path="/versions/1.0.0")

    assert ["web-1"] == names(azure, HERE)


def test_throttling_is_waited_out(arm: Arm, azure: Azure, waits: Waits) -> None:
    """In the middle of a list and at a single image; Azure's Retry-After is kept, however long. Nothing is lost."""
    for number in range(5):
        managed_image(arm, f"web-{number}")
    arm.fail(429, "TooManyRequests", retry_after=90, times=2, path="/resources", after=2)
    arm.fail(429, "OperationNotAllowed", retry_after=17, path="/images/web-3")
    arm.fail(429, "TooManyRequests", path="/images/web-4")

    assert [f"web-{n}" for n in range(5)] == names(azure, HERE)
    assert [0.5, 17.5, 90.5, 91.0] == sorted(waits.seconds)


def test_throttling_without_end_is_given_up(arm: Arm, azure: Azure, waits: Waits) -> None:
    """After ten tries, or where Azure asks for more than ten minutes, the subscription is in trouble."""
    arm.fail(429, "TooManyRequests", retry_after=1, times=10, path="/resources")
    with pytest.raises(CloudTrouble) as raised:
        surveyed(azure, HERE)
    assert (f"Azure throttles; it did not show {VERSIONS} (HTTP 429 TooManyRequests).", 9) == (
        str(raised.value),
        len(waits.seconds),
    )

    arm.fail(429, "TooManyRequests", retry_after=601, path="/resources")
    with pytest.raises(CloudTrouble) as raised:
        surveyed(azure, HERE)
    assert (601.0, 9) == (raised.value.retry_after, len(waits.seconds))


def test_throttling_without_end_at_one_image_is_no_matter_of_that_image(arm: Arm, azure: Azure) -> None:
    """To go on with the next would cost the same again."""
    managed_image(arm, "web-1")
    arm.fail(429, "TooManyRequests", times=10, path="/images/web-1")

    with pytest.raises(CloudTrouble, match=r"^Azure throttles; it did not show .*/images/web-1 \(HTTP 429 TooMany"):
        surveyed(azure, HERE)


def test_credentials_that_expire_in_the_middle_end_it(arm: Arm, azure: Azure, waits: Waits) -> None:
    """While the list is read; no other subscription would fare better, so it is no denied one."""
    managed_image(arm, "web-0")
    managed_image(arm, "web-1")
    managed_image(arm, "web-2")
    arm.fail(401, "ExpiredAuthenticationToken", path="/resources", after=2)

    with pytest.raises(CredentialsTrouble) as raised:
        surveyed(azure, HERE)

    assert (CredentialsTrouble, f"Azure refused to show {IMAGES} (HTTP 401 ExpiredAuthenticationToken).", []) == (
        type(raised.value),
        str(raised.value),
        waits.seconds,
    )


def test_credentials_that_expire_at_an_image_end_it(arm: Arm, azure: Azure) -> None:
    """The images before it were found; it is not passed over as if it alone were closed."""
    for number in range(4 * READERS):
        managed_image(arm, f"web-{number:02}")
    arm.fail(401, "ExpiredAuthenticationToken", path="/images/web-20")

    found = azure.survey(HERE, None, None, tagged=True)
    taken = [next(found) for _ in range(20)]
    with pytest.raises(
        CredentialsTrouble, match=r"/images/web-20 \(HTTP 401 ExpiredAuthenticationToken\)\.$"
    ) as raised:
        next(found)

    assert (20, CredentialsTrouble) == (len(taken), type(raised.value))


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "AuthorizationFailed"),
        (404, "SubscriptionNotFound"),
        (401, "InvalidAuthenticationTokenTenant"),
    ],
)
def test_a_subscription_that_denies_access_is_told_from_credentials_that_are_no_good(
    status: int, code: str, arm: Arm, azure: Azure
) -> None:
    """Closed, unknown to this identity, or of another tenant: the others go on."""
    managed_image(arm, "elsewhere", subscription=OTHER)
    arm.fail(status, code, path=f"/subscriptions/{SUBSCRIPTION}/")

    with pytest.raises(Forbidden) as raised:
        surveyed(azure, HERE)

    assert (f"Azure refused to show {VERSIONS} (HTTP {status} {code}).", ROLE) == (
        str(raised.value),
        raised.value.remedy,
    )
    assert ["elsewhere"] == names(azure, THERE)


def test_an_image_that_cannot_be_read_is_told_and_stops_no_other(arm: Arm, azure: Azure, waits: Waits) -> None:
    """Refused, failing for good, no image at all: each is there, so none is passed over in silence."""
    managed_image(arm, "closed")
    managed_image(arm, "failing")
    managed_image(arm, "refused")
    managed_image(arm, "web 1")
    managed_image(arm, "web-2")
    arm.fail(403, "AuthorizationFailed", path="/images/closed")
    arm.fail(500, "InternalServerError", times=10, path="/images/failing")
    arm.fail(400, "BadRequest", times=3, path="/images/refused")
    listed = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/RG-IMAGES/providers/Microsoft.Compute/images"

    closed, failing, refused, broken, image = surveyed(azure, HERE)

    assert Unread(
        HERE, f"{listed}/closed", f"Azure refused to show {listed}/closed (HTTP 403 AuthorizationFailed).", ROLE
    ) == (closed)
    assert Unread(
        HERE, f"{listed}/failing", f"Azure did not show {listed}/failing (HTTP 500 InternalServerError)."
    ) == (failing)
    assert Unread(HERE, f"{listed}/refused", f"Azure did not show {listed}/refused (HTTP 400 BadRequest).") == refused
    assert isinstance(broken, Unread)
    assert (f"{listed}/web 1", f"{listed}/web 1 is no id of a managed image or of a gallery image version.") == (
        broken.identifier,
        broken.problem,
    )
    assert isinstance(image, Image)
    assert "web-2" == image.name
    assert ({}, {}) == (azure.broken, azure.denied)
    assert 9 + 2 == len(waits.seconds)


def test_a_time_that_is_unreadable_is_about_that_image(arm: Arm, azure: Azure) -> None:
    """A backfill goes by the time of creation: none is made up."""
    managed_image(arm, "web-1", system_data=True)
    managed_image(arm, "web-2")
    arm.resource(arm.image_id("rg-images", "web-1"))["systemData"]["createdAt"] = "yesterday"

    found = surveyed(azure, HERE)

    assert [(Unread, "web-1"), (Image, "web-2")] == [
        (type(entry), entry.identifier.rsplit("/")[-1] if isinstance(entry, Unread) else entry.name) for entry in found
    ]


def test_an_azure_that_is_silent_is_trouble(waits: Waits) -> None:
    """Nobody listens: that is no empty subscription, and no matter of credentials."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]

    with (
        azure_on(f"http://127.0.0.1:{port}", patience=waits.patience()) as azure,
        pytest.raises(CloudTrouble) as raised,
    ):
        surveyed(azure, HERE)

    assert f"Azure did not answer to a question for {VERSIONS} (ServiceRequestError)." == str(raised.value)
    assert 9 == len(waits.seconds)


def test_a_connection_that_breaks_at_an_image_is_tried_again(arm: Arm, azure: Azure) -> None:
    """And where it breaks for good, that is not about the image."""
    managed_image(arm, "web-1")
    arm.reset(times=9, path="/images/web-1")
    assert ["web-1"] == names(azure, HERE)

    arm.reset(times=10, path="/images/web-1")
    with pytest.raises(CloudTrouble, match=r"^Azure did not answer to a question for .*/images/web-1 \(Service"):
        surveyed(azure, HERE)
