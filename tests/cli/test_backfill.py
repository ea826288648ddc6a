"""``backfill`` as a person runs it: the real boto3 against a paged EC2, the registry over HTTP, exit statuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.switches import fresh, setting

from packer_publisher.local.ec2 import ACCOUNT, EC2
from packer_publisher.local.ec2_fleet import AMI, Fleet, Shares
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.local.server import serving

# Each version waits for the one before it, and the command's time is real.
pytestmark = pytest.mark.switches(completion_lag=0.0)

REGIONS = ("eu-west-1", "us-east-1")
NONE = Shares(untagged=0, half_tagged=0, disabled=0, pending=0, failed=0, deprecated=0)


@dataclass(frozen=True)
class Account:
    """An account, a registry, and the command in a process of its own."""

    ec2: EC2
    registry: LocalRegistry
    environment: dict[str, str]
    folder: Path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin the command."""
        command = [sys.executable, "-m", "packer_publisher.cli", "backfill", *arguments]
        return subprocess.Popen(
            command, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, cwd=self.folder,
        )  # fmt: skip

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run the command to its end; return exit status, stdout and stderr."""
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def versions(self) -> dict[str, list[str]]:
        """Return the fingerprints of each bucket's complete versions, by their numbers."""
        model = fresh(self.registry.model)
        return {
            bucket["name"]: [
                version["fingerprint"]
                for version in sorted(
                    (v for v in model.list_versions(bucket["name"])["versions"] if v["name"] != "v0"),
                    key=lambda version: int(version["name"][1:]),
                )
            ]
            for bucket in model.list_buckets()["buckets"]
        }


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    """Twelve releases in two buckets and two regions, none of them special."""
    ec2 = EC2(fleet=Fleet(ACCOUNT, REGIONS, 12, buckets=2, shares=NONE), regions=REGIONS)
    document = tmp_path / "publisher.json"
    document.write_text(json.dumps({"buckets": {"bucket-*": {"create_buckets": True}}}), encoding="utf-8")
    with (
        closing(RegistryModel(switches=setting())) as model,
        local_registry(model) as registry,
        serving(ec2.app) as address,
    ):
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "AWS_ENDPOINT_URL": address,
            "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "AKIA0000000000000000",
            "AWS_SECRET_ACCESS_KEY": "x" * 40,
            "AWS_EC2_METADATA_DISABLED": "true",
            "PUBLISHER_CONFIG": str(document),
            "NO_PROXY": "127.0.0.1",
            **registry.environment(),
        }
        yield Account(ec2, registry, environment, tmp_path)
        assert [] == ec2.unmet_faults


def history(account: Account) -> dict[str, list[str]]:
    """Return what the versions of each bucket must be, in order: the account's own releases."""
    found: dict[str, list[str]] = {}
    for release in range(12):
        tags = Fleet(ACCOUNT, REGIONS, 12, buckets=2, shares=NONE).image("eu-west-1", release).tags
        found.setdefault(tags["hcp-packer-bucket"], []).append(tags["hcp-packer-fingerprint"])
    return found


def test_a_plan_is_printed_and_nothing_is_written(account: Account) -> None:
    """Every version with what would be filled, and the sums; the exit status says that it would change something."""
    status, out, err = account.run("aws", "--dry-run", "--detailed-exitcode")
    assert (3, "") == (status, err)
    assert "aws:123456789012, eu-west-1: 12 images" in out
    assert 12 == sum(line.startswith("  + ") for line in out.splitlines())
    assert "Plan: 2 buckets (2 new), 12 versions: 12 to create; 24 artifacts, about" in out
    assert {} == account.versions()


def test_versions_tell_history_and_a_second_run_has_nothing_to_do(account: Account) -> None:
    """In each bucket they are numbered as their images were created."""
    status, out, _ = account.run("aws", "--yes")
    assert 0 == status
    assert history(account) == account.versions()
    assert "Done: 2 buckets, 12 versions (12 completed), 24 artifacts," in out
    status, out, _ = account.run("aws", "--yes", "--json")
    found = json.loads(out)
    assert (0, {"unchanged": 12}) == (status, found["sums"]["planned"])
    assert 12 == len(found["versions"])


@pytest.mark.parametrize("region", REGIONS, ids=["the home region", "another"])
def test_a_denied_region_is_status_four_and_the_others_are_written(account: Account, region: str) -> None:
    """It is named with the reason; no build waits for it, for no tag names it."""
    account.ec2.deny(region)
    status, out, err = account.run("aws", "--yes")
    assert 4 == status
    assert f"aws:123456789012, {region}: no access" in out
    assert f"Error: no access to aws:123456789012, {region}" in err
    assert history(account) == account.versions()


