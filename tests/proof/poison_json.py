"""JSON as no honest sender writes it: keys that stand twice, tokens that are none, nesting without end."""

from __future__ import annotations

import json
from typing import Any


class Twin(str):
    """A key that may stand beside its like in one object."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


class Token:
    """Text that is written into JSON as it is: ``1e999``, ``NaN``, a million brackets, a half of a surrogate pair."""

    def __init__(self, text: str) -> None:
        self.text = text


class _Writer(json.JSONEncoder):
    """Leaves a mark in the place of each token."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.tokens: list[Token] = []

    def default(self, o: object) -> object:
        if not isinstance(o, Token):
            return super().default(o)
        self.tokens.append(o)
        return f"\x00token {len(self.tokens)}\x00"


def write(value: object, *, ascii_only: bool = True) -> bytes:
    """Return a value as JSON text; lone surrogates become escapes or, not ``ascii_only``, bytes that are no UTF-8."""
    writer = _Writer(ensure_ascii=ascii_only)
    text = writer.encode(value)
    for number, token in enumerate(writer.tokens, 1):
        text = text.replace(f'"\\u0000token {number}\\u0000"', token.text, 1)
    return text.encode(errors="surrogatepass")


def nested(depth: int, *, objects: bool = False, closed: bool = True) -> Token:
    """Return arrays in arrays, or objects in objects, without an end where not ``closed``."""
    left, middle, right = ('{"a":', "1", "}") if objects else ("[", "", "]")
    return Token(left * depth + (middle + right * depth if closed else ""))
