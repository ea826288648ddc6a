"""Whose turn it is: buckets at the same time, but what was built from another bucket's version after that version.

HCP takes the parents of a build once, with the write that fills it, and only a complete version can be one. So a
version waits until the versions of other buckets are done that hold what its images were built from, as far as this
very run writes them. Two buckets that wait for each other wait for nothing: the older of the two versions goes first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from queue import SimpleQueue

from packer_publisher.backfill.journal import Entry, Journal

Address = tuple[str, str]
"""Bucket and fingerprint."""


@dataclass(frozen=True, slots=True)
class Held:
    """A bucket that does not go on: its next version waits for a base of another bucket."""

    child: Entry
    base: Address


class Turns:
    """The order in which the buckets of one run are worked on. ``buckets`` are those that the run writes."""

    def __init__(self, journal: Journal, buckets: Collection[str]) -> None:
        self._journal = journal
        self._buckets = frozenset(buckets)
        self._free: set[Address] = set()
        self._told: SimpleQueue[tuple[str, Held | BaseException | Address | None]] = SimpleQueue()

    def waits(self, entry: Entry) -> Held | None:
        """Return why it is not a version's turn yet, None where it is."""
        if (entry.bucket, entry.fingerprint) in self._free:
            return None
        for bucket, fingerprint in self._journal.bases(entry):
            if bucket in self._buckets and self._is_open((bucket, fingerprint)):
                return Held(entry, (bucket, fingerprint))
        return None

    def done(self, entry: Entry) -> None:
        """Tell that a version is done: who waited for it goes on, while its bucket goes on as well."""
        self._told.put((entry.bucket, (entry.bucket, entry.fingerprint)))

    def free(self, held: Mapping[str, Held]) -> str:
        """Let one of the buckets go on that wait for each other; return its name, "" where none do."""
        for name in sorted(held):
            seen: list[str] = []
            while name in held and name not in seen:
                seen.append(name)
                name = held[name].base[0]
            if name in held:
                circle = [held[member].child for member in seen[seen.index(name) :]]
                oldest = min(circle, key=lambda entry: (entry.newest, entry.bucket))
                self._free.add((oldest.bucket, oldest.fingerprint))
                return oldest.bucket
        return ""

    def run(self, pool: Executor, work: Callable[[str], Held | None], order: Iterable[str]) -> dict[str, Held]:
        """Do the work of every bucket, and again of those that it left waiting, once their bases are done.

        Returns the buckets that are left waiting for a base that this run does not finish. Raises what the work raises.
        """
        held: dict[str, Held] = {}
        active = 0
        for name in order:
            active += 1
            pool.submit(self._work, work, name)
        while active:
            name, told = self._told.get()
            if isinstance(told, BaseException):
                raise told
            if isinstance(told, Held):
                held[name] = told
            if isinstance(told, tuple):
                ready = [waiting for waiting in held if held[waiting].base == told]
            else:
                active -= 1
                ready = [waiting for waiting in held if not self._is_open(held[waiting].base)]
            if not active and not ready:
                ready = [first] if (first := self.free(held)) else []
            for waiting in ready:
                del held[waiting]
                active += 1
                pool.submit(self._work, work, waiting)
        return held

    def _work(self, work: Callable[[str], Held | None], name: str) -> None:
        try:
            told: Held | BaseException | None = work(name)
        except BaseException as error:  # noqa: BLE001 (the thread that waits raises it)
            told = error
        self._told.put((name, told))

    def _is_open(self, address: Address) -> bool:
        found = self._journal.version(*address)
        return found is not None and found.stage != "done"
