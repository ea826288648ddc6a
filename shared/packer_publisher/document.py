"""The configuration document as written: text in JSON or YAML becomes a plain tree whose scalars stay text.

JSON needs nothing but the standard library, because the functions read it; YAML is read where pyyaml is
installed, that is on laptops and by packaging, which turns it into JSON (:func:`to_json`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packer_publisher.errors import ConfigurationError

VARIABLE = "PUBLISHER_CONFIG"
MOST_BYTES = 1024 * 1024
TOO_LARGE = "is larger than 1 MiB; a configuration document is a few pages at most"
MOST_LEVELS = 16  # the document itself needs four; beyond that a parser only spends time
REMEDY = "`packer-publisher config validate FILE` checks a document, `packer-publisher config schema` has the rules"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, for a person: where (file, line), which key, what, and what would be right.

    ``text`` begins with the key; with ``key=False`` it is about the source itself.
    """

    source: str
    text: str
    line: int | None = None
    key: bool = True

    def __str__(self) -> str:
        where = self.source if self.line is None else f"{self.source}, line {self.line},"
        return f"{where.rstrip(',')}: {self.text}" if self.key else f"{where} {self.text}"


class ConfigurationProblems(ConfigurationError):
    """The one error that tells all problems of a configuration, each in a line of its own."""

    subject = "the configuration"
    checked_by = REMEDY

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        message = str(self.problems[0])
        if len(self.problems) > 1:
            lines = "".join(f"\n  - {problem}" for problem in self.problems)
            message = f"{self.subject} has {len(self.problems)} problems:{lines}"
        super().__init__(message, remedy=self.checked_by)


class MappingProblems(ConfigurationProblems):
    """The one error that tells all problems of a mapping."""

    subject = "the mapping"
    checked_by = (
        "`packer-publisher mapping validate FILE` checks a mapping, `packer-publisher mapping schema` has the rules"
    )


class Number(str):
    """A number of a JSON document, as its digits were written."""

    __slots__ = ()


