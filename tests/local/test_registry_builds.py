"""Builds of the local registry: platform once, heartbeats, parents, SBOMs."""

from __future__ import annotations

import pytest

from tests.local.worlds import BUCKET, PLAIN, World, refused

pytestmark = PLAIN

PLATFORM_SET = "You cannot override a build's Platform if it has already been set."


def test_a_component_type_is_unique_in_its_version(world: World) -> None:
    """A second build of the same component type is 409/6."""
    world.version("f1", "amazon-ebs")

    assert (409, 6, "Error: The build with identifier amazon-ebs already exists.") == refused(world.build, "amazon-ebs")


@pytest.mark.switches(builds_of_unknown_version="409/10")
def test_a_build_in_an_unknown_version_is_409_with_code_10(world: World) -> None:
    """The same code as GetVersion's."""
    assert (409, 10) == refused(world.build, "amazon-ebs", "nope")[:2]


@pytest.mark.switches(platform_resent_same="refuse")
@pytest.mark.parametrize("platform", ["aws", "azure"])
def test_the_platform_is_taken_once(world: World, platform: str) -> None:
    """Another platform is refused, and so is the same one: it is the registry's only compare-and-set."""
    [build_id] = world.version("f1", "amazon-ebs")
    world.update(build_id, platform="aws")

    assert (409, 6, PLATFORM_SET) == refused(world.update, build_id, platform=platform)


@pytest.mark.switches(platform_resent_after_create="refuse")
def test_a_platform_given_at_creation_counts(world: World) -> None:
    """Terraform's way is to name it at creation, and then never again."""
    world.version("f1")
    build_id = world.build("amazon-ebs", platform="aws", status="BUILD_RUNNING", labels={"a": "b"})

    assert (409, 6, PLATFORM_SET) == refused(world.update, build_id, platform="aws")


@pytest.mark.switches(platform_resent_same="refuse")
def test_a_refused_update_changes_nothing(world: World) -> None:
    """Whatever travelled with a refused platform is lost with it."""
    [build_id] = world.version("f1", "amazon-ebs")
    world.done(build_id, status="BUILD_RUNNING")
    before = world.get()

    refused(world.done, build_id, identifier="ami-2")

    assert before == world.get()


@pytest.mark.switches(updates_after_done="refuse")
def test_a_build_that_is_done_stays_as_it_is(world: World) -> None:
    """Any change afterwards is 400/9."""
    first, _ = world.version("f1", "a", "b")
    world.done(first)

    assert (400, 9) == refused(world.update, first, status="BUILD_RUNNING")[:2]
    assert (400, 9) == refused(world.update, first, labels={"late": "yes"})[:2]


def test_an_update_that_names_nothing_known_changes_nothing(world: World) -> None:
    """The live service answered 200 to a body in a wrapper that it did not know."""
    [build_id] = world.version("f1", "a")
    world.clock.advance(5)
    before = world.get()

    world.update(build_id, build={"status": "BUILD_DONE"}, labels=None, artifacts=None, metadata={})

    assert before == world.get()


def test_null_and_missing_are_alike(world: World) -> None:
    """Go clients send null for every empty list."""
    world.version("f1")
    build_id = world.build("a", artifacts=None, labels=None, status=None, platform=None)

    build = world.update(build_id, artifacts=None, status="BUILD_RUNNING", metadata=None, platform=None)

    assert ([], {}, "", "BUILD_RUNNING") == (
        build["artifacts"],
        build["labels"],
        build["platform"],
        build["status"],
    )


def test_unset_says_nothing(world: World) -> None:
    """A status of BUILD_UNSET cannot be told from none, so it does not take a build back."""
    [build_id] = world.version("f1", "a")
    world.update(build_id, status="BUILD_RUNNING")

    assert "BUILD_RUNNING" == world.update(build_id, status="BUILD_UNSET", labels={"a": "b"})["status"]


