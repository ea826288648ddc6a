"""Versions of the local registry: v0 until every build is DONE, sealed afterwards."""

from __future__ import annotations

import pytest

from tests.local.worlds import BUCKET, PLAIN, World, refused

pytestmark = PLAIN

SEALED = (
    "This version is complete. If you wish to add a new build a new version must be created by changing the "
    "build fingerprint."
)


def test_get_of_an_unknown_version_is_409_with_code_10(world: World) -> None:
    """Packer creates a version on code 10 only, so a 404 would break it."""
    assert (409, 10, "Version with fingerprint nope not found") == refused(world.model.get_version, BUCKET, "nope")


def test_delete_of_an_unknown_version_is_404_with_code_5(world: World) -> None:
    """Deletion answers an unknown version differently from GetVersion."""
    assert (404, 5, "Error: The version with identifier nope does not exist.") == refused(
        world.model.delete_version, BUCKET, "nope"
    )


def test_a_version_in_a_missing_bucket_is_404_with_code_5(world: World) -> None:
    """CreateVersion says 404/5 where the bucket is missing."""
    assert (404, 5, "Error: The bucket with identifier other does not exist.") == refused(
        world.model.create_version, "other", {"fingerprint": "f1"}
    )


def test_a_fingerprint_is_unique_in_its_bucket_only(world: World) -> None:
    """The same fingerprint again is 409/6 in one bucket and welcome in another."""
    world.version("f1")
    world.model.create_bucket({"name": "other"})
    world.model.create_version("other", {"fingerprint": "f1"})

    assert (409, 6, "Error: The version with identifier f1 already exists.") == refused(
        world.model.create_version, BUCKET, {"fingerprint": "f1"}
    )


@pytest.mark.switches(empty_version_status="VERSION_RUNNING")
def test_a_new_version_is_v0_and_running_without_builds(world: World) -> None:
    """A new version has every member that clients read without looking whether it is there."""
    world.version("f1")

    version = world.get("f1")

    assert "v0" == version["name"]
    assert "VERSION_RUNNING" == version["status"]
    assert [] == version["builds"]
    assert "TEMPLATE_TYPE_UNSET" == version["template_type"]
    assert "local-publisher" == version["author_id"]
    assert version["revoke_at"] is None
    assert "REVOCATION_TYPE_UNSET" == version["revocation_type"]
    assert "UNDETERMINED" == version["parents"]["status"]


@pytest.mark.parametrize("fingerprint", ["", "-a", "a-", "a b", "a" * 41, "ü", "a/b"])
def test_a_fingerprint_of_another_form_is_refused(world: World, fingerprint: str) -> None:
    """A fingerprint has 1 to 40 letters, digits, '-', '.', '_' and ends in none of the latter."""
    assert (400, 3) == refused(world.model.create_version, BUCKET, {"fingerprint": fingerprint})[:2]


@pytest.mark.parametrize("fingerprint", ["1", "abc", "A.b_c-d", "01J9ZK5Q8RBTNWVXH3YCDEFGAM", "a" * 40])
def test_a_fingerprint_of_the_documented_form_is_taken(world: World, fingerprint: str) -> None:
    """ULIDs and git commits fit."""
    world.version(fingerprint)

    assert fingerprint == world.get(fingerprint)["fingerprint"]


def test_the_last_done_completes_the_version_in_that_very_update(world: World) -> None:
    """The name, the status and ``latest`` are there on the next read."""
    first, second = world.version("f1", "amazon-ebs", "azure-arm")
    world.done(first)
    assert "v0" == world.get()["name"]

    world.done(second, identifier="img", platform="azure")

    assert ("v1", "VERSION_ACTIVE") == (world.get()["name"], world.get()["status"])
    assert "v1" == world.latest()
    bucket = world.model.get_bucket(BUCKET)["bucket"]
    assert ["aws", "azure"] == bucket["platforms"]
    assert "f1" == bucket["latest_version"]["fingerprint"]
    assert "1" == bucket["version_count"]


def test_a_sealed_version_refuses_builds(world: World) -> None:
    """The first DONE build that is alone seals the version for all that come later."""
    world.completed("f1")

    assert (400, 9, SEALED) == refused(world.model.create_build, BUCKET, "f1", {"component_type": "azure-arm"})


