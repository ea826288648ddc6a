"""The client against the local registry over real HTTP: both read the same interface, written by different hands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from packer_publisher.deadline import Deadline
from packer_publisher.errors import CredentialsTrouble, OutcomeUnknown, RegistryRefused
from packer_publisher.image import Artifact
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.local.registry_tokens import VIEWER, WRITER
from packer_publisher.registry import HCPPacker, Restore, Revoke
from packer_publisher.snapshot import Build, BuildStatus
from packer_publisher.steps import CreateBuild, FillBuild, SetStatus
from tests.local.worlds import PLAIN
from tests.switches import setting

pytestmark = [PLAIN, pytest.mark.switches(search_lag=0.0)]  # what the client writes, it reads

LABELS = (("managed-by", "packer-publisher"),)
AMI = Artifact("eu-west-1", "ami-0123")


@dataclass(frozen=True)
class World:
    """A local registry and a client of it."""

    registry: LocalRegistry
    hcp: HCPPacker

    @property
    def deadline(self) -> Deadline:
        """Return a deadline that a working registry never meets."""
        return Deadline.after(20)

    def open_version(self, *component_types: str) -> list[Build]:
        """Create bucket ``web``, version ``abc`` and its builds."""
        self.hcp.create_bucket("web", "", (), self.deadline)
        self.hcp.create_version("web", "abc", "HCL2", self.deadline)
        return [
            self.hcp.create_build(CreateBuild("web", "abc", component_type, LABELS), self.deadline)
            for component_type in component_types
        ]

    def fill(self, build: Build, status: BuildStatus = BuildStatus.DONE, artifact: Artifact = AMI) -> Build:
        """Fill a build in one update."""
        step = FillBuild("web", "abc", build.id, build.component_type, status, "aws", (artifact,), LABELS, "ami-base")
        return self.hcp.update_build(step, self.deadline)


@contextmanager
def a_world(**switches: Any) -> Iterator[World]:
    with ExitStack() as stack:
        registry = stack.enter_context(local_registry(RegistryModel(seed=1, switches=setting(**switches))))
        hcp = stack.enter_context(HCPPacker.from_environment(registry.environment()))
        yield World(registry, hcp)
        registry.faults.assert_consumed()


@pytest.fixture
def world() -> Iterator[World]:
    with a_world() as world:
        yield world


def test_a_version_completes(world: World) -> None:
    """From nothing to ``v1``: every call of the flow, its answers and their number."""
    hcp, deadline = world.hcp, world.deadline

    assert not hcp.get_version("web", "abc", deadline).exists
    with pytest.raises(RegistryRefused) as caught:
        hcp.create_version("web", "abc", "HCL2", deadline)
    assert (404, 5) == (caught.value.status, caught.value.code)
    assert not hcp.get_bucket("web", deadline).exists
    first, second = world.open_version("amazon-ebs", "azure-arm")
    version = hcp.get_version("web", "abc", deadline)
    assert (True, "v0", False) == (version.exists, version.name, version.complete)
    assert {"amazon-ebs", "azure-arm"} == {build.component_type for build in version.builds}
    world.fill(first, BuildStatus.UNSET)
    hcp.update_build(SetStatus("web", "abc", first.id, "amazon-ebs", BuildStatus.DONE), deadline)
    world.fill(second, artifact=Artifact("westeurope", "/subscriptions/s/x"))

    version = hcp.get_version("web", "abc", deadline)
    assert ("v1", True) == (version.name, version.complete)
    build = version.build("amazon-ebs")
    assert build is not None
    assert (BuildStatus.DONE, "aws", frozenset({AMI}), LABELS, "ami-base") == (
        build.status,
        build.platform,
        build.artifacts,
        build.labels,
        build.source_external_identifier,
    )
    assert None not in (version.read_at, version.created_at, build.created_at, build.artifacts_created_at)
    latest = hcp.get_bucket("web", deadline).latest
    assert ("abc", "v1") == (latest.fingerprint, latest.name)
    channel = hcp.get_channel("web", "latest", deadline)
    assert channel is not None
    assert (True, "abc") == (channel.managed, channel.version_fingerprint)
    assert world.registry.requests.count() == hcp.calls


@pytest.mark.switches(platform_resent_same="refuse", platform_resent_after_create="refuse")
def test_refusals_have_their_codes(world: World) -> None:
    """The codes that the plan decides on: duplicates, a platform that is set, a sealed version."""
    (build,) = world.open_version("amazon-ebs")
    deadline = world.deadline

    def code(call: object) -> tuple[int, int]:
        with pytest.raises(RegistryRefused) as caught:
            call()  # type: ignore[operator]  # a lambda of the lines below
        return caught.value.status, caught.value.code

    step = CreateBuild("web", "abc", "amazon-ebs", LABELS)
    assert (409, 6) == code(lambda: world.hcp.create_bucket("web", "", (), deadline))
    assert (409, 6) == code(lambda: world.hcp.create_version("web", "abc", "HCL2", deadline))
    assert (409, 6) == code(lambda: world.hcp.create_build(step, deadline))
    world.fill(build, BuildStatus.UNSET)
    assert (409, 6) == code(lambda: world.fill(build, BuildStatus.UNSET))
    world.hcp.update_build(SetStatus("web", "abc", build.id, "amazon-ebs", BuildStatus.DONE), deadline)
    assert (400, 9) == code(lambda: world.hcp.create_build(CreateBuild("web", "abc", "other", LABELS), deadline))
    assert (404, 5) == code(lambda: world.hcp.delete_build("web", "abc", "none", deadline))


@pytest.mark.switches(platform_resent_same="refuse", platform_resent_after_create="refuse")
def test_exactly_one_writer_sets_the_platform(world: World) -> None:
    """Many threads of one client fill one build: one wins, the others are told so."""
    (build, _open) = world.open_version("amazon-ebs", "azure-arm")

    def fill(_number: int) -> int:
        try:
            world.fill(build, BuildStatus.UNSET)
        except RegistryRefused as error:
            return error.code
        return 0

    with ThreadPoolExecutor(8) as pool:
        codes = sorted(pool.map(fill, range(8)))

    assert [0, *[6] * 7] == codes


@pytest.mark.parametrize("fault", ["lose_reply", "truncate"])
def test_a_lost_reply_is_found_by_reading(world: World, fault: str) -> None:
    """A write that happened without its answer is OutcomeUnknown, sent once, and there on the next read."""
    world.open_version("azure-arm")
    getattr(world.registry.faults, fault)("CreateBuild")
    before = world.registry.requests.count("CreateBuild")

    with pytest.raises(OutcomeUnknown):
        world.hcp.create_build(CreateBuild("web", "abc", "amazon-ebs", LABELS), world.deadline)

    assert 1 == world.registry.requests.count("CreateBuild") - before
    version = world.hcp.get_version("web", "abc", world.deadline)
    assert version.build("amazon-ebs") is not None


def test_a_read_outlives_a_reset(world: World) -> None:
    """A reset read is sent again."""
    world.open_version()
    world.registry.faults.reset("GetVersion")

    assert world.hcp.get_version("web", "abc", world.deadline).exists


def test_lists_of_many_pages() -> None:
    """All buckets, versions and builds are found however small a page is."""
    with a_world(default_page_size=2) as world:
        world.open_version("a", "b", "c", "d", "e")
        for number in range(4):
            world.hcp.create_bucket(f"bucket-{number}", "", (), world.deadline)
            world.hcp.create_version("web", f"fp-{number}", "HCL2", world.deadline)

        builds = world.hcp.list_builds("web", "abc", world.deadline)
        buckets = world.hcp.list_buckets(world.deadline)
        versions = world.hcp.list_versions("web", world.deadline)

    assert ["a", "b", "c", "d", "e"] == sorted(build.component_type for build in builds)
    assert ["bucket-0", "bucket-1", "bucket-2", "bucket-3", "web"] == sorted(bucket.name for bucket in buckets)
    assert ["fp-3", "fp-2", "fp-1", "fp-0", "abc"] == [version.fingerprint for version in versions]


def test_channels_revocation_and_search(world: World) -> None:
    """What comes after completion: channels, search, ancestry, revocation and its end."""
    (build,) = world.open_version("amazon-ebs")
    world.fill(build)
    hcp, deadline = world.hcp, world.deadline

    assert "abc" == hcp.create_channel("web", "dev", deadline, version_fingerprint="abc").version_fingerprint
    assert "" == hcp.create_channel("web", "prod", deadline).version_fingerprint
    assert "abc" == hcp.assign("web", "dev", "prod", deadline).version_fingerprint
    assert "" == hcp.update_channel("web", "prod", deadline, version_fingerprint="").version_fingerprint
    assert {"latest", "dev", "prod"} == {channel.name for channel in hcp.list_channels("web", deadline)}
    assert "abc" == hcp.channel_history("web", "dev", deadline)[0].version_fingerprint
    hcp.delete_channel("web", "prod", deadline)
    assert hcp.get_channel("web", "prod", deadline) is None
    (found,) = hcp.search_artifact("ami-0123", "aws", deadline)
    assert ("web", "abc", "v1") == (found.bucket, found.fingerprint, found.version_name)
    assert () == hcp.bucket_ancestry("web", deadline)
    assert "VERSION_REVOKED" == hcp.update_version("web", "abc", Revoke("CVE"), deadline).status
    assert "VERSION_ACTIVE" == hcp.update_version("web", "abc", Restore(), deadline).status
    state = hcp.get_registry(deadline)
    assert state is not None
    assert state.activated
    changed = hcp.update_bucket("web", "new", (("a", "b"),), deadline)
    assert ("new", (("a", "b"),)) == (changed.description, changed.labels)


def test_ids_are_found_out(world: World) -> None:
    """Without ids in the environment the client finds the same registry, in requests that do not count."""
    world.open_version()
    environ = world.registry.environment()
    del environ["HCP_ORGANIZATION_ID"], environ["HCP_PROJECT_ID"]

    with HCPPacker.from_environment(environ) as hcp:
        assert hcp.get_version("web", "abc", world.deadline).exists
        assert 1 == hcp.calls


def test_a_viewer_may_not_write(world: World) -> None:
    """A key without the role reads, and is told which role a write needs."""
    world.open_version()

    with HCPPacker.from_environment(world.registry.environment(VIEWER)) as hcp:
        assert hcp.get_version("web", "abc", world.deadline).exists
        with pytest.raises(CredentialsTrouble) as caught:
            hcp.create_build(CreateBuild("web", "abc", "amazon-ebs", LABELS), world.deadline)

    assert caught.value.remedy.startswith("Give the service principal the Contributor role")


@pytest.mark.parametrize("answer", ["403/7", "401/16"])
def test_a_missing_role_is_trouble_however_it_is_said(answer: Any) -> None:
    """Whether HCP says 403 or 401 to a viewer who writes is not known; both are for a person."""
    with a_world(viewer_writes=answer) as world:
        world.open_version()
        with (
            HCPPacker.from_environment(world.registry.environment(VIEWER)) as hcp,
            pytest.raises(CredentialsTrouble) as caught,
        ):
            hcp.create_build(CreateBuild("web", "abc", "amazon-ebs", LABELS), world.deadline)

    assert caught.value.remedy.startswith("Give the service principal the Contributor role")


def test_a_token_that_hcp_forgot_is_renewed(world: World) -> None:
    """A token that is refused in the middle of a write costs one more token, and the write happens once."""
    world.open_version()
    world.registry.tokens.revoke_all()

    world.hcp.create_build(CreateBuild("web", "abc", "amazon-ebs", LABELS), world.deadline)

    assert 1 == len(world.hcp.get_version("web", "abc", world.deadline).builds)


def test_a_workload_identity_works(world: World, tmp_path: Path) -> None:
    """A workload's own token is exchanged at the local registry as it is at HCP."""
    world.open_version()
    path = tmp_path / "cred.json"
    provider = "iam/project/p/service-principal/s/workload-identity-provider/w"
    world.registry.tokens.register_workload(provider, "made-up.jwt.token", WRITER.caller)
    workload = {"provider_resource_name": provider, "token": {"token": "made-up.jwt.token"}}
    path.write_text(json.dumps({"scheme": "workload", "workload": workload}))
    environ = world.registry.environment()
    del environ["HCP_CLIENT_ID"], environ["HCP_CLIENT_SECRET"]

    with HCPPacker.from_environment({**environ, "HCP_CRED_FILE": str(path)}) as hcp:
        assert hcp.get_version("web", "abc", world.deadline).exists
