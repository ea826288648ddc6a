"""The stand-in of Compute Engine: what it shows, filters and refuses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from google.api_core.exceptions import (
    BadRequest,
    Conflict,
    Forbidden,
    GoogleAPICallError,
    NotFound,
    PreconditionFailed,
    TooManyRequests,
)
from google.auth.credentials import AnonymousCredentials
from google.cloud.compute_v1 import DeprecationStatus, GlobalSetLabelsRequest, Image, ImagesClient

from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.compute_images import Refusal
from packer_publisher.local.server import serving
from tests.clouds.gcp_stand_in import LABELS, OLD, Switchboard

DISK = "projects/build-proj/zones/us-central1-a/disks/packer-6700"


@pytest.fixture(scope="module")
def board() -> Switchboard:
    return Switchboard()


@pytest.fixture(scope="module")
def address(board: Switchboard) -> Iterator[str]:
    with serving(board) as address:
        yield address


@pytest.fixture(scope="module")
def client(address: str) -> ImagesClient:
    """The real SDK, whose calls may write."""
    return ImagesClient(
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]  # of google-auth
        client_options={"api_endpoint": address},
    )


@pytest.fixture
def compute(board: Switchboard) -> ComputeEngine:
    board.compute = ComputeEngine(now=lambda: OLD)
    return board.compute


def test_an_image_is_what_was_inserted(compute: ComputeEngine, client: ImagesClient) -> None:
    """Through the SDK, as Packer does it: partial URLs come back whole, the rest as it was given."""
    resource = Image(name="web-1", source_disk=f"/compute/v1/{DISK}", labels=LABELS, storage_locations=["eu"])
    client.insert_unary(project="img-proj", image_resource=resource)
    found = client.get(project="img-proj", image="web-1")
    assert f"https://www.googleapis.com/compute/v1/{DISK}" == found.source_disk
    assert (LABELS, ["eu"], "READY") == (dict(found.labels), list(found.storage_locations), found.status)
    assert "2026-11-20T05:00:00.000-07:00" == found.creation_timestamp
    assert found == client.get(project="120000000001", image=str(found.id))
    assert "deprecated" not in found


def test_deprecation_is_set_and_taken_away(compute: ComputeEngine, client: ImagesClient) -> None:
    """An empty status, which Packer always sends, leaves no mark."""
    compute.insert_image("web-1")
    for state, marked in (("OBSOLETE", True), ("", False)):
        status = DeprecationStatus(state=state) if state else DeprecationStatus()
        client.deprecate_unary(project="img-proj", image="web-1", deprecation_status_resource=status)
        assert marked is ("deprecated" in client.get(project="img-proj", image="web-1"))


def statuses(client: ImagesClient, reads: int) -> list[str]:
    return [client.get(project="img-proj", image="web-1").status for _ in range(reads)]


def test_states_advance_with_each_read(compute: ComputeEngine, client: ImagesClient) -> None:
    """PENDING for a while, then READY; DELETING for a while, then no more; a list only looks."""
    compute.insert_image("web-1", pending=2)
    assert ["PENDING"] == [image.status for image in client.list(project="img-proj")]
    assert ["PENDING", "PENDING", "READY", "READY"] == statuses(client, 4)
    compute.delete("web-1", deleting=1)
    assert ["DELETING"] == statuses(client, 1)
    with pytest.raises(NotFound):
        client.get(project="img-proj", image="web-1")
    assert [] == list(client.list(project="img-proj"))


def test_a_name_may_be_given_again(compute: ComputeEngine, client: ImagesClient) -> None:
    """To another image with another number, once the first is deleted; not before."""
    (_, first) = compute.insert_image("web-1")
    with pytest.raises(Refusal, match="already exists"):
        compute.insert_image("web-1")
    compute.delete("web-1")
    (_, second) = compute.insert_image("web-1")
    assert first["resource"]["labels"]["image_id"] != second["resource"]["labels"]["image_id"]
    assert second["resource"]["labels"]["image_id"] == str(client.get(project="img-proj", image="web-1").id)


def listed(client: ImagesClient, expression: str) -> list[str]:
    return [image.name for image in client.list(request={"project": "img-proj", "filter": expression})]


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("", ["a", "b", "c"]),
        ("labels.team:*", ["a", "b"]),
        ("labels.hcp-packer-bucket:*", ["b", "c"]),
        ("labels.team=x", ["a"]),
        ('labels.team = "y"', ["b"]),
        ("labels.team!=x", ["b", "c"]),
        ("name=c", ["c"]),
        ("status=READY", ["a", "b", "c"]),
        ("family=web", []),
        ("(labels.team=x) OR (name=c)", ["a", "c"]),
        ("(labels.team:*) (labels.hcp-packer-bucket:*)", ["b"]),
        ("labels.team:* AND labels.hcp-packer-bucket:*", ["b"]),
        ("name=a OR name=b AND labels.hcp-packer-bucket:*", ["b"]),
        ("((name=a) OR (name=b))", ["a", "b"]),
    ],
)
def test_filters(compute: ComputeEngine, client: ImagesClient, expression: str, names: list[str]) -> None:
    """Presence and equality, joined as AIP-160 says: OR binds tighter than AND."""
    compute.insert_image("a", labels={"team": "x"})
    compute.insert_image("b", labels={"team": "y", "hcp-packer-bucket": "web"})
    compute.insert_image("c", labels={"hcp-packer-bucket": ""})
    assert names == listed(client, expression)


@pytest.mark.parametrize(
    "expression",
    ["labels.team", "name=", "name eq web.*", "(name=a", "name=a)", "OR", "name=a OR", "colour=red", "size>3", "AND"],
)
def test_filters_that_are_not_understood(compute: ComputeEngine, client: ImagesClient, expression: str) -> None:
    """A filter is refused rather than ignored, also where there is nothing to filter."""
    with pytest.raises(BadRequest) as caught:
        listed(client, expression)
    assert caught.value.message.endswith(
        f"Invalid value for field 'filter': '{expression}'. Invalid list filter expression."
    )


def test_pages(compute: ComputeEngine, client: ImagesClient, address: str) -> None:
    """A page holds what was asked for at most, in order of name; filtering may leave it empty."""
    for name in ("e", "b", "d", "a", "c"):
        compute.insert_image(name, labels={"team": "x"} if name in "be" else {})
    pages = list(client.list(request={"project": "img-proj", "max_results": 2}).pages)
    assert [["a", "b"], ["c", "d"], ["e"]] == [[image.name for image in page.items] for page in pages]
    pages = list(client.list(request={"project": "img-proj", "max_results": 2, "filter": "labels.team:*"}).pages)
    assert [["b"], [], ["e"]] == [[image.name for image in page.items] for page in pages]
    empty = httpx.get(f"{address}/compute/v1/projects/img-proj/global/images?filter=name=f", trust_env=False).json()
    assert {"kind", "id", "selfLink"} == set(empty)


def test_the_other_order(compute: ComputeEngine, client: ImagesClient) -> None:
    """Newest first is the one order beside that of names."""
    compute.insert_image("a", created=OLD)
    compute.insert_image("b", created=OLD + timedelta(hours=1))
    request = {"project": "img-proj", "order_by": "creationTimestamp desc"}
    assert ["b", "a"] == [image.name for image in client.list(request=request)]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"max_results": 501}, "Invalid value for field 'maxResults': '501'."),
        ({"order_by": "size"}, "Invalid value for field 'orderBy': 'size'."),
        ({"page_token": "abc"}, "Invalid value for field 'pageToken': 'abc'."),
        ({"page_token": "ZnJvbSB4"}, "Invalid value for field 'pageToken': 'ZnJvbSB4'."),
    ],
)
def test_a_list_that_is_asked_for_wrongly(
    compute: ComputeEngine, client: ImagesClient, request_: dict[str, Any], message: str
) -> None:
    """Values out of range are refused with 400."""
    with pytest.raises(BadRequest) as caught:
        list(client.list(request={"project": "img-proj", **request_}))
    assert caught.value.message.endswith(message)


def failure(
    client: ImagesClient, kind: type[GoogleAPICallError], image: str = "web-1", project: str = "img-proj"
) -> Any:
    with pytest.raises(kind) as caught:
        client.get(project=project, image=image, retry=None)
    return caught.value


def test_errors_have_googles_shape(compute: ComputeEngine, client: ImagesClient) -> None:
    """Code, message, and a list of errors with a reason: what the SDK makes its exceptions of."""
    error = failure(client, NotFound)
    text = "The resource 'projects/img-proj/global/images/web-1' was not found"
    assert [{"message": text, "domain": "global", "reason": "notFound"}] == error.errors
    assert error.message.endswith(text)
    assert "notFound" == failure(client, NotFound, project="nowhere").errors[0]["reason"]
    compute.fail(429, "rateLimitExceeded", retry_after=7)
    error = failure(client, TooManyRequests)
    assert ("7", "rateLimitExceeded") == (error.response.headers["Retry-After"], error.errors[0]["reason"])
    compute.deny("img-proj")
    error = failure(client, Forbidden)
    text = "Required 'compute.images.get' permission for 'projects/img-proj/global/images/web-1'"
    assert (text, "forbidden") == (error.errors[0]["message"], error.errors[0]["reason"])


def test_a_fault_is_met_once_and_only_where_it_was_ordered(compute: ComputeEngine, client: ImagesClient) -> None:
    """What no request has met is counted, so that a test can see that its fault was no fault."""
    compute.insert_image("web-1")
    compute.insert_image("web-2")
    compute.fail(500, "backendError", path="web-2", times=2)
    client.get(project="img-proj", image="web-1")
    assert 2 == compute.unmet_faults
    failure(client, GoogleAPICallError, "web-2")
    assert 1 == compute.unmet_faults


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"name": "Web"}, "Invalid value for field 'resource.name': 'Web'. Must be a match of regex "),
        ({"name": "a" * 64}, f"Invalid value for field 'resource.name': '{'a' * 64}'. Must be a match of regex "),
        ({"name": "web-"}, "Invalid value for field 'resource.name': 'web-'. Must be a match of regex "),
        ({"family": "Web"}, "Invalid value for field 'resource.family': 'Web'. Must be a match of regex "),
        ({"labels": {"Team": "a"}}, "Label key 'Team' violates format constraints."),
        ({"labels": {"1team": "a"}}, "Label key '1team' violates format constraints."),
        ({"labels": {"-team": "a"}}, "Label key '-team' violates format constraints."),
        ({"labels": {"": "a"}}, "Label key '' violates format constraints."),
        ({"labels": {"a" * 64: "a"}}, f"Label key '{'a' * 64}' violates format constraints."),
        ({"labels": {"team": "A"}}, "Label value 'A' violates format constraints."),
        ({"labels": {"team": "a b"}}, "Label value 'a b' violates format constraints."),
        ({"labels": {"team": "amazon-ebs.ubuntu"}}, "Label value 'amazon-ebs.ubuntu' violates format constraints."),
        ({"labels": {"team": "a" * 64}}, f"Label value '{'a' * 64}' violates format constraints."),
        ({"labels": {f"k{n}": "" for n in range(65)}}, "The resource has 65 labels, at most 64 are allowed."),
        ({"source_disk": ""}, "Exactly one of sourceDisk, sourceImage, sourceSnapshot and rawDisk is needed."),
        ({"source_image": "projects/p/global/images/i"}, "Exactly one of sourceDisk, sourceImage, "),
        ({"architecture": "PPC"}, "Invalid value for field 'resource.architecture': 'PPC'."),
    ],
)
def test_what_google_refuses_is_refused(
    compute: ComputeEngine, client: ImagesClient, body: dict[str, Any], message: str
) -> None:
    """Names, families and labels outside of Google's rules are 400, and nothing is made."""
    resource = Image({"name": "web-1", "source_disk": DISK, **body})
    with pytest.raises(BadRequest) as caught:
        client.insert_unary(project="img-proj", image_resource=resource)
    assert "invalid" == caught.value.errors[0]["reason"]
    assert caught.value.errors[0]["message"].startswith(message)
    assert ([], []) == (list(client.list(project="img-proj")), compute.log)


