"""How Google Cloud's images are described, through the real SDK against the stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from tests.clouds.gcp_stand_in import LABELS, NOW, OLD, Switchboard, google_on, ref, soon

from packer_publisher.clouds.gcp import GoogleCloud
from packer_publisher.errors import CloudTrouble, ConfigurationError, CredentialsTrouble, Rejected
from packer_publisher.image import Artifact, Image, ImageState
from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.server import serving
from packer_publisher.placement import Placement
from packer_publisher.policy import CONTRACT_KEYS, BucketPolicy, Contract, Policy


@pytest.fixture(scope="module")
def board() -> Switchboard:
    return Switchboard()


@pytest.fixture(scope="module")
def address(board: Switchboard) -> Iterator[str]:
    with serving(board) as address:
        yield address


@pytest.fixture
def compute(board: Switchboard) -> Iterator[ComputeEngine]:
    """Compute Engine without images; nothing that is tested here ever writes to it."""
    compute = board.compute = ComputeEngine(
        projects={"img-proj": "120000000001", "lab": "120000000002"}, now=lambda: OLD
    )
    yield compute
    assert [] == compute.writes


@pytest.fixture
def google(address: str) -> Iterator[GoogleCloud]:
    with google_on(address) as google:
        yield google


def described(google: GoogleCloud, image: str = "web-1") -> Image:
    found = google.describe(ref(image), soon())
    assert found is not None
    return found


def test_an_image_as_packer_would_register_it(compute: ComputeEngine, google: GoogleCloud) -> None:
    """Name and zone make the artifact, the labels are Packer's, and number and project tell namesakes apart."""
    licenses = [
        "https://www.googleapis.com/compute/v1/projects/debian-cloud/global/licenses/debian-12",
        "https://www.googleapis.com/compute/v1/projects/img-proj/global/licenses/own",
    ]
    told = "Web, 24.04"
    _, last = compute.insert_image(
        "web-1",
        zone="europe-west1-b",
        labels=LABELS,
        licenses=licenses,
        diskSizeGb="20",
        description=told,
        family="web",
    )
    assert Image(
        ref=ref("web-1"),
        name="web-1",
        state=ImageState.AVAILABLE,
        created_at=OLD,
        artifacts=(Artifact("europe-west1-b", "web-1"),),
        tags=LABELS,
        architecture="x86_64",
        source=None,
        labels=(
            ("disk_size_gb", "20"),
            ("licenses", ",".join(licenses)),
            ("project_id", "img-proj"),
            ("self_link", "https://www.googleapis.com/compute/v1/projects/img-proj/global/images/web-1"),
        ),
        identity=(("image_id", last["resource"]["labels"]["image_id"]), ("project_id", "img-proj")),
        whole=True,
        description="Web, 24.04",
        family="web",
    ) == described(google)


def test_an_image_is_found_by_its_number_and_described_by_its_name(compute: ComputeEngine, google: GoogleCloud) -> None:
    """Both ways lead to the same value, so that an image is never registered under two identifiers."""
    _, last = compute.insert_image("web-1", labels=LABELS)
    assert described(google) == described(google, last["resource"]["labels"]["image_id"])


def test_an_unknown_image_is_none(compute: ComputeEngine, google: GoogleCloud) -> None:
    """Not there yet, or not any more: Google's own word is needed, which is a 404 of its own shape."""
    assert google.describe(ref("web-2"), soon()) is None
    compute.insert_image("web-2", labels=LABELS)
    compute.delete("web-2")
    assert google.describe(ref("web-2"), soon()) is None
    assert google.describe(ref("7718790431234567890"), soon()) is None


def test_states(compute: ComputeEngine, google: GoogleCloud) -> None:
    """PENDING advances to READY, FAILED stays, DELETING is gone, and what Google may invent is pending."""
    compute.insert_image("web-1", labels=LABELS, pending=2)
    assert [ImageState.PENDING, ImageState.PENDING, ImageState.AVAILABLE] == [described(google).state for _ in range(3)]
    compute.delete("web-1", deleting=1)
    assert ImageState.GONE is described(google).state
    assert google.describe(ref(), soon()) is None
    compute.insert_image("web-2", labels=LABELS, status="FAILED")
    assert ImageState.FAILED is described(google, "web-2").state
    compute.insert_image("web-3", labels=LABELS, status="MIGRATING")
    assert ImageState.PENDING is described(google, "web-3").state


@pytest.mark.parametrize("state", ["", "ACTIVE", "DEPRECATED", "OBSOLETE", "DELETED"])
def test_a_deprecated_image_is_available(compute: ComputeEngine, google: GoogleCloud, state: str) -> None:
    """Deprecation is a mark for people who start new machines; Packer itself sets an empty one on every image."""
    compute.insert_image("web-1", labels=LABELS)
    compute.deprecate("web-1", state=state)
    assert ImageState.AVAILABLE is described(google).state


