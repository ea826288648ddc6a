"""``doctor CLOUD``: what is right and what is wrong with a deployment, line by line, and how to mend it."""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from packer_publisher import __version__
from packer_publisher.cli import asking
from packer_publisher.cli.doctor_view import Sheet, as_object
from packer_publisher.cli.invocation import DurationType
from packer_publisher.cli.program import CREDENTIALS, FAILED, UNREACHABLE, USAGE, Failure
from packer_publisher.cli.progress import Spinner
from packer_publisher.document import VARIABLE
from packer_publisher.errors import ConfigurationError
from packer_publisher.finding import Finding, Trouble, Verdict
from packer_publisher.image import CLOUDS

if TYPE_CHECKING:
    from collections.abc import Callable

WORST = (
    (Trouble.CONFIGURATION, USAGE),
    (Trouble.CREDENTIALS, CREDENTIALS),
    (Trouble.UNREACHABLE, UNREACHABLE),
    (Trouble.OTHER, FAILED),
)
"""Kinds of trouble and their exit statuses, the one that wins first."""

QUESTION = "Send a probe through the function's queue? It answers with a line in its log, no more."
ARCHIVES = {"aws": "aws.zip", "azure": "azure.zip", "gcp": "gcp.zip"}


@click.command()
@click.argument("cloud", type=click.Choice([*CLOUDS]))
@click.option(
    "--function",
    "name",
    metavar="NAME",
    default="",
    help="The function; on Azure the function app, and required.  [default: packer-publisher]",
)
@click.option("--region", metavar="REGION", default="", help="AWS, Google Cloud: the function's region.")
@click.option("--project", metavar="PROJECT", default="", help="Google Cloud: the function's project.")
@click.option(
    "--sink",
    metavar="NAME",
    default="",
    help="Google Cloud: the sink, as in organizations/123/sinks/NAME.  [default: the project's own]",
)
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help=f"The configuration document that should be deployed, in place of {VARIABLE}.",
)
@click.option(
    "--manifest",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="AWS: the manifest of the release that should be deployed (build/manifest.json).",
)
@click.option("--yes", "agreed", is_flag=True, help="Send the probe without asking.")
@click.option("--no-probe", is_flag=True, help="Send no probe, and do not ask.")
@click.option("--wait", type=DurationType(), default="3m", show_default=True, help="Wait for the probe's answer.")
@click.option("--timeout", type=DurationType(), default="3m", show_default=True, help="Look for this long at most.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def doctor(
    cloud: str, name: str, region: str, project: str, sink: str, config: str | None,
    manifest: Path | None, agreed: bool, no_probe: bool, wait: float, timeout: float, as_json: bool,
) -> None:  # fmt: skip
    """Say what is right and what is wrong with a deployment, and how to mend it.

    CLOUD is aws, azure or gcp. Everything is read with your own credentials, for the cloud and for HCP. At the end a
    harmless probe goes through the function's queue, where you agree: the function answers in its log which version
    and configuration it is, whether HCP takes its credentials, and whether it may read images.

    Exit status: 0 nothing is wrong, 2 a configuration is, 4 credentials or a role are, 5 HCP cannot be reached, 1
    anything else is wrong or could not be looked at.
    """
    if agreed and no_probe:
        raise click.UsageError("--yes and --no-probe exclude each other")
    from packer_publisher.examiners import Named, open_examination

    environ = dict(os.environ)
    if config is not None:
        environ[VARIABLE] = os.path.abspath(config)
    named = Named(name, region, project, sink, _archive(manifest, cloud))
    findings: list[Finding] = []
    sheet = None if as_json else Sheet()
    with ExitStack() as stack:
        spinner = stack.enter_context(closing(Spinner()))
        agree = _asking(agreed, no_probe or as_json, sheet, spinner)
        run = stack.enter_context(open_examination(CLOUDS[cloud], named, environ, timeout, wait, agree, spinner.tell))
        if sheet:
            sheet.begin(f"{run.examiner.where}, by packer-publisher {__version__}")
        for finding in run.findings():
            findings.append(finding)
            if sheet:
                with spinner.aside():
                    sheet.line(finding)
        where, digest = run.examiner.where, run.deployed.digest
    status = exit_status_of(findings)
    if sheet:
        sheet.end(findings)
    else:
        found = as_object(findings, cloud=cloud, where=where, version=__version__, configuration=digest, status=status)
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
    sys.exit(status)


def exit_status_of(findings: list[Finding]) -> int:
    """Return the status that is due; what could not be looked at is never 0."""
    bad = {found.trouble for found in findings if found.verdict in (Verdict.WRONG, Verdict.UNKNOWN)}
    return next((status for trouble, status in WORST if trouble in bad), 0)


def _asking(agreed: bool, silent: bool, sheet: Sheet | None, spinner: Spinner) -> Callable[[], bool]:
    def ask() -> bool:
        if agreed:
            return True
        if silent or sheet is None or not (sys.stdin.isatty() and sys.stdout.isatty()):
            return False
        with spinner.aside():
            return asking.agreed(f"\n{QUESTION} [y/N] ")

    return ask


def _archive(manifest: Path | None, cloud: str) -> str:
    """Return the digest of a cloud's archive in a manifest of `make package`, "" where none is given."""
    if manifest is None:
        return ""
    try:
        document = json.loads(manifest.read_text("utf-8"))
        digest = document["archives"][ARCHIVES[cloud]]["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{manifest} is no manifest of `make package` ({type(error).__name__}).", remedy="name build/manifest.json"
        ) from None
    if not isinstance(digest, str):
        raise Failure(f"{manifest} has no digest of {ARCHIVES[cloud]}", "name build/manifest.json", USAGE)
    return digest
