"""What a survey of Azure subscriptions finds, and what it asks for."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope
from tests.clouds.azure_account import HERE, OTHER, SINCE, THERE, UNTIL, address, arm, azure, lists, waits
from tests.clouds.azure_stand_in import SUBSCRIPTION, TAGS, azure_on, gallery_version, managed_image, ref, soon
from tests.clouds.permissions import azure_actions
from tests.clouds.surveying import Waits, at_the_same_time, names, surveyed

from packer_publisher.clouds.azure import Azure
from packer_publisher.clouds.azure_survey import READERS
from packer_publisher.errors import ConfigurationError, CredentialsTrouble, Forbidden
from packer_publisher.image import Image, ImageState, Platform, Scope
from packer_publisher.local.arm import Arm
from packer_publisher.local.server import serving
from packer_publisher.policy import Policy

__all__ = ["address", "arm", "azure", "waits"]

THIRD = "55555555-5555-5555-5555-555555555555"


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
