"""``backfill CLOUD``: bring the images that exist already into their buckets."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Event, Timer
from typing import TYPE_CHECKING, Any

import click

from packer_publisher.cli.asking import agreed
from packer_publisher.cli.backfill_view import json_pieces, plan_lines, result_lines
from packer_publisher.cli.invocation import DurationType, Invocation, refuse_while_off
from packer_publisher.cli.meter import Meter
from packer_publisher.cli.program import CREDENTIALS, DIFFERS, FAILED, INTERRUPTED, UNREACHABLE, Failure
from packer_publisher.cli.queues import queue_addresses
from packer_publisher.deadline import Deadline
from packer_publisher.errors import ConfigurationError, CredentialsTrouble
from packer_publisher.image import CLOUDS
from packer_publisher.wording import counted

if TYPE_CHECKING:
    from packer_publisher.backfill.asked import Asked, Place
    from packer_publisher.backfill.journal import Journal
    from packer_publisher.backfill.run import Backfill
    from packer_publisher.image import Platform
    from packer_publisher.mapping import ImageMapping
    from packer_publisher.messages import Queue
    from packer_publisher.settings import Settings

SCOPES_SECONDS = 120.0
"""How long finding out accounts, regions, subscriptions and projects may take."""


class DayType(click.ParamType[datetime]):
    """A day or a point in time such as ``2026-01-31`` or ``2026-01-31T12:00Z``; UTC where it names no zone."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the point in time that a person typed; a day is its beginning."""
        if isinstance(value, datetime):
            return value
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no date, as in {date.today():%Y-%m-%d} or 2026-01-31T12:00Z", param, ctx)  # noqa: DTZ011 (an example)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


