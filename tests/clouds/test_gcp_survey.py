"""What a survey of Google Cloud projects finds, and what becomes of it where Google throttles, refuses or expires."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope
from tests.clouds.gcp_stand_in import LABELS, NOW, OLD, Switchboard, google_on, soon
from tests.clouds.permissions import google_permissions
from tests.clouds.surveying import Waits, at_the_same_time, names, surveyed

from packer_publisher.clouds.gcp import GoogleCloud
from packer_publisher.errors import CloudTrouble, ConfigurationError, CredentialsTrouble, Forbidden
from packer_publisher.image import Image, ImageState, Platform, Scope, Unread
from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.server import serving
from packer_publisher.policy import Contract, Policy

HERE, THERE = Scope(Platform.GCE, "img-proj"), Scope(Platform.GCE, "other-proj")
ROLE = "grant compute.images.get and compute.images.list in project img-proj to this identity, as infra/gcp does"


@pytest.fixture(scope="module")
def board() -> Switchboard:
    return Switchboard()


@pytest.fixture(scope="module")
def address(board: Switchboard) -> Iterator[str]:
    with serving(board) as address:
        yield address


@pytest.fixture
def compute(board: Switchboard) -> Iterator[ComputeEngine]:
    """Two projects; a fault that was never met fails the test."""
    projects = {"img-proj": "120000000001", "other-proj": "120000000002"}
    compute = board.compute = ComputeEngine(projects=projects, page_size=2, now=lambda: OLD)
    yield compute
    assert 0 == compute.unmet_faults


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def google(compute: ComputeEngine, address: str, waits: Waits) -> Iterator[GoogleCloud]:
    with google_on(address, patience=waits.patience()) as google:
        yield google


def put(compute: ComputeEngine, *names: str, **more: Any) -> None:
    """Insert images that carry the labels of a build."""
    for name in names:
        compute.insert_image(name, **{"labels": LABELS, **more})


def test_the_scopes_are_the_projects_that_are_named(compute: ComputeEngine, address: str) -> None:
    """Each once; without any it is the one that is set. Nobody is asked."""
    with google_on(address, GOOGLE_CLOUD_PROJECT="set-proj") as google:
        assert (HERE, THERE) == google.scopes(soon(), ["other-proj", "img-proj", "other-proj"])
        assert (Scope(Platform.GCE, "set-proj"),) == google.scopes(soon())
    assert [] == compute.asked


def test_a_survey_needs_a_project(google: GoogleCloud) -> None:
    """Compute Engine lists no projects: where none is named there is nothing to survey."""
    with pytest.raises(ConfigurationError) as caught:
        google.scopes(soon())

    assert (
        "Google Cloud cannot be surveyed: no project is named.",
        "name projects, or set GOOGLE_CLOUD_PROJECT",
    ) == (str(caught.value), caught.value.remedy)


@pytest.mark.parametrize(
    ("named", "text"),
    [
        (["120000000001"], "120000000001 is no id of a Google Cloud project."),
        (["img-proj", "Images", "../img"], "../img and Images are no id of a Google Cloud project."),
    ],
)
def test_a_project_is_named_by_its_id(named: list[str], text: str, google: GoogleCloud) -> None:
    """By its number its images would have a second owner."""
    with pytest.raises(ConfigurationError) as caught:
        google.scopes(soon(), named)

    assert (text, "`gcloud projects list` names the ids; numbers and display names are none") == (
        str(caught.value),
        caught.value.remedy,
    )


def test_a_survey_finds_images_in_every_state(compute: ComputeEngine, google: GoogleCloud) -> None:
    """Half-tagged, deprecated and brand-new ones too; what is being deleted is none any more."""
    put(compute, "tagged", "deprecated", "obsolete", "deleting")
    put(compute, "new", created=NOW)
    put(compute, "half", labels={"hcp-packer-fingerprint": "4f2a9c1-812"})
    put(compute, "expecting", labels={"hcp-packer-expects": "gce"})
    put(compute, "failed", status="FAILED")
    put(compute, "pending", pending=9)
    put(compute, "untagged", labels={"team": "web"})
    put(compute, "elsewhere", project="other-proj")
    compute.deprecate("deprecated", state="DEPRECATED")
    compute.deprecate("obsolete", state="OBSOLETE")
    compute.delete("deleting", deleting=9)
    states = dict.fromkeys(["deprecated", "expecting", "half", "new", "obsolete", "tagged"], ImageState.AVAILABLE) | {
        "failed": ImageState.FAILED,
        "pending": ImageState.PENDING,
    }

    tagged = [entry for entry in surveyed(google, HERE) if isinstance(entry, Image)]

    assert states == {image.name: image.state for image in tagged}
    assert {"gce:img-proj"} == {image.owner for image in tagged}
    assert sorted([*states, "untagged"]) == names(google, HERE, tagged=False)
    assert ["elsewhere"] == names(google, THERE)


def test_the_server_leaves_out_what_is_not_ours(compute: ComputeEngine, google: GoogleCloud, waits: Waits) -> None:
    """Pages without an image of ours are not the end; all images take as many pages, and are all shown."""
    put(compute, "a-1", "a-2", "a-3", labels={"team": "web"})
    put(compute, "b-1")

    assert ["b-1"] == names(google, HERE)
    assert 2 == len(compute.asked)
    assert ["a-1", "a-2", "a-3", "b-1"] == names(google, HERE, tagged=False)


def test_a_contract_that_google_cannot_hold_makes_nothing_ours(
    compute: ComputeEngine, address: str, waits: Waits
) -> None:
    """A contract in capital letters has no label in Google Cloud: nothing is ours, and all images are no answer."""
    keys = {name: (name.upper(),) for name in Policy().contract.keys}
    put(compute, "tagged")

    with google_on(address, Policy(contract=replace(Contract(), keys=keys)), patience=waits.patience()) as google:
        assert [] == names(google, HERE)
        assert ["tagged"] == names(google, HERE, tagged=False)


def test_a_survey_reads_every_page_of_every_project(compute: ComputeEngine, google: GoogleCloud) -> None:
    """Projects at the same time, each from its own thread."""
    put(compute, *(f"web-{n}" for n in range(9)))
    put(compute, *(f"db-{n}" for n in range(8)), project="other-proj")

    found = at_the_same_time(google, (HERE, THERE))

    assert [f"web-{n}" for n in range(9)] == found[HERE]
    assert [f"db-{n}" for n in range(8)] == found[THERE]
    assert 5 + 4 == len(compute.asked)


def test_each_thread_has_its_own_connection(compute: ComputeEngine, waits: Waits) -> None:
    """requests, under the SDK, promises nothing to threads that share a session; each keeps to its own."""
    put(compute, "web-1")
    ports: list[object] = []

    async def noted(scope: AsgiScope, receive: Receive, send: Send) -> None:
        ports.append(scope["client"][1])
        await compute.app(scope, receive, send)

    with serving(noted) as address, google_on(address, patience=waits.patience()) as google:
        threads = [threading.Thread(target=lambda: [names(google, HERE) for _ in range(2)]) for _ in range(2)]
        for thread in threads:  # one after the other: what is shared would be used again
            thread.start()
            thread.join()

    assert [ports[0], ports[0], ports[2], ports[2]] == ports
    assert ports[0] != ports[2]


def test_a_survey_takes_one_page_at_a_time(compute: ComputeEngine, google: GoogleCloud) -> None:
    """The next one is asked for when the last image of this one was taken."""
    put(compute, *(f"web-{n}" for n in range(6)))

    found = google.survey(HERE, None, None, tagged=True)

    assert [] == compute.asked
    for number in range(5):
        next(found)
        assert 1 + number // 2 == len(compute.asked)


def test_a_window_takes_in_its_first_moment_and_leaves_out_its_last(
    compute: ComputeEngine, google: GoogleCloud
) -> None:
    """None leaves an end open."""
    since, until, second = OLD, OLD + timedelta(hours=2), timedelta(seconds=1)
    for name, created in {"before": since - second, "first": since, "last": until - second, "after": until}.items():
        put(compute, name, created=created)

    assert ["first", "last"] == names(google, HERE, since, until)
    assert ["after", "first", "last"] == names(google, HERE, since, None)
    assert ["before", "first", "last"] == names(google, HERE, None, until)


def test_an_image_that_vanishes_meanwhile_is_not_there(compute: ComputeEngine, google: GoogleCloud) -> None:
    """It is deleted while the list is read; those around it are found."""
    put(compute, *(f"web-{n}" for n in range(6)))

    found = google.survey(HERE, None, None, tagged=True)
    first = next(found)
    compute.delete("web-3")

    assert isinstance(first, Image)
    assert ["web-0", "web-1", "web-2", "web-4", "web-5"] == [
        first.name,
        *(entry.name for entry in found if isinstance(entry, Image)),
    ]


def test_throttling_is_waited_out(compute: ComputeEngine, google: GoogleCloud, waits: Waits) -> None:
    """In the middle of a list; Google's Retry-After is kept, however long, and it throttles with 403, too."""
    put(compute, *(f"web-{n}" for n in range(4)))
    compute.fail(429, "rateLimitExceeded", retry_after=90, times=2, after=1)
    compute.fail(403, "rateLimitExceeded", times=2, after=1)
    compute.fail(503, "backendError", after=1)

    assert [f"web-{n}" for n in range(4)] == names(google, HERE)
    assert [90.5, 91.0, 2.0, 4.0, 8.0] == waits.seconds


