"""The lines of a JSON document's keys, which Python's parser does not tell."""

from __future__ import annotations

import json
import re
from typing import Any

from packer_publisher.document import Table

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def number_lines(root: Any, text: str) -> None:
    """Enter into each table of a document, which was read from this very text, the lines of its keys."""
    walk = _Walk(text)
    walk.value(walk.next(), root)


class _Walk:
    """One walk through the tokens of a text that is known to be JSON, beside the tree that was made of it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _TOKEN.finditer(text)
        self.line, self.counted = 1, 0

    def next(self) -> str:
        found = next(self.tokens)
        self.line += self.text.count("\n", self.counted, found.start())
        self.counted = found.start()
        return found[0]

    def value(self, first: str, known: Any) -> None:
        """Walk over the value that begins with ``first``; ``known`` is what the tree holds in its place, or None."""
        if first == "{":
            self.members(known if isinstance(known, Table) else Table())
        elif first == "[":
            self.items(known if isinstance(known, list) else [])

    def members(self, table: Table) -> None:
        table.repeated.clear()
        while (name := self.next()) != "}":
            if name == ",":
                continue
            key = json.loads(name)
            new = key not in table.lines
            if new:
                table.lines[key] = self.line
            else:
                table.repeated.append((key, self.line))
            self.next()  # the colon
            self.value(self.next(), table.get(key) if new else None)  # of a repeated key the tree holds the first

    def items(self, values: list[Any]) -> None:
        known = iter(values)
        while (item := self.next()) != "]":
            if item != ",":
                self.value(item, next(known, None))
