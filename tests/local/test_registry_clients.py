"""What stock clients send, replayed: Packer 1.16 and Terraform's provider 0.11x.

The order and the bodies are those of hashicorp/packer (command/build.go, internal/hcp/registry) and of
hashicorp/terraform-provider-hcp (internal/clients/packerv2); ids and names are made up.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.http_registry import RegistryClient
from tests.local.worlds import PLAIN

pytestmark = PLAIN

BUCKET = "my-image"
FINGERPRINT = "01J9ZK5Q8RBTNWVXH3YCDEFGAM"
RUN = "6f3c1d9e-0000-4000-8000-000000000001"
VERSION = f"/buckets/{BUCKET}/versions/{FINGERPRINT}"


def done_body(identifier: str, region: str, platform: str) -> dict[str, Any]:
    """Return what Packer sends when a build is done."""
    return {
        "artifacts": [{"external_identifier": identifier, "region": region}],
        "labels": {"git_sha": "abc"},
        "metadata": {"packer": {"version": "1.16.0"}, "vcs": None, "cicd": None},
        "packer_run_uuid": RUN,
        "platform": platform,
        "source_external_identifier": "ami-base",
        "status": "BUILD_DONE",
    }


def packer_setup(client: RegistryClient, components: tuple[str, ...]) -> dict[str, str]:
    """Do what Packer does before it builds anything; return the builds' ids by component type."""
    assert (404, 5) == client.code("GET", f"/buckets/{BUCKET}")
    assert 200 == client.call("PUT", "/buckets", {"name": BUCKET}).status_code
    assert (409, 10) == client.code("GET", VERSION)
    body = {"fingerprint": FINGERPRINT, "template_type": "HCL2"}
    created = client.call("POST", f"/buckets/{BUCKET}/versions", body).json()["version"]
    assert ("v0", "HCL2") == (created["name"], created["template_type"])
    assert [] == client.call("GET", f"{VERSION}/builds").json()["builds"]
    builds = {}
    for component in components:
        unset: dict[str, Any] = {
            "artifacts": None,
            "component_type": component,
            "packer_run_uuid": RUN,
            "status": "BUILD_UNSET",
        }
        build = client.call("POST", f"{VERSION}/builds", unset).json()["build"]
        assert "BUILD_UNSET" == build["status"]
        builds[component] = build["id"]
    blocks = client.call("GET", f"/enforced_blocks/bucket/{BUCKET}").json()
    assert {"enforced_block_detail": []} == blocks
    return builds


def heartbeat(client: RegistryClient, build_id: str) -> int:
    """Send Packer's heartbeat, which is its RUNNING update too."""
    body = {"artifacts": None, "packer_run_uuid": RUN, "status": "BUILD_RUNNING"}
    return client.call("PATCH", f"{VERSION}/builds/{build_id}", body).status_code


@pytest.mark.switches(assign_incomplete_version="400/9")
def test_a_run_of_packer_with_two_sources(client: RegistryClient) -> None:
    """Every call is answered as Packer needs it, and the version is complete after the last one."""
    builds = packer_setup(client, ("amazon-ebs.ubuntu", "azure-arm.ubuntu"))
    client.call("POST", f"/buckets/{BUCKET}/channels", {"name": "production"})
    assignment = {"version_fingerprint": FINGERPRINT, "update_mask": "versionFingerprint"}

    for build_id in builds.values():
        assert 200 == heartbeat(client, build_id)
    for build_id in builds.values():
        assert 200 == heartbeat(client, build_id)
    sbom = {"compressed_sbom": "KLUv/SAA", "format": "SPDX", "name": "my-sbom"}
    aws, azure = builds.values()
    assert 200 == client.call("PUT", f"{VERSION}/builds/{aws}/sboms", sbom).status_code
    done = client.call("PATCH", f"{VERSION}/builds/{aws}", done_body("ami-1", "eu-west-1", "aws"))
    assert ("BUILD_DONE", "aws") == (done.json()["build"]["status"], done.json()["build"]["platform"])
    # Packer assigns the template's channels after each build; before the last one that fails.
    assert (400, 9) == client.code("PATCH", f"/buckets/{BUCKET}/channels/production", assignment)
    client.call("PATCH", f"{VERSION}/builds/{azure}", done_body("img", "westeurope", "azure"))
    assert (200, 0) == client.code("PATCH", f"/buckets/{BUCKET}/channels/production", assignment)

    assert "v1" == client.call("GET", VERSION).json()["version"]["name"]
    # N sources, H heartbeats, S SBOMs, C channels: 6 + 3N + H + S + CN; the channel's creation and the read above
    # are not Packer's.
    assert 6 + 3 * 2 + 2 + 1 + 1 * 2 == client.requests.count() - 2


@pytest.mark.switches(max_page_size=100, status_priority="running")
def test_packer_resumes_a_failed_run(client: RegistryClient) -> None:
    """The second run finds what is DONE, and takes the other build up again."""
    builds = packer_setup(client, ("amazon-ebs.ubuntu", "azure-arm.ubuntu"))
    aws, azure = builds.values()
    heartbeat(client, aws)
    client.call("PATCH", f"{VERSION}/builds/{aws}", done_body("ami-1", "eu-west-1", "aws"))
    failed = {"artifacts": None, "packer_run_uuid": RUN, "status": "BUILD_FAILED"}
    client.call("PATCH", f"{VERSION}/builds/{azure}", failed)
    assert "VERSION_FAILED" == client.call("GET", VERSION).json()["version"]["status"]

    listed = client.call("GET", f"{VERSION}/builds").json()["builds"]
    assert ["BUILD_DONE", "BUILD_FAILED"] == [build["status"] for build in listed]
    assert (409, 6) == client.code("POST", f"{VERSION}/builds", {"component_type": "azure-arm.ubuntu"})
    heartbeat(client, azure)
    client.call("PATCH", f"{VERSION}/builds/{azure}", done_body("img", "westeurope", "azure"))

    assert "v1" == client.call("GET", VERSION).json()["version"]["name"]


