"""What a survey of Azure subscriptions finds, and what becomes of it where Azure throttles, refuses or has expired."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope
from tests.clouds.azure_stand_in import SUBSCRIPTION, TAGS, azure_on, gallery_version, managed_image, ref, soon
from tests.clouds.permissions import azure_actions
from tests.clouds.surveying import Waits, at_the_same_time, names, surveyed

from packer_publisher.clouds.azure import Azure
from packer_publisher.clouds.azure_survey import READERS
from packer_publisher.errors import CloudTrouble, ConfigurationError, CredentialsTrouble, Forbidden
from packer_publisher.image import Image, ImageState, Platform, Scope, Unread
from packer_publisher.local.arm import Arm
from packer_publisher.local.server import serving
from packer_publisher.policy import Policy

OTHER = "99999999-9999-9999-9999-999999999999"
THIRD = "55555555-5555-5555-5555-555555555555"
HERE, THERE = Scope(Platform.AZURE, SUBSCRIPTION), Scope(Platform.AZURE, OTHER)
SINCE = datetime(2026, 10, 1, tzinfo=UTC)
UNTIL = datetime(2026, 10, 3, tzinfo=UTC)
WITHIN = datetime(2026, 10, 2, tzinfo=UTC)
ROLE = "give the function's identity the role that infra/azure defines (read images, galleries and resources)"
VERSIONS = f"the list of Microsoft.Compute/galleries/images/versions in subscription {SUBSCRIPTION}"
IMAGES = f"the list of Microsoft.Compute/images in subscription {SUBSCRIPTION}"


@pytest.fixture
def arm() -> Iterator[Arm]:
    """Azure with two subscriptions; a fault that was never met fails the test."""
    arm = Arm(subscriptions=(SUBSCRIPTION, OTHER), now=lambda: WITHIN)
    yield arm
    assert 0 == arm.unmet_faults


@pytest.fixture
def address(arm: Arm) -> Iterator[str]:
    with serving(arm.app) as address:
        yield address


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def azure(address: str, waits: Waits) -> Iterator[Azure]:
    with azure_on(address, patience=waits.patience()) as azure:
        yield azure


def lists(arm: Arm) -> int:
    """Return how many pages of lists were asked for."""
    return sum(path.endswith("/resources") for path in arm.asked)


def test_the_scopes_are_all_subscriptions_that_the_credentials_reach(arm: Arm, azure: Azure) -> None:
    """On all pages of the list; a deleted one is none any more, a disabled one can still be read."""
    deleted = "00000000-0000-0000-0000-000000000000"
    arm.subscriptions = (SUBSCRIPTION.upper(), deleted, OTHER, THIRD)
    arm.states = {deleted: "Deleted", THIRD: "Disabled"}

    assert (HERE, Scope(Platform.AZURE, THIRD), THERE) == azure.scopes(soon())
    assert ["/subscriptions"] * 2 == arm.asked


def test_a_subscription_that_is_set_is_the_only_one(arm: Arm, address: str) -> None:
    """And nobody is asked: its survey tells whether it is open."""
    with azure_on(address, AZURE_SUBSCRIPTION_ID=OTHER.upper()) as azure:
        assert (THERE,) == azure.scopes(soon())
        assert [] == arm.asked
        assert (HERE,) == azure.scopes(soon(), [SUBSCRIPTION.upper(), SUBSCRIPTION])


def test_a_subscription_that_is_out_of_reach_is_not_passed_over(azure: Azure) -> None:
    """A slip of the pen must not look like an empty subscription."""
    with pytest.raises(ConfigurationError) as raised:
        azure.scopes(soon(), [SUBSCRIPTION, THIRD])

    assert (
        f"These credentials reach no Azure subscription {THIRD}.",
        "`az account list --refresh` names those they reach; a subscription is named by its id",
    ) == (str(raised.value), raised.value.remedy)


def test_credentials_without_any_role_are_told(arm: Arm, azure: Azure) -> None:
    """Nothing found would look like nothing there."""
    arm.subscriptions = ()

    with pytest.raises(Forbidden) as raised:
        azure.scopes(soon())

    assert "These credentials reach no Azure subscription." == str(raised.value)
    assert "docs/backfill.md" in raised.value.remedy


def test_a_survey_finds_images_in_every_state(arm: Arm, azure: Azure) -> None:
    """Managed images and versions of all galleries, half-tagged ones too, failed and pending with their states."""
    managed_image(arm, "tagged")
    managed_image(arm, "half", tags={"hcp-packer-bucket": "web"})
    managed_image(arm, "capitals", tags={"HCP-Packer-Expects": "azure"})
    managed_image(arm, "failed", state="Failed")
    managed_image(arm, "pending", creating=9)
    managed_image(arm, "deleting", state="Deleting")
    managed_image(arm, "untagged", tags={"team": "web"})
    managed_image(arm, "elsewhere", subscription=OTHER)
    gallery_version(arm, "1.0.0")
    gallery_version(arm, "1.0.1", replicating=9)
    arm.put_gallery_version("rg-other", "gal2", "db", "2.0.0", tags=TAGS)
    arm.put_gallery_version("rg-other", "gal2", "db", "2.0.1", tags={})
    arm.put_other("rg-images", "Microsoft.Compute/virtualMachines", "pkrvm0", TAGS)
    states = dict.fromkeys(["tagged", "half", "capitals", "gal/web/1.0.0", "gal2/db/2.0.0"], ImageState.AVAILABLE) | {
        "failed": ImageState.FAILED,
        "pending": ImageState.PENDING,
        "gal/web/1.0.1": ImageState.PENDING,
    }

    tagged = [entry for entry in surveyed(azure, HERE) if isinstance(entry, Image)]

    assert states == {image.name: image.state for image in tagged}
    assert {f"azure:{SUBSCRIPTION}"} == {image.owner for image in tagged}
    assert sorted([*states, "untagged", "gal2/db/2.0.1"]) == names(azure, HERE, tagged=False)
    assert ["elsewhere"] == names(azure, THERE)


def test_a_list_registers_what_an_event_does(arm: Arm, azure: Azure) -> None:
    """Azure lists a managed image with its resource group in capitals; both must give one identifier."""
    event = arm.put_managed_image("Images", "web-1", tags=TAGS)
    spelled = event["data"]["resourceUri"]
    (listed,) = surveyed(azure, Scope(Platform.AZURE, arm.subscriptions[0]))
    described = azure.describe(ref(spelled), soon())
    assert isinstance(listed, Image)
    assert described is not None
    assert listed.ref.identifier != spelled
    assert listed.artifacts == described.artifacts
    assert "/resourceGroups/images/" in listed.artifacts[0].external_identifier


def test_a_survey_asks_for_nothing_that_is_not_ours(arm: Arm, azure: Azure) -> None:
    """Untagged and old images are told apart in the list: no request for any of them."""
    managed_image(arm, "untagged", tags={"team": "web"})
    managed_image(arm, "old", created=SINCE - timedelta(days=30))
    gallery_version(arm, "1.0.0", tags={})

    assert [] == names(azure, HERE, SINCE, UNTIL)
    assert [f"/subscriptions/{SUBSCRIPTION}/resources"] * 2 == arm.asked


def test_a_survey_reads_every_page_of_every_subscription(arm: Arm, azure: Azure) -> None:
    """Subscriptions at the same time, each from its own thread."""
    for number in range(9):
        managed_image(arm, f"web-{number}")
        managed_image(arm, f"db-{number}", subscription=OTHER)
        gallery_version(arm, f"1.0.{number}")

    found = at_the_same_time(azure, (HERE, THERE))

    assert [f"gal/web/1.0.{n}" for n in range(9)] + [f"web-{n}" for n in range(9)] == found[HERE]
    assert [f"db-{n}" for n in range(9)] == found[THERE]
    assert (5 + 5) + (1 + 5) == lists(arm)


def test_several_images_are_read_at_the_same_time(arm: Arm, waits: Waits) -> None:
    """Each costs a request or two, one after the other too long for thousands; not more than a few, though."""
    for number in range(4 * READERS):
        managed_image(arm, f"web-{number:02}")
    crowd = Crowd(arm.app)

    with serving(crowd) as address, azure_on(address, patience=waits.patience()) as azure:
        found = [entry.name for entry in azure.survey(HERE, None, None, tagged=True) if isinstance(entry, Image)]

    assert [f"web-{number:02}" for number in range(4 * READERS)] == found
    assert 1 < crowd.most <= READERS


class Crowd:
    """An ASGI application that lets requests for single images wait a little, and counts how many do together."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner
        self._now = 0
        self.most = 0

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if "/images/" in scope["path"]:
            self._now += 1
            self.most = max(self.most, self._now)
            await asyncio.sleep(0.05)
            self._now -= 1
        await self._inner(scope, receive, send)


