"""``registry``: a person starts it, takes its environment over, and stops it again."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import httpx
from click.testing import CliRunner, Result
from tests.switches import options

from packer_publisher.cli.program import program
from packer_publisher.local.registry_switches import Switches

MAIN = "from packer_publisher.cli.main import main; main()"


def run(*words: str) -> Result:
    return CliRunner().invoke(program, words, prog_name="packer-publisher")


def test_serving_prints_the_environment_and_ends_on_interrupt(tmp_path: Path) -> None:
    """What it prints can be taken over by a shell, and it leaves without a stack trace."""
    database = tmp_path / "registry.sqlite"
    command = [sys.executable, "-c", MAIN, "registry", "serve", "--port", "0", "--database", str(database), *options()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("# Local HCP Packer registry at http://127.0.0.1:")
        exports = dict(running.stdout.readline().removeprefix("export ").strip().split("=", 1) for _ in range(7))
        answer = httpx.get(f"{exports['HCP_AUTH_URL']}/packer/2023-01-01", trust_env=False)
        running.send_signal(signal.SIGINT)
        _, stderr = running.communicate(timeout=30)
    assert (0, "") == (running.returncode, stderr)
    assert {
        "HCP_API_ADDRESS",
        "HCP_API_TLS",
        "HCP_AUTH_URL",
        "HCP_CLIENT_ID",
        "HCP_CLIENT_SECRET",
        "HCP_ORGANIZATION_ID",
        "HCP_PROJECT_ID",
    } == set(exports)
    assert 404 == answer.status_code
    assert database.exists()


def test_another_address_than_loopback_is_refused() -> None:
    """Its credentials are made up, so nobody else may reach it."""
    found = run("registry", "serve", "--host", "0.0.0.0")
    assert (2, "") == (found.exit_code, found.stdout)
    assert "What to do: Use --host 127.0.0.1.\n" in found.stderr


def test_an_unknown_switch_is_refused() -> None:
    """A test under a misspelled switch would prove nothing."""
    found = run("registry", "serve", "--port", "0", "--switch", "platfrom_resent_same=accept")
    assert (2, "") == (found.exit_code, found.stdout)
    assert found.stderr.startswith("Error: 'platfrom_resent_same=accept' is no switch of the local registry.\n")


def test_the_list_of_switches_is_complete() -> None:
    """Each can be set as the list writes it."""
    found = run("registry", "switches")
    rows = [line.split() for line in found.stdout.splitlines()[1:]]
    assert list(Switches.__dataclass_fields__) == [row[0] for row in rows]
    for name, default, *others in rows:
        assert Switches() == Switches.parse([f"{name}={default}"])
        for other in others:
            assert [name] == list(Switches.parse([f"{name}={other}"]).deviations())
