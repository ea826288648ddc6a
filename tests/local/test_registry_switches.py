"""Switches of the local registry that are not about completion and builds, and the switches as values."""

from __future__ import annotations

import random
from dataclasses import fields
from typing import Any

import pytest

from packer_publisher.errors import ConfigurationError
from packer_publisher.local.registry_pages import PageRequest
from packer_publisher.local.registry_switches import Switches
from packer_publisher.local.registry_tokens import Tokens
from tests.local.http_registry import served
from tests.local.worlds import BUCKET, PLAIN, World, refused

pytestmark = PLAIN


def test_every_switch_is_varied_once_per_setting() -> None:
    """A variation deviates in one switch; together they name every switch."""
    variations = list(Switches.variations())

    assert {1} == {len(variation.deviations()) for variation in variations}
    assert {entry.name for entry in fields(Switches)} == {
        name for variation in variations for name in variation.deviations()
    }
    assert {} == Switches().deviations()


def test_a_random_combination_repeats_with_its_seed() -> None:
    """And others differ."""
    assert Switches.random(random.Random(3)) == Switches.random(random.Random(3))
    assert 1 < len({Switches.random(random.Random(seed)) for seed in range(20)})


def test_switches_are_read_from_words() -> None:
    """Numbers, truth and words."""
    chosen = Switches.parse(["completion_lag=5", "unset_builds_time_out=True", "read_after_write=stale"])

    assert {
        "completion_lag": 5.0,
        "unset_builds_time_out": True,
        "read_after_write": "stale",
    } == chosen.deviations()


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nonsense=1", "'nonsense=1' is no switch of the local registry."),
        ("completion_lag", "'completion_lag' is no switch of the local registry."),
        ("completion_lag=soon", "Switch completion_lag is a number, not 'soon'."),
        ("read_after_write=never", "Switch read_after_write knows fresh, stale, not 'never'."),
        ("unset_builds_time_out=1", "Switch unset_builds_time_out knows false, true, not '1'."),
    ],
)
def test_a_wrong_word_is_refused(word: str, message: str) -> None:
    """The refusal says what would be right."""
    with pytest.raises(ConfigurationError) as caught:
        Switches.parse([word])

    assert message == str(caught.value)


@pytest.mark.parametrize(("setting", "expected"), [("replace", {"b": "2"}), ("merge", {"a": "1", "b": "2"})])
def test_labels_on_update(setting: str, expected: dict[str, str]) -> None:
    """Labels of builds."""
    world = World(labels_on_update=setting)
    world.version("f1")
    build_id = world.build("a", labels={"a": "1"})

    assert expected == world.update(build_id, labels={"b": "2"})["labels"]


@pytest.mark.parametrize(("setting", "expected"), [("replace", {"b": "2"}), ("merge", {"a": "1", "b": "2"})])
def test_bucket_labels_on_update(setting: str, expected: dict[str, str]) -> None:
    """Labels of buckets."""
    world = World(bucket_labels_on_update=setting)
    world.model.update_bucket(BUCKET, {"labels": {"a": "1"}})

    assert expected == world.model.update_bucket(BUCKET, {"labels": {"b": "2"}})["bucket"]["labels"]


@pytest.mark.parametrize(("setting", "expected"), [("keep", ("d", {"a": "1"})), ("clear", ("", {}))])
def test_bucket_patch_omitted(setting: str, expected: tuple[str, dict[str, str]]) -> None:
    """An update that names neither description nor labels."""
    world = World(bucket_patch_omitted=setting)
    world.model.update_bucket(BUCKET, {"description": "d", "labels": {"a": "1"}})

    bucket = world.model.update_bucket(BUCKET, {"platforms": None})["bucket"]

    assert expected == (bucket["description"], bucket["labels"])


def test_label_limit() -> None:
    """No limit, or one."""
    many = {f"label-{number}": "" for number in range(65)}
    world = World(label_limit=64)
    assert (400, 3) == refused(world.model.update_bucket, BUCKET, {"labels": many})[:2]

    world = World(label_limit=0)
    assert many == world.model.update_bucket(BUCKET, {"labels": many})["bucket"]["labels"]


@pytest.mark.parametrize(("setting", "count"), [(True, 1), (False, 0)])
def test_lists_carry_builds(setting: bool, count: int) -> None:
    """ListVersions and bucket.latest_version; the member is a list either way."""
    world = World(list_versions_carry_builds=setting)
    world.completed("f1")
    assert count == len(world.model.list_versions(BUCKET)["versions"][0]["builds"])

    world = World(latest_version_carries_builds=setting)
    world.completed("f1")
    assert count == len(world.model.get_bucket(BUCKET)["bucket"]["latest_version"]["builds"])


