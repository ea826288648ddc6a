"""Where the records of the local registry lie: in memory, or in SQLite.

The rules are written once, over the small :class:`Store`; a simulation takes the one that copies cheaply.
"""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from packer_publisher.local.registry_records import R, Record, decode, encode

Key = tuple[str, str, str]  # project, bucket, name; "" where a kind of record has no such part


class Store(Protocol):
    """Records by kind and key. All calls of one operation happen inside one ``transaction``."""

    def get(self, kind: type[R], key: Key) -> R | None:
        """Return the record, None if there is none."""

    def put(self, key: Key, record: Record) -> None:
        """Write a record, new or in place of the one with the same kind and key."""

    def delete(self, kind: type[Record], key: Key) -> None:
        """Remove a record; one that is not there is no error."""

    def scan(self, kind: type[R], project: str, bucket: str | None = None) -> list[R]:
        """Return all records of a kind in a project, or in one bucket of it."""

    def next_number(self) -> int:
        """Return a number that is larger than all before."""

    def transaction(self) -> AbstractContextManager[None]:
        """Return a context that keeps all its writes, or none of them if it is left by an error."""

    def copy(self) -> MemoryStore:
        """Return the same contents in memory, independent from now on."""

    def close(self) -> None:
        """Release what the store holds."""


class MemoryStore:
    """Records in dictionaries; ``copy`` shares the records, which are never changed."""

    def __init__(self) -> None:
        self._records: dict[type[Any], dict[Key, Any]] = {}
        self._number = 0
        self._undo: list[tuple[type[Record], Key, Any]] = []

    def get(self, kind: type[R], key: Key) -> R | None:
        """Return the record, None if there is none."""
        found: R | None = self._records.get(kind, {}).get(key)
        return found

    def put(self, key: Key, record: Record) -> None:
        """Write a record."""
        records = self._records.setdefault(type(record), {})
        self._undo.append((type(record), key, records.get(key)))
        records[key] = record

    def delete(self, kind: type[Record], key: Key) -> None:
        """Remove a record."""
        before = self._records.get(kind, {}).pop(key, None)
        if before is not None:
            self._undo.append((kind, key, before))

    def scan(self, kind: type[R], project: str, bucket: str | None = None) -> list[R]:
        """Return all records of a kind in a project, or in one bucket of it."""
        return [
            record
            for key, record in self._records.get(kind, {}).items()
            if key[0] == project and (bucket is None or key[1] == bucket)
        ]

    def next_number(self) -> int:
        """Return a number that is larger than all before."""
        self._number += 1
        return self._number

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all writes, or none if left by an error."""
        self._undo.clear()
        number = self._number
        try:
            yield
        except BaseException:
            self._number = number
            for kind, key, before in reversed(self._undo):
                if before is None:
                    self._records[kind].pop(key, None)
                else:
                    self._records[kind][key] = before
            raise

    def copy(self) -> MemoryStore:
        """Return the same contents, independent from now on."""
        twin = MemoryStore()
        twin._records = {kind: dict(records) for kind, records in self._records.items()}
        twin._number = self._number
        return twin

    def close(self) -> None:
        """Do nothing: memory needs no release."""


_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    kind TEXT NOT NULL, project TEXT NOT NULL, bucket TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (kind, project, bucket, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS numbers (last INTEGER NOT NULL);
INSERT INTO numbers (last) SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM numbers);
"""


class SqliteStore:
    """Records in one SQLite database, a file or ``:memory:``; any thread may use it, one at a time."""

    def __init__(self, database: str | Path = ":memory:") -> None:
        # The model's lock keeps threads apart, so SQLite's own check of the thread would only be in the way.
        self._connection = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
        # Whoever drops a store without closing it leaves no open connection behind.
        self._closed = weakref.finalize(self, self._connection.close)
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            # A stand-in may lose its last write in a power failure, but no milliseconds in every test.
            self._connection.execute("PRAGMA synchronous=OFF")
            self._connection.executescript(_SCHEMA)
        except sqlite3.Error:
            self.close()
            raise

    def get(self, kind: type[R], key: Key) -> R | None:
        """Return the record, None if there is none."""
        row = self._connection.execute(
            "SELECT body FROM records WHERE kind = ? AND project = ? AND bucket = ? AND name = ?",
            (kind.__name__, *key),
        ).fetchone()
        return None if row is None else decode(kind, row[0])

    def put(self, key: Key, record: Record) -> None:
        """Write a record."""
        self._connection.execute(
            "INSERT OR REPLACE INTO records (kind, project, bucket, name, body) VALUES (?, ?, ?, ?, ?)",
            (type(record).__name__, *key, encode(record)),
        )

    def delete(self, kind: type[Record], key: Key) -> None:
        """Remove a record."""
        self._connection.execute(
            "DELETE FROM records WHERE kind = ? AND project = ? AND bucket = ? AND name = ?",
            (kind.__name__, *key),
        )

    def scan(self, kind: type[R], project: str, bucket: str | None = None) -> list[R]:
        """Return all records of a kind in a project, or in one bucket of it."""
        rows = self._connection.execute(
            "SELECT body FROM records WHERE kind = ? AND project = ? AND (? IS NULL OR bucket = ?)",
            (kind.__name__, project, bucket, bucket),
        ).fetchall()
        return [decode(kind, row[0]) for row in rows]

    def next_number(self) -> int:
        """Return a number that is larger than all before, also in earlier runs."""
        row = self._connection.execute("UPDATE numbers SET last = last + 1 RETURNING last").fetchone()
        return int(row[0])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all writes, or none if left by an error."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def copy(self) -> MemoryStore:
        """Return the same contents in memory, independent from now on."""
        twin = MemoryStore()
        for name, project, bucket, key, body in self._connection.execute("SELECT * FROM records"):
            kind = next(kind for kind in Record.__args__ if kind.__name__ == name)
            twin.put((project, bucket, key), decode(kind, body))
        twin._number = self._connection.execute("SELECT last FROM numbers").fetchone()[0]
        return twin

    def close(self) -> None:
        """Close the database; a second time does nothing."""
        self._closed()
