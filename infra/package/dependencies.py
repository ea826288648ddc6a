"""The third-party part of an archive: pinned and hashed wheels for the machine that the function runs on."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.package.artefact import PYTHON
from infra.package.refusal import Refused

NEVER_READ = ("RECORD", "INSTALLER", "REQUESTED", "WHEEL", "direct_url.json")
"""What an installer notes for itself, and what would differ between two machines; licences and METADATA stay."""


def install(requirements: Path, folder: Path, platforms: Sequence[str]) -> None:
    """Install the wheels that a requirements file pins, each held to its hash, as files only; nothing is built.

    The machine that does it need not be of the platform. Raises Refused where the package index cannot be reached,
    has no such wheel, or has another one.
    """
    version = ".".join(map(str, PYTHON))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--no-compile", "--require-hashes", "--only-binary", ":all:", "--target", str(folder)]
    command += ["--implementation", "cp", "--python-version", version]
    command += [word for platform in platforms for word in ("--platform", platform)]
    done = subprocess.run([*command, "-r", str(requirements)], capture_output=True, text=True, check=False)
    if done.returncode:
        told = "\n  ".join(line.strip() for line in done.stderr.splitlines() if not line.startswith("WARNING"))
        raise Refused(f"the dependencies in {requirements} could not be installed:\n  {told}")
    _tidy(folder)


def _tidy(folder: Path) -> None:
    """Remove what no function reads: scripts, type stubs, the installer's notes, bundled tests."""
    shutil.rmtree(folder / "bin", ignore_errors=True)
    for notes in folder.glob("*.dist-info"):
        for name in NEVER_READ:
            (notes / name).unlink(missing_ok=True)
    for stub in [*folder.rglob("*.pyi"), *folder.rglob("py.typed")]:
        stub.unlink()
    for tests in folder.glob("*/tests"):  # certifi's own, for one
        shutil.rmtree(tests)
