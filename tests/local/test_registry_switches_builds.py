"""Each unknown of HCP Packer is a switch; each test shows all its settings: completion, builds, artifacts."""

from __future__ import annotations

import pytest

from tests.local.worlds import BUCKET, PLAIN, World, refused

pytestmark = PLAIN


@pytest.mark.parametrize(("setting", "name"), [(False, "v0"), (True, "v1")])
def test_delete_last_open_build_completes(setting: bool, name: str) -> None:
    """What is left after DeleteBuild is DONE throughout."""
    world = World(delete_last_open_build_completes=setting)
    first, second = world.version("f1", "a", "b")
    world.done(first)

    world.model.delete_build(BUCKET, "f1", second)

    assert name == world.get()["name"]


@pytest.mark.parametrize(("setting", "name"), [(False, "v0"), (True, "v1")])
def test_create_with_done_completes(setting: bool, name: str) -> None:
    """A build that is created DONE."""
    world = World(create_with_done_completes=setting)
    world.version("f1")

    world.build("a", status="BUILD_DONE", artifacts=[{"external_identifier": "ami-1"}])

    assert name == world.get()["name"]


@pytest.mark.switches(create_with_done_completes=False)
def test_update_complete_flag() -> None:
    """``complete: true`` is refused, obeyed or ignored."""

    def asked(setting: str) -> World:
        world = World(update_complete_flag=setting)
        world.version("f1")
        world.build("a", status="BUILD_DONE")
        return world

    body = {"complete": True}
    assert (400, 3) == refused(asked("refuse").model.update_version, BUCKET, "f1", body)[:2]
    assert "v0" == asked("ignore").model.update_version(BUCKET, "f1", body)["version"]["name"]
    world = asked("complete")
    assert "v1" == world.model.update_version(BUCKET, "f1", body)["version"]["name"]
    world.version("f2", "a")
    assert (400, 9) == refused(world.model.update_version, BUCKET, "f2", body)[:2]


@pytest.mark.parametrize(("setting", "name"), [(0.0, "v1"), (20.0, "v0")])
def test_completion_lag(setting: float, name: str) -> None:
    """The version and ``latest`` follow after some seconds; a build that comes meanwhile keeps it open."""
    world = World(completion_lag=setting)
    [build_id] = world.version("f1", "a")
    world.done(build_id)
    assert name == world.get()["name"]
    world.clock.advance(20)
    assert ("v1", "v1") == (world.get()["name"], world.latest())


def test_a_build_that_comes_during_the_lag_keeps_the_version_open() -> None:
    """The version completes when that build is DONE too, another lag later."""
    world = World(completion_lag=20.0)
    [first] = world.version("f1", "a")
    world.done(first)
    second = world.build("b")
    world.clock.advance(60)
    assert "v0" == world.get()["name"]

    world.done(second, identifier="ami-2")

    assert "v0" == world.get()["name"]
    world.clock.advance(20)
    assert "v1" == world.get()["name"]


def test_versions_that_lag_get_their_numbers_in_the_order_of_their_time() -> None:
    """Whoever looks late finds what would have been found at once."""
    world = World(completion_lag=20.0)
    world.completed("zzz")
    world.completed("aaa")
    world.clock.advance(60)

    assert ("v1", "v2", "v2") == (world.get("zzz")["name"], world.get("aaa")["name"], world.latest())


def test_a_search_finds_complete_what_has_lagged() -> None:
    """Also where it is the first to look after the lag."""
    world = World(completion_lag=20.0, search_lag=0.0)
    world.completed("f1")
    world.clock.advance(20)

    [found] = world.model.search_external_artifact({"external_identifier": "ami-1"})["artifacts"]

    assert "v1" == found["version"]["name"]


def test_an_emptied_version_does_not_complete_after_the_lag() -> None:
    """Nothing is not DONE."""
    world = World(completion_lag=20.0)
    [build_id] = world.version("f1", "a")
    world.done(build_id)
    world.model.delete_build(BUCKET, "f1", build_id)
    world.clock.advance(60)

    assert "v0" == world.get()["name"]


def test_read_after_write() -> None:
    """Stale: the first read after a write may be behind it, the next one is not; lists are never behind."""
    world = World(read_after_write="stale")
    world.version("f1")
    assert (409, 10) == refused(world.model.get_version, BUCKET, "f1")[:2]
    assert "v0" == world.get()["name"]

    build_id = world.build("a")
    world.done(build_id)

    behind = world.get()
    assert ("v0", ["BUILD_UNSET"]) == (behind["name"], [build["status"] for build in behind["builds"]])
    assert "v1" == world.get()["name"]
    refused(world.build, "b")
    assert "v1" == world.get()["name"]
    world.model.delete_version(BUCKET, "f1")
    assert "v1" == world.get()["name"]
    assert (409, 10) == refused(world.model.get_version, BUCKET, "f1")[:2]


