"""What CloudFormation does with a template before it makes anything: parameters, rules and conditions, as documented.

User guide, "Parameters", "Rules" and "Conditions" sections. Of the intrinsic functions those that our templates use.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
AWS = ROOT / "infra" / "aws"
Template = dict[str, Any]
_NOTHING = object()


def read_template(name: str) -> Template:
    """Return one of the templates under infra/aws."""
    text = (AWS / name).read_text("utf-8")
    template: Template = json.loads(text) if name.endswith(".json") else yaml.safe_load(text)
    return template


def refusals(template: Template, given: Mapping[str, str]) -> list[str]:
    """Return the sentences with which CloudFormation refuses values, naming the parameter; [] where it takes them."""
    declared = template["Parameters"]
    wrong = [f"{name}: is no parameter" for name in given if name not in declared]
    values = values_of(template, given)
    for name, declaration in declared.items():
        if name not in values:
            wrong.append(f"{name}: must have a value")
        elif not _fits(values[name], declaration):
            wrong.append(f"{name}: {declaration.get('ConstraintDescription', 'has another value than those allowed')}")
    for rule in template.get("Rules", {}).values():
        wrong += [
            f"{assertion['AssertDescription']}"
            for assertion in rule["Assertions"]
            if not _true(assertion["Assert"], values, {})
        ]
    return wrong


def values_of(template: Template, given: Mapping[str, str]) -> dict[str, str]:
    """Return the value of each parameter that has one, as text."""
    defaults = {name: str(told["Default"]) for name, told in template["Parameters"].items() if "Default" in told}
    return defaults | dict(given)


def decided(template: Template, given: Mapping[str, str], pseudo: Mapping[str, str] | None = None) -> Template:
    """Return the template without conditions: what is not made, and ``AWS::NoValue``, is left out of it.

    ``pseudo`` are the pseudo parameters that its conditions ask for.
    """
    values = values_of(template, given) | dict(pseudo or {})
    conditions = {name: _true(body, values, {}) for name, body in template.get("Conditions", {}).items()}
    left: Template = _without({**template, "Conditions": {}, "Rules": {}}, conditions)
    left["Resources"] = {
        name: {key: value for key, value in resource.items() if key != "Condition"}
        for name, resource in left["Resources"].items()
        if conditions.get(resource.get("Condition", ""), True)
    }
    return {key: value for key, value in left.items() if key not in ("Conditions", "Rules")}


def worth(node: Any, values: Mapping[str, str]) -> Any:
    """Return what a value of a template comes to; ``values`` are those of parameters and pseudo parameters."""
    if not isinstance(node, Mapping):
        return node
    ((name, inner),) = node.items()
    match name:
        case "Ref":
            return values[inner]
        case "Fn::Sub":
            text, own = (inner, {}) if isinstance(inner, str) else inner
            known = {**values, **{key: worth(value, values) for key, value in own.items()}}
            return re.sub(r"\$\{([\w:]+)\}", lambda found: str(known[found[1]]), text)
        case "Fn::Split":
            return worth(inner[1], values).split(inner[0])
        case "Fn::Select":
            return worth(inner[1], values)[inner[0]]
    raise AssertionError(f"{name} is not known here")


def every(node: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield each value of a template with its path, the whole first."""
    yield path, node
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from every(value, (*path, str(key)))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from every(value, (*path, str(number)))


def statements(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each policy statement of a template, also those under a condition, with the resource that it stands in."""
    for name, resource in template["Resources"].items():
        for path, value in every(resource):
            if path and path[-1] == "Statement":
                assert isinstance(value, list)
                for statement in value:
                    yield name, statement


def as_list(value: object) -> list[Any]:
    """Return a value that may be one or a list as a list."""
    return value if isinstance(value, list) else [value]


def _fits(value: str, declaration: Mapping[str, Any]) -> bool:
    if "AllowedValues" in declaration and value not in map(str, declaration["AllowedValues"]):
        return False
    if len(value) > declaration.get("MaxLength", 4096):  # CloudFormation's own limit of a value
        return False
    pattern = declaration.get("AllowedPattern")
    parts = value.split(",") if declaration["Type"] == "CommaDelimitedList" else [value]
    return pattern is None or all(re.fullmatch(pattern, part) for part in parts)  # the whole value, in Java, too


def _true(body: Any, values: Mapping[str, str], conditions: Mapping[str, bool]) -> bool:
    ((name, inner),) = body.items()
    match name:
        case "Fn::Equals":
            first, second = (worth(side, values) for side in inner)
            return bool(first == second)
        case "Fn::Not":
            return not _true(inner[0], values, conditions)
        case "Fn::And":
            return all(_true(part, values, conditions) for part in inner)
        case "Fn::Or":
            return any(_true(part, values, conditions) for part in inner)
    raise AssertionError(f"{name} is not known here")


def _without(node: Any, conditions: Mapping[str, bool]) -> Any:
    """Return a part of a template with each Fn::If decided."""
    if isinstance(node, Mapping):
        if set(node) == {"Fn::If"}:
            condition, then, otherwise = node["Fn::If"]
            return _without(then if conditions[condition] else otherwise, conditions)
        if node == {"Ref": "AWS::NoValue"}:
            return _NOTHING
        inner = {key: _without(value, conditions) for key, value in node.items()}
        return {key: value for key, value in inner.items() if value is not _NOTHING}
    if isinstance(node, list):
        return [value for value in (_without(part, conditions) for part in node) if value is not _NOTHING]
    return node