@pytest.mark.parametrize(
    ("spelled", "architecture"), [("X86_64", "x86_64"), ("ARM64", "arm64"), ("ARCHITECTURE_UNSPECIFIED", None)]
)
def test_architectures(compute: ComputeEngine, google: GoogleCloud, spelled: str, architecture: str | None) -> None:
    """Google's spellings become ours; what it leaves open stays open."""
    compute.insert_image("web-1", labels=LABELS, architecture=spelled)
    assert architecture == described(google).architecture


COPY: dict[str, Any] = {"sourceImage": "projects/img-proj/global/images/web-0", "storageLocations": ["eu"]}


@pytest.mark.parametrize(
    ("source", "region"),
    [
        ({"zone": "us-east1-b"}, "us-east1-b"),
        ({"sourceDisk": "projects/p/regions/us-east1/disks/d", "storageLocations": ["us-east1"]}, "us-east1"),
        (COPY, "eu"),
        ({"sourceSnapshot": "projects/p/global/snapshots/s"}, "us"),
        ({"rawDisk": {"source": "https://storage.googleapis.com/b/o.tar.gz"}}, "us"),
        ({**COPY, "labels": {**LABELS, "hcp-packer-region": "europe-north1-a"}}, "europe-north1-a"),
        ({**COPY, "labels": {**LABELS, "hcp-packer-region": ""}}, "eu"),
        ({"zone": "us-east1-b", "labels": {**LABELS, "hcp-packer-region": "europe-north1-a"}}, "us-east1-b"),
    ],
)
def test_where_an_image_is(compute: ComputeEngine, google: GoogleCloud, source: dict[str, object], region: str) -> None:
    """The zone of the disk that it was made from, else the region label, else where it is stored."""
    compute.insert_image("web-1", **{"labels": LABELS, **source})  # type: ignore[arg-type]  # a table of arguments
    assert (Artifact(region, "web-1"),) == described(google).artifacts


def test_an_image_stored_nowhere_in_particular_is_global(compute: ComputeEngine, google: GoogleCloud) -> None:
    """The last resort, for an image of which nothing names a place."""
    compute.insert_image("web-1", labels=LABELS, sourceSnapshot="projects/p/global/snapshots/s", storageLocations=[])
    assert (Artifact("global", "web-1"),) == described(google).artifacts


def test_a_copy_names_no_parent(compute: ComputeEngine, google: GoogleCloud) -> None:
    """The source image of a copy is the copied image, not what it was built from."""
    compute.insert_image("web-1", labels=LABELS, sourceImage="projects/img-proj/global/images/web-0")
    assert described(google).source is None


def test_a_region_label_that_is_no_place_is_rejected(compute: ComputeEngine, google: GoogleCloud) -> None:
    """A label that breaks the contract is never guessed at."""
    compute.insert_image("web-1", labels={**LABELS, "hcp-packer-region": "us_central1"}, **COPY)
    with pytest.raises(Rejected) as caught:
        described(google)
    assert "web-1 (gce:img-proj): label hcp-packer-region names us_central1, which is no zone or region." == str(
        caught.value
    )
    assert "write it as in us-central1-a" == caught.value.remedy


def test_a_region_label_under_another_key(compute: ComputeEngine, address: str) -> None:
    """The key of the region label is configurable as all others are."""
    keys = {name: (key,) for name, key in CONTRACT_KEYS.items()} | {"region": ("where", "hcp-packer-region")}
    compute.insert_image("web-1", labels={**LABELS, "where": "europe-north1"}, **COPY)
    with google_on(address, Policy(contract=Contract(keys=keys))) as google:
        assert (Artifact("europe-north1", "web-1"),) == described(google).artifacts


def test_a_young_image_of_ours_is_retried_when_it_has_settled(compute: ComputeEngine, address: str) -> None:
    """One second before the settle time it is trouble with the time to wait, then it is described."""
    compute.insert_image("web-1", labels=LABELS, created=NOW - timedelta(seconds=119))
    with google_on(address) as google, pytest.raises(CloudTrouble) as caught:
        google.describe(ref(), soon())
    assert "web-1 (gce:img-proj) is younger than the settle time of 2m." == str(caught.value)
    assert (1.0, "run it again in 1 second") == (caught.value.retry_after, caught.value.remedy)
    with google_on(address, now=NOW + timedelta(seconds=1)) as google:
        assert ImageState.AVAILABLE is described(google).state


