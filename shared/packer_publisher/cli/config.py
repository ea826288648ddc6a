"""``config``: what a function would say of its configuration document, said on a laptop."""

from __future__ import annotations

from pathlib import Path

import click

from packer_publisher import configuration
from packer_publisher.cli.tables import columns
from packer_publisher.configuration import is_pattern, read_configuration
from packer_publisher.document import Document, read_document, to_json
from packer_publisher.durations import format_duration
from packer_publisher.policy import BucketRule

FILE = click.argument("file", type=click.Path(path_type=Path))


@click.group()
def config() -> None:
    """Check the configuration document."""


@config.command()
@FILE
def validate(file: Path) -> None:
    """Check FILE (JSON or YAML) and show what it says of each bucket.

    Exit status 2 and every problem with its key, its value and what would be right, where something is wrong.
    """
    document, rules = _read(file)
    names = sum(not is_pattern(rule.pattern) for rule in rules)
    click.echo(f"{document.source} is fine: {_counted(names, 'bucket')}, {_counted(len(rules) - names, 'pattern')}.")
    rows = [("BUCKET", "QUIET", "CREATE", "ON DELETE", "CHANNELS", "EXPECTS")]
    rows.extend(_row(rule) for rule in rules)
    click.echo("\n".join(columns(rows)))


@config.command()
def schema() -> None:
    """Print the JSON Schema of the document, for editors and other checkers."""
    click.echo(configuration.schema(), nl=False)


@config.command(name="json")
@FILE
@click.option("--one-line", is_flag=True, help="As short as it can be, for PUBLISHER_CONFIG and templates' parameters.")
def as_json(file: Path, one_line: bool) -> None:
    """Check FILE and print it as JSON, as packaging puts it beside a function."""
    document, _ = _read(file)
    click.echo(to_json(document, one_line=one_line), nl=False)


def _read(file: Path) -> tuple[Document, tuple[BucketRule, ...]]:
    document = read_document(file)
    return document, read_configuration(document).policy({}).rules


def _row(rule: BucketRule) -> tuple[str, str, str, str, str, str]:
    policy = rule.policy
    return (
        rule.pattern,
        format_duration(policy.quiet),
        "yes" if policy.create_bucket else "no",
        policy.on_delete,
        " ".join(policy.channels) or "-",
        " ".join(policy.expects) or "-",
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
