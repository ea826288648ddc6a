"""The sweep: converge the versions of a cloud's own tagged images of a window, whatever became of their events.

It heals lost events and finishes what has become due. It never lists the registry: no tagged image in the window
means no call to it at all. It is bounded in time and calls: what it does not reach it hands over to the function's
own queue, a message for each version, and keeps no cursor; what does not fit there the next sweep takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, runtime_checkable

from packer_publisher.deadline import Deadline
from packer_publisher.errors import CredentialsTrouble, RegistryTrouble, Rejected, Trouble
from packer_publisher.expectation import quiet_since
from packer_publisher.image import Image, ImageRef, ImageState, Platform
from packer_publisher.messages import MOST_MESSAGES, Queue, orders_for, write_order
from packer_publisher.overdue import Overdue, overdue
from packer_publisher.placement import Item, place
from packer_publisher.protocols import Scan
from packer_publisher.publish import Publication, Publisher
from packer_publisher.report import TELLING, Outcome, Report
from packer_publisher.snapshot import Version
from packer_publisher.sweep_memory import Address
from packer_publisher.sweep_memory import Memory as Memory
from packer_publisher.wording import listed

MARGIN = 20.0
"""Seconds of the deadline that must be left for another version to be begun."""
RESERVE = 8.0
"""Seconds of the deadline that no version may use: handing over the others fits into them."""
VERSION_SECONDS = 30.0
"""The most that one version may take, retries included: one in trouble must not use up the time of all others."""
TROUBLES = 3
"""After so many versions of one HCP project in trouble, one after the other, the rest is left to the next sweep."""


@dataclass(frozen=True, slots=True)
class Swept:
    """One version as the sweep left it.

    ``outcome`` is the most telling one of its images; ``name`` is HCP's (``v0`` while open, "" where it was not
    read); ``since`` is when something was last added to it while it is open.
    """

    bucket: str
    fingerprint: str
    outcome: Outcome
    name: str = ""
    waits_for: tuple[str, ...] = ()
    since: datetime | None = None
    changed: bool = False
    overdue: Overdue | None = None


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one sweep did, and everything that it did not do.

    ``publications`` hold a report for each build (see :func:`as_builds`), ``rejected`` those of images that belong
    nowhere. ``not_reached`` are the versions that there was no time for and no message either, ``handed_over`` those
    for which messages were put on the queue. ``denied`` are regions that refused to be looked at, with their reasons.
    ``known`` counts the versions that were not read because this process has seen them complete. ``problem`` says
    why versions were not reached, where that was trouble and not time. ``missed`` are reports of open versions that
    list what is not to be found.
    """

    publications: tuple[Publication, ...] = ()
    rejected: tuple[Report, ...] = ()
    versions: tuple[Swept, ...] = ()
    not_reached: tuple[Address, ...] = ()
    handed_over: tuple[Address, ...] = ()
    denied: tuple[tuple[str, str], ...] = ()
    images: int = 0
    known: int = 0
    problem: str = ""
    missed: tuple[Report, ...] = ()

    @property
    def reports(self) -> tuple[Report, ...]:
        """Return the reports on all images that were looked at more closely, the broken ones first."""
        return (*self.rejected, *self.missed, *(publication.report for publication in self.publications))

    @property
    def overdue(self) -> tuple[Overdue, ...]:
        """Return the versions that wait too long, the longest first."""
        found = [version.overdue for version in self.versions if version.overdue is not None]
        return tuple(sorted(found, key=lambda version: version.waiting, reverse=True))


@runtime_checkable
class Denying(Protocol):
    """A cloud that notes which of its regions refused to be looked at (AWS)."""

    denied: dict[str, str]


@runtime_checkable
class PassingOver(Protocol):
    """A cloud that notes which images its scan passed over because they break the contract (Google Cloud)."""

    broken: dict[str, Rejected | Trouble]


class Scanned(Scan, Protocol):
    """A cloud that can be scanned, and says which one it is."""

    @property
    def platform(self) -> str:
        """Return the platform's word."""


