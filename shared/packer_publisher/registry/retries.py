"""When a request is sent again, and when that would be a lie: the one loop around every exchange.

A request that may be repeated (a read, a token) is, on lost connections and on 429, 500, 502, 503 and 504. A write is
repeated only where it certainly did not happen: 429, or a connection that was never established. After anything else
its outcome is unknown, and only a read tells. HCP documents no rate limit; Retry-After is honoured where one is sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from packer_publisher.deadline import Deadline
from packer_publisher.errors import OutcomeUnknown, RegistryTrouble
from packer_publisher.registry.wire import CALL_SECONDS, Answer, Lost, Message, NotSent, Wire
from packer_publisher.registry.wording import describe

TRIES = 6
"""The most times one request is sent."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""The bounds of the pause before the second and before later tries, in seconds, doubled in between."""

PASSING = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses that may be gone at the next try; 408 is a server or proxy that gave up on reading the request."""

REMEDY = "HCP or the way to it is in trouble; try again later, and look at https://status.hashicorp.com."


@dataclass(frozen=True, slots=True)
class Patience:
    """How pauses are drawn and what time it is: ``draw`` gives [0, 1), ``now`` seconds since 1970."""

    draw: Callable[[], float]
    now: Callable[[], float] = time.time

    def pause(self, tries: int, retry_after: float | None) -> float:
        """Return the pause after that many tries: full jitter, on top of what the other side asked for."""
        bound = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (tries - 1))
        return (retry_after or 0.0) + self.draw() * bound

    def retry_after(self, answer: Answer) -> float | None:
        """Return the seconds that Retry-After asks for (a number, or a date by the server's own clock), else None."""
        value = answer.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdigit():
            return float(value[:9])
        wanted = http_date(value)
        if wanted is None:
            return None
        here = http_date(answer.headers.get("date", "")) or datetime.fromtimestamp(self.now(), UTC)
        return max(0.0, (wanted - here).total_seconds())


def http_date(value: str) -> datetime | None:
    """Return the time of an HTTP date header, None where it is missing or none."""
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request and how it may be treated: ``what`` begins every message about it."""

    what: str
    message: Message
    repeatable: bool
    sent: Callable[[], None] = lambda: None  # called for each request that was really sent
    limit: float = CALL_SECONDS
    secrets: tuple[str, ...] = ()
    needs_document: bool = True  # a 2xx answer must be a JSON object


def persist(attempt: Attempt, wire: Wire, deadline: Deadline, patience: Patience) -> Answer:
    """Return the first answer that a repetition would not change: 2xx with a JSON object, or a refusal.

    Raises RegistryTrouble (nothing was written: given up, or no time left) or OutcomeUnknown (a write was sent and
    its answer is lost). Never begins anything after the deadline.
    """
    what = attempt.what
    for tries in range(1, TRIES + 1):
        if deadline.remaining() <= 0:
            raise RegistryTrouble(f"{what}: not sent, because no time was left.", remedy=REMEDY)
        retry_after: float | None = None
        cause: Exception | None = None
        try:
            answer = wire.send(attempt.message, deadline, attempt.limit)
        except NotSent as error:
            failure, cause, happened = f"HCP cannot be reached ({error})", error, False
        except Lost as error:
            attempt.sent()
            failure, cause, happened = str(error), error, True
        else:
            attempt.sent()
            retry_after = patience.retry_after(answer)
            if answer.ok and (not attempt.needs_document or answer.document() is not None):
                return answer
            if answer.ok:
                failure, happened = f"HCP answered {answer.status} with a body that is no JSON object", True
            elif answer.status in PASSING:
                failure = f"HCP answered {describe(answer, attempt.secrets)}"
                happened = answer.status != 429
            elif 400 <= answer.status < 500 or answer.status == 501:  # 501 is code 12: no such operation
                return answer
            else:
                failure, happened = f"HCP answered {describe(answer, attempt.secrets)}", True
        if happened and not attempt.repeatable:
            raise OutcomeUnknown(
                f"{what}: {failure}. The write may have happened or not.",
                remedy="Read what is there before writing again.",
                retry_after=retry_after,
            ) from cause
        if tries == TRIES:
            raise RegistryTrouble(
                f"{what}: {failure}; given up after {tries} tries.", remedy=REMEDY, retry_after=retry_after
            ) from cause
        if not deadline.pause(patience.pause(tries, retry_after)):
            count = "1 try" if tries == 1 else f"{tries} tries"
            raise RegistryTrouble(
                f"{what}: {failure}; no time was left for another try after {count}.",
                remedy=REMEDY,
                retry_after=retry_after,
            ) from cause
    raise AssertionError("unreachable: the last try returns or raises")