def test_a_clock_that_is_behind_waits_no_longer_than_the_settle_time(
    compute: ComputeEngine, google: GoogleCloud
) -> None:
    """An image from the future is a matter of clocks; the wait is bounded."""
    compute.insert_image("web-1", labels=LABELS, created=NOW + timedelta(hours=1))
    with pytest.raises(CloudTrouble) as caught:
        described(google)
    assert (120.0, "run it again in 120 seconds") == (caught.value.retry_after, caught.value.remedy)


@pytest.mark.parametrize("status", ["FAILED", "PENDING"])
def test_settling_delays_only_what_would_be_registered(
    compute: ComputeEngine, google: GoogleCloud, status: str
) -> None:
    """A stranger's image is described at once, and so is one that is not available."""
    compute.insert_image("web-1", created=NOW, labels={"team": "a"})
    assert ImageState.AVAILABLE is described(google).state
    compute.insert_image("web-2", created=NOW, labels=LABELS, status=status)
    assert ImageState[status] is described(google, "web-2").state


def test_no_settling_at_all(compute: ComputeEngine, address: str) -> None:
    """A settle time of zero switches the rule off."""
    compute.insert_image("web-1", created=NOW, labels=LABELS)
    with google_on(address, Policy(settle=timedelta(0))) as google:
        assert ImageState.AVAILABLE is described(google).state


def test_gathering_changes_nothing(compute: ComputeEngine, google: GoogleCloud) -> None:
    """A Google image says itself where it is: it is whole and costs no further call."""
    compute.insert_image("web-1", labels=LABELS)
    image = described(google)
    compute.asked.clear()
    assert image is google.gather(image, Placement("web", "1", "googlecompute", BucketPolicy()), soon())
    assert [] == compute.asked


def test_a_project_named_by_its_number(compute: ComputeEngine, google: GoogleCloud) -> None:
    """One image must not have two owners: the number is refused, with the id to take."""
    compute.insert_image("web-1", labels=LABELS)
    with pytest.raises(Rejected) as caught:
        google.describe(ref("web-1", "120000000001"), soon())
    assert "web-1 was asked for under the number of its project, 120000000001." == str(caught.value)
    assert "name the project by its id, img-proj" == caught.value.remedy


@pytest.mark.parametrize(
    ("project", "image", "problem"),
    [
        ("", "web-1", "nothing is no project of Google Cloud."),
        ("a/b", "web-1", "a/b is no project of Google Cloud."),
        ("img-proj", "", "nothing is no name of a Google Cloud image."),
        ("img-proj", "web-1/deprecate", "web-1/deprecate is no name of a Google Cloud image."),
        ("img-proj", "a" * 64, f"{'a' * 64} is no name of a Google Cloud image."),
        ("img-proj", "Web", "Web is no name of a Google Cloud image."),
    ],
)
def test_an_impossible_address_is_never_asked_for(
    compute: ComputeEngine, google: GoogleCloud, project: str, image: str, problem: str
) -> None:
    """It is rejected before the SDK makes a wrong address of it."""
    with pytest.raises(Rejected) as caught:
        google.describe(ref(image, project), soon())
    assert problem == str(caught.value)
    assert [] == compute.asked


def scanned(google: GoogleCloud, *projects: str) -> list[str]:
    since, until = NOW - timedelta(days=2), NOW
    return [image.at for image in google.scan(since, until, soon(), projects)]


def test_scan_lists_the_tagged_images_of_the_window(compute: ComputeEngine, address: str) -> None:
    """Tagged, created within the window and settled; one of the two required tags is enough to be ours."""
    window_begins = NOW - timedelta(days=2)
    compute.insert_image("in-1", labels=LABELS, created=window_begins)
    compute.insert_image("in-2", labels={"hcp-packer-fingerprint": "1"}, created=NOW - timedelta(minutes=2, seconds=1))
    compute.insert_image("in-3", labels={"hcp-packer-bucket": ""}, created=OLD)
    compute.insert_image("old", labels=LABELS, created=window_begins - timedelta(milliseconds=1))
    compute.insert_image("young", labels=LABELS, created=NOW - timedelta(minutes=2))
    compute.insert_image("strange", labels={"team": "a"}, created=OLD)
    compute.insert_image("bare", created=OLD)
    with google_on(address, GOOGLE_CLOUD_PROJECT="img-proj") as google:
        assert ["in-1 (gce:img-proj)", "in-2 (gce:img-proj)", "in-3 (gce:img-proj)"] == scanned(google)


def test_scan_goes_on_after_an_empty_page(compute: ComputeEngine, google: GoogleCloud) -> None:
    """Google filters a page after it has cut it: an empty one is not the end."""
    compute.page_size = 2
    for number in range(9):
        compute.insert_image(f"web-{number}", labels=LABELS if number in (0, 6, 8) else {}, created=OLD)
    assert ["web-0 (gce:img-proj)", "web-6 (gce:img-proj)", "web-8 (gce:img-proj)"] == scanned(google, "img-proj")
    assert 5 == len(compute.asked)


