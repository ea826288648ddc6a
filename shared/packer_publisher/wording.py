"""Foreign text made fit for messages and logs."""

from __future__ import annotations


def shown(value: object, limit: int = 128) -> str:
    """Return foreign text in one line: control characters escaped, cut at ``limit`` characters (with ``…``).

    What it is used on comes from tags and events, so it may try to forge log lines or flood them.
    """
    text = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(value)[: limit + 1]
    )
    return text if len(text) <= limit else text[: limit - 1] + "…"


def listed(names: object) -> str:
    """Return names as a person lists them: ``a``, ``a and b``, ``a, b and c``."""
    words = [shown(name) for name in names] if isinstance(names, (list, tuple, set, frozenset)) else [shown(names)]
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def counted(number: int, noun: str) -> str:
    """Return a number of things in words: ``1 image``, ``2 images``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
