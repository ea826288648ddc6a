"""``versions``: what a person decides about a version that does not complete by itself."""

from __future__ import annotations

import getpass
import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from packer_publisher.cli.asking import agreed
from packer_publisher.cli.invocation import DurationType, refuse_while_off
from packer_publisher.cli.program import FAILED, Failure
from packer_publisher.cli.result import build_lines, word
from packer_publisher.cli.tables import safe
from packer_publisher.deadline import Deadline
from packer_publisher.decision import Completion, Decision, platforms_left_out
from packer_publisher.errors import Rejected
from packer_publisher.labels import ABANDONED
from packer_publisher.runtime import open_versions
from packer_publisher.steps import CreateBuild, DeleteBuild, ReadVersion, SetLabels, SetStatus
from packer_publisher.tag_values import parse_bucket, parse_expected, parse_fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packer_publisher.snapshot import Version
    from packer_publisher.versions import Prospect

_timeout = click.option(
    "--timeout", type=DurationType(), default="5m", show_default=True, help="Give up after this time."
)
_yes = click.option("--yes", "--auto-approve", "yes", is_flag=True, help="Do not ask for confirmation.")
_json = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object on stdout; needs --yes or --dry-run."
)
_dry_run = click.option("--dry-run", is_flag=True, help="Write nothing; say what would be written.")


@click.group()
def versions() -> None:
    """Complete or abandon a version that waits."""


@versions.command()
@click.argument("bucket")
@click.argument("fingerprint")
@click.option("--without", metavar="NAME", multiple=True, help="A component type or platform to do without.")
@_dry_run
@_yes
@_json
@_timeout
def complete(
    bucket: str, fingerprint: str, without: tuple[str, ...], dry_run: bool, yes: bool, as_json: bool, timeout: float
) -> None:
    """Complete the version FINGERPRINT of BUCKET without what it still waits for.

    An empty placeholder is set DONE, which completes the version, and is deleted afterwards; a platform is simply no
    longer waited for. Where every build is DONE and the version is still open ten minutes later, this mends it.
    """
    _ask_or_refuse(yes=yes or dry_run, as_json=as_json)
    asked = Completion(tuple(_name(name) for name in without))
    bucket, fingerprint = _address(bucket, fingerprint)
    if not dry_run:
        refuse_while_off(os.environ)
    with open_versions(os.environ, bucket, Deadline.after(timeout)) as service:
        try:
            prospect = service.prospect(bucket, fingerprint, asked)
        except Rejected as problem:
            raise Failure(str(problem), problem.remedy, FAILED) from problem
        if not as_json:
            _show(prospect, asked)
        if dry_run:
            if as_json:
                click.echo(
                    json.dumps(_document(prospect, prospect.steps, prospect.version.name, dry_run=True), indent=2)
                )
            return
        if not yes:
            _confirm("\nComplete this version? It cannot be undone.")
        version, written = service.complete(bucket, fingerprint, asked)
    if as_json:
        click.echo(json.dumps(_document(prospect, written, version.name, dry_run=False), indent=2))
    elif version.complete:
        click.echo(f"completed  {safe(bucket)}/{safe(fingerprint)} is {safe(version.name)}")
    if not version.complete:
        raise Failure(
            f"HCP has not completed version {safe(fingerprint)} of bucket {safe(bucket)} yet",
            "wait ten minutes; if it still stands open, run this command again, which mends it",
            FAILED,
        )


