"""What must become of poison: an outcome with a reason, an end, and a log that stays readable and tells no secret."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from packer_publisher.local.registry_tokens import WRITER
from packer_publisher.report import Outcome
from tests.proof.poison_doors import Handled
from tests.proof.poison_words import PRIVATE

LONGEST_LINE = 32_768
"""Bytes of one log line: the least that any of the three platforms takes (Azure, Application Insights)."""
MOST_LINES = 64
"""Log lines of one message: an order may name 16 images, a sweep finds those of the stand-in."""

ORDINARY = frozenset(map(str, Outcome)) - {Outcome.IGNORED, Outcome.REJECTED, Outcome.DEFERRED}
"""What may become of an input that is spoiled in a place that nobody looks at: its image is there."""

TROUBLE = re.compile(
    r"Azure refused to show .+ \(HTTP 404 SubscriptionNotFound\)\."
    r"|Google Cloud knows no project \S+, or does not show it to this identity\."
)
"""Why a message may come again: a subscription or project that this identity may not look into, which people mend."""


def broken_rules(handled: Handled, *, batch: int, textual: bool, secrets: Sequence[str] = ()) -> list[str]:
    """Return the rules that an answer breaks, in words; [] where all is well.

    ``batch`` is how many messages were handled at once, ``secrets`` what nothing may tell. What is private in a message
    may be told, cut, where its text was spoiled (``textual``): whoever joins halves may call a caller an image.
    """
    reports = handled.reports
    found = [f"{handled.escaped} left the function"] if handled.escaped else []
    if not reports and not any("window" in line for line in handled.lines):  # a sweep tells about itself
        found.append("nobody is told what became of it")
    found += [f"{line['outcome']} without a reason" for line in reports if not _explained(line)]
    deferred = [str(line.get("reason")) for line in reports if line["outcome"] == Outcome.DEFERRED]
    found += [f"asks to come again without trouble: {reason}" for reason in deferred if not TROUBLE.fullmatch(reason)]
    if handled.kept and not deferred:
        found.append("comes again without a word")
    if handled.bred:
        found.append(f"breeds {handled.bred} messages")
    told = [*secrets, WRITER.secret, *([] if textual else [PRIVATE])]
    found += [f"tells a secret: {word[:8]}..." for word in told if word in handled.written]
    return found + _unreadable(handled, batch)


def longest_line(written: str) -> int:
    """Return the bytes of the longest line."""
    return max((len(line.encode(errors="surrogatepass")) for line in written.split("\n")), default=0)


def _explained(line: Mapping[str, Any]) -> bool:
    reason = line.get("reason")
    return line["outcome"] in ORDINARY or (isinstance(reason, str) and bool(reason.strip()))


def _unreadable(handled: Handled, batch: int) -> list[str]:
    found = [f"not a log line: {str(line['unreadable'])[:200]}" for line in handled.lines if "unreadable" in line]
    count = handled.written.count("\n")
    if count > MOST_LINES * batch:
        found.append(f"{count} lines")
    if (longest := longest_line(handled.written)) > LONGEST_LINE:
        found.append(f"a line of {longest} bytes")
    if len(handled.written.splitlines()) > count:
        found.append("a line that breaks in the middle")
    levels = {str(line.get("level", line.get("severity", ""))) for line in handled.lines}
    return found + [f"told as {level}" for level in sorted(levels & {"ERROR", "CRITICAL"})]