def test_reads_are_fresh_unless_switched() -> None:
    """The default shows every write at once."""
    world = World()
    [build_id] = world.version("f1", "a")
    world.done(build_id)

    assert "v1" == world.get()["name"]


@pytest.mark.parametrize(("setting", "name"), [("reused", "v2"), ("fresh", "v3")])
def test_version_numbers(setting: str, name: str) -> None:
    """The number of the deleted newest version."""
    world = World(version_numbers=setting)
    world.completed("f1")
    world.completed("f2")
    world.model.delete_version(BUCKET, "f2")

    world.completed("f3")

    assert name == world.get("f3")["name"]


def test_unset_to_done() -> None:
    """Refused, the build must be RUNNING in between."""
    world = World(unset_to_done="refuse")
    [build_id] = world.version("f1", "a")
    assert (400, 9, "A build must be running before it is done.") == refused(world.done, build_id)
    world.update(build_id, status="BUILD_RUNNING")
    world.done(build_id)
    assert "v1" == world.get()["name"]

    world = World(unset_to_done="accept")
    [build_id] = world.version("f1", "a")
    world.done(build_id)
    assert "v1" == world.get()["name"]


@pytest.mark.switches(silent_build_becomes="BUILD_CANCELLED")
@pytest.mark.parametrize(("setting", "status"), [(False, "BUILD_UNSET"), (True, "BUILD_CANCELLED")])
def test_unset_builds_time_out(setting: bool, status: str) -> None:
    """A build that was created and left alone."""
    world = World(unset_builds_time_out=setting)
    world.version("f1", "a")
    world.clock.advance(600)

    assert [status] == world.statuses()


@pytest.mark.switches(silent_build_becomes="BUILD_CANCELLED")
@pytest.mark.parametrize(("setting", "status"), [(600.0, "BUILD_RUNNING"), (300.0, "BUILD_CANCELLED")])
def test_heartbeat_timeout(setting: float, status: str) -> None:
    """Five minutes of silence, or ten."""
    world = World(heartbeat_timeout=setting)
    [build_id] = world.version("f1", "a")
    world.update(build_id, status="BUILD_RUNNING")
    world.clock.advance(300)

    assert [status] == world.statuses()


@pytest.mark.parametrize("setting", ["BUILD_CANCELLED", "BUILD_FAILED"])
def test_silent_build_becomes(setting: str) -> None:
    """The status of a build that was given up."""
    world = World(silent_build_becomes=setting)
    [build_id] = world.version("f1", "a")
    world.update(build_id, status="BUILD_RUNNING")
    world.clock.advance(600)

    assert [setting] == world.statuses()


def test_done_without_artifacts() -> None:
    """An empty build may be DONE, or may not."""
    for setting, expected in (("accept", ["BUILD_DONE"]), ("refuse", ["BUILD_UNSET"])):
        world = World(done_without_artifacts=setting)
        [build_id] = world.version("f1", "a")
        if setting == "refuse":
            assert (400, 9) == refused(world.update, build_id, status="BUILD_DONE")[:2]
        else:
            world.update(build_id, status="BUILD_DONE")
        assert expected == world.statuses()


def test_updates_after_done() -> None:
    """Refused with 400/9, or taken; a complete version keeps its name then."""
    world = World(updates_after_done="refuse")
    [build_id] = world.version("f1", "a")
    world.done(build_id)
    assert (400, 9) == refused(world.update, build_id, labels={"a": "b"})[:2]

    world = World(updates_after_done="accept")
    [build_id] = world.version("f1", "a")
    world.done(build_id)
    assert {"a": "b"} == world.update(build_id, labels={"a": "b"})["labels"]
    assert "v1" == world.get()["name"]


def test_delete_build_on_complete() -> None:
    """Refused with 400/9, or done."""
    for setting, left in (("accept", 0), ("refuse", 1)):
        world = World(delete_build_on_complete=setting)
        [build_id] = world.version("f1", "a")
        world.done(build_id)
        if setting == "refuse":
            assert (400, 9) == refused(world.model.delete_build, BUCKET, "f1", build_id)[:2]
        else:
            world.model.delete_build(BUCKET, "f1", build_id)
        assert left == len(world.get()["builds"])