def test_scan_of_several_projects(compute: ComputeEngine, google: GoogleCloud) -> None:
    """Each project once, each image with its own owner, namesakes included."""
    compute.insert_image("web-1", labels=LABELS, created=OLD)
    compute.insert_image("web-1", labels=LABELS, created=OLD, project="lab")
    assert ["web-1 (gce:img-proj)", "web-1 (gce:lab)"] == scanned(google, "img-proj", "lab", "img-proj")


def test_scan_finds_images_under_configured_keys(compute: ComputeEngine, address: str) -> None:
    """Each configured key is asked for; one with upper case cannot be a Google label and is left out."""
    keys = {name: (key,) for name, key in CONTRACT_KEYS.items()} | {"bucket": ("HCPPackerBucket", "golden")}
    compute.insert_image("web-1", labels={"golden": "web"}, created=OLD)
    compute.insert_image("web-2", labels={"hcp-packer-fingerprint": "1"}, created=OLD)
    compute.insert_image("web-3", labels={"hcp-packer-bucket": "web"}, created=OLD)
    with google_on(address, Policy(contract=Contract(keys=keys))) as google:
        assert ["web-1 (gce:img-proj)", "web-2 (gce:img-proj)"] == scanned(google, "img-proj")


def test_scan_passes_over_a_broken_image_and_remembers_why(compute: ComputeEngine, google: GoogleCloud) -> None:
    """One image that breaks a rule hides no other, and is not forgotten before the next scan."""
    compute.insert_image("web-1", labels={**LABELS, "hcp-packer-region": "-"}, created=OLD, **COPY)
    compute.insert_image("web-2", labels=LABELS, created=OLD)
    assert ["web-2 (gce:img-proj)"] == scanned(google, "img-proj")
    ((link, problem),) = google.broken.items()
    assert "https://www.googleapis.com/compute/v1/projects/img-proj/global/images/web-1" == link
    assert "web-1 (gce:img-proj): label hcp-packer-region names -, which is no zone or region." == str(problem)
    compute.set_labels("web-1", LABELS)
    assert ["web-1 (gce:img-proj)", "web-2 (gce:img-proj)"] == scanned(google, "img-proj")
    assert {} == google.broken


def test_scan_without_an_end(compute: ComputeEngine, google: GoogleCloud) -> None:
    """None leaves an end of the window open, but what has not settled is for a later scan."""
    compute.insert_image("ancient", labels=LABELS, created=NOW - timedelta(days=3000))
    compute.insert_image("recent", labels=LABELS, created=NOW - timedelta(minutes=3))
    compute.insert_image("young", labels=LABELS, created=NOW - timedelta(minutes=1))
    assert ["ancient", "recent"] == [image.name for image in google.scan(None, None, soon(), ["img-proj"])]


def test_scan_needs_a_project(google: GoogleCloud) -> None:
    """Without one there is nothing to list, and that is said."""
    with pytest.raises(ConfigurationError) as caught:
        scanned(google)
    assert "Google Cloud cannot be scanned: no project is named." == str(caught.value)
    assert "set GOOGLE_CLOUD_PROJECT" == caught.value.remedy


def test_scan_of_the_projects_of_a_deployment(compute: ComputeEngine, address: str) -> None:
    """A deployment that hears of several projects names them, in place of its own; of a closed one it tells."""
    compute.projects = {**compute.projects, "team": "120000000003"}
    for project in ("img-proj", "lab", "team"):
        compute.insert_image("web-1", labels=LABELS, created=OLD, project=project)
    with google_on(address, GOOGLE_CLOUD_PROJECT="img-proj", PUBLISHER_PROJECTS="lab, nowhere team") as google:
        assert ["web-1 (gce:lab)", "web-1 (gce:team)"] == scanned(google)
        assert ["nowhere"] == list(google.denied)
        assert ["web-1 (gce:img-proj)"] == scanned(google, "img-proj")
        assert {} == google.denied
    with google_on(address, GOOGLE_CLOUD_PROJECT="img-proj", PUBLISHER_PROJECTS="lab 123456789") as google:
        with pytest.raises(ConfigurationError) as caught:
            scanned(google)
        assert "PUBLISHER_PROJECTS names 123456789, which is no id of a project." == str(caught.value)


def test_scan_of_an_unknown_project_is_no_empty_one(compute: ComputeEngine, google: GoogleCloud) -> None:
    """Google says 404 of what it does not show, too: that is never taken for an absence of images."""
    with pytest.raises(CredentialsTrouble) as caught:
        scanned(google, "nowhere")
    assert "Google Cloud knows no project nowhere, or does not show it to this identity." == str(caught.value)
