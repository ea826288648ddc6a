"""Buckets and channels of the local registry: ``latest`` is the service's own."""

from __future__ import annotations

import pytest

from packer_publisher.local.registry_refusals import Refusal
from tests.local.worlds import BUCKET, PLAIN, World, refused

pytestmark = PLAIN

MASK = {"update_mask": "versionFingerprint"}


def test_an_unknown_bucket_is_404_with_code_5(world: World) -> None:
    """All calls on it say so."""
    message = "Error: The bucket with identifier nope does not exist."
    for call in (world.model.get_bucket, world.model.delete_bucket, world.model.list_channels):
        assert (404, 5, message) == refused(call, "nope")


def test_a_bucket_exists_once(world: World) -> None:
    """The second creation is 409/6."""
    assert (409, 6, f"Error: The bucket with identifier {BUCKET} already exists.") == refused(
        world.model.create_bucket, {"name": BUCKET}
    )


@pytest.mark.parametrize("name", ["", "ab", "a" * 37, "a_b_c", "a b c", "äöü"])
def test_a_bucket_name_of_another_form_is_refused(world: World, name: str) -> None:
    """Names have 3 to 36 letters, digits and hyphens."""
    assert (400, 3) == refused(world.model.create_bucket, {"name": name})[:2]


def test_a_bucket_is_born_with_latest(world: World) -> None:
    """The channel is managed, restricted, unassigned and the service's."""
    [latest] = world.model.list_channels(BUCKET)["channels"]

    assert ("latest", True, True, "HCP Packer", None) == (
        latest["name"],
        latest["managed"],
        latest["restricted"],
        latest["author_id"],
        latest["version"],
    )


def test_a_new_bucket_has_all_its_members(world: World) -> None:
    """The counter travels as text, and the resource name is never empty."""
    bucket = world.model.get_bucket(BUCKET)["bucket"]

    assert f"packer/project/{world.model.project}/bucket/{BUCKET}" == bucket["resource_name"]
    assert ("0", [], None) == (bucket["version_count"], bucket["platforms"], bucket["latest_version"])
    assert "UNDETERMINED" == bucket["parents"]["status"] == bucket["children"]["status"]
    assert bucket["location"] == {
        "organization_id": world.model.tenancy.organization_id,
        "project_id": world.model.project,
        "region": None,
    }


def test_a_bucket_update_writes_description_and_labels(world: World) -> None:
    """Platforms follow the latest version, whatever is sent."""
    bucket = world.model.update_bucket(BUCKET, {"description": "d", "labels": {"a": "b"}, "platforms": ["aws"]})[
        "bucket"
    ]

    assert ("d", {"a": "b"}, []) == (bucket["description"], bucket["labels"], bucket["platforms"])


def test_a_deleted_bucket_takes_everything_with_it(world: World) -> None:
    """Created again, it is empty."""
    world.completed("f1")

    assert {} == world.model.delete_bucket(BUCKET)

    world.model.create_bucket({"name": BUCKET})
    assert [] == world.model.list_versions(BUCKET)["versions"]
    assert world.latest() is None


@pytest.mark.switches(max_page_size=100)
def test_buckets_are_listed_by_name(world: World) -> None:
    """The order does not depend on the store."""
    world.model.create_bucket({"name": "aaa"})

    assert ["aaa", BUCKET] == [bucket["name"] for bucket in world.model.list_buckets()["buckets"]]


def test_the_update_mask_is_required(world: World) -> None:
    """The refusal carries the one kind of details that the live service was seen to send."""
    with pytest.raises(Refusal) as caught:
        world.model.update_channel(BUCKET, "latest", {"restricted": False})

    assert {
        "code": 3,
        "message": "body: (update_mask: field mask: must be set.).",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "field_violations": [
                    {
                        "field": "body.update_mask",
                        "description": "field mask: must be set",
                        "reason": "",
                        "localized_message": None,
                    }
                ],
            }
        ],
    } == caught.value.body()
    assert ["code", "message", "details"] == list(caught.value.body())


def test_a_mask_with_an_unknown_field_is_refused(world: World) -> None:
    """Only the two lower-camel names are known."""
    assert (400, 3) == refused(world.model.update_channel, BUCKET, "latest", {"update_mask": "name"})[:2]


def test_under_the_mask_a_missing_field_means_zero(world: World) -> None:
    """Go leaves empty strings and false out, so missing means unassigned and unrestricted."""
    world.completed("f1")
    world.model.create_channel(BUCKET, {"name": "prod", "version_fingerprint": "f1", "restricted": True})

    channel = world.model.update_channel(BUCKET, "prod", {"update_mask": "versionFingerprint,restricted"})

    assert (None, False) == (channel["channel"]["version"], channel["channel"]["restricted"])


