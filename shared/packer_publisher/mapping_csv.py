"""A mapping as a list: a CSV file of image, bucket, fingerprint and, where wanted, component type."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

from packer_publisher.document import MappingProblems, Problem, quoted
from packer_publisher.errors import Rejected
from packer_publisher.mapping import ImageMapping, Rule, Target, digest_of
from packer_publisher.mapping_fields import ADDRESSES, address_of
from packer_publisher.mapping_templates import literal
from packer_publisher.tag_values import parse_bucket, parse_component_type, parse_fingerprint
from packer_publisher.values import nearest
from packer_publisher.wording import counted

MOST_LIST_BYTES = 32 * 1024 * 1024
LIST_TOO_LARGE = "is larger than 32 MiB; split it"
MOST_PROBLEMS = 20  # a list in a wrong form has one in each row

COLUMNS = ("image", "bucket", "fingerprint", "component_type")
_REQUIRED = ("image", "bucket")


def read_list(text: str, source: str) -> ImageMapping:
    """Return the mapping that a list of images is. An empty fingerprint is derived, as in rules.

    Raises MappingProblems with the lines: columns that are unknown, missing or twice, an image that is no address or
    is given twice, a name that is none.
    """
    reading = _Reading(source)
    listed = reading.read(text)
    if reading.problems:
        raise MappingProblems(reading.problems)
    return ImageMapping(source, listed=listed, digest=digest_of(text))


class _Reading:
    """One pass over a list that collects problems instead of stopping at the first."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.first: dict[str, int] = {}

    def problem(self, text: str, line: int) -> None:
        self.problems.append(Problem(self.source, text, line, key=False))

    def read(self, text: str) -> dict[str, Rule]:
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        listed: dict[str, Rule] = {}
        columns: list[str] | None = None
        try:
            for row in rows:
                cells = [cell.strip() for cell in row]
                if not any(cells):
                    continue
                if columns is None:
                    columns = self.columns(cells, rows.line_num)
                elif len(self.problems) < MOST_PROBLEMS:
                    listed |= self.row(columns, cells, rows.line_num)
                if self.problems and not columns:
                    break
        except csv.Error as error:
            self.problem(f"is not CSV ({error})", rows.line_num)
        if columns is None and not self.problems:
            self.problem(f"is empty; its first line is {','.join(COLUMNS[:3])}", 1)
        elif not listed and not self.problems:
            self.problem("lists no image", 1)
        return listed

    def columns(self, cells: list[str], line: int) -> list[str]:
        """Return the columns of the first line, [] where they are not right."""
        names = [cell.casefold() for cell in cells]
        right = f"the first line names the columns: {','.join(COLUMNS[:3])}"
        before = len(self.problems)
        for name in dict.fromkeys(names):
            if name not in COLUMNS:
                self.problem(f"has the unknown column {quoted(name)}; {nearest(name, COLUMNS)}", line)
            elif names.count(name) > 1:
                self.problem(f"has the column {name} twice; keep one of them", line)
        for name in _REQUIRED:
            if name not in names:
                self.problem(f"has no column {name}; {right}", line)
        return names if len(self.problems) == before else []

    def row(self, columns: list[str], cells: list[str], line: int) -> dict[str, Rule]:
        """Return the one rule of a row under its image's address, nothing where something is wrong with it."""
        if len(cells) != len(columns):
            self.problem(f"has {counted(len(cells), 'cell')}, and the first line has {len(columns)}", line)
            return {}
        values = dict(zip(columns, cells, strict=True))
        address = address_of(values["image"])
        before = len(self.problems)
        if address is None:
            self.problem(f"image {quoted(values['image'])} is no address of an image; {ADDRESSES}", line)
        elif (first := self.first.setdefault(address, line)) != line:
            self.problem(f"image {quoted(values['image'])} is given twice (first in line {first}); keep one", line)
        checks = (
            ("bucket", parse_bucket),
            ("fingerprint", parse_fingerprint),
            ("component_type", parse_component_type),
        )
        for name, check in checks:
            if values.get(name) or name in _REQUIRED:
                self.check(name, values[name], check, line)
        if address is None or len(self.problems) > before:
            return {}
        texts = {name: literal(values[name]) for name, _ in checks if values.get(name)}
        target = Target(texts["bucket"], texts.get("fingerprint"), texts.get("component_type"))
        return {address: Rule(self.source, 0, line, (), target)}

    def check(self, name: str, value: str, parse: Callable[[str, str], Any], line: int) -> None:
        try:
            parse(name, value)
        except Rejected as error:
            self.problem("; ".join(filter(None, (str(error), error.remedy))), line)
