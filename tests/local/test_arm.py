"""The stand-in for Azure Resource Manager answers and refuses as the real one does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from packer_publisher.local.arm import Arm
from packer_publisher.local.arm_events import IDENTITY, as_cloud_event, notification
from packer_publisher.local.server import serving

SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"
ROOT = f"/subscriptions/{SUBSCRIPTION}"
IMAGE = f"{ROOT}/resourceGroups/rg-images/providers/Microsoft.Compute/images/web-1"
VERSION = f"{ROOT}/resourceGroups/rg-images/providers/Microsoft.Compute/galleries/gal/images/web/versions/1.0.0"
RESOURCES = f"{ROOT}/resources"
TAGS = {"hcp-packer-bucket": "web"}
NOW = datetime(2026, 10, 1, 10, 4, 17, tzinfo=UTC)
COMPUTE, LISTS = "2026-04-01", "2021-04-01"


@pytest.fixture
def arm() -> Arm:
    arm = Arm(now=lambda: NOW)
    arm.put_managed_image("rg-images", "web-1", tags=TAGS)
    arm.put_gallery_version("rg-images", "gal", "web", "1.0.0", tags=TAGS, target_regions=("East US", "West US"))
    return arm


@pytest.fixture
def http(arm: Arm) -> Iterator[httpx.Client]:
    with serving(arm.app) as address, httpx.Client(base_url=address, trust_env=False) as http:
        yield http


def get(http: httpx.Client, path: str, **query: str) -> Any:
    answer = http.get(path, params={"api-version": COMPUTE, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_managed_image_comes_back_with_its_group_in_upper_case(http: httpx.Client) -> None:
    """Whatever casing was asked for, the resource group of a managed image is shouted."""
    assert IMAGE.replace("rg-images", "RG-IMAGES") == get(http, IMAGE.lower())["id"]


def test_a_version_keeps_its_group(http: httpx.Client) -> None:
    """Galleries do not shout."""
    assert VERSION == get(http, VERSION)["id"]


def test_replication_is_shown_when_asked_for(http: httpx.Client) -> None:
    """Without $expand there is no word about replicas."""
    assert "replicationStatus" not in get(http, VERSION)["properties"]
    status = get(http, VERSION, **{"$expand": "ReplicationStatus"})["properties"]["replicationStatus"]
    assert ("Completed", ["East US", "West US"]) == (
        status["aggregatedState"],
        [replica["region"] for replica in status["summary"]],
    )


def test_a_version_is_created_then_replicated_then_there(arm: Arm, http: httpx.Client) -> None:
    """Its states advance with the reads."""
    arm.put_gallery_version("rg-images", "gal", "web", "2.0.0", tags={}, creating=1, replicating=1)
    states = []
    for _ in range(3):
        shown = get(http, VERSION.replace("1.0.0", "2.0.0"), **{"$expand": "ReplicationStatus"})["properties"]
        states.append((shown["provisioningState"], shown["replicationStatus"]["aggregatedState"]))
    assert [("Creating", "Completed"), ("Succeeded", "InProgress"), ("Succeeded", "Completed")] == states


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (IMAGE.replace("web-1", "web-2"), "ResourceNotFound"),
        (VERSION.replace("gal", "other"), "ResourceNotFound"),
        (IMAGE.replace("rg-images", "rg-other"), "ResourceGroupNotFound"),
        (IMAGE.replace("1111-1111", "1111-2222"), "SubscriptionNotFound"),
        ("/providers", "InvalidResourceType"),
    ],
)
def test_what_is_missing_is_named(http: httpx.Client, path: str, code: str) -> None:
    """ARM tells an unknown image from an unknown group and an unknown subscription."""
    assert (404, code) == refused(http.get(path, params={"api-version": COMPUTE}))


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({}, "MissingApiVersionParameter"),
        ({"api-version": "latest"}, "InvalidApiVersionParameter"),
        ({"api-version": COMPUTE, "$expand": "ReplicationStatus"}, "InvalidParameter"),
        ({"api-version": COMPUTE, "expand": "all"}, "InvalidParameter"),
    ],
)
def test_an_image_takes_no_other_arguments(http: httpx.Client, query: dict[str, str], code: str) -> None:
    """The api-version is required, and what is not known is refused."""
    assert (400, code) == refused(http.get(IMAGE, params=query))


@pytest.mark.parametrize("method", ["PUT", "PATCH", "POST", "DELETE"])
def test_http_only_reads(arm: Arm, http: httpx.Client, method: str) -> None:
    """A write is refused as to an identity that may only read, and remembered."""
    assert (403, "AuthorizationFailed") == refused(http.request(method, IMAGE, params={"api-version": COMPUTE}))
    assert [f"{method} {IMAGE}"] == arm.refused_writes


def test_a_list_has_pages(arm: Arm, http: httpx.Client) -> None:
    """Each page names the next one until all is told; entries carry tags and, when asked for, their creation."""
    arm.put_managed_image("rg-images", "web-2", tags={})
    arm.put_managed_image("rg-other", "web-3", tags={})
    query = {"api-version": LISTS, "$filter": "resourceType eq 'microsoft.compute/images'", "$expand": "createdTime"}
    first = get(http, RESOURCES, **query)
    last = http.get(first["nextLink"]).json()
    assert ["web-1", "web-2"] == [entry["name"] for entry in first["value"]]
    assert (["web-3"], None) == ([entry["name"] for entry in last["value"]], last.get("nextLink"))
    assert (TAGS, NOW.isoformat()) == (first["value"][0]["tags"], first["value"][0]["createdTime"])


def test_a_list_of_a_group_and_a_name(http: httpx.Client) -> None:
    """A child's name holds those of its parents."""
    path = f"{ROOT}/resourceGroups/RG-images/resources"
    entries = get(http, path, **{"$filter": "name eq 'gal/web/1.0.0'"})["value"]
    assert [VERSION] == [entry["id"] for entry in entries]


