"""HCP's JSON becomes values; another shape is trouble."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from packer_publisher.errors import RegistryTrouble
from packer_publisher.image import Artifact
from packer_publisher.registry import HCPPacker, decoding
from packer_publisher.snapshot import Bucket, Build, BuildStatus, Channel, Latest
from tests.registry.peer import Peer, Says, Time, build_body, version_body


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2026-11-21T09:00:00Z", 0),
        ("2026-11-21T09:00:00.Z", 0),
        ("2026-11-21T09:00:00.5Z", 500_000),
        ("2026-11-21T09:00:00.442Z", 442_000),
        ("2026-11-21T09:00:00.442123Z", 442_123),
        ("2026-11-21T09:00:00.442123987Z", 442_123),
        ("2026-11-21t09:00:00z", 0),
        ("2026-11-21T10:30:00.25+01:30", 250_000),
        ("2026-11-21T04:00:00-0500", 0),
    ],
)
def test_timestamps_are_read_leniently(text: str, microsecond: int) -> None:
    """HCP mixes 3, 6 and 9 fractional digits in one document; none to nine are read, in any zone."""
    assert datetime(2026, 11, 21, 9, 0, 0, microsecond, UTC) == decoding.timestamp(text)


@pytest.mark.parametrize("value", [None, "", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"])
def test_unset_times_are_none(value: object) -> None:
    """Null, empty and Go's zero time all mean that there is no time."""
    assert decoding.timestamp(value) is None


def test_a_leap_second_is_a_time() -> None:
    """Second 60 exists in RFC 3339 and not in Python."""
    assert datetime(2016, 12, 31, 23, 59, 59, 999_999, UTC) == decoding.timestamp("2016-12-31T23:59:60Z")


@pytest.mark.parametrize(
    "value", ["yesterday", 7, "2026-13-01T00:00:00Z", "2026-11-21", "2026-11-21T09:00:00", [], True]
)
def test_no_time_is_trouble(value: object) -> None:
    """A time that cannot be read is no reason to guess one."""
    with pytest.raises(RegistryTrouble, match=r"^the answer should hold a time, but has "):
        decoding.timestamp(value)


def test_a_build_is_read_in_full() -> None:
    """All that the plan looks at is taken over, artifacts as a set with their newest time."""
    body = build_body(
        status="BUILD_DONE",
        platform="aws",
        artifacts=[
            {"id": "1", "region": "eu-west-1", "external_identifier": "ami-1", "created_at": "2026-11-21T09:00:00Z"},
            {"id": "2", "region": "us-east-1", "external_identifier": "ami-2", "created_at": "2026-11-21T09:05:00Z"},
        ],
        labels={"b": "2", "a": "1"},
        packer_run_uuid="run",
        source_external_identifier="ami-base",
        metadata={"packer": {}},
        something_new=[1],
    )

    expected = Build(
        id="01J00000000000000000000002",
        component_type="amazon-ebs",
        status=BuildStatus.DONE,
        platform="aws",
        artifacts=frozenset({Artifact("eu-west-1", "ami-1"), Artifact("us-east-1", "ami-2")}),
        labels=(("a", "1"), ("b", "2")),
        packer_run_uuid="run",
        source_external_identifier="ami-base",
        created_at=datetime(2026, 11, 21, 9, tzinfo=UTC),
        artifacts_created_at=datetime(2026, 11, 21, 9, 5, tzinfo=UTC),
    )
    assert expected == decoding.build(body)


@pytest.mark.parametrize(
    ("written", "read"), [("00000000-0000-0000-0000-000000000000", ""), ("6f3c", "6f3c"), ("", "")]
)
def test_the_run_that_is_written_where_there_is_none_is_read_as_none(written: str, read: str) -> None:
    """A build that holds it is ours as before; any other run is a run of Packer's."""
    assert read == decoding.build(build_body(packer_run_uuid=written)).packer_run_uuid


@pytest.mark.parametrize("status", ["BUILD_PENDING", "", None])
def test_an_unknown_status_is_unset(status: object) -> None:
    """A word that we do not know is not DONE."""
    assert BuildStatus.UNSET == decoding.build(build_body(status=status)).status


def test_null_is_missing() -> None:
    """Go sends nil lists, maps and texts as null."""
    nulls = dict.fromkeys(["artifacts", "labels", "platform", "packer_run_uuid", "created_at", "component_type"])

    assert Build("b1", "") == decoding.build({"id": "b1", **nulls})


@pytest.mark.parametrize("builds", [{}, {"builds": None}, {"builds": []}])
def test_a_version_without_builds_has_none(peer: Peer, hcp: HCPPacker, clock: Time, builds: dict[str, Any]) -> None:
    """A missing, null or empty list of builds is an empty version."""
    body = {key: value for key, value in version_body().items() if key != "builds"}
    peer.says(Says({"version": {**body, **builds}}))

    version = hcp.get_version("web", "abc", clock.deadline())

    assert () == version.builds
    assert (True, True, False) == (version.exists, version.fresh, version.complete)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({}, "an object in 'version', but has nothing"),
        ({"version": "x"}, "an object in 'version', but has str 'x'"),
        ({"version": []}, "an object in 'version', but has list"),
        ({"version": {"name": "v1"}}, "a version's 'id', but has nothing"),
        ({"version": version_body(name=1)}, "a text in 'name', but has int"),
        ({"version": version_body(builds={})}, "a list of objects in 'builds', but has dict"),
        ({"version": version_body(builds=[None])}, "a list of objects in 'builds', but has list"),
        ({"version": version_body(builds=[{}])}, "a build's 'id', but has nothing"),
        ({"version": version_body(builds=[build_body(labels=[])])}, "an object in 'labels', but has list"),
        ({"version": version_body(created_at="now")}, "a time, but has str 'now'"),
    ],
)
def test_another_shape_is_trouble(peer: Peer, hcp: HCPPacker, clock: Time, body: object, what: str) -> None:
    """A 200 that is no version is not from HCP Packer; the message says what is wrong and where."""
    peer.says(Says(body))

    with pytest.raises(RegistryTrouble) as caught:
        hcp.get_version("web", "abc", clock.deadline())

    assert f"GetVersion of bucket 'web', version 'abc': the answer should hold {what}." == str(caught.value)


def test_a_bucket_tells_its_newest_complete_version() -> None:
    """``latest_version`` describes the newest complete version, null while there is none."""
    body = {"name": "web", "description": "d", "labels": {"a": "b"}, "latest_version": None, "version_count": "3"}
    newest = {"fingerprint": "abc", "name": "v3", "created_at": "2026-11-21T09:00:00Z"}

    assert Bucket("web", True, "d", (("a", "b"),), Latest()) == decoding.bucket(body)
    expected = Latest("abc", "v3", datetime(2026, 11, 21, 9, tzinfo=UTC))
    assert expected == decoding.bucket({**body, "latest_version": newest}).latest


def test_a_channel_tells_its_version() -> None:
    """The nested version gives fingerprint and name, none while nothing is assigned."""
    body = {"name": "latest", "managed": True, "restricted": True, "version": None}

    assert Channel("latest", managed=True, restricted=True) == decoding.channel(body)
    assert Channel("prod", version_fingerprint="abc", version_name="v1") == decoding.channel(
        {"name": "prod", "version": version_body("v1")}
    )
