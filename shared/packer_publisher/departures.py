"""Images that are gone, carried out: what an event says, what a second look shows, what a sweep misses.

The rules are in :mod:`packer_publisher.departure`. Where no bucket says ``on_delete: revoke``, an event costs nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from packer_publisher.deadline import Deadline
from packer_publisher.departure import (
    LOOKS_APART,
    Case,
    Finding,
    Listed,
    Look,
    LookAgain,
    Sight,
    images_of,
    is_own,
    next_move,
    suspects,
)
from packer_publisher.driver import rest_after
from packer_publisher.durations import format_duration
from packer_publisher.errors import (
    ConfigurationError,
    Forbidden,
    OutcomeUnknown,
    RegistryRefused,
    RegistryTrouble,
    Rejected,
    Trouble,
)
from packer_publisher.image import Image, ImageEvent, ImageRef, ImageState, Platform
from packer_publisher.labels import IMAGE_ID
from packer_publisher.messages import LookAgainOrder, Queue, write_order
from packer_publisher.placement import is_ours, policy_for
from packer_publisher.policy import BucketPolicy, Policy
from packer_publisher.protocols import Cloud, Registry
from packer_publisher.report import TELLING, Outcome, Report
from packer_publisher.snapshot import Version
from packer_publisher.steps import RevokeVersion, SetLabels

REST = timedelta(minutes=2)
"""How old an event is before HCP is searched: how soon the search finds what was just written is not documented."""
AHEAD = timedelta(hours=1)
"""How far an event may be in the future; one from further on tells nothing of its age, and is not kept until then."""
MOST_HITS = 50
"""Places of one image that are looked at: each is a version, and a read of it."""
MOST_LOOKS = 32
"""Images that one sweep looks for beside its scan."""
PATIENCE = 6
"""How often writes may be refused, or replies be lost, before the event is left to a retry."""
INVALID_ARGUMENT = 3

OFF = "HCP_PACKER_REGISTRY is off: nothing was written"


class Departures:
    """One deployment's images that are gone; ``registry`` and ``cloud`` are called when first needed."""

    def __init__(
        self,
        policy: Policy,
        registry: Callable[[], Registry],
        cloud: Callable[[Platform], Cloud],
        now: Callable[[], datetime],
        *,
        off: bool = False,
    ) -> None:
        self._policy = policy
        self._registry = registry
        self._cloud = cloud
        self._now = now
        self._off = off
        revoking = [rule.policy.project for rule in policy.rules if rule.policy.on_delete == "revoke"]
        self._projects = tuple(dict.fromkeys(revoking))

    @property
    def matter(self) -> bool:
        """Return whether the configuration wants to hear of images that are gone, in any bucket."""
        return bool(self._projects)

    def on_event(self, event: ImageEvent, deadline: Deadline, queue: Queue | None) -> Report:
        """Act on an image's own event that it was deleted; every way it can end is a report.

        Of several versions that list it the report is the one that tells most, with a note on each other.
        """
        if self._off:
            return _report(Outcome.IGNORED, event.ref, OFF)
        if event.tags is not None and not is_ours(event.tags, self._policy):
            return _report(Outcome.IGNORED, event.ref, "carried no contract tag")
        age = self._now() - event.time
        if -AHEAD < age < REST:
            reason = f"the event is younger than {format_duration(REST)}: HCP may not find yet what was just written"
            return replace(_report(Outcome.DEFERRED, event.ref, reason), retry_after=_seconds(REST - age))
        return _reported(event.ref, lambda: self._on_event(event, deadline, queue))

    def look_again(self, order: LookAgainOrder, deadline: Deadline, queue: Queue | None) -> Report:
        """Make the second look that a message asks for, when it is due; every way it can end is a report."""
        ref, now = order.images[0].ref, self._now()
        if self._off:
            return _report(Outcome.IGNORED, ref, OFF)
        if order.first > now + LOOKS_APART:
            return _report(Outcome.REJECTED, ref, "the message tells of a first look that is still to come")
        if now < order.first + LOOKS_APART:
            left = order.first + LOOKS_APART - now
            report = _report(Outcome.DEFERRED, ref, f"it is looked for again {format_duration(LOOKS_APART)} later")
            return replace(report, retry_after=_seconds(left))
        return _reported(ref, lambda: self._look_again(order, deadline, queue))

    def first_looks(
        self, seen: Iterable[tuple[Version, Sequence[Image]]], deadline: Deadline, queue: Queue | None, least: float
    ) -> tuple[Report, ...]:
        """Look for what open versions list and a scan has not seen (by version, as read); report what is not there.

        For each version of which something is missed a message asks for the second look. Nothing is asked of the
        registry; ``least`` seconds of the deadline are left alone. Of more than MOST_LOOKS images any so many are
        looked for, so that those which are there do not stand before the others in every sweep.
        """
        wanted = [(version, image) for version, images in seen for image in suspects(version, images[0].owner, images)]
        if len(wanted) > MOST_LOOKS:
            wanted = random.sample(wanted, MOST_LOOKS)
        reports: list[Report] = []
        missed: dict[tuple[str, str], tuple[Version, list[Listed]]] = {}
        for version, image in wanted:
            if deadline.remaining() < least:
                break
            try:
                if self._sight(image, deadline) is Sight.ABSENT:
                    missed.setdefault((version.bucket, version.fingerprint), (version, []))[1].append(image)
            except (Forbidden, Rejected):
                continue  # a region that denies access, tags that are broken: that is no sign of absence
            except Trouble as trouble:
                reports.append(_in_trouble(image.ref, trouble))
        return (*reports, *(self._missed(version, tuple(images), queue) for version, images in missed.values()))

    def _on_event(self, event: ImageEvent, deadline: Deadline, queue: Queue | None) -> Report:
        ref, gone = event.ref, Listed(event.ref, dict(event.identity).get(IMAGE_ID, ""))
        if self._sight(gone, deadline) is not Sight.ABSENT:
            return _report(Outcome.IGNORED, ref, "the image is there; nothing is changed in HCP")
        if not self._cloud(ref.platform).speaks_for(ref.owner_id, deadline):
            return _report(Outcome.IGNORED, ref, f"belongs to {ref.owner}, whose own function judges it")
        before = self._registry().calls
        reports = [
            self._settle(case, bucket, fingerprint, project, deadline, queue)
            for project in self._projects
            for bucket, fingerprint in self._places(gone, project, deadline)
            for case in (Case(ref.owner, (gone,), revoke=True, sights=((gone, Sight.GONE),), searched=True),)
        ]
        if not reports:
            reason = "the image is gone, and no build of its account lists it in a bucket with on_delete: revoke"
            reports = [_report(Outcome.IGNORED, ref, reason)]
        return replace(_together(reports), calls=self._registry().calls - before)

    def _look_again(self, order: LookAgainOrder, deadline: Deadline, queue: Queue | None) -> Report:
        ref = order.images[0].ref
        rules = policy_for(order.bucket, self._policy)
        if not self._cloud(ref.platform).speaks_for(ref.owner_id, deadline):
            return _report(Outcome.IGNORED, ref, f"belongs to {ref.owner}, whose own function judges it")
        before = self._registry().calls
        case = Case(ref.owner, order.images, revoke=rules.on_delete == "revoke")
        report = self._settle(case, order.bucket, order.fingerprint, rules.project, deadline, queue)
        return replace(report, calls=self._registry().calls - before)

    def _places(self, gone: Listed, project: str | None, deadline: Deadline) -> Iterator[tuple[str, str]]:
        """Yield the versions of buckets with ``on_delete: revoke`` in which a build of the image's owner lists it."""
        ref = gone.ref
        try:
            hits = self._registry().search_artifact(
                ref.identifier, str(ref.platform), deadline, project, limit=MOST_HITS
            )
        except RegistryRefused as refusal:
            raise RegistryTrouble(f"HCP Packer refused to be searched: {refusal}", remedy=refusal.remedy) from refusal
        found: dict[tuple[str, str], None] = {}
        for hit in hits:
            rules = self._rules(hit.bucket)
            if rules is None or rules.on_delete != "revoke" or rules.project != project:
                continue
            if is_own(hit.build, ref.owner) and any(gone.is_same(image) for image in images_of(hit.build)):
                found[hit.bucket, hit.fingerprint] = None
        yield from found

    def _rules(self, bucket: str) -> BucketPolicy | None:
        try:
            return policy_for(bucket, self._policy)
        except Rejected:
            return None  # a bucket that this deployment has no say in

    def _settle(
        self,
        case: Case,
        bucket: str,
        fingerprint: str,
        project: str | None,
        deadline: Deadline,
        queue: Queue | None,
    ) -> Report:
        """Read, look and write until the end; after a refusal or a lost reply the version is read again first."""
        version: Version | None = None
        setbacks = 0
        while True:
            if version is None:
                version = self._read(bucket, fingerprint, deadline, project)
            move = next_move(case, version)
            match move:
                case Finding():
                    return _found(case, version, move)
                case LookAgain():
                    return _found(case, version, self._ask_again(version, move.images, queue, move.reason))
                case Look(image):
                    case = case.seen(image, self._second_sight(case, image, deadline))
                case SetLabels() | RevokeVersion():
                    try:
                        version = self._write(move, version, deadline, project)
                    except (RegistryRefused, OutcomeUnknown) as setback:
                        setbacks += 1
                        _bear(setback, setbacks, version, deadline)
                        version = None
                    if isinstance(move, RevokeVersion):
                        case = replace(case, sent=True)

    def _read(self, bucket: str, fingerprint: str, deadline: Deadline, project: str | None) -> Version:
        try:
            return self._registry().get_version(bucket, fingerprint, deadline, project)
        except RegistryRefused as refusal:
            raise RegistryTrouble(f"HCP Packer refused to be read: {refusal}", remedy=refusal.remedy) from refusal

    def _write(
        self, move: SetLabels | RevokeVersion, version: Version, deadline: Deadline, project: str | None
    ) -> Version:
        registry = self._registry()
        if isinstance(move, SetLabels):
            return version.with_build(registry.update_build(move, deadline, project))
        return registry.revoke_version(move.bucket, move.fingerprint, move.message, deadline, project)

    def _sight(self, image: Listed, deadline: Deadline) -> Sight:
        """Return what the image's own cloud says now: ABSENT or THERE. Raises as ``describe``."""
        shown = self._cloud(image.ref.platform).describe(image.ref, deadline)
        if shown is None or shown.state is ImageState.GONE:
            return Sight.ABSENT
        number = dict(shown.identity).get(IMAGE_ID, "")
        return Sight.ABSENT if image.number and number and number != image.number else Sight.THERE

    def _second_sight(self, case: Case, image: Listed, deadline: Deadline) -> Sight:
        """Return what is known of an image after a look; an image that the message names was missed before."""
        try:
            sight = self._sight(image, deadline)
        except Forbidden:
            if not case.sights:
                raise  # nothing was seen yet: EC2 says so of keys that are deleted, too
            return Sight.HIDDEN
        except Rejected:
            return Sight.THERE  # it is there, and its tags are broken; of what can be nowhere nothing is known
        return Sight.ABSENT_AGAIN if sight is Sight.ABSENT and case.names(image) else sight

    def _missed(self, version: Version, images: tuple[Listed, ...], queue: Queue | None) -> Report:
        names = ", ".join(image.at for image in images)
        reason = f"{version.at} lists what is not to be found: {names}; it is looked for again before it is noted"
        finding = self._ask_again(version, images, queue, reason)
        case = Case(images[0].ref.owner, images, revoke=False)
        return _found(case, version, finding)

    def _ask_again(self, version: Version, images: tuple[Listed, ...], queue: Queue | None, reason: str) -> Finding:
        """Put the message on the queue that asks for the second look; say so where there is no queue."""
        if queue is None:
            by_hand = "revoke the version in HCP Packer" if version.complete else "let the function sweep"
            remedy = f"name the function's own queue in PUBLISHER_QUEUE, or {by_hand}"
            return Finding(Outcome.WAITING, f"{reason}, which takes a queue, and there is none", remedy)
        order = LookAgainOrder(version.bucket, version.fingerprint, self._now(), images)
        try:
            queue.put([write_order(order)])
        except Trouble as trouble:
            why, after = f"{reason}, but {trouble}", trouble.retry_after
            return Finding(Outcome.DEFERRED, why, trouble.remedy, retry_after=after)
        remedy = f"nothing: the function itself does so {format_duration(LOOKS_APART)} from now"
        return Finding(Outcome.WAITING, reason, remedy)


