"""The columns of the fault matrix: every way in which a call can fail, as it is programmed."""

from __future__ import annotations

import json
from dataclasses import dataclass

from packer_publisher.local.registry_faults import Answer, Fault, LostReply, Reset, Stall, Truncated
from tests.proof.network import Held


@dataclass(frozen=True, slots=True)
class Column:
    """One fault; ``means`` says it for people.

    ``happens`` is whether the operation is carried out all the same. ``retry_after`` is what a deferred report repeats.
    """

    name: str
    means: str
    fault: Fault | Held
    happens: bool = False
    retry_after: float | None = None

    @property
    def refuses(self) -> bool:
        """Return whether HCP says something definite about what was asked for, which is not so."""
        return self.name in ("404/5", "409/6", "409/10")


RETRY_AFTER = 20
STALL = 30.0
PAGE = "<html><head><title>Gateway</title></head><body><h1>504 Gateway Time-out</h1></body></html>"


def refusal(status: int, code: int, message: str, *, happens: bool = False, **headers: str) -> Answer:
    """Return an answer in HCP's own shape."""
    body = json.dumps({"code": code, "message": message, "details": []})
    return Answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()}, happens)


COLUMNS = (
    Column("401", "the token is refused (code 16)", refusal(401, 16, "the token is expired")),
    Column("403", "permission denied (code 7)", refusal(403, 7, "permission denied")),
    Column("404/5", "404 with code 5", refusal(404, 5, "not found")),
    Column("409/6", "409 with code 6, a duplicate", refusal(409, 6, "Error: it already exists")),
    Column("409/10", "409 with code 10, an unknown version", refusal(409, 10, "the version does not exist")),
    Column("429", "throttled (code 8)", refusal(429, 8, "too many requests")),
    Column(
        "429, Retry-After",
        "throttled for 20 s",
        refusal(429, 8, "too many requests", retry_after=str(RETRY_AFTER)),
        retry_after=RETRY_AFTER,
    ),
    Column("500", "code 13; nothing has happened", refusal(500, 13, "internal error")),
    Column(
        "500, carried out",
        "code 13, after the operation",
        refusal(500, 13, "internal error", happens=True),
        happens=True,
    ),
    Column("502", "plain text of a load balancer", Answer(502, "upstream connect error")),
    Column("503", "code 14", refusal(503, 14, "unavailable")),
    Column("504, a page", "a load balancer's HTML page", Answer(504, PAGE)),
    Column("200, a page", "a proxy's HTML page in place of HCP's answer", Answer(200, PAGE)),
    Column("reset", "the connection is reset before anything happens", Reset()),
    Column("reset, carried out", "the connection is reset after the operation", LostReply(), happens=True),
    Column("time-out", "no answer for 30 s; the client has left after 10, and nothing happens", Stall(STALL)),
    Column("time-out, carried out", "no answer for 30 s, after the operation", LostReply(STALL), happens=True),
    Column("half an answer", "the connection ends within the answer, after the operation", Truncated(), happens=True),
    Column("30 s late", "stuck on the way; carried out when the event has ended", Held(), happens=True),
    Column(
        "late, after the next look",
        "stuck on the way; carried out just after the client has looked whether it was",
        Held(reads=1),
        happens=True,
    ),
)
