"""The sweep: converge the versions of a cloud's own tagged images of a window, whatever became of their events.

It heals lost events and finishes what has become due. It never lists the registry: no tagged image in the window
means no call to it at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from packer_publisher.deadline import Deadline
from packer_publisher.errors import Rejected
from packer_publisher.image import Image, ImageState
from packer_publisher.placement import place
from packer_publisher.plan import Item
from packer_publisher.protocols import Scan
from packer_publisher.publish import Publication, Publisher
from packer_publisher.report import Outcome, Report

MARGIN = 20.0
"""Seconds of the deadline that must be left for another version to be begun."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one sweep did: a report for each image and the versions that there was no time for."""

    reports: tuple[Report, ...] = ()
    not_reached: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Memory:
    """The versions that this process has seen complete with all of an image's builds; they are not read again."""

    complete: set[tuple[str, str, frozenset[str]]] = field(default_factory=set)


def sweep(
    publisher: Publisher,
    cloud: Scan,
    since: datetime,
    until: datetime | None,
    deadline: Deadline,
    memory: Memory | None = None,
) -> Sweep:
    """Converge every version that an image of the window belongs to, the oldest first, and report on each image.

    Raises Trouble where the cloud cannot be listed; trouble with single versions is in their reports.
    """
    memory = memory if memory is not None else Memory()
    reports: list[Report] = []
    versions: dict[tuple[str, str], list[Item]] = {}
    for image in sorted(cloud.scan(since, until, deadline), key=lambda found: found.created_at):
        try:
            placement = place(image, publisher.policy)
        except Rejected as problem:
            reports.append(_rejected(image, problem))
            continue
        if placement is not None and image.state is ImageState.AVAILABLE:
            versions.setdefault((placement.bucket, placement.fingerprint), []).append(Item(image, placement))
    not_reached: list[tuple[str, str]] = []
    for version, items in versions.items():
        seen = (*version, frozenset(item.image.ref.identifier for item in items))
        if seen in memory.complete:
            continue
        if deadline.remaining() < MARGIN:
            not_reached.append(version)
            continue
        publications = publisher.converge(one_per_build(items), deadline)
        reports += [publication.report for publication in publications]
        if _all_there(publications):
            memory.complete.add(seen)
    return Sweep(tuple(reports), tuple(not_reached))


def one_per_build(items: Iterable[Item]) -> tuple[Item, ...]:
    """Return one image of each build: on AWS the others are its regions, which ``gather`` finds."""
    builds: dict[tuple[str, str, str], Item] = {}
    for item in items:
        gathered = item.image.whole is None
        key = item.image.name if gathered else item.image.ref.identifier
        builds.setdefault((item.image.owner, item.placement.component_type.casefold(), key), item)
    return tuple(builds.values())


def _all_there(publications: tuple[Publication, ...]) -> bool:
    return all(
        publication.version is not None
        and publication.version.complete
        and publication.report.outcome in (Outcome.COMPLETED, Outcome.UNCHANGED)
        for publication in publications
    )


def _rejected(image: Image, problem: Rejected) -> Report:
    return Report(
        Outcome.REJECTED,
        image=image.ref.identifier,
        platform=str(image.platform),
        owner=image.owner,
        region=image.ref.region,
        reason=str(problem),
        remedy=problem.remedy,
    )
