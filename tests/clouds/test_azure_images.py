"""How Azure's images are described, through the real SDK against the stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest
from tests.clouds.azure_stand_in import (
    SUBSCRIPTION,
    TAGS,
    azure_on,
    gallery_version,
    managed_image,
    ref,
    registered,
    soon,
)

from packer_publisher.clouds.azure import Azure
from packer_publisher.errors import Rejected
from packer_publisher.image import Artifact, Image, ImageState
from packer_publisher.local.arm import Arm
from packer_publisher.local.server import serving
from packer_publisher.policy import Policy

CREATED = datetime(2026, 10, 1, 10, 0, tzinfo=UTC)
OTHER = "99999999-9999-9999-9999-999999999999"
GALLERY = Policy(azure_artifact="gallery")


@pytest.fixture(scope="module")
def arm() -> Arm:
    return Arm(subscriptions=(SUBSCRIPTION, OTHER))


@pytest.fixture(scope="module")
def address(arm: Arm) -> Iterator[str]:
    with serving(arm.app) as address:
        yield address


@pytest.fixture
def azure(address: str) -> Iterator[Azure]:
    """The adapter with Packer's own choice: the managed image is the artifact."""
    with azure_on(address) as azure:
        yield azure


@pytest.fixture
def gallery(address: str) -> Iterator[Azure]:
    """The adapter with the gallery image version as the artifact."""
    with azure_on(address, GALLERY) as azure:
        yield azure


def described(azure: Azure, identifier: str) -> Image:
    image = azure.describe(ref(identifier), soon())
    assert image is not None
    return image


def test_a_managed_image_is_its_own_artifact(arm: Arm, azure: Azure) -> None:
    """Region, tags and Packer's labels come from the image; its id stays as the event spells it."""
    identifier = managed_image(arm, location="West Europe", created=CREATED)
    assert Image(
        ref=ref(identifier),
        name="web-1",
        state=ImageState.AVAILABLE,
        created_at=CREATED,
        artifacts=(Artifact("westeurope", registered(identifier)),),
        tags=TAGS,
        labels=(
            ("managed_image_name", "web-1"),
            ("managed_image_resourcegroup_name", "rg-images"),
            ("os_type", "Linux"),
        ),
    ) == described(azure, identifier)


def test_azure_s_own_casing_is_not_taken_over(arm: Arm, azure: Azure) -> None:
    """ARM answers with the resource group in upper case; what is recorded are the names that the event said."""
    identifier = managed_image(arm)
    assert "/resourceGroups/RG-IMAGES/" in arm.resource(arm.image_id("rg-images", "web-1"))["id"]
    assert "/resourcegroups/rg-images/" in identifier
    (artifact,) = described(azure, identifier).artifacts
    assert arm.image_id("rg-images", "web-1") == artifact.external_identifier


def test_an_id_in_any_casing_finds_the_image(arm: Arm, azure: Azure) -> None:
    """Ids are compared without case."""
    assert described(azure, managed_image(arm).upper().replace(SUBSCRIPTION.upper(), SUBSCRIPTION)).name == "WEB-1"


def test_an_image_tells_its_creation_itself_where_it_can(arm: Arm, azure: Azure) -> None:
    """With systemData no list of resources is asked for."""
    identifier = managed_image(arm, "timed", created=CREATED, system_data=True)
    before = len(arm.asked)
    assert described(azure, identifier).created_at == CREATED
    assert len(arm.asked) == before + 1