@pytest.mark.parametrize("status", ["BUILD_UNSET", "BUILD_RUNNING", "BUILD_FAILED", "BUILD_CANCELLED"])
def test_a_build_that_is_not_done_keeps_the_version_open(world: World, status: str) -> None:
    """Whatever an unfinished build is, the version stays v0."""
    first, second = world.version("f1", "a", "b")
    world.update(second, status=status, packer_run_uuid="r")

    world.done(first)

    assert "v0" == world.get()["name"]


def test_numbers_are_given_at_completion(world: World) -> None:
    """The version that completes first is v1, whichever was created first."""
    [old] = world.version("old", "a")
    [new] = world.version("new", "a")
    world.done(new, "new")
    world.done(old, "old")

    assert ("v1", "v2") == (world.get("new")["name"], world.get("old")["name"])
    assert "v2" == world.latest()


@pytest.mark.switches(max_page_size=100)
def test_the_service_itself_writes_the_history_of_latest(world: World) -> None:
    """Automatic assignments carry the name of the service, newest first."""
    world.completed("f1")
    world.completed("f2")

    history = world.model.list_channel_history(BUCKET, "latest")["history"]

    assert [("v2", "HCP Packer"), ("v1", "HCP Packer")] == [
        (line["version"]["name"], line["author_id"]) for line in history
    ]


@pytest.mark.switches(status_priority="running", empty_version_status="VERSION_RUNNING")
@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (("BUILD_UNSET",), "VERSION_RUNNING"),
        (("BUILD_DONE", "BUILD_UNSET"), "VERSION_INCOMPLETE"),
        (("BUILD_DONE", "BUILD_RUNNING", "BUILD_FAILED"), "VERSION_RUNNING"),
        (("BUILD_DONE", "BUILD_CANCELLED", "BUILD_FAILED"), "VERSION_FAILED"),
        (("BUILD_DONE", "BUILD_CANCELLED"), "VERSION_CANCELLED"),
    ],
)
def test_the_status_of_an_open_version_tells_of_its_builds(
    world: World, statuses: tuple[str, ...], expected: str
) -> None:
    """RUNNING weighs more than FAILED, FAILED more than CANCELLED."""
    builds = world.version("f1", *(f"c{number}" for number in range(len(statuses))))
    for build_id, status in zip(builds, statuses, strict=True):
        if status == "BUILD_DONE":
            world.done(build_id)
        else:
            world.update(build_id, status=status, packer_run_uuid="r")

    assert expected == world.get()["status"]


@pytest.mark.switches(max_page_size=100)
def test_versions_are_listed_newest_first(world: World) -> None:
    """The order is that of creation, backwards."""
    world.version("f1")
    world.version("f2")

    assert ["f2", "f1"] == [v["fingerprint"] for v in world.model.list_versions(BUCKET)["versions"]]


@pytest.mark.switches(version_numbers="reused")
def test_a_deleted_version_leaves_latest_to_the_newest_valid_one(world: World) -> None:
    """``latest`` does not hinder deletion; the number is given again."""
    world.completed("f1")
    world.completed("f2")

    assert {} == world.model.delete_version(BUCKET, "f2")

    assert "v1" == world.latest()
    assert "1" == world.model.get_bucket(BUCKET)["bucket"]["version_count"]
    world.completed("f2")
    assert "v2" == world.get("f2")["name"]


def test_a_version_on_a_user_channel_is_not_deleted(world: World) -> None:
    """The refusal names the channels; asked to roll them back, it goes."""
    world.completed("f1")
    world.completed("f2")
    world.model.create_channel(BUCKET, {"name": "prod", "version_fingerprint": "f1"})
    world.model.update_channel(BUCKET, "prod", {"version_fingerprint": "f2", "update_mask": "versionFingerprint"})

    assert (
        400,
        9,
        "Version is assigned by channels: prod. Please, remove the channels assignment before deleting the version.",
    ) == refused(world.model.delete_version, BUCKET, "f2")

    world.model.delete_version(BUCKET, "f2", rollback_channels=True)
    assert "v1" == world.points("prod")


def test_timestamps_vary_in_their_digits(world: World) -> None:
    """Clients must read 3, 6 and 9 fractional digits in one document."""
    world.completed("f1")
    build = world.get()["builds"][0]

    assert "2026-11-21T08:00:01.123456Z" == build["created_at"]
    assert "2026-11-21T08:00:01.123456000Z" == build["artifacts"][0]["created_at"]
    assert "2026-11-21T08:00:00.123Z" == world.model.get_bucket(BUCKET)["bucket"]["created_at"]
