"""List filters of the Compute Engine stand-in: as much of AIP-160 as is used, anything else refused.

Understood are ``FIELD=VALUE``, ``FIELD!=VALUE`` and ``FIELD:*`` (is there at all) of ``name``, ``status``, ``family``
and ``labels.KEY``, in parentheses or bare, joined by AND (also left out) and OR, which binds tighter as AIP-160 has it.
Times are not: as text with changing offsets they compare in no useful order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_TOKEN = re.compile(r"\s*(?:(?P<word>[()]|AND\b|OR\b)|(?P<field>[A-Za-z]+(?:\.[\w-]+)?)\s*(?P<test>!=|=|:\*)\s*)")
_VALUE = re.compile(r'"(?P<quoted>[^"]*)"|(?P<bare>[^\s()"]+)')
_FIELDS = ("name", "status", "family")


class BadFilter(Exception):
    """The expression is not one that this stand-in understands."""


def matches(expression: str, resource: Mapping[str, Any]) -> bool:
    """Return whether an image satisfies a filter expression; "" is satisfied by all. Raises BadFilter."""
    tokens = _tokens(expression)
    if not tokens:
        return True
    value, rest = _conjunction(tokens, resource)
    if rest:
        raise BadFilter(expression)
    return value


def _tokens(expression: str) -> list[str | tuple[str, str, str]]:
    tokens: list[str | tuple[str, str, str]] = []
    at = 0
    while expression[at:].strip():
        found = _TOKEN.match(expression, at)
        if found is None:
            raise BadFilter(expression)
        at = found.end()
        if found["word"]:
            tokens.append(found["word"])
            continue
        value = ""
        if found["test"] != ":*":
            literal = _VALUE.match(expression, at)
            if literal is None:
                raise BadFilter(expression)
            value, at = literal["quoted"] if literal["bare"] is None else literal["bare"], literal.end()
        tokens.append((found["field"], found["test"], value))
    return tokens


def _conjunction(
    tokens: list[str | tuple[str, str, str]], resource: Mapping[str, Any]
) -> tuple[bool, list[str | tuple[str, str, str]]]:
    value, rest = _disjunction(tokens, resource)
    while rest and rest[0] not in (")", "OR"):
        other, rest = _disjunction(rest[1:] if rest[0] == "AND" else rest, resource)
        value = value and other
    return value, rest


def _disjunction(
    tokens: list[str | tuple[str, str, str]], resource: Mapping[str, Any]
) -> tuple[bool, list[str | tuple[str, str, str]]]:
    value, rest = _term(tokens, resource)
    while rest and rest[0] == "OR":
        other, rest = _term(rest[1:], resource)
        value = value or other
    return value, rest


def _term(
    tokens: list[str | tuple[str, str, str]], resource: Mapping[str, Any]
) -> tuple[bool, list[str | tuple[str, str, str]]]:
    if not tokens:
        raise BadFilter("the expression ends too early")
    head, rest = tokens[0], tokens[1:]
    if isinstance(head, tuple):
        return _comparison(*head, resource), rest
    if head != "(":
        raise BadFilter(head)
    value, rest = _conjunction(rest, resource)
    if not rest or rest[0] != ")":
        raise BadFilter("a parenthesis is open")
    return value, rest[1:]


def _comparison(field: str, test: str, value: str, resource: Mapping[str, Any]) -> bool:
    if field.startswith("labels."):
        found = resource.get("labels", {}).get(field.removeprefix("labels."))
    elif field in _FIELDS:
        found = resource.get(field)
    else:
        raise BadFilter(field)
    if test == ":*":
        return found is not None
    return (found == value) is (test == "=")
