"""The journal of a backfill: one SQLite file into which the survey is spooled and the work is recorded.

It bounds the memory (images are read back version by version) and makes a run resumable: a scope is listed once, a
version is written once. It holds image metadata and tags, and no credential.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from packer_publisher.ancestry import source_of
from packer_publisher.backfill.spool import read_image, write_image
from packer_publisher.errors import ConfigurationError, Trouble
from packer_publisher.image import Image, Platform, Scope
from packer_publisher.listing import own_identifier
from packer_publisher.placement import Item, Placement

FORMAT = 2

_TABLES = f"""
create table run (key text primary key, value text not null);
create table scope (
    platform text, owner_id text, region text, state text not null default 'open', problem text not null default '',
    images integer not null default 0, primary key (platform, owner_id, region));
create table image (
    scope text not null, bucket text not null, fingerprint text not null, created real not null, body text not null,
    identifier text not null, source text not null);
create index image_version on image (bucket, fingerprint);
create index image_identifier on image (identifier);
create table other (scope text not null, image text not null, outcome text not null, reason text not null,
    remedy text not null);
create table version (
    bucket text, fingerprint text, oldest real not null, newest real not null, images integer not null,
    stage text not null default 'found', outcome text not null default '', name text not null default '',
    details text not null default '{{}}', calls integer not null default 0, primary key (bucket, fingerprint));