def test_throttling_without_end_is_given_up(compute: ComputeEngine, google: GoogleCloud, waits: Waits) -> None:
    """After ten tries, or where Google asks for more than ten minutes, the project is in trouble."""
    compute.fail(429, "rateLimitExceeded", times=10)
    with pytest.raises(CloudTrouble) as caught:
        surveyed(google, HERE)
    assert (
        "Google Cloud throttles; it did not show the images of project img-proj (HTTP 429 rateLimitExceeded).",
        9,
    ) == (str(caught.value), len(waits.seconds))

    compute.fail(429, "rateLimitExceeded", retry_after=601)
    with pytest.raises(CloudTrouble) as caught:
        surveyed(google, HERE)
    assert (601.0, 9) == (caught.value.retry_after, len(waits.seconds))


def test_a_refusal_is_asked_again_but_not_for_minutes(
    compute: ComputeEngine, google: GoogleCloud, waits: Waits
) -> None:
    """It may be a proxy's, and it may pass; it is no empty project."""
    compute.fail(400, "invalid", times=3)

    with pytest.raises(CloudTrouble) as caught:
        surveyed(google, HERE)

    assert "Google Cloud did not show the images of project img-proj (HTTP 400 invalid)." == str(caught.value)
    assert [0.5, 1.0] == waits.seconds


