"""One drift: list the clouds, walk the registry, and say what differs; every call is a read.

A version is read once. What the census does not show is looked at once more by itself before it counts as missing:
the image may be younger than the list of its cloud.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from packer_publisher.backfill.asked import Place
from packer_publisher.backfill.listing import Errand, Tell, list_scopes
from packer_publisher.backfill.workers import several
from packer_publisher.deadline import Deadline
from packer_publisher.drift.census import Census, Page
from packer_publisher.drift.compare import Terms, artifact_row, platform_of
from packer_publisher.drift.findings import Findings
from packer_publisher.drift.mending import ALLOW
from packer_publisher.drift.row import How, Row
from packer_publisher.drift.sighting import Reach
from packer_publisher.drift.tagged import Gathering, image_rows, row_of
from packer_publisher.errors import CloudTrouble, ConfigurationError, CredentialsTrouble, Forbidden, Rejected, Trouble
from packer_publisher.image import Artifact, Image, ImageRef, ImageState, Platform
from packer_publisher.labels import OWNER
from packer_publisher.listing import artifact_matches
from packer_publisher.placement import policy_for
from packer_publisher.policy import BucketPolicy, BucketRule, Policy
from packer_publisher.protocols import Cloud, Survey
from packer_publisher.snapshot import Bucket, Build, Version

CALL_SECONDS = 120.0
"""The most that one call may take, retries included."""


class Reading(Protocol):
    """What drift needs of the registry: nothing that writes."""

    def list_buckets(self, deadline: Deadline, project: str | None = None) -> tuple[Bucket, ...]:
        """Return all buckets of the project."""

    def list_versions(self, bucket: str, deadline: Deadline, project: str | None = None) -> tuple[Version, ...]:
        """Return the versions of a bucket."""

    def get_version(self, bucket: str, fingerprint: str, deadline: Deadline, project: str | None = None) -> Version:
        """Return the version, also where there is none."""


class Surveyed(Survey, Cloud, Protocol):
    """A cloud that can be listed, and asked for one image."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a person asked for: clouds, regions, subscriptions or projects of them, and buckets; () means all."""

    clouds: tuple[Platform, ...] = tuple(Platform)
    only: tuple[str, ...] = ()
    buckets: tuple[str, ...] = ()

    def is_about(self, build: Build, artifact: Artifact) -> bool:
        """Return whether an artifact is asked for; what is in none of the three clouds is, where all are."""
        platform = platform_of(build)
        if platform is None:
            return set(self.clouds) == set(Platform) and not self.only
        owner_id = build.label(OWNER).partition(":")[2]
        place = artifact.region if platform is Platform.AWS else owner_id
        return platform in self.clouds and (not self.only or place in self.only)

    def names(self, bucket: str) -> bool:
        """Return whether a bucket is asked for, compared without case."""
        return not self.buckets or bucket.casefold() in {name.casefold() for name in self.buckets}


def everything(policy: Policy) -> Policy:
    """Return a policy that knows every bucket, under the same rules where there are any: reading harms nobody."""
    return replace(policy, rules=(*policy.rules, BucketRule("*", BucketPolicy())))


