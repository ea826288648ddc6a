"""The program as a whole: help, errors, exit statuses, and what it imports."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from packer_publisher import __version__
from packer_publisher.cli.program import COMMANDS, program
from packer_publisher.configuration import schema

AMI = "eu-west-1:ami-0123456789abcdef0"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in [key for key in os.environ if key.startswith(("PUBLISHER_", "HCP_"))]:
        monkeypatch.delenv(key)


def run(*words: str) -> Result:
    return CliRunner().invoke(program, words, prog_name="packer-publisher")


def test_help_lists_the_commands_in_the_order_of_need() -> None:
    """First what a person came for."""
    found = run("--help")
    assert 0 == found.exit_code
    listed = [line.split()[0] for line in found.output.partition("Commands:\n")[2].splitlines()]
    needed = ["publish", "explain", "sweep", "backfill", "drift", "doctor", "versions", "mapping", "config", "registry"]
    needed += ["demo", "version"]
    assert needed == listed
    assert all(len(line) <= 80 for line in found.output.splitlines())


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help_within_eighty_columns(command: str) -> None:
    """It names itself as a person calls it, and reads well in a small window."""
    found = run(command, "--help")
    assert 0 == found.exit_code
    assert found.output.startswith(f"Usage: packer-publisher {command}")
    assert all(len(line) <= 80 for line in found.output.splitlines())


def test_an_unknown_command_is_refused() -> None:
    """Usage errors are 2."""
    found = run("publsh")
    assert 2 == found.exit_code
    assert "No such command 'publsh'" in found.stderr


def test_the_version_is_that_of_the_package() -> None:
    """In both forms."""
    assert f"packer-publisher {__version__}\n" == run("--version").stdout
    assert run("version").stdout.startswith(f"packer-publisher {__version__} (Python 3.")


@pytest.mark.parametrize("command", ["publish", "explain"])
@pytest.mark.parametrize(
    ("error", "remedy", "words"),
    [
        (
            "nothing says which buckets are allowed",
            "name the bucket with --bucket, or give the configuration with --config or PUBLISHER_CONFIG",
            [AMI],
        ),
        ("--bucket 'ab' is no bucket name", "use 3 to 36 letters, digits and hyphens", [AMI, "--bucket", "ab"]),
        ("--bucket '*' is no bucket name", "use 3 to 36 letters, digits and hyphens", [AMI, "--bucket", "*"]),
        (
            "--fingerprint '-x' is no version fingerprint",
            "use 1 to 40 letters, digits, '-', '.', '_', with a letter or digit at both ends",
            [AMI, "--fingerprint", "-x"],
        ),
        (
            "ami-0123456789abcdef0 alone does not say its region",
            "give --region, or eu-west-1:ami-0123456789abcdef0",
            ["ami-0123456789abcdef0"],
        ),
    ],
)
def test_a_bad_command_line_says_what_happened_and_what_to_do(
    error: str, remedy: str, words: list[str], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On stderr, with nothing on stdout, and status 2."""
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    found = run(command, *words)
    assert (2, "", f"Error: {error}\nWhat to do: {remedy}\n") == (found.exit_code, found.stdout, found.stderr)


def test_a_bad_configuration_is_told_before_any_cloud_is_asked(tmp_path: Path) -> None:
    """The same text as `config validate`."""
    path = tmp_path / "publisher.yaml"
    path.write_text("buckets:\n  web: {quiet: 8d}\n")
    remedy = "`packer-publisher config validate FILE` checks a document, `packer-publisher config schema` has the rules"
    expected = (
        2,
        "",
        f'Error: {path}, line 2: buckets.web.quiet is "8d"; write at most 7d\nWhat to do: {remedy}\n',
    )
    for words in (["publish", AMI, "--config", str(path)], ["config", "validate", str(path)]):
        found = run(*words)
        assert expected == (found.exit_code, found.stdout, found.stderr)


def test_detailed_exitcode_needs_a_dry_run() -> None:
    """What was written is no difference any more."""
    found = run("publish", AMI, "--bucket", "web", "--detailed-exitcode")
    assert 2 == found.exit_code
    assert "--detailed-exitcode needs --dry-run" in found.stderr