def test_what_google_allows_is_allowed(compute: ComputeEngine, client: ImagesClient) -> None:
    """The longest names, empty values, international letters and 64 labels."""
    labels = {"é" * 63: "a_b-" + "9" * 59, "empty": "", **{f"k{n}": "" for n in range(62)}}
    client.insert_unary(project="img-proj", image_resource=Image(name="a" * 63, source_disk=DISK, labels=labels))
    assert labels == dict(client.get(project="img-proj", image="a" * 63).labels)


def test_labels_are_set_against_their_fingerprint(compute: ComputeEngine, client: ImagesClient) -> None:
    """A fingerprint that is no longer theirs is refused with 412, as between two writers."""
    compute.insert_image("web-1", labels=LABELS)
    before = client.get(project="img-proj", image="web-1").label_fingerprint
    compute.set_labels("web-1", {"team": "a"})
    body = GlobalSetLabelsRequest(labels={"team": "b"}, label_fingerprint=before)
    with pytest.raises(PreconditionFailed):
        client.set_labels_unary(project="img-proj", resource="web-1", global_set_labels_request_resource=body)
    assert {"team": "a"} == dict(client.get(project="img-proj", image="web-1").labels)


def test_a_name_is_refused_twice(compute: ComputeEngine, client: ImagesClient) -> None:
    """409, as long as the first image is there."""
    compute.insert_image("web-1")
    with pytest.raises(Conflict):
        client.insert_unary(project="img-proj", image_resource=Image(name="web-1", source_disk=DISK))


def test_writes_are_kept_apart(compute: ComputeEngine, client: ImagesClient) -> None:
    """So that a test can say that nothing was changed."""
    compute.insert_image("web-1")
    client.get(project="img-proj", image="web-1")
    assert [] == compute.writes
    client.delete_unary(project="img-proj", image="web-1")
    assert ["DELETE /compute/v1/projects/img-proj/global/images/web-1"] == compute.writes
