"""Random calls under random switches: both stores agree, and what must hold always holds."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_refusals import Refusal
from packer_publisher.local.registry_store import MemoryStore, SqliteStore
from packer_publisher.local.registry_switches import Switches
from tests.local.worlds import BUCKET, Clock

STATUSES = ("BUILD_UNSET", "BUILD_RUNNING", "BUILD_DONE", "BUILD_FAILED", "BUILD_CANCELLED", "NONSENSE", None)
CHANNELS = ("latest", "prod", "nope")
FINGERPRINTS = ("f1", "f2", "nope")


def some_artifacts(rng: random.Random) -> list[dict[str, str]]:
    """Return none to two artifacts out of few, so that they repeat."""
    return [
        {"external_identifier": rng.choice(("ami-1", "ami-2")), "region": rng.choice(("r1", "r2"))}
        for _ in range(rng.randint(0, 2))
    ]


def one_call(model: RegistryModel, rng: random.Random, ids: list[str]) -> Any:
    """Make one random call; return its answer or its refusal."""
    fingerprint, channel = rng.choice(FINGERPRINTS[:2]), rng.choice(CHANNELS)
    build_id = rng.choice(ids or ["none"])
    body: dict[str, Any] = {
        "status": rng.choice(STATUSES),
        "platform": rng.choice(("", "", "aws", "azure")),
        "artifacts": some_artifacts(rng),
        "labels": rng.choice(({}, None, {"a": "1"}, {"b": "2"})),
    }
    mask = rng.choice(("versionFingerprint", "restricted", "versionFingerprint,restricted", ""))
    revocation = rng.choice(({"revoke_in": "0s"}, {"revoke_in": "5m"}, {"restore": True}, {"complete": True}))
    calls: list[tuple[int, Any]] = [
        (2, lambda: model.create_version(BUCKET, {"fingerprint": fingerprint})),
        (6, lambda: model.create_build(BUCKET, fingerprint, {**body, "component_type": rng.choice("abc")})),
        (14, lambda: model.update_build(BUCKET, fingerprint, build_id, body)),
        (2, lambda: model.delete_build(BUCKET, fingerprint, build_id)),
        (6, lambda: model.get_version(BUCKET, rng.choice(FINGERPRINTS))),
        (1, lambda: model.delete_version(BUCKET, fingerprint, rollback_channels=rng.random() < 0.5)),
        (2, lambda: model.update_version(BUCKET, fingerprint, revocation)),
        (1, lambda: model.create_channel(BUCKET, {"name": channel})),
        (
            2,
            lambda: model.update_channel(BUCKET, channel, {"update_mask": mask, "version_fingerprint": fingerprint}),
        ),
        (2, lambda: model.get_channel(BUCKET, channel)),
        (2, lambda: model.get_bucket(BUCKET)),
        (1, lambda: model.list_versions(BUCKET)),
        (1, lambda: model.search_external_artifact({"external_identifier": "ami-1"})),
    ]
    [(_, call)] = rng.choices(calls, [weight for weight, _ in calls])
    try:
        return call()
    except Refusal as refusal:
        return refusal.status, refusal.body()


def always_true(model: RegistryModel, fork: RegistryModel) -> None:
    """Check what no sequence of calls may break."""
    numbers = []
    for version in model.list_versions(BUCKET)["versions"]:
        if version["name"] != "v0":
            numbers.append(version["name"])
            assert version["status"] in ("VERSION_ACTIVE", "VERSION_REVOKED", "VERSION_REVOCATION_SCHEDULED")
        else:
            assert version["status"] not in ("VERSION_ACTIVE", "VERSION_REVOKED")
        names = [build["component_type"] for build in version["builds"]]
        if model.switches.duplicate_build_key == "component_type":
            assert len(names) == len(set(names))
    assert len(numbers) == len(set(numbers))
    bucket = model.get_bucket(BUCKET)["bucket"]
    latest = model.get_channel(BUCKET, "latest")["channel"]["version"]
    assert (bucket["latest_version"] or {}).get("name") == (latest or {}).get("name")
    assert latest is None or latest["name"] != "v0"
    assert fork.get_bucket(BUCKET)["bucket"] == bucket


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), default=st.booleans())
def test_both_stores_agree_whatever_is_called(seed: int, default: bool) -> None:
    """The same calls give the same answers over memory and SQLite, and no call ends in anything but a refusal."""
    switches = Switches() if default else Switches.random(random.Random(seed))
    clock = Clock()
    models = [
        RegistryModel(store=store, clock=clock, switches=switches, seed=1) for store in (MemoryStore(), SqliteStore())
    ]
    for model in models:
        model.create_bucket({"name": BUCKET})
        model.create_version(BUCKET, {"fingerprint": "f1"})
    time = random.Random(seed)
    ids: list[str] = []
    for step in range(60):
        clock.advance(time.choice((0, 1, 30, 400)))
        answers = [one_call(model, random.Random(seed + step), ids) for model in models]
        assert answers[0] == answers[1]
        if isinstance(answers[0], dict) and "build" in answers[0] and answers[0]["build"]["id"] not in ids:
            ids.append(answers[0]["build"]["id"])
    if switches.max_page_size > 1 and switches.default_page_size > 2:
        always_true(models[0], models[1].fork())
    models[1].close()


@pytest.mark.parametrize("switches", list(Switches.variations()), ids=lambda switches: str(switches.deviations()))
def test_a_version_completes_under_every_switch(switches: Switches) -> None:
    """A client that sends RUNNING first, waits, and reads twice gets its version complete."""
    clock = Clock()
    model = RegistryModel(store=MemoryStore(), clock=clock, switches=switches, seed=1)
    model.create_bucket({"name": BUCKET})
    model.create_version(BUCKET, {"fingerprint": "f1"})
    ids = [model.create_build(BUCKET, "f1", {"component_type": name})["build"]["id"] for name in "ab"]
    for number, build_id in enumerate(ids):
        model.update_build(BUCKET, "f1", build_id, {"status": "BUILD_RUNNING"})
        artifacts = [{"external_identifier": f"ami-{number}", "region": "r"}]
        body = {"status": "BUILD_DONE", "platform": "aws", "artifacts": artifacts}
        model.update_build(BUCKET, "f1", build_id, body)
    clock.advance(60)
    model.get_version(BUCKET, "f1")

    assert "v1" == model.get_version(BUCKET, "f1")["version"]["name"]
