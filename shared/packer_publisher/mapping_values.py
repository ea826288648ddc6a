"""Readers of the single values of a mapping's rules: conditions, templates, what groups images into versions.

As in :mod:`packer_publisher.values`, each takes what was written and raises Unreadable with what is wrong and what
would be right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from packer_publisher.document import Table
from packer_publisher.durations import format_duration
from packer_publisher.errors import Rejected
from packer_publisher.image import Platform
from packer_publisher.linear_expressions import read_expression
from packer_publisher.mapping_conditions import (
    AgedBetween,
    Condition,
    CreatedBetween,
    Equals,
    Matches,
    Present,
    Version,
    VersionBetween,
    parse_version,
)
from packer_publisher.mapping_templates import BadTemplate, Template, parse_template
from packer_publisher.mapping_versions import BY_NAME, DAY, HOUR, Grouping, Window
from packer_publisher.tag_values import parse_bucket, parse_component_type, parse_fingerprint
from packer_publisher.values import Reader, Unreadable, boolean, choice, duration, nearest, read_text, shown

MOST_VALUES = 100
_ALWAYS = timedelta(days=36500)
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?)?")
_NAMED_GROUP = re.compile(r"\(\?P?<\w+>")
_PLATFORMS = {"aws": Platform.AWS, "azure": Platform.AZURE, "gce": Platform.GCE, "gcp": Platform.GCE}
_PLATFORMS["google"] = Platform.GCE


def _platform(value: Any) -> str:
    return str(_PLATFORMS[choice(*_PLATFORMS)(value)])


def _value(value: Any) -> str:
    text = read_text(value, "write a value, a list of values, or a mapping such as {regex: ...} or {present: false}")
    if _NAMED_GROUP.search(text):  # no image is called so; the rule would take none, and say nothing
        raise Unreadable(f"{shown(text)}, a regular expression", "write it as {regex: ...}; other values are exact")
    return text


def _moment(value: Any) -> datetime:
    right = "write a day or a time, such as 2026-11-21 or 2026-11-21T06:00:00Z (UTC)"
    text = read_text(value, right)
    try:
        found = datetime.fromisoformat(text) if _MOMENT.fullmatch(text) else None
    except ValueError:
        found = None
    if found is None:
        raise Unreadable(shown(text), right)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _version(value: Any) -> Version:
    right = "write a version of three numbers, such as 1.0.0"
    found = parse_version(read_text(value, right))
    if found is None:
        raise Unreadable(shown(value), right)
    return found


_age = duration(timedelta(0), _ALWAYS)

Bounds = tuple[str, str, Reader[Any], Callable[[Any, Any], Condition]]
_RANGES: Mapping[str, Bounds] = {
    "age": ("at_least", "less_than", _age, AgedBetween),
    "created_at": ("from", "before", _moment, CreatedBetween),
    "image_version": ("at_least", "less_than", _version, VersionBetween),
}
"""The fields with ranges: the key of the bound that is in, of the one that is out, and how both are read."""

_EXACT: Mapping[str, Reader[str]] = {"platform": _platform, "architecture": choice("x86_64", "arm64")}
"""The fields of which all values are known: no expression could say more."""


def read_condition(field: str, value: Any) -> Condition:
    """Return the condition on a field: a value, a list of values, an expression, a range, or presence alone."""
    if isinstance(value, Table):
        return _described(field, value)
    if field in ("age", "created_at"):
        least, below, *_ = _RANGES[field]
        raise Unreadable(shown(value), f"write a range, {{{least}: ..., {below}: ...}}")
    reader = _EXACT.get(field, _value)
    if not isinstance(value, list):
        return Equals(field, (reader(value),))
    if not value or len(value) > MOST_VALUES:
        raise Unreadable(f"is a list of {len(value)} values", f"list 1 to {MOST_VALUES}")
    return Equals(field, tuple(dict.fromkeys(_at(f"[{index}]", reader, item) for index, item in enumerate(value))))


def _described(field: str, table: Table) -> Condition:
    """Return the condition of a mapping such as ``{regex: ...}``."""
    known = set(_RANGES[field][:2]) if field in _RANGES else set()
    if field not in ("age", "created_at", "platform"):
        known.add("present")
    if field != "age" and field not in _EXACT:
        known.add("regex")
    for key in table:
        if key not in known:
            right = nearest(key, known) if known else "write a platform, or a list of them"
            raise Unreadable("is not known", right, f".{key}")
    if not table:
        raise Unreadable("is empty", f"known are {', '.join(sorted(known))}")
    if len(table) > 1 and not {"regex", "present"}.isdisjoint(table):
        raise Unreadable(f"mixes {' and '.join(table)}", "write one of them")
    if "regex" in table:
        return Matches(field, _at(".regex", _expression, table["regex"]))
    if "present" in table:
        return Present(field, _at(".present", boolean, table["present"]))
    least_key, below_key, reader, condition = _RANGES[field]
    least, below = (_at(f".{key}", reader, table[key]) if key in table else None for key in (least_key, below_key))
    if least is not None and below is not None and least >= below:
        raise Unreadable(f"has {least_key} at or after {below_key}", "no image can be within; put them right")
    return condition(least, below)


def _expression(value: Any) -> Any:
    return read_expression(read_text(value, "write a regular expression that the whole field must match"))


def _at(where: str, reader: Reader[Any], value: Any) -> Any:
    """Return what a reader makes of a part of a value; its Unreadable names the part."""
    try:
        return reader(value)
    except Unreadable as error:
        raise Unreadable(error.what, error.right, where + error.at) from error


def template(right: str, check: Callable[[str, str], str] | None = None) -> Reader[Template]:
    """Return the reader of a template; one without blanks must be valid as it stands."""

    def read(value: Any) -> Template:
        text = read_text(value, right)
        try:
            found = parse_template(text)
            if check is not None and not found.blanks:
                check("", found.fill(lambda _: None))
        except BadTemplate as error:
            raise Unreadable(error.what, error.right) from error
        except Rejected as error:
            raise Unreadable(shown(text), right) from error
        return found

    return read


read_bucket = template("a bucket has 3 to 36 letters, digits or hyphens", parse_bucket)
read_fingerprint = template(
    "a fingerprint has 1 to 40 letters, digits or . _ -, a letter or digit at both ends", parse_fingerprint
)
read_component_type = template("write a component type, such as amazon-ebs.ubuntu", parse_component_type)
read_label = template("write a text, such as {os}")

_BY = "write name, day, hour, a duration such as 6h, or a template such as {os}-{release}"
_window = duration(timedelta(minutes=1), _ALWAYS)


def read_group(value: Any) -> Grouping:
    """Return what makes images one version: ``{by: ..., offset: ...}``, or what ``by`` says alone."""
    if not isinstance(value, Table):
        return _by(value, timedelta(0))
    for key in value:
        if key not in ("by", "offset"):
            raise Unreadable("is not known", nearest(key, ("by", "offset")), f".{key}")
    if "by" not in value:
        raise Unreadable("has no by", _BY)
    offset = _at(".offset", _age, value["offset"]) if "offset" in value else timedelta(0)
    group: Grouping = _at(".by", lambda by: _by(by, offset), value["by"])
    if "offset" in value and not isinstance(group, Window):
        raise Unreadable("has an offset, and by says no time", "leave the offset out")
    if isinstance(group, Window) and group.offset >= group.size:
        right = f"write less than by, which is {format_duration(group.size)}"
        raise Unreadable(shown(value["offset"]), right, ".offset")
    return group


def _by(value: Any, offset: timedelta) -> Grouping:
    text = read_text(value, _BY)
    if text == "name":
        return BY_NAME
    if "{" in text or "}" in text:
        return template(_BY)(text)
    size = {"day": DAY, "hour": HOUR}.get(text)
    if size is None:
        try:
            size = _window(text)
        except Unreadable as error:
            raise Unreadable(error.what, error.right if text[:1].isdigit() else _BY) from error
    return Window(size, offset)
