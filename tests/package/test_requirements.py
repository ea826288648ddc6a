"""The functions' requirements files: generated from pyproject.toml, pinned, hashed, and not stale."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from infra.package.artefact import ARTEFACTS
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
MACHINES = {"aws": "aarch64", "azure": "x86_64", "gcp": "x86_64"}


def machine(cloud: str) -> dict[str, str]:
    """Return what markers are asked for: the machine that a function runs on."""
    return {
        "python_version": "3.13",
        "python_full_version": "3.13.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": MACHINES[cloud],
    }


def text_of(cloud: str) -> str:
    """Return a function's requirements file."""
    return (ROOT / "functions" / cloud / "requirements.txt").read_text("utf-8")


def pins(text: str, cloud: str) -> dict[str, str]:
    """Return the versions that a lock file pins on a function's machine."""
    found = {}
    for line in re.findall(r"^([a-z0-9-]+==[^\\\n]+)", text, re.MULTILINE):
        requirement = Requirement(line.strip())
        if requirement.marker is None or requirement.marker.evaluate({**machine(cloud), "extra": ""}):
            found[requirement.name] = str(requirement.specifier).removeprefix("==")
    return found


def asked_for(cloud: str) -> list[Requirement]:
    """Return what pyproject.toml asks for on behalf of a function."""
    return [Requirement(line) for line in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"][cloud])]


def needed(cloud: str) -> set[str]:
    """Return the names of everything that a function needs, as the installed packages declare it."""
    found: set[str] = set()
    waiting = [(requirement, "") for requirement in asked_for(cloud)]
    done = set()
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({**machine(cloud), "extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        found.add(name)
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in done:
                done.add((name, wanted))
                waiting += [(Requirement(line), wanted) for line in requires(name) or ()]
    return found


@pytest.mark.parametrize("cloud", ARTEFACTS)
def test_the_file_holds_what_the_function_needs_and_nothing_else(cloud: str) -> None:
    """A dependency that was added or dropped in pyproject.toml is found here; run `make lock`."""
    assert needed(cloud) == set(pins(text_of(cloud), cloud))


@pytest.mark.parametrize("cloud", ARTEFACTS)
def test_the_versions_are_those_that_are_asked_for_and_tested(cloud: str) -> None:
    """Each pin satisfies pyproject.toml and is the version in the tests' own lock file; else run `make lock`."""
    pinned = pins(text_of(cloud), cloud)
    assert set() == {str(wanted) for wanted in asked_for(cloud) if not wanted.specifier.contains(pinned[wanted.name])}
    tested = pins((ROOT / "requirements" / "dev.txt").read_text("utf-8"), cloud)
    assert pinned == {name: tested.get(name) for name in pinned}


@pytest.mark.parametrize("cloud", ARTEFACTS)
def test_each_wheel_is_held_to_its_hash_wherever_it_comes_from(cloud: str) -> None:
    """No address, no option, no requirement without a hash: pip then insists on hashes by itself."""
    lines = text_of(cloud).splitlines()
    assert [] == [line for line in lines if "://" in line or line.startswith("-")]
    starts = [number for number, line in enumerate(lines) if "==" in line]
    assert len(starts) > 10
    assert all(lines[number + 1].startswith("    --hash=sha256:") for number in starts)
    assert [] == [line for line in lines if line and not line.startswith("    --hash=") and "==" not in line]