def test_a_tag_filter_drops_tags_and_times(http: httpx.Client) -> None:
    """What a tag filter finds has neither tags nor expanded properties."""
    entries = get(http, RESOURCES, **{"$filter": "tagName eq 'HCP-Packer-Bucket'", "$expand": "createdTime"})["value"]
    assert ["web-1", "gal/web/1.0.0"] == sorted((entry["name"] for entry in entries), reverse=True)
    assert [{"id", "name", "type", "location"}] * 2 == [set(entry) for entry in entries]


@pytest.mark.parametrize(
    "text",
    [
        "tagName eq 'a' and resourceType eq 'Microsoft.Compute/images'",
        "tagValue eq 'a'",
        "colour eq 'a'",
        "name like 'a'",
    ],
)
def test_a_filter_that_azure_refuses(http: httpx.Client, text: str) -> None:
    """A tag filter cannot be combined, and unknown properties or operators are no filter."""
    answer = http.get(RESOURCES, params={"api-version": LISTS, "$filter": text})
    assert (400, "InvalidFilterInQueryString") == refused(answer)


def test_a_list_expands_only_what_azure_knows(http: httpx.Client) -> None:
    """Any other word in $expand is refused."""
    answer = http.get(RESOURCES, params={"api-version": LISTS, "$expand": "properties"})
    assert (400, "InvalidParameter") == refused(answer)


def test_failures_are_met_in_order_and_counted(arm: Arm, http: httpx.Client) -> None:
    """An ordered failure meets the requests that it names, and what no request met can be seen."""
    arm.fail(429, "TooManyRequests", retry_after=7, times=2, path="/IMAGES/web-1")
    assert get(http, f"{ROOT}/resources")["value"]
    answer = http.get(IMAGE, params={"api-version": COMPUTE})
    assert ("7", (429, "TooManyRequests"), 1) == (answer.headers["Retry-After"], refused(answer), arm.unmet_faults)


def test_a_reset_breaks_the_connection(arm: Arm, http: httpx.Client) -> None:
    """Nothing is answered, and the next request is."""
    arm.reset()
    with pytest.raises(httpx.TransportError):
        http.get(IMAGE)
    assert get(http, IMAGE)["name"] == "web-1"


def test_each_change_has_its_event(arm: Arm) -> None:
    """Writes, tag writes and deletions send what Azure sends, the caller's identity included."""
    written = arm.put_managed_image("rg-images", "web-1", tags=TAGS)
    assert ("Microsoft.Resources.ResourceWriteSuccess", "Microsoft.Compute/images/write") == (
        written["eventType"],
        written["data"]["operationName"],
    )
    assert IMAGE.replace("resourceGroups", "resourcegroups") == written["data"]["resourceUri"] == written["subject"]
    assert "2026-10-01T10:04:17.0000007Z" == written["eventTime"]
    assert IDENTITY in written["data"]["claims"].values()
    tagged = arm.write_tags(IMAGE, {"a": "b"})
    assert f"{IMAGE}/providers/Microsoft.Resources/tags/default" == tagged["data"]["resourceUri"]
    told = notification(arm.resource(IMAGE), NOW)["data"]["resourceInfo"]
    assert ({"a": "b"}, "Microsoft.Compute/images") == (told["tags"], told["type"])
    deleted = arm.delete(IMAGE)
    assert ("Microsoft.Resources.ResourceDeleteSuccess", "DELETE") == (
        deleted["eventType"],
        deleted["data"]["httpRequest"]["method"],
    )


def test_a_cloud_event_is_the_same_event(arm: Arm) -> None:
    """Only the names of the envelope differ."""
    event = arm.put_managed_image("rg-images", "web-1", tags=TAGS)
    cloud = as_cloud_event(event)
    assert ("1.0", event["eventType"], event["id"], event["eventTime"]) == (
        cloud["specversion"],
        cloud["type"],
        cloud["id"],
        cloud["time"],
    )
    assert cloud["data"] == event["data"]
