"""Handing a backfill over: a message per version on the functions' own queues, and HCP tells when each is done.

A version is sent once the one before it in its bucket is done, so that at most one of a bucket is under way: numbers
tell history, no message waits for another's, and none runs out of tries. What was sent is not sent again, unless a
person says so; what was being sent when the process was killed is, unless HCP shows it done, because two messages are
harmless, and none is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from packer_publisher.backfill.journal import Entry
from packer_publisher.backfill.prospect import predict, unlisted, worst
from packer_publisher.backfill.run import Backfill
from packer_publisher.backfill.turns import Held, Turns
from packer_publisher.backfill.version_items import refs_of
from packer_publisher.backfill.workers import several
from packer_publisher.converge import Settled
from packer_publisher.errors import ConfigurationError, CredentialsTrouble, Trouble
from packer_publisher.image import Platform
from packer_publisher.messages import Queue, orders_for, write_order
from packer_publisher.placement import Item
from packer_publisher.report import Outcome
from packer_publisher.snapshot import BuildStatus, Channel, Version
from packer_publisher.standing import MOST_DECLARED
from packer_publisher.steps import FillBuild, ReadChannel
from packer_publisher.wording import listed

PATIENCE = timedelta(minutes=30)
"""How long after it was sent a version is waited for: longer than any function lets a message rest after a failure."""
LOOKS = 3
"""How often a version is looked at by a run at least before it gives it up: what HCP shows may lag by seconds."""
SHORTEST, LONGEST, PER_SECOND = 0.5, 30.0, 20
"""Seconds between two looks at the versions under way, doubled as long as nothing happens, and how many looks at most
fall into one second where there are many."""
TRIES = 3
"""How often one message is put where the queue does not answer."""
UNDER_WAY = ("looked", "sending", "sent")


@dataclass(frozen=True, slots=True)
class Step:
    """How far a bucket came: over, or with a version under way or held; ``given_up`` is not waited for any more."""

    over: bool = False
    moved: bool = False
    given_up: bool = False
    held: Held | None = None


@dataclass
class Handover:
    """The same run as ``backfill``'s, but its versions are written by the functions behind ``queues``.

    ``pause`` waits so many seconds, less where the run is to stop. ``again`` sends once more what was sent by an
    earlier run, unless HCP shows it done: its function may have rejected it, or lost it.
    """

    backfill: Backfill
    queues: Mapping[Platform, Queue]
    patience: timedelta = PATIENCE
    pause: Callable[[float], object] | None = None
    again: bool = False
    _lock: Lock = field(default_factory=Lock)

    def run(self) -> str:
        """Send what is to be written and wait until it is done; return why something is not, or "".

        Raises CredentialsTrouble where a queue refuses, ConfigurationError where there is none, Trouble where it or the
        registry does not answer.
        """
        run, journal = self.backfill, self.backfill.journal
        out = run.left_out()
        run.pass_over(out)
        for entry in list(journal.versions("sent")) if self.again else ():
            journal.record(replace(entry, stage="sending", details=_with(entry, sent_to=[])))
        todo = [name for name, _ in journal.buckets(*UNDER_WAY) if self._next(name, out) is not None]
        self._turns = Turns(journal, todo)
        self._out = out
        self._looks: dict[tuple[str, str], int] = {}
        self._done, self._of = 0, sum(1 for name in todo for _ in journal.versions(*UNDER_WAY, bucket=name))
        seconds = 0.0
        try:
            while todo and not run.stop.is_set():
                steps = dict(zip(todo, several(run.workers, "handover", self._step, todo), strict=True))
                held = {name: step.held for name, step in steps.items() if step.held is not None}
                todo = [name for name, step in steps.items() if not step.over and not step.given_up]
                moved = any(step.moved for step in steps.values())
                if held.keys() == set(todo) and not moved and not self._turns.free(held):
                    break  # what they were built from is not finished by this run
                least = min(max(SHORTEST, len(todo) / PER_SECOND), LONGEST)
                seconds = least if moved else min(max(2 * seconds, least), LONGEST)
                if todo:
                    (self.pause or run.stop.wait)(seconds)
        except BaseException:
            run.stop.set()
            raise
        return self._problem()

    def _next(self, name: str, out: Mapping[str, str]) -> Entry | None:
        """Return a bucket's next version; of one that is left out only what is on its way already."""
        stages = UNDER_WAY[1:] if name in out else UNDER_WAY
        return next(self.backfill.journal.versions(*stages, bucket=name), None)

    def _step(self, name: str) -> Step:
        """Go on with one bucket as far as it can go now."""
        moved = False
        while not self.backfill.stop.is_set():
            entry = self._next(name, self._out)
            if entry is None:
                return Step(over=True, moved=moved)
            if entry.stage != "looked":
                entry = self._looked_at(entry)
                if entry.stage == "done":
                    moved = True
                    continue
            if entry.stage == "sent":
                return Step(moved=moved, given_up=self._is_given_up(entry))
            if held := self._turns.waits(entry):
                return Step(moved=moved, held=held)
            if self._send(entry):
                return Step(moved=True)
            moved = True
        return Step(moved=moved)

    def _is_given_up(self, entry: Entry) -> bool:
        """Return whether a version that is open is not waited for any more."""
        address = (entry.bucket, entry.fingerprint)
        looks = self._looks[address] = self._looks.get(address, 0) + 1
        return looks >= LOOKS and self.backfill.now() - sent_at(entry) >= self.patience

    def _send(self, entry: Entry) -> bool:
        """Put a version on the queues of its clouds, each of which is noted when it has it; False: it cannot be put."""
        run = self.backfill
        items = run.items(entry)
        names = sorted({name for item in items for name in item.placement.expects}, key=str.casefold)
        if len(names) > MOST_DECLARED:
            problem = [f"it consists of {len(names)} parts, more than {MOST_DECLARED}", "run it without --enqueue"]
            details = {**(entry.details or {}), "problems": [problem]}
            self._ended(replace(entry, stage="done", outcome=Outcome.REJECTED, details=details), 0)
            return False
        refs = refs_of(items, run.journal.images(entry), run.place)
        sent: list[str] = list(_details(entry).get("sent_to", []))
        for platform in sorted({ref.platform for ref in refs}):
            if platform in sent:
                continue
            own = [ref for ref in refs if ref.platform is platform]
            texts = [write_order(order) for order in orders_for(entry.bucket, entry.fingerprint, own, names)]
            run.journal.record(replace(entry, stage="sending", details=_with(entry, sent_to=sent)))
            try:
                self._put(self.queues[platform], texts)
            except (CredentialsTrouble, ConfigurationError):
                if not sent:
                    run.journal.record(entry)  # a refusal is definite: nothing is on its way
                raise
            sent = [*sent, str(platform)]
        details = _with(entry, sent_to=sent, sent_at=run.now().isoformat(timespec="seconds"))
        run.journal.record(replace(entry, stage="sent", details=details))
        return True

    def _put(self, queue: Queue, texts: Sequence[str]) -> None:
        for attempt in range(1, TRIES + 1):
            try:
                queue.put(texts)
            except CredentialsTrouble:
                raise
            except Trouble:
                if attempt == TRIES or self.backfill.stop.wait(2.0**attempt):
                    raise
            else:
                return

    def _looked_at(self, entry: Entry) -> Entry:
        """Return a version that was sent as HCP shows it now: done, or with the reason why it is not; noted, too."""
        run = self.backfill
        items = run.items(entry)
        project = items[0].placement.policy.project
        version = run.registry.get_version(entry.bucket, entry.fingerprint, run.deadline(), project)
        channels = 0

        def read_channel(call: ReadChannel) -> Channel:
            nonlocal channels
            channels += 1
            found = run.registry.get_channel(call.bucket, call.channel, run.deadline(), project)
            return found or Channel(call.channel, exists=False)

        settled, _ = predict(items, version, run.bucket(entry.bucket), read_channel)
        calls = 1 + channels
        why = open_because(settled, version, items)
        if why:
            found = replace(entry, calls=entry.calls + calls, details=_with(entry, open=why))
            run.journal.record(found)
            return found
        found = _finished(replace(entry, calls=entry.calls + calls), settled, version)
        self._ended(found, calls)
        return found

    def _ended(self, entry: Entry, calls: int) -> None:
        self.backfill.journal.record(entry)
        with self._lock:
            self._done += 1
        self.backfill.tell("write", self._done, self._of, calls, entry.outcome)

    def _problem(self) -> str:
        """Return which version that was sent is not done, the longest first."""
        left = sorted(self.backfill.journal.versions("sending", "sent"), key=sent_at)
        if not left:
            return ""
        first, more = left[0], f" (and {len(left) - 1} more)" if len(left) > 1 else ""
        why = _details(first).get("open") or "HCP Packer was not looked at since"
        return f"version {first.fingerprint} of bucket {first.bucket}{more} was sent and is not finished: {why}"