@pytest.mark.parametrize("ended", ["BUILD_FAILED", "BUILD_CANCELLED"])
def test_an_ended_build_may_be_resumed(world: World, ended: str) -> None:
    """Packer takes a failed build up again in a later run with the same fingerprint."""
    [build_id] = world.version("f1", "a")
    world.update(build_id, status=ended)
    world.update(build_id, status="BUILD_RUNNING", packer_run_uuid="another")
    world.done(build_id)

    assert "v1" == world.get()["name"]


@pytest.mark.switches(unset_builds_time_out=False, heartbeat_timeout=600.0, silent_build_becomes="BUILD_CANCELLED")
def test_a_running_build_without_heartbeat_is_cancelled_after_ten_minutes(world: World) -> None:
    """Silence counts, not age; the other builds are left alone."""
    running, _ = world.version("f1", "a", "b")
    world.update(running, status="BUILD_RUNNING")
    world.clock.advance(599)
    world.update(running, status="BUILD_RUNNING")
    world.clock.advance(599)
    assert ["BUILD_RUNNING", "BUILD_UNSET"] == world.statuses()

    world.clock.advance(1)

    assert ["BUILD_CANCELLED", "BUILD_UNSET"] == world.statuses()
    assert "VERSION_CANCELLED" == world.get()["status"]


def test_a_late_update_revives_a_cancelled_build(world: World) -> None:
    """The image is there, so the build may still be DONE."""
    [build_id] = world.version("f1", "a")
    world.update(build_id, status="BUILD_RUNNING")
    world.clock.advance(3600)

    world.done(build_id)

    assert "v1" == world.get()["name"]


@pytest.mark.switches(artifacts_on_update="append")
def test_artifacts_of_several_updates_add_up(world: World) -> None:
    """Artifacts are created and associated, never replaced."""
    [build_id] = world.version("f1", "a")
    world.update(build_id, artifacts=[{"external_identifier": "ami-1", "region": "eu-west-1"}])

    build = world.update(build_id, artifacts=[{"external_identifier": "ami-2", "region": "us-east-1"}])

    assert [("ami-1", "eu-west-1"), ("ami-2", "us-east-1")] == [
        (artifact["external_identifier"], artifact["region"]) for artifact in build["artifacts"]
    ]


def test_an_artifact_needs_neither_region_nor_identifier(world: World) -> None:
    """Terraform's tests send artifacts without an identifier."""
    [build_id] = world.version("f1", "a")

    assert 1 == len(world.update(build_id, artifacts=[{}])["artifacts"])


@pytest.mark.switches(list_versions_carry_builds=True, latest_version_carries_builds=True)
def test_metadata_is_shown_by_build_calls_and_get_version_only(world: World) -> None:
    """Lists of versions, channels and searches leave it out."""
    [build_id] = world.version("f1", "a")
    metadata = {"packer": {"version": "1.16.0"}, "vcs": None, "cicd": None}
    world.done(build_id, metadata=metadata)

    assert metadata == world.model.get_build(BUCKET, "f1", build_id)["build"]["metadata"]
    assert metadata == world.get()["builds"][0]["metadata"]
    assert "metadata" not in world.model.list_versions(BUCKET)["versions"][0]["builds"][0]
    assert "metadata" not in world.model.get_channel(BUCKET, "latest")["channel"]["version"]["builds"][0]


def test_a_source_without_parent_is_refused_on_creation_only(world: World) -> None:
    """On an update it is accepted alone."""
    world.version("f1")

    assert (400, 3) == refused(world.build, "a", source_external_identifier="ami-base")[:2]
    build_id = world.build("a")
    build = world.update(build_id, source_external_identifier="ami-base")
    assert "ami-base" == build["source_external_identifier"]


@pytest.mark.switches(parents_resent_same="accept")
def test_parents_are_set_once(world: World) -> None:
    """The same parent again is fine, another one is not, and an unknown one never."""
    world.completed("base-1")
    world.completed("base-2")
    [build_id] = world.version("f1", "a")
    first, second = world.get("base-1")["id"], world.get("base-2")["id"]
    world.update(build_id, parent_version_id=first)

    world.update(build_id, parent_version_id=first)

    assert (409, 6, "You cannot override a build's Parent Version ID if it has already been set.") == refused(
        world.update, build_id, parent_version_id=second
    )
    other = world.build("b")
    assert (404, 5) == refused(world.update, other, parent_version_id="01UNKNOWN")[:2]
    assert (400, 3) == refused(world.update, other, parent_channel_id="01CHANNEL")[:2]


