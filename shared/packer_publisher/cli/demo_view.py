"""What the demo shows: a live view in a terminal, plain lines elsewhere, and the table at the end."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from packer_publisher.cli.tables import columns
from packer_publisher.wording import counted

if TYPE_CHECKING:
    from rich.table import Table

    from packer_publisher.local.demo import Play, Row, Told

SHOWN_EVENTS = 14
_COLOURS = {
    "completed": "bold green",
    "registered": "green",
    "unchanged": "cyan",
    "waiting": "yellow",
    "deferred": "magenta",
    "ignored": "dim",
    "filtered": "dim",
}


class PlainView:
    """One line per event, for pipes and logs."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def tell(self, told: Told, rows: Sequence[Row]) -> None:
        """Print one line about an event."""
        artifacts = counted(sum(1 for row in rows if row.artifact), "artifact")
        click.echo(
            f"{told.number:>3}  {told.cloud:<5}  {told.what:<52}  {told.outcome:<10}  "
            f"{counted(told.calls, 'call'):<8}  {told.version or '-':<3} {artifacts}"
        )


class LiveView:
    """Events as they come in, above the version as it fills up."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._events: list[Told] = []
        self._live = Live(console=Console(), refresh_per_second=12)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def tell(self, told: Told, rows: Sequence[Row]) -> None:
        """Redraw with one more event."""
        from rich.console import Group

        self._events.append(told)
        self._live.update(Group(_events_table(self._events[-SHOWN_EVENTS:]), _version_table(told.version, rows)))


def summary(result: Play) -> str:
    """Return the end of the demo: the version, the channel, the calls and the verdict."""
    lines = [f"\nBucket {result.bucket}, version {result.version or '(none)'}, fingerprint {result.fingerprint}\n"]
    table = [("CLOUD", "REGION", "ARTIFACT", "COMPONENT TYPE", "BUILD")]
    table += [
        (row.platform or "-", row.region or "-", _short(row.artifact) or "-", row.component_type, row.status)
        for row in result.rows
    ]
    lines += [f"  {line}" for line in columns(table)]
    lines.append(f"\nChannel latest: {result.latest_before or '(none)'} -> {result.latest_after or '(none)'}")
    lines.append(f"Built from: {result.parent or '(not known)'}")
    by_outcome: dict[str, list[int]] = {}
    for told in result.told:
        by_outcome.setdefault(told.outcome, []).append(told.calls)
    counted = ", ".join(f"{len(calls)} {outcome}" for outcome, calls in sorted(by_outcome.items()))
    lines.append(f"Events: {len(result.told)}: {counted}")
    per_event = ", ".join(f"{outcome} {max(calls)}" for outcome, calls in sorted(by_outcome.items()) if max(calls))
    lines.append(
        f"Registry calls: {result.calls} in all and {result.tokens} tokens; the most for one event: {per_event}"
    )
    if result.exact:
        lines.append(f"\nComplete and exact: {result.version} lists every image of the three clouds, each once.")
    else:
        lines.append(f"\nNOT exact: version {result.version or '(none)'}")
        lines += [f"  missing: {name}" for name in result.missing]
        lines += [f"  unexpected: {name}" for name in result.unexpected]
        lines += [f"  without a parent: {name}" for name in result.orphans]
    lines.append(f"The same order again: packer-publisher demo --seed {result.seed}")
    return "\n".join(lines)


def _events_table(events: Sequence[Told]) -> Table:
    from rich.table import Table

    table = Table(title="Events, as the functions log them", title_justify="left", expand=True, box=None)
    table.add_column("#", justify="right", width=3)
    table.add_column("cloud", width=5)
    table.add_column("event", ratio=3, no_wrap=True)
    table.add_column("outcome", width=10)
    table.add_column("calls", justify="right", width=5)
    for told in events:
        colour = _COLOURS.get(told.outcome, "bold red")
        table.add_row(str(told.number), told.cloud, told.what, f"[{colour}]{told.outcome}[/]", str(told.calls))
    return table


def _version_table(name: str, rows: Sequence[Row]) -> Table:
    from rich.table import Table

    table = Table(title=f"\nVersion {name or '(none yet)'}", title_justify="left", expand=True, box=None)
    for heading, width in (("cloud", 5), ("region", 14), ("artifact", None), ("component type", 16), ("build", 7)):
        table.add_column(heading, width=width, no_wrap=True)
    for row in rows:
        colour = "green" if row.status == "DONE" else "yellow"
        cells = (row.platform, row.region, _short(row.artifact) or "(empty)", row.component_type)
        table.add_row(*cells, f"[{colour}]{row.status}[/]")
    return table


def _short(artifact: str) -> str:
    """Return an artifact that fits a table: an ARM id begins with what all ids of the resource group share."""
    if not artifact.startswith("/subscriptions/"):
        return artifact
    return "…/" + "/".join(artifact.split("/")[-5:]) if "/versions/" in artifact else "…/" + artifact.rpartition("/")[2]