def open_because(settled: Settled, version: Version, items: Sequence[Item]) -> str:
    """Return what a version that was handed over lacks yet, "" where a function has nothing left to do.

    ``settled`` is how converging would end: the same plan that the function goes by.
    """
    if not version.exists:
        return "nothing of it is in HCP Packer yet" if items else ""
    if filled := sorted(step.component_type for step in settled.written if isinstance(step, FillBuild)):
        return f"its images are not in HCP Packer yet: {listed(filled)}"
    if settled.written:
        return "its builds are there, and not finished"
    if not version.complete and version.builds and all(b.status is BuildStatus.DONE for b in version.builds):
        return "HCP has not completed it"
    return ""


def sent_at(entry: Entry) -> datetime:
    """Return when a version was sent; one of which that is not known yet is the newest."""
    text = _details(entry).get("sent_at")
    return datetime.fromisoformat(text) if text else datetime.max.replace(tzinfo=entry.newest.tzinfo)


def _finished(entry: Entry, settled: Settled, version: Version) -> Entry:
    verdicts = (*settled.verdicts, *unlisted(settled.items, version))
    outcome = worst(verdicts)
    if outcome == Outcome.UNCHANGED:
        outcome = str(Outcome.COMPLETED if version.complete else Outcome.REGISTERED)
    problems = list(dict.fromkeys((verdict.reason, verdict.remedy) for verdict in verdicts if verdict.reason))
    details = {key: value for key, value in _details(entry).items() if key != "open"}
    details["problems"] = [list(problem) for problem in problems]
    return replace(entry, stage="done", outcome=outcome, name=version.name, details=details)


def _details(entry: Entry) -> Mapping[str, Any]:
    return entry.details or {}


def _with(entry: Entry, **more: object) -> dict[str, object]:
    return {**(entry.details or {}), **more}