def test_credentials_that_expire_in_the_middle_end_it(
    compute: ComputeEngine, google: GoogleCloud, waits: Waits
) -> None:
    """What was found until then was found; no other project would fare better, so it is no denied one."""
    put(compute, *(f"web-{n}" for n in range(4)))
    compute.fail(401, "authError", after=1)

    found = google.survey(HERE, None, None, tagged=True)
    taken = [next(found), next(found)]
    with pytest.raises(CredentialsTrouble) as caught:
        next(found)

    assert (2, CredentialsTrouble) == (len(taken), type(caught.value))
    # The SDK answers 401 by renewing the token, which is what fails: here nobody has one.
    assert "No token to ask Google Cloud for the images of project img-proj (InvalidOperation)." == str(caught.value)
    assert [] == waits.seconds


def test_a_project_that_denies_access_is_told_from_credentials_that_are_no_good(
    compute: ComputeEngine, google: GoogleCloud
) -> None:
    """The others go on."""
    put(compute, "elsewhere", project="other-proj")
    compute.deny("img-proj")

    with pytest.raises(Forbidden) as caught:
        surveyed(google, HERE)

    assert ("Google Cloud refused to show the images of project img-proj (HTTP 403 forbidden).", ROLE) == (
        str(caught.value),
        caught.value.remedy,
    )
    assert ["elsewhere"] == names(google, THERE)


def test_a_project_without_compute_engine_denies_access(compute: ComputeEngine, google: GoogleCloud) -> None:
    """What to enable is told; other projects may have it."""
    compute.fail(403, "accessNotConfigured")

    with pytest.raises(Forbidden) as caught:
        surveyed(google, HERE)

    assert "enable the Compute Engine API (compute.googleapis.com) in project img-proj" == caught.value.remedy


def test_a_project_that_google_does_not_know_denies_access(google: GoogleCloud) -> None:
    """Google tells a stranger no more than that: a slip of the pen never looks like an empty project."""
    with pytest.raises(Forbidden) as caught:
        surveyed(google, Scope(Platform.GCE, "img-porj"))

    assert "Google Cloud knows no project img-porj, or does not show it to this identity." == str(caught.value)


def test_an_image_that_cannot_be_read_is_told_and_stops_no_other(compute: ComputeEngine, google: GoogleCloud) -> None:
    """It is there, so it is never passed over in silence."""
    put(compute, "broken", labels={**LABELS, "hcp-packer-region": "1-a_b"}, rawDisk={"source": "gs://b/o"})
    put(compute, "web-1")

    unread, image = surveyed(google, HERE)

    assert unread == Unread(
        HERE,
        "https://www.googleapis.com/compute/v1/projects/img-proj/global/images/broken",
        "broken (gce:img-proj): label hcp-packer-region names 1-a_b, which is no zone or region.",
        "write it as in us-central1-a",
    )
    assert isinstance(image, Image)
    assert "web-1" == image.name
    assert ({}, {}) == (google.broken, google.denied)


def test_the_documented_role_is_enough(compute: ComputeEngine, google: GoogleCloud) -> None:
    """A survey lists; what is published afterwards is looked at once more."""
    put(compute, "web-1")
    surveyed(google, HERE)
    assert {"GET /compute/v1/projects/img-proj/global/images"} == set(compute.asked)
    assert {"compute.images.get", "compute.images.list"} == google_permissions()
