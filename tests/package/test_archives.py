"""What `make package` puts into an archive, and how: everything of it that needs neither Python 3.13 nor an index."""

from __future__ import annotations

import ast
import gzip
import json
import os
import re
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore import xform_name
from infra.package.archive import digest, digest_of_contents, write_archive
from infra.package.artefact import ARTEFACTS
from infra.package.botocore_data import OPERATIONS, cut_model
from infra.package.build import check_size
from infra.package.bytecode import compile_all
from infra.package.configured import as_json
from infra.package.refusal import Refused
from infra.package.sources import PACKAGE, copy_sources, is_left_out, kept_modules

from packer_publisher.document import read_text

ROOT = Path(__file__).parents[2]
SHARED = ROOT / "shared" / PACKAGE
FOR_COMMANDS = {
    ("runtime", "open_backfill"),
    ("runtime", "open_drift"),
    ("runtime", "_placer"),
}
"""The functions that commands call, and no function of a cloud: they import what archives leave out."""

FOR_ONE_CLOUD = {("runtime", "open_cloud"), ("runtime", "_open_queue"), ("secret_stores", "SecretStores")}
"""Where one of several clouds is chosen, and its module alone imported."""


def model(service: str) -> dict[str, Any]:
    """Return botocore's own model of a service."""
    folder = Path(botocore.__file__).parent / "data" / service
    newest = max(folder.iterdir())
    found: dict[str, Any] = json.loads(gzip.decompress((newest / "service-2.json.gz").read_bytes()))
    return found


def test_the_same_files_make_the_same_bytes(tmp_path: Path) -> None:
    """Neither times nor permissions nor the order in which files were made is in an archive."""
    archives = []
    for number, names in enumerate((["b.py", "a/one.py"], ["a/one.py", "b.py"])):
        folder = tmp_path / f"folder-{number}"
        for name in names:
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"# {name}\n")
            os.utime(file, (1_600_000_000 + number, 1_600_000_000 + number))
            file.chmod(0o600 + 0o044 * number)
        archives.append(tmp_path / f"{number}.zip")
        write_archive(folder, archives[-1])
    assert archives[0].read_bytes() == archives[1].read_bytes()
    assert digest(archives[0]) == digest(archives[1])
    assert ["a/one.py", "b.py"] == zipfile.ZipFile(archives[0]).namelist()


def test_another_content_has_another_digest(tmp_path: Path) -> None:
    """Names count as well as contents."""
    digests = set()
    for name, text in (("a.py", "1"), ("a.py", "2"), ("b.py", "1")):
        folder = tmp_path / f"{name}{text}"
        folder.mkdir()
        (folder / name).write_text(text)
        write_archive(folder, tmp_path / "a.zip")
        digests.add(digest_of_contents(tmp_path / "a.zip"))
    assert 3 == len(digests)


@pytest.mark.parametrize("cloud", ARTEFACTS)
def test_an_archive_holds_neither_commands_nor_stand_ins_nor_another_cloud(cloud: str, tmp_path: Path) -> None:
    """Entry point and package are copied; what no function imports is not."""
    copy_sources(ROOT, ARTEFACTS[cloud], tmp_path)
    assert set(ARTEFACTS[cloud].entry) == {file.name for file in tmp_path.iterdir() if file.is_file()}
    below = {path.name for path in (tmp_path / PACKAGE).iterdir() if path.is_dir()}
    assert {"clouds", "registry"} == below
    assert {cloud} == {path.stem.split("_")[0] for path in (tmp_path / PACKAGE / "clouds").glob("*.py")} - {""}
    modules = {path.stem for path in (tmp_path / PACKAGE).glob("*.py")}
    assert {"intake", "plan", "placement"} < modules
    assert set() == {module for module in modules if module.startswith("mapping")}


@pytest.mark.parametrize("cloud", ARTEFACTS)
def test_nothing_that_is_left_out_is_imported(cloud: str) -> None:
    """No module of an archive imports one that is left out, but in what commands alone call, or for another cloud."""
    left_out = ARTEFACTS[cloud].left_out
    missing = {
        (importer, function, imported)
        for module in kept_modules(ROOT, left_out)
        for importer, function, imported in imports(module)
        if is_left_out(imported, left_out)
    }
    other_clouds = {found for found in missing if found[2].startswith("clouds.")}
    assert FOR_ONE_CLOUD == {found[:2] for found in other_clouds}
    assert FOR_COMMANDS == {found[:2] for found in missing - other_clouds}


def test_no_function_calls_what_commands_alone_call() -> None:
    """No module that an archive holds names what imports a left-out module."""
    names = {name for _, name in FOR_COMMANDS}
    callers = {
        (".".join(module.with_suffix("").parts), node.id if isinstance(node, ast.Name) else node.attr)
        for artefact in ARTEFACTS.values()
        for module in kept_modules(ROOT, artefact.left_out)
        for node in ast.walk(ast.parse((SHARED / module).read_text("utf-8")))
        if (isinstance(node, ast.Name) and node.id in names) or (isinstance(node, ast.Attribute) and node.attr in names)
    }
    assert {("runtime", "_placer")} == callers  # open_drift's own