def test_config_validate_shows_what_a_function_would_apply(tmp_path: Path) -> None:
    """Names first, then patterns, each with what defaults add."""
    path = tmp_path / "publisher.yaml"
    path.write_text(
        "defaults: {quiet: 2h}\n"
        "buckets:\n  app-*:\n  web:\n    expects: aws gcp\n    channels: [production]\n    create_buckets: true\n"
    )
    found = run("config", "validate", str(path))
    assert 0 == found.exit_code
    assert (
        f"{path} is fine: 1 bucket, 1 pattern.\n"
        "  BUCKET  QUIET  CREATE  ON DELETE  CHANNELS    EXPECTS\n"
        "  web     2h     yes     ignore     production  aws gce\n"
        "  app-*   2h     no      ignore     -           -\n"
    ) == found.stdout


def test_config_json_is_what_packaging_puts_beside_a_function(tmp_path: Path) -> None:
    """JSON on stdout and nothing else."""
    path = tmp_path / "publisher.yaml"
    path.write_text("buckets:\n  web: {quiet: 1h}\n")
    found = run("config", "json", str(path))
    assert (0, {"buckets": {"web": {"quiet": "1h"}}}, "") == (found.exit_code, json.loads(found.stdout), found.stderr)


def test_config_json_goes_on_one_line_into_a_variable_or_a_template(tmp_path: Path) -> None:
    """The same document, as short as it can be."""
    path = tmp_path / "publisher.yaml"
    path.write_text("buckets:\n  web: {quiet: 1h, expects: aws azure}\n")
    found = run("config", "json", "--one-line", str(path))
    assert (0, '{"buckets":{"web":{"quiet":"1h","expects":"aws azure"}}}\n') == (found.exit_code, found.stdout)


def test_config_schema_prints_the_shipped_schema() -> None:
    """Byte for byte."""
    assert schema() == run("config", "schema").stdout


def test_help_imports_no_sdk_and_no_client() -> None:
    """A person who looks something up does not wait for clouds."""
    code = (
        "import sys\n"
        "from packer_publisher.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "heavy = ('boto3', 'botocore', 'azure.core', 'google.cloud.compute', 'httpx', 'rich', 'yaml', 'starlette')\n"
        "sys.stderr.write(' '.join(sorted(set(heavy) & set(sys.modules))))\n"
    )
    for words in (["--help"], ["publish", "--help"], ["explain", "--help"], ["config", "schema"]):
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
        assert (0, "") == (done.returncode, done.stderr), words


def test_without_click_the_program_says_what_to_install() -> None:
    """The package without its extra still brings the command."""
    code = "import sys; sys.modules['click'] = None\nfrom packer_publisher.cli.main import main\nmain()\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (
        2,
        'Error: the command line needs click.\nWhat to do: pip install "packer-publisher[cli]"\n',
    ) == (done.returncode, done.stderr)


def test_a_missing_extra_is_named() -> None:
    """An image of a cloud whose SDK is not installed."""
    code = "import sys; sys.modules['boto3'] = None\nfrom packer_publisher.cli.main import main\nmain()\n"
    words = ["publish", AMI, "--bucket", "web", "--fingerprint", "abc-1"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert (
        2,
        "",
        'Error: this needs boto3, which is not installed\nWhat to do: pip install "packer-publisher[aws]"\n',
    ) == (done.returncode, done.stdout, done.stderr)


def test_an_interrupted_command_says_how_to_go_on() -> None:
    """Ctrl-C while a cloud does not answer: status 130, as shells have it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environ = {
            **os.environ,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "AWS_ACCESS_KEY_ID": "AKIAFAKE",
            "AWS_SECRET_ACCESS_KEY": "fake",
            "NO_PROXY": "127.0.0.1",
        }
        words = ["publish", AMI, "--bucket", "web", "--fingerprint", "abc-1"]
        command = [sys.executable, "-c", "from packer_publisher.cli.main import main; main()", *words]
        with subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as running:
            silent.settimeout(30)
            connection, _ = silent.accept()
            with connection:
                running.send_signal(signal.SIGINT)
                stdout, stderr = running.communicate(timeout=30)
    remedy = "run it again: what was written stays, and it goes on from there"
    assert (130, "", f"Error: interrupted\nWhat to do: {remedy}\n") == (running.returncode, stdout, stderr)
