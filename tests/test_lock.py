"""The lock files: what `make` installs is what `pyproject.toml` asks for, pinned, hashed and from anywhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRA = {"demo": "local", "dev": "dev", "deploy": "deploy"}


def pins(name: str) -> dict[str, set[str]]:
    """Return the versions that a lock file pins for each distribution (more than one where markers differ)."""
    found: dict[str, set[str]] = {}
    for distribution, version in re.findall(r"^([a-z0-9-]+)==(\S+)", lock(name), re.MULTILINE):
        found.setdefault(distribution, set()).add(version)
    return found


def lock(name: str) -> str:
    """Return the text of a lock file."""
    return (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")


def asked_for(extra: str) -> list[Requirement]:
    """Return what the project, with an extra, and its build ask for; extras of its own are followed."""
    wanted = [Requirement(line) for line in PROJECT["project"]["dependencies"] + PROJECT["build-system"]["requires"]]
    for line in PROJECT["project"]["optional-dependencies"][extra]:
        requirement = Requirement(line)
        if requirement.name == "packer-publisher":
            wanted += [inner for other in sorted(requirement.extras) for inner in asked_for(other)]
        else:
            wanted.append(requirement)
    return wanted


@pytest.mark.parametrize("name", EXTRA)
def test_the_lock_is_up_to_date(name: str) -> None:
    """Each pinned version satisfies `pyproject.toml`; else run `make lock`."""
    pinned = pins(name)
    outdated = {
        str(requirement)
        for requirement in asked_for(EXTRA[name])
        if not pinned.get(requirement.name) or not all(map(requirement.specifier.contains, pinned[requirement.name]))
    }
    assert set() == outdated


@pytest.mark.parametrize("name", EXTRA)
def test_the_lock_serves_any_mirror(name: str) -> None:
    """No address of an index, and a hash for everything that is installed."""
    lines = lock(name).splitlines()
    assert [] == [line for line in lines if "://" in line or line.startswith("-")]
    starts = [number for number, line in enumerate(lines) if "==" in line]
    assert len(starts) > 50
    assert all(lines[number + 1].startswith("    --hash=sha256:") for number in starts)


def test_the_demo_needs_nothing_that_the_tests_have_otherwise() -> None:
    """The two never disagree, so going from one to the other only adds."""
    demo, dev = pins("demo"), pins("dev")
    assert set() == {name for name, versions in demo.items() if dev.get(name) != versions}


@pytest.mark.parametrize("name", ["deploy", "runtime-aws", "runtime-azure"])
def test_the_archives_are_tested_with_what_the_tests_have(name: str) -> None:
    """What several lock files pin, they pin alike."""
    dev = pins("dev")
    assert set() == {package for package, versions in pins(name).items() if not versions <= dev.get(package, versions)}
