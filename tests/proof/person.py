"""A person's rules in the state machine: complete a version, abandon it, take that back, backfill an account.

The commands meet the same weather as the functions. One that broke off is run again when all comes to rest, as its
message asks for.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from packer_publisher.backfill.asked import Asked
from packer_publisher.backfill.journal import Journal
from packer_publisher.backfill.run import Backfill
from packer_publisher.decision import Completion
from packer_publisher.errors import RegistryRefused, Rejected, Trouble
from packer_publisher.placement import place
from packer_publisher.snapshot import Build, BuildStatus, Version
from packer_publisher.versions import Versions
from tests.proof.accounts import ENDLESS
from tests.proof.reference import abandoned_in, declared_in, is_filled, is_noted, is_packers, lacking
from tests.proof.stage import BUCKET, FINGERPRINTS, Stage, totals
from tests.proof.unreliable import Line, Written, as_it_is
from tests.simulation.world import T0

if TYPE_CHECKING:
    from packer_publisher.backfill.run import Reading


class Person(Stage):
    """Somebody with the command line."""

    def __init__(self) -> None:
        super().__init__()
        self.typed: list[Written] = []
        self.versions = Versions(Line(self.registry, self.weather, "a person", self.typed), ENDLESS)
        self.broken_off: list[tuple[str, Completion]] = []

    @precondition(lambda self: any(self._waits(version) for version in self._versions()))
    @rule(fingerprint=st.sampled_from(FINGERPRINTS))
    def complete(self, fingerprint: str) -> None:
        """Complete a version that waits, without everything that it waits for."""
        version = as_it_is(self.registry, BUCKET, fingerprint)
        if not self._waits(version):
            return
        names = lacking(declared_in(version), version)
        names += [build.component_type for build in version.builds if _is_open(build)]
        asked = Completion(tuple(dict.fromkeys(names)))
        self.watch.without.setdefault(fingerprint, set()).update(name.casefold() for name in asked.without)
        self._complete(fingerprint, asked)

    @precondition(lambda self: any(self._waits(version) for version in self._versions()))
    @rule(fingerprint=st.sampled_from(FINGERPRINTS))
    def abandon(self, fingerprint: str) -> None:
        """Abandon a version: nobody of ours goes on with it."""
        self._mark(fingerprint, "vulnerable base")

    @precondition(lambda self: any(abandoned_in(version) for version in self._versions()))
    @rule(fingerprint=st.sampled_from(FINGERPRINTS))
    def undo(self, fingerprint: str) -> None:
        """Take that back."""
        self._mark(fingerprint, "")

    @precondition(lambda self: self.past)
    @rule(account=st.integers(0, 3), back=st.booleans())
    def backfill(self, account: int, back: bool) -> None:
        """Backfill one account, with its function's own line to HCP; trouble breaks it off."""
        owner = self.accounts[account]
        journal = Journal(":memory:")
        run = Backfill(
            journal,
            Asked((str(owner.platform),), allow_latest_back=back),
            owner.publisher.policy,
            lambda image: place(image, owner.publisher.policy),
            {owner.platform: owner.cloud},
            cast("Reading", owner.line),
            lambda: owner.publisher,
            workers=1,
            now=self.registry.clock,
            deadline=lambda: ENDLESS,
        )
        journal.plan_scopes(owner.cloud.scopes(ENDLESS))
        latest = self._latest()
        try:
            run.list_clouds(lambda *_: None)
            run.look()
            run.write()
        except (Trouble, RegistryRefused):
            totals["backfills broken off"] += 1
        totals["backfills"] += 1
        totals["versions completed by a backfill"] += sum(e.outcome == "completed" for e in journal.versions("done"))
        journal.close()
        assert back or self._created(latest) <= self._created(self._latest()), "a backfill pulled latest back"

    def _latest(self) -> str:
        """Return the fingerprint that ``latest`` points to, "" for none."""
        versions = [version for version in self._versions() if version.complete]
        return max(versions, key=lambda version: int(version.name[1:])).fingerprint if versions else ""

    def _created(self, fingerprint: str) -> datetime:
        """Return when the newest image that a version holds was created, as far as its cloud still has it."""
        held = {
            artifact for build in as_it_is(self.registry, BUCKET, fingerprint).builds for artifact in build.artifacts
        }
        images = [image for image in self.world.images.values() if held & set(image.artifacts)]
        return max((image.created_at for image in images), default=T0 - timedelta(days=1))

    def _rest(self) -> None:
        self.weather.clear()
        for fingerprint, asked in self.broken_off:
            self._complete(fingerprint, asked)
            self._look()
        super()._rest()

    def _complete(self, fingerprint: str, asked: Completion) -> None:
        try:
            version, _ = self.versions.complete(BUCKET, fingerprint, asked)
            totals["completed by a person"] += version.complete
        except Rejected:
            totals["refused to a person"] += 1
        except (Trouble, RegistryRefused):
            self.broken_off.append((fingerprint, asked))

    def _mark(self, fingerprint: str, note: str) -> None:
        try:
            self.versions.abandon(BUCKET, fingerprint, note)
            totals["abandoned by a person" if note else "taken back by a person"] += 1
        except Rejected:
            totals["refused to a person"] += 1
        except (Trouble, RegistryRefused):
            totals["in vain"] += 1

    @staticmethod
    def _waits(version: Version) -> bool:
        return version.exists and not version.complete and any(b.status is not BuildStatus.DONE for b in version.builds)


def _is_open(build: Build) -> bool:
    """Return whether a person must name the build to do without it: it is empty, or what it lists is gone."""
    return is_noted(build) or (not is_filled(build) and not is_packers(build))