@click.command()
@click.argument("cloud", type=click.Choice([*CLOUDS, "all"]))
@click.option("--bucket", metavar="NAME", default="", help="Leave out the images of all other buckets.")
@click.option(
    "--region", "only", metavar="NAME", multiple=True, help="Only this region, subscription or project (repeatable)."
)
@click.option("--since", type=DayType(), metavar="DATE", help="Only images created at or after this time.")
@click.option("--until", type=DayType(), metavar="DATE", help="Only images created before this time.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N versions, the oldest.")
@click.option(
    "--expects", metavar="NAMES", multiple=True, help="What every version consists of, besides what is found."
)
@click.option(
    "--mapping",
    "mapping_file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Rules or a list that place images without tags.",
)
@click.option("--rate", type=click.FloatRange(0.1), metavar="N", help="At most N requests to HCP a second.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=8, show_default=True, help="Workers.")
@click.option("--timeout", type=DurationType(), metavar="TIME", help="Begin nothing more after this time.")
@click.option("--allow-latest-to-move-back", "back", is_flag=True, help="Also buckets whose newest image is there.")
@click.option("--dry-run", is_flag=True, help="Write nothing; print the whole plan.")
@click.option("--detailed-exitcode", is_flag=True, help="With --dry-run: exit 3 where it would change something.")
@click.option("--yes", "--auto-approve", "yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--enqueue", is_flag=True, help="Let the deployed functions write: send each version to their queue.")
@click.option(
    "--queue",
    "queues",
    metavar="CLOUD=ADDRESS",
    multiple=True,
    help="The queue of a cloud's function, in place of PUBLISHER_QUEUE_AWS, _AZURE, _GCP (repeatable).",
)
@click.option("--resume", is_flag=True, help="Go on with the run that was broken off.")
@click.option(
    "--send-again", "again", is_flag=True, help="With --enqueue --resume: send once more what HCP does not show done."
)
@click.option("--journal", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Where to keep it.")
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="Configuration document, in place of PUBLISHER_CONFIG.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout; needs --yes or --dry-run.")
def backfill(
    cloud: str, bucket: str, only: tuple[str, ...], since: datetime | None, until: datetime | None, limit: int | None,
    expects: tuple[str, ...], mapping_file: Path | None, rate: float | None, concurrency: int, timeout: float | None,
    back: bool, dry_run: bool, detailed_exitcode: bool, yes: bool, enqueue: bool, queues: tuple[str, ...], resume: bool,
    again: bool, journal: Path | None, config: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Bring the images that CLOUD holds already into their buckets, as whole versions, in the order of their images.

    CLOUD is aws, azure, gcp or all. Everything that your credentials reach is listed and grouped by bucket and
    fingerprint; then the plan is printed, and written once you agree. A run that is broken off goes on with --resume.

    With --enqueue the functions of your accounts write in its place; the run waits until HCP shows what it sent.
    """
    if only and cloud == "all":
        raise ConfigurationError("--region goes with one cloud", remedy="name aws, azure or gcp in place of all")
    if detailed_exitcode and not dry_run:
        raise click.UsageError("--detailed-exitcode needs --dry-run: what was written is no difference any more")
    _refuse(yes=yes, dry_run=dry_run, resume=resume, as_json=as_json, since=since, until=until)
    if enqueue and mapping_file is not None:
        raise ConfigurationError(
            "--enqueue does not go with --mapping: the functions read tags and know of no mapping",
            remedy="leave --enqueue out, or tag the images",
        )
    if queues and not enqueue:
        raise ConfigurationError("--queue goes with --enqueue", remedy="add --enqueue, or leave --queue out")
    if again and not (enqueue and resume):
        raise ConfigurationError(
            "--send-again goes with --enqueue --resume: it is about what an earlier run has sent",
            remedy="add both, or leave --send-again out",
        )
    invocation = Invocation("", None, None, bucket, "", "", expects, config, 0, as_json)
    override = invocation.override()  # refuses names that are none
    environ = invocation.environment(os.environ)
    if not dry_run:
        refuse_while_off(environ)
    from packer_publisher.backfill.asked import Asked
    from packer_publisher.settings import Settings

    settings = Settings.from_environment(environ)
    mapping = _mapping(mapping_file)
    platforms = [CLOUDS[name] for name in (CLOUDS if cloud == "all" else (cloud,))]
    addresses = queue_addresses(queues, platforms, os.environ) if enqueue else {}
    asked = Asked(
        tuple(map(str, platforms)), tuple(sorted(only)), bucket, since, until, limit,
        override.expects if override else (), back,
        tagged=mapping is None, rules=settings.digest + (mapping.digest if mapping else ""),
        queues=tuple((str(platform), address) for platform, address in addresses.items()),
    )  # fmt: skip
    with ExitStack() as opened:
        from packer_publisher.runtime import open_backfill, open_queues

        own = opened.enter_context(open_queues(addresses, environ))
        book = opened.enter_context(_journal(asked, journal, resume=resume, dry_run=dry_run))
        meter = opened.enter_context(Meter())
        place = _place(settings, mapping, book)
        run = opened.enter_context(open_backfill(book, asked, environ, place, workers=concurrency, rate=rate))
        write = run.write if not enqueue else _handover(run, own, again=again)
        with _limited(run, timeout) as check:
            _run(run, meter, write, check, dry_run=dry_run, detailed=detailed_exitcode, yes=yes, as_json=as_json)


def _handover(run: Backfill, queues: Mapping[Platform, Queue], *, again: bool) -> Callable[[], str]:
    from packer_publisher.backfill.handover import Handover

    return Handover(run, queues, again=again).run


@contextmanager
def _limited(run: Backfill, seconds: float | None) -> Iterator[Callable[[], None]]:
    """Stop the run after so many seconds; yield what raises Failure once they have passed."""
    passed = Event()

    def end() -> None:
        passed.set()
        run.stop.set()

    def check() -> None:
        if passed.is_set():
            raise Failure("the time of --timeout is over", "what was done stays; go on with --resume", FAILED)

    timer = Timer(seconds or 0.0, end)
    timer.daemon = True
    if seconds is not None:
        timer.start()
    try:
        yield check
    finally:
        timer.cancel()


def _run(
    run: Backfill, meter: Meter, write: Callable[[], str], check: Callable[[], None], *,
    dry_run: bool, detailed: bool, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    from packer_publisher.backfill.beginning import claim, end
    from packer_publisher.backfill.sums import sums

    run.tell = meter.version
    handing_over = bool(run.asked.queues)
    try:
        claim(
            run.journal,
            (s for c in run.clouds.values() for s in c.scopes(Deadline.after(SCOPES_SECONDS), run.asked.only)),
        )
        with meter.stage("listing images"):
            run.list_clouds(meter.image)
        check()
        with meter.stage("looking at HCP Packer"):
            run.look()
        check()
        left_out = run.left_out()
    except KeyboardInterrupt:
        run.stop.set()
        raise
    planned = sums(run.journal, left_out)
    if not as_json:
        for line in plan_lines(run.journal, planned, left_out, whole=dry_run):
            click.echo(line)
    problem = ""
    if not dry_run and planned.pending:
        fresh = planned.pending - planned.sent
        if fresh and not yes:
            _confirm(run, fresh, begun=planned.sent > 0 or bool(planned.outcomes))
        with meter.stage("waiting for the functions" if handing_over else "writing"):
            problem = _write(run, write)
    found = sums(run.journal, left_out)
    if as_json:
        for piece in json_pieces(run.journal, found, left_out, dry_run=dry_run, problem=problem):
            click.echo(piece, nl=False)
    elif not dry_run and (planned.pending or found.outcomes):
        for line in result_lines(run.journal, found, problem):
            click.echo(line)
    check()
    if not dry_run and not problem:
        end(run.journal)
    _exit(run, found, problem, differs=dry_run and detailed and planned.pending > 0)


def _confirm(run: Backfill, number: int, *, begun: bool) -> None:
    """Ask whether to go on; a run of which nothing is written yet, and that is not to be, is over."""
    from packer_publisher.backfill.beginning import end

    versions = counted(number, "version")
    what = f"Send {versions} to the functions" if run.asked.queues else f"Write {versions}"
    if not agreed(f"\n{what}? [y/N] "):
        if not begun:
            end(run.journal)
        raise Failure("nothing was written", "", FAILED)


def _write(run: Backfill, write: Callable[[], str]) -> str:
    """Write, and let what is under way come to its end when a person interrupts."""
    try:
        return write()
    except KeyboardInterrupt:
        run.stop.set()
        raise Failure("interrupted", "what was written stays; go on with --resume", INTERRUPTED) from None


def _exit(run: Backfill, found: Any, problem: str, *, differs: bool) -> None:
    denied = [scope.at for scope, (state, _, _) in run.journal.scopes().items() if state == "denied"]
    failed = sum(found.outcomes[word] for word in ("rejected", "conflict", "late", "deferred"))
    failed += found.actions["cannot"] + sum(outcome == "rejected" for _, outcome, _, _ in run.journal.others())
    if problem and run.asked.queues:
        remedy = (
            "look at the log and the dead-letter queue of its function, mend what they tell of, then go on with "
            "--resume; with --send-again, too, where the function has rejected or lost it"
        )
        raise Failure(problem, remedy, FAILED)
    if problem:
        refused = isinstance(run.trouble, CredentialsTrouble)
        remedy = f"{run.trouble.remedy.rstrip('.')}; then " if run.trouble is not None and run.trouble.remedy else ""
        raise Failure(problem, f"{remedy}go on with --resume", CREDENTIALS if refused else UNREACHABLE)
    if denied:
        raise Failure(f"no access to {', '.join(denied)}", "allow it, or leave it out with --region", CREDENTIALS)
    if failed:
        raise Failure(f"not everything came into a version: {failed} did not", "see above", FAILED)
    if differs:
        sys.exit(DIFFERS)


def _refuse(
    *, yes: bool, dry_run: bool, resume: bool, as_json: bool, since: datetime | None, until: datetime | None
) -> None:
    """Refuse options that do not go together, before anything is read."""
    if as_json and not (yes or dry_run):
        raise ConfigurationError("--json cannot ask for confirmation", remedy="add --yes or --dry-run")
    if not (yes or dry_run) and not sys.stdin.isatty():
        raise ConfigurationError("there is no terminal to ask for confirmation", remedy="add --yes or --dry-run")
    if dry_run and resume:
        raise ConfigurationError("--dry-run does not go on with anything", remedy="leave --resume out")
    if since and until and since >= until:
        raise ConfigurationError("--since is not before --until", remedy="name a time that is")


def _mapping(path: Path | None) -> ImageMapping | None:
    if path is None:
        return None
    from packer_publisher.mapping_file import read_mapping

    return read_mapping(path)


def _place(settings: Settings, mapping: ImageMapping | None, journal: Journal) -> Place:
    """Return how images are placed; what a mapping says of an image's age is counted from the run's beginning."""
    from packer_publisher.mapping import placer
    from packer_publisher.placement import place

    if mapping is None:
        return lambda image: place(image, settings.policy)
    return placer(mapping, settings.policy, datetime.fromisoformat(journal.facts()["begun_at"]))


@contextmanager
def _journal(asked: Asked, path: Path | None, *, resume: bool, dry_run: bool) -> Iterator[Journal]:
    """Open the journal; that of a dry run is gone afterwards."""
    from packer_publisher.backfill.beginning import open_journal

    with tempfile.TemporaryDirectory() as folder:
        if dry_run:
            path = Path(folder) / "plan.sqlite"
        book = open_journal(path or _usual(asked), asked, resume=resume)
        try:
            yield book
        finally:
            book.close()


def _usual(asked: Asked) -> Path:
    """Return where the journal of a run is kept where nothing else is said: one for each choice of clouds."""
    home = os.environ.get("XDG_STATE_HOME", "").strip() or str(Path.home() / ".local" / "state")
    return Path(home) / "packer-publisher" / f"backfill-{'-'.join(asked.clouds)}.sqlite"
