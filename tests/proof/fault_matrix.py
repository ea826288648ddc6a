"""The fault matrix: every call that publishing makes to HCP, times every way in which it can fail.

What is expected of each cell stands here as rules, and as a table in docs/faults.md, which is written from them:
``python -m tests.proof.fault_matrix --write``. tests/proof/test_fault_matrix.py plays every cell.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path

from packer_publisher.report import Outcome
from tests.proof.fault_columns import COLUMNS, Column
from tests.proof.fault_rows import ROWS, Row

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
COMMAND = "python -m tests.proof.fault_matrix --write"


class End(StrEnum):
    """How the event in which a fault struck comes to rest; the value is how the table shows it."""

    ON = "·"  # it ends as if nothing had happened
    AGAIN = "a"  # deferred; delivered again, it ends as if nothing had happened
    FOUND = "f"  # deferred; delivered again, it finds that what it wanted to write stands there already
    SWEPT = "s"  # rejected with its reason; the next sweep records the image
    LATER = "c"  # the version is complete, the report says what became of the channel, and the next sweep sets it
    ORPHAN = "p"  # it ends as if nothing had happened, but without its parent or that one's channel, and says so
    OTHER = "?"  # anything else, which must not be

    @classmethod
    def of(cls, outcomes: tuple[Outcome, ...], clean: Outcome) -> End:
        """Return the end of an event that had these outcomes, delivery by delivery."""
        known = {
            (clean,): cls.ON,
            (Outcome.DEFERRED, clean): cls.AGAIN,
            (Outcome.DEFERRED, Outcome.UNCHANGED): cls.FOUND,
            (Outcome.REJECTED, clean): cls.SWEPT,
        }
        return known.get(outcomes, cls.OTHER)


def expected(row: Row, column: Column, *, lasting: bool) -> End:
    """Return how a cell must end.

    ``lasting`` faults strike every such call until the event has ended, others the first one only.
    """
    if row.aside:
        return End.ON  # the image is recorded; the report notes that the bucket's description is not up to date
    if row.channels:
        return _channel(row, column, lasting)
    if row.parents and (column.refuses or column.name == "403"):
        # A read that is refused is not repeated; the update is, and only then made without the parent.
        return End.ON if row.writes and not lasting else End.ORPHAN
    again = End.FOUND if row.done else End.AGAIN
    if column.name == "403" or (column.name == "401" and row.operation == "Token"):
        return again  # people mend credentials
    if row.writes:
        return _written(row, column, lasting)
    match row.operation, column.name:
        case ("GetBucket", "404/5") | ("GetRegistry", "409/6" | "409/10"):
            return End.ON  # no version is newer; the image is rejected anyway
        case "GetVersion", "404/5" | "409/10" if not lasting and not row.departs:
            return End.ON  # there is none: CreateVersion tells otherwise
    return again if lasting or column.refuses else End.ON


def _written(row: Row, column: Column, lasting: bool) -> End:
    """Return the end where a write was refused for good, or carried out although its answer was lost."""
    match row.operation, column.name:
        case "CreateVersion", "404/5" if not row.story.policy.create_bucket:
            return End.SWEPT  # HCP has said that there is no bucket
        case "CreateBucket", "404/5":
            return End.AGAIN  # HCP has said that there is no registry
    if not lasting:
        return End.ON
    if column.name == "30 s late":
        return End.FOUND if row.last else End.AGAIN
    if column.happens or (row.fills_and_ends and column.name in ("404/5", "409/10")):
        return End.ON  # refused twice, the two parts are sent one after the other
    return End.AGAIN


def _channel(row: Row, column: Column, lasting: bool) -> End:
    """Return the end where a complete version is given its channel: no channel undoes the version."""
    refused = column.refuses or column.name == "403" or (column.name == "401" and lasting)
    if refused:
        if row.nth == 2:
            return End.ON  # it was set already
        told_otherwise = ("GetChannel", "404/5"), ("CreateChannel", "409/6")
        return End.ON if (row.operation, column.name) in told_otherwise and not lasting else End.LATER
    if not lasting or (row.operation == "UpdateChannel" and column.happens and column.name != "30 s late"):
        return End.ON
    return End.ON if row.writes and column.happens and column.name != "30 s late" else End.FOUND


def page() -> str:
    """Return docs/faults.md."""
    calls = "\n".join(f"{number}. {row.name}" for number, row in enumerate(ROWS, 1))
    cells = len(ROWS) * len(COLUMNS)
    return f"""# What happens when HCP fails

Every call that publishing makes to HCP, times every way in which it can fail: {len(ROWS)} calls, {len(COLUMNS)} faults,
struck once and struck until the event has ended, {2 * cells} cells. `tests/proof/test_fault_matrix.py` plays each with
the real publisher and the real client over HTTP to the local registry. `{COMMAND}`
writes this page.

In every cell the bucket ends with exactly the contents that it has where nothing breaks (in a `p` without the parent),
nothing stands there twice, no write is sent again before the registry was looked at (but after 401 and 429, which say
that nothing happened), no call is made more than seven times, and the event ends within its time.

| | how the event ends in which the fault strikes |
|---|---|
| `·` | as if nothing had happened |
| `a` | `deferred`: delivered again, it ends as if nothing had happened |
| `f` | `deferred`: delivered again, it finds that what it wanted to write stands there already (`unchanged`) |
| `c` | the version is complete, the report notes what became of the channel, and the next sweep sets it |
| `p` | as if nothing had happened, but without the parent version (or its channel), and the report says so |
| `s` | `rejected`, with the reason and the setting that resolves it; the next sweep records the image |

The calls, in the tables by their numbers:

{calls}

## Struck once

{_table(lasting=False)}

## Struck each time, until the event has ended

{_table(lasting=True)}
"""


def _table(*, lasting: bool) -> str:
    numbers = range(1, len(ROWS) + 1)
    lines = [
        f"| fault | what it is | {' | '.join(map(str, numbers))} |",
        f"|---|---|{'---|' * len(ROWS)}",
    ]
    for column in COLUMNS:
        ends = " | ".join(expected(row, column, lasting=lasting) for row in ROWS)
        lines.append(f"| {column.name} | {column.means} | {ends} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Write the page, or print it."""
    if arguments == ["--write"]:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
