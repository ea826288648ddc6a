"""Lists are read page by page to their end, and no further than asked for."""

from __future__ import annotations

import pytest

from packer_publisher.errors import RegistryTrouble
from packer_publisher.registry import HCPPacker
from packer_publisher.snapshot import Bucket
from tests.registry.peer import Peer, Says, Time, build_body, sent, version_body


def test_a_search_is_read_no_further_than_asked_for(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """An image that is registered everywhere costs one page."""
    hit = {
        "bucket": {"name": "web"},
        "version": {"id": "2", "name": "v3", "fingerprint": "abc"},
        "build": build_body(),
    }
    peer.says(Says({"artifacts": [hit, hit], "pagination": {"next_page_token": "more"}}))

    assert 2 == len(hcp.search_artifact("ami-1", "aws", clock.deadline(), limit=2))
    assert 1 == len(peer.api)


def test_lists_are_read_to_their_last_page(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """Each page names the next one; an empty token ends the list."""
    peer.says(
        Says({"buckets": [{"name": "a"}], "pagination": {"next_page_token": "p/2"}}),
        Says({"buckets": None, "pagination": {"next_page_token": "p3"}}),
        Says({"buckets": [{"name": "b"}], "pagination": {"next_page_token": ""}}),
    )

    assert (Bucket("a"), Bucket("b")) == hcp.list_buckets(clock.deadline())
    assert [
        ("GET", "/buckets", None),
        ("GET", "/buckets?pagination.next_page_token=p%2F2", None),
        ("GET", "/buckets?pagination.next_page_token=p3", None),
    ] == sent(peer)


def test_a_list_never_runs_in_circles(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """A page token that comes twice would never end."""
    page = Says({"builds": [build_body()], "pagination": {"next_page_token": "again"}})
    peer.says(page, page)

    with pytest.raises(RegistryTrouble) as caught:
        hcp.list_builds("web", "abc", clock.deadline())

    assert (
        "ListBuilds of bucket 'web', version 'abc': the list leads in a circle, HCP gave the same page token twice."
        == str(caught.value)
    )


def test_a_limited_list_asks_for_no_more_pages(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """Pages are asked for when they are wanted."""
    peer.says(Says({"versions": [version_body("v2"), version_body("v1")], "pagination": {"next_page_token": "x"}}))

    versions = hcp.list_versions("web", clock.deadline(), limit=2)

    assert ["v2", "v1"] == [version.name for version in versions]
    assert [("GET", "/buckets/web/versions?sorting.order_by=created_at+desc", None)] == sent(peer)
