"""``packer-publisher doctor`` as a person and as a program meet it, against a deployment in Google Cloud."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from tests.doctor.rest_stand_in import Documents, documents
from tests.doctor.test_gcp import CONFIG, FUNCTIONS, SINK, SUBSCRIPTION, deployment
from tests.switches import setting

from packer_publisher.cli.doctor import exit_status_of
from packer_publisher.cli.program import program
from packer_publisher.finding import Trouble, note, right, unknown, wrong
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry

HERE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def registry() -> Iterator[LocalRegistry]:
    with local_registry(RegistryModel(seed=1, switches=setting())) as registry:
        yield registry


@pytest.fixture
def google() -> Iterator[tuple[Documents, str]]:
    with documents(deployment()) as served:
        yield served


def environment(google: tuple[Documents, str], registry: LocalRegistry, **more: str) -> dict[str, str]:
    return {
        **registry.environment(),
        "PUBLISHER_GOOGLE_ENDPOINT": google[1],
        "GOOGLE_CLOUD_PROJECT": "img-proj",
        **more,
    }


def run(google: tuple[Documents, str], registry: LocalRegistry, *arguments: str, **more: str) -> Result:
    """Run the command as piped: there is no terminal."""
    environ = environment(google, registry, **more)
    return CliRunner().invoke(program, ["doctor", "gcp", *arguments], env=environ, prog_name="packer-publisher")


def test_a_line_for_each_thing_and_a_sum(google: tuple[Documents, str], registry: LocalRegistry) -> None:
    """Piped, lines stay whole; without a terminal nobody is asked, and no probe is sent."""
    done = run(google, registry)
    assert (0, "") == (done.exit_code, done.stderr)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("function packer-publisher of img-proj, by packer-publisher ")
    assert "  right    function: packer-publisher, python313, revision packer-publisher-00007-abc" in lines
    assert "  note     probe: none was sent, so the function's own credentials are not tried" in lines
    assert "           > --yes sends one" in lines
    assert "14 right, 1 note" == lines[-1]
    assert not [asked for asked in google[0].asked if ":publish" in asked]


def test_what_is_wrong_comes_with_what_to_do(google: tuple[Documents, str], registry: LocalRegistry) -> None:
    """The remedy stands below, and the status is 1."""
    google[0].change(SUBSCRIPTION, pushConfig={})
    google[0].table[SINK] = 403
    done = run(google, registry, "--no-probe")
    assert "  wrong    subscription: none pushes to the function: messages are kept" in done.stdout.splitlines()
    assert "           > apply infra/gcp with enabled = true" in done.stdout.splitlines()
    assert "  unknown  sink: logging.googleapis.com refuses it (HTTP 403, REFUSED)." in done.stdout.splitlines()
    assert "11 right, 1 note, 1 unknown, 1 wrong" == done.stdout.splitlines()[-1]
    assert 4 == done.exit_code  # what is closed to the credentials beats what is wrong


def test_json_for_programs(google: tuple[Documents, str], registry: LocalRegistry, tmp_path: Path) -> None:
    """One object; the digest is that of the document at hand, and everything that was found is in it."""
    (tmp_path / "publisher.json").write_text(CONFIG)
    done = run(google, registry, "--json", "--config", str(tmp_path / "publisher.json"))
    assert (0, "") == (done.exit_code, done.stderr)
    found = json.loads(done.stdout)
    assert ["cloud", "deployment", "doctor_version", "configuration", "exit_status", "findings"] == list(found)
    assert ("gcp", 0) == (found["cloud"], found["exit_status"])
    assert 12 == len(found["configuration"])
    assert {"verdict": "right", "about": "configuration here", "text": "the same document", "remedy": None} in found[
        "findings"
    ]


@pytest.mark.parametrize(
    ("arguments", "variables", "status", "text"),
    [
        (["--yes", "--no-probe"], {}, 2, "--yes and --no-probe exclude each other"),
        (["--manifest", __file__], {}, 2, "is no manifest of `make package`"),
        (["--project", ""], {"GOOGLE_CLOUD_PROJECT": ""}, 2, "No project is named."),
        (["--no-probe"], {"HCP_CLIENT_SECRET": "made-up-secret"}, 4, ""),
        (["--no-probe"], {"HCP_AUTH_URL": "http://127.0.0.1:9", "HCP_API_ADDRESS": "127.0.0.1:9"}, 5, ""),
    ],
)
def test_exit_statuses(
    google: tuple[Documents, str], registry: LocalRegistry, arguments: list[str], variables: dict[str, str],
    status: int, text: str,
) -> None:  # fmt: skip
    """As everywhere: 2 for usage, 4 for credentials, 5 where HCP cannot be reached."""
    done = run(google, registry, *arguments, "--timeout", "2s", **variables)
    assert status == done.exit_code, done.stdout + done.stderr
    assert text in done.stderr
    assert "made-up-secret" not in done.stdout + done.stderr


def test_a_manifest_of_another_shape(google: tuple[Documents, str], registry: LocalRegistry, tmp_path: Path) -> None:
    """Its digest is a text; else nothing could be compared."""
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"archives": {"gcp.zip": {"sha256": 7}}}))
    done = run(google, registry, "--manifest", str(manifest), "--no-probe")
    assert (2, True) == (done.exit_code, f"{manifest} has no digest of gcp.zip" in done.stderr)
    manifest.write_text(json.dumps({"archives": {"gcp.zip": {"sha256": "a" * 64}}}))
    assert 0 == run(google, registry, "--manifest", str(manifest), "--no-probe").exit_code


def test_without_credentials_for_the_cloud_nothing_more_is_said_of_it(registry: LocalRegistry) -> None:
    """One line tells it, and HCP is asked all the same."""
    environ = {**registry.environment(), "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent",
               "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_PROFILE": None, "AWS_ACCESS_KEY_ID": None,
               "AWS_SECRET_ACCESS_KEY": None, "AWS_SESSION_TOKEN": None, "AWS_ENDPOINT_URL": None}  # fmt: skip
    done = CliRunner().invoke(program, ["doctor", "aws", "--region", "eu-west-1"], env=environ)
    assert 4 == done.exit_code
    wrong_ones = [line for line in done.stdout.splitlines() if line.startswith("  wrong")]
    told = "AWS credentials were not found or not usable (NoCredentialsError)"
    assert [f"  wrong    AWS credentials: {told}"] == wrong_ones
    assert "  right    registry: active" in done.stdout


def test_an_sdk_says_nothing_of_its_own(registry: LocalRegistry) -> None:
    """Azure's tells, as a warning, all the ways by which it has found no credentials; ours is one line."""
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
               "AZURE_SUBSCRIPTION_ID": "11111111-1111-1111-1111-111111111111", **registry.environment()}  # fmt: skip
    command = [sys.executable, "-m", "packer_publisher.cli", "doctor", "azure", "--function", "x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ, cwd=HERE, timeout=60)
    assert (4, "") == (done.returncode, done.stderr)
    told = "There are no usable credentials for Azure (ClientAuthenticationError)."
    assert f"  wrong    Azure credentials: {told}" in done.stdout.splitlines()


def test_a_wrong_configuration_is_2(google: tuple[Documents, str], registry: LocalRegistry) -> None:
    """Of the function, too."""
    google[0].change(FUNCTIONS, functions__1__serviceConfig__environmentVariables__PUBLISHER_CONFIG="{}")
    assert 2 == run(google, registry, "--no-probe").exit_code


def test_only_its_own_clouds_sdk_is_loaded(google: tuple[Documents, str], registry: LocalRegistry) -> None:
    """Google is examined without a trace of boto3, of Azure's SDK or of Compute Engine's, which takes a second."""
    code = """
import sys
from packer_publisher.cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("loaded:", *sorted({"boto3", "azure.core", "google.cloud.compute_v1", "google.auth"} & set(sys.modules)))
"""
    environ = {"PATH": os.environ["PATH"], **environment(google, registry)}
    command = [sys.executable, "-c", code, "doctor", "gcp", "--no-probe"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ, cwd=HERE, timeout=60)
    assert "loaded: google.auth" == done.stdout.splitlines()[-1], done.stderr


def test_the_worst_trouble_decides() -> None:
    """Unknown counts like wrong, notes do not."""
    fine: list[Any] = [right("a", "b"), note("c", "d")]
    other, closed = wrong("e", "f", "g"), unknown("h", "i", "j", Trouble.CREDENTIALS)
    config, away = wrong("k", "l", "m", Trouble.CONFIGURATION), unknown("n", "o", "p", Trouble.UNREACHABLE)
    assert [0, 1, 4, 5, 2] == [
        exit_status_of([*fine, *found]) for found in ([], [other], [other, closed], [away, other], [closed, config])
    ]


def test_the_page_shows_what_the_program_knows() -> None:
    """Every command on docs/doctor.md exists, with its options; so does each option that a sentence names."""
    page = (HERE / "docs" / "doctor.md").read_text("utf-8")
    command = program.get_command(click.Context(program), "doctor")
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page))
    assert 8 < len(named)
    assert set() == named - known
    shown = re.findall(r"^\$ packer-publisher doctor (\w+)", page, re.MULTILINE)
    assert ["aws", "azure", "gcp"] == shown