@versions.command()
@click.argument("bucket")
@click.argument("fingerprint")
@click.option("--undo", is_flag=True, help="Take it back: handlers and sweeps go on with the version.")
@_dry_run
@_yes
@_timeout
def abandon(bucket: str, fingerprint: str, undo: bool, dry_run: bool, yes: bool, timeout: float) -> None:
    """Abandon the open version FINGERPRINT of BUCKET: nobody goes on with it.

    A label on its open builds makes every function answer `rejected` until it is taken back with --undo. Nothing is
    deleted, and channels stay where they are.
    """
    bucket, fingerprint = _address(bucket, fingerprint)
    if not dry_run:
        refuse_while_off(os.environ)
    note = "" if undo else f"by {_person()} on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    with open_versions(os.environ, bucket, Deadline.after(timeout)) as service:
        try:
            version, steps = service.abandonment(bucket, fingerprint, note)
            if dry_run or not yes:
                _show_version(version, steps)
                click.echo("  channels, and latest, stay where they are")
            if dry_run:
                return
            if not yes:
                what = "Take back the abandoning of" if undo else "Abandon"
                _confirm(f"\n{what} {bucket}/{fingerprint}?")
            steps = service.abandon(bucket, fingerprint, note)
        except Rejected as problem:
            raise Failure(str(problem), problem.remedy, FAILED) from problem
    for step in steps:
        click.echo(sentence(step))
    click.echo(f"{'taken back' if undo else 'abandoned'}  {safe(bucket)}/{safe(fingerprint)}")


def sentence(step: Decision) -> str:
    """Return a write of a decision in words."""
    match step:
        case SetStatus():
            return f"set build {safe(step.component_type)} to {word(step.status)}"
        case CreateBuild():
            return f"create build {safe(step.component_type)}, an empty guard"
        case DeleteBuild():
            return f"delete build {safe(step.component_type)}, which is empty"
        case SetLabels():
            done = "as abandoned" if dict(step.labels)[ABANDONED] else "as not abandoned any more"
            return f"label build {safe(step.component_type)} {done}"
        case ReadVersion():
            return "read the version"


def _show(prospect: Prospect, asked: Completion) -> None:
    _show_version(prospect.version, prospect.steps)
    for name in platforms_left_out(asked.without):
        click.echo(f"  would no longer wait for platform {name}")
    newest = prospect.latest.name or "(none)"
    click.echo(f"  channel latest: {safe(newest)} -> this version")
    click.echo("  other channels stay; the next sweep that sees its images sets those that they or the bucket ask for")
    if prospect.pulls_latest_back:
        click.echo(f"  Note: {safe(newest)} was created later, so latest would go back to an older image.")


def _show_version(version: Version, steps: Sequence[Decision]) -> None:
    click.echo(f"{safe(version.bucket)}/{safe(version.fingerprint)} ({safe(version.name)}, open)")
    for line in build_lines(version):
        click.echo(line)
    for step in steps:
        click.echo(f"  would {sentence(step)}")


def _person() -> str:
    """Return who runs the command, as far as the system knows: in a container it may not."""
    try:
        return safe(getpass.getuser())
    except (KeyError, OSError):
        return "somebody"


def _document(prospect: Prospect, steps: tuple[Decision, ...], name: str, *, dry_run: bool) -> dict[str, object]:
    return {
        "bucket": prospect.version.bucket,
        "fingerprint": prospect.version.fingerprint,
        "dry_run": dry_run,
        "version": name,
        "steps": [sentence(step) for step in steps],
        "latest": prospect.latest.name,
        "pulls_latest_back": prospect.pulls_latest_back,
    }


def _name(name: str) -> str:
    try:
        return parse_expected("--without", name)
    except Rejected as problem:
        raise click.UsageError(str(problem)) from problem


def _address(bucket: str, fingerprint: str) -> tuple[str, str]:
    try:
        return parse_bucket("BUCKET", bucket), parse_fingerprint("FINGERPRINT", fingerprint, fold=False)
    except Rejected as problem:
        raise click.UsageError(f"{problem}: {problem.remedy}") from problem


def _confirm(question: str) -> None:
    """Go on where a person says yes; end as ``Aborted!`` where not, and by Ctrl-C as every command does."""
    if not agreed(f"{question} [y/N] "):
        raise click.Abort


def _ask_or_refuse(*, yes: bool, as_json: bool) -> None:
    if as_json and not yes:
        raise click.UsageError("--json asks no questions: add --yes, or --dry-run")
