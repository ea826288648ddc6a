"""Revocation, ancestry and search in the local registry."""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.worlds import BUCKET, PLAIN, World, refused

pytestmark = PLAIN


def revoke(world: World, fingerprint: str, bucket: str = BUCKET, **fields: Any) -> dict[str, Any]:
    """Revoke a version at once; return the whole answer."""
    return world.model.update_version(bucket, fingerprint, {"revoke_in": "0s", **fields})


def child_of(world: World, parent: str, bucket: str = "child", channel: str = "") -> str:
    """Complete version ``c1`` of another bucket, built from ``parent``; return its bucket."""
    world.model.create_bucket({"name": bucket})
    world.model.create_version(bucket, {"fingerprint": "c1"})
    build = world.model.create_build(bucket, "c1", {"component_type": "a"})["build"]["id"]
    world.model.update_build(
        bucket,
        "c1",
        build,
        {
            "status": "BUILD_DONE",
            "platform": "aws",
            "artifacts": [{"external_identifier": "ami-child", "region": "eu-west-1"}],
            "source_external_identifier": "ami-1",
            "parent_version_id": world.get(parent)["id"],
            "parent_channel_id": channel,
        },
    )
    return bucket


def test_a_revoked_version_says_who_and_why(world: World) -> None:
    """Immediate revocation is an operation, done when it is answered."""
    world.completed("f1")

    answer = revoke(world, "f1", revocation_message="CVE-2026-1", revoke_at="0001-01-01T00:00:00.000Z")

    version = answer["version"]
    assert ("VERSION_REVOKED", "MANUAL", "CVE-2026-1", "local-publisher", "v1") == (
        version["status"],
        version["revocation_type"],
        version["revocation_message"],
        version["revocation_author"],
        version["name"],
    )
    assert "DONE" == answer["operation"]["state"]
    assert "DONE" == world.model.get_operation(answer["operation"]["id"])["operation"]["state"]


def test_channels_roll_back_and_restoring_does_not_move_them_forward(world: World) -> None:
    """``latest`` moves too."""
    world.completed("f1")
    world.model.create_channel(BUCKET, {"name": "prod", "version_fingerprint": "f1"})
    world.completed("f2")
    world.model.update_channel(BUCKET, "prod", {"version_fingerprint": "f2", "update_mask": "versionFingerprint"})

    revoke(world, "f2")
    assert ("v1", "v1") == (world.latest(), world.points("prod"))

    restored = world.model.update_version(BUCKET, "f2", {"restore": True})["version"]
    assert ("VERSION_ACTIVE", None) == (restored["status"], restored["revoke_at"])
    assert ("v1", "v1") == (world.latest(), world.points("prod"))


def test_channels_may_be_kept_where_they_are(world: World) -> None:
    """``disable_rollback_channels`` is about user channels only."""
    world.completed("f1")
    world.completed("f2")
    world.model.create_channel(BUCKET, {"name": "prod", "version_fingerprint": "f2"})

    revoke(world, "f2", disable_rollback_channels=True)

    assert ("v1", "v2") == (world.latest(), world.points("prod"))


@pytest.mark.switches(revocation_without_target="unassign")
def test_a_revocation_comes_true_when_its_time_has_come(world: World) -> None:
    """Until then the version is scheduled, and may be used."""
    world.completed("f1")
    answer = world.model.update_version(BUCKET, "f1", {"revoke_in": "1d2h"})
    assert ("VERSION_REVOCATION_SCHEDULED", None) == (answer["version"]["status"], answer["operation"])
    world.clock.advance(26 * 3600 - 1)
    assert "VERSION_REVOCATION_SCHEDULED" == world.get("f1")["status"]

    world.clock.advance(1)

    assert "VERSION_REVOKED" == world.get("f1")["status"]
    assert world.latest() is None


def test_restoring_cancels_a_scheduled_revocation(world: World) -> None:
    """Nothing happens at the time that was set."""
    world.completed("f1")
    world.model.update_version(BUCKET, "f1", {"revoke_at": "2026-11-22T08:00:00Z"})
    world.model.update_version(BUCKET, "f1", {"restore": True})

    world.clock.advance(2 * 86400)

    assert "VERSION_ACTIVE" == world.get("f1")["status"]


def test_what_is_valid_can_not_be_restored(world: World) -> None:
    """The message ends in a blank."""
    world.completed("f1")

    assert (
        400,
        9,
        "Restoring does not apply. This version is valid and it is not scheduled to be revoked. ",
    ) == refused(world.model.update_version, BUCKET, "f1", {"restore": True})


def test_what_is_revoked_or_open_can_not_be_revoked(world: World) -> None:
    """A revoked version accepts nothing but its restoration."""
    world.version("open", "a")
    world.completed("f1")
    revoke(world, "f1")

    assert (400, 9) == refused(revoke, world, "f1")[:2]
    assert (400, 9) == refused(revoke, world, "open")[:2]