@dataclass
class Drift:
    """A run and everything that it needs; ``place`` is as :class:`Census` takes it, ``mapping`` the file behind it.

    ``tell`` is called after every version with how many were looked at. ``stop`` ends the run early, with CloudTrouble.
    """

    question: Question
    policy: Policy
    place: Place
    clouds: Mapping[Platform, Surveyed]
    registry: Reading
    census: Census
    findings: Findings
    mapping: str = ""
    workers: int = 8
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    deadline: Callable[[], Deadline] = lambda: Deadline.after(CALL_SECONDS)
    tell: Callable[[int], None] = lambda _: None
    stop: threading.Event = field(default_factory=threading.Event)

    def list_clouds(self, tell: Tell) -> None:
        """List everything that the credentials reach; what they do not is noted, and the rest goes on.

        Raises the first trouble where no cloud lets itself be listed at all.
        """
        for platform in self.question.clouds:
            try:
                self.census.plan_scopes(self.clouds[platform].scopes(self.deadline(), self.question.only))
            except (CredentialsTrouble, CloudTrouble) as trouble:
                self.census.shut(platform, trouble)
        if not self.census.scopes() and self.census.troubles:
            raise next(iter(self.census.troubles.values()))
        errand: Errand[Page] = Errand(Page.add, tagged=False, passes=(Forbidden, CloudTrouble))
        list_scopes(self.census, self.clouds, errand, self.workers, tell, self.stop)
        self._go_on()

    def compare(self) -> None:
        """Compare every version of the registry, and every image that none of them covers.

        Raises RegistryTrouble and CredentialsTrouble as the registry does, ConfigurationError for a bucket that is
        asked for and is nowhere.
        """
        reach = self.census.reach()
        gathering = Gathering(self.place, self.clouds, reach.closed_regions(), self.now(), self.mapping)
        there: set[str] = set()

        def work(version: tuple[str, str, str | None]) -> list[Row]:
            return self._rows(*version, reach, gathering)

        for number, rows in enumerate(several(self.workers, "drift", work, self._versions(there)), 1):
            self.findings.add(rows)
            self.tell(number)
            self._go_on()
        known = set(there)
        for bucket, fingerprint in self.census.versions():
            known.add(bucket.casefold())
            if self.question.names(bucket) and not self.findings.was_walked(bucket, fingerprint):
                absent = Version(bucket, fingerprint, bucket_missing=bucket.casefold() not in there)
                self.findings.add(image_rows(absent, self.census.placed(bucket, fingerprint), gathering))
        nowhere = [name for name in self.question.buckets if name.casefold() not in known]
        if nowhere:
            raise ConfigurationError(
                f"bucket {nowhere[0]} is neither in HCP Packer nor on any image", remedy="look at its name"
            )
        self.findings.settle()
        if not self.question.buckets:
            self.findings.add(self._unplaced())

    def _versions(self, there: set[str]) -> Iterator[tuple[str, str, str | None]]:
        """Yield bucket, fingerprint and project of every version asked for; note every bucket that is there."""
        rules = everything(self.policy)
        for project in dict.fromkeys(rule.policy.project for rule in self.policy.rules):
            for bucket in self.registry.list_buckets(self.deadline(), project):
                if policy_for(bucket.name, rules).project != project:
                    continue
                there.add(bucket.name.casefold())
                if self.question.names(bucket.name):
                    for version in self.registry.list_versions(bucket.name, self.deadline(), project):
                        yield bucket.name, version.fingerprint, project

    def _rows(
        self, bucket: str, fingerprint: str, project: str | None, reach: Reach, gathering: Gathering
    ) -> list[Row]:
        version = self.registry.get_version(bucket, fingerprint, self.deadline(), project)
        if not version.exists:  # deleted since it was listed: its images are those of no version
            return []
        self.findings.walked(bucket, fingerprint)
        terms = Terms(reach, self.policy.contract, policy_for(bucket, everything(self.policy)).quiet, self.mapping)
        rows = [
            self._artifact(version, build, artifact, terms)
            for build in version.builds
            for artifact in sorted(build.artifacts)
            if self.question.is_about(build, artifact)
        ]
        return [*rows, *image_rows(version, self.census.placed(bucket, fingerprint), gathering)]

    def _artifact(self, version: Version, build: Build, artifact: Artifact, terms: Terms) -> Row:
        seen = self.census.named(build.platform, artifact.external_identifier)
        row = artifact_row(version, build, artifact, seen, terms)
        if row.how is not How.GONE:
            return row
        try:
            found = self._look_again(build, artifact)
        except CredentialsTrouble as denied:
            return row.found(How.DENIED, str(denied), denied.remedy or ALLOW)
        except Trouble as trouble:
            return row.found(How.SILENT, str(trouble), trouble.remedy)
        except Rejected:  # no cloud has an image by such a name
            return row
        if found is None:
            return row
        if not artifact_matches(artifact, found):  # Azure: the managed image that stands for its gallery version
            return row.found(How.FINE, "")
        return artifact_row(version, build, artifact, (self.census.sighting(found),), terms)

    def _look_again(self, build: Build, artifact: Artifact) -> Image | None:
        platform = Platform(build.platform)
        owner_id = build.label(OWNER).partition(":")[2]
        region = artifact.region if platform is Platform.AWS else ""
        ref = ImageRef(platform, owner_id, region, artifact.external_identifier)
        image = self.clouds[platform].describe(ref, self.deadline())
        return None if image is None or image.state is ImageState.GONE else image

    def _unplaced(self) -> Iterator[Row]:
        """Yield a row for each image whose tags place it nowhere, or that could not be read, and that no row names."""
        for seen in self.census.unplaced():
            if self.findings.mentions(seen.number):
                continue
            row = row_of(seen, seen.image)
            if seen.image is None:
                yield row.found(How.UNREAD, f"it could not be read: {seen.problem}", seen.remedy)
            elif seen.image.state is ImageState.AVAILABLE:
                yield row.found(How.UNREGISTERED, seen.problem, seen.remedy)

    def _go_on(self) -> None:
        if self.stop.is_set():
            raise CloudTrouble("the time was over before everything was read", remedy="give more with --timeout")
