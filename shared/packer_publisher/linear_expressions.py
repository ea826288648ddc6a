"""Regular expressions of a mapping, on RE2: their time grows with the length of the text, whatever a person writes.

Python's own ``re`` may need a lifetime for one image (``(a+)+$`` on thirty letters). RE2 cannot, because it knows
nothing that would need to try again and again: no lookaround and no backreference. This module needs google-re2, late;
nothing that the functions import imports it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from packer_publisher.document import quoted
from packer_publisher.mapping_conditions import Groups
from packer_publisher.values import Unreadable

MOST_CHARACTERS = 1000
SYNTAX = "https://github.com/google/re2/wiki/Syntax has the rules"
EXCLUDE = "write it without (an earlier rule with ignore: true leaves images out)"

_TOKEN = re.compile(r"\\[1-9C]|\\.|\(\?[=!]|\(\?<[=!]|\(\?P=|\(\?>|\(\?P?<(?P<name>[^>]*)>", re.DOTALL)
_BEYOND = {
    "(?=": "looks ahead",
    "(?!": "looks ahead",
    "(?<=": "looks behind",
    "(?<!": "looks behind",
    "(?P=": "refers back to a group",
    "(?>": "has an atomic group",
    "\\C": "matches single bytes",
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")


@dataclass(frozen=True, slots=True)
class LinearExpression:
    """A compiled expression; see :class:`packer_publisher.mapping_conditions.Expression`."""

    pattern: str
    groups: tuple[str, ...]
    compiled: Any = field(compare=False, repr=False)

    def match(self, text: str) -> Groups | None:
        """Return the named groups where the whole text matches, None where it does not."""
        # A lone surrogate, which no UTF-8 holds, can come with a tag; it matches as a question mark.
        found = self.compiled.fullmatch(text.encode("utf-8", "replace").decode("utf-8"))
        return None if found is None else {name: found[name] for name in self.groups}


def read_expression(text: str) -> LinearExpression:
    """Return the expression that a person wrote.

    Raises Unreadable for one that is too long, that RE2 cannot express or would need too much memory for, and for a
    group's name that is given twice. Raises ModuleNotFoundError where google-re2 is not installed.
    """
    import re2

    if len(text) > MOST_CHARACTERS:
        raise Unreadable(f"has {len(text)} characters", f"at most {MOST_CHARACTERS} are allowed")
    names = _names(text)
    options = re2.Options()
    options.log_errors = False  # it would print them
    try:
        compiled = re2.compile(text, options)
    except re2.error as error:
        said = error.args[0].decode("utf-8", "replace") if error.args else "no reason given"
        if "too large" in said or "repetition size" in said:
            raise Unreadable(f"is {quoted(text)}, which is too large ({said})", "repeat less often") from error
        raise Unreadable(f"is {quoted(text)}, which is no regular expression ({said})", SYNTAX) from error
    return LinearExpression(text, names, compiled)


def _names(text: str) -> tuple[str, ...]:
    """Return the names of an expression's groups; Unreadable for what RE2 has not, in a person's words."""
    names: list[str] = []
    for found in _TOKEN.finditer(text):
        token = found[0]
        beyond = "refers back to a group" if re.fullmatch(r"\\[1-9]", token) else _BEYOND.get(token)
        if beyond:
            what = f"is {quoted(text)}, which {beyond} with {token}: RE2, the engine that cannot explode, does not"
            raise Unreadable(what, EXCLUDE)
        name = found["name"]
        if name is None:
            continue
        if not _NAME.fullmatch(name):
            raise Unreadable(f"has a group called {quoted(name)}", "write at most 32 letters, digits and _")
        if name in names:
            raise Unreadable(f"has two groups called {name}", "give each a name of its own")
        names.append(name)
    return tuple(names)
