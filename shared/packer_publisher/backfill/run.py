"""One backfill from its journal: list the clouds, look at the registry, write; each stage goes on where it broke off.

Versions of one bucket are written one after the other, in the order in which their images were created, so that HCP's
numbers tell history; buckets are written at the same time, a base before what was built from it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import takewhile
from typing import Protocol

from packer_publisher.backfill.asked import Asked, Place
from packer_publisher.backfill.journal import Entry, Journal
from packer_publisher.backfill.listing import Tell, list_scopes, spooling
from packer_publisher.backfill.prospect import latest_would_move_back, prospect, unlisted
from packer_publisher.backfill.sums import WRITING
from packer_publisher.backfill.turns import Held, Turns
from packer_publisher.backfill.version_items import items_of
from packer_publisher.backfill.workers import several, workers
from packer_publisher.deadline import Deadline
from packer_publisher.errors import CredentialsTrouble, Forbidden, RegistryTrouble, Trouble
from packer_publisher.image import Platform
from packer_publisher.placement import Item, policy_for
from packer_publisher.policy import Policy
from packer_publisher.protocols import Survey
from packer_publisher.publish import Publication, Publisher
from packer_publisher.report import TELLING, Outcome
from packer_publisher.snapshot import Bucket, BuildStatus, Channel, Version
from packer_publisher.steps import FillBuild, ReadChannel

VERSION_SECONDS = 120.0
"""The most that one version may take, retries included."""
READS = 8
"""How often a version is read until HCP has completed it: its own tests once waited 15 s for that."""
TROUBLES = 3
"""After so many buckets in trouble, one after the other, the run stops: it can be resumed."""


class Reading(Protocol):
    """What looking at the registry needs of it."""

    def list_buckets(self, deadline: Deadline, project: str | None = None) -> tuple[Bucket, ...]:
        """Return all buckets of the project."""

    def get_version(self, bucket: str, fingerprint: str, deadline: Deadline, project: str | None = None) -> Version:
        """Return the version, also where there is none."""

    def get_channel(self, bucket: str, channel: str, deadline: Deadline, project: str | None = None) -> Channel | None:
        """Return the channel, or None when there is none."""


@dataclass
class Backfill:
    """A run and everything that it needs; ``publisher`` opens one for each worker.

    ``tell`` is called from any thread after every version (stage, done, of, calls of it, outcome). ``stop`` ends a
    stage early: what is under way is finished, the rest is left to a resumed run. ``trouble`` is what stopped the
    writing, None where nothing did.
    """

    journal: Journal
    asked: Asked
    policy: Policy
    place: Place
    clouds: Mapping[Platform, Survey]
    registry: Reading
    publisher: Callable[[], Publisher]
    workers: int = 8
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    deadline: Callable[[], Deadline] = lambda: Deadline.after(VERSION_SECONDS)
    tell: Callable[[str, int, int, int, str], None] = lambda *_: None
    stop: threading.Event = field(default_factory=threading.Event)
    trouble: Trouble | None = None

    def __post_init__(self) -> None:
        self._buckets: dict[str | None, dict[str, Bucket]] = {}
        self._channels: dict[tuple[str, str], Channel] = {}
        self._lock = threading.Lock()
        self._own = threading.local()

    def list_clouds(self, tell: Tell) -> int:
        """List what is not listed yet; return the number of versions found."""
        list_scopes(self.journal, self.clouds, spooling(self.asked, self.place), self.workers, tell, self.stop)
        return 0 if self.stop.is_set() else self.journal.gather_versions(self.asked.limit)

    def look(self) -> None:
        """Read every version that was not looked at yet and note what would become of it; writes nothing.

        Raises Trouble where the registry does not answer; what was noted stays.
        """
        todo = list(self.journal.buckets("found"))
        number = sum(versions for _, versions in todo)
        self._each("look", number, (entry for name, _ in todo for entry in self.journal.versions("found", bucket=name)),
                   self._look)  # fmt: skip

    def left_out(self) -> dict[str, str]:
        """Return the buckets that are not written, with the reason: ``latest`` would move back to an older image."""
        if self.asked.allow_latest_back:
            return {}
        found: dict[str, str] = {}
        for name, _ in self.journal.buckets("looked"):
            latest = self.bucket(name).latest
            known = self.journal.version(name, latest.fingerprint)
            looked = self.journal.versions("looked", bucket=name)
            completing = ((entry.fingerprint, entry.newest) for entry in looked if _completes(entry))
            # One that this very run completes holds what the survey found; it may have been killed before it noted so.
            seen = known is not None and (_completes(known) or bool((known.details or {}).get("seen_whole")))
            newest = known.newest if known is not None and seen else None
            reason = latest_would_move_back(completing, latest, newest)
            if reason:
                found[name] = reason
        return found

    def write(self) -> str:
        """Write every version that was looked at, but those of buckets that are left out; return why it stopped, or "".

        What the plan leaves alone is done without a call.
        """
        out = self.left_out()
        self.pass_over(out)
        todo = sorted(self.journal.buckets("looked"), key=lambda pair: -pair[1])  # the longest first: they end together
        todo = [(name, versions) for name, versions in todo if name not in out]
        self._done, self._of = 0, sum(versions for _, versions in todo)
        self.trouble = None
        self._troubles = 0
        names = [name for name, _ in todo]
        turns = Turns(self.journal, names)
        with workers(max(1, min(self.workers, len(todo))), "backfill") as pool:
            try:
                turns.run(pool, lambda name: self._write_bucket(name, turns), names)
            except BaseException:
                self.stop.set()  # before the pool is waited for: what is under way ends, and nothing is begun
                raise
        return self._problem()

    def _problem(self) -> str:
        return str(self.trouble) if self.trouble is not None else ""

    def pass_over(self, left_out: Collection[str]) -> None:
        """Note that what the plan leaves alone is done; not in buckets that are left out, which are not planned."""
        for name, _ in self.journal.buckets("looked"):
            for entry in self.journal.versions("looked", bucket=name):
                if name not in left_out and (entry.details or {}).get("action") not in WRITING:
                    self.journal.record(replace(entry, stage="done"))

    def bucket(self, name: str) -> Bucket:
        """Return a bucket as it was when this process first asked; all of a project are asked for at once."""
        project = policy_for(name, self.policy).project
        with self._lock:
            if project not in self._buckets:
                found = self.registry.list_buckets(self.deadline(), project)
                self._buckets[project] = {bucket.name: bucket for bucket in found}
            return self._buckets[project].get(name) or Bucket(name, exists=False)

    def items(self, entry: Entry) -> tuple[Item, ...]:
        """Return the builds of a version, read back from the journal."""
        return items_of(self.journal.images(entry), self.place, self.clouds, self._closed, self.asked.expects)

    @cached_property
    def _closed(self) -> dict[str, str]:
        """Return the regions that could not be listed, with the reasons."""
        return {scope.region: why for scope, (state, why, _) in self.journal.scopes().items() if state == "denied"}

    def _look(self, entry: Entry) -> tuple[int, str]:
        items = self.items(entry)
        if not items:
            problem = ["none of its images counts", ""]
            details = {"action": "cannot", "problems": [problem]}
            self.journal.record(replace(entry, stage="looked", outcome=Outcome.IGNORED, details=details))
            return 0, Outcome.IGNORED
        project = items[0].placement.policy.project
        version = self.registry.get_version(entry.bucket, entry.fingerprint, self.deadline(), project)
        found = prospect(items, version, self.bucket(entry.bucket), self.now(), self._channel(project))
        self.journal.record(
            replace(entry, stage="looked", outcome=found.outcome, name=found.name, details=found.details)
        )
        return 1, found.outcome

    def _channel(self, project: str | None) -> Callable[[ReadChannel], Channel]:
        def read(call: ReadChannel) -> Channel:
            key = (call.bucket, call.channel)
            if key not in self._channels:
                found = self.registry.get_channel(*key, self.deadline(), project)
                self._channels[key] = found or Channel(call.channel, exists=False)
            return self._channels[key]

        return read

    def _write_bucket(self, name: str, turns: Turns) -> Held | None:
        """Write a bucket's versions, until one is held."""
        for entry in self.journal.versions("looked", bucket=name):
            if self.stop.is_set() or self._troubles >= TROUBLES:
                return None
            if held := turns.waits(entry):
                return held
            try:
                publications = self._write(entry)
                version, reads = self._confirmed(publications)
            except Trouble as trouble:
                # A later version of the bucket would be numbered before this one: the rest waits for a resumed run.
                self._tell_written(0, Outcome.DEFERRED)
                self._note(trouble)
                return None
            outcome = min((found.report.outcome for found in publications), key=TELLING.index)
            calls = max(found.report.calls for found in publications) + reads
            self._tell_written(calls, outcome)
            self._troubles = 0
            done = _done(entry, publications, outcome, calls, version)
            if version is not None and not version.complete:
                self.journal.record(replace(done, stage="looked"))
                reason = (
                    f"HCP has not completed version {entry.fingerprint} of bucket {name} yet; the bucket's later ones "
                    "wait, to be numbered after it"
                )
                self.trouble = self.trouble or RegistryTrouble(reason)
                return None
            self.journal.record(done)
            turns.done(entry)
        return None

    def _tell_written(self, calls: int, outcome: Outcome) -> None:
        with self._lock:
            self._done += 1
            done = self._done
        self.tell("write", done, self._of, calls, outcome)

    def _note(self, trouble: Trouble) -> None:
        """Note why a bucket does not go on; nothing does where no credentials help."""
        with self._lock:
            self.trouble = self.trouble or trouble
            self._troubles += 1
        if isinstance(trouble, CredentialsTrouble) and not isinstance(trouble, Forbidden):
            self.stop.set()

    def _confirmed(self, publications: tuple[Publication, ...]) -> tuple[Version | None, int]:
        """Return a version that should be complete as it is read now, waiting a while, and the number of reads.

        None where not every build is DONE, or where it is known to be complete. A write answers with one build, so
        only a read tells the version's number; and one that lags would be numbered after the next.
        """
        version = publications[0].version
        if version is None or version.complete or not version.builds:
            return None, 0
        if any(build.status is not BuildStatus.DONE for build in version.builds):
            return None, 0
        project = next(f.placement for f in publications if f.placement is not None).policy.project
        deadline = self.deadline()
        for reads in range(1, READS + 1):
            version = self.registry.get_version(version.bucket, version.fingerprint, deadline, project)
            if version.complete or not deadline.pause(min(2.0**reads, 15.0)):
                break
        return version, reads

    def _write(self, entry: Entry) -> tuple[Publication, ...]:
        """Converge a version; raises the Trouble that it is in."""
        known = None
        if not entry.name:  # the look found none; where that has changed, the registry refuses and is read again
            missing = not self.bucket(entry.bucket).exists
            known = Version(entry.bucket, entry.fingerprint, bucket_missing=missing)
        if not hasattr(self._own, "publisher"):
            self._own.publisher = self.publisher()
        publisher: Publisher = self._own.publisher
        publications = publisher.converge(self.items(entry), self.deadline(), known=known)
        for found in publications:
            if isinstance(found.error, Trouble):
                raise found.error
        if any(found.version is not None and found.version.exists for found in publications):
            self._is_there(entry.bucket)
        return publications

    def _is_there(self, name: str) -> None:
        """Note that a bucket exists, so that it is not created again for its next version.

        Where nobody has asked for the project's buckets yet, a list of this one alone would hide all others.
        """
        project = policy_for(name, self.policy).project
        with self._lock:
            if project in self._buckets:
                self._buckets[project].setdefault(name, Bucket(name))

    def _each(
        self, stage: str, number: int, entries: Iterator[Entry], work: Callable[[Entry], tuple[int, str]]
    ) -> None:
        """Do the work on every entry until the run is stopped, several at a time."""
        going_on = takewhile(lambda _: not self.stop.is_set(), entries)
        for done, told in enumerate(several(self.workers, stage, work, going_on), 1):
            self.tell(stage, done, number, *told)