create index version_order on version (bucket, newest, fingerprint);
pragma user_version = {FORMAT};
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of the journal.

    ``oldest`` and ``newest`` are when its images were created. ``stage`` is ``found`` (by the survey), ``looked``
    (read in the registry, and planned) or ``done``; in between one that is handed over to the functions is ``sending``
    (perhaps on a queue already, perhaps not) and ``sent``. ``outcome``, ``name`` (HCP's, "" where it is not known) and
    ``details`` are what the plan or the work came to; ``calls`` what the work cost.
    """

    bucket: str
    fingerprint: str
    oldest: datetime
    newest: datetime
    images: int
    stage: str = "found"
    outcome: str = ""
    name: str = ""
    details: Mapping[str, object] | None = None
    calls: int = 0


class Journal:
    """One run's journal. All methods may be called from several threads."""

    def __init__(self, path: Path | str) -> None:
        """Open or begin a journal; raises ConfigurationError for a file that is none, or of another format."""
        self._lock = threading.RLock()
        self.path = str(path)
        try:
            self._base = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None, timeout=1.0)
            _refuse_other_files(self._base, self.path)  # before anything is changed about them
            self._base.execute("pragma journal_mode = wal")
            self._base.execute("pragma synchronous = normal")
            (tables,) = self._base.execute("select count(*) from sqlite_master").fetchone()
            if not tables:
                self._base.executescript(_TABLES)
        except sqlite3.Error as error:
            self._base.close()
            raise ConfigurationError(
                f"{self.path} cannot be used as a journal: {error}", remedy="name another file with --journal"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def facts(self) -> dict[str, str]:
        """Return what is noted about the run: its stage, what it was asked for, whose images it lists."""
        with self._lock:
            return dict(self._base.execute("select key, value from run"))

    def note(self, **facts: str) -> None:
        """Note facts about the run."""
        with self._transaction():
            self._base.executemany("insert or replace into run values (?, ?)", facts.items())

    def plan_scopes(self, scopes: Iterable[Scope]) -> None:
        """Enter the scopes of the run; those that are there already keep their state."""
        rows = [(scope.platform, scope.owner_id, scope.region) for scope in scopes]
        with self._transaction():
            self._base.executemany("insert or ignore into scope (platform, owner_id, region) values (?, ?, ?)", rows)

    def scopes(self) -> dict[Scope, tuple[str, str, int]]:
        """Return every scope with its state (``open``, ``listed`` or ``denied``), the problem and its images."""
        with self._lock:
            rows = self._base.execute("select * from scope order by 1, 2, 3").fetchall()
        return {Scope(Platform(row[0]), row[1], row[2]): (row[3], row[4], row[5]) for row in rows}

    @contextmanager
    def listing(self, scope: Scope) -> Iterator[Listing]:
        """Begin a scope's list anew; what was spooled of it before is forgotten, and it counts once the block ends."""
        with self._transaction():
            for table in ("image", "other"):
                self._base.execute(f"delete from {table} where scope = ?", (scope.at,))  # noqa: S608 (two fixed names)
        listing = Listing(self, scope)
        yield listing
        listing.flush()
        self._scope_is(scope, "listed", "", listing.images)

    def deny(self, scope: Scope, problem: Trouble) -> None:
        """Note that a scope could not be listed, and why."""
        self._scope_is(scope, "denied", str(problem), 0)

    def gather_versions(self, limit: int | None) -> int:
        """Sum the images up into versions, at most ``limit`` of them, the oldest; return how many there are.

        One that was looked at or done before, and of which more was found since (a region that denied access was
        allowed), is looked at again; what was handed over is not, as long as it is under way.
        """
        same = "image.bucket = version.bucket and image.fingerprint = version.fingerprint"
        with self._transaction():
            self._base.execute(
                "update version set stage = 'found', outcome = '', name = '', details = '{}', "  # noqa: S608 (no value)
                f"(oldest, newest, images) = (select min(created), max(created), count(*) from image where {same}) "
                f"where stage in ('looked', 'done') and images <> (select count(*) from image where {same})"
            )
            (number,) = self._base.execute("select count(*) from version").fetchone()
            self._base.execute(
                "insert into version (bucket, fingerprint, oldest, newest, images) "  # noqa: S608 (no value in it)
                "select bucket, fingerprint, min(created), max(created), count(*) from image "
                f"where not exists (select 1 from version where {same}) "
                "group by bucket, fingerprint order by max(created), bucket, fingerprint limit ?",
                (-1 if limit is None else max(0, limit - number),),
            )
            (number,) = self._base.execute("select count(*) from version").fetchone()
        return int(number)

    def buckets(self, *stages: str) -> list[tuple[str, int]]:
        """Return the buckets that have versions in one of the stages (all without), with their number, sorted."""
        where, values = _within(stages)
        with self._lock:
            found = self._base.execute(
                f"select bucket, count(*) from version where {where} group by bucket order by bucket",  # noqa: S608
                values,
            ).fetchall()
        return [(bucket, int(number)) for bucket, number in found]

    def versions(self, *stages: str, bucket: str | None = None) -> Iterator[Entry]:
        """Yield the versions in one of the stages (all without), by bucket, in the order of their newest images."""
        where, values = _within(stages)
        if bucket is not None:
            where, values = f"{where} and bucket = ?", (*values, bucket)
        last: tuple[str, float, str] = ("", float("-inf"), "")
        while True:  # a page at a time: entries may change while they are walked through
            with self._lock:
                rows = self._base.execute(
                    f"select * from version where {where} and (bucket, newest, fingerprint) > (?, ?, ?) "  # noqa: S608
                    "order by bucket, newest, fingerprint limit 200",
                    (*values, *last),
                ).fetchall()
            for row in rows:
                yield _entry(row)
            if not rows:
                return
            last = (rows[-1][0], rows[-1][3], rows[-1][1])

    def version(self, bucket: str, fingerprint: str) -> Entry | None:
        """Return one version, None where the survey found none of its images."""
        with self._lock:
            row = self._base.execute(
                "select * from version where bucket = ? and fingerprint = ?", (bucket, fingerprint)
            ).fetchone()
        return _entry(row) if row is not None else None

    def bases(self, entry: Entry) -> list[tuple[str, str]]:
        """Return the versions of other buckets that hold what this version's images were built from, sorted."""
        with self._lock:
            return self._base.execute(
                "select distinct base.bucket, base.fingerprint from image as child "
                "join image as base on base.identifier = child.source "
                "where child.bucket = ? and child.fingerprint = ? and child.source <> '' "
                "and base.bucket <> child.bucket order by 1, 2",
                (entry.bucket, entry.fingerprint),
            ).fetchall()

    def images(self, entry: Entry) -> tuple[Image, ...]:
        """Return the images of a version, in an order that does not depend on that of the survey."""
        with self._lock:
            rows = self._base.execute(
                "select body from image where bucket = ? and fingerprint = ? order by created, body",
                (entry.bucket, entry.fingerprint),
            ).fetchall()
        return tuple(read_image(body) for (body,) in rows)

    def others(self) -> list[tuple[str, str, str, str]]:
        """Return image, outcome, reason and remedy of every image that belongs nowhere."""
        with self._lock:
            return self._base.execute("select image, outcome, reason, remedy from other order by 1, 2, 3").fetchall()

    def record(self, entry: Entry) -> None:
        """Record how far a version is."""
        with self._transaction():
            self._base.execute(
                "update version set stage = ?, outcome = ?, name = ?, details = ?, calls = ? "
                "where bucket = ? and fingerprint = ?",
                (
                    entry.stage,
                    entry.outcome,
                    entry.name,
                    json.dumps(entry.details or {}, sort_keys=True),
                    entry.calls,
                    entry.bucket,
                    entry.fingerprint,
                ),
            )

    def spool(self, scope: Scope, images: list[tuple[object, ...]], others: list[tuple[object, ...]]) -> None:
        """Write a page of a scope's list."""
        with self._transaction():
            self._base.executemany(
                "insert into image values (?, ?, ?, ?, ?, ?, ?)", [(scope.at, *row) for row in images]
            )
            self._base.executemany("insert into other values (?, ?, ?, ?, ?)", [(scope.at, *row) for row in others])

    def _scope_is(self, scope: Scope, state: str, problem: str, images: int) -> None:
        with self._transaction():
            self._base.execute(
                "update scope set state = ?, problem = ?, images = ? "
                "where platform = ? and owner_id = ? and region = ?",
                (state, problem, images, scope.platform, scope.owner_id, scope.region),
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._base.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._base.execute("rollback")
                raise
            self._base.execute("commit")


class Listing:
    """The list of one scope as it is spooled, page by page."""

    PAGE = 500

    def __init__(self, journal: Journal, scope: Scope) -> None:
        self.images = 0
        self._journal = journal
        self._scope = scope
        self._images: list[tuple[object, ...]] = []
        self._others: list[tuple[object, ...]] = []

    def add(self, image: Image, placement: Placement) -> None:
        """Add an image that belongs to a version."""
        self.images += 1
        names = (own_identifier(image).casefold(), source_of(Item(image, placement)).casefold())
        created, body = image.created_at.timestamp(), write_image(image)
        self._images.append((placement.bucket, placement.fingerprint, created, body, *names))
        self._full()

    def add_other(self, image: str, outcome: str, reason: str, remedy: str) -> None:
        """Add an image that is ours and belongs to no version, with the reason."""
        self.images += 1
        self._others.append((image, outcome, reason, remedy))
        self._full()

    def pass_over(self) -> None:
        """Count an image that is not ours."""
        self.images += 1

    def flush(self) -> None:
        """Write what is not written yet."""
        if self._images or self._others:
            self._journal.spool(self._scope, self._images, self._others)
            self._images, self._others = [], []

    def _full(self) -> None:
        if len(self._images) + len(self._others) >= self.PAGE:
            self.flush()


def _refuse_other_files(base: sqlite3.Connection, path: str) -> None:
    """Raise ConfigurationError for a database that is no journal, or one of another format; an empty one is fine."""
    (version,) = base.execute("pragma user_version").fetchone()
    tables = {name for (name,) in base.execute("select name from sqlite_master")}
    if not tables or (version == FORMAT and "version" in tables):
        return
    base.close()
    if not {"run", "scope", "image", "version"} <= tables:
        raise ConfigurationError(f"{path} is a database, and no journal", remedy="name another file with --journal")
    raise ConfigurationError(
        f"{path} is a journal of format {version}, which another release of packer-publisher wrote; this one goes on "
        f"with format {FORMAT} alone",
        remedy="finish that run with that release; or remove the file, or name another one with --journal, and begin "
        "anew: what is in HCP Packer already is not written again",
    )


def _within(stages: tuple[str, ...]) -> tuple[str, tuple[object, ...]]:
    return (f"stage in ({', '.join('?' * len(stages))})", stages) if stages else ("1", ())


def _entry(row: tuple[str, str, float, float, int, str, str, str, str, int]) -> Entry:
    bucket, fingerprint, oldest, newest, images, stage, outcome, name, details, calls = row
    times = (datetime.fromtimestamp(oldest, UTC), datetime.fromtimestamp(newest, UTC))
    return Entry(bucket, fingerprint, *times, images, stage, outcome, name, json.loads(details), calls)
