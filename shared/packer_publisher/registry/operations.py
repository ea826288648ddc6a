"""How an operation of the registry becomes a call: its path, its name in messages, its answer as a value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import quote

from packer_publisher.deadline import Deadline
from packer_publisher.errors import OutcomeUnknown, RegistryInactive, RegistryRefused, RegistryTrouble, Rejected
from packer_publisher.registry.decoding import Document, WrongShape, items
from packer_publisher.registry.paging import pages
from packer_publisher.registry.tenant import Tenant
from packer_publisher.registry.transport import FAILED_PRECONDITION, NOT_FOUND, Call, Reply, Transport

T = TypeVar("T")

ABSENT = frozenset({NOT_FOUND})
"""What "there is none" looks like everywhere but in GetVersion: 404 with code 5."""


@dataclass(frozen=True, slots=True)
class Place:
    """What an operation is about, outermost first: it makes both the path and the words of messages."""

    segments: tuple[str, ...]
    words: str

    @property
    def path(self) -> str:
        """Return the path below the project's, each segment quoted.

        Raises Rejected for an empty name and for dots: both would name another place than what was meant.
        """
        for segment in self.segments:
            if segment in ("", ".", ".."):
                raise Rejected(f"{segment!r} is no name in HCP Packer ({self.words}).")
        return "".join(f"/{quote(segment, safe='')}" for segment in self.segments)

    def inside(self, *segments: str, words: str = "") -> Place:
        """Return a place further in."""
        return Place((*self.segments, *segments), ", ".join(filter(None, (self.words, words))))

    def at(self, other: Place) -> Place:
        """Return another place under this one's words: what is created is addressed by its parent's path."""
        return Place(other.segments, self.words)


REGISTRY = Place((), "")
BUCKETS = Place(("buckets",), "")


def bucket_place(bucket: str) -> Place:
    """Return the place of a bucket."""
    return BUCKETS.inside(bucket, words=f"bucket {bucket!r}")


def version_place(bucket: str, fingerprint: str) -> Place:
    """Return the place of a version."""
    return bucket_place(bucket).inside("versions", fingerprint, words=f"version {fingerprint!r}")


def build_place(bucket: str, fingerprint: str, build_id: str, name: str = "") -> Place:
    """Return the place of a build; ``name`` is what messages call it, by default its id."""
    words = f"build {name or build_id!r}"
    return version_place(bucket, fingerprint).inside("builds", build_id, words=words)


def channel_place(bucket: str, channel: str) -> Place:
    """Return the place of a channel."""
    return bucket_place(bucket).inside("channels", channel, words=f"channel {channel!r}")


class Operations:
    """What the groups of operations share: one transport and one tenant."""

    def __init__(self, transport: Transport, tenant: Tenant) -> None:
        self._transport = transport
        self._tenant = tenant

    def _read(
        self,
        operation: str,
        place: Place,
        decode: Callable[[Reply], T],
        deadline: Deadline,
        project: str | None,
        absent: frozenset[int] = frozenset(),
    ) -> T:
        call = self._call(operation, "GET", place, deadline, project, absent=absent)
        return self._answered(call, decode, deadline)

    def _write(
        self,
        operation: str,
        method: str,
        place: Place,
        body: Mapping[str, Any] | None,
        decode: Callable[[Reply], T],
        deadline: Deadline,
        project: str | None,
    ) -> T:
        call = self._call(operation, method, place, deadline, project, body=body, writes=True)
        return self._answered(call, decode, deadline)

    def _list(
        self,
        operation: str,
        place: Place,
        key: str,
        decode: Callable[[Document], T],
        deadline: Deadline,
        project: str | None,
        *,
        method: str = "GET",
        query: Iterable[tuple[str, str]] = (),
        body: Mapping[str, Any] | None = None,
        limit: int | None = None,
    ) -> tuple[T, ...]:
        call = self._call(operation, method, place, deadline, project, query=tuple(query), body=body)
        try:
            found = (
                decode(item) for document in pages(self._transport, call, deadline) for item in items(document, key)
            )
            return tuple(islice(found, limit))
        except WrongShape as error:
            raise self._misshapen(call, error) from error
        except RegistryRefused as error:
            if call.writes or error.code != FAILED_PRECONDITION:
                raise
            # No state of a bucket or a version forbids reading it, so what fails here is the registry's own
            # precondition. What HCP answers where a registry is not active is not documented.
            raise inactive(error) from error

    def _answered(self, call: Call, decode: Callable[[Reply], T], deadline: Deadline) -> T:
        try:
            return decode(self._transport.send(call, deadline))
        except WrongShape as error:
            raise self._misshapen(call, error) from error
        except RegistryRefused as error:
            if call.writes or error.code != FAILED_PRECONDITION:
                raise
            raise inactive(error) from error  # as above

    def _call(
        self,
        operation: str,
        method: str,
        place: Place,
        deadline: Deadline,
        project: str | None,
        *,
        query: tuple[tuple[str, str], ...] = (),
        body: Mapping[str, Any] | None = None,
        writes: bool = False,
        absent: frozenset[int] = frozenset(),
    ) -> Call:
        path = place.path  # a bad name is found before anything is sent
        base = f"/packer/2023-01-01{self._tenant_path(deadline, project)}"
        return Call(
            operation=operation,
            about=place.words,
            method=method,
            path=f"{base}{path}",
            query=query,
            body=body,
            writes=writes,
            absent=absent,
        )

    def _tenant_path(self, deadline: Deadline, project: str | None) -> str:
        organization_id, project_id = self._tenant.ids(project, deadline)
        return Place(("organizations", organization_id, "projects", project_id), "").path

    @staticmethod
    def _misshapen(call: Call, error: WrongShape) -> RegistryTrouble:
        """Return the error for an answer of the wrong shape: a write that was answered with 200 may have happened."""
        kind = OutcomeUnknown if call.writes else RegistryTrouble
        return kind(f"{call.what}: {error}", remedy=error.remedy)


def inactive(error: RegistryRefused) -> RegistryInactive:
    """Return the trouble that a refusal means which nothing but a missing or inactive registry explains.

    People activate registries, so the event is kept meanwhile.
    """
    return RegistryInactive(
        f"{error} So the project has no active HCP Packer registry.",
        remedy="Activate HCP Packer in the project's page of the HCP portal, or set HCP_PROJECT_ID.",
    )


def ignored(_reply: Reply) -> None:
    """Decode an answer that says nothing: deletions answer ``{}``."""
