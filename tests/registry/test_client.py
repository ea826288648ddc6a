"""Each operation sends what HCP Packer's interface describes, and returns values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from packer_publisher import __version__
from packer_publisher.errors import CredentialsTrouble, Forbidden
from packer_publisher.image import Artifact
from packer_publisher.provenance import Metadata
from packer_publisher.publish import Registry
from packer_publisher.registry import Assignment, HCPPacker, RegistryState, Relation, VersionName
from packer_publisher.registry.decoding import NO_RUN, build
from packer_publisher.snapshot import Bucket, BuildStatus, Channel, FoundArtifact
from packer_publisher.steps import CreateBuild, FillBuild, SetStatus
from tests.registry.peer import Peer, Says, Time, build_body, refusal, sent, version_body

BUILT = Says({"build": build_body()})
OPEN = Says({"version": version_body()})


def test_the_client_is_a_registry(hcp: HCPPacker) -> None:
    """HCPPacker satisfies the protocol that publishing needs; mypy checks the assignment."""
    registry: Registry = hcp

    assert 0 == registry.calls


def test_every_request_says_who_asks(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """User-Agent and X-HCP-Source-Channel name this program and its version."""
    peer.says(OPEN)

    hcp.get_version("web", "abc", clock.deadline())

    product = f"packer-publisher/{__version__}"
    headers = peer.api[0].headers
    assert (product, product) == (headers["user-agent"], headers["x-hcp-source-channel"])
    assert "application/json" == headers["accept"]
    assert product == peer.auth[0].headers["user-agent"]


def test_get_version_is_one_request_with_builds(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """GetVersion carries the builds, so nothing else is read."""
    peer.says(Says({"version": version_body("v3", builds=[build_body()])}))

    version = hcp.get_version("web", "abc", clock.deadline())

    assert [("GET", "/buckets/web/versions/abc", None)] == sent(peer)
    assert ("v3", True, True) == (version.name, version.complete, version.fresh)
    assert (build(build_body()),) == version.builds
    assert datetime(2026, 11, 21, 9, tzinfo=UTC) == version.created_at


@pytest.mark.parametrize(
    ("template_type", "body"),
    [
        ("HCL2", {"fingerprint": "abc", "template_type": "HCL2"}),
        ("TEMPLATE_TYPE_UNSET", {"fingerprint": "abc"}),
    ],
)
def test_create_version(peer: Peer, hcp: HCPPacker, clock: Time, template_type: str, body: object) -> None:
    """An unset template type is left out; the new version is no fresh read."""
    peer.says(OPEN)

    version = hcp.create_version("web", "abc", template_type, clock.deadline())

    assert [("POST", "/buckets/web/versions", body)] == sent(peer)
    assert (True, False) == (version.exists, version.fresh)


def test_buckets_are_created_and_updated_with_both_fields(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """Description and labels always travel together, because no update mask exists."""
    answer = Says({"bucket": {"name": "web", "description": "d", "labels": {"a": "b"}}})
    peer.says(answer, answer)

    created = hcp.create_bucket("web", "d", (("a", "b"),), clock.deadline())
    updated = hcp.update_bucket("web", "", (), clock.deadline())

    assert [
        ("PUT", "/buckets", {"name": "web", "description": "d", "labels": {"a": "b"}}),
        ("PATCH", "/buckets/web", {"description": "", "labels": {}}),
    ] == sent(peer)
    assert Bucket("web", True, "d", (("a", "b"),)) == created == updated


def test_create_build_is_unset_and_empty(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """A build is created with its labels and nothing that could complete the version."""
    peer.says(BUILT)

    hcp.create_build(CreateBuild("web", "abc", "amazon-ebs.ubuntu", (("a", "b"),)), clock.deadline())

    body = {"component_type": "amazon-ebs.ubuntu", "status": "BUILD_UNSET", "labels": {"a": "b"}}
    assert [("POST", "/buckets/web/versions/abc/builds", body)] == sent(peer)


@pytest.mark.parametrize("source", ["", "ami-base"])
def test_fill_build_is_one_update(peer: Peer, hcp: HCPPacker, clock: Time, source: str) -> None:
    """Platform, artifacts, labels and status travel in one PATCH; an unknown source is left out."""
    peer.says(BUILT)
    artifacts = (Artifact("eu-west-1", "ami-1"), Artifact("us-east-1", "ami-2"))

    hcp.update_build(
        FillBuild("web", "abc", "b1", "amazon-ebs", BuildStatus.UNSET, "aws", artifacts, (("a", "b"),), source),
        clock.deadline(),
    )

    body = {
        "status": "BUILD_UNSET",
        "platform": "aws",
        "packer_run_uuid": "00000000-0000-0000-0000-000000000000",  # Terraform's hcp_packer_artifact wants a UUID
        "artifacts": [
            {"external_identifier": "ami-1", "region": "eu-west-1"},
            {"external_identifier": "ami-2", "region": "us-east-1"},
        ],
        "labels": {"a": "b"},
        **({"source_external_identifier": source} if source else {}),
    }
    assert [("PATCH", "/buckets/web/versions/abc/builds/b1", body)] == sent(peer)


@pytest.mark.parametrize(
    ("parents", "sent_parents"),
    [
        (("id-7", "ch-3"), {"parent_version_id": "id-7", "parent_channel_id": "ch-3"}),
        (("id-7", ""), {"parent_version_id": "id-7"}),
        (("", "ch-3"), {}),
    ],
)
def test_parents_and_metadata_travel_with_the_fill(
    peer: Peer, hcp: HCPPacker, clock: Time, parents: tuple[str, str], sent_parents: dict[str, str]
) -> None:
    """They are set once, in the very update that sets the platform; a channel is nothing without its version."""
    peer.says(BUILT)
    filled = FillBuild("web", "abc", "b1", "amazon-ebs", BuildStatus.DONE, "aws", (), (), "ami-base", *parents)

    hcp.update_build(replace(filled, metadata=Metadata(commit="3f2a91c", packer_version="1.16.0")), clock.deadline())

    ((_, _, body),) = sent(peer)
    metadata = {
        "packer": {"version": "1.16.0"},
        "vcs": {"type": "git", "details": {"commit": "3f2a91c"}},
        "cicd": None,
    }
    common = {"status": "BUILD_DONE", "platform": "aws", "artifacts": [], "labels": {}, "packer_run_uuid": NO_RUN}
    assert {**common, "source_external_identifier": "ami-base", **sent_parents, "metadata": metadata} == body


@pytest.mark.parametrize(("status", "times", "forbidden"), [(403, 1, True), (401, 2, False)])
def test_what_is_not_allowed_is_told_from_refused_credentials(
    peer: Peer, hcp: HCPPacker, clock: Time, status: int, times: int, forbidden: bool
) -> None:
    """A service principal of one bucket may be refused the search of a project, and goes on with its bucket."""
    peer.says(*times * (refusal(status, 7, "denied"),))

    with pytest.raises(CredentialsTrouble) as caught:
        hcp.search_artifact("ami-1", "aws", clock.deadline())

    assert forbidden is isinstance(caught.value, Forbidden)


def test_set_status_sends_the_status_alone(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """A platform sent twice is refused, labels may be replaced: a status travels alone."""
    peer.says(BUILT)

    hcp.update_build(SetStatus("web", "abc", "b1", "amazon-ebs", BuildStatus.DONE), clock.deadline())

    assert [("PATCH", "/buckets/web/versions/abc/builds/b1", {"status": "BUILD_DONE"})] == sent(peer)


def test_deletions_need_no_body(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """Deleting answers {} or nothing at all."""
    peer.says(Says({}), Says(text="", status=204), Says({}), Says({}))

    hcp.delete_build("web", "abc", "b1", clock.deadline())
    hcp.delete_channel("web", "prod", clock.deadline())
    hcp.delete_version("web", "abc", clock.deadline())
    hcp.delete_bucket("web", clock.deadline())

    assert [
        ("DELETE", "/buckets/web/versions/abc/builds/b1", None),
        ("DELETE", "/buckets/web/channels/prod", None),
        ("DELETE", "/buckets/web/versions/abc", None),
        ("DELETE", "/buckets/web", None),
    ] == sent(peer)


def test_a_search_is_a_read(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """The search is a POST that writes nothing, so it is repeated like a read."""
    hit = {
        "bucket": {"id": "1", "name": "web", "labels": {}},
        "version": {"id": "2", "name": "v3", "fingerprint": "abc", "status": "VERSION_ACTIVE"},
        "build": build_body(),
    }
    peer.says(Says(status=503, text="busy"), Says({"artifacts": [hit], "pagination": None}))

    found = hcp.search_artifact("ami-1", "aws", clock.deadline())

    assert (FoundArtifact("web", "abc", "2", "v3", "VERSION_ACTIVE", build(build_body())),) == found
    assert ("POST", "/_search/external_artifact", {"external_identifier": "ami-1", "platform": "aws"}) == sent(peer)[1]


def test_channels(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """Channels are listed, read, created, and None where there is none."""
    body = {"id": "ch-1", "name": "prod", "managed": False, "restricted": True, "version": version_body("v1")}
    peer.says(Says({"channels": [body]}), Says({"channel": body}), refusal(404, 5, "none"), Says({"channel": body}))
    channel = Channel("prod", restricted=True, version_fingerprint="abc", version_name="v1", id="ch-1")

    assert (channel,) == hcp.list_channels("web", clock.deadline())
    assert channel == hcp.get_channel("web", "prod", clock.deadline())
    assert hcp.get_channel("web", "none", clock.deadline()) is None
    assert channel == hcp.create_channel("web", "prod", clock.deadline(), version_fingerprint="abc", restricted=True)
    assert (
        "POST",
        "/buckets/web/channels",
        {"name": "prod", "restricted": True, "version_fingerprint": "abc"},
    ) == sent(peer)[3]


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({"version_fingerprint": "abc"}, {"version_fingerprint": "abc", "update_mask": "versionFingerprint"}),
        ({"version_fingerprint": ""}, {"version_fingerprint": "", "update_mask": "versionFingerprint"}),
        ({"restricted": False}, {"restricted": False, "update_mask": "restricted"}),
        (
            {"version_fingerprint": "abc", "restricted": True},
            {"version_fingerprint": "abc", "restricted": True, "update_mask": "versionFingerprint,restricted"},
        ),
    ],
)
def test_a_channel_update_names_what_it_changes(
    peer: Peer, hcp: HCPPacker, clock: Time, changes: dict[str, object], body: object
) -> None:
    """HCP refuses an update without a mask, and under the mask a missing field is emptied."""
    peer.says(Says({"channel": {"name": "prod"}}))

    hcp.update_channel("web", "prod", clock.deadline(), **changes)  # type: ignore[arg-type]  # parametrized

    assert [("PATCH", "/buckets/web/channels/prod", body)] == sent(peer)


def test_a_channel_update_without_a_change_is_a_mistake(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """Nothing to change is nothing to send."""
    with pytest.raises(ValueError, match=r"^update_channel needs version_fingerprint or restricted$"):
        hcp.update_channel("web", "prod", clock.deadline())


def test_channel_history_and_assignment(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """The history is read newest first; an assignment copies one channel's version to another."""
    row = {"assigned_at": "2026-11-21T09:00:00Z", "author_id": "HCP Packer", "version": version_body("v1")}
    peer.says(
        Says({"history": [row], "count": 1, "pagination": {}}),
        Says({"source_channel": {"name": "dev"}, "target_channel": {"name": "prod"}, "fingerprint": "abc"}),
    )

    history = hcp.channel_history("web", "latest", clock.deadline())
    target = hcp.assign("web", "dev", "prod", clock.deadline())

    assert (Assignment(datetime(2026, 11, 21, 9, tzinfo=UTC), "HCP Packer", "abc", "v1"),) == history
    assert Channel("prod") == target
    assert (
        "POST",
        "/buckets/web/channels/assign",
        {"source_channel": "dev", "target_channel": "prod"},
    ) == sent(peer)[1]


