"""What a stand-in was asked: one line per request, for counting calls in tests and in the demo."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime

# Tokens, the discovery of ids and the description are no calls of the registry itself.
ASIDE = frozenset(
    {
        "Token",
        "ExchangeToken",
        "ListOrganizations",
        "GetOrganization",
        "ListProjects",
        "GetProject",
        "GetOperation",
        "WaitOperation",
        "Description",
    }
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request; ``status`` 0 means that no answer was sent, ``fault`` names the programmed fault it met."""

    operation: str
    method: str
    path: str
    bucket: str
    fingerprint: str
    status: int
    at: datetime
    caller: str = ""
    fault: str = ""


class RequestLog:
    """The requests in the order in which they were answered; any thread may read and write."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[Request] = []

    def add(self, request: Request) -> None:
        """Write a line."""
        with self._lock:
            self._requests.append(request)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._requests.clear()

    def all(self) -> list[Request]:
        """Return every request."""
        with self._lock:
            return list(self._requests)

    def calls(self) -> list[Request]:
        """Return the calls of the registry itself: no tokens, no discovery."""
        return [request for request in self.all() if request.operation not in ASIDE]

    def operations(self) -> list[str]:
        """Return the names of the registry's operations that were called."""
        return [request.operation for request in self.calls()]

    def count(self, operation: str | None = None) -> int:
        """Return how often an operation was called, or all registry calls."""
        if operation is None:
            return len(self.calls())
        return sum(request.operation == operation for request in self.all())