def imports(module: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the imports of our own modules: importer, function ("" for the top level), imported."""
    name = ".".join(module.with_suffix("").parts)
    yield from _imports(name, "", ast.parse((SHARED / module).read_text("utf-8")).body)


def _imports(name: str, function: str, body: list[ast.stmt]) -> Iterator[tuple[str, str, str]]:
    for node in body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            within = (node.module or "").removeprefix(PACKAGE).lstrip(".")
            for alias in node.names:
                yield name, function, f"{within}.{alias.name}".lstrip(".")
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield from _imports(name, function or node.name, node.body)
        else:
            inner = [child for child in ast.walk(node) if isinstance(child, ast.stmt) and child is not node]
            yield from _imports(name, function, [child for child in inner if isinstance(child, ast.ImportFrom)])


def test_only_the_operations_that_the_lambda_calls_are_there() -> None:
    """Each call of botocore's that stands in the Lambda's modules is kept, and no other operation is."""
    known = {service: {xform_name(name): name for name in model(service)["operations"]} for service in OPERATIONS}
    called = {
        node.func.attr
        for module in kept_modules(ROOT, ARTEFACTS["aws"].left_out)
        if module.parts[0] == "clouds"
        for node in ast.walk(ast.parse((SHARED / module).read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    called |= {
        argument.value
        for module in kept_modules(ROOT, ARTEFACTS["aws"].left_out)
        for node in ast.walk(ast.parse((SHARED / module).read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("get_paginator", "get_waiter")
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
    for service in OPERATIONS:
        assert {known[service][name] for name in called & set(known[service])} == set(OPERATIONS[service]), service


def test_the_role_allows_the_operations_that_are_there() -> None:
    """What the template's role allows on EC2 is what the archive can call; Lambda itself attaches to a network."""
    template = (ROOT / "infra" / "aws" / "template.json").read_text("utf-8")
    allowed = {
        action for action in re.findall(r'"ec2:(\w+)"', template) if not re.search("Interface|Address|Subnet", action)
    }
    assert set(OPERATIONS["ec2"]) == allowed


def test_a_cut_model_holds_what_its_operations_need() -> None:
    """Shapes are followed to their ends, nothing else is left, and a member called documentation stays."""
    whole = model("ec2")
    cut = cut_model(whole, OPERATIONS["ec2"])
    text = json.dumps(cut)
    assert set(OPERATIONS["ec2"]) == set(cut["operations"])
    assert "documentation" not in text
    assert {"DescribeImagesRequest", "Image", "BlockDeviceMapping", "TagList"} <= set(cut["shapes"])
    assert len(text) < len(json.dumps(whole)) / 30
    odd = {
        "metadata": {"serviceId": "Odd"},
        "operations": {"Ask": {"input": {"shape": "A"}, "documentation": "<p>"}, "Other": {"input": {"shape": "C"}}},
        "shapes": {
            "A": {"type": "structure", "members": {"documentation": {"shape": "B"}}},
            "B": {"type": "string", "documentation": "<p>"},
            "C": {"type": "string"},
        },
    }
    cut = cut_model(odd, ["Ask"])
    assert {"Ask": {"input": {"shape": "A"}}} == cut["operations"]
    assert {"A": {"type": "structure", "members": {"documentation": {"shape": "B"}}}, "B": {"type": "string"}} == cut[
        "shapes"
    ]


def test_an_operation_that_botocore_does_not_know_is_refused() -> None:
    """A misspelled one must not be found out by a function."""
    with pytest.raises(Refused, match=r"^botocore does not know DescribeImage of EC2$"):
        cut_model(model("ec2"), ["DescribeImages", "DescribeImage"])


def test_bytecode_of_another_python_is_refused(tmp_path: Path) -> None:
    """It would be ignored by the runtime, without a word."""
    if sys.version_info[:2] == (3, 13):
        pytest.skip("this is the functions' Python")
    with pytest.raises(Refused, match=r"^the functions run on Python 3\.13, and bytecode of Python 3\.\d+"):
        compile_all(tmp_path, "/var/task")


def test_a_configuration_document_becomes_json(tmp_path: Path) -> None:
    """The functions read no YAML; a scalar stays the text that it was."""
    file = tmp_path / "publisher.yaml"
    file.write_text("buckets:\n  golden-ubuntu:\n    expects: aws azure\n    description: 0123456\n")
    text = as_json(file)
    assert {"buckets": {"golden-ubuntu": {"expects": "aws azure", "description": "0123456"}}} == json.loads(text)
    assert read_text(text, "publisher.json", yaml=False).root


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("publisher.yaml", "buckets:\n  web:\n    quite: 6h\n", "line 3: buckets.web.quite is not known"),
        ("publisher.json", '{"buckets": {"web": {"quiet": "6 lightyears"}}}', "buckets.web.quiet"),
        ("publisher.yaml", None, "cannot be read (No such file or directory)"),
    ],
)
def test_a_bad_configuration_document_is_refused(tmp_path: Path, name: str, text: str | None, reason: str) -> None:
    """Where it is wrong is said when it is packaged, not when the first image comes."""
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    with pytest.raises(Refused) as raised:
        as_json(file)
    assert str(file) in str(raised.value)
    assert reason in str(raised.value)


def test_an_archive_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """It is not left lying about: somebody might deploy it."""
    artefact = replace(ARTEFACTS["aws"], most_bytes=1_000_000)
    archive = tmp_path / "aws.zip"
    archive.write_bytes(b"x" * 1_000_000)
    check_size(artefact, archive)
    archive.write_bytes(b"x" * 1_100_000)
    with pytest.raises(Refused, match=r"^aws\.zip would be 1\.1 MB, and 1 MB are the most$"):
        check_size(artefact, archive)
    assert not archive.exists()
    assert 8_000_000 == ARTEFACTS["aws"].most_bytes


def test_packaging_stands_alone() -> None:
    """No function and no command imports it."""
    assert find_spec("infra.package.build") is not None
    users = [
        file
        for folder in ("shared", "functions")
        for file in (ROOT / folder).rglob("*.py")
        if "infra.package" in file.read_text("utf-8")
    ]
    assert [] == users