def _bear(setback: RegistryRefused | OutcomeUnknown, setbacks: int, version: Version, deadline: Deadline) -> None:
    """Let a setback pass, so that the version is read again; raise where that would lead to nothing."""
    if isinstance(setback, RegistryRefused) and setback.code == INVALID_ARGUMENT:
        raise setback
    if setbacks > PATIENCE:
        raise RegistryTrouble(f"HCP Packer keeps refusing to change {version.at}: {setback}") from setback
    rest_after(setback, setbacks, deadline)


def _reported(ref: ImageRef, act: Callable[[], Report]) -> Report:
    try:
        return act()
    except (Trouble, ConfigurationError) as trouble:
        return _in_trouble(ref, trouble)
    except (Rejected, RegistryRefused) as problem:
        return _report(Outcome.REJECTED, ref, str(problem), problem.remedy)


def _found(case: Case, version: Version, finding: Finding) -> Report:
    """Return the report of a finding; the image is the first of those that the case is about."""
    image = case.images[0].ref
    return replace(
        _report(finding.outcome, image, finding.reason, finding.remedy),
        bucket=version.bucket,
        fingerprint=version.fingerprint,
        version=version.name,
        waits_for=finding.waits_for,
        retry_after=finding.retry_after,
    )


def _together(reports: Sequence[Report]) -> Report:
    """Return the report that tells most, with a note on each of the others."""
    first, *others = sorted(reports, key=lambda report: TELLING.index(report.outcome))
    notes = [f"{report.outcome} in {report.bucket}/{report.fingerprint}: {report.reason}" for report in others]
    return replace(first, notes=(*first.notes, *notes))


def _in_trouble(ref: ImageRef, trouble: Trouble | ConfigurationError) -> Report:
    retry_after = trouble.retry_after if isinstance(trouble, Trouble) else None
    return replace(_report(Outcome.DEFERRED, ref, str(trouble), trouble.remedy), retry_after=retry_after)


def _report(outcome: Outcome, ref: ImageRef, reason: str, remedy: str = "") -> Report:
    return Report(
        outcome,
        image=ref.identifier,
        platform=str(ref.platform),
        owner=ref.owner,
        region=ref.region,
        reason=reason,
        remedy=remedy,
    )


def _seconds(left: timedelta) -> float:
    return min(max(left.total_seconds(), 1.0), LOOKS_APART.total_seconds() * 2)
