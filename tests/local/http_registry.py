"""A plain HTTP client for the local registry's face, and the face itself, served on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from packer_publisher.local.registry_faults import Faults
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_requests import RequestLog
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.local.registry_tokens import AUDIENCE, WRITER, Tokens
from tests.local.described import description

FORM = {"grant_type": "client_credentials", "audience": AUDIENCE}


class RegistryClient:
    """Calls with a token; ``faults``, ``requests`` and ``tokens`` are those of the registry.

    Every answer that no fault has made is held against the registry's description.
    """

    def __init__(
        self, http: httpx.Client, model: RegistryModel, faults: Faults, requests: RequestLog, tokens: Tokens
    ) -> None:
        self.http = http
        self.model = model
        self.faults = faults
        self.requests = requests
        self.tokens = tokens
        self.base = f"/packer/2023-01-01/organizations/{model.tenancy.organization_id}/projects/{model.project}"
        http.event_hooks = {"response": [self._hold]}

    def _hold(self, answer: httpx.Response) -> None:
        answer.read()
        if not self.requests.all()[-1].fault:
            description(self.model.tenancy, self.model.switches).hold(answer)

    def ask_token(self, client_id: str, secret: str) -> httpx.Response:
        """Ask for a token with a key in the Basic header."""
        return self.http.post("/oauth2/token", data=FORM, auth=(client_id, secret))

    def log_in(self, client_id: str = WRITER.id, secret: str = WRITER.secret) -> None:
        """Use a new token from now on."""
        token = self.ask_token(client_id, secret).json()["access_token"]
        self.http.headers["authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, body: Any = None, **kwargs: Any) -> httpx.Response:
        """Call an operation; ``path`` begins after the project, unless it is below another API."""
        if body is not None:
            kwargs["json"] = body
        return self.http.request(method, path if path.startswith("//") else self.base + path, **kwargs)

    def code(self, method: str, path: str, body: Any = None) -> tuple[int, int]:
        """Return HTTP status and gRPC code of an answer."""
        response = self.call(method, path, body)
        return response.status_code, response.json().get("code", 0)


@contextmanager
def client_of(registry: LocalRegistry) -> Iterator[RegistryClient]:
    """Yield a client of a registry that is served; it has no token yet."""
    with httpx.Client(base_url=registry.url, trust_env=False, timeout=5) as http:
        yield RegistryClient(http, registry.model, registry.faults, registry.requests, registry.tokens)


@contextmanager
def served(model: RegistryModel, tokens: Tokens | None = None, latency: float = 0.0) -> Iterator[RegistryClient]:
    """Serve a registry, and yield a client of it that has no token yet."""
    with local_registry(model, tokens=tokens, latency=latency) as registry, client_of(registry) as client:
        yield client
    registry.faults.assert_consumed()