@pytest.mark.parametrize(
    "body",
    [
        {"revoke_in": "soon"},
        {"revoke_in": "99999999999999999999d"},
        {"revoke_in": "1000000d5000000d"},
        {"revoke_at": "yesterday"},
        {"revoke_at": "2026-11-22T08:00:00"},
        {"revoke_at": "0001-01-01T03:00:00+05:00"},
        {"revoke_at": "2026-11-22T08:00:00Z", "revoke_in": "1d"},
        {"restore": "yes"},
    ],
)
def test_a_time_that_cannot_be_read_is_refused(world: World, body: dict[str, Any]) -> None:
    """``revoke_at`` is RFC 3339, ``revoke_in`` a duration in s, m, h and d, and only one of them is given."""
    world.completed("f1")

    assert (400, 3) == refused(world.model.update_version, BUCKET, "f1", body)[:2]


def test_descendants_inherit_a_revocation(world: World) -> None:
    """They say from whom, and are restored with that ancestor only."""
    world.completed("f1")
    bucket = child_of(world, "f1")
    assert world.get("f1")["has_descendants"] is True

    revoke(world, "f1", revocation_message="CVE")

    child = world.model.get_version(bucket, "c1")["version"]
    assert ("VERSION_REVOKED", "INHERITED", "f1", "CVE") == (
        child["status"],
        child["revocation_type"],
        child["revocation_inherited_from"]["version_fingerprint"],
        child["revocation_message"],
    )
    assert (400, 9) == refused(world.model.update_version, bucket, "c1", {"restore": True})[:2]
    world.model.update_version(BUCKET, "f1", {"restore": True})
    assert "VERSION_ACTIVE" == world.model.get_version(bucket, "c1")["version"]["status"]


def test_descendants_may_be_left_alone(world: World) -> None:
    """``skip_descendants_revocation`` spares them."""
    world.completed("f1")
    bucket = child_of(world, "f1")

    revoke(world, "f1", skip_descendants_revocation=True)

    assert "VERSION_ACTIVE" == world.model.get_version(bucket, "c1")["version"]["status"]


def test_a_child_of_a_revoked_parent_is_revoked_at_once(world: World) -> None:
    """It completes, but ``latest`` does not move to it."""
    world.completed("f1")
    revoke(world, "f1")

    bucket = child_of(world, "f1")

    child = world.model.get_version(bucket, "c1")["version"]
    assert ("v1", "VERSION_REVOKED") == (child["name"], child["status"])
    assert world.model.get_channel(bucket, "latest")["channel"]["version"] is None


def test_ancestry_tells_whether_a_child_is_current(world: World) -> None:
    """A parent's channel that has moved on makes the child out of date."""
    world.completed("f1")
    world.model.create_channel(BUCKET, {"name": "prod", "version_fingerprint": "f1"})
    channel_id = world.model.get_channel(BUCKET, "prod")["channel"]["id"]
    bucket = child_of(world, "f1", channel=channel_id)

    parents = world.model.list_ancestry(bucket, "ANCESTRY_TYPE_PARENTS")
    children = world.model.list_ancestry(BUCKET, "ANCESTRY_TYPE_CHILDREN")

    assert parents["relations"] == children["relations"]
    assert 1 == parents["total_count"]
    [relation] = parents["relations"]
    assert ("UP_TO_DATE", "prod", "v1", "c1") == (
        relation["status"],
        relation["parent"]["channel_name"],
        relation["parent"]["version_name"],
        relation["child"]["version_fingerprint"],
    )
    world.completed("f2")
    world.model.update_channel(BUCKET, "prod", {"version_fingerprint": "f2", "update_mask": "versionFingerprint"})
    assert "OUT_OF_DATE" == world.model.get_bucket(bucket)["bucket"]["parents"]["status"]
    assert "OUT_OF_DATE" == world.model.get_bucket(BUCKET)["bucket"]["children"]["status"]
    by_channel = world.model.list_ancestry(bucket, "ANCESTRY_TYPE_PARENTS", channel="latest")
    assert 1 == by_channel["total_count"]
    assert (400, 3) == refused(world.model.list_ancestry, bucket, "PARENTS")[:2]


def test_a_deleted_child_is_no_descendant(world: World) -> None:
    """Its parent forgets it."""
    world.completed("f1")
    bucket = child_of(world, "f1")

    world.model.delete_version(bucket, "c1")

    assert world.get("f1")["has_descendants"] is False


@pytest.mark.switches(search_lag=0.0)
def test_an_image_is_found_by_its_exact_identifier(world: World) -> None:
    """In every bucket of the project, narrowed by platform and region where these are given."""
    world.completed("f1", identifier="ami-1")
    world.model.create_bucket({"name": "other"})

    def found(**body: str) -> list[str]:
        return [
            f"{hit['bucket']['name']}/{hit['version']['name']}"
            for hit in world.model.search_external_artifact(body)["artifacts"]
        ]

    assert [f"{BUCKET}/v1"] == found(external_identifier="ami-1")
    assert [f"{BUCKET}/v1"] == found(external_identifier="ami-1", platform="aws", region="eu-west-1")
    assert [] == found(external_identifier="ami-1", platform="azure")
    assert [] == found(external_identifier="ami-1", region="us-east-1")
    assert [] == found(external_identifier="ami")
    assert (400, 3) == refused(world.model.search_external_artifact, {})[:2]
    [hit] = world.model.search_external_artifact({"external_identifier": "ami-1"})["artifacts"]
    assert "builds" not in hit["version"]
    assert "ami-1" == hit["build"]["artifacts"][0]["external_identifier"]
