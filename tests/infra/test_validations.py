"""What the modules' simple validations let through and refuse, also where there is no Terraform to ask.

Values are those of the examples and of the modules' own tests. A condition that is more than one regular expression, or
one list of words, is left to Terraform.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.infra.hcl import Block, Unreadable, literal, members, read, read_module, texts

INFRA = Path(__file__).parents[2] / "infra"
MODULES = {"azure": 15, "gcp": 14, "hcp": 3}  # and how many of its validations are simple, at the least
Check = Callable[[str], object]


def checks(module: Block) -> dict[str, Check]:
    """Return what tells whether a text passes, by variable, or by ``variable.member`` of an object."""
    found = {}
    for block in module.all("variable"):
        for validation in block.all("validation"):
            found.update(simple(validation.attributes["condition"], block.labels[0]))
    return found


def simple(condition: str, name: str) -> dict[str, Check]:
    """Return the check of a condition, nothing where it is not simple."""
    text = condition.removeprefix(f"var.{name} == null || ")
    if one := re.fullmatch(rf'can\(regex\(("(?:[^"\\]|\\.)*"), var\.({name}(?:\.\w+)?)\)\)', text):
        return {one[2]: re.compile(str(literal(one[1]))).search}
    if each := re.fullmatch(
        rf'alltrue\(\[for (\w+) in var\.{name} : can\(regex\(("(?:[^"\\]|\\.)*"), \1\)\)\]\)', text
    ):
        return {name: re.compile(str(literal(each[2]))).search}
    if words := re.fullmatch(rf"contains\((\[.*\]), var\.{name}\)", text):
        return {name: texts(words[1]).__contains__}
    return {}


def values(attributes: dict[str, str], name: str) -> Iterator[str]:
    """Yield the texts that are given to a variable, those of a list each; nothing where they are no literals."""
    variable, _, member = name.partition(".")
    try:
        written = attributes.get(variable, "null").partition(" #")[0]
        given = literal(members(written).get(member, "null") if member and written != "null" else written)
    except Unreadable:
        return
    yield from [each for each in (given if isinstance(given, list) else [given]) if isinstance(each, str)]


def good(name: str) -> Iterator[dict[str, str]]:
    """Yield the values of a module's examples, of its README, and of its tests."""
    folder = INFRA / name
    for example in folder.glob("examples/*"):
        yield dict(read_module(example).one("module", "publisher").attributes)
    for shown in re.findall(r"```hcl\n(.*?)```", (folder / "README.md").read_text("utf-8"), re.DOTALL):
        yield dict(read(shown).one("module").attributes)
    yield from (given for given, refused in planned(folder) if not refused)


def planned(folder: Path) -> Iterator[tuple[dict[str, str], list[str]]]:
    """Yield what a module's tests give it, each with the names of the variables that are to be refused."""
    for path in folder.glob("tests/*.tftest.hcl"):
        file = read(path.read_text("utf-8"))
        yield dict(file.one("variables").attributes), []
        for run in file.all("run"):
            given = [dict(block.attributes) for block in run.all("variables")]
            refused = re.findall(r"\bvar\.(\w+)", run.attributes.get("expect_failures", ""))
            yield from [(each, refused) for each in given]


@pytest.mark.parametrize("name", MODULES)
def test_good_values_pass(name: str) -> None:
    """Those of every example among them."""
    module = read_module(INFRA / name)
    found = checks(module)
    assert MODULES[name] <= len(found)
    tried = [(variable, value) for given in good(name) for variable in found for value in values(given, variable)]
    assert {variable for variable, _ in tried}, "nothing was tried"
    assert [] == [(variable, value) for variable, value in tried if not found[variable](value)]


@pytest.mark.parametrize("module", MODULES)
def test_bad_values_are_refused(module: str) -> None:
    """By the condition that stands in the module, not by what Terraform says of its type."""
    found = checks(read_module(INFRA / module))
    tried = {
        name: [
            value
            for given, refused in planned(INFRA / module)
            if name.partition(".")[0] in refused
            for value in values(given, name)
        ]
        for name in found
    }
    assert [] == [each for each, bad in tried.items() if not bad], "nothing was tried"
    # One of them at least: what is meant for a second validation of the variable may pass this one.
    assert [] == [each for each, bad in tried.items() if all(found[each](value) for value in bad)]
