"""Cloud Logging's query language, as far as the templates use it; what it does not know it refuses.

From Google's page "Logging query language": terms on lines of their own are joined by AND; NOT binds more strongly; a
comparison of a field that is not there is false; texts are compared without case, regular expressions with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

Entry = Mapping[str, Any]
Test = Callable[[Entry], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<log>log_id\(\"(?P<id>[^\"]*)\"\))|(?P<word>AND|OR|NOT)\b|(?P<bracket>[()])"
    r"|(?P<path>[A-Za-z_@][\w.@/-]*)(?P<operator>>=|<=|=~|!~|!=|=|<|>|:)"
    r"(?P<value>\"(?:[^\"\\]|\\.)*\"|\*|[\w.-]+))"
)
SEVERITIES = ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY")


class Unknown(ValueError):
    """Says what in a filter is not known here."""


def compile_filter(text: str) -> Test:
    """Return what tells whether an entry matches a filter; Unknown for what is not known here."""
    tokens = []
    at = 0
    text = text.strip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise Unknown(f"not known: {text[at : at + 60]!r}")
        tokens.append(found)
        at = found.end()
    test, rest = _all_of(tokens)
    if rest:
        raise Unknown(f"not known: {rest[0][0]!r}")
    return test


def _all_of(tokens: list[re.Match[str]]) -> tuple[Test, list[re.Match[str]]]:
    tests: list[Test] = []
    while tokens and tokens[0]["bracket"] != ")":
        if tokens[0]["word"] == "AND" and tests:
            tokens = tokens[1:]
        test, tokens = _term(tokens)
        tests.append(test)
    if not tests:
        raise Unknown("an empty filter matches everything")
    return (lambda entry: all(test(entry) for test in tests)), tokens


def _term(tokens: list[re.Match[str]]) -> tuple[Test, list[re.Match[str]]]:
    token, rest = tokens[0], tokens[1:]
    if token["word"] == "NOT":
        inner, rest = _term(rest)
        return (lambda entry: not inner(entry)), rest
    if token["bracket"] == "(":
        inner, rest = _all_of(rest)
        if not rest:
            raise Unknown("a bracket without end")
        return inner, rest[1:]
    if token["log"]:
        name = "/logs/" + quote(token["id"], safe="")
        return (lambda entry: str(entry.get("logName", "")).endswith(name)), rest
    if token["path"]:
        return _comparison(token["path"], token["operator"], token["value"]), rest
    raise Unknown(f"not known here: {token[0].strip()!r}")


def _comparison(path: str, operator: str, value: str) -> Test:
    quoted = value.startswith('"')
    text = re.sub(r'\\(["\\])', r"\1", value[1:-1]) if quoted else value
    if path == "severity":
        limit = SEVERITIES.index(text)
        compare = {"<": int.__lt__, ">=": int.__ge__, ">": int.__gt__}.get(operator)
        if compare is None:
            raise Unknown(f"severity{operator}")
        return lambda entry: compare(SEVERITIES.index(entry.get("severity", "DEFAULT")), limit)
    if operator == "=~" and quoted:
        # What stands in quotation marks is an RE2 expression, in which a backslash is its own.
        pattern = re.compile(value[1:-1])
        return lambda entry: isinstance(found := _field(entry, path), str) and pattern.search(found) is not None
    if operator == "=":
        return lambda entry: (found := _field(entry, path)) is not None and _text(found) == text.lower()
    if operator == ">" and not quoted:
        number = float(text)
        return lambda entry: isinstance(found := _field(entry, path), int | float) and found > number
    if operator == ":" and value == "*":
        return lambda entry: _field(entry, path) is not None
    raise Unknown(f"{path}{operator}{value}")


def _field(entry: Any, path: str) -> Any:
    for name in path.split("."):
        entry = entry.get(name) if isinstance(entry, Mapping) else None
    return entry


def _text(value: object) -> str:
    return str(value).lower()