def test_ancestry(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """Parents and children come as relations of two versions."""
    relation = {
        "parent": {"bucket_name": "base", "channel_name": "prod", "version_fingerprint": "p", "version_name": "v7"},
        "child": {"bucket_name": "web", "version_fingerprint": "abc", "version_name": "v1"},
        "status": "UP_TO_DATE",
    }
    peer.says(Says({"relations": [relation], "total_count": 1}))

    found = hcp.bucket_ancestry("web", clock.deadline(), fingerprint="abc")

    expected = Relation(VersionName("base", "p", "v7"), VersionName("web", "abc", "v1"), "prod", "UP_TO_DATE")
    assert (expected,) == found
    assert "/buckets/web/ancestry?type=ANCESTRY_TYPE_PARENTS&version_fingerprint=abc" == sent(peer)[0][1]


@pytest.mark.parametrize("none", [refusal(404, 5, "none"), Says({"registry": None}), Says({})])
def test_the_registry_itself(peer: Peer, hcp: HCPPacker, clock: Time, none: Says) -> None:
    """A registry tells its tier, whether it is active and HCP's time; None where there is none."""
    peer.says(Says({"registry": {"id": "r", "config": {"activated": True, "feature_tier": "STANDARD"}}}), none)

    at = datetime(2026, 11, 21, 10, tzinfo=UTC)  # the Date header
    assert RegistryState("r", activated=True, tier="STANDARD", at=at) == hcp.get_registry(clock.deadline())
    assert hcp.get_registry(clock.deadline()) is None
