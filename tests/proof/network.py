"""The network between a function and the registry as a test owns it: it knows which request to strike.

Requests go over real HTTP to the local registry, and what breaks is broken there; only the client's own time is made
short where a request is struck, and the test's clock goes on by what it would have been.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import NoReturn

import httpx
from starlette.routing import Match, Route

from packer_publisher.deadline import Deadline
from packer_publisher.local.registry_faults import Fault, Faults, LostReply, Stall
from packer_publisher.local.registry_routes import ROUTES
from tests.proof.fault_rows import Row

HURRY = 0.05
"""Seconds of real time that stand for the ten which the client gives to a struck request."""

PATIENCE = 10.0
"""Seconds of real time after which a registry that has not met a fault is broken."""

_ROUTES = [(route.operation, Route(route.path, lambda _: None, methods=[route.method])) for route in ROUTES]


@dataclass(frozen=True, slots=True)
class Held:
    """The request is stuck on its way until the client has left, and reaches the registry then.

    ``reads`` is how many reads pass first; a request that is still stuck arrives when :meth:`Network.arrive` is called.
    """

    reads: int | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as the client sent it; ``answer`` is the status, 0 where none came."""

    operation: str
    method: str
    path: str
    body: bytes
    answer: int


@dataclass
class Timepiece:
    """A monotonic clock that stands still unless somebody sleeps or a time-out passes."""

    seconds: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds

    def deadline(self, seconds: float) -> Deadline:
        """Return the deadline that lies so many seconds ahead on this clock."""
        return Deadline.after(seconds, self, self.sleep)


class Network(httpx.BaseTransport):
    """Sends requests, strikes those that it was told to, and keeps a log of all; ``struck`` counts those."""

    def __init__(self, faults: Faults, time: Timepiece) -> None:
        self._inner = httpx.HTTPTransport(trust_env=False)
        self._faults = faults
        self._time = time
        self._stuck: list[tuple[Held, httpx.Request]] = []
        self._aim: tuple[Row, Fault | Held, bool] | None = None
        self._matched = 0
        self.struck = 0
        self.log: list[Sent] = []

    def strike(self, row: Row, fault: Fault | Held, *, lasting: bool) -> None:
        """Strike the row's call: its ``nth`` request from now on and, where ``lasting``, all that follow."""
        self._aim, self._matched = (row, fault, lasting), 0

    def spare(self) -> None:
        """Strike nothing any more."""
        self._aim = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        operation = operation_of(request)
        fault = self._aimed_at(operation, request.read())
        if fault is None:
            response = self._send(operation, request)
            if _reads(operation, request.method):
                self._pass_reads()
            return response
        self.struck += 1
        if isinstance(fault, Held):
            self._stuck.append((fault, _copy(request)))
            self._note(operation, request, 0)
            self._time_out(request)
        self._faults.add(operation, fault)
        if not isinstance(fault, Stall) and not (isinstance(fault, LostReply) and fault.seconds):
            return self._send(operation, request)
        limits: dict[str, float] = request.extensions["timeout"]
        self._note(operation, request, 0)
        request.extensions = {**request.extensions, "timeout": dict.fromkeys(limits, HURRY)}
        try:
            return self._inner.handle_request(request)
        except httpx.ReadTimeout:
            self._time.seconds += limits["read"]
            self._await_fault()
            raise

    def arrive(self) -> None:
        """Let the requests that are stuck reach the registry; nobody hears the answers."""
        stuck, self._stuck = self._stuck, []
        for _, request in stuck:
            self._inner.handle_request(request).close()

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()

    def _aimed_at(self, operation: str, content: bytes) -> Fault | Held | None:
        """Return the fault that this request meets, None for none."""
        if self._aim is None:
            return None
        row, fault, lasting = self._aim
        if not row.matches(operation, json.loads(content) if content.startswith(b"{") else {}):
            return None
        self._matched += 1
        return fault if self._matched == row.nth or (lasting and self._matched > row.nth) else None

    def _send(self, operation: str, request: httpx.Request) -> httpx.Response:
        try:
            response = self._inner.handle_request(request)
        except httpx.TransportError:
            self._note(operation, request, 0)
            raise
        self._note(operation, request, response.status_code)
        return response

    def _time_out(self, request: httpx.Request) -> NoReturn:
        self._time.seconds += request.extensions["timeout"]["read"]
        raise httpx.ReadTimeout("", request=request)

    def _await_fault(self) -> None:
        """Wait until the registry has met the fault: on a busy machine the client may have left before."""
        end = monotonic() + PATIENCE
        while self._faults.left():
            if monotonic() > end:
                raise AssertionError(f"the registry did not meet {self._faults.left()}")
            sleep(0.001)

    def _pass_reads(self) -> None:
        stuck, self._stuck = self._stuck, []
        for held, request in stuck:
            if held.reads is not None and held.reads <= 1:
                self._inner.handle_request(request).close()
            else:
                self._stuck.append((held if held.reads is None else Held(held.reads - 1), request))

    def _note(self, operation: str, request: httpx.Request, answer: int) -> None:
        self.log.append(Sent(operation, request.method, request.url.path, request.content, answer))

    def blind_writes(self) -> list[str]:
        """Return the writes that were sent again after an ambiguous failure without a look at the registry between.

        Unambiguous are 401 and 429 (nothing happened, so a repetition is right) and every other definite refusal
        (4xx), which the rules may answer with another write, but never with the same one.
        """
        found: list[str] = []
        unsure: Sent | None = None
        for sent in self.log:
            if sent.operation == "Token":
                continue
            if _reads(sent.operation, sent.method):
                unsure = None
                continue
            if unsure is not None and (sent.path, sent.body) == (unsure.path, unsure.body):
                found.append(f"{sent.operation} {sent.path} after {unsure.answer or 'no answer'}")
            unsure = sent if sent.answer not in (401, 429) else None
        return found


def _reads(operation: str, method: str) -> bool:
    """Return whether a request reads: the search does, although it is a POST."""
    return method == "GET" or operation == "SearchExternalArtifact"


def operation_of(request: httpx.Request) -> str:
    """Return the name of a request's operation."""
    if request.url.path == "/oauth2/token":
        return "Token"
    scope = {"type": "http", "method": request.method, "path": request.url.path, "root_path": "", "headers": []}
    for name, route in _ROUTES:
        if route.matches(scope)[0] is Match.FULL:
            return name
    raise LookupError(f"{request.method} {request.url.path} is no operation")


def _copy(request: httpx.Request) -> httpx.Request:
    """Return the request without the client's time limits: it is the network that carries it now."""
    return httpx.Request(
        request.method,
        request.url,
        headers=request.headers,
        content=request.content,
        extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), 5.0)},
    )
