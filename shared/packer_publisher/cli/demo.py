"""``demo``: three clouds complete one version, on this machine alone."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from packer_publisher.cli.demo_view import LiveView, PlainView, summary

if TYPE_CHECKING:
    from packer_publisher.local.demo import Play, Row, Told

PACE = 0.3  # seconds between two events, for eyes


@click.command()
@click.option("--seed", type=click.IntRange(0), help="Repeat the order of another run.")
@click.option("--keep", is_flag=True, help="Leave the local registry running until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object, and nothing else.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port of the local registry; 0 takes a free one."
)
@click.option(
    "--database",
    type=click.Path(dir_okay=False, path_type=Path),
    help="SQLite file that keeps the registry's contents.",
)
@click.option(
    "--switch",
    "switches",
    metavar="NAME=SETTING",
    multiple=True,
    help="Set what is not known about HCP Packer; `registry switches` lists them.",
)
def demo(
    seed: int | None, keep: bool, as_json: bool, port: int, database: Path | None, switches: tuple[str, ...]
) -> None:
    """Watch three clouds complete one version of a bucket; no account is needed.

    Images appear in stand-ins of AWS, Azure and Google Cloud; their events reach the three real functions shuffled
    and doubled, and these record them in a local registry. Exit status 0 only if the version is complete and exact.
    """
    seed = random.randrange(10_000) if seed is None else seed  # noqa: S311  # an order, no secret
    view: LiveView | PlainView | None = None
    if not as_json:
        click.echo(f"Starting the stand-ins of HCP Packer, AWS, Azure and Google Cloud on loopback (seed {seed}) ...")
        view = LiveView() if sys.stdout.isatty() else PlainView()
    from packer_publisher.local.demo import play
    from packer_publisher.local.demo_stage import Stage
    from packer_publisher.local.registry_switches import Switches
    from packer_publisher.runtime import close_publishers

    chosen = Switches.parse(switches)
    with Stage(1000 + seed, database, port, switches=chosen, on_leaving=close_publishers) as stage:

        def tell(told: Told, rows: Sequence[Row]) -> None:
            if view is not None:
                view.tell(told, rows)
                if isinstance(view, LiveView):
                    time.sleep(PACE)

        if view is None:
            result = play(stage, seed, tell)
        else:
            with view:
                result = play(stage, seed, tell)
        if as_json:
            click.echo(as_document(result))
        else:
            click.echo(summary(result))
        if keep:
            _keep(stage.registry_environment, err=as_json)
    sys.exit(0 if result.exact else 1)


def as_document(result: Play) -> str:
    """Return the result as JSON: everything of :class:`~packer_publisher.local.demo.Play`, and the verdict."""
    return json.dumps({**asdict(result), "exact": result.exact}, indent=2)


def _keep(environment: dict[str, str], *, err: bool) -> None:
    """Wait for Ctrl-C with the registry running, after printing how to reach it."""
    click.echo("\nThe local registry keeps running; Ctrl-C ends it. In another shell:\n", err=err)
    for key, value in environment.items():
        click.echo(f"  export {key}={value}", err=err)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        click.echo("", err=err)
