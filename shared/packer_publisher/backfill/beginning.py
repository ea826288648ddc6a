"""Beginning a run, or going on with one: a journal belongs to one question and to the accounts that it was asked of."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from packer_publisher.backfill.asked import Asked
from packer_publisher.backfill.journal import Journal
from packer_publisher.errors import ConfigurationError
from packer_publisher.image import Scope

BEGUN, OVER = "begun", "over"
"""The stages that a journal notes about its run."""
_OPTIONS = {
    "rules": "the configuration or the mapping",
    "only": "--region",
    "clouds": "the cloud",
    "tagged": "--mapping",
    "allow_latest_back": "--allow-latest-to-move-back",
    "queues": "--enqueue and the queues",
}


def open_journal(path: Path, asked: Asked, *, resume: bool) -> Journal:
    """Return the journal of a new run, or with ``resume`` of the one that was broken off.

    Raises ConfigurationError where there is none to go on with, where it was asked for something else, and where a new
    run would forget one that is not over. A journal of a run that is over is replaced.
    """
    there = path.exists()
    if resume and not there:
        raise ConfigurationError(f"there is no journal to go on with: {path}", remedy="leave --resume out")
    if there:
        journal = Journal(path)
        facts = journal.facts()
        if resume:
            _compare(path, facts, asked)
            return journal
        journal.close()
        if facts.get("stage") == BEGUN:
            raise ConfigurationError(
                f"{path} is the journal of a backfill that is not over",
                remedy="go on with it (--resume), name another file (--journal), or remove it",
            )
        _remove(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    journal = Journal(path)
    journal.note(asked=asked.text, stage=BEGUN, begun_at=datetime.now(UTC).isoformat())
    return journal


def claim(journal: Journal, scopes: Iterable[Scope]) -> None:
    """Enter the scopes of the run, which is not over from now on.

    Raises ConfigurationError where the journal is about other accounts.
    """
    scopes = sorted(scopes)
    accounts = json.dumps(sorted({f"{scope.platform}:{scope.owner_id}" for scope in scopes}))
    noted = journal.facts().get("accounts", accounts)
    if noted != accounts:
        ours, theirs = (", ".join(json.loads(text)) or "none" for text in (accounts, noted))
        raise ConfigurationError(
            f"{journal.path} is the journal of other accounts: {theirs}, and the credentials reach {ours}",
            remedy="use the credentials that it was begun with, or begin anew with another --journal",
        )
    journal.note(accounts=accounts, stage=BEGUN)
    journal.plan_scopes(scopes)


def end(journal: Journal) -> None:
    """Note that the run is over: a new one may take its journal's place."""
    journal.note(stage=OVER)


def _compare(path: Path, facts: dict[str, str], asked: Asked) -> None:
    try:
        before, now = (json.loads(text) for text in (facts.get("asked", ""), asked.text))
    except ValueError:
        raise ConfigurationError(f"{path} holds no backfill to go on with", remedy="leave --resume out") from None
    differing = sorted(key for key in now if before.get(key) != now[key])
    if differing:
        told = ", ".join(_OPTIONS.get(key, f"--{key}") for key in differing)
        raise ConfigurationError(
            f"{path} was begun with something else: {told}",
            remedy="ask for the same as then, or begin anew with another --journal",
        )


def _remove(path: Path) -> None:
    for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        name.unlink(missing_ok=True)
