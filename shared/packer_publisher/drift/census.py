"""What the clouds hold at one moment, in a temporary SQLite file: the memory stays small however many images there are.

It holds image metadata; tags only of images that carry a tag of the contract; no credential.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from packer_publisher.backfill.asked import Place
from packer_publisher.backfill.spool import read_image, write_image
from packer_publisher.drift.mending import ALLOW
from packer_publisher.drift.row import How
from packer_publisher.drift.sighting import Barrier, Reach, Sighting
from packer_publisher.errors import CredentialsTrouble, Rejected, Trouble
from packer_publisher.image import Image, ImageState, Platform, Scope, Unread
from packer_publisher.listing import own_identifier
from packer_publisher.placement import Placement, policy_for
from packer_publisher.policy import Policy

_TABLES = """
create table image (
    number integer primary key, platform text, key text, owner text, identifier text, bucket text, spelled text,
    fingerprint text, component_type text, problem text, remedy text, body text);
create index image_key on image (platform, key);
create index image_version on image (bucket, fingerprint);
"""
_FIELDS = "number, owner, identifier, body, spelled, fingerprint, component_type, problem, remedy"
_INSERT = f"insert into image values (null{', ?' * 11})"  # noqa: S608 (question marks)


class Census:
    """All images that were listed. ``place`` places an image whether its bucket is allowed or not, ``policy`` knows.

    All methods may be called from several threads.
    """

    def __init__(self, path: Path, place: Place, policy: Policy) -> None:
        self._lock = threading.Lock()
        self._base = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._base.executescript(f"pragma journal_mode = memory; pragma synchronous = off; {_TABLES}")
        self._place = place
        self._policy = policy
        self._scopes: dict[Scope, tuple[str, str, int]] = {}
        self._troubles: dict[Scope | Platform, Trouble] = {}

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def plan_scopes(self, scopes: Iterable[Scope]) -> None:
        """Enter the scopes that are to be listed."""
        self._scopes.update((scope, ("open", "", 0)) for scope in scopes)

    def scopes(self) -> Mapping[Scope, tuple[str, str, int]]:
        """Return every scope with its state (``open``, ``listed`` or ``closed``), the problem and its images."""
        return dict(sorted(self._scopes.items()))

    @contextmanager
    def listing(self, scope: Scope) -> Iterator[Page]:
        """Begin a scope's list; it counts once the block ends, and reach tells where it did not."""
        page = Page(self, scope)
        yield page
        page.flush()
        self._scopes[scope] = ("listed", "", page.images)

    def deny(self, scope: Scope, problem: Trouble) -> None:
        """Note that a scope could not be listed, and why."""
        self._scopes[scope] = ("closed", str(problem), 0)
        self._troubles[scope] = problem

    def shut(self, platform: Platform, problem: Trouble) -> None:
        """Note that nothing of a cloud could be listed, and why."""
        self._troubles[platform] = problem

    @property
    def troubles(self) -> Mapping[Scope | Platform, Trouble]:
        """Return what could not be listed, with the reasons."""
        return self._troubles

    def reach(self) -> Reach:
        """Return what was listed, and what was not and why."""
        told: dict[Scope | Platform, Barrier] = {}
        for part, trouble in self._troubles.items():
            denied = isinstance(trouble, CredentialsTrouble)
            remedy = trouble.remedy or (ALLOW if denied else "run drift again")
            told[part] = (How.DENIED if denied else How.SILENT, str(trouble), remedy)
        return Reach(
            frozenset(scope for scope, (state, _, _) in self._scopes.items() if state == "listed"),
            {part: why for part, why in told.items() if isinstance(part, Scope)},
            {part: why for part, why in told.items() if not isinstance(part, Scope)},
        )

    def named(self, platform: str, identifier: str) -> tuple[Sighting, ...]:
        """Return the images of a platform by an identifier, compared as its cloud does."""
        return self._sightings("platform = ? and key = ?", platform, _key(platform, identifier))

    def placed(self, bucket: str, fingerprint: str) -> tuple[Sighting, ...]:
        """Return the images that their tags place in a version; bucket names are compared without case."""
        return self._sightings("bucket = ? and fingerprint = ?", bucket.casefold(), fingerprint)

    def versions(self) -> Iterator[tuple[str, str]]:
        """Yield bucket and fingerprint of every version that images are placed in, sorted; the bucket as tagged."""
        last = ("", "")
        while True:
            with self._lock:
                rows = self._base.execute(
                    "select bucket, fingerprint, min(spelled) from image where bucket != '' and (bucket, fingerprint) "
                    "> (?, ?) group by 1, 2 order by 1, 2 limit 500",
                    last,
                ).fetchall()
            for _, fingerprint, spelled in rows:
                yield spelled, fingerprint
            if not rows:
                return
            last = rows[-1][:2]

    def unplaced(self) -> Iterator[Sighting]:
        """Yield the images of ours that belong to no version as they are tagged, and those that could not be read."""
        last = 0
        while found := self._sightings("bucket = '' and problem != '' and number > ?", last, limit=500):
            yield from found
            last = found[-1].number

    def sighting(self, image: Image) -> Sighting:
        """Return an image that was looked at by itself as a sighting of number 0."""
        _, identifier, owner, row = self._row(image)
        return Sighting(0, owner, identifier, image, *row)

    def write(self, images: list[Image | Unread]) -> None:
        """Write a page of a scope's list."""
        rows: list[tuple[str, ...]] = []
        for image in images:
            if isinstance(image, Unread):
                owner = f"{image.scope.platform}:{image.scope.owner_id}"
                name = image.identifier.rpartition("/")[2] if image.scope.platform is Platform.GCE else image.identifier
                key = _key(image.scope.platform, name)
                unread = ("", "", "", "", image.problem, image.remedy, "")
                rows.append((image.scope.platform, key, owner, name, *unread))
            else:
                key, identifier, owner, (bucket, *row) = self._row(image)
                told = (bucket.casefold(), bucket, *row, write_image(image if any(row) else replace(image, tags={})))
                rows.append((image.platform, key, owner, identifier, *told))
        with self._lock:
            self._base.execute("begin")
            self._base.executemany(_INSERT, rows)
            self._base.execute("commit")

    def _row(self, image: Image) -> tuple[str, str, str, tuple[str, str, str, str, str]]:
        """Return key, identifier and owner of an image, and where it is placed: or what is wrong with its tags."""
        placement: Placement | None = None
        problem, remedy = "", ""
        try:
            placement = self._place(image)
            if placement is not None:
                policy_for(placement.bucket, self._policy)
        except Rejected as rejected:
            problem, remedy = str(rejected).removeprefix(f"{image.at}: "), rejected.remedy
        where = (placement.bucket, placement.fingerprint, placement.component_type) if placement else ("", "", "")
        identifier = own_identifier(image)
        return _key(image.platform, identifier), identifier, image.owner, (*where, problem, remedy)

    def _sightings(self, where: str, *values: object, limit: int = -1) -> tuple[Sighting, ...]:
        with self._lock:
            rows = self._base.execute(
                f"select {_FIELDS} from image where {where} order by number limit ?",  # noqa: S608 (no value in it)
                (*values, limit),
            ).fetchall()
        return tuple(
            Sighting(number, owner, identifier, read_image(body) if body else None, *rest)
            for number, owner, identifier, body, *rest in rows
        )


class Page:
    """The list of one scope as it is written, some hundred images at a time."""

    SIZE = 500

    def __init__(self, census: Census, scope: Scope) -> None:
        self.images = 0
        self._census = census
        self._scope = scope
        self._waiting: list[Image | Unread] = []

    def add(self, image: Image | Unread) -> None:
        """Add what a survey yields; what is gone is no image."""
        if isinstance(image, Image) and image.state is ImageState.GONE:
            return
        self.images += 1
        self._waiting.append(image)
        if len(self._waiting) >= self.SIZE:
            self.flush()

    def flush(self) -> None:
        """Write what is not written yet."""
        self._census.write(self._waiting)
        self._waiting = []


def _key(platform: str, identifier: str) -> str:
    """Return an identifier as its cloud compares it: Azure changes the casing of resource groups."""
    return identifier.casefold() if platform == Platform.AZURE else identifier
