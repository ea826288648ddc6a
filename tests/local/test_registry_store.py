"""Where the local registry keeps its records."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from packer_publisher.local.registry_ids import ulid
from packer_publisher.local.registry_model import Caller, Project, RegistryModel, Tenancy
from packer_publisher.local.registry_records import Bucket
from packer_publisher.local.registry_refusals import Refusal
from packer_publisher.local.registry_store import MemoryStore, SqliteStore, Store
from tests.local.worlds import BUCKET, PLAIN, START, World, refused
from tests.switches import setting

pytestmark = PLAIN


def test_a_file_outlives_the_program(tmp_path: Path) -> None:
    """Everything is there after reopening, and new ids do not repeat old ones."""
    database = tmp_path / "registry.sqlite"
    world = World(SqliteStore(database))
    world.completed("f1")
    [open_build] = world.version("f2", "a")
    world.update(open_build, "f2", platform="aws", labels={"a": "b"}, metadata={"packer": {"version": "1"}})
    before = (world.get("f1"), world.get("f2"), world.model.get_bucket(BUCKET), world.model.list_channels(BUCKET))
    world.model.close()

    reopened = RegistryModel(store=SqliteStore(database), clock=world.clock, switches=setting(), seed=7)

    after = (
        reopened.get_version(BUCKET, "f1")["version"],
        reopened.get_version(BUCKET, "f2")["version"],
        reopened.get_bucket(BUCKET),
        reopened.list_channels(BUCKET),
    )
    assert before == after
    new_id = reopened.create_build(BUCKET, "f2", {"component_type": "b"})["build"]["id"]
    assert new_id > open_build
    reopened.close()


def test_the_same_seed_gives_the_same_registry() -> None:
    """Over both stores, ids included."""
    worlds = [World(MemoryStore()), World(SqliteStore()), World(MemoryStore())]
    for world in worlds:
        world.completed("f1")

    versions = [world.get("f1") for world in worlds]

    assert versions[0] == versions[1] == versions[2]
    worlds[1].model.close()


def test_a_fork_goes_its_own_way(world: World) -> None:
    """What happens in the fork is not seen by the original, and the other way round."""
    first, second = world.version("f1", "a", "b")
    world.update(first, platform="aws")

    fork = world.model.fork()
    fork.delete_build(BUCKET, "f1", first)
    world.update(second, platform="azure")

    assert ["b"] == [b["component_type"] for b in fork.get_version(BUCKET, "f1")["version"]["builds"]]
    assert [""] == [b["platform"] for b in fork.get_version(BUCKET, "f1")["version"]["builds"]]
    assert ["aws", "azure"] == [b["platform"] for b in world.get()["builds"]]


@pytest.mark.switches(silent_build_becomes="BUILD_CANCELLED")
def test_a_fork_may_have_its_own_clock(world: World) -> None:
    """Time passes for one of them only."""
    [build_id] = world.version("f1", "a")
    world.update(build_id, status="BUILD_RUNNING")
    later = World().clock
    later.advance(601)

    fork = world.model.fork(clock=later)

    assert "BUILD_CANCELLED" == fork.get_version(BUCKET, "f1")["version"]["builds"][0]["status"]
    assert ["BUILD_RUNNING"] == world.statuses()


@pytest.mark.parametrize("kind", [MemoryStore, SqliteStore])
def test_a_transaction_left_by_an_error_keeps_nothing(kind: type[Store]) -> None:
    """New, changed and deleted records are as they were."""
    store: Store = kind()
    one, two = (Bucket(name, name, "", {}, START, START) for name in ("one", "two"))
    changed = Bucket("one", "one", "changed", {}, START, START)
    with store.transaction():
        store.put(("p", "one", ""), one)

    def fail() -> None:
        with store.transaction():
            store.put(("p", "one", ""), changed)
            store.put(("p", "two", ""), two)
            store.delete(Bucket, ("p", "one", ""))
            store.delete(Bucket, ("p", "none", ""))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [one] == store.scan(Bucket, "p")
    assert [] == store.scan(Bucket, "q")
    store.close()


def test_one_of_many_threads_takes_the_platform(world: World) -> None:
    """Operations of several threads happen one after the other."""
    [build_id] = world.version("f1", "a")
    won: list[str] = []

    def write(name: str) -> None:
        try:
            world.update(build_id, platform=name)
        except Refusal:
            return
        won.append(name)

    threads = [threading.Thread(target=write, args=(f"p{number}",)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [world.get()["builds"][0]["platform"]] == won


def test_ids_are_ulids_that_sort_by_time() -> None:
    """26 letters of Crockford's alphabet; the example is the specification's own moment."""
    assert "01ARYZ6S41" == ulid(1469918176385, 0)[:10]
    assert ulid(1, 5) < ulid(1, 6) < ulid(2, 0)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """SQLite's own error says so, and nothing stays open."""
    path = tmp_path / "notes.txt"
    path.write_text("no database" * 100)

    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        SqliteStore(path)


def test_two_projects_do_not_see_each_other() -> None:
    """A bucket belongs to one project; a project that is not there is 403/7."""
    world = World(tenancy=Tenancy(projects=(Project("one"), Project("two"))))

    other = world.model.seen_by(Caller(), "two")

    assert [] == other.list_buckets()["buckets"]
    assert (404, 5) == refused(other.get_bucket, BUCKET)[:2]
    assert "packer/project/two/bucket/own" == other.create_bucket({"name": "own"})["bucket"]["resource_name"]
    assert (403, 7, "The project three is not known or not accessible.") == refused(
        world.model.seen_by, Caller(), "three"
    )
