"""The ground that all rules of the local registry stand on: who asks, what the time is, what is stored.

Things that happen by themselves (a lagging completion, a scheduled revocation, a silent build given up) are
applied when somebody looks: the registry has no thread and no timer, so tests own the time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from packer_publisher.local.registry_documents import (
    Document,
    build_document,
    channel_document,
    version_document,
    version_status,
)
from packer_publisher.local.registry_ids import IdSource
from packer_publisher.local.registry_records import (
    Assignment,
    Bucket,
    Channel,
    Earlier,
    RegistryState,
    Version,
    VersionPlace,
)
from packer_publisher.local.registry_refusals import Refusal, denied, not_found
from packer_publisher.local.registry_store import Key, Store
from packer_publisher.local.registry_switches import Switches

Clock = Callable[[], datetime]
P = ParamSpec("P")
T = TypeVar("T")
L = TypeVar("L", bound="Ledger")

LATEST = "latest"
SERVICE = "HCP Packer"  # the author of everything that the service does by itself
BASE = "/packer/2023-01-01"


def system_clock() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Project:
    """An HCP project."""

    id: str = "22222222-2222-4222-8222-222222222222"
    name: str = "default"
    created_at: datetime = datetime(2022, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Tenancy:
    """One organization and its projects, the oldest first."""

    organization_id: str = "11111111-1111-4111-8111-111111111111"
    organization_name: str = "local"
    projects: tuple[Project, ...] = (Project(),)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks; ``name`` becomes the author of versions and channels, as a service principal's name does."""

    name: str = "local-publisher"
    may_write: bool = True


def operation(
    *, writes: bool = False, inactive: bool = False
) -> Callable[[Callable[Concatenate[L, P], T]], Callable[Concatenate[L, P], T]]:
    """Make a method one operation: one at a time, all or nothing, refused to those who may not.

    ``inactive`` lets it run although the project's registry is not active.
    """

    def decorate(method: Callable[Concatenate[L, P], T]) -> Callable[Concatenate[L, P], T]:
        @wraps(method)
        def run(self: L, /, *args: P.args, **kwargs: P.kwargs) -> T:
            with self.lock, self.store.transaction():
                if writes and not self.caller.may_write:
                    raise coded(self.switches.viewer_writes, "The caller does not have permission to write.")
                if not inactive:
                    self.require_active()
                return method(self, *args, **kwargs)

        return run

    return decorate


def coded(word: str, message: str) -> Refusal:
    """Return the refusal of a switch whose settings are words like ``404/5``."""
    status, _, code = word.partition("/")
    return Refusal(int(status), int(code), message)