def test_a_survey_reads_only_a_little_ahead(arm: Arm, azure: Azure) -> None:
    """Whoever takes one image makes it ask for a few more, not for all pages."""
    arm.page_size = 10
    for number in range(60):
        managed_image(arm, f"web-{number:02}")

    found = azure.survey(HERE, None, None, tagged=True)

    assert [] == arm.asked
    first = next(found)
    assert isinstance(first, Image)
    assert ("web-00", 1 + 2) == (first.name, lists(arm))  # no version, and 2 * READERS images are on two pages
    assert 59 == len(list(found))
    assert 1 + 6 == lists(arm)


def test_a_survey_that_is_left_early_ends_its_readers(arm: Arm, azure: Azure) -> None:
    """Nothing is asked for any more when the list is closed."""
    for number in range(60):
        managed_image(arm, f"web-{number:02}")

    found = azure.survey(HERE, None, None, tagged=True)
    next(found)
    found.close()  # type: ignore[attr-defined]  # it is a generator
    asked = len(arm.asked)

    assert asked < 60
    assert [] == names(azure, THERE)
    assert asked + 2 == len(arm.asked)


def test_a_window_takes_in_its_first_moment_and_leaves_out_its_last(arm: Arm, azure: Azure) -> None:
    """None leaves an end open."""
    second = timedelta(seconds=1)
    for name, created in {"before": SINCE - second, "first": SINCE, "last": UNTIL - second, "after": UNTIL}.items():
        managed_image(arm, name, created=created)

    assert ["first", "last"] == names(azure, HERE, SINCE, UNTIL)
    assert ["after", "first", "last"] == names(azure, HERE, SINCE, None)
    assert ["before", "first", "last"] == names(azure, HERE, None, UNTIL)


