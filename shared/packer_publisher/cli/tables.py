"""Plain text for people: aligned lines that read well in 80 columns and, piped, leave every id in one piece."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence

from packer_publisher.wording import shown

MOST_COLUMNS = 100  # longer lines are hard to read, however wide the window is


def line_width() -> int | None:
    """Return the columns to wrap sentences at, None where stdout is no terminal: then lines stay whole, for grep."""
    if not sys.stdout.isatty():
        return None
    return min(shutil.get_terminal_size().columns, MOST_COLUMNS)


def facts(pairs: Iterable[tuple[str, str | Sequence[str]]], *, indent: int = 2) -> list[str]:
    """Return lines of a name and its value, aligned; a sequence takes a line per item, an empty value none.

    Sentences are wrapped at blanks only, so an identifier is never broken.
    """
    rows = [(name, [value] if isinstance(value, str) else list(value)) for name, value in pairs if value]
    width = max((len(name) for name, _ in rows), default=0)
    lines = []
    for name, values in rows:
        for number, value in enumerate(values):
            head = f"{'':{indent}}{name if number == 0 else '':{width}}  "
            lines.extend(_wrapped(head, value))
    return lines


def columns(rows: Sequence[Sequence[str]], *, indent: int = 2) -> list[str]:
    """Return rows of aligned cells; the last column runs free, so the longest ids belong there."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]) - 1)] if rows else []
    lines = []
    for row in rows:
        cells = [f"{cell:{width}}" for cell, width in zip(row[:-1], widths, strict=True)]
        lines.append(" " * indent + "  ".join([*cells, row[-1]]).rstrip())
    return lines


def safe(value: str) -> str:
    """Return foreign text (a tag's value, a name from a registry) fit for a terminal: one line, cut."""
    return shown(value, 512)


def _wrapped(head: str, value: str) -> list[str]:
    width = line_width()
    if width is None:
        return [f"{head}{value}".rstrip()]
    room = max(width, len(head) + 20)
    blank = " " * len(head)
    return textwrap.wrap(
        value, room, initial_indent=head, subsequent_indent=blank, break_long_words=False, break_on_hyphens=False
    )
