"""What an examination of a deployment finds: one line for each thing that was looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a thing is; the worst one last."""

    RIGHT = "right"
    NOTE = "note"  # works, but somebody should know
    UNKNOWN = "unknown"  # could not be looked at: never taken for right
    WRONG = "wrong"


class Trouble(StrEnum):
    """Which kind of trouble a wrong thing is, where the kind decides the exit status."""

    CONFIGURATION = "configuration"
    CREDENTIALS = "credentials"
    UNREACHABLE = "unreachable"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: ``about`` is the thing, ``text`` how it is, ``remedy`` what mends it ("" for what is right)."""

    verdict: Verdict
    about: str
    text: str
    remedy: str = ""
    trouble: Trouble = Trouble.OTHER


def right(about: str, text: str) -> Finding:
    """Return that a thing is as it should be."""
    return Finding(Verdict.RIGHT, about, text)


def note(about: str, text: str, remedy: str = "") -> Finding:
    """Return that a thing works, and what should be known about it."""
    return Finding(Verdict.NOTE, about, text, remedy)


def wrong(about: str, text: str, remedy: str, trouble: Trouble = Trouble.OTHER) -> Finding:
    """Return that a thing does not work, and what mends it."""
    return Finding(Verdict.WRONG, about, text, remedy, trouble)


def unknown(about: str, text: str, remedy: str, trouble: Trouble = Trouble.OTHER) -> Finding:
    """Return that a thing could not be looked at, and what would allow it."""
    return Finding(Verdict.UNKNOWN, about, text, remedy, trouble)


def judged(about: str, good: str, problems: Iterable[str], remedy: str) -> Finding:
    """Return one finding about a thing that has several sides: right where there is no problem."""
    found = list(problems)
    return wrong(about, "; ".join(found), remedy) if found else right(about, good)
