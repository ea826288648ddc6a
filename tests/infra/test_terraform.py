"""Terraform's own verdict on the modules and their examples: fmt, validate, test.

Wherever Terraform is there, and its providers are: `terraform init` reaches a registry, or TF_CLI_CONFIG_FILE names a
mirror (or development overrides, which need no init). Where one is missing these tests are skipped, and say why.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
TERRAFORM = shutil.which("terraform")
ALL = sorted({path.parent.relative_to(INFRA) for path in INFRA.rglob("*.tf") if ".terraform" not in path.parts})
TESTED = sorted({path.parent.parent.relative_to(INFRA) for path in INFRA.rglob("tests/*.tftest.hcl")})
LEAST = (1, 9)
_ABSENT = ("Missing required provider", "Inconsistent dependency lock file", "Required plugins are not installed")
_UNREACHABLE = (
    "Failed to query available provider packages",
    "Invalid provider registry host",
    "Failed to install provider",
    "could not connect to registry",
)

pytestmark = pytest.mark.skipif(TERRAFORM is None, reason="there is no terraform on this machine")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run terraform in a folder: no questions, no colours, no phoning home, no long waits for a registry."""
    environ = {
        **os.environ,
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "TF_REGISTRY_DISCOVERY_RETRY": "0",
        "TF_REGISTRY_CLIENT_TIMEOUT": "10",
    }
    assert TERRAFORM is not None
    return subprocess.run(
        [TERRAFORM, *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=300
    )


def told(done: subprocess.CompletedProcess[str]) -> str:
    """Return all that terraform said, on one line: it breaks its own where it likes."""
    return " ".join((done.stdout + done.stderr).split())


@cache
def version() -> tuple[int, ...]:
    """Return Terraform's version."""
    first = run(ROOT, "version").stdout.split()[1]
    return tuple(int(number) for number in first.lstrip("v").split("-")[0].split("."))


def ready(name: Path, copies: Path) -> Path:
    """Return a copy of a module (with its neighbours, whom it may name) that can be validated; skip where it cannot."""
    if version() < LEAST:
        pytest.skip(f"terraform is older than {LEAST[0]}.{LEAST[1]}, which the modules ask for")
    copied = copies / "infra"
    shutil.copytree(INFRA, copied, ignore=shutil.ignore_patterns(".terraform*", "terraform.tfstate*", "__pycache__"))
    folder = copied / name
    got = run(folder, "get", "-no-color")
    assert 0 == got.returncode, got.stderr
    if any(text in told(run(folder, "validate", "-no-color")) for text in _ABSENT):
        done = run(folder, "init", "-backend=false", "-no-color")
        if done.returncode and any(text in told(done) for text in _UNREACHABLE):
            pytest.skip(
                "terraform has no providers here, and reaches no registry; TF_CLI_CONFIG_FILE may name a mirror"
            )
        assert 0 == done.returncode, done.stderr
    return folder


def test_the_modules_and_their_examples_are_found() -> None:
    """Nothing passes because nothing was looked at."""
    assert {Path("aws/terraform"), Path("azure"), Path("gcp"), Path("hcp")} <= set(TESTED) <= set(ALL)
    assert {Path("azure/examples/minimal"), Path("azure/examples/complete")} <= set(ALL)
    assert {Path("gcp/examples/project"), Path("gcp/examples/organization")} <= set(ALL)
    assert {name for name in ALL if "examples" in name.parts} <= set(TESTED)


def test_the_format() -> None:
    """`terraform fmt -recursive infra` mends it; it needs no provider."""
    done = run(ROOT, "fmt", "-check", "-diff", "-recursive", "infra")
    assert (0, "") == (done.returncode, done.stdout)


@pytest.mark.parametrize("name", ALL, ids=str)
def test_it_is_valid(name: Path, tmp_path: Path) -> None:
    """Names, types and references, against the provider's own schema."""
    done = run(ready(name, tmp_path), "validate", "-no-color")
    assert 0 == done.returncode, done.stderr


@pytest.mark.parametrize("name", TESTED, ids=str)
def test_its_own_tests_pass(name: Path, tmp_path: Path) -> None:
    """Plans against a mocked provider: what is made, and which values are refused."""
    done = run(ready(name, tmp_path), "test", "-no-color")
    assert 0 == done.returncode, done.stdout + done.stderr
