"""Pages and sorting of the local registry's lists."""

from __future__ import annotations

from typing import Any

import pytest

from packer_publisher.local.registry_pages import PageRequest
from tests.local.worlds import BUCKET, PLAIN, World, refused

pytestmark = PLAIN


def pages(world: World, size: int, *order_by: str) -> list[list[str]]:
    """Return the component types of f1's builds, page by page."""
    found: list[list[str]] = []
    token = ""
    while True:
        answer = world.model.list_builds(BUCKET, "f1", PageRequest(size, token, "", order_by))
        found.append([build["component_type"] for build in answer["builds"]])
        token = answer["pagination"]["next_page_token"]
        if not token:
            return found


@pytest.mark.switches(default_page_size=50, max_page_size=100)
def test_a_list_comes_in_pages(world: World) -> None:
    """The last page has no token."""
    world.version("f1", "a", "b", "c", "d", "e")

    assert [["a", "b"], ["c", "d"], ["e"]] == pages(world, 2)
    assert [["a", "b", "c", "d", "e"]] == pages(world, 0)


def test_a_page_leads_back_to_the_one_before(world: World) -> None:
    """The first page has no way back."""
    world.version("f1", "a", "b", "c")
    first = world.model.list_builds(BUCKET, "f1", PageRequest(2))
    second = world.model.list_builds(BUCKET, "f1", PageRequest(2, first["pagination"]["next_page_token"]))

    back = world.model.list_builds(
        BUCKET, "f1", PageRequest(2, previous_token=second["pagination"]["previous_page_token"])
    )

    assert "" == first["pagination"]["previous_page_token"]
    assert first == back


@pytest.mark.switches(default_page_size=50, max_page_size=100)
def test_a_list_is_sorted_as_asked(world: World) -> None:
    """The first criterion weighs most."""
    world.version("f1", "b", "a", "c")
    [first, *_] = world.get()["builds"]
    world.update(first["id"], platform="aws")

    assert [["c", "b", "a"]] == pages(world, 0, "component_type desc")
    assert [["a", "c", "b"]] == pages(world, 0, "platform", "component_type asc")


@pytest.mark.parametrize(
    "request_",
    [
        PageRequest(-1),
        PageRequest(1, "eHg=", "eHg="),
        PageRequest(1, "nonsense"),
        PageRequest(1, "cGxhY2U6LTE="),
        PageRequest(order_by=("colour",)),
        PageRequest(order_by=("name sideways",)),
        PageRequest(order_by=("fingerprint",)),
    ],
)
def test_a_page_that_cannot_be_is_refused(world: World, request_: PageRequest) -> None:
    """Wrong sizes, tokens and criteria are 400/3."""
    world.version("f1", "a")

    assert (400, 3) == refused(world.model.list_builds, BUCKET, "f1", request_)[:2]


def test_every_paged_list_has_its_tokens(world: World) -> None:
    """Channels, SBOMs and enforced blocks have none."""
    world.completed("f1")
    none = {"next_page_token": "", "previous_page_token": ""}
    paged: list[dict[str, Any]] = [
        world.model.list_buckets(),
        world.model.list_versions(BUCKET),
        world.model.list_builds(BUCKET, "f1"),
        world.model.list_channel_history(BUCKET, "latest"),
        world.model.list_ancestry(BUCKET),
        world.model.search_external_artifact({"external_identifier": "ami-1"}),
        world.model.list_organizations(),
        world.model.list_projects(world.model.tenancy.organization_id, "ORGANIZATION"),
    ]

    assert [none] * len(paged) == [answer["pagination"] for answer in paged]
    assert "pagination" not in world.model.list_channels(BUCKET)
    assert {"enforced_block_detail": []} == world.model.get_enforced_blocks_by_bucket(BUCKET)
