"""``publish`` and ``explain`` against the stand-ins: real SDKs, a real registry over HTTP, one version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.switches import completing, fresh, setting

from packer_publisher import runtime
from packer_publisher.cli.program import program
from packer_publisher.local.arm import Arm
from packer_publisher.local.aws import LocalAccount, LocalAWS
from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.local.server import serving


def tags(fingerprint: str, expects: str = "aws azure gce") -> dict[str, str]:
    """Return contract tags; each test has a fingerprint of its own, because images of one version are rivals."""
    return {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": fingerprint, "hcp-packer-expects": expects}


@dataclass(frozen=True, slots=True)
class Clouds:
    aws: LocalAccount
    arm: Arm
    compute: ComputeEngine


@pytest.fixture(scope="module")
def clouds() -> Iterator[Clouds]:
    """Three clouds for all tests of this module; each test makes images of its own."""
    with pytest.MonkeyPatch.context() as patch, LocalAWS() as aws:
        account = aws.account("123456789012", "eu-west-1")
        arm, compute = Arm(), ComputeEngine()
        with serving(arm.app) as arm_url, serving(compute.app) as compute_url:
            for name, value in account.environment.items():
                patch.setenv(name, value)
            patch.setenv("PUBLISHER_ARM_ENDPOINT", arm_url)
            patch.setenv("PUBLISHER_COMPUTE_ENDPOINT", compute_url)
            patch.setenv("NO_PROXY", "127.0.0.1")
            yield Clouds(account, arm, compute)


@pytest.fixture
def registry(clouds: Clouds, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalRegistry]:
    """An empty registry of each test's own, and a configuration that allows everything."""
    with local_registry(RegistryModel(switches=setting())) as registry:
        for name, value in registry.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv(
            "PUBLISHER_CONFIG", '{"settle": "0s", "defaults": {"create_buckets": true}, "buckets": {"*": {}}}'
        )
        yield registry
        runtime.close_publishers()


def run(*words: str) -> Result:
    return CliRunner().invoke(program, words, prog_name="packer-publisher")


def builds(registry: LocalRegistry, bucket: str = "web", fingerprint: str = "4f2a9c1-812") -> dict[str, str]:
    version = fresh(registry.model).get_version(bucket, fingerprint)["version"]
    return {build["component_type"]: build["status"] for build in version["builds"]}


# It is told write by write, and behind a stale read one of them is made twice.
@pytest.mark.switches(completion_lag=0.0, read_after_write="fresh")
def test_three_images_published_by_hand_complete_one_version(clouds: Clouds, registry: LocalRegistry) -> None:
    """An AMI id, an ARM id and a self link: the last of them completes the version."""
    ami = clouds.aws.create("web-1", tags("4f2a9c1-812"))
    arm_id = clouds.arm.put_managed_image("images", "web-1", tags=tags("4f2a9c1-812"))["data"]["resourceUri"]
    clouds.compute.insert_image("web-1", labels=tags("4f2a9c1-812", "aws_azure_gce"))
    first = run("publish", ami, "--region", "eu-west-1")
    assert (0, "") == (first.exit_code, first.stderr)
    assert first.stdout.splitlines() == [
        f"registered  {ami} (aws:123456789012, eu-west-1)",
        "  bucket          web",
        "  version         4f2a9c1-812 (v0, open)",
        "  component type  amazon-ebs",
        "  wrote           create bucket web",
        "                  create version 4f2a9c1-812, template type HCL2",
        "                  create build amazon-ebs, still empty",
        f"                  fill build amazon-ebs (UNSET): eu-west-1:{ami}",
        "  waits for       azure gce",
    ]
    second = run("publish", arm_id, "--json")
    assert (0, "") == (second.exit_code, second.stderr)
    found = json.loads(second.stdout)
    assert ("registered", ["gce"]) == (found["outcome"], found["waits_for"])
    third = run("publish", "projects/img-proj/global/images/web-1")
    assert (0, "") == (third.exit_code, third.stderr)
    assert third.stdout.startswith("completed  web-1 (gce:img-proj")
    assert "version         4f2a9c1-812 (v1, complete)" in third.stdout
    assert dict.fromkeys(("amazon-ebs", "azure-arm", "googlecompute"), "BUILD_DONE") == builds(registry)
    again = run("publish", "web-1", "--project", "img-proj")
    assert (0, True) == (again.exit_code, again.stdout.startswith("unchanged  web-1"))


