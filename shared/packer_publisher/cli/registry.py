"""``registry``: HCP Packer's API on this machine, for trying things out without an account."""

from __future__ import annotations

import click

from packer_publisher.cli.tables import columns


@click.group()
def registry() -> None:
    """Run a local registry to try things out."""


@registry.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8600, show_default=True, help="Port; 0 takes a free one."
)
@click.option(
    "--database",
    metavar="FILE",
    default=":memory:",
    show_default=True,
    help="SQLite file that keeps the contents.",
)
@click.option(
    "--switch",
    "switches",
    metavar="NAME=SETTING",
    multiple=True,
    help="Set what is not known about HCP Packer; `registry switches` lists them.",
)
@click.option(
    "--latency",
    metavar="SECONDS",
    type=click.FloatRange(0, 60),
    default=0.0,
    show_default=True,
    help="Wait before each answer.",
)
def serve(host: str, port: int, database: str, switches: tuple[str, ...], latency: float) -> None:
    """Serve HCP Packer's API on loopback until Ctrl-C.

    Prints the environment that points a client at it; another shell can take it over as it is.
    """
    from packer_publisher.local.registry_serve import serve as serve_registry

    serve_registry(host, port, database, switches=switches, latency=latency, echo=click.echo)


@registry.command(name="switches")
def list_switches() -> None:
    """List what is not known about HCP Packer, the default first."""
    from dataclasses import fields

    from packer_publisher.local.registry_switches import Switches

    default = Switches()
    others: dict[str, list[str]] = {field.name: [] for field in fields(default)}
    for variation in Switches.variations():
        for name, setting in variation.deviations().items():
            others[name].append(_word(setting))
    rows = [("SWITCH", "DEFAULT", "OTHERS")]
    rows.extend((name, _word(getattr(default, name)), " ".join(words)) for name, words in others.items())
    for line in columns(rows):
        click.echo(line)


def _word(setting: object) -> str:
    return str(setting).lower() if isinstance(setting, bool) else str(setting)