def test_deleting_a_build_tells_missing_ones_without_prefix(world: World) -> None:
    """This one message has no "Error:" in front."""
    [build_id] = world.version("f1", "a")

    assert (404, 5, "The build with identifier nope does not exist.") == refused(
        world.model.delete_build, BUCKET, "f1", "nope"
    )
    assert {} == world.model.delete_build(BUCKET, "f1", build_id)
    assert [] == world.get()["builds"]


@pytest.mark.switches(delete_build_on_complete="accept")
def test_a_complete_version_keeps_its_name_without_its_builds(world: World) -> None:
    """Deletion from a complete version is allowed."""
    first, second = world.version("f1", "a", "b")
    world.done(first)
    world.done(second, identifier="ami-2")

    world.model.delete_build(BUCKET, "f1", second)

    assert ("v1", 1) == (world.get()["name"], len(world.get()["builds"]))


@pytest.mark.switches(done_without_artifacts="accept", delete_build_on_complete="accept")
def test_a_guard_build_completes_a_version_that_hangs(world: World) -> None:
    """An empty build set DONE completes the version when all others are, and may be deleted then."""
    first, guard = world.version("f1", "a", "guard")
    world.done(first)

    world.update(guard, status="BUILD_DONE")
    world.model.delete_build(BUCKET, "f1", guard)

    assert ("v1", ["a"]) == (world.get()["name"], [b["component_type"] for b in world.get()["builds"]])


def test_sboms_are_taken_while_the_build_runs(world: World) -> None:
    """Before and after, and without contents, they are refused with 400/3."""
    [build_id] = world.version("f1", "a")
    sbom = {"compressed_sbom": "KLUv/Q==", "format": "SPDX", "name": "my-sbom"}
    message = "This build's status isn't Running, so sboms can not be uploaded"
    assert (400, 3, message) == refused(world.model.upload_sbom, BUCKET, "f1", build_id, sbom)

    world.update(build_id, status="BUILD_RUNNING")
    uploaded = world.model.upload_sbom(BUCKET, "f1", build_id, sbom)["sbom"]

    assert ("my-sbom", "SPDX") == (uploaded["name"], uploaded["format"])
    assert [uploaded] == world.model.list_sboms(BUCKET, "f1", build_id)["sboms"]
    assert (400, 3, "sbom contains no packages") == refused(
        world.model.upload_sbom, BUCKET, "f1", build_id, {"format": "SPDX", "name": "other"}
    )
    assert 26 == len(world.model.upload_sbom(BUCKET, "f1", build_id, {"compressed_sbom": "eA=="})["sbom"]["name"])


@pytest.mark.parametrize(
    "body",
    [
        {"component_type": 5},
        {"component_type": "a", "artifacts": "ami-1"},
        {"component_type": "a", "artifacts": ["ami-1"]},
        {"component_type": "a", "artifacts": [{"external_identifier": 1}]},
        {"component_type": "a", "labels": "x"},
        {"component_type": "a", "labels": {"a": 1}},
        {"component_type": "a", "status": 2},
        {},
    ],
)
def test_a_wrong_type_is_refused_with_code_3(world: World, body: dict[str, object]) -> None:
    """Nothing that a client may send crashes the registry."""
    world.version("f1")

    assert (400, 3) == refused(world.model.create_build, BUCKET, "f1", body)[:2]


def test_metadata_belongs_to_updates(world: World) -> None:
    """CreateBuild knows no such field and ignores it; UpdateBuild wants an object."""
    world.version("f1")
    build_id = world.build("a", metadata="text")

    assert world.get()["builds"][0]["metadata"] is None
    assert (400, 3) == refused(world.update, build_id, metadata="text")[:2]
