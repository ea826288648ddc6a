"""What a drift found, as lines for a person, as one JSON object and as CSV; a row at a time, for there may be many."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

import click

from packer_publisher.cli.tables import facts, safe
from packer_publisher.drift.row import COLUMNS, DRIFT, Row, Verdict
from packer_publisher.wording import counted
from packer_publisher.wording import shown as shown_text

if TYPE_CHECKING:
    from packer_publisher.drift.run import Drift

COLOURS = {Verdict.CORRECT: "green", Verdict.MISSING: "red", Verdict.INCORRECT: "red", Verdict.UNREACHABLE: "yellow"}
NOWHERE = "(no bucket)"
"""Where images stand whose tags name none, or that could not be read."""


def table_lines(run: Drift, shown: Collection[Verdict], *, whole: bool) -> Iterator[str]:
    """Yield a line for each bucket with its sums, below it the rows with one of the verdicts, and all sums.

    Without ``whole`` unreachable rows of one bucket that say the same are told once, with their number.
    """
    sums = run.findings.sums()
    total: Counter[Verdict] = sum(sums.values(), Counter())
    for name, counts in sums.items():
        yield f"{click.style(safe(name) or NOWHERE, bold=True)}  {_words(counts)}"
        for row in run.findings.rows([verdict for verdict in shown if whole or verdict in DRIFT], name):
            yield from _row_lines(row)
        if not whole and Verdict.UNREACHABLE in shown:
            yield from _alike_lines(run.findings.rows([Verdict.UNREACHABLE], name))
        yield ""
    for part, (_, reason, remedy) in run.census.reach().barriers.items():
        yield click.style(f"not looked at: {part}", fg="yellow")
        yield from facts([("why", reason), ("what to do", remedy)])
        yield ""
    buckets = len(sums) - ("" in sums)
    drifts = sum(total[verdict] for verdict in DRIFT)
    head = "Drift" if drifts else "No drift"
    yield f"{head}: {counted(buckets, 'bucket')}, {counted(total.total(), 'row')}: {_words(total) or 'nothing there'}."


def json_pieces(run: Drift, shown: Collection[Verdict]) -> Iterator[str]:
    """Yield everything as the pieces of one JSON object. Its keys are stable; sums count all rows, shown or not."""
    sums = run.findings.sums()
    total: Counter[Verdict] = sum(sums.values(), Counter())
    barriers = run.census.reach().barriers
    head = {
        "drift": any(total[verdict] for verdict in DRIFT),
        "sums": _document(total),
        "buckets": {name: _document(counts) for name, counts in sums.items()},
        "scopes": [
            {"scope": scope.at, "state": state, "images": images, "reason": problem}
            for scope, (state, problem, images) in run.census.scopes().items()
        ],
        "not_looked_at": [
            {"what": part, "how": str(how), "reason": reason, "remedy": remedy}
            for part, (how, reason, remedy) in barriers.items()
        ],
    }
    yield f'{json.dumps(head, indent=2)[:-2]},\n  "rows": ['
    for number, row in enumerate(run.findings.rows(shown)):
        yield f"{',' if number else ''}\n    {json.dumps(row.document)}"
    yield "\n  ]\n}\n"


def csv_lines(run: Drift, shown: Collection[Verdict]) -> Iterator[str]:
    """Yield a heading and the rows as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in run.findings.rows(shown):
        writer.writerow([_cell(value) for value in row.document.values()])
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


def _cell(value: str) -> str:
    """Return a cell that no spreadsheet takes for a formula, whatever somebody wrote into the registry."""
    text = shown_text(value, 8192)
    return f"'{text}" if text[:1] in tuple("=+-@") else text


def _row_lines(row: Row) -> Iterator[str]:
    place = ":".join(filter(None, (safe(row.region), safe(row.identifier))))
    word = f"missing from the {row.missing_from}" if row.missing_from else str(row.verdict)
    where = "  ".join(filter(None, (_version(row), safe(row.component_type))))
    yield f"  {click.style(word, fg=COLOURS[row.verdict])}  {where}".rstrip()
    yield from facts(
        [("image", place), ("owner", safe(row.owner)), ("why", row.reason), ("what to do", row.remedy.split("; "))],
        indent=6,
    )


def _alike_lines(rows: Iterator[Row]) -> Iterator[str]:
    """Yield what rows of the same reason say, once each."""
    same: Counter[tuple[str, str]] = Counter((row.reason, row.remedy) for row in rows)
    for (reason, remedy), number in same.items():
        yield f"  {click.style(str(Verdict.UNREACHABLE), fg=COLOURS[Verdict.UNREACHABLE])}  {counted(number, 'row')}"
        yield from facts([("why", reason), ("what to do", remedy)], indent=6)


def _version(row: Row) -> str:
    if not row.fingerprint:
        return ""
    return f"{safe(row.fingerprint)} ({safe(row.version)})" if row.version else safe(row.fingerprint)


def _words(counts: Mapping[Verdict, int]) -> str:
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts.get(verdict))


def _document(counts: Mapping[Verdict, int]) -> dict[str, int]:
    return {str(verdict): counts.get(verdict, 0) for verdict in Verdict}