def test_images_have_the_time_of_creation_that_the_list_tells(arm: Arm, azure: Azure) -> None:
    """A managed image does not know it itself, and a backfill goes by it."""
    managed_image(arm, "web-1", created=SINCE)

    assert [SINCE] == [entry.created_at for entry in surveyed(azure, HERE) if isinstance(entry, Image)]


def test_a_pair_is_its_managed_image(arm: Arm, azure: Azure) -> None:
    """The version is left out, whichever of the two lies in the window; the image is told of once, as it is listed."""
    source = managed_image(arm, "source", created=SINCE - timedelta(days=1))
    gallery_version(arm, "1.0.0", source=source)
    gallery_version(arm, "1.0.1", source=source)

    assert ["source"] == names(azure, HERE)
    assert [] == names(azure, HERE, SINCE, UNTIL)
    assert ["source"] == names(azure, HERE, None, SINCE)


def test_with_gallery_a_pair_is_its_version(arm: Arm, address: str, waits: Waits) -> None:
    """A managed image stands for what still waits for a version, and for nothing else."""
    gallery_version(arm, "1.0.0", source=managed_image(arm, "source"))
    managed_image(arm, "waiting")

    with azure_on(address, Policy(azure_artifact="gallery"), waits.patience()) as azure:
        assert ["gal/web/1.0.0", "waiting"] == names(azure, HERE)


def test_what_another_subscription_owns_is_left_to_it(arm: Arm, azure: Azure) -> None:
    """A version that was made from a managed image elsewhere is that subscription's, open to us or not."""
    gallery_version(arm, "1.0.0", source=managed_image(arm, "elsewhere", subscription=OTHER))
    assert [] == names(azure, HERE)

    arm.fail(403, "AuthorizationFailed", path="/images/elsewhere")
    assert [] == names(azure, HERE)

    arm.fail(401, "ExpiredAuthenticationToken", path="/images/elsewhere")
    with pytest.raises(CredentialsTrouble, match=r"/images/elsewhere \(HTTP 401 ExpiredAuthenticationToken\)\.$"):
        surveyed(azure, HERE)


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


def test_the_documented_role_is_enough(arm: Arm, azure: Azure) -> None:
    """What the person who runs a backfill is told to allow is all that is asked for."""
    managed_image(arm, "web-1")
    gallery_version(arm, "1.0.0")
    for scope in azure.scopes(soon()):
        surveyed(azure, scope)

    assert azure_actions() == {action(path) for path in arm.asked}


def action(path: str) -> str:
    """Return the action that Azure checks for a GET: the resource's type, without the names."""
    provider, *rest = path.split("/providers/")[-1].strip("/").split("/")
    if provider == "subscriptions":
        return "/".join(["Microsoft.Resources/subscriptions", *rest[1:], "read"])
    return "/".join([provider, *rest[::2], "read"])
