"""Where Python 3.13 or Node is missing `make` says so in a sentence and ends with 2; nothing is begun before."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from infra.package.archive import write_archive
from infra.package.artefact import ARTEFACTS
from infra.package.sources import PACKAGE, copy_sources

ROOT = Path(__file__).parents[2]
NONE = "#!/bin/sh\nexit 1\n"  # what a shim of pyenv's does where nothing is behind it
OLD_NODE = '#!/bin/sh\n[ "$1" = -v ] && echo v18.20.0\nexit 1\n'
NODE = "#!/bin/sh\nexit 0\n"
TOOLS = ("cat", "cksum", "dirname", "sed")
NO_PYTHON = "Python 3.13 was not found: it is what the functions run on, and bytecode of another one is not valid"
NO_NODE = "Node was not found (node and npm): Azurite, the stand-in of Azure's queues, and the packaging of"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a fresh checkout, as far as it matters here, on a machine that has next to nothing."""
    checkout, tools = tmp_path / "checkout", tmp_path / "bin"
    for name in ("Makefile", "pyproject.toml", "requirements/deploy.txt", ".ci/venv-deploy", ".ci/python3.13"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, checkout / name)
    tools.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found is not None, name
        (tools / name).symlink_to(found)
    return checkout


def make(checkout: Path, target: str, **tools: str) -> subprocess.CompletedProcess[str]:
    """Run a target of the Makefile where there are no more tools than these."""
    found = shutil.which("make")
    assert found is not None
    folder = checkout.parent / "bin"
    for name, text in tools.items():
        tool = folder / name.replace("_", ".")
        tool.write_text(text)
        tool.chmod(0o755)
    environ = {"PATH": str(folder), "HOME": str(checkout.parent)}
    command = [found, "--no-print-directory", target]
    return subprocess.run(command, cwd=checkout, env=environ, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("target", "tools", "sentence"),
    [
        ("package", {}, NO_PYTHON),
        ("package", {"python3": NONE, "python3_13": NONE, "uv": NONE}, NO_PYTHON),
        ("test-deploy", {"node": NODE, "npm": NODE, "python3": NONE}, NO_PYTHON),
        ("test-deploy", {"python3": NONE}, NO_NODE),
        ("test-deploy", {"node": NODE}, NO_NODE),
        ("test-deploy", {"node": OLD_NODE, "npm": NODE}, "Node v18.20.0 is too old, or does not run: Node 20 or newer"),
        ("test-deploy", {"node": NONE, "npm": NODE}, "Node is too old, or does not run: Node 20 or newer is needed."),
        ("bench-cold-start", {}, NO_NODE),
    ],
)
def test_what_is_missing_is_said(checkout: Path, target: str, tools: dict[str, str], sentence: str) -> None:
    """The sentence comes at once, before anything is installed; the script's status is 2, and so is make's."""
    before = sorted(checkout.rglob("*"))
    done = make(checkout, target, **tools)
    said, told = done.stderr.splitlines()
    assert said.startswith(sentence)
    assert told.endswith(f"{target}] Error 2")
    assert (2, "") == (done.returncode, done.stdout)
    assert before == sorted(checkout.rglob("*"))


def test_archives_that_are_missing_or_old_are_said_before_any_test_runs(tmp_path: Path) -> None:
    """`make test-deploy` asks so first; with them as they are in the checkout there is nothing to say."""

    def ask() -> tuple[int, str]:
        command = [sys.executable, "-m", "tests.deploy.archives", str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    assert ask() == (2, f"make test-deploy: {tmp_path}/build/aws.zip is not there: run `make package` first\n")
    (tmp_path / "build").mkdir()
    for cloud, artefact in ARTEFACTS.items():
        (tmp_path / cloud).mkdir()
        copy_sources(ROOT, artefact, tmp_path / cloud)
        write_archive(tmp_path / cloud, tmp_path / "build" / f"{cloud}.zip")
    for name in ("shared", "functions"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    assert ask() == (0, "")
    changed = tmp_path / "shared" / PACKAGE / "plan.py"
    changed.write_text(changed.read_text("utf-8") + "\n")
    old = f"{tmp_path}/build/aws.zip was built before packer_publisher/plan.py was changed: run `make package` again"
    assert ask() == (2, f"make test-deploy: {old}\n")


def test_the_archives_are_looked_at_first(checkout: Path) -> None:
    """Of what `make test-deploy` runs, once there is an environment to run it in."""
    (checkout / ".ci" / "venv-deploy").write_text("#!/bin/sh\n")
    python = checkout / ".venv-deploy" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$2" >>asked\n[ "$2" = pytest ]\n')
    python.chmod(0o755)
    assert 2 == make(checkout, "test-deploy").returncode
    assert "tests.deploy.archives\n" == (checkout / "asked").read_text()


def test_a_python_that_is_named_must_be_one(checkout: Path) -> None:
    """PYTHON313 is taken at its word, and nothing else is looked for."""
    done = subprocess.run(
        [str(checkout / ".ci" / "python3.13")],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(checkout.parent), "PYTHON313": "/bin/false"},
    )
    assert (2, "PYTHON313=/bin/false is no Python 3.13.\n") == (done.returncode, done.stderr)
