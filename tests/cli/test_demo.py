"""``packer-publisher demo`` as a person and as a program call it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from tests.switches import options


def demo(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the demo in a process of its own, as ``make demo`` does."""
    # Its verdict is on what the registry shows when the last event is done, all regions of an image among it.
    switches = options(completion_lag=0.0, same_identifier_twice="accept")
    command = [sys.executable, "-m", "packer_publisher.cli", "demo", *switches, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


def test_the_demo_as_json_is_one_object_and_repeats_with_its_seed() -> None:
    """One version, complete and exact, five artifacts in three clouds; the same seed is the same order."""
    first, again = demo("--json", "--seed", "7"), demo("--json", "--seed", "7")
    assert (0, "") == (first.returncode, first.stderr)
    result, repeated = json.loads(first.stdout), json.loads(again.stdout)
    assert result["exact"] is True
    assert ("v1", "", "v1") == (result["version"], result["latest_before"], result["latest_after"])
    assert ("base-image v1 (channel production), up to date", []) == (result["parent"], result["orphans"])
    places = [(row["platform"], row["region"], row["component_type"], row["status"]) for row in result["rows"]]
    assert [
        ("aws", "eu-west-1", "amazon-ebs", "DONE"),
        ("aws", "us-east-1", "amazon-ebs", "DONE"),
        ("azure", "eastus", "azure-arm", "DONE"),
        ("azure", "westeurope", "azure-arm", "DONE"),
        ("gce", "europe-west1-b", "googlecompute", "DONE"),
    ] == places
    outcomes = [(told["cloud"], told["outcome"], told["calls"]) for told in result["told"]]
    assert outcomes == [(told["cloud"], told["outcome"], told["calls"]) for told in repeated["told"]]
    assert result["calls"] == sum(told["calls"] for told in result["told"])


def test_the_demo_ends_with_a_table_and_a_verdict() -> None:
    """Piped, it prints a line per event, then the version, the channel, the calls and what it proves."""
    shown = demo("--seed", "3")
    assert (0, "") == (shown.returncode, shown.stderr)
    assert "  1 call    v" in shown.stdout
    assert " 1 calls" not in shown.stdout
    assert "Bucket web-server, version v1, fingerprint 3f2a91c-1003" in shown.stdout
    assert "Channel latest: (none) -> v1" in shown.stdout
    assert "Built from: base-image v1 (channel production), up to date" in shown.stdout
    assert "Complete and exact: v1 lists every image of the three clouds, each once." in shown.stdout
    assert "The same order again: packer-publisher demo --seed 3" in shown.stdout


@pytest.mark.parametrize("words", [("--seed", "-1"), ("--seed", "x"), ("--port", "99999")])
def test_bad_options_are_status_two(words: tuple[str, ...]) -> None:
    """Nothing is started."""
    assert 2 == demo(*words).returncode