def test_every_kind_of_image_gets_its_word(account: Account) -> None:
    """Untagged: not ours; deprecated: as any; half-tagged, failed, disabled: rejected; shared: not seen at all."""
    account.ec2.fleet = None
    tags = {"hcp-packer-bucket": "bucket-00", "hcp-packer-fingerprint": "a1"}
    then = datetime.now(UTC) - timedelta(days=9)

    def ami(number: int, name: str, owner: str = ACCOUNT, **more: Any) -> AMI:
        return AMI(**{"image_id": f"ami-{number:017x}", "name": name, "owner": owner, "created": then, **more})

    account.ec2.put(
        "eu-west-1",
        ami(1, "plain", tags=tags),
        ami(2, "untagged", tags={"Name": "x"}),
        ami(3, "half-tagged", tags={"hcp-packer-bucket": "bucket-00"}),
        ami(4, "deprecated", tags={**tags, "hcp-packer-fingerprint": "b2"}, deprecated=then + timedelta(days=1)),
        ami(5, "disabled", tags=tags, state="disabled"),
        ami(6, "pending", tags=tags, state="pending"),
        ami(7, "failed", tags=tags, state="failed"),
        ami(8, "shared", owner="210987654321", tags=tags),
    )
    status, out, _ = account.run("aws", "--yes", "--json")
    found = json.loads(out)
    assert [(f"ami-{number:017x}", word) for number, word in (
        (3, "rejected"), (5, "rejected"), (6, "waiting"), (7, "rejected"),
    )] == [(other["image"].split()[0], other["outcome"]) for other in found["others"]]  # fmt: skip
    assert (1, {"completed": 2}) == (status, found["sums"]["done"])
    builds = fresh(account.registry.model).get_version("bucket-00", "a1")["version"]["builds"]
    assert [[f"ami-{1:017x}"]] == [[a["external_identifier"] for a in build["artifacts"]] for build in builds]


def test_throttling_is_waited_out(account: Account) -> None:
    """Nobody notices but the clock."""
    account.ec2.throttle("us-east-1", times=2)
    assert 0 == account.run("aws", "--yes")[0]
    assert history(account) == account.versions()


def test_credentials_that_expire_in_the_middle_stop_the_run_and_it_is_resumed(account: Account) -> None:
    """What was listed is not listed again."""
    account.ec2.expire(after=3)
    status, _, err = account.run("aws", "--yes", "--concurrency", "1")
    assert 4 == status
    assert "credentials" in err
    assert {} == account.versions()
    account.ec2.renew()
    assert 0 == account.run("aws", "--yes", "--concurrency", "1", "--resume")[0]
    assert history(account) == account.versions()


@pytest.mark.switches(max_page_size=100)  # its requests are counted
def test_a_run_that_is_killed_goes_on_and_repeats_nothing(account: Account) -> None:
    """Killed at any moment of its writing: each version is created once, and the numbers tell history all the same."""
    with account.start("aws", "--yes", "--rate", "60") as process:
        ended = time.monotonic() + 60
        while not any(account.versions().values()) and time.monotonic() < ended:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = account.versions()
    assert 0 < sum(map(len, before.values())) < 12
    status, _, err = account.run("aws", "--yes")
    assert 2 == status
    assert "is the journal of a backfill that is not over" in err
    assert before == account.versions()
    assert 0 == account.run("aws", "--yes", "--resume")[0]
    assert history(account) == account.versions()
    # What was under way when it was killed was read again; nothing else was looked at or written twice.
    created = [name for name in account.registry.requests.operations() if name == "CreateVersion"]
    assert 12 <= len(created) - 2 <= 14  # two of them met a missing bucket, at most two the version they had made
    looks = [request.fingerprint for request in account.registry.requests.all() if request.operation == "ListBuckets"]
    assert 2 == len(looks)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["aws"], "there is no terminal to ask for confirmation"),
        (["aws", "--json"], "--json cannot ask for confirmation"),
        (["aws", "--dry-run", "--since", "soon"], "'soon' is no date, as in"),
        (["aws", "--dry-run", "--since", "2026-02-01", "--until", "2026-01-01"], "--since is not before --until"),
        (["aws", "--yes", "--resume"], "there is no journal to go on with"),
        (["aws", "--dry-run", "--bucket", "_"], "is no bucket name"),
        (["aws", "--dry-run", "--region", "mars-1"], "mars-1"),
        (["all", "--dry-run", "--region", "eu-west-1"], "--region goes with one cloud"),
        (["aws", "--yes", "--journal", "publisher.json"], "cannot be used as a journal"),
        (["aws", "--dry-run", "--mapping", "publisher.json"], "publisher.json"),
    ],
)
def test_bad_input_is_status_two_and_writes_nothing(account: Account, arguments: list[str], message: str) -> None:
    """A clear error, and neither the registry nor a file was touched."""
    status, out, err = account.run(*arguments)
    assert (2, "") == (status, out)
    assert message in err
    assert [] == [r for r in account.registry.requests.all() if r.method != "GET"]
    assert {"buckets": {"bucket-*": {"create_buckets": True}}} == json.loads(
        (account.folder / "publisher.json").read_text()
    )


def test_no_match_says_so(account: Account) -> None:
    """Nothing to do is no failure."""
    status, out, _ = account.run("aws", "--dry-run", "--bucket", "bucket-99")
    assert 0 == status
    assert "No image carries the tags of a version: there is nothing to do." in out


def test_missing_credentials_are_status_four(account: Account) -> None:
    """Before anything is listed."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del account.environment[name]
    status, _, err = account.run("aws", "--dry-run")
    assert 4 == status
    assert "Error:" in err
    assert [] == account.registry.requests.all()


def test_json_is_one_object_with_every_version(account: Account) -> None:
    """What a script reads: the same figures as a person's."""
    status, out, _ = account.run("aws", "--dry-run", "--json")
    found: dict[str, Any] = json.loads(out)
    assert (0, True, 12) == (status, found["dry_run"], found["sums"]["versions"])
    first = found["versions"][0]
    assert ("create", "completed", ["amazon-ebs"]) == (
        first["action"],
        first["outcome"],
        [b[:10] for b in first["builds"]],
    )