@pytest.mark.switches(default_page_size=50, max_page_size=100)
def test_page_sizes() -> None:
    """What a page holds unless asked, and at most."""

    def sizes(asked: int, **switches: Any) -> int:
        world = World(**switches)
        world.version("f1", "a", "b", "c")
        return len(world.model.list_builds(BUCKET, "f1", PageRequest(asked))["builds"])

    assert 3 == sizes(0)
    assert 2 == sizes(0, default_page_size=2)
    assert 3 == sizes(3, default_page_size=2)
    assert 1 == sizes(3, max_page_size=1)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [("running", "VERSION_RUNNING"), ("failed", "VERSION_FAILED"), ("incomplete", "VERSION_INCOMPLETE")],
)
def test_status_priority(setting: str, expected: str) -> None:
    """One build is DONE, one RUNNING, one FAILED."""
    world = World(status_priority=setting)
    done, running, failed = world.version("f1", "a", "b", "c")
    world.done(done)
    world.update(running, status="BUILD_RUNNING")
    world.update(failed, status="BUILD_FAILED")

    assert expected == world.get()["status"]


@pytest.mark.parametrize("setting", ["VERSION_RUNNING", "VERSION_INCOMPLETE"])
def test_empty_version_status(setting: str) -> None:
    """A version without builds."""
    world = World(empty_version_status=setting)
    world.version("f1")

    assert setting == world.get()["status"]


@pytest.mark.parametrize(("setting", "expected"), [("404/5", (404, 5)), ("409/10", (409, 10))])
def test_codes_of_what_is_missing(setting: str, expected: tuple[int, int]) -> None:
    """GetVersion without the bucket, builds without the version."""
    world = World(get_version_in_missing_bucket=setting, builds_of_unknown_version=setting)

    assert expected == refused(world.model.get_version, "other", "f1")[:2]
    assert expected == refused(world.model.list_builds, BUCKET, "f1")[:2]
    assert expected == refused(world.build, "a")[:2]


@pytest.mark.parametrize(
    ("switch", "setting", "expected"),
    [
        ("assign_unknown_version", "404/5", (404, 5)),
        ("assign_unknown_version", "400/3", (400, 3)),
        ("assign_incomplete_version", "400/9", (400, 9)),
        ("assign_incomplete_version", "400/3", (400, 3)),
    ],
)
def test_codes_of_assignments(switch: str, setting: str, expected: tuple[int, int]) -> None:
    """A channel pointed at nothing, or at an open version."""
    chosen: dict[str, Any] = {switch: setting}
    world = World(**chosen)
    world.version("open", "a")
    fingerprint = "nope" if switch == "assign_unknown_version" else "open"
    body = {"name": "prod", "version_fingerprint": fingerprint}

    assert expected == refused(world.model.create_channel, BUCKET, body)[:2]


@pytest.mark.parametrize(("setting", "expected"), [("403/7", (403, 7)), ("401/16", (401, 16))])
def test_viewer_writes(setting: str, expected: tuple[int, int]) -> None:
    """A credential that may only read."""
    assert expected == refused(World(viewer_writes=setting).viewer().create_bucket, {"name": "abc"})[:2]


@pytest.mark.parametrize(("setting", "expected"), [("400/9", (400, 9)), ("403/7", (403, 7)), ("404/5", (404, 5))])
def test_inactive_registry(setting: str, expected: tuple[int, int]) -> None:
    """Everything is refused until the registry is active again; what was in it is still there."""
    world = World(inactive_registry=setting)
    world.model.delete_registry()

    assert expected == refused(world.model.get_bucket, BUCKET)[:2]
    assert world.model.get_registry()["registry"]["config"]["activated"] is False
    world.model.create_registry({"feature_tier": "STANDARD"})
    assert BUCKET == world.model.get_bucket(BUCKET)["bucket"]["name"]


def test_token_error_body() -> None:
    """The token endpoint refuses in three manners."""
    seen: dict[str, Any] = {}
    for setting in ("oauth", "status", "html"):
        world = World(token_error_body=setting)
        with served(world.model, Tokens(world.clock)) as client:
            seen[setting] = client.ask_token("wrong", "key")
    assert [401, 401, 401] == [answer.status_code for answer in seen.values()]
    assert "invalid_client" == seen["oauth"].json()["error"]
    assert 16 == seen["status"].json()["code"]
    assert seen["html"].text.startswith("<html>")


@pytest.mark.parametrize(("setting", "expected"), [("unassign", None), ("keep", "v1")])
def test_revocation_without_target(setting: str, expected: str | None) -> None:
    """The only version is revoked."""
    world = World(revocation_without_target=setting)
    world.completed("f1")
    world.model.create_channel(BUCKET, {"name": "prod", "version_fingerprint": "f1"})

    world.model.update_version(BUCKET, "f1", {"revoke_in": "0s"})

    assert (expected, expected) == (world.latest(), world.points("prod"))


@pytest.mark.parametrize(("setting", "count"), [(0.0, 1), (60.0, 0)])
def test_search_lag(setting: float, count: int) -> None:
    """An image is found after a while."""
    world = World(search_lag=setting)
    world.completed("f1", identifier="ami-1")
    assert count == len(world.model.search_external_artifact({"external_identifier": "ami-1"})["artifacts"])

    world.clock.advance(60)

    assert 1 == len(world.model.search_external_artifact({"external_identifier": "ami-1"})["artifacts"])