def test_explain_tells_tags_rules_plan_and_what_is_missing(clouds: Clouds, registry: LocalRegistry) -> None:
    """And it writes nothing, not even a bucket."""
    ami = clouds.aws.create("web-2", {**tags("explained-1"), "git-sha": "0abc123", "Name": "secret name"})
    found = run("explain", f"eu-west-1:{ami}")
    assert (0, "") == (found.exit_code, found.stderr)
    paragraphs = {part.splitlines()[0]: part.splitlines()[1:] for part in found.stdout.split("\n\n")}
    assert [
        "  hcp-packer-bucket       web",
        "  hcp-packer-fingerprint  explained-1",
        "  hcp-packer-expects      aws azure gce",
        "  git-sha                 0abc123",
    ] == paragraphs["Tags read"]
    assert "  bucket          web, allowed by buckets.*" in paragraphs["Rules applied"]
    assert "  expects         aws azure gce" in paragraphs["Rules applied"]
    assert "  build labels    git_sha=0abc123" in paragraphs["Rules applied"]
    assert "  metadata        git commit 0abc123" in paragraphs["Rules applied"]
    assert [
        "  1.  create bucket web",
        "  2.  create version explained-1, template type HCL2",
        "  3.  create build amazon-ebs, still empty",
        f"  4.  fill build amazon-ebs (UNSET): eu-west-1:{ami}",
    ] == paragraphs["Plan"]
    assert "  waits for       azure gce" in paragraphs["Verdict"]
    parent = clouds.aws.record("eu-west-1", ami).source_image_id
    assert f"  parent          nothing in this HCP project lists {parent}" in paragraphs["Verdict"]
    assert "secret name" not in found.stdout
    assert {"GET"} == {r.method for r in registry.requests.calls() if r.operation != "SearchExternalArtifact"}


def test_a_dry_run_tells_by_its_status_whether_it_would_write(clouds: Clouds, registry: LocalRegistry) -> None:
    """3 before, 0 after."""
    ami = clouds.aws.create("web-3", tags("dry-1", "aws"))
    words = ("publish", f"eu-west-1:{ami}", "--dry-run", "--detailed-exitcode")
    before = run(*words)
    assert (3, True) == (before.exit_code, before.stdout.startswith(f"would be completed  {ami}"))
    assert 0 == run("publish", f"eu-west-1:{ami}", "--dry-run").exit_code
    assert 0 == run("publish", f"eu-west-1:{ami}").exit_code
    after = run(*words)
    assert (0, True) == (after.exit_code, after.stdout.startswith(f"unchanged  {ami}"))