def sweep(
    publisher: Publisher,
    cloud: Scanned,
    since: datetime,
    until: datetime | None,
    deadline: Deadline,
    memory: Memory | None = None,
    queue: Queue | None = None,
    *,
    bucket: str = "",
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Sweep:
    """Converge every version that an image of the window belongs to, the oldest first, and report on each.

    Versions that were in trouble in this process's last sweep come last. ``bucket`` leaves out all others.
    ``dry_run`` writes nothing, hands nothing over and remembers nothing. ``progress``
    is told how many versions of how many are done. What own open builds list although the scan has not seen it is
    looked for, and a message on the queue asks for a second look. Raises Trouble where the cloud cannot be listed;
    trouble with single versions is in their reports.
    """
    memory = memory if memory is not None and not dry_run else Memory()
    if isinstance(cloud, Denying):
        cloud.denied.clear()
    images = list(cloud.scan(since, until, deadline))
    denied = tuple(sorted(cloud.denied.items())) if isinstance(cloud, Denying) else ()
    versions, rejected = by_version(publisher, images, bucket)
    if isinstance(cloud, PassingOver) and not bucket:
        rejected += [_broken(cloud.platform, image, problem) for image, problem in cloud.broken.items()]
    work = {version: items for version, items in versions.items() if not memory.knows(version, items)}
    known, turn = len(versions) - len(work), Turn(publisher, deadline, dry_run=dry_run)
    seen: list[tuple[Version, list[Image]]] = []
    for version in sorted(work, key=lambda version: version in memory.troubled):
        publications = turn.take(version, work[version])
        if publications is not None and not dry_run:
            memory.learn(version, work[version], publications)
        if publications and publications[0].version is not None:
            seen.append((publications[0].version, [item.image for item in work[version]]))
        progress(len(turn.versions), len(work))
    missed = publisher.departures.first_looks(seen, deadline, None if dry_run else queue, MARGIN)
    handed_over, problem = _hand_over(queue, {version: work[version] for version in turn.too_late})
    left = [version for version in (*turn.too_late, *turn.given_up) if version not in handed_over]
    return Sweep(
        tuple(turn.publications),
        tuple(rejected),
        tuple(turn.versions),
        tuple(left),
        handed_over,
        denied,
        len(images),
        known,
        turn.problem or problem,
        missed,
    )


def as_builds(publications: Sequence[Publication]) -> tuple[Publication, ...]:
    """Return what became of each build: of its regions that fared alike (AWS) the oldest, which names the others.

    So a copy that came when its build was whole is told of, and a build in trouble is told of once.
    """
    alike: dict[tuple[object, ...], list[Publication]] = {}
    for found in publications:
        image, report = found.image, found.report
        build = image.name if image is not None and image.platform is Platform.AWS else report.image
        alike.setdefault((report.owner, report.component_type.casefold(), build, report.outcome), []).append(found)
    return tuple(_with_others(first, others) for first, *others in alike.values())


def _with_others(first: Publication, others: Sequence[Publication]) -> Publication:
    if not others or first.report.outcome not in (Outcome.CONFLICT, Outcome.LATE):
        return first
    names = listed([f"{other.report.image} ({other.report.region})" for other in others])
    return replace(first, report=replace(first.report, notes=(*first.report.notes, f"the same holds for {names}")))


class Turn:
    """One pass over versions, until time is short or a project of HCP is in trouble."""

    def __init__(
        self,
        publisher: Publisher,
        deadline: Deadline,
        *,
        dry_run: bool = False,
        least: float = MARGIN,
        reserve: float = RESERVE,
    ) -> None:
        self._publisher = publisher
        self._deadline = deadline
        self._dry_run = dry_run
        self._least = least
        self._reserve = reserve
        self._troubles: dict[str | None, int] = {}
        self.publications: list[Publication] = []
        self.versions: list[Swept] = []
        self.too_late: list[Address] = []
        self.given_up: list[Address] = []
        self.problem = ""

    def take(self, version: Address, items: Sequence[Item]) -> tuple[Publication, ...] | None:
        """Converge one version and return what became of its builds, None where it was not begun."""
        project = items[0].placement.policy.project
        if self._troubles.get(project, 0) >= TROUBLES:
            self.given_up.append(version)
            return None
        if self._deadline.remaining() < self._least:
            self.too_late.append(version)
            return None
        whole = self._deadline
        own = Deadline(min(whole.at - self._reserve, whole.clock() + VERSION_SECONDS), whole.clock, whole.sleep)
        publications = as_builds(self._publisher.converge(items, own, dry_run=self._dry_run))
        trouble = next((found.error for found in publications if _is_hcp_trouble(found)), None)
        self._troubles[project] = self._troubles.get(project, 0) + 1 if trouble is not None else 0
        if trouble is not None and self._troubles[project] == TROUBLES:
            self.problem = str(trouble)
        self.publications += publications
        self.versions.append(_swept(version, items, publications))
        return publications


def by_version(
    publisher: Publisher, images: Iterable[Image], bucket: str
) -> tuple[dict[Address, list[Item]], list[Report]]:
    """Return the available images by their version, the oldest first, and the reports of those that are broken."""
    versions: dict[Address, list[Item]] = {}
    rejected: list[Report] = []
    for image in sorted(images, key=lambda found: (found.created_at, found.ref.region, found.ref.identifier)):
        try:
            placement = place(image, publisher.policy)
        except Rejected as problem:
            if not bucket or problem.bucket.casefold() == bucket.casefold():
                rejected.append(image_report(Outcome.REJECTED, image.ref, str(problem), problem.remedy))
            continue
        if placement is None or image.state is not ImageState.AVAILABLE:
            continue
        if not bucket or placement.bucket.casefold() == bucket.casefold():
            versions.setdefault((placement.bucket, placement.fingerprint), []).append(Item(image, placement))
    return versions, rejected


def _swept(address: Address, items: Sequence[Item], publications: Sequence[Publication]) -> Swept:
    outcomes = [publication.report.outcome for publication in publications]
    read: Version | None = next((found.version for found in publications if found.version is not None), None)
    waiting = read is not None and read.exists and not read.complete
    return Swept(
        *address,
        outcome=min(outcomes, key=TELLING.index),
        name=read.name if read is not None else "",
        waits_for=tuple(dict.fromkeys(name for found in publications for name in found.report.waits_for)),
        since=quiet_since(read) if read is not None and waiting else None,
        changed=any(found.steps for found in publications),
        overdue=overdue(items, read, outcomes) if read is not None and waiting else None,
    )


def _hand_over(queue: Queue | None, work: dict[Address, list[Item]]) -> tuple[tuple[Address, ...], str]:
    """Put a message on the queue for each version; return those that are there now, and why others are not."""
    if queue is None or not work:
        return (), ""
    texts: list[str] = []
    versions: list[Address] = []
    for version, items in work.items():
        orders = [write_order(order) for order in orders_for(*version, _refs(items))]
        if len(texts) + len(orders) > MOST_MESSAGES:
            break
        texts += orders
        versions.append(version)
    try:
        queue.put(texts)
    except Trouble as trouble:
        return (), str(trouble)
    return tuple(versions), ""


def _refs(items: Iterable[Item]) -> list[ImageRef]:
    return [item.image.ref for item in items]


def _is_hcp_trouble(publication: Publication) -> bool:
    return isinstance(publication.error, RegistryTrouble | CredentialsTrouble)


def image_report(
    outcome: Outcome, ref: ImageRef, reason: str, remedy: str = "", retry_after: float | None = None
) -> Report:
    """Return the report on an image that was not converged."""
    return Report(
        outcome,
        image=ref.identifier,
        platform=str(ref.platform),
        owner=ref.owner,
        region=ref.region,
        reason=reason,
        remedy=remedy,
        retry_after=retry_after,
    )


def _broken(platform: str, image: str, problem: Rejected | Trouble) -> Report:
    outcome = Outcome.REJECTED if isinstance(problem, Rejected) else Outcome.DEFERRED
    return Report(outcome, image=image, platform=platform, reason=str(problem), remedy=problem.remedy)
