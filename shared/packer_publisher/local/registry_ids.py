"""ULID-shaped ids, deterministic where a seed is given (https://github.com/ulid/spec)."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from datetime import datetime

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

IdSource = Callable[[datetime, int], str]


def ulid(milliseconds: int, entropy: int) -> str:
    """Return 48 bits of time and 80 bits of entropy in 26 letters that sort like the numbers."""
    number = (milliseconds & (1 << 48) - 1) << 80 | entropy & (1 << 80) - 1
    letters = [""] * 26
    for place in range(25, -1, -1):
        letters[place] = _ALPHABET[number & 31]
        number >>= 5
    return "".join(letters)


def id_source(seed: int | None) -> IdSource:
    """Return a function of (moment, running number) that gives ids which never sort before earlier ones.

    With a seed the ids depend on nothing else; without one they differ from process to process.
    """
    start = secrets.randbits(79) if seed is None else random.Random(seed).getrandbits(79)  # noqa: S311 (no secret)

    def new(now: datetime, number: int) -> str:
        return ulid(int(now.timestamp() * 1000), start + number)

    return new
