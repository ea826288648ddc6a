"""HCP's conditional access statements: the part of hashicorp/go-bexpr that HCP documents, evaluated over claims.

Written after HCP's page "Conditional access statements": ``==``, ``!=``, ``is empty``, ``in``, ``contains``,
``matches``, each with ``not``; ``and``, ``or``, ``not`` and parentheses; values in double quotes or backticks. A
selector that names nothing makes the whole statement false, as an error of go-bexpr does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

Test = Callable[[Mapping[str, Any]], bool]

_TOKEN = re.compile(r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|`[^`]*`)|(?P<sign>==|!=|[()])|(?P<word>[A-Za-z0-9_./:-]+))')


class NoStatement(ValueError):
    """The text is no statement; HCP refuses it when the provider is made."""


class _Nothing(Exception):
    """A selector leads nowhere."""


def compile_statement(text: str) -> Test:
    """Return the statement as a test of claims such as ``{"aws": {"arn": ...}}``; raises NoStatement."""
    tokens, at = [], 0
    text = text.strip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise NoStatement(f"not readable from {text[at:]!r} on")
        tokens.append(found[0].strip())
        at = found.end()
    reader = _Reader(tokens)
    test = reader.disjunction()
    if reader.rest():
        raise NoStatement(f"unexpected {reader.rest()[0]!r}")

    def judged(claims: Mapping[str, Any]) -> bool:
        try:
            return test(claims)
        except _Nothing:
            return False

    return judged


class _Reader:
    """A parser by descent: ``or`` binds least, then ``and``, then ``not``."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def rest(self) -> list[str]:
        """Return the tokens that are left."""
        return self._tokens[self._at :]

    def disjunction(self) -> Test:
        """Read terms joined by ``or``."""
        tests = [self._conjunction()]
        while self._take("or"):
            tests.append(self._conjunction())
        return lambda claims: any(test(claims) for test in tests)

    def _conjunction(self) -> Test:
        tests = [self._term()]
        while self._take("and"):
            tests.append(self._term())
        return lambda claims: all(test(claims) for test in tests)

    def _term(self) -> Test:
        if self._take("not"):
            inner = self._term()
            return lambda claims: not inner(claims)
        if self._take("("):
            inner = self.disjunction()
            self._need(")")
            return inner
        return self._match()

    def _match(self) -> Test:
        first = self._next()
        if _is_text(first):  # "value" [not] in selector
            negated = self._take("not")
            self._need("in")
            return _contains(self._next(), _value(first), negated)
        if self._take("=="):
            return _equal(first, self._literal(), negated=False)
        if self._take("!="):
            return _equal(first, self._literal(), negated=True)
        if self._take("is"):
            negated = self._take("not")
            self._need("empty")
            return lambda claims: (not _selected(claims, first)) is not negated
        negated = self._take("not")
        if self._take("contains"):
            return _contains(first, self._literal(), negated)
        self._need("matches")
        pattern = self._literal()
        try:
            expression = re.compile(pattern)
        except re.error as error:
            raise NoStatement(f"{pattern!r} is no regular expression") from error
        return lambda claims: (expression.search(str(_selected(claims, first))) is not None) is not negated

    def _literal(self) -> str:
        return _value(self._next())

    def _next(self) -> str:
        if self._at >= len(self._tokens):
            raise NoStatement("it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, word: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == word:
            self._at += 1
            return True
        return False

    def _need(self, word: str) -> None:
        found = self._next()
        if found != word:
            raise NoStatement(f"{word!r} is missing before {found!r}")


def _is_text(token: str) -> bool:
    return token[0] in '"`'


def _value(token: str) -> str:
    if token.startswith('"'):
        return str(json.loads(token))
    return token[1:-1] if token.startswith("`") else token


def _selected(claims: Mapping[str, Any], selector: str) -> Any:
    found: Any = claims
    for name in selector.split("."):
        if not isinstance(found, Mapping) or name not in found:
            raise _Nothing
        found = found[name]
    return found


def _equal(selector: str, value: str, *, negated: bool) -> Test:
    return lambda claims: (str(_selected(claims, selector)) == value) is not negated


def _contains(selector: str, value: str, negated: bool) -> Test:
    return lambda claims: (value in _selected(claims, selector)) is not negated
