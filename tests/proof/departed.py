"""Images that go away and come back, in the state machine: their events, the second looks, and what must never be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from packer_publisher.image import Change, Image, ImageRef
from packer_publisher.messages import LookAgainOrder, Queue, read_order
from packer_publisher.report import Outcome
from packer_publisher.snapshot import Version
from packer_publisher.steps import FillBuild, RevokeVersion, SetLabels, SetStatus
from tests.proof.accounts import ENDLESS, Account
from tests.proof.person import Person
from tests.proof.reference import MARKER, OWNER, is_noted, is_packers
from tests.proof.stage import none_of, totals
from tests.proof.unreliable import Written

MOST_GONE = 4
LOOK = timedelta(minutes=11)


@dataclass
class Post:
    """One account's own queue, as far as it writes there itself."""

    account: Account
    letters: list[tuple[Account, LookAgainOrder]]

    def put(self, messages: Sequence[str]) -> None:
        for text in messages:
            order = read_order(json.loads(text), self.account.platform)
            if isinstance(order, LookAgainOrder):
                self.letters.append((self.account, order))


class Departed(Person):
    """Somebody deletes images and restores them; each account looks again for what it missed."""

    def __init__(self) -> None:
        super().__init__()
        self.letters: list[tuple[Account, LookAgainOrder]] = []
        self.bin: dict[ImageRef, Image] = {}
        self.judged = 0
        self.resting = False

    @precondition(lambda self: len(self._tagged()) > 1 and len(self.bin) < MOST_GONE)
    @rule(which=st.integers(0, 7), all_regions=st.booleans())
    def deregister(self, which: int, all_regions: bool) -> None:
        """An image goes away, in one region or in all of them; its events say so."""
        chosen = self.world.images[self._pick(which)]
        for ref, image in list(self.world.images.items()):
            same = all_regions and (image.owner, image.name) == (chosen.owner, chosen.name)
            if same or ref == chosen.ref:
                self.bin[ref] = self.world.images.pop(ref)
                self._emit(ref, Change.DELETED)

    @precondition(lambda self: self.bin)
    @rule(which=st.integers(0, 7))
    def restore(self, which: int) -> None:
        """It is taken from the recycle bin, as it was."""
        ref = sorted(self.bin, key=str)[which % len(self.bin)]
        self.world.images[ref] = self.bin.pop(ref)
        self._emit(ref)

    @precondition(lambda self: self.letters)
    @rule(which=st.integers(0, 7))
    def second_look(self, which: int) -> None:
        """A message of a function's own queue is delivered, due or not; one that is not stays."""
        self._open(self.letters.pop(which % len(self.letters)))

    @invariant()
    def nothing_is_judged_wrongly(self) -> None:
        """What our functions wrote about images that are gone is so, by the clouds themselves."""
        racing = bool(self.flights) or self.registry.model.switches.read_after_write == "stale"
        new, self.judged = self.book[self.judged :], len(self.book)
        none_of([problem for entry in new for problem in self._misjudged(entry, racing=racing)])

    def _misjudged(self, entry: Written, *, racing: bool) -> list[str]:
        match entry.step:
            case RevokeVersion():
                totals["revoked"] += 1
                return self._not_to_be_revoked(entry)
            case SetLabels(labels=labels):
                noted = {name for key, value in labels if key.split("-")[0] == "gone" for name in value.split()}
                there = {a.external_identifier for image in self.world.images.values() for a in image.artifacts}
                totals["noted gone"] += bool(noted)
                wrong = sorted(noted & there) if not racing else []
                return [f"{entry.writer} noted {name} to be gone, which is there" for name in wrong]
            case SetStatus() | FillBuild() if entry.before is not None and is_noted(entry.before) and not racing:
                return [f"{entry.writer} went on with {entry.before.component_type}, whose image is gone"]
        return []

    def _not_to_be_revoked(self, entry: Written) -> list[str]:
        """Return why a version should not have been revoked."""
        version: Version = entry.version
        there = {a.external_identifier for image in self.world.images.values() for a in image.artifacts}
        found = [f"{entry.writer} revoked {version.fingerprint} under ignore"] if not self._revokes() else []
        if not version.complete:
            found.append(f"{entry.writer} revoked {version.fingerprint}, which is open")
        for build in version.builds:
            listed = {artifact.external_identifier for artifact in build.artifacts}
            if listed and (is_packers(build) or not build.label(MARKER) or build.label(OWNER) != entry.writer):
                found.append(f"{entry.writer} revoked {version.fingerprint} with {build.component_type} of another")
            found += [f"{entry.writer} revoked {version.fingerprint}, and {name} is there" for name in listed & there]
        return found

    def _revokes(self) -> bool:
        return any(rule.policy.on_delete == "revoke" for rule in self.accounts[0].publisher.policy.rules)

    def _post(self, account: Account) -> Queue | None:
        return Post(account, self.letters)

    def _open(self, letter: tuple[Account, LookAgainOrder]) -> None:
        account, order = letter
        report = account.publisher.departures.look_again(order, ENDLESS, self._post(account))
        totals[f"second look {report.outcome}"] += 1
        if report.outcome is Outcome.DEFERRED:
            self.letters.append(letter)
        self._look()

    def _forward(self, time: timedelta) -> None:
        super()._forward(time)
        if self.resting:
            letters, self.letters = self.letters, []
            for letter in letters:
                self._open(letter)

    def _rest(self) -> None:
        self.resting = True
        super()._rest()
        self.nothing_is_judged_wrongly()
        none_of(
            [
                f"{version.fingerprint} is revoked under ignore"
                for version in self._versions()
                if version.revoked and not self._revokes()
            ]
        )
