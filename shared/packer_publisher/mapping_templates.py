"""Templates of a mapping: text with blanks such as ``golden-{os}``, filled from an image's fields and groups."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_PART = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}|]*)(?P<filters>(?:\|[^{}|]*)*)\}|(?P<stray>[{}])|[^{}]+")


def slug(text: str) -> str:
    """Return a text in lower case with a hyphen for every run of other characters than letters, digits, ``.`` ``_``."""
    return re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-._")


FILTERS: Mapping[str, Callable[[str], str]] = {
    "lower": str.lower,
    "slug": lambda text: slug(text.replace(".", "-").replace("_", "-")),
}
"""``{name|lower}``, and ``{name|slug}``: letters, digits and single hyphens, as bucket names have them."""


class BadTemplate(ValueError):
    """A text that is no template: ``what`` is wrong with it, and what would be ``right``."""

    def __init__(self, what: str, right: str) -> None:
        super().__init__(f"{what}; {right}")
        self.what = what
        self.right = right


class Absent(LookupError):
    """A blank that an image leaves empty: it has no such field, or the group took no part."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True)
class Blank:
    """One blank: the name of a field or a group, and the filters that its value goes through."""

    name: str
    filters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Template:
    """A text as it was written and its parts: literal text and blanks, in order."""

    text: str
    parts: tuple[str | Blank, ...]

    @property
    def blanks(self) -> tuple[str, ...]:
        """Return the names of the blanks, each once, in order."""
        return tuple(dict.fromkeys(part.name for part in self.parts if isinstance(part, Blank)))

    def fill(self, values: Callable[[str], str | None]) -> str:
        """Return the text with its blanks filled. Raises :class:`Absent` where there is no value for one."""
        filled = []
        for part in self.parts:
            if isinstance(part, str):
                filled.append(part)
                continue
            value = values(part.name)
            if value is None:
                raise Absent(part.name)
            for name in part.filters:
                value = FILTERS[name](value)
            filled.append(value)
        return "".join(filled)


def literal(text: str) -> Template:
    """Return the template that is this very text, braces included."""
    return Template(text, (text,) if text else ())


def parse_template(text: str) -> Template:
    """Return the template that a person wrote; ``{{`` and ``}}`` stand for braces. Raises BadTemplate."""
    parts: list[str | Blank] = []
    for found in _PART.finditer(text):
        if found["stray"]:
            raise BadTemplate(f"has a {found['stray']} without its other half", "write {{ or }} for a brace itself")
        if found["name"] is None:
            parts.append(found[0][0] if found[0] in ("{{", "}}") else found[0])
            continue
        filters = tuple(word.strip() for word in found["filters"].split("|")[1:])
        for word in filters:
            if word not in FILTERS:
                raise BadTemplate(f"has the unknown filter {word or '(empty)'}", f"known are {' and '.join(FILTERS)}")
        if not found["name"].strip():
            raise BadTemplate("has an empty blank {}", "name a group or a field in it, such as {name}")
        parts.append(Blank(found["name"].strip(), filters))
    return Template(text, tuple(parts))
