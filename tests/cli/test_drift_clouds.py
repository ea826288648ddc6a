"""``drift`` with the real SDKs: three clouds are backfilled by the command line, spoiled, and compared."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.clouds.aws_stand_in import forget_credentials
from tests.switches import setting

from packer_publisher.cli.program import program
from packer_publisher.local.arm import Arm
from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.ec2 import ACCOUNT, EC2
from packer_publisher.local.ec2_fleet import AMI
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.local.server import serving

THEN = datetime.now(UTC) - timedelta(days=9)
TAGS = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "a1"}
IRELAND, VIRGINIA = (AMI(f"ami-0123456789abcdef{n}", "web-a1", ACCOUNT, THEN, TAGS) for n in (0, 1))


@dataclass(frozen=True, slots=True)
class Clouds:
    """Three clouds that hold the images of one version, and the registry."""

    ec2: EC2
    arm: Arm
    compute: ComputeEngine
    registry: LocalRegistry

    @property
    def managed(self) -> str:
        """Return the ARM id of the Azure image, in lower case: Azure has more than one spelling of it."""
        return self.arm.image_id("images", "web-a1").casefold()


@pytest.fixture
def clouds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clouds]:
    ec2, arm, compute = EC2(), Arm(), ComputeEngine()
    ec2.put("eu-west-1", IRELAND)
    ec2.put("us-east-1", VIRGINIA)
    arm.put_managed_image("images", "web-a1", tags=TAGS, created=THEN)
    compute.insert_image("web-a1", labels=TAGS, created=THEN)
    forget_credentials(monkeypatch)
    with (
        serving(ec2.app) as aws,
        serving(arm.app) as azure,
        serving(compute.app) as google,
        closing(RegistryModel(switches=setting())) as model,
        local_registry(model) as registry,
    ):
        for name, value in {
            "AWS_ENDPOINT_URL": aws, "AWS_ACCESS_KEY_ID": "AKIAFAKE", "AWS_SECRET_ACCESS_KEY": "fake",
            "PUBLISHER_ARM_ENDPOINT": azure, "AZURE_SUBSCRIPTION_ID": arm.subscriptions[0],
            "PUBLISHER_COMPUTE_ENDPOINT": google, "GOOGLE_CLOUD_PROJECT": "img-proj", "NO_PROXY": "127.0.0.1",
            "XDG_STATE_HOME": str(tmp_path),
            "PUBLISHER_CONFIG": '{"defaults": {"create_buckets": true}, "buckets": {"*": {}}}',
            **registry.environment(),
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        done = run("backfill", "all", "--yes")
        assert 0 == done.exit_code, done.output
        registry.requests.clear()
        yield Clouds(ec2, arm, compute, registry)


def run(*words: str) -> Result:
    return CliRunner().invoke(program, words, prog_name="packer-publisher")


def differing(*words: str) -> tuple[int, dict[str, str]]:
    """Return the exit status, and how each image differs that does."""
    found = run("drift", *words, "--json")
    return found.exit_code, {
        row["identifier"].casefold(): row["how"] for row in json.loads(found.stdout)["rows"] if row["how"]
    }


def test_after_a_backfill_nothing_differs(clouds: Clouds) -> None:
    """Without a configuration, too; and nothing is written, anywhere."""
    found = run("drift", "all")
    assert (0, "web  4 correct\n\nNo drift: 1 bucket, 4 rows: 4 correct.\n", "") == (
        found.exit_code,
        found.stdout,
        found.stderr,
    )
    assert ["ListBuckets", "ListVersions", "GetVersion"] == clouds.registry.requests.operations()
    assert {"DescribeRegions", "DescribeImages", "GetCallerIdentity"} >= {asked.action for asked in clouds.ec2.requests}


def test_no_configuration_is_needed(clouds: Clouds, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written, so no bucket need be allowed."""
    monkeypatch.delenv("PUBLISHER_CONFIG")
    assert (0, {}) == differing("all")


def test_what_was_deleted_disabled_or_made_anew_differs(clouds: Clouds) -> None:
    """Each in its own cloud; before an image counts as gone its cloud is asked for it once more."""
    clouds.ec2.deregister("eu-west-1", IRELAND.image_id)
    clouds.ec2.deregister("us-east-1", VIRGINIA.image_id)
    clouds.ec2.put("us-east-1", replace(VIRGINIA, state="disabled"))
    clouds.arm.delete(clouds.managed)
    clouds.compute.delete("web-a1")
    clouds.compute.insert_image("web-a1", labels=TAGS, created=THEN)
    asked = len(clouds.ec2.requests)
    assert (
        3,
        {IRELAND.image_id: "gone", VIRGINIA.image_id: "disabled", clouds.managed: "gone", "web-a1": "number"},
    ) == differing("all")
    again = [request for request in clouds.ec2.requests[asked:] if IRELAND.image_id in request.parameters.values()]
    assert ["eu-west-1"] == [request.region for request in again]


def test_one_cloud_or_one_region_is_a_smaller_question(clouds: Clouds) -> None:
    """What is elsewhere gets no row."""
    clouds.ec2.deregister("eu-west-1", IRELAND.image_id)
    assert (0, {}) == differing("azure")
    assert (0, {}) == differing("aws", "--region", "us-east-1")
    assert (3, {IRELAND.image_id: "gone"}) == differing("aws")


def test_a_region_that_a_policy_closes_is_denied(clouds: Clouds) -> None:
    """Its image is unreachable, not missing, and the status is 4."""
    clouds.ec2.deny("eu-west-1")
    found = run("drift", "aws")
    assert 4 == found.exit_code
    assert "web  1 correct, 1 unreachable\n" in found.stdout
    assert f"not looked at: aws:{ACCOUNT}, eu-west-1\n" in found.stdout


def test_a_registry_that_does_not_answer_is_status_5(clouds: Clouds, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be compared, so nothing is told."""
    monkeypatch.setenv("HCP_API_ADDRESS", "127.0.0.1:9")
    found = run("drift", "azure", "--timeout", "20s")
    assert (5, "") == (found.exit_code, found.stdout)


def test_the_end_of_its_time_ends_a_wait_that_a_cloud_asks_for(clouds: Clouds) -> None:
    """EC2 wants minutes; nobody waits for them."""
    clouds.ec2.throttle("eu-west-1", retry_after=500)
    began = time.monotonic()
    found = run("drift", "aws", "--timeout", "1s")
    assert (True, "") == (found.exit_code > 0, found.stdout)
    assert time.monotonic() - began < 20
