"""Access tokens: asked for when needed, kept until shortly before they expire, never shown."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, quote_plus, urlencode, urlsplit

from packer_publisher.deadline import Deadline
from packer_publisher.errors import CredentialsTrouble, RegistryTrouble
from packer_publisher.protocols import ReadSecret
from packer_publisher.registry.environment import LOOPBACK_HOSTS, Endpoint, Environment
from packer_publisher.registry.principals import ClientCredentials, StoredKey, WorkloadIdentity
from packer_publisher.registry.retries import REMEDY, Attempt, Patience, http_date, persist
from packer_publisher.registry.stored_key import StoredCredentials
from packer_publisher.registry.subject_token import exchange_body
from packer_publisher.registry.wire import PRODUCT, Answer, Message, Wire
from packer_publisher.registry.wording import describe, grpc_code

AUDIENCE = "https://api.hashicorp.cloud"
"""The audience of every token, the same in each geography (hcp-sdk-go ``config/tokensource.go``)."""

MARGIN = 60.0
"""Seconds before its end at which a token is no longer used.

HashiCorp's SDK takes 15. A call of ours may wait for a Retry-After and be repeated under the same token, and clocks
differ by some seconds; a minute covers both and costs one token more per sixty.
"""

SKEWED = 240.0
"""Seconds by which this clock may differ from HCP's; from then on proofs, which are good for minutes, are refused."""

NOT_FOUND = 5  # gRPC's code

UNSTATED_LIFETIME = 300.0
"""Seconds for which a token is used whose answer does not say when it ends; HCP always says (one hour)."""


