"""``sweep CLOUD``: go on with every version of a cloud's recent images, as the functions do on their schedules."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from packer_publisher.cli.invocation import DurationType, Invocation
from packer_publisher.cli.program import CREDENTIALS, FAILED, UNREACHABLE, USAGE, Failure, exit_status
from packer_publisher.cli.progress import progress
from packer_publisher.cli.result import COLOURS, FAILURES, status_of
from packer_publisher.cli.tables import columns, facts, safe
from packer_publisher.deadline import Deadline
from packer_publisher.departures import OFF
from packer_publisher.durations import format_duration
from packer_publisher.errors import PublisherError
from packer_publisher.image import CLOUDS
from packer_publisher.wording import counted

if TYPE_CHECKING:
    from packer_publisher.sweep import Sweep, Swept

WORST = (USAGE, CREDENTIALS, UNREACHABLE, FAILED, 0)
"""Exit statuses, the one that wins first."""
MOST_REASONS = 20
"""Images whose reasons are printed; the rest is counted."""


@click.command()
@click.argument("cloud", type=click.Choice([*CLOUDS, "all"]))
@click.option("--window", type=DurationType(), help="How far back to look.  [default: 48h, or PUBLISHER_SWEEP_WINDOW]")
@click.option("--bucket", metavar="NAME", default="", help="Leave out the images of all other buckets.")
@click.option("--dry-run", is_flag=True, help="Write nothing; predict each image by itself.")
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="Configuration document, in place of PUBLISHER_CONFIG.",
)
@click.option("--timeout", type=DurationType(), default="30m", show_default=True, help="Give up after this time.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def sweep(
    cloud: str, window: float | None, bucket: str, dry_run: bool, config: str | None, timeout: float, as_json: bool
) -> None:
    """Go on with every version of a CLOUD's recent images.

    CLOUD is aws, azure, gcp or all. The images are those of your credentials' account (AWS), of
    AZURE_SUBSCRIPTION_ID and of GOOGLE_CLOUD_PROJECT. Each version is read once; lost events are made good, and what
    is due is finished. This is what the functions do every 15 minutes.
    """
    invocation = Invocation("", None, None, bucket, "", "", (), config, timeout, as_json)
    invocation.override()  # refuses a bucket that is no name
    environ = invocation.environment(os.environ)
    deadline = Deadline.after(timeout)
    back = timedelta(seconds=window) if window is not None else None
    names = list(CLOUDS) if cloud == "all" else [cloud]
    swept: dict[str, Sweep] = {}
    errors: dict[str, PublisherError] = {}
    for name in names:
        try:
            swept[name] = _sweep(name, environ, deadline, back, bucket, dry_run=dry_run)
        except PublisherError as error:
            errors[name] = error
    if as_json:
        click.echo(json.dumps(_document(names, swept, errors, dry_run=dry_run), indent=2))
    else:
        for line in _lines(swept, dry_run=dry_run):
            click.echo(line)
        off = {report.reason for found in swept.values() for report in found.reports if report.reason == OFF}
        for reason in off:
            click.echo(f"\n{reason}")
    _end(swept, errors)


def _sweep(
    name: str, environ: dict[str, str], deadline: Deadline, window: timedelta | None, bucket: str, *, dry_run: bool
) -> Sweep:
    from packer_publisher.runtime import sweep_window

    with progress(f"{name}: listing images") as tell:
        return sweep_window(
            CLOUDS[name],
            environ,
            deadline,
            window=window,
            bucket=bucket,
            dry_run=dry_run,
            progress=lambda done, of: tell(f"{name}: {done} of {of} versions"),
        )


def _lines(swept: dict[str, Sweep], *, dry_run: bool) -> Iterator[str]:
    versions = [(name, version) for name, found in swept.items() for version in found.versions]
    left = [(name, address) for name, found in swept.items() for address in found.not_reached]
    if versions or left:
        rows: list[tuple[str, ...]] = [("CLOUD", "BUCKET", "VERSION", "OUTCOME", "SINCE", "WAITS FOR")]
        rows += [_row(name, version) for name, version in versions]
        rows += [
            (name, safe(bucket), safe(fingerprint), "not reached", "-", "-") for name, (bucket, fingerprint) in left
        ]
        for line, row in zip(columns(rows, indent=0), rows, strict=True):
            yield _coloured(line, row[3])
    for name, found in swept.items():
        would = " would be" if dry_run else ""
        looked_at = f"{counted(found.images, 'image')}, {counted(len(found.versions), 'version')} read"
        yield f"{name}: {looked_at}, {sum(version.changed for version in found.versions)}{would} written to"
        if found.denied:
            regions = [f"{safe(region)} ({safe(reason)})" for region, reason in found.denied]
            yield from facts([("no access to", regions)])
    reasons = [report for found in swept.values() for report in found.reports if report.outcome in FAILURES]
    for report in reasons[:MOST_REASONS]:
        yield ""
        yield _coloured(f"{report.outcome}  {safe(report.image)}", str(report.outcome))
        yield from facts([("why", report.reason), ("what to do", report.remedy)])
    if len(reasons) > MOST_REASONS:
        yield f"... and {len(reasons) - MOST_REASONS} more; --json lists all"
    for report in [report for found in swept.values() for report in found.missed if report.outcome not in FAILURES]:
        yield ""
        yield _coloured(f"{report.outcome}  {safe(report.bucket)}/{safe(report.fingerprint)}", str(report.outcome))
        yield from facts([("why", report.reason), ("what to do", report.remedy)])
    for late in [late for found in swept.values() for late in found.overdue]:
        yield ""
        yield click.style(f"overdue  {safe(late.bucket)}/{safe(late.fingerprint)}", fg="yellow", bold=True)
        since = f"{late.since:%Y-%m-%d %H:%M} UTC, {format_duration(late.waiting)} ago"
        yield from facts([("since", since), ("why", late.reason), ("what to do", late.remedy)])


def _row(name: str, version: Swept) -> tuple[str, ...]:
    since = f"{version.since:%Y-%m-%d %H:%M}" if version.since is not None else "-"
    waits_for = " ".join(safe(part) for part in version.waits_for) or "-"
    return name, safe(version.bucket), safe(version.fingerprint), str(version.outcome), since, waits_for


def _coloured(line: str, outcome: str) -> str:
    colour = next((colour for word, colour in COLOURS.items() if word == outcome), None)
    # Where a bucket or an image has an outcome's word in its name, the line stays plain.
    return line.replace(outcome, click.style(outcome, fg=colour)) if colour and line.count(outcome) == 1 else line


def _document(
    names: list[str], swept: dict[str, Sweep], errors: dict[str, PublisherError], *, dry_run: bool
) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "clouds": {
            name: _cloud_json(swept[name])
            if name in swept
            else {"error": str(errors[name]), "remedy": errors[name].remedy}
            for name in names
        },
    }


def _cloud_json(swept: Sweep) -> dict[str, Any]:
    return {
        "images": swept.images,
        "versions": [
            {
                "bucket": version.bucket,
                "fingerprint": version.fingerprint,
                "name": version.name,
                "outcome": str(version.outcome),
                "waits_for": list(version.waits_for),
                "since": version.since.isoformat() if version.since is not None else None,
                "changed": version.changed,
                "overdue": None
                if version.overdue is None
                else {
                    "reason": version.overdue.reason,
                    "remedy": version.overdue.remedy,
                    "seconds": int(version.overdue.waiting.total_seconds()),
                },
            }
            for version in swept.versions
        ],
        "reports": [
            {
                "outcome": str(report.outcome),
                "image": report.image,
                "owner": report.owner,
                "bucket": report.bucket,
                "fingerprint": report.fingerprint,
                "component_type": report.component_type,
                "reason": report.reason,
                "remedy": report.remedy,
                "notes": list(report.notes),
            }
            for report in swept.reports
        ],
        "not_reached": [list(address) for address in swept.not_reached],
        "denied": dict(swept.denied),
        "problem": swept.problem,
    }


def _end(swept: dict[str, Sweep], errors: dict[str, PublisherError]) -> None:
    """Raise Failure where not everything went well; an error of a cloud or of HCP beats images that failed."""
    failed = [report for found in swept.values() for report in found.reports if report.outcome in FAILURES]
    left = sum(len(found.not_reached) for found in swept.values())
    statuses = [exit_status(error) for error in errors.values()]
    statuses += [status_of(publication) for found in swept.values() for publication in found.publications]
    statuses += [FAILED] if failed or left else []
    status = min(statuses, key=WORST.index, default=0)
    if not status:
        return
    found = [(error, exit_status(error)) for error in errors.values()]
    found += [
        (publication.error, status_of(publication))
        for swept_cloud in swept.values()
        for publication in swept_cloud.publications
        if publication.error is not None
    ]
    first = next((error for error, worst in found if worst == status), None)
    if first is not None and status != FAILED:
        raise Failure(str(first), first.remedy, status)
    if errors:
        name, error = next(iter(errors.items()))
        raise Failure(f"{name}: {error}", error.remedy, status)
    count = f"{counted(len(failed), 'image')} did not come into a version" if failed else ""
    reached = f"{counted(left, 'version')} not reached" if left else ""
    remedy = "see above" if not left else "run it again with a longer --timeout"
    raise Failure(", ".join(filter(None, (count, reached))), remedy, status)
