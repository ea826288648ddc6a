"""``publish IMAGE``: record one image that a person names."""

from __future__ import annotations

import json
from typing import Any

import click

from packer_publisher.cli.invocation import Invocation, image_options
from packer_publisher.cli.program import DIFFERS, FAILED, Failure
from packer_publisher.cli.result import as_json, complaint, headline, report_lines, status_of
from packer_publisher.report import Outcome


@click.command()
@image_options
@click.option("--dry-run", is_flag=True, help="Write nothing; say what would be written.")
@click.option("--detailed-exitcode", is_flag=True, help="With --dry-run: exit 3 where something would be written.")
@click.pass_context
def publish(ctx: click.Context, /, dry_run: bool, detailed_exitcode: bool, **options: Any) -> None:
    """Record one IMAGE in HCP Packer.

    IMAGE is an AMI id with --region (or eu-west-1:ami-...), an ARM id, or a Google image as
    projects/PROJECT/global/images/NAME or by name with --project. Bucket and fingerprint come from its tags or from
    the options. A bucket must be allowed by the configuration; without any, --bucket allows that one.
    """
    if detailed_exitcode and not dry_run:
        raise click.UsageError("--detailed-exitcode needs --dry-run: what was written is no difference any more")
    invocation = Invocation(**options)
    publication, policy = invocation.run(dry_run=dry_run)
    status = status_of(publication)
    if publication.report.outcome is Outcome.IGNORED and publication.placement is None:
        status = FAILED  # a function passes over what is not ours; a person named this very image
    if invocation.as_json:
        click.echo(json.dumps(as_json(publication, dry_run=dry_run), indent=2))
    else:
        click.echo(headline(publication, predicted=dry_run))
        for line in report_lines(publication, predicted=dry_run, reason=not status):
            click.echo(line)
    if status:
        raise Failure(*complaint(publication, policy), status)
    ctx.exit(DIFFERS if detailed_exitcode and publication.steps else 0)
