"""What ``backfill`` tells a person of single images and versions, and what stopped it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from tests.cli.test_backfill import Account, account

from packer_publisher.local.ec2 import ACCOUNT
from packer_publisher.local.ec2_fleet import AMI

__all__ = ["account"]

Put = Callable[..., None]

# The time of the command is real, and each version waits for the one before it.
pytestmark = pytest.mark.switches(completion_lag=0.0)


@pytest.fixture
def put(account: Account) -> Put:
    """Begin with an empty account; return what puts an image into it."""
    account.ec2.fleet = None
    then = datetime.now(UTC) - timedelta(days=9)
    numbers = iter(range(1, 100))

    def one(bucket: str, fingerprint: str = "", **tags: str) -> None:
        given = {"bucket": bucket, "fingerprint": fingerprint, **tags}
        named = {f"hcp-packer-{key}": value for key, value in given.items() if value}
        number = next(numbers)
        account.ec2.put("eu-west-1", AMI(f"ami-{number:017x}", f"image-{number}", ACCOUNT, then, named))

    return one


def test_an_open_version_says_what_it_waits_for(account: Account, put: Put) -> None:
    """Somebody must build it, or decide to do without."""
    put("bucket-00", "a1", expects="aws azure")
    _, out, _ = account.run("aws", "--dry-run")
    assert "amazon-ebs, 1 artifact, stays open, waits for azure\n" in out


def test_notes_are_told_before_and_after(account: Account, put: Put) -> None:
    """The versions are written all the same; alike notes are told once, with the versions."""
    account.environment["PUBLISHER_CONFIG"] = json.dumps(
        {"buckets": {"bucket-*": {"create_buckets": True, "channels": "prod"}}}
    )
    for name in ("a1", "b2", "c3", "d4"):
        put("bucket-00", name, channels="prod")
    note = "channel prod does not exist; create it, or set create_channels: true for this bucket"
    _, out, _ = account.run("aws", "--dry-run")
    assert 4 == out.count(f"\n      note  {note}\n")
    status, out, _ = account.run("aws", "--yes")
    assert 0 == status
    assert (
        f"\nnote  {note}\n  versions  bucket-00/a1\n            bucket-00/b2\n            bucket-00/c3\n"
        "            and 1 more; --json lists all\n"
    ) in out


def test_one_thing_is_told_as_one(account: Account, put: Put) -> None:
    """No sentence says "1 images"."""
    put("bucket-00", "a1")
    put("bucket-00")
    status, out, err = account.run("aws", "--yes")
    assert 1 == status
    assert "1 image that belongs to no version\n" in out
    assert "Done: 1 bucket, 1 version (1 completed), 1 artifact, " in out
    assert "Error: not everything came into a version: 1 did not\n" in err


def test_broken_images_of_other_buckets_are_left_out(account: Account, put: Put) -> None:
    """Else no run for one bucket could ever end with status 0; those of the bucket itself are told."""
    put("bucket-00", "a1")
    put("bucket-01")
    put("strangers", "x1")
    assert 0 == account.run("aws", "--yes", "--bucket", "bucket-00")[0]
    put("Bucket-00")
    status, out, _ = account.run("aws", "--dry-run", "--bucket", "bucket-00", "--json")
    assert (1, ["ami-00000000000000004"]) == (status, [o["image"].split()[0] for o in json.loads(out)["others"]])


@pytest.mark.parametrize(
    ("answer", "times", "status", "remedy"),
    [
        (401, 2, 4, "Give the service principal the Contributor role"),  # the token is renewed once
        (503, 7, 5, "Read what is there before writing again"),  # each time a read shows that nothing happened
    ],
)
def test_what_stops_it_says_what_to_do_and_it_is_resumed(
    account: Account, answer: int, times: int, status: int, remedy: str
) -> None:
    """Credentials that HCP refuses are no outage: another run is of no use until somebody mends them."""
    account.registry.faults.answer("CreateVersion", answer, times=times)
    code, out, err = account.run("aws", "--yes", "--limit", "1")
    assert (status, True) == (code, f"HCP answered {answer}" in err)
    assert f"What to do: {remedy}" in err
    assert "then go on with --resume" in err
    assert "Done: 1 bucket, 0 versions, 0 artifacts, 0 registry calls." in out
    account.registry.faults.assert_consumed()
    status, out, _ = account.run("aws", "--yes", "--limit", "1", "--resume")
    assert (0, True) == (status, "1 version (1 completed), 2 artifacts, " in out)


def test_a_command_that_cannot_differ_is_refused(account: Account) -> None:
    """As for publish."""
    status, _, err = account.run("aws", "--yes", "--detailed-exitcode")
    assert (2, True) == (status, "--detailed-exitcode needs --dry-run" in err)
    assert [] == account.registry.requests.all()


def test_while_the_registry_is_off_it_plans_and_does_not_begin(account: Account) -> None:
    """Its journal would say that it is done."""
    account.environment["HCP_PACKER_REGISTRY"] = "off"
    status, _, err = account.run("aws", "--yes")
    assert (2, True) == (status, "HCP_PACKER_REGISTRY is off: nothing would be written" in err)
    assert [] == account.registry.requests.all()
    assert 0 == account.run("aws", "--dry-run", "--limit", "1")[0]


def test_sending_again_is_about_an_earlier_run(account: Account) -> None:
    """Else there is nothing that was sent."""
    status, _, err = account.run("aws", "--yes", "--resume", "--send-again")
    assert (2, True) == (status, "--send-again goes with --enqueue --resume" in err)
