"""Durations as HashiCorp's users type them: ``2m``, ``6h``, ``1h30m``, ``7d``."""

from __future__ import annotations

import re
from datetime import timedelta

EXAMPLES = "such as 2m, 6h or 1h30m"

_NUMBER = r"[0-9]{1,6}(?:\.[0-9]{1,3})?"
_SHAPE = re.compile(
    rf"(?=.)(?:(?P<days>{_NUMBER})d)?(?:(?P<hours>{_NUMBER})h)?(?:(?P<minutes>{_NUMBER})m)?(?:(?P<seconds>{_NUMBER})s)?"
)
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def parse_duration(text: str) -> timedelta | None:
    """Return the duration that a person typed, or None when it is none.

    The units are d, h, m and s, each at most once and the largest first; a fraction is allowed (``1.5h``), as
    Go allows it. A bare number has no unit and is none: 120 could mean seconds or minutes.
    """
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        return None
    return timedelta(**{unit: float(number) for unit, number in shape.groupdict().items() if number})


def format_duration(duration: timedelta) -> str:
    """Return a duration of whole seconds in the same notation: ``1h30m``, ``7d``, ``0s``."""
    seconds = int(duration.total_seconds())
    parts = []
    for unit, size in _UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