def _completes(entry: Entry) -> bool:
    return bool((entry.details or {}).get("completes"))


def _done(
    entry: Entry, publications: tuple[Publication, ...], outcome: Outcome, calls: int, confirmed: Version | None
) -> Entry:
    """Return the entry of a version that was written."""
    filled = [step for step in publications[0].steps if isinstance(step, FillBuild)]
    version = confirmed or publications[0].version
    if outcome is Outcome.REGISTERED and confirmed is not None and confirmed.complete:
        outcome = Outcome.COMPLETED  # it lagged behind the last write
    problems = dict.fromkeys((f.report.reason, f.report.remedy) for f in publications if f.report.reason)
    if version is not None:
        items = [Item(f.image, f.placement) for f in publications if f.image is not None and f.placement is not None]
        for verdict in unlisted(items, version):
            outcome = min(outcome, verdict.outcome, key=TELLING.index)
            problems[verdict.reason, verdict.remedy] = None
    details = {
        "action": (entry.details or {}).get("action"),
        "completes": _completes(entry),
        "builds": sorted({step.component_type for step in filled}),
        # Each once: behind a stale read or a lost reply the same ones are written again.
        "artifacts": len({(step.component_type, artifact) for step in filled for artifact in step.artifacts}),
        "problems": [list(problem) for problem in problems],
        "notes": sorted({note for found in publications for note in found.report.notes}),
    }
    name = version.name if version is not None else entry.name
    return replace(entry, stage="done", outcome=str(outcome), name=name, details=details, calls=calls)