class Ledger:
    """Store, clock, switches and caller, and what several families of operations share."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        switches: Switches,
        tenancy: Tenancy,
        project: str,
        caller: Caller,
        new_id: IdSource,
        lock: threading.RLock,
    ) -> None:
        self.store = store
        self.clock = clock
        self.switches = switches
        self.tenancy = tenancy
        self.project = project
        self.caller = caller
        self.lock = lock
        self._new_id = new_id

    def new_id(self, now: datetime) -> str:
        """Return an id that sorts after all before."""
        return self._new_id(now, self.store.next_number())

    def key(self, bucket: str = "", name: str = "") -> Key:
        """Return the key of a record in this project."""
        return (self.project, bucket, name)

    def href(self, path: str) -> str:
        """Return the path of a resource below this organization and project."""
        return f"{BASE}/organizations/{self.tenancy.organization_id}/projects/{self.project}/{path}"

    def location(self) -> Document:
        """Return where everything here is: a global resource has no region."""
        return {
            "organization_id": self.tenancy.organization_id,
            "project_id": self.project,
            "region": None,
        }

    def require_active(self) -> None:
        """Raise where the project's registry was deactivated."""
        state = self.store.get(RegistryState, self.key())
        if state is not None and not state.activated:
            raise coded(self.switches.inactive_registry, "The registry of this project is not active.")

    # Buckets

    def bucket(self, name: str) -> Bucket:
        """Return a bucket in which everything that is due has happened; raises 404/5."""
        bucket = self.store.get(Bucket, self.key(name))
        if bucket is None:
            raise not_found(f"Error: The bucket with identifier {name} does not exist.")
        if bucket.due is not None and self.clock() >= bucket.due:
            self._settle(name, self.clock())
            return self.store.get(Bucket, self.key(name)) or bucket
        return bucket

    def put_bucket(self, bucket: Bucket) -> None:
        """Write a bucket."""
        self.store.put(self.key(bucket.name), bucket)

    def wake(self, name: str, at: datetime) -> None:
        """Remember that something in the bucket happens by itself at a moment."""
        bucket = self.store.get(Bucket, self.key(name))
        if bucket is not None and (bucket.due is None or at < bucket.due):
            self.put_bucket(replace(bucket, due=at))

    def _settle(self, name: str, now: datetime) -> None:
        while True:
            waiting = [
                (at, version.id, version.fingerprint)
                for version in self.store.scan(Version, self.project, name)
                for at in (version.completes_at, None if version.revoked else version.revoke_at)
                if at is not None
            ]
            at, _, fingerprint = min(waiting, default=(None, "", ""))
            bucket = self.store.get(Bucket, self.key(name))
            if bucket is not None:
                self.put_bucket(replace(bucket, due=at))
            if at is None or at > now:
                return
            version = self.stored_version(name, fingerprint)
            if version.completes_at == at:
                self._end_lag(version, at)
            else:
                self.revoke_now(version, at)

    def _end_lag(self, version: Version, at: datetime) -> None:
        waited = replace(version, completes_at=None)
        self.put_version(waited)
        # A build that came meanwhile keeps the version open: it is not complete until it is.
        if waited.builds and all(build.status == "BUILD_DONE" for build in waited.builds):
            self.complete(waited, at)

    def revoke_now(self, version: Version, at: datetime) -> None:
        """Make a revocation come true; the model provides it."""
        raise NotImplementedError

    # Versions

    def find_version(self, bucket: str, fingerprint: str) -> Version | None:
        """Return a version in which silent builds were given up, None if there is none."""
        version = self.store.get(Version, self.key(bucket, fingerprint))
        if version is None or version.complete:
            return version
        now = self.clock()
        limit = timedelta(seconds=self.switches.heartbeat_timeout)
        mortal = ("BUILD_RUNNING", "BUILD_UNSET") if self.switches.unset_builds_time_out else ("BUILD_RUNNING",)
        if not any(build.status in mortal and now - build.seen_at >= limit for build in version.builds):
            return version
        builds = tuple(
            replace(build, status=self.switches.silent_build_becomes, updated_at=build.seen_at + limit)
            if build.status in mortal and now - build.seen_at >= limit
            else build
            for build in version.builds
        )
        version = replace(version, builds=builds)
        self.put_version(version)
        return version

    def stored_version(self, bucket: str, fingerprint: str) -> Version:
        """Return a version that is known to exist."""
        version = self.store.get(Version, self.key(bucket, fingerprint))
        if version is None:
            raise LookupError(f"version {fingerprint} of bucket {bucket} is not stored")
        return version

    def version_by_id(self, version_id: str) -> Version | None:
        """Return the version with an id, wherever in the project it is."""
        place = self.store.get(VersionPlace, self.key(name=version_id))
        return None if place is None else self.store.get(Version, self.key(place.bucket, place.fingerprint))

    def put_version(self, version: Version) -> None:
        """Write a version that changed by itself."""
        self.store.put(self.key(version.bucket, version.fingerprint), version)

    def save_version(self, version: Version | None, before: Version | None) -> None:
        """Write what a client changed (None: deleted), and keep what it was before where reads are stale."""
        known = version or before
        if known is None:
            return
        key = self.key(known.bucket, known.fingerprint)
        if version is None:
            self.store.delete(Version, key)
        else:
            self.store.put(key, version)
        if self.switches.read_after_write == "stale":
            self.store.put(key, Earlier(before))

    def completed_if_done(self, version: Version, now: datetime) -> Version:
        """Return the version, sealed if every build that it knows is DONE (or soon, where completion lags)."""
        if version.complete or not version.builds or version.completes_at is not None:
            return version
        if any(build.status != "BUILD_DONE" for build in version.builds):
            return version
        if self.switches.completion_lag > 0:
            at = now + timedelta(seconds=self.switches.completion_lag)
            version = replace(version, completes_at=at)
            self.put_version(version)
            self.wake(version.bucket, at)
            return version
        return self.complete(version, now)

    def complete(self, version: Version, at: datetime) -> Version:
        """Return the version with the next number; ``latest`` moves to it at once."""
        bucket = self.store.get(Bucket, self.key(version.bucket))
        highest = bucket.highest if bucket else 0
        if self.switches.version_numbers == "reused":
            versions = self.store.scan(Version, self.project, version.bucket)
            highest = max((other.number for other in versions), default=0)
        version = replace(version, number=highest + 1, updated_at=at, completes_at=None)
        self.put_version(version)
        if bucket is not None:
            self.put_bucket(replace(bucket, highest=max(bucket.highest, version.number), updated_at=at))
        if not version.revoked:
            self.assign(self.channel(version.bucket, LATEST), version.fingerprint, SERVICE, at)
        return version

    # Channels

    def channel(self, bucket: str, name: str) -> Channel:
        """Return a channel; raises 404/5, and 403/7 where it is restricted and the caller may not write."""
        channel = self.store.get(Channel, self.key(bucket, name))
        if channel is None:
            raise not_found(f"Error: The channel with identifier {name} does not exist.")
        return channel

    def visible_channel(self, bucket: str, name: str) -> Channel:
        """Return a channel that the caller may see; raises 404/5 or 403/7."""
        channel = self.channel(bucket, name)
        if channel.restricted and not self.caller.may_write:
            raise denied(f"The channel {name} is restricted.")
        return channel

    def assign(self, channel: Channel, fingerprint: str, author: str, at: datetime) -> Channel:
        """Point a channel at a version ("" at none) and write the line of its history."""
        history = channel.history
        if fingerprint:
            history = (*history, Assignment(at, author, fingerprint))
        channel = replace(channel, fingerprint=fingerprint, history=history, updated_at=at)
        self.store.put(self.key(channel.bucket, channel.name), channel)
        return channel

    # Documents

    def version_document(self, version: Version, *, builds: bool = True, metadata: bool = False) -> Document:
        """Return a version's document; ``builds`` is always a list, so that no client meets null."""
        inherited = None
        if version.revoked_with and (ancestor := self.version_by_id(version.revoked_with)):
            inherited = {
                "href": self.href(f"buckets/{ancestor.bucket}/versions/{ancestor.fingerprint}"),
                "bucket_name": ancestor.bucket,
                "version_name": ancestor.name,
                "version_id": ancestor.id,
                "version_fingerprint": ancestor.fingerprint,
            }
        query = f"?type=ANCESTRY_TYPE_PARENTS&version_fingerprint={version.fingerprint}"
        return version_document(
            version,
            status=version_status(version, self.switches.status_priority, self.switches.empty_version_status),
            builds=[build_document(b, version.id, metadata=metadata) for b in version.builds] if builds else [],
            parents={
                "href": self.href(f"buckets/{version.bucket}/ancestry{query}"),
                "status": self.parents_status(version),
            },
            inherited=inherited,
        )

    def parents_status(self, version: Version) -> str:
        """Return how current a version's parents are; the model provides it."""
        raise NotImplementedError

    def channel_document(self, channel: Channel) -> Document:
        """Return a channel's document with its complete nested version."""
        version = None
        if channel.fingerprint:
            version = self.store.get(Version, self.key(channel.bucket, channel.fingerprint))
        return channel_document(channel, None if version is None else self.version_document(version))