def test_unknown_enum() -> None:
    """A word like BUILD_PENDING counts as unset, or is refused."""
    world = World(unknown_enum="accept")
    world.version("f1")
    world.build("a", status="BUILD_PENDING")
    assert ["BUILD_UNSET"] == world.statuses()

    world = World(unknown_enum="refuse")
    world.version("f1")
    assert (400, 3) == refused(world.build, "a", status="BUILD_PENDING")[:2]


def test_duplicate_build_key() -> None:
    """By name and platform, a filled build does not hinder an empty one of the same name."""
    for setting, builds in (("component_type", 1), ("component_type_and_platform", 2)):
        world = World(duplicate_build_key=setting)
        [build_id] = world.version("f1", "a")
        assert (409, 6) == refused(world.build, "a")[:2]
        world.update(build_id, platform="aws")
        if builds == 1:
            assert (409, 6) == refused(world.build, "a")[:2]
        else:
            world.build("a")
        assert builds == len(world.get()["builds"])


@pytest.mark.switches(platform_resent_after_create="refuse")
def test_platform_resent() -> None:
    """The same platform again: after an update, and after a creation that named it; never another one."""
    for setting in ("refuse", "accept"):
        world = World(platform_resent_same=setting)
        [updated] = world.version("f1", "a")
        created = world.build("b", platform="aws")
        world.update(updated, platform="aws")
        if setting == "refuse":
            assert (409, 6) == refused(world.update, updated, platform="aws")[:2]
        else:
            assert "aws" == world.update(updated, platform="aws")["platform"]
        assert (409, 6) == refused(world.update, updated, platform="gce")[:2]
        assert (409, 6) == refused(world.update, created, platform="aws")[:2]

    world = World(platform_resent_after_create="accept")
    world.version("f1")
    created = world.build("b", platform="aws")
    assert "aws" == world.update(created, platform="aws")["platform"]
    assert (409, 6) == refused(world.update, created, platform="gce")[:2]


def test_parents_resent_same() -> None:
    """The same parent again."""
    for setting in ("accept", "refuse"):
        world = World(parents_resent_same=setting)
        world.completed("base")
        parent = world.get("base")["id"]
        [build_id] = world.version("f1", "a")
        world.update(build_id, parent_version_id=parent)
        if setting == "refuse":
            assert (409, 6) == refused(world.update, build_id, parent_version_id=parent)[:2]
        else:
            assert build_id == world.update(build_id, parent_version_id=parent)["id"]


@pytest.mark.parametrize(("setting", "expected"), [("append", ["ami-1", "ami-2"]), ("replace", ["ami-2"])])
def test_artifacts_on_update(setting: str, expected: list[str]) -> None:
    """A second update with artifacts."""
    world = World(artifacts_on_update=setting)
    [build_id] = world.version("f1", "a")
    world.update(build_id, artifacts=[{"external_identifier": "ami-1", "region": "r"}])

    build = world.update(build_id, artifacts=[{"external_identifier": "ami-2", "region": "r"}])

    assert expected == [artifact["external_identifier"] for artifact in build["artifacts"]]


@pytest.mark.switches(artifacts_on_update="append")
def test_repeated_artifact() -> None:
    """Identifier and region again: refused, doubled, or ignored."""
    artifact = {"external_identifier": "ami-1", "region": "r"}
    for setting, count in (("refuse", 1), ("double", 2), ("ignore", 1)):
        world = World(repeated_artifact=setting)
        [build_id] = world.version("f1", "a")
        world.update(build_id, artifacts=[artifact])
        if setting == "refuse":
            assert (409, 6) == refused(world.update, build_id, artifacts=[artifact])[:2]
        else:
            world.update(build_id, artifacts=[artifact])
        assert count == len(world.get()["builds"][0]["artifacts"])


def test_same_identifier_twice() -> None:
    """One gallery version in two regions."""
    artifacts = [{"external_identifier": "gallery/1.0.0", "region": region} for region in ("eastus", "westus")]
    for setting, count in (("accept", 2), ("refuse", 0)):
        world = World(same_identifier_twice=setting)
        [build_id] = world.version("f1", "a")
        if setting == "refuse":
            assert (409, 6) == refused(world.update, build_id, artifacts=artifacts, platform="azure")[:2]
        else:
            world.update(build_id, artifacts=artifacts, platform="azure")
        assert count == len(world.get()["builds"][0]["artifacts"])
