"""``drift CLOUD``: the registry and the clouds side by side; nothing is ever changed."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

import click

from packer_publisher.cli.drift_view import csv_lines, json_pieces, table_lines
from packer_publisher.cli.invocation import DurationType
from packer_publisher.cli.meter import Meter
from packer_publisher.cli.program import CREDENTIALS, DIFFERS, FAILED, Failure
from packer_publisher.document import VARIABLE
from packer_publisher.drift.row import DRIFT, How, Verdict
from packer_publisher.errors import ConfigurationError, Rejected
from packer_publisher.image import CLOUDS, Platform
from packer_publisher.tag_values import parse_bucket

if TYPE_CHECKING:
    from packer_publisher.drift.run import Drift


class VerdictsType(click.ParamType[tuple[Verdict, ...]]):
    """Some verdicts, separated by commas: ``missing,incorrect``."""

    name = "verdicts"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Verdict, ...]:
        """Return the verdicts that a person typed."""
        if isinstance(value, tuple):
            return value
        words = [word for word in value.replace(",", " ").split() if word]
        if not words or set(words) - set(Verdict):
            self.fail(f"{value!r} is none of {', '.join(Verdict)}", param, ctx)
        return tuple(verdict for verdict in Verdict if verdict in words)


@click.command()
@click.argument("cloud", type=click.Choice([*CLOUDS, "all"]), default="all")
@click.option("--bucket", "buckets", metavar="NAME", multiple=True, help="Only this bucket (repeatable).")
@click.option(
    "--region",
    "regions",
    metavar="NAME",
    multiple=True,
    help="Only this region, subscription or project (repeatable).",
)
@click.option(
    "--only",
    type=VerdictsType(),
    metavar="VERDICTS",
    help="Show only these rows: correct, missing, incorrect, unreachable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
@click.option("--csv", "as_csv", is_flag=True, help="Print all rows as CSV on stdout.")
@click.option(
    "--write-results-path",
    "results",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all rows to FILE, too: as CSV where it ends in .csv, else as JSON.",
)
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help=f"Configuration document, in place of {VARIABLE}.",
)
@click.option(
    "--mapping",
    "mapping_file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Rules or a list that place images without tags.",
)
@click.option("--concurrency", type=click.IntRange(1, 64), default=8, show_default=True, help="Workers.")
@click.option("--rate", type=click.FloatRange(0.1), metavar="N", help="At most N requests to HCP a second.")
@click.option("--timeout", type=DurationType(), default="1h", show_default=True, help="Give up after this time.")
def drift(
    cloud: str, buckets: tuple[str, ...], regions: tuple[str, ...], only: tuple[Verdict, ...] | None, as_json: bool,
    as_csv: bool, results: Path | None, config: str | None, mapping_file: Path | None, concurrency: int,
    rate: float | None, timeout: float,
) -> None:  # fmt: skip
    """Compare every artifact of the registry with its cloud, and every tagged image with the registry.

    CLOUD is aws, azure, gcp or all. A row is correct, missing (from its cloud or from the registry), incorrect, or
    unreachable, and says which command mends it. Nothing is ever changed. Without a configuration every bucket counts
    as allowed.

    Exit status: 3 where something is missing or incorrect. An error beats it: 4 where credentials are refused or a
    part of a cloud is closed to them, 1 where a part did not answer or an image could not be read. Builds of others,
    and images of accounts that the credentials do not belong to, are told and are no error.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    from packer_publisher.drift.run import Question
    from packer_publisher.runtime import open_drift

    platforms = tuple(Platform) if cloud == "all" else (CLOUDS[cloud],)
    question = Question(platforms, tuple(sorted(regions)), tuple(_bucket(name) for name in buckets))
    with (
        tempfile.TemporaryDirectory() as folder,
        open_drift(
            question, _environment(config), Path(folder), mapping=mapping_file, workers=concurrency, rate=rate
        ) as run,
    ):
        conduct(run, only=only, as_json=as_json, as_csv=as_csv, results=results, timeout=timeout)


def conduct(
    run: Drift, *, only: tuple[Verdict, ...] | None, as_json: bool, as_csv: bool, results: Path | None, timeout: float
) -> None:
    """Carry a drift out, tell what it found, and leave with the status that is due."""
    _run(run, timeout)
    if results is not None:
        _write(results, run)
    shown = only or (tuple(Verdict) if as_json or as_csv else (*DRIFT, Verdict.UNREACHABLE))
    if as_json:
        pieces: Iterator[str] = json_pieces(run, shown)
    elif as_csv:
        pieces = csv_lines(run, shown)
    else:
        pieces = (f"{line}\n" for line in table_lines(run, shown, whole=only is not None))
    for piece in pieces:
        click.echo(piece, nl=False)
    _exit(run)


def _run(run: Drift, timeout: float) -> None:
    clock = Timer(timeout, run.stop.set)
    clock.daemon = True
    clock.start()
    try:
        with Meter() as meter:
            run.tell = meter.compared
            with meter.stage("listing images"):
                run.list_clouds(meter.image)
            with meter.stage("reading HCP Packer"):
                run.compare()
    except KeyboardInterrupt:
        run.stop.set()
        raise
    finally:
        clock.cancel()


def _exit(run: Drift) -> None:
    """Leave with the status that is due; what could not be reached is never 0."""
    hows, closed = run.findings.hows(), run.census.reach().barriers
    told = f"not everything could be looked at: {', '.join(closed) or 'see above'}"
    words = hows | {how for how, _, _ in closed.values()}
    if How.DENIED in words:
        remedy = "allow it, or leave it out with CLOUD or --region"
        raise Failure(told, remedy, CREDENTIALS)
    if words & {How.SILENT, How.UNREAD}:
        remedy = "mend what is said above, and run it again"
        raise Failure(told, remedy, FAILED)
    if any(verdict in DRIFT for counts in run.findings.sums().values() for verdict in counts):
        sys.exit(DIFFERS)


def _environment(config: str | None) -> dict[str, str]:
    environ = dict(os.environ)
    if config is not None:
        environ[VARIABLE] = os.path.abspath(config)
    elif not environ.get(VARIABLE, "").strip():
        environ[VARIABLE] = json.dumps({"buckets": {"*": None}})  # nothing is written, so nothing need be allowed
    return environ


def _bucket(name: str) -> str:
    try:
        return parse_bucket("--bucket", name)
    except Rejected as error:
        raise ConfigurationError(str(error), remedy=error.remedy) from error


def _write(path: Path, run: Drift) -> None:
    pieces = csv_lines(run, tuple(Verdict)) if path.suffix.lower() == ".csv" else json_pieces(run, tuple(Verdict))
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            file.writelines(pieces)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}", remedy="name another file") from error
