"""Faults that a test programs into the HTTP face of a stand-in, by the operation's name.

A fault that was never met fails the test: it proved nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer with this status and body; ``committed`` lets the operation happen before."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    committed: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset the connection; nothing happens to the registry."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Say nothing for some seconds, then go on as ever; nothing happens if the client has left by then."""

    seconds: float


@dataclass(frozen=True, slots=True)
class LostReply:
    """Let the operation happen, say nothing for some seconds, then reset the connection."""

    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Truncated:
    """Let the operation happen, promise the whole body, send half of it and close the connection."""


Fault = Answer | Reset | Stall | LostReply | Truncated

ANY = "*"


@dataclass(frozen=True, slots=True)
class _Programmed:
    operation: str
    fault: Fault
    occurrence: int | None  # None: the next call that no other fault takes


class Faults:
    """The faults still to come. ``on`` counts calls of the operation from now on, 1 is the next one.

    The operation ``*`` means any. Several faults without ``on`` are met one after the other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._programmed: list[_Programmed] = []
        self._seen: dict[str, int] = {}

    def add(self, operation: str, fault: Fault, *, on: int | None = None, times: int = 1) -> None:
        """Program a fault for ``times`` calls in a row."""
        if times < 1 or (on is not None and on < 1):
            raise ValueError("on and times count from 1")
        with self._lock:
            seen = self._seen.get(operation, 0)
            for nth in range(times):
                occurrence = None if on is None else seen + on + nth
                self._programmed.append(_Programmed(operation, fault, occurrence))

    def answer(
        self,
        operation: str,
        status: int,
        *,
        body: str = "",
        headers: Mapping[str, str] | None = None,
        committed: bool = False,
        on: int | None = None,
        times: int = 1,
    ) -> None:
        """Answer with a status; a body that looks like JSON or HTML is sent as such."""
        self.add(operation, Answer(status, body, headers or {}, committed), on=on, times=times)

    def reset(self, operation: str, *, on: int | None = None, times: int = 1) -> None:
        """Reset the connection before anything happens."""
        self.add(operation, Reset(), on=on, times=times)

    def stall(self, operation: str, seconds: float, *, on: int | None = None, times: int = 1) -> None:
        """Answer late."""
        self.add(operation, Stall(seconds), on=on, times=times)

    def lose_reply(self, operation: str, *, seconds: float = 0.0, on: int | None = None, times: int = 1) -> None:
        """Commit, then lose the reply: at once, or after ``seconds`` so that the client times out first."""
        self.add(operation, LostReply(seconds), on=on, times=times)

    def truncate(self, operation: str, *, on: int | None = None, times: int = 1) -> None:
        """Commit, then send half of the answer."""
        self.add(operation, Truncated(), on=on, times=times)

    def take(self, operation: str) -> Fault | None:
        """Return the fault that this call of the operation meets, None for none; called by the HTTP face."""
        with self._lock:
            for name in (operation, ANY):
                self._seen[name] = self._seen.get(name, 0) + 1
            for name in (operation, ANY):
                waiting = [entry for entry in self._programmed if entry.operation == name]
                exact = [entry for entry in waiting if entry.occurrence == self._seen[name]]
                due = exact or [entry for entry in waiting if entry.occurrence is None]
                if due:
                    self._programmed.remove(due[0])
                    return due[0].fault
            return None

    def left(self) -> list[str]:
        """Return a line for each fault that nobody has met."""
        with self._lock:
            return [
                f"{entry.operation}: {entry.fault}"
                + (f" on call {entry.occurrence}" if entry.occurrence is not None else "")
                for entry in self._programmed
            ]

    def assert_consumed(self) -> None:
        """Raise AssertionError that names every fault that nobody has met."""
        left = self.left()
        if left:
            raise AssertionError("Faults were programmed but never met: " + "; ".join(left))