@pytest.mark.switches(platform_resent_same="refuse")
def test_a_platform_written_by_another_makes_packer_fail(client: RegistryClient) -> None:
    """Packer's DONE carries the platform; where it is set already the run is lost."""
    [build_id] = packer_setup(client, ("amazon-ebs.ubuntu",)).values()
    client.call("PATCH", f"{VERSION}/builds/{build_id}", {"platform": "aws"})

    assert (409, 6) == client.code("PATCH", f"{VERSION}/builds/{build_id}", done_body("ami-1", "r", "aws"))


def test_the_helpers_of_terraforms_tests(client: RegistryClient) -> None:
    """Build created RUNNING with platform and labels, then updated with artifacts and another run."""
    client.call("PUT", "/buckets", {"name": BUCKET})
    client.call("POST", f"/buckets/{BUCKET}/versions", {"fingerprint": FINGERPRINT})
    body = {
        "component_type": "amazon-ebs.example",
        "labels": {"a": "b"},
        "packer_run_uuid": RUN,
        "platform": "aws",
        "status": "BUILD_RUNNING",
    }
    build_id = client.call("POST", f"{VERSION}/builds", body).json()["build"]["id"]
    update = {
        "artifacts": [{"external_identifier": "ami-42", "region": "us-east-1"}, {"region": "us-east-2"}],
        "labels": {"a": "b"},
        "packer_run_uuid": "another-run",
        "status": "BUILD_DONE",
    }

    assert 200 == client.call("PATCH", f"{VERSION}/builds/{build_id}", update).status_code

    assert "v1" == client.call("GET", VERSION).json()["version"]["name"]


@pytest.fixture
def completed(client: RegistryClient) -> RegistryClient:
    """A registry in which Packer has completed one version."""
    [build_id] = packer_setup(client, ("amazon-ebs.ubuntu",)).values()
    heartbeat(client, build_id)
    client.call("PATCH", f"{VERSION}/builds/{build_id}", done_body("ami-1", "eu-west-1", "aws"))
    client.requests.clear()
    return client


def test_terraforms_data_sources(completed: RegistryClient) -> None:
    """hcp_packer_artifact and hcp_packer_version read a channel; the project leads to the organization."""
    project = completed.http.get(f"/resource-manager/2019-12-10/projects/{completed.model.project}").json()
    assert completed.model.tenancy.organization_id == project["project"]["parent"]["id"]

    channel = completed.call("GET", f"/buckets/{BUCKET}/channels/latest").json()["channel"]

    version = channel["version"]
    assert ("v1", None, "VERSION_ACTIVE") == (version["name"], version["revoke_at"], version["status"])
    [build] = version["builds"]
    assert ("aws", "amazon-ebs.ubuntu", {"git_sha": "abc"}) == (
        build["platform"],
        build["component_type"],
        build["labels"],
    )
    assert [("ami-1", "eu-west-1")] == [
        (artifact["external_identifier"], artifact["region"]) for artifact in build["artifacts"]
    ]


def test_terraforms_resources(completed: RegistryClient) -> None:
    """hcp_packer_channel, hcp_packer_channel_assignment and hcp_packer_bucket: create, read, update, delete."""
    channels = f"/buckets/{BUCKET}/channels"
    created = completed.call("POST", channels, {"name": "production", "restricted": True}).json()["channel"]
    assert created["version"] is None
    assign = {"version_fingerprint": FINGERPRINT, "update_mask": "versionFingerprint"}
    assigned = completed.call("PATCH", f"{channels}/production", assign).json()["channel"]
    assert FINGERPRINT == assigned["version"]["fingerprint"]
    listed = completed.call("GET", channels).json()["channels"]
    assert {"latest", "production"} == {channel["name"] for channel in listed}
    cleared = completed.call("PATCH", f"{channels}/production", {"update_mask": "versionFingerprint"}).json()
    assert cleared["channel"]["version"] is None
    assert 200 == completed.call("DELETE", f"{channels}/production").status_code
    assert (404, 5) == completed.code("DELETE", f"{channels}/production")

    assert completed.call("GET", f"/buckets/{BUCKET}").json()["bucket"]["resource_name"]
    revoked = completed.call("PATCH", VERSION, {"revoke_in": "0s", "revoke_at": "0001-01-01T00:00:00.000Z"})
    operation = revoked.json()["operation"]["id"]
    tenant = completed.base.removeprefix("/packer/2023-01-01")
    path = f"/operation/2020-05-05{tenant}/operations/{operation}/wait?timeout=5s"
    waited = completed.http.get(path).json()
    assert "DONE" == waited["operation"]["state"]
    assert {} == completed.call("DELETE", VERSION).json()
    assert {} == completed.call("DELETE", f"/buckets/{BUCKET}").json()
    assert (404, 5) == completed.code("DELETE", f"/buckets/{BUCKET}")