class AccessTokens:
    """The one token of a process, shared by all threads: while one asks for it, the others wait.

    Its age is told by the wall clock, because a frozen function's monotonic clock may stand still meanwhile.
    """

    def __init__(self, environment: Environment, wire: Wire, patience: Patience, read_secret: ReadSecret) -> None:
        self._environment = environment
        self._wire = wire
        self._patience = patience
        self._read_secret = read_secret
        self._stored: StoredCredentials | None = None
        self._lock = threading.Lock()
        self._token = ""
        self._unusable_from = 0.0

    def get(self, deadline: Deadline) -> str:
        """Return a token that is good for at least a minute, or for half its life where that is shorter.

        Raises CredentialsTrouble when it is refused, RegistryTrouble when it cannot be had for other reasons.
        """
        if not self._lock.acquire(timeout=deadline.remaining()):
            raise RegistryTrouble(
                "Another thread was still asking HCP for a token when the time was over.", remedy=REMEDY
            )
        try:
            if not self._token or self._patience.now() >= self._unusable_from:
                asked_at = self._patience.now()
                self._token, lifetime = self._fetch(deadline)
                self._unusable_from = asked_at + lifetime - min(MARGIN, lifetime / 2)
            return self._token
        finally:
            self._lock.release()

    def forget(self, token: str) -> None:
        """Drop a token that HCP refused, unless another thread has already replaced it."""
        with self._lock:
            if self._token == token:
                self._token = ""

    def _fetch(self, deadline: Deadline) -> tuple[str, float]:
        match self._environment.credentials:
            case ClientCredentials() as key:
                return self._by_key(key, deadline)
            case StoredKey() as key:
                self._stored = self._stored or StoredCredentials(key, self._read_secret, self._patience.now)
                return self._by_stored_key(self._stored, deadline)
            case WorkloadIdentity() as identity:
                return self._by_exchange(identity, deadline)

    def _by_stored_key(self, stored: StoredCredentials, deadline: Deadline) -> tuple[str, float]:
        """Return a token for a key of a store; where it was rotated meanwhile it is read again, once."""
        fresh = not stored.known
        key = stored.get(deadline)
        try:
            return self._by_key(key, deadline)
        except CredentialsTrouble:
            other = stored.changed(key, fresh, deadline)
            if other is None:
                raise
        return self._by_key(other, deadline)

    def _by_key(self, credentials: ClientCredentials, deadline: Deadline) -> tuple[str, float]:
        endpoint = self._environment.auth
        # RFC 6749 2.3.1 wants both parts form-encoded before Basic, and golang.org/x/oauth2 does so.
        pair = f"{quote_plus(credentials.client_id)}:{quote_plus(credentials.client_secret)}"
        basic = b64encode(pair.encode()).decode("ascii")
        attempt = Attempt(
            what=f"Asking {endpoint.url} for a token",
            message=Message(
                "POST",
                f"{endpoint.url}/oauth2/token",
                {
                    "Authorization": f"Basic {basic}",
                    "Content-Type": "application/x-www-form-urlencoded",
                    "Accept": "application/json",
                },
                urlencode({"grant_type": "client_credentials", "audience": AUDIENCE}).encode(),
                endpoint.checked,
            ),
            repeatable=True,  # a second token harms nobody
            secrets=(credentials.client_secret, basic),
        )
        answer = persist(attempt, self._wire, deadline, self._patience)
        secret = credentials.client_secret
        hint = " The secret begins or ends with white space." if secret != secret.strip() else ""
        return self._read(
            attempt, answer, credentials.origin, f"Check {credentials.origin}; the key may be deleted.{hint}"
        )

    def _by_exchange(self, identity: WorkloadIdentity, deadline: Deadline) -> tuple[str, float]:
        endpoint: Endpoint = self._environment.api
        host = urlsplit(endpoint.url).hostname or ""
        if endpoint.url.startswith("http://") and host not in LOOPBACK_HOSTS:
            # HashiCorp's SDK always exchanges over https; the local registry alone may take the proof in the open.
            endpoint = Endpoint(url="https://" + endpoint.url.removeprefix("http://"), checked=endpoint.checked)
        body = exchange_body(identity, self._wire, deadline)
        attempt = Attempt(
            what="Exchanging the workload's identity for a token",
            message=Message(
                "POST",
                f"{endpoint.url}/2019-12-10/{quote(identity.provider)}/exchange-token",
                {
                    "Content-Type": "application/json",
                    "Accept": "application/json",
                    "X-HCP-Source-Channel": PRODUCT,
                },
                json.dumps(body).encode(),
                endpoint.checked,
            ),
            repeatable=True,
            secrets=_proofs(body),
        )
        answer = persist(attempt, self._wire, deadline, self._patience)
        if answer.status == 404 and grpc_code(answer) == NOT_FOUND:  # HCP's own word, not that of a wrong address
            raise CredentialsTrouble(
                f"{attempt.what}: HCP knows no provider {identity.provider!r}: {describe(answer, attempt.secrets)}.",
                remedy="Name it as `hcp iam workload-identity-providers list` prints it.",
            )
        return self._read(
            attempt,
            answer,
            f"the workload identity of the {identity.origin}",
            f"Check the provider {identity.provider!r}: its issuer, audience and conditional access."
            f"{_clock(answer, self._patience.now())}",
        )

    def _read(self, attempt: Attempt, answer: Answer, who: str, remedy: str) -> tuple[str, float]:
        if answer.status in (404, 405, 501):  # no token endpoint here: the address is wrong, not the key
            raise RegistryTrouble(
                f"{attempt.what}: HCP answered {describe(answer, attempt.secrets)}.",
                remedy="Check HCP_AUTH_URL, HCP_API_ADDRESS and HCP_GEOGRAPHY.",
            )
        if not answer.ok:
            raise CredentialsTrouble(
                f"{attempt.what}: HCP refused {who}: {describe(answer, attempt.secrets)}.", remedy=remedy
            )
        document = answer.document() or {}
        token, lifetime = document.get("access_token"), document.get("expires_in")
        # What would break the header of each later request is no token.
        if not isinstance(token, str) or not token or not (token.isascii() and token.isprintable()):
            raise RegistryTrouble(f"{attempt.what}: the answer holds no access token.", remedy=REMEDY)
        if isinstance(lifetime, bool) or not isinstance(lifetime, int | float) or lifetime <= 0:
            return token, UNSTATED_LIFETIME
        return token, float(lifetime)


def _clock(answer: Answer, now: float) -> str:
    """Return a sentence about this machine's clock where it is why a proof is refused, "" where it is not."""
    there = http_date(answer.headers.get("date", ""))
    off = now - there.timestamp() if there is not None else 0.0
    if abs(off) < SKEWED:
        return ""
    by = f"{abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} HCP's"
    return f" Set this machine's clock, by NTP for one: it is {by}."


def _proofs(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what of an exchange's body must not be repeated from HCP's answer."""
    signed = body.get("aws_get_caller_id_token", {}).get("headers", {})
    texts = (body.get("jwt_token"), signed.get("Authorization"), signed.get("X-Amz-Security-Token"))
    return tuple(text for text in texts if isinstance(text, str))
