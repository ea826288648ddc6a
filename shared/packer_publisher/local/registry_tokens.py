"""Who may call: client credentials, workload identities, and the tokens given for them."""

from __future__ import annotations

import hmac
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from packer_publisher.local.registry_ledger import Caller, Clock

# The audience is the same in every environment (hashicorp/hcp-sdk-go, config/tokensource.go).
AUDIENCE = "https://api.hashicorp.cloud"
LIFETIME = timedelta(seconds=3600)

Verifier = Callable[[str, Mapping[str, Any]], Caller | None]


@dataclass(frozen=True, slots=True)
class Client:
    """A service principal's key."""

    id: str
    secret: str
    caller: Caller


WRITER = Client("local-client-id", "local-client-secret", Caller())
VIEWER = Client("local-viewer-id", "local-viewer-secret", Caller("local-viewer", may_write=False))


class Tokens:
    """Gives tokens for an hour by the clock; they are held in memory, a restart makes clients ask again."""

    def __init__(
        self, clock: Clock, clients: tuple[Client, ...] = (WRITER, VIEWER), verifier: Verifier | None = None
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._clients = {client.id: client for client in clients}
        self._workloads: dict[tuple[str, str], Caller] = {}
        self._tokens: dict[str, tuple[Caller, datetime]] = {}
        self._verifier: Verifier = verifier or self._registered

    def register_workload(self, provider: str, proof: str, caller: Caller) -> None:
        """Accept ``proof`` for a provider's resource name: a JWT, or the access key id of an AWS signature."""
        with self._lock:
            self._workloads[provider, proof] = caller

    def for_client(self, client_id: str, secret: str) -> str | None:
        """Return a new token, None for a wrong key."""
        client = self._clients.get(client_id)
        known = client.secret if client else ""
        if client is None or not hmac.compare_digest(known.encode(), secret.encode()):
            return None
        return self._new(client.caller)

    def for_workload(self, provider: str, body: Mapping[str, Any]) -> str | None:
        """Return a new token, None where the verifier does not accept the proof."""
        caller = self._verifier(provider, body)
        return None if caller is None else self._new(caller)

    def caller(self, token: str) -> Caller | None:
        """Return who holds a token, None for one that is unknown or has expired."""
        with self._lock:
            found = self._tokens.get(token)
        return None if found is None or self._clock() >= found[1] else found[0]

    def issued(self) -> list[str]:
        """Return every token that is known, for tests that look for them where they must not be."""
        with self._lock:
            return list(self._tokens)

    def revoke_all(self) -> None:
        """Make every token that was given unknown: the next call is answered 401."""
        with self._lock:
            self._tokens.clear()

    def _new(self, caller: Caller) -> str:
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._tokens[token] = (caller, self._clock() + LIFETIME)
        return token

    def _registered(self, provider: str, body: Mapping[str, Any]) -> Caller | None:
        proof = body.get("jwt_token")
        signed = body.get("aws_get_caller_id_token")
        if isinstance(signed, Mapping):
            proof = _access_key(provider, signed)
        if not isinstance(proof, str):
            return None
        with self._lock:
            return self._workloads.get((provider, proof))


def _access_key(provider: str, signed: Mapping[str, Any]) -> str | None:
    """Return the access key id of a signed GetCallerIdentity, None unless it is bound to this provider.

    The signature itself is not checked: only AWS could. The provider's name must be one of the signed headers
    (hashicorp/hcp-sdk-go, auth/workload/aws.go).
    """
    headers = signed.get("headers")
    if not isinstance(headers, Mapping):
        return None
    lower = {str(name).lower(): value for name, value in headers.items()}
    authorization = lower.get("authorization")
    if not isinstance(authorization, str):
        return None
    match = re.search(r"Credential=([^/\s]+)/.*SignedHeaders=([^,\s]+)", authorization)
    if match is None or "x-hcp-workload-identity-provider" not in match[2].split(";"):
        return None
    return match[1] if lower.get("x-hcp-workload-identity-provider") == provider else None