def test_an_image_of_unknown_age_counts_as_new(address: str, arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither the image nor the list tells its creation, it gives way to any rival whose age is known."""
    identifier = managed_image(arm, "timeless", created=CREATED)
    monkeypatch.setattr(arm, "created_time_in_lists", False)
    azure = Azure(Policy(), environ={"PUBLISHER_ARM_ENDPOINT": address}, now=lambda: datetime(2026, 11, 21, tzinfo=UTC))
    with closing(azure):
        assert datetime(2026, 11, 21, tzinfo=UTC) == described(azure, identifier).created_at


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("Succeeded", ImageState.AVAILABLE),
        ("Creating", ImageState.PENDING),
        ("Updating", ImageState.PENDING),
        ("Migrating", ImageState.PENDING),
        ("SomethingNew", ImageState.PENDING),
        ("Failed", ImageState.FAILED),
        ("Canceled", ImageState.FAILED),
        ("Deleting", ImageState.GONE),
    ],
)
def test_provisioning_decides_the_state(arm: Arm, azure: Azure, gallery: Azure, word: str, state: ImageState) -> None:
    """Both kinds of images are available once they are provisioned; a word yet to come will change by itself."""
    assert described(azure, managed_image(arm, "stated", state=word)).state is state
    assert described(gallery, gallery_version(arm, "9.0.0", state=word)).state is state


def test_an_image_that_is_not_there_is_none(arm: Arm, azure: Azure) -> None:
    """Azure's own NotFound is None: of the image, of its gallery, of its resource group."""
    managed_image(arm)
    for identifier in (
        arm.image_id("rg-images", "never-made"),
        arm.image_id("rg-never-made", "web-1"),
        arm.version_id("rg-images", "never-made", "web", "1.0.0"),
    ):
        assert azure.describe(ref(identifier), soon()) is None


def test_only_images_are_described(azure: Azure) -> None:
    """Any other id is rejected with what an id looks like, before Azure is asked."""
    with pytest.raises(Rejected) as raised:
        azure.describe(ref(f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"), soon())
    assert (
        str(raised.value)
        == f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg is no id of a managed image or of a gallery image version."
    )
    assert raised.value.remedy == (
        "name it as /subscriptions/…/providers/Microsoft.Compute/images/NAME "
        "or …/galleries/GALLERY/images/DEFINITION/versions/1.2.3"
    )


def test_each_target_region_of_a_version_is_an_artifact(arm: Arm, gallery: Azure) -> None:
    """The same id in each region, spelled one way, the version's own location first."""
    identifier = gallery_version(
        arm, "1.0.1", target_regions=("West Europe", "East US", "east us"), location="eastus", created=CREATED
    )
    image = described(gallery, identifier)
    assert tuple(Artifact(region, registered(identifier)) for region in ("eastus", "westeurope")) == image.artifacts
    assert (ImageState.AVAILABLE, True, CREATED) == (image.state, image.whole, image.created_at)
    assert image.labels == (
        ("sig_image_name", "web"),
        ("sig_image_version", "1.0.1"),
        ("sig_name", "gal"),
        ("sig_replicated_regions", "eastus, westeurope"),
        ("sig_resource_group", "rg-images"),
    )


def test_packer_s_single_region_is_a_setting(arm: Arm, address: str) -> None:
    """``single`` records the version's own location alone; the label still tells all."""
    identifier = gallery_version(arm, "1.0.2", target_regions=("West Europe", "East US"))
    with azure_on(address, Policy(azure_artifact="gallery", azure_gallery_regions="single")) as azure:
        image = described(azure, identifier)
    assert (Artifact("eastus", registered(identifier)),) == image.artifacts
    assert ("sig_replicated_regions", "eastus, westeurope") in image.labels


def test_a_version_without_target_regions_lies_where_it_is(arm: Arm, gallery: Azure) -> None:
    """No target region means its own location."""
    identifier = gallery_version(arm, "1.0.3", target_regions=())
    assert (Artifact("eastus", registered(identifier)),) == described(gallery, identifier).artifacts


def test_a_version_is_pending_until_every_region_has_it(arm: Arm, gallery: Azure) -> None:
    """The write succeeds, then replication goes on; only its end makes the image available."""
    identifier = gallery_version(arm, "1.1.0", target_regions=("East US", "West US"), creating=1, replicating=1)
    states = [described(gallery, identifier).state for _ in range(3)]
    assert [ImageState.PENDING, ImageState.PENDING, ImageState.AVAILABLE] == states


def test_a_failed_replica_fails_the_version(arm: Arm, gallery: Azure) -> None:
    """A region that failed while nothing is under way will not come by itself."""
    identifier = gallery_version(arm, "1.1.1", target_regions=("East US", "West US"), replication={"West US": "Failed"})
    assert described(gallery, identifier).state is ImageState.FAILED


def test_a_failed_replica_waits_for_the_others(arm: Arm, gallery: Azure) -> None:
    """While a region is still being replicated the version is pending, whatever became of another one."""
    identifier = gallery_version(
        arm,
        "1.1.2",
        target_regions=("East US", "West US"),
        replication={"West US": "Failed", "East US": "Replicating"},
    )
    assert described(gallery, identifier).state is ImageState.PENDING


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({"aggregatedState": "Completed", "summary": []}, ImageState.AVAILABLE),
        (
            {"aggregatedState": "Completed", "summary": [{"region": "East US", "state": "Completed"}]},
            ImageState.PENDING,
        ),
        ({"aggregatedState": "InProgress", "summary": []}, ImageState.PENDING),
        ({"aggregatedState": "Unknown", "summary": []}, ImageState.PENDING),
        (None, ImageState.PENDING),
    ],
    ids=["no regions told", "a region untold", "in progress", "unknown", "nothing told"],
)
def test_what_azure_does_not_say_is_not_there_yet(
    arm: Arm, gallery: Azure, status: dict[str, object] | None, state: ImageState
) -> None:
    """A target region that was just added has no replica yet, and silence is no completion."""
    identifier = gallery_version(arm, "1.1.3", target_regions=("East US", "West US"))
    arm.resource(arm.version_id("rg-images", "gal", "web", "1.1.3"))["properties"]["replicationStatus"] = status
    assert described(gallery, identifier).state is state


@pytest.mark.parametrize(("spelled", "architecture"), [("x64", "x86_64"), ("Arm64", "arm64"), ("", None)])
def test_the_definition_tells_a_version_s_architecture(
    arm: Arm, gallery: Azure, spelled: str, architecture: str | None
) -> None:
    """Only gallery image definitions know the architecture; an old one may not."""
    assert described(gallery, gallery_version(arm, "1.2.0", architecture=spelled)).architecture == architecture


def test_a_version_leads_to_the_managed_image_it_was_made_from(arm: Arm, azure: Azure) -> None:
    """By default the event of a version converges the managed image, exactly as that image's own event does."""
    source = managed_image(arm, "source-1", created=CREATED)
    made = gallery_version(arm, "2.0.0", source=source, architecture="Arm64", replicating=9)
    assert described(azure, source) == described(azure, made)


@pytest.mark.parametrize("end", ["deleted", "deleting", "untagged"])
def test_a_version_stands_for_a_managed_image_that_is_gone(arm: Arm, azure: Azure, end: str) -> None:
    """Where the managed image is gone, or only the version was tagged, the version is the artifact."""
    source = managed_image(arm, "source-2")
    typed = arm.image_id("rg-images", "source-2")
    made = gallery_version(arm, "2.0.1", source=source)
    match end:
        case "deleted":
            arm.delete(typed)
        case "deleting":
            arm.set_state(typed, "Deleting")
        case _:
            arm.write_tags(typed, {"owner": "somebody"})
    assert (Artifact("eastus", registered(made)),) == described(azure, made).artifacts


def test_an_untagged_pair_stays_untagged(arm: Arm, azure: Azure) -> None:
    """Where neither is tagged nothing is ours, whichever is looked at."""
    made = gallery_version(arm, "2.0.2", source=managed_image(arm, "source-3", tags={}), tags={})
    assert described(azure, made).tags == {}


def test_a_version_of_a_virtual_machine_has_no_managed_image(arm: Arm, azure: Azure, gallery: Azure) -> None:
    """Captured from a machine, the version is the artifact under both settings."""
    made = gallery_version(arm, "2.1.0")
    assert described(azure, made) == described(gallery, made)
    assert described(azure, made).whole is True


def test_a_version_of_a_version_is_its_own_artifact(arm: Arm, azure: Azure) -> None:
    """A promotion from another gallery is followed no further."""
    made = gallery_version(arm, "2.1.2", source=gallery_version(arm, "2.1.1"))
    assert (Artifact("eastus", registered(made)),) == described(azure, made).artifacts


def test_with_gallery_a_managed_image_waits_for_its_version(arm: Arm, gallery: Azure) -> None:
    """The managed image alone is a build that is not whole; its version is."""
    source = managed_image(arm, "source-4")
    made = gallery_version(arm, "2.2.0", source=source)
    alone, version = described(gallery, source), described(gallery, made)
    assert (False, "its gallery image version") == (alone.whole, alone.lacks)
    assert (True, "", (Artifact("eastus", registered(made)),)) == (version.whole, version.lacks, version.artifacts)


def test_a_managed_image_of_another_subscription_is_its_owner_s(arm: Arm, azure: Azure) -> None:
    """A version made from it leads to it, and so to the other subscription's name."""
    source = managed_image(arm, "shared", subscription=OTHER, created=CREATED)
    image = described(azure, gallery_version(arm, "2.3.0", source=source))
    assert (f"azure:{OTHER}", True) == (image.owner, image.whole)


def test_a_managed_image_that_may_not_be_read_is_its_owner_s_too(arm: Arm, azure: Azure) -> None:
    """Refused in another subscription, its function is left to record it; nothing can be filled from here."""
    source = managed_image(arm, "secret", subscription=OTHER)
    made = gallery_version(arm, "2.3.1", source=source)
    arm.fail(403, "AuthorizationFailed", path="/images/secret")
    image = described(azure, made)
    assert (f"azure:{OTHER}", False, f"the function of subscription {OTHER}", ()) == (
        image.owner,
        image.whole,
        image.lacks,
        image.artifacts,
    )


def test_gathering_changes_nothing(arm: Arm, azure: Azure) -> None:
    """An Azure image says itself where it is."""
    image = described(azure, managed_image(arm))
    assert azure.gather(image, None, soon()) is image  # type: ignore[arg-type]  # the placement takes no part


def test_nothing_in_azure_is_ever_changed(arm: Arm, azure: Azure) -> None:
    """No request but GET is sent, even where Azure asks for a provider to be registered."""
    identifier = managed_image(arm, "unregistered")
    arm.fail(409, "MissingSubscriptionRegistration", "The subscription is not registered to use 'Microsoft.Compute'.")
    described(azure, identifier)
    assert (arm.refused_writes, arm.unmet_faults) == ([], 0)