def test_what_the_mask_leaves_out_stays(world: World) -> None:
    """A restriction outlives an assignment."""
    world.completed("f1")
    world.model.create_channel(BUCKET, {"name": "prod", "restricted": True})

    channel = world.model.update_channel(BUCKET, "prod", {"version_fingerprint": "f1", **MASK})["channel"]

    assert ("v1", True) == (channel["version"]["name"], channel["restricted"])


def test_a_channel_carries_the_whole_version(world: World) -> None:
    """Data sources read the artifacts from the channel."""
    world.completed("f1", identifier="ami-9")
    channel = world.model.create_channel(BUCKET, {"name": "prod", "version_fingerprint": "f1"})["channel"]

    assert "ami-9" == channel["version"]["builds"][0]["artifacts"][0]["external_identifier"]


def test_a_channel_exists_once(world: World) -> None:
    """``latest`` included."""
    assert (409, 6, "Error: The channel with identifier latest already exists.") == refused(
        world.model.create_channel, BUCKET, {"name": "latest"}
    )


def test_an_unknown_channel_is_404_and_never_created_by_an_update(world: World) -> None:
    """PATCH is no upsert."""
    message = "Error: The channel with identifier prod does not exist."
    assert (404, 5, message) == refused(world.model.update_channel, BUCKET, "prod", MASK)
    assert (404, 5, message) == refused(world.model.get_channel, BUCKET, "prod")
    assert (404, 5, message) == refused(world.model.delete_channel, BUCKET, "prod")


def test_managed_latest_refuses_assignment_and_deletion(world: World) -> None:
    """Its restriction may be changed, nothing else."""
    world.completed("f1")
    world.model.create_channel(BUCKET, {"name": "prod", "version_fingerprint": "f1"})

    assert (
        400,
        9,
        'Can\'t update channel assignment on channel "latest". This channel is managed by HCP Packer',
    ) == refused(world.model.update_channel, BUCKET, "latest", {"version_fingerprint": "f1", **MASK})
    assert (400, 3, "Can't delete managed channel latest, it's controlled by HCP Packer") == refused(
        world.model.delete_channel, BUCKET, "latest"
    )
    assert (400, 9, "Cannot assign to managed channel 'latest'") == refused(
        world.model.assign_channel_version, BUCKET, {"source_channel": "prod", "target_channel": "latest"}
    )
    open_to_all = world.model.update_channel(BUCKET, "latest", {"restricted": False, "update_mask": "restricted"})
    assert open_to_all["channel"]["restricted"] is False


@pytest.mark.switches(assign_unknown_version="404/5", assign_incomplete_version="400/9")
def test_unknown_and_incomplete_versions_are_not_assigned(world: World) -> None:
    """The text of the unknown one is what Terraform's tests look for."""
    world.version("open", "a")
    world.model.create_channel(BUCKET, {"name": "prod"})

    assert (404, 5, "version with fingerprint (fingerprint: nope) does not exist.") == refused(
        world.model.update_channel, BUCKET, "prod", {"version_fingerprint": "nope", **MASK}
    )
    assert (400, 9, "version with fingerprint (fingerprint: open) is not complete.") == refused(
        world.model.create_channel, BUCKET, {"name": "test", "version_fingerprint": "open"}
    )


def test_assign_copies_one_channel_to_another(world: World) -> None:
    """The answer shows both channels and the version; the history carries the caller's name."""
    world.completed("f1")
    world.model.create_channel(BUCKET, {"name": "prod"})

    answer = world.model.assign_channel_version(BUCKET, {"source_channel": "latest", "target_channel": "prod"})

    assert ("f1", "latest", "prod", "v1") == (
        answer["fingerprint"],
        answer["source_channel"]["name"],
        answer["target_channel"]["name"],
        answer["version"]["name"],
    )
    history = world.model.list_channel_history(BUCKET, "prod")["history"]
    assert [("local-publisher", "f1")] == [(h["author_id"], h["version"]["fingerprint"]) for h in history]


def test_a_user_channel_is_deleted(world: World) -> None:
    """The answer is empty."""
    world.model.create_channel(BUCKET, {"name": "prod"})

    assert {} == world.model.delete_channel(BUCKET, "prod")
    assert ["latest"] == [channel["name"] for channel in world.model.list_channels(BUCKET)["channels"]]


@pytest.mark.switches(viewer_writes="403/7")
def test_a_viewer_sees_no_restricted_channel_and_writes_nothing(world: World) -> None:
    """Reading a restricted channel is 403/7, lists leave it out, and every write is 403/7."""
    viewer = world.viewer()

    assert (403, 7) == refused(viewer.get_channel, BUCKET, "latest")[:2]
    assert [] == viewer.list_channels(BUCKET)["channels"]
    assert (403, 7) == refused(viewer.create_bucket, {"name": "other"})[:2]
    assert (403, 7) == refused(viewer.create_version, BUCKET, {"fingerprint": "f1"})[:2]
    assert BUCKET == viewer.get_bucket(BUCKET)["bucket"]["name"]
