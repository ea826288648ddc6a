"""What must hold after every single step, seen from outside: the registry as it is, and the book of our writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from packer_publisher.image import Image, ImageRef
from packer_publisher.placement import Placement
from packer_publisher.report import Outcome
from packer_publisher.snapshot import BuildStatus, Version
from packer_publisher.steps import CreateBuild, FillBuild, SetLabels, SetStatus
from tests.proof.packer import PackerRun
from tests.proof.reference import MARKER, OWNER, abandoned_in, declared_in, holds, is_filled, is_packers, lacking
from tests.proof.unreliable import Written

QUIET, LIFE = timedelta(hours=6), timedelta(minutes=30)
HELD = (Outcome.REGISTERED, Outcome.UNCHANGED, Outcome.WAITING, Outcome.COMPLETED)


@dataclass
class Watch:
    """The memory of what was seen: declared names and acknowledged images by version, filled builds by id."""

    declared: dict[str, dict[str, set[ImageRef]]] = field(default_factory=dict)  # names, and who said so
    acknowledged: dict[str, dict[ImageRef, str]] = field(default_factory=dict)
    filled: dict[str, frozenset[tuple[str, str]]] = field(default_factory=dict)
    complete: dict[str, datetime] = field(default_factory=dict)  # since when
    without: dict[str, set[str]] = field(default_factory=dict)  # what a person decided to do without
    read: int = 0  # how much of the book was checked

    def heard(self, ref: ImageRef, outcome: Outcome, placement: Placement, version: Version) -> None:
        """Remember that an image's event was acknowledged while its version is open: it must not be lost now.

        An image whose component type a run of Packer holds is Packer's to register: it is only waited for.
        """
        build = version.build(placement.component_type)
        if outcome not in HELD or version.complete or (build is not None and is_packers(build)):
            return
        names = self.declared.setdefault(version.fingerprint, {})
        for name in placement.expects:
            names.setdefault(name, set()).add(ref)
        self.acknowledged.setdefault(version.fingerprint, {})[ref] = placement.component_type

    def violations(
        self,
        versions: Sequence[Version],
        book: Sequence[Written],
        runs: Sequence[PackerRun],
        images: Mapping[ImageRef, Image],
        now: datetime,
        *,
        racing: bool,
        stale: bool,
    ) -> list[str]:
        """Return what is wrong now and was not before, in words.

        ``racing`` says that functions are under way, ``stale`` that reads may not show the last write yet.
        """
        found = [problem for entry in book[self.read :] for problem in _overstepped(entry)]
        if not racing and not stale:
            late = [entry for entry in book[self.read :] if abandoned_in(entry.version)]
            found += [f"{entry.writer} wrote into an abandoned version" for entry in late]
        finished = {entry.step.fingerprint for entry in book[self.read :] if isinstance(entry.step, SetStatus)}
        self.read = len(book)
        for version in versions:
            found += self._changed(version)
            if version.complete and version.fingerprint not in self.complete:
                found += self._completed(version, images)
                if version.fingerprint in finished and not self._declared(version, images):
                    found += self._finished(version, versions, now, LIFE if racing else timedelta(0))
                self.complete[version.fingerprint] = now
        for run in runs:
            given_up = self.without.get(run.fingerprint, set())
            refusals = [refusal for refusal in run.refusals if refusal.split()[0].casefold() not in given_up]
            found += [f"Packer's update of its own build was refused: {refusal}" for refusal in refusals]
        return found

    def _changed(self, version: Version) -> list[str]:
        """Return builds that are there twice, went away, or were changed after they were whole."""
        names = [build.component_type.casefold() for build in version.builds]
        found = [f"{version.fingerprint}: {name} is there twice" for name in {n for n in names if names.count(n) > 1}]
        for build in version.builds:
            if build.id in self.filled and self.filled[build.id] != holds(build):
                found.append(f"{version.fingerprint}: the whole build {build.component_type} was changed")
            if is_filled(build) and not is_packers(build):
                self.filled.setdefault(build.id, holds(build))
        return found

    def _declared(self, version: Version, images: Mapping[ImageRef, Image]) -> frozenset[str]:
        """Return what was declared; of what is not written down, but what only images said that do not count now.

        A person did without their part, or it holds another image since, which is a conflict and told as one.
        """
        heard = self.declared.get(version.fingerprint, {})
        counting = {ref for said_by in heard.values() for ref in said_by if self._counts(ref, version, images)}
        return declared_in(version).union(name for name, said_by in heard.items() if said_by & counting)

    def _counts(self, ref: ImageRef, version: Version, images: Mapping[ImageRef, Image]) -> bool:
        component_type = self.acknowledged[version.fingerprint][ref]
        build = version.build(component_type)
        own = {(a.region, a.external_identifier) for a in images[ref].artifacts} if ref in images else set()
        taken = build is not None and is_filled(build) and not own <= holds(build)
        return not taken and component_type.casefold() not in self.without.get(version.fingerprint, set())

    def _finished(self, version: Version, versions: Sequence[Version], now: datetime, life: timedelta) -> list[str]:
        """Return why a version that declares nothing should not have been finished by us: not quiet, or superseded."""
        ours = [build for build in version.builds if not is_packers(build)]
        added = [time for build in ours for time in (build.created_at, build.artifacts_created_at) if time is not None]
        found = []
        if now - max(added) < QUIET:
            found.append(f"{version.fingerprint} declares nothing and was finished {now - max(added)} after an image")
        for other in versions:
            since = self.complete.get(other.fingerprint)
            # A newer one that completes while a function is at work may be missed.
            first = other.complete and int(other.name[1:]) < int(version.name[1:])
            if first and since is not None and now - since >= life and _created(other) > _created(version):
                found.append(f"{version.fingerprint} was finished after {other.fingerprint}, and pulled latest back")
        return found

    def _completed(self, version: Version, images: Mapping[ImageRef, Image]) -> list[str]:
        """Return what was declared or acknowledged before and is not in the version that has just completed."""
        # Packer may write FAILED over a DONE that has just completed the version, where its reply was lost.
        builds = [replace(b, status=BuildStatus.DONE) if b.platform and b.artifacts else b for b in version.builds]
        version = replace(version, builds=tuple(builds))
        given_up = self.without.get(version.fingerprint, set())
        names = [name for name in lacking(self._declared(version, images), version) if name.casefold() not in given_up]
        found = [f"{version.fingerprint} completed early, without {name}" for name in names]
        held = frozenset(item for build in version.builds for item in holds(build))
        for ref, component_type in self.acknowledged.get(version.fingerprint, {}).items():
            build = version.build(component_type)
            own = {(a.region, a.external_identifier) for a in images[ref].artifacts} if ref in images else set()
            # Another image may have filled the build that this one held open: a conflict, and told as one.
            if component_type.casefold() in given_up:
                continue
            if not own <= held and (build is None or not is_filled(build)):
                found.append(f"{version.fingerprint} completed without {ref.identifier}, which was acknowledged")
        return found


def _created(version: Version) -> datetime:
    assert version.created_at is not None
    return version.created_at


def _overstepped(entry: Written) -> list[str]:
    """Return how a write of ours touched what is not the writer's."""
    step, before = entry.step, entry.before
    if isinstance(step, CreateBuild):
        there = entry.version.build(step.component_type)
        return [f"{entry.writer} created {step.component_type} a second time"] if there is not None else []
    if before is None:
        return [f"{entry.writer} wrote an unknown build"] if isinstance(step, FillBuild | SetStatus | SetLabels) else []
    if not before.label(MARKER) or is_packers(before):
        return [f"{entry.writer} wrote {before.component_type}, which is a stranger's: {step}"]
    if isinstance(step, SetStatus):
        return [] if is_filled(before) else [f"{entry.writer} set {before.component_type} {step.status} while empty"]
    if before.label(OWNER) not in ("", entry.writer):
        return [f"{entry.writer} wrote {before.component_type} of {before.label(OWNER)}: {step}"]
    again = isinstance(step, FillBuild) and before.platform
    return [f"{entry.writer} filled {before.component_type} again"] if again else []
