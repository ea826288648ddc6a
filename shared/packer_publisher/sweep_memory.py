"""What a process remembers between sweeps, so that a version that is complete is not read again and again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from packer_publisher.placement import Item
from packer_publisher.publish import Publication
from packer_publisher.report import Outcome

REMEMBERED = 4096
"""Versions that a process remembers as complete: a few hundred bytes each."""

_SETTLED = (Outcome.COMPLETED, Outcome.UNCHANGED, Outcome.LATE)

Address = tuple[str, str]
"""A bucket and a fingerprint."""


@dataclass(slots=True)
class Memory:
    """What a process remembers between sweeps: versions seen complete, which are not read again, and those in trouble.

    A version is read again once it has another image, or one that is placed otherwise (``hcp-packer-channels`` added
    later). Both are bounded: the oldest entry makes room.
    """

    most: int = REMEMBERED
    complete: OrderedDict[Address, int] = field(default_factory=OrderedDict)
    troubled: OrderedDict[Address, None] = field(default_factory=OrderedDict)

    def knows(self, version: Address, items: Iterable[Item]) -> bool:
        """Return whether the version was seen complete with these very images."""
        return self.complete.get(version) == _fingerprint(items)

    def learn(self, version: Address, items: Iterable[Item], publications: Sequence[Publication]) -> None:
        """Take in how a version fared."""
        self.troubled.pop(version, None)
        if any(publication.report.outcome is Outcome.DEFERRED for publication in publications):
            self.troubled[version] = None
        elif _all_there(publications):
            self.complete.pop(version, None)
            self.complete[version] = _fingerprint(items)
        for entries in (self.complete, self.troubled):
            while len(entries) > self.most:
                entries.popitem(last=False)


def _fingerprint(items: Iterable[Item]) -> int:
    return hash(frozenset((item.image.ref, item.placement) for item in items))


def _all_there(publications: Sequence[Publication]) -> bool:
    return all(
        publication.version is not None
        and publication.version.complete
        and publication.report.outcome in _SETTLED
        and not publication.version.channels  # one that asks for channels is looked at again: others may move them
        for publication in publications
    )
