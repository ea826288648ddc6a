"""HCP's workload identity providers, as the local registry judges by them: signatures are checked, not believed.

An AWS provider takes a signed GetCallerIdentity request of one account, an OIDC provider a JWT whose signature the
issuer's published keys confirm, for one of its audiences (hcp-sdk-go ``cloud-iam`` models ``aws_config`` and
``oidc_config``); for both the conditional access statement must hold. Who falls short gets no reason, as at HCP.
"""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import jwt

from packer_publisher.local.aws_signatures import SecurityTokenService
from packer_publisher.local.conditional_access import Test, compile_statement
from packer_publisher.local.registry_ledger import Caller, Clock, system_clock

PROVIDER_HEADER = "x-hcp-workload-identity-provider"
_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class AWSProvider:
    """A provider for identities of one AWS account."""

    account_id: str
    conditional_access: str
    caller: Caller = field(default_factory=Caller)


@dataclass(frozen=True, slots=True)
class OIDCProvider:
    """A provider for tokens of one issuer; without audiences its own resource name is the one that is allowed."""

    issuer: str
    conditional_access: str
    audiences: tuple[str, ...] = ()
    caller: Caller = field(default_factory=Caller)


class WorkloadTrust:
    """The providers of a registry, by resource name: a :data:`Verifier` for its tokens.

    ``sts`` stands in for AWS. Keys of an issuer are fetched from where its discovery document says, once.
    """

    def __init__(
        self,
        providers: Mapping[str, AWSProvider | OIDCProvider],
        sts: SecurityTokenService | None = None,
        clock: Clock = system_clock,
    ) -> None:
        self._providers = dict(providers)
        self._tests: dict[str, Test] = {
            name: compile_statement(provider.conditional_access) for name, provider in providers.items()
        }
        self._sts = sts or SecurityTokenService(())
        self._clock = clock
        self._keys: dict[str, jwt.PyJWKSet] = {}
        self._lock = threading.Lock()

    def __call__(self, name: str, body: Mapping[str, Any]) -> Caller | None:
        """Return for whom a provider takes the proof in the body of an exchange, None where it does not."""
        provider = self._providers.get(name)
        if provider is None:
            return None
        if isinstance(provider, AWSProvider):
            claims = self._aws(name, provider, body.get("aws_get_caller_id_token"), self._clock())
        else:
            claims = self._oidc(name, provider, body.get("jwt_token"), self._clock())
        return provider.caller if claims is not None and self._tests[name](claims) else None

    def _aws(self, name: str, provider: AWSProvider, proof: object, now: datetime) -> dict[str, Any] | None:
        if not isinstance(proof, Mapping) or not isinstance(proof.get("headers"), Mapping):
            return None
        bound = [value for key, value in proof["headers"].items() if str(key).lower() == PROVIDER_HEADER]
        if bound != [name]:  # signed for another provider, of whoever that is
            return None
        identity = self._sts.caller(proof, (PROVIDER_HEADER,), now)
        if identity is None or identity.account_id != provider.account_id:
            return None
        return {"aws": {"arn": identity.arn, "account_id": identity.account_id, "user_id": identity.user_id}}

    def _oidc(self, name: str, provider: OIDCProvider, proof: object, now: datetime) -> dict[str, Any] | None:
        if not isinstance(proof, str):
            return None
        try:
            header = jwt.get_unverified_header(proof)
            key = next(key for key in self._keys_of(provider.issuer).keys if key.key_id == header.get("kid"))
            claims = jwt.decode(
                proof,
                key,
                algorithms=["RS256"],
                issuer=provider.issuer,
                audience=provider.audiences or (name,),
                options={"require": ["exp", "iss", "aud", "sub"], "verify_exp": False, "verify_nbf": False,
                         "verify_iat": False},
            )  # fmt: skip
        except (jwt.InvalidTokenError, StopIteration, OSError):  # OSError: the issuer does not show its keys
            return None
        if float(claims["exp"]) <= now.timestamp() or float(claims.get("nbf", 0)) > now.timestamp():
            return None  # by the registry's clock, which a test may own
        return {"jwt_claims": claims}

    def _keys_of(self, issuer: str) -> jwt.PyJWKSet:
        with self._lock:
            if issuer not in self._keys:
                discovered = _fetch(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
                if discovered.get("issuer") != issuer:
                    raise jwt.InvalidIssuerError
                self._keys[issuer] = jwt.PyJWKSet.from_dict(_fetch(str(discovered["jwks_uri"])))
            return self._keys[issuer]


def _fetch(url: str) -> dict[str, Any]:
    """Return a JSON object from a stand-in on loopback, past any proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=_SECONDS) as answer:
        found = json.load(answer)
    if not isinstance(found, dict):
        raise jwt.InvalidTokenError
    return found
