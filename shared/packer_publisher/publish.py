"""Publishing one image: observe it, place it, converge its version.

``Publisher`` serves an event, a person's ``publish`` and ``explain`` (the same, predicted instead of written).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

from packer_publisher.ancestry import Ancestors
from packer_publisher.channels import channel_notes
from packer_publisher.converge import Settled, converge
from packer_publisher.deadline import Deadline
from packer_publisher.departures import OFF, Departures
from packer_publisher.driver import Performer, drive
from packer_publisher.errors import (
    ConfigurationError,
    PublisherError,
    RegistryRefused,
    RegistryTrouble,
    Rejected,
    Trouble,
)
from packer_publisher.expectation import Quirks
from packer_publisher.image import Change, Image, ImageEvent, ImageRef, ImageState, Platform
from packer_publisher.messages import Queue
from packer_publisher.placement import Item, Override, Placement, is_ours, place
from packer_publisher.policy import Policy
from packer_publisher.protocols import Cloud, Registry
from packer_publisher.report import Outcome, Report
from packer_publisher.snapshot import Parent, Version
from packer_publisher.steps import CreateBucket, FillBuild, Write

__all__ = ["Cloud", "Override", "Publication", "Publisher", "Registry"]

Placer = Callable[[Image], Placement | None]
"""Says where an image without contract tags belongs, None where it belongs nowhere; raises Rejected as ``place``."""

ACTIVATE = "activate HCP Packer for the project in HCP's portal, or set the right HCP_PROJECT_ID"
NOT_FOUND_YET = timedelta(hours=1)
"""How long after its event an image that its cloud does not know counts as not there yet: EC2 is eventually
consistent, and Packer's maintainers were told by AWS to back off for minutes (hashicorp/packer#3377). An event that
comes from as far in the future tells nothing of how new its image is, and would else be kept until then."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What became of one image, with what led to it.

    ``steps`` are the writes made (or, in a dry run, that would be made). ``parent`` is what was found out of the
    image's source, None where that was not looked up. ``error`` is the error behind a DEFERRED or
    REJECTED report, None otherwise.
    """

    report: Report
    image: Image | None = None
    placement: Placement | None = None
    steps: tuple[Write, ...] = ()
    version: Version | None = None
    parent: Parent | None = None
    error: PublisherError | None = None


class Publisher:
    """The one flow behind all ways in.

    ``registry`` and ``cloud`` are called when first needed, so that an image that is not ours costs neither an SDK
    nor a connection. ``off`` (HCP_PACKER_REGISTRY) writes nothing and says so. ``now`` is only used to judge an
    event's age. Not for use by several threads at once.
    """

    def __init__(
        self,
        policy: Policy,
        registry: Callable[[], Registry],
        cloud: Callable[[Platform], Cloud],
        *,
        off: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.policy = policy
        self._open_registry = registry
        self._open_cloud = cloud
        self._clouds: dict[Platform, Cloud] = {}
        self._off = off
        self._now = now
        self._quirks = Quirks()
        self._ancestors = Ancestors()
        self._kept_buckets: set[tuple[str | None, str]] = set()
        self.departures = Departures(policy, lambda: self.registry, self.cloud, now, off=off)

    @cached_property
    def registry(self) -> Registry:
        """Return the registry client, opened at the first use."""
        return self._open_registry()

    def cloud(self, platform: Platform) -> Cloud:
        """Return a cloud, opened at the first use."""
        if platform not in self._clouds:
            self._clouds[platform] = self._open_cloud(platform)
        return self._clouds[platform]

    def close(self) -> None:
        """Close the connections to the registry and the clouds; a later call opens new ones."""
        for part in (self.__dict__.pop("registry", None), *self._clouds.values()):
            if part is not None and hasattr(part, "close"):
                part.close()
        self._clouds.clear()

    def on_event(self, event: ImageEvent, deadline: Deadline, queue: Queue | None = None) -> Report:
        """Handle one event; every way it can end is a report, Trouble (DEFERRED) and Rejected included.

        So are settings that turn out wrong only when something is opened with them: the event is kept. ``queue`` is
        where a second look at images that are gone is asked for. That an image was deleted or disabled is of interest
        only where a bucket says ``on_delete: revoke``; one that is disabled is then looked at like any other.
        """
        if event.change is not Change.WRITTEN and not self.departures.matter:
            return _report(
                Outcome.IGNORED, event.ref, reason=f"the image was {event.change}; nothing is changed in HCP"
            )
        if event.change is Change.DELETED:
            return self.departures.on_event(event, deadline, queue)
        if event.tags is not None and not is_ours(event.tags, self.policy):
            return _report(Outcome.IGNORED, event.ref, reason="carries no contract tag")
        try:
            publication = self.publish(event.ref, deadline)
        except ConfigurationError as problem:
            return _deferred(event.ref, None, None, problem).report
        if publication.image is None and publication.error is None:
            if abs(self._now() - event.time) < NOT_FOUND_YET and event.change is Change.WRITTEN:
                return _report(Outcome.DEFERRED, event.ref, reason="its cloud does not show the image yet")
            return _report(Outcome.IGNORED, event.ref, reason="its cloud does not know the image (any more)")
        return publication.report

    def publish(
        self,
        ref: ImageRef,
        deadline: Deadline,
        *,
        override: Override | None = None,
        untagged: Placer | None = None,
        dry_run: bool = False,
    ) -> Publication:
        """Converge the version of one image; with ``dry_run`` only say what would be written.

        ``untagged`` says where an image without contract tags belongs. An unknown image gives a REJECTED report with
        neither ``image`` nor ``error``.
        """
        image: Image | None = None
        placement: Placement | None = None
        try:
            cloud = self.cloud(ref.platform)
            image = cloud.describe(ref, deadline)
            if image is None:
                reason = "the image does not exist, or its cloud does not show it yet"
                return Publication(_report(Outcome.REJECTED, ref, reason=reason))
            early = self._without_registry(ref, image, named=override is not None or untagged is not None)
            if early is not None:
                return Publication(early, image)
            placement = place(image, self.policy, override)
            if placement is None and untagged is not None:
                placement = untagged(image)
            if placement is None:
                reason = "carries no contract tag" + (
                    ", and the mapping puts it nowhere" if untagged is not None else ""
                )
                return Publication(_report(Outcome.IGNORED, ref, image, reason=reason), image)
            if self._off:
                return Publication(_report(Outcome.IGNORED, ref, image, placement, OFF), image, placement)
            (publication,) = self._converge((Item(image, placement),), deadline, dry_run=dry_run)
            return publication
        except Trouble as trouble:
            return _deferred(ref, image, placement, trouble)
        except (Rejected, RegistryRefused) as problem:
            return _rejected(ref, image, placement, problem)

    def converge(
        self, items: Sequence[Item], deadline: Deadline, *, dry_run: bool = False, known: Version | None = None
    ) -> tuple[Publication, ...]:
        """Converge one version from several images at once, as sweep and backfill do; all of them belong to it.

        With ``dry_run`` only say what would be written. ``known`` is what was read of it before. Trouble and refusals
        become the reports of all its images.
        """
        if self._off:
            return tuple(
                Publication(
                    _report(Outcome.IGNORED, item.image.ref, item.image, item.placement, OFF),
                    item.image,
                    item.placement,
                )
                for item in items
            )
        try:
            return self._converge(items, deadline, dry_run=dry_run, known=known)
        except Trouble as trouble:
            return tuple(_deferred(item.image.ref, item.image, item.placement, trouble) for item in items)
        except (Rejected, RegistryRefused) as problem:
            return tuple(_rejected(item.image.ref, item.image, item.placement, problem) for item in items)

    def _without_registry(self, ref: ImageRef, image: Image, *, named: bool) -> Report | None:
        """Return the report of an image that needs no look at the registry, None for one that does.

        ``named`` says that an image without contract tags may be placed all the same.
        """
        if ref.owner_id and image.ref.owner_id.casefold() != ref.owner_id.casefold():
            return _report(
                Outcome.IGNORED, ref, image, reason=f"belongs to {image.owner}, whose own function records it"
            )
        if not named and not is_ours(image.tags, self.policy):
            return _report(Outcome.IGNORED, ref, image, reason="carries no contract tag")
        match image.state:
            case ImageState.PENDING:
                return _report(Outcome.DEFERRED, ref, image, reason="the image is not available yet")
            case ImageState.FAILED:
                return _report(
                    Outcome.REJECTED,
                    ref,
                    image,
                    reason="its cloud says that creating it failed",
                    remedy="build it again",
                )
            case ImageState.DISABLED:
                return _report(Outcome.REJECTED, ref, image, reason="the image is disabled", remedy="enable it")
            case ImageState.GONE:
                return _report(Outcome.IGNORED, ref, image, reason="the image is gone; nothing was registered")
            case ImageState.AVAILABLE:
                return None

    def _converge(
        self, items: Sequence[Item], deadline: Deadline, *, dry_run: bool, known: Version | None = None
    ) -> tuple[Publication, ...]:
        placement = items[0].placement
        performer = Performer(self.registry, self.cloud, items, deadline, self._ancestors, dry_run=dry_run)
        settled = drive(converge(items, self._quirks, known), performer, deadline)
        if settled.version.bucket_missing and not settled.version.exists:
            # An inactive registry may answer as if the bucket were missing; that is trouble, and no fault of the image.
            performer.calls += 1
            if not self.registry.is_active(deadline, placement.policy.project):
                raise RegistryTrouble("the project has no active HCP Packer registry", remedy=ACTIVATE)
        notes: list[str] = []
        if not dry_run:
            self._quirks = settled.quirks
            if settled.version.complete:
                self._ancestors.forget(settled.version)
            notes += self._keep_bucket(placement, performer, settled, deadline)
        if any(isinstance(step, FillBuild) and step in settled.reduced for step in settled.written):
            notes.append("HCP refuses one identifier in several regions: only the image's own region is listed")
        publications = []
        for item, verdict in zip(settled.items, settled.verdicts, strict=True):
            parent, parent_notes = _parent(item, settled)
            report = replace(
                _report(verdict.outcome, item.image.ref, item.image, item.placement, verdict.reason, verdict.remedy),
                version=settled.version.name,
                parent=parent,
                waits_for=verdict.waits_for,
                notes=(
                    *item.placement.notes,
                    *notes,
                    *parent_notes,
                    *channel_notes([item.placement], settled.version),
                ),
                calls=performer.calls,
            )
            publications.append(
                Publication(report, item.image, item.placement, settled.written, settled.version, item.parent)
            )
        return tuple(publications)

    def _keep_bucket(
        self, placement: Placement, performer: Performer, settled: Settled, deadline: Deadline
    ) -> list[str]:
        """Keep description and labels of a configured bucket true, once per process and without a needless write.

        There is no update mask, and whether labels merge or replace is not documented: both are always sent, with
        what the bucket has beside. A failure is a note (returned), not the image's problem; the next event tries again.
        """
        rules = placement.policy
        key = (rules.project, placement.bucket)
        if (rules.description is None and not rules.labels) or key in self._kept_buckets or not settled.version.exists:
            return []
        if any(isinstance(step, CreateBucket) for step in settled.written):
            self._kept_buckets.add(key)
            return []
        try:
            performer.calls += 1
            bucket = self.registry.get_bucket(placement.bucket, deadline, rules.project)
            if not bucket.exists:
                return ["description and labels of the bucket were not looked at: HCP does not show it"]
            description = bucket.description if rules.description is None else rules.description
            labels = tuple(sorted({**dict(bucket.labels), **dict(rules.labels)}.items()))
            if (description, labels) != (bucket.description, bucket.labels):
                performer.calls += 1
                self.registry.update_bucket(placement.bucket, description, labels, deadline, rules.project)
            self._kept_buckets.add(key)
        except (Trouble, RegistryRefused) as problem:
            return [f"description and labels of the bucket were not brought up to date: {problem}"]
        return []


def _parent(item: Item, settled: Settled) -> tuple[str, tuple[str, ...]]:
    """Return the parent that was recorded with the image, as a person would name it, and what to know about it."""
    if item.parent is None:
        return "", ()
    for step in settled.orphaned:
        if isinstance(step, FillBuild) and step.component_type.casefold() == item.placement.component_type.casefold():
            return "", (f"HCP refused {item.parent} as the parent: the build was filled without it",)
    return str(item.parent), (item.parent.note,) if item.parent.note else ()


def _report(
    outcome: Outcome,
    ref: ImageRef,
    image: Image | None = None,
    placement: Placement | None = None,
    reason: str = "",
    remedy: str = "",
) -> Report:
    seen = image.ref if image is not None else ref
    return Report(
        outcome=outcome,
        image=seen.identifier,
        platform=str(seen.platform),
        owner=seen.owner if seen.owner_id else "",
        region=seen.region or (image.artifacts[0].region if image is not None and image.artifacts else ""),
        bucket=placement.bucket if placement else "",
        fingerprint=placement.fingerprint if placement else "",
        component_type=placement.component_type if placement else "",
        reason=reason,
        remedy=remedy,
    )


def _deferred(
    ref: ImageRef, image: Image | None, placement: Placement | None, trouble: Trouble | ConfigurationError
) -> Publication:
    report = _report(Outcome.DEFERRED, ref, image, placement, reason=str(trouble), remedy=trouble.remedy)
    retry_after = trouble.retry_after if isinstance(trouble, Trouble) else None
    return Publication(replace(report, retry_after=retry_after), image, placement, error=trouble)


def _rejected(
    ref: ImageRef, image: Image | None, placement: Placement | None, problem: Rejected | RegistryRefused
) -> Publication:
    report = _report(Outcome.REJECTED, ref, image, placement, reason=str(problem), remedy=problem.remedy)
    return Publication(report, image, placement, error=problem)
