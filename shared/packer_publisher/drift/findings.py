"""The rows of a drift, in a temporary SQLite file: a registry of any size fits. Written in any order, read sorted."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import astuple, fields
from pathlib import Path

from packer_publisher.drift.row import How, Row, Verdict

_NAMES = ("verdict", *(entry.name for entry in fields(Row)))
_TABLES = f"""
create table found ({", ".join(_NAMES)});
create index found_bucket on found (bucket, fingerprint);
create index found_image on found (image);
create table version (bucket, fingerprint, primary key (bucket, fingerprint));
"""
_INSERT = f"insert into found values ({', '.join('?' * len(_NAMES))})"  # noqa: S608 (question marks)
_ORDER = "bucket = '', bucket, length(version), version, fingerprint, platform, component_type, region, identifier"


class Findings:
    """All rows. All methods may be called from several threads; reading begins when writing has ended."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._base = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._base.executescript(f"pragma journal_mode = memory; pragma synchronous = off; {_TABLES}")

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def add(self, rows: Iterable[Row]) -> None:
        """Add rows."""
        written = [(row.verdict, *astuple(row)) for row in rows]
        with self._lock:
            self._base.execute("begin")
            self._base.executemany(_INSERT, written)
            self._base.execute("commit")

    def walked(self, bucket: str, fingerprint: str) -> None:
        """Note that a version of the registry was looked at."""
        with self._lock:
            self._base.execute("insert or ignore into version values (?, ?)", (bucket.casefold(), fingerprint))

    def was_walked(self, bucket: str, fingerprint: str) -> bool:
        """Return whether a version was looked at."""
        with self._lock:
            found = self._base.execute(
                "select 1 from version where bucket = ? and fingerprint = ?", (bucket.casefold(), fingerprint)
            )
            return found.fetchone() is not None

    def mentions(self, image: int) -> bool:
        """Return whether a row is about an image."""
        with self._lock:
            return self._base.execute("select 1 from found where image = ?", (image,)).fetchone() is not None

    def settle(self) -> None:
        """Take out what another row tells better: an image that is listed wrongly is not missing besides."""
        with self._lock:
            self._base.execute(
                "delete from found where how = 'unregistered' and image in "
                "(select image from found where verdict = 'incorrect')"
            )

    def hows(self) -> frozenset[How]:
        """Return everything that is wrong somewhere."""
        with self._lock:
            return frozenset(How(how) for (how,) in self._base.execute("select distinct how from found"))

    def sums(self) -> dict[str, Counter[Verdict]]:
        """Return how often each verdict was found, by bucket, sorted; "" is for images that belong to none."""
        found: dict[str, Counter[Verdict]] = {}
        for bucket, verdict, number in self._base.execute(
            "select bucket, verdict, count(*) from found group by 1, 2 order by bucket = '', 1"
        ):
            found.setdefault(bucket, Counter())[Verdict(verdict)] = number
        return found

    def rows(self, verdicts: Collection[Verdict] = tuple(Verdict), bucket: str | None = None) -> Iterator[Row]:
        """Yield the rows of some verdicts, of one bucket or of all, sorted; images that belong to none come last."""
        where = f"verdict in ({', '.join('?' * len(verdicts))})"
        values: tuple[object, ...] = tuple(verdicts)
        if bucket is not None:
            where, values = f"{where} and bucket = ?", (*values, bucket)
        query = f"select * from found where {where} order by {_ORDER}"  # noqa: S608 (fixed words and question marks)
        at = _NAMES.index("how")
        for row in self._base.execute(query, values):
            cells = [*row[:at], How(row[at]), *row[at + 1 :]]
            yield Row(*cells[1:])