class Table(dict[str, Any]):
    """A mapping that remembers what a dict forgets: repeated keys, and lines where they are known."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}
        self.repeated: list[tuple[str, int | None]] = []

    def put(self, key: str, value: Any, line: int | None = None) -> None:
        """Add a key in the order of the document; the first one stays when it is repeated."""
        if key in self:
            self.repeated.append((key, line))
            return
        self[key] = value
        if line is not None:
            self.lines[key] = line


@dataclass(frozen=True, slots=True)
class Document:
    """A document that could be read; ``source`` is how messages call it (a path or ``PUBLISHER_CONFIG``)."""

    source: str
    root: Any


def child(path: str, key: str) -> str:
    """Return the path of a key for messages: ``buckets.web.quiet``, ``buckets["a.b"]`` for an odd key."""
    if key and all(letter.isalnum() or letter in "-_*?" for letter in key):
        return f"{path}.{key}" if path else key
    return f"{path}[{quoted(key)}]"


def quoted(value: str, most: int = 128) -> str:
    """Return a text in quotes for a message, cut, with everything escaped that a terminal should not get."""
    cut = value if len(value) <= most else value[:most] + "..."
    escaped = "".join(
        letter if letter.isprintable() and letter not in '"\\' else json.dumps(letter)[1:-1] for letter in cut
    )
    return f'"{escaped}"'


def find_document(value: str, root: Path | None = None) -> Document:
    """Return the document that ``PUBLISHER_CONFIG`` holds or names.

    Text that begins with ``{`` is JSON, in a function as on a laptop; text with a line break or a ``key: value``
    is YAML; anything else is a path, tried against the working directory and then against ``root`` (the folder
    of the function). Raises ConfigurationError.
    """
    text = value.strip()
    if text.startswith("{"):
        return read_text(text, VARIABLE, yaml=False)
    if "\n" in text or ": " in text or text.endswith(":"):
        return read_text(text, VARIABLE, yaml=True)
    places = [Path(text)]
    if root is not None and not places[0].is_absolute():
        places.append(root / text)
    for place in places:
        if place.is_file():
            return read_document(place)
    tried = " nor ".join(str(place.absolute()) for place in places)
    raise ConfigurationProblems(
        [Problem(VARIABLE, f"names a file that is not there ({tried}); give a path, or the document itself", key=False)]
    )


def read_document(path: Path) -> Document:
    """Return the document in a file; a name that ends in ``.json`` is JSON, any other YAML.

    Raises ConfigurationError.
    """
    text = read_file(path, MOST_BYTES, TOO_LARGE)
    return read_text(text, str(path), yaml=path.suffix.lower() != ".json")


def read_file(path: Path, most: int, too_large: str) -> str:
    """Return the text of a file in UTF-8 of at most ``most`` bytes. Raises ConfigurationError."""
    source = str(path)
    try:
        with path.open("rb") as file:
            raw = file.read(most + 1)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigurationProblems([Problem(source, f"cannot be read ({reason})", key=False)]) from error
    if len(raw) > most:
        raise ConfigurationProblems([Problem(source, too_large, key=False)])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationProblems(
            [Problem(source, f"is not UTF-8 (byte {error.start + 1}); save it as UTF-8", key=False)]
        ) from error


def read_text(text: str, source: str, *, yaml: bool, numbered: bool = False) -> Document:
    """Return the document in a text. Raises ConfigurationError for bad syntax and for repeated keys.

    With ``numbered`` the lines of keys are known in JSON, too; the functions' one long line has no use for them.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise ConfigurationProblems([Problem(source, TOO_LARGE, key=False)])
    root = _read_yaml(text, source) if yaml else _read_json(text, source)
    if numbered and not yaml:
        from packer_publisher.json_lines import number_lines

        number_lines(root, text)
    problems = list(_repeated(root, "", source))
    if problems:
        raise ConfigurationProblems(problems)
    return Document(source, root)


def to_json(document: Document, *, one_line: bool = False) -> str:
    """Return a document as the JSON that packaging puts beside a function: every scalar stays text."""
    indent, separators = (None, (",", ":")) if one_line else (2, None)
    return json.dumps(document.root, indent=indent, separators=separators, ensure_ascii=False) + "\n"


def _read_json(text: str, source: str) -> Any:
    def table(pairs: list[tuple[str, Any]]) -> Table:
        found = Table()
        for key, value in pairs:
            found.put(key, value)
        return found

    try:
        root = json.loads(text, object_pairs_hook=table, parse_int=Number, parse_float=Number, parse_constant=Number)
        _check_depth(root)
    except json.JSONDecodeError as error:
        what = f"is not JSON ({error.msg}, column {error.colno})"
        hint = "; text that begins with { is read as JSON" if source == VARIABLE else ""
        raise ConfigurationProblems([Problem(source, what + hint, error.lineno, key=False)]) from error
    except RecursionError as error:
        raise ConfigurationProblems(
            [Problem(source, f"is nested too deeply; {MOST_LEVELS} levels are the most", key=False)]
        ) from error
    return root


def _check_depth(value: Any, levels: int = 0) -> None:
    if levels > MOST_LEVELS:
        raise RecursionError
    if isinstance(value, Table | list):
        for item in value.values() if isinstance(value, Table) else value:
            _check_depth(item, levels + 1)


def _read_yaml(text: str, source: str) -> Any:
    try:
        from packer_publisher.yaml_document import read_yaml
    except ModuleNotFoundError as error:
        if error.name != "yaml":
            raise
        what = "is YAML, and pyyaml is not installed here; packaging turns it into JSON for the functions"
        raise ConfigurationProblems(
            [Problem(source, f'{what}, on a laptop install "packer-publisher[cli]"', key=False)]
        ) from error
    return read_yaml(text, source)


def _repeated(value: Any, path: str, source: str) -> Iterator[Problem]:
    if isinstance(value, Table):
        for key, line in value.repeated:
            first = f" (first in line {value.lines[key]})" if line is not None else ""
            yield Problem(source, f"{child(path, key)} is given twice{first}; keep one of them", line)
        for key, item in value.items():
            yield from _repeated(item, child(path, key), source)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _repeated(item, f"{path}[{index}]", source)
