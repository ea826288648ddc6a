"""The words of poison: names, times, texts, tokens and tags that are almost right, or that somebody might fall over.

They are data (``tests/events/poison/words.json``); what is long or private is made here.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

PRIVATE = "made-up-caller"
"""Stands in each private field of the messages: who caused an event, with which token."""

_words: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "events" / "poison" / "words.json").read_text(encoding="utf-8")
)

NAMES: list[str] = _words["names"]
"""Names and places that are almost one."""
TIMES: list[str] = _words["times"]
"""Times that are none, or none that a message can have."""
TEXTS: list[str] = [*_words["texts"], "A" * 5000, "\\" * 600, '"' * 600, "[" * 2000, "\U0001f0a1" * 300]
"""Texts that forge, flood or break lines."""
TOKENS: list[str] = [*_words["tokens"], "9" * 4000, "9" * 5000, "1" + "0" * 300]
"""What is written in the place of a value: numbers and words that JSON has, has not, or has in some parsers."""
TAGS: list[Any] = [
    *_words["tags"],
    {f"tag{number}": "x" for number in range(300)},
    {"hcp-packer-bucket": "w" * 3000, "hcp-packer-fingerprint": "f" * 3000},
    {"x" * 5000: "y" * 5000},
    "[" * 900,
]
"""Tags in shapes that tags do not have."""
STRANGE: list[str] = _words["strange"]
"""Characters to be put between others."""
KEYS: list[str] = _words["keys"]
"""Keys that the readers look for."""
VALUES: list[str] = [*_words["values"], *NAMES, *TEXTS, *TIMES]
"""Texts of every sort, those among them that the readers look for."""
HEADERS: dict[str, list[str]] = _words["headers"]
"""Headers of requests, with values that they should not have, or not there."""
PATHS: list[str] = _words["paths"]
"""Where a push subscription may be told to send its requests."""
ODD: list[Any] = [None, True, False, 0, -1, 1.5, 2**63, "", "text", [], {}, [[]], [None], {"": None}]
"""Values of every type."""
HUGE = "x" * 200_000


def depth(rng: Random) -> int:
    """Return how deep to nest: harmlessly, around what Python's recursion allows, or far beyond."""
    return rng.choice((8, 60, 400, rng.randrange(880, 1001), 3_000, 100_000))