def test_options_stand_in_for_tags_and_a_named_bucket_is_allowed(
    clouds: Clouds, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image without a tag, a laptop without a configuration: what a person writes out is enough."""
    monkeypatch.delenv("PUBLISHER_CONFIG")
    registry.model.create_bucket({"name": "api"})
    ami = clouds.aws.create("api-1", {})
    words = ("--bucket", "api", "--fingerprint", "abc-1", "--component-type", "amazon-ebs.api", "--expects", "aws")
    found = run("publish", f"eu-west-1:{ami}", *words)
    assert (0, "") == (found.exit_code, found.stderr)
    assert found.stdout.startswith(f"{completing()}  {ami}")
    assert {"amazon-ebs.api": "BUILD_DONE"} == builds(registry, "api", "abc-1")


def test_a_named_bucket_is_not_created_unless_configuration_says_so(
    clouds: Clouds, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slip of the pen makes no bucket."""
    monkeypatch.delenv("PUBLISHER_CONFIG")
    ami = clouds.aws.create("api-2", {})
    found = run("publish", f"eu-west-1:{ami}", "--bucket", "wbe", "--fingerprint", "abc-1")
    assert 1 == found.exit_code
    assert (
        f"Error: {ami}: bucket wbe does not exist in HCP Packer\n"
        "What to do: create it, or set create_buckets: true in the configuration\n"
    ) == found.stderr


def test_an_image_without_tags_is_an_error_for_publish_and_an_answer_for_explain(
    clouds: Clouds, registry: LocalRegistry
) -> None:
    """A person named this very image, so nothing published is a failure; explaining it is none."""
    ami = clouds.aws.create("plain", {})
    found = run("publish", f"eu-west-1:{ami}")
    assert (1, f"ignored  {ami} (aws:123456789012, eu-west-1)\n") == (found.exit_code, found.stdout)
    assert (
        f"Error: {ami}: carries no contract tag\n"
        "What to do: give --bucket and --fingerprint, "
        "or set the tags hcp-packer-bucket and hcp-packer-fingerprint on the image\n"
    ) == found.stderr
    found = run("explain", f"eu-west-1:{ami}")
    assert (0, "") == (found.exit_code, found.stderr)
    assert "  (none of the contract)\n" in found.stdout
    assert [] == registry.requests.all()


def test_an_image_that_is_not_there_is_an_error_in_both_notations(clouds: Clouds, registry: LocalRegistry) -> None:
    """Stdout holds one JSON object or a line; the error stands on stderr."""
    expected = (
        "Error: ami-00000000: the image does not exist, or its cloud does not show it yet\n"
        "What to do: look at its id, its region or project, and the account that your credentials belong to\n"
    )
    for words in ((), ("--json",)):
        found = run("publish", "eu-west-1:ami-00000000", *words)
        assert (1, expected) == (found.exit_code, found.stderr)
    assert "rejected" == json.loads(found.stdout)["outcome"]


def test_registry_off_writes_nothing_and_says_so(
    clouds: Clouds, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with Packer, `off` is a choice and no failure."""
    monkeypatch.setenv("HCP_PACKER_REGISTRY", "off")
    found = run("publish", f"eu-west-1:{clouds.aws.create('web-4', tags('off-1'))}")
    assert (0, "") == (found.exit_code, found.stderr)
    assert "  why             HCP_PACKER_REGISTRY is off: nothing was written\n" in found.stdout
    assert [] == registry.requests.all()


def test_refused_credentials_are_status_four(
    clouds: Clouds, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the secret is nowhere in the output."""
    monkeypatch.setenv("HCP_CLIENT_SECRET", "wrong-secret")
    found = run("publish", f"eu-west-1:{clouds.aws.create('web-5', tags('refused-1'))}")
    assert 4 == found.exit_code
    assert found.stderr.startswith("Error: ")
    assert "wrong-secret" not in found.output + found.stderr


def test_an_unreachable_registry_is_status_five(
    clouds: Clouds, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 5 says that trying again may help."""
    monkeypatch.setenv("HCP_AUTH_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HCP_API_ADDRESS", "127.0.0.1:9")
    found = run("publish", f"eu-west-1:{clouds.aws.create('web-6', tags('unreachable-1'))}", "--timeout", "20s")
    assert 5 == found.exit_code
    assert "HCP cannot be reached" in found.stderr


def test_a_configuration_file_takes_the_place_of_the_variable(
    clouds: Clouds, registry: LocalRegistry, tmp_path: Path
) -> None:
    """Its rules apply, and a bucket that it does not name is refused with what to add."""
    path = tmp_path / "publisher.yaml"
    path.write_text("buckets:\n  api:\n")
    ami = clouds.aws.create("web-7", tags("elsewhere-1"))
    found = run("publish", f"eu-west-1:{ami}", "--config", str(path))
    assert 1 == found.exit_code
    assert "bucket web is not allowed by this deployment's configuration\n" in found.stderr
    assert [] == registry.requests.all()
