"""Authorised calls of HCP's API: headers, one renewal of the token on 401, and errors by what the caller does next."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from packer_publisher.deadline import Deadline
from packer_publisher.errors import CredentialsTrouble, Forbidden, RegistryRefused
from packer_publisher.registry.environment import Endpoint
from packer_publisher.registry.pacing import Pace
from packer_publisher.registry.retries import Attempt, Patience, http_date, persist
from packer_publisher.registry.tokens import AccessTokens
from packer_publisher.registry.wire import PRODUCT, Answer, Message, Wire
from packer_publisher.registry.wording import describe, grpc_code

NOT_FOUND, ALREADY_EXISTS, FAILED_PRECONDITION, ABORTED = 5, 6, 9, 10
"""The gRPC codes that HCP Packer's answers are told apart by; 409 alone is ambiguous (6 or 10)."""

READ_ROLE = "Give the service principal the Viewer role on the HCP project (or on the bucket)."
WRITE_ROLE = "Give the service principal the Contributor role on the HCP project (or on the bucket, if it exists)."


@dataclass(frozen=True, slots=True)
class Call:
    """One operation of the API.

    ``about`` says for messages what it is about (``bucket 'web', version 'abc'``). ``writes`` decides whether it may
    be repeated. ``absent`` holds the gRPC codes that mean "there is none" rather than an error; ``forbidden`` is what
    to do about a 403 where it is not a role on the registry.
    """

    operation: str
    about: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Mapping[str, Any] | None = None
    writes: bool = False
    absent: frozenset[int] = frozenset()
    counted: bool = True
    forbidden: str = ""

    @property
    def what(self) -> str:
        """Return the call as the beginning of a message: ``GetVersion of bucket 'web', version 'abc'``."""
        return f"{self.operation} of {self.about}" if self.about else self.operation


@dataclass(frozen=True, slots=True)
class Reply:
    """What a call brought: the JSON object (None where there is none of what was asked for) and HCP's own time."""

    document: dict[str, Any] | None
    at: datetime | None

    @property
    def body(self) -> dict[str, Any]:
        """Return the JSON object of an answer that cannot be "there is none"."""
        return self.document or {}


class Transport:
    """Sends calls to one API endpoint, from any thread."""

    def __init__(
        self, endpoint: Endpoint, tokens: AccessTokens, wire: Wire, patience: Patience, pace: Pace | None = None
    ) -> None:
        self._endpoint = endpoint
        self._tokens = tokens
        self._wire = wire
        self._patience = patience
        self._pace = pace
        self._calls = 0
        self._lock = threading.Lock()

    @property
    def calls(self) -> int:
        """Return the number of requests sent so far, repetitions included, tokens and discovery not."""
        return self._calls

    def send(self, call: Call, deadline: Deadline) -> Reply:
        """Return what HCP answered.

        Raises CredentialsTrouble (401 twice), Forbidden (403), RegistryTrouble, OutcomeUnknown (writes only) or
        RegistryRefused.
        """
        token = self._tokens.get(deadline)
        answer = self._attempt(call, token, deadline)
        if answer.status == 401:  # an unauthorised request did nothing, so a write may be repeated as well
            self._tokens.forget(token)
            token = self._tokens.get(deadline)
            answer = self._attempt(call, token, deadline)
        if answer.ok:
            return Reply(answer.document() or {}, http_date(answer.headers.get("date", "")))
        code = grpc_code(answer)
        if code in call.absent and answer.status in (404, 409):
            return Reply(None, http_date(answer.headers.get("date", "")))
        message = f"{call.what}: HCP answered {describe(answer, (token,))}"
        role = WRITE_ROLE if call.writes else READ_ROLE
        if answer.status == 401:
            raise CredentialsTrouble(
                f"{message}, with a fresh token too.",
                remedy=f"{role} Check that HCP_API_ADDRESS, HCP_AUTH_URL and HCP_GEOGRAPHY belong together.",
            )
        if answer.status == 403:
            raise Forbidden(f"{message}.", remedy=call.forbidden or role)
        raise RegistryRefused(f"{message}.", code=code, status=answer.status)

    def _attempt(self, call: Call, token: str, deadline: Deadline) -> Answer:
        if self._pace is not None and call.counted:
            self._pace.wait(deadline)
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "X-HCP-Source-Channel": PRODUCT,
        }
        content = None
        if call.body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(call.body, ensure_ascii=False).encode()
        query = f"?{urlencode(call.query)}" if call.query else ""
        message = Message(
            call.method, f"{self._endpoint.url}{call.path}{query}", headers, content, self._endpoint.checked
        )
        attempt = Attempt(
            what=call.what,
            message=message,
            repeatable=not call.writes,
            sent=self._count if call.counted else _uncounted,
            secrets=(token,),
        )
        return persist(attempt, self._wire, deadline, self._patience)

    def _count(self) -> None:
        with self._lock:
            self._calls += 1


def _uncounted() -> None:
    """Count nothing: what this package does to find its tenant is no call about an image."""
