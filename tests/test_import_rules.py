"""The dependency rule: what may import what, as `.importlinter` says it."""

from __future__ import annotations

import configparser
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent
RULES = configparser.ConfigParser()
RULES.read_string((ROOT / ".importlinter").read_text("utf-8"))
CLOUDS = ("aws", "azure", "gcp")


def listed(contract: str, key: str) -> set[str]:
    """Return the modules that a contract lists under a key."""
    return set(RULES[f"importlinter:contract:{contract}"][key].split())


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Return who imports whom, late imports included."""
    return grimp.build_graph("packer_publisher", "functions", include_external_packages=True, cache_dir=None)


def test_every_contract_is_kept() -> None:
    """The contracts of `.importlinter` hold; in a process of its own, because import-linter silences other loggers."""
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout


def test_every_contract_is_about_something(graph: grimp.ImportGraph) -> None:
    """No contract names a module that does not exist: it would hold whatever happens."""
    ours = {
        name
        for section in RULES.sections()
        for key in ("source_modules", "forbidden_modules", "protected_modules", "allowed_importers")
        for name in RULES[section].get(key, "").split()
        if name.startswith(("packer_publisher", "functions"))
    }
    assert set() == ours - graph.modules


@pytest.mark.parametrize("cloud", CLOUDS)
def test_each_module_of_a_cloud_is_under_its_contract(cloud: str, graph: grimp.ImportGraph) -> None:
    """A cloud's modules are named after it, and each is held to its contract and kept out of the others'."""
    modules = {
        module
        for module in graph.modules
        if module.startswith("packer_publisher.clouds.") and module.split(".")[2].split("_")[0] == cloud
    }
    assert modules == listed(cloud, "source_modules")
    for other in set(CLOUDS) - {cloud}:
        for contract in (other, f"function-{other}"):
            assert set() == modules - listed(contract, "forbidden_modules"), contract


def test_every_module_under_clouds_belongs_to_a_cloud() -> None:
    """There is no fourth thing under clouds/ that no contract is about."""
    modules = {path.stem for path in (ROOT / "shared/packer_publisher/clouds").glob("*.py")} - {"__init__"}
    assert set() == {module for module in modules if module.split("_")[0] not in CLOUDS}


def test_the_core_is_the_lowest_layer() -> None:
    """The modules that must do with the standard library are those of the lowest layer."""
    layers = RULES["importlinter:contract:layers"]["layers"].strip().splitlines()
    core = {f"packer_publisher.{name.strip()}" for name in layers[-1].split(":")}
    assert core == listed("core", "source_modules")


def test_the_core_imports_the_standard_library_only(graph: grimp.ImportGraph) -> None:
    """Whatever is installed, a module of the core imports the standard library and the core."""
    core = listed("core", "source_modules")
    foreign = {
        (module, imported)
        for module in core
        for imported in graph.find_modules_directly_imported_by(module)
        if imported not in core and imported.split(".")[0] not in sys.stdlib_module_names
    }
    assert set() == foreign


def test_what_is_imported_is_declared(graph: grimp.ImportGraph) -> None:
    """Each third-party package that is imported comes with a dependency of `pyproject.toml`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = " ".join([*project["dependencies"], *(line for name in extras for line in extras[name])])
    distribution = {
        "azure": "azure-mgmt-compute",
        "botocore": "boto3",
        "cryptography": "pyjwt[crypto]",
        "flask": "functions-framework",  # the web framework under it, whose request it serves
        "google": "google-cloud-compute",
        "requests": "google-cloud-compute",  # the transport under its REST clients
        "mypy_boto3_ec2": "boto3-stubs",
        "mypy_boto3_events": "boto3-stubs",
        "mypy_boto3_sqs": "boto3-stubs",
        "re2": "google-re2",
        "yaml": "pyyaml",
    }
    imported = {
        name.split(".")[0]
        for name in graph.modules
        if not name.startswith(("packer_publisher", "functions")) and name.split(".")[0] not in sys.stdlib_module_names
    }
    missing = {name for name in imported if distribution.get(name, name.replace("_", "-")) not in declared}
    assert set() == missing
