"""Stand-ins of the places where Azure and Google give a workload its own token, and of the issuers behind them.

One app serves App Service's identity endpoint, both clouds' metadata servers and, for each issuer, the discovery
document and the keys: what a verifier fetches. Tokens are real RS256 JWTs. Shapes: Microsoft's pages "Managed
identities for App Service and Azure Functions" and "Azure Instance Metadata Service", Google's "About VM metadata"
and "Verify the identity of instances". Lambda's role needs no stand-in: its keys are environment variables.
"""

from __future__ import annotations

import json
import secrets
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from packer_publisher.local.registry_ledger import Clock, system_clock
from packer_publisher.local.server import serving

TENANT = "33333333-3333-4333-8333-333333333333"
APPLICATION = "api://packer-publisher"
VAULT, ARM = "https://vault.azure.net", "https://management.azure.com"
_FLAVOR = {"Metadata-Flavor": "Google"}


@dataclass(slots=True)
class Issuer:
    """An issuer of tokens with one key; ``url`` is what its tokens carry as ``iss``."""

    url: str
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048), repr=False)
    key_id: str = field(default_factory=lambda: secrets.token_hex(8))

    def token(self, claims: Mapping[str, Any], **headers: str) -> str:
        """Return a JWT with the claims, signed."""
        return jwt.encode(dict(claims), self.key, algorithm="RS256", headers={"kid": self.key_id, **headers})

    def key_set(self) -> dict[str, Any]:
        """Return the public half as a JWK set."""
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [{**public, "kid": self.key_id, "alg": "RS256", "use": "sig"}]}


@dataclass(slots=True)
class ManagedIdentity:
    """A user-assigned managed identity of a Function App, and the applications that its tenant knows."""

    client_id: str = "44444444-4444-4444-8444-444444444444"
    object_id: str = "55555555-5555-4555-8555-555555555555"
    applications: tuple[str, ...] = (APPLICATION, VAULT, ARM)


@dataclass(slots=True)
class ServiceAccount:
    """A service account of Google Cloud."""

    email: str = "packer-publisher@img-proj.iam.gserviceaccount.com"
    unique_id: str = "107517467455664443766"
    project: str = "img-proj"


class IdentitySources:
    """The app and its state; ``failing`` are statuses that the next questions for a token are answered with."""

    def __init__(self, clock: Clock = system_clock) -> None:
        self.url = ""
        self.azure, self.google = Issuer(""), Issuer("")
        self.identity, self.account = ManagedIdentity(), ServiceAccount()
        self.header = secrets.token_urlsafe(16)
        self.lifetime = timedelta(hours=1)
        self.failing: deque[int] = deque()
        self.asked: list[str] = []  # path and query of each question for a token
        self.given: dict[str, str] = {}  # bearer tokens for Google's own APIs and Azure's, and for whom they are
        self._clock = clock
        self.app = Starlette(
            routes=[
                Route("/msi/token", self._app_service),
                Route("/metadata/identity/oauth2/token", self._machine),
                Route("/computeMetadata/v1/instance/service-accounts/{account}/{what:path}", self._google),
                Route("/computeMetadata/v1/project/project-id", self._project),
                Route("/{issuer}/{path:path}", self._issuer),
                Route("/", lambda _: PlainTextResponse("computeMetadata/\n", headers=_FLAVOR)),
            ]
        )

    def at(self, url: str) -> None:
        """Say where the app is served, which is where its issuers' keys are."""
        self.url = url
        self.azure.url, self.google.url = f"{url}/{TENANT}/", f"{url}/google"

    def app_service(self) -> dict[str, str]:
        """Return the variables that Azure sets in a Function App with the identity assigned."""
        return {
            "IDENTITY_ENDPOINT": f"{self.url}/msi/token",
            "IDENTITY_HEADER": self.header,
            "AZURE_CLIENT_ID": self.identity.client_id,
        }

    def machine(self) -> dict[str, str]:
        """Return the variable that moves azure-identity's (and our) metadata service here."""
        return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": self.url, "AZURE_CLIENT_ID": self.identity.client_id}

    def cloud_run(self) -> dict[str, str]:
        """Return the variables that lead google-auth (and us) here, as in a Cloud Run function."""
        host = self.url.removeprefix("http://")
        return {"K_SERVICE": "publisher", "GCE_METADATA_HOST": host, "GCE_METADATA_IP": host}

    def azure_claims(self, audience: str) -> dict[str, Any]:
        """Return the claims of a token of the managed identity."""
        return {
            **self._times(self.azure, audience),
            "sub": self.identity.object_id,
            "oid": self.identity.object_id,
            "appid": self.identity.client_id,
            "tid": TENANT,
            "idtyp": "app",
        }

    def google_claims(self, audience: str) -> dict[str, Any]:
        """Return the claims of an identity token of the service account, as ``format=full`` has them."""
        return {
            **self._times(self.google, audience),
            "sub": self.account.unique_id,
            "azp": self.account.unique_id,
            "email": self.account.email,
            "email_verified": True,
        }

    def _times(self, issuer: Issuer, audience: str) -> dict[str, Any]:
        now = self._clock()
        ends = now + self.lifetime
        return {"iss": issuer.url, "aud": audience, "iat": int(now.timestamp()), "exp": int(ends.timestamp())}

    def _app_service(self, request: Request) -> Response:
        if request.headers.get("x-identity-header") != self.header:
            return JSONResponse({"statusCode": 401, "message": "The X-IDENTITY-HEADER is missing or wrong."}, 401)
        return self._managed(request, "2019-08-01", {"statusCode": 400, "message": "{}"})

    def _machine(self, request: Request) -> Response:
        if request.headers.get("metadata", "").lower() != "true" or "x-forwarded-for" in request.headers:
            return JSONResponse({"error": "bad_request_102", "error_description": "Required metadata header"}, 400)
        return self._managed(request, "2018-02-01", {"error": "invalid_request", "error_description": "{}"})

    def _managed(self, request: Request, version: str, refusal: Mapping[str, Any]) -> Response:
        self.asked.append(str(request.url.replace(scheme="", netloc="")))
        if self.failing:
            return JSONResponse({"error": "unknown"}, self.failing.popleft())
        resource, client = request.query_params.get("resource", ""), request.query_params.get("client_id", "")
        problem = ""
        if request.query_params.get("api-version") != version:
            problem = "unsupported api-version"
        elif client != self.identity.client_id:
            problem = "AADSTS700016: no such managed identity is assigned"
        elif resource.rstrip("/") not in self.identity.applications:
            problem = f"AADSTS500011: The resource principal named {resource} was not found in the tenant."
        if problem:
            said = {key: problem if text == "{}" else text for key, text in refusal.items()}
            return JSONResponse(said, 400)
        claims = self.azure_claims(resource)
        token = self.azure.token(claims)
        self.given[token] = resource
        answer = {"access_token": token, "expires_on": str(claims["exp"]), "resource": resource, "token_type": "Bearer"}
        return JSONResponse({**answer, "client_id": client})

    def _google(self, request: Request) -> Response:
        what, query = request.path_params["what"], request.query_params
        if request.headers.get("metadata-flavor") != "Google" or "x-forwarded-for" in request.headers:
            return PlainTextResponse("Missing Metadata-Flavor:Google header.", 403, headers=_FLAVOR)
        if request.path_params["account"] not in ("default", self.account.email):
            return PlainTextResponse("not found", 404, headers=_FLAVOR)
        if what == "":
            scopes = ["https://www.googleapis.com/auth/cloud-platform"]
            about = {"aliases": ["default"], "email": self.account.email, "scopes": scopes}
            return JSONResponse(about, headers=_FLAVOR)
        self.asked.append(str(request.url.replace(scheme="", netloc="")))
        if self.failing:
            return PlainTextResponse("unavailable", self.failing.popleft(), headers=_FLAVOR)
        if what == "identity":
            if not query.get("audience"):
                return PlainTextResponse("non-empty audience parameter required", 400, headers=_FLAVOR)
            return PlainTextResponse(self.google.token(self.google_claims(query["audience"])), headers=_FLAVOR)
        token = f"ya29.{secrets.token_urlsafe(24)}"
        self.given[token] = "google"
        seconds = int(self.lifetime.total_seconds())
        return JSONResponse({"access_token": token, "expires_in": seconds, "token_type": "Bearer"}, headers=_FLAVOR)

    def _project(self, _request: Request) -> Response:
        return PlainTextResponse(self.account.project, headers=_FLAVOR)

    def _issuer(self, request: Request) -> Response:
        name, path = request.path_params["issuer"], request.path_params["path"]
        issuer = {TENANT: self.azure, "google": self.google}.get(name)
        if issuer is None or path not in (".well-known/openid-configuration", "keys"):
            return PlainTextResponse("not found", 404)
        if path == "keys":
            return JSONResponse(issuer.key_set())
        keys = f"{self.url}/{name}/keys"
        return JSONResponse(
            {"issuer": issuer.url, "jwks_uri": keys, "id_token_signing_alg_values_supported": ["RS256"]}
        )


@contextmanager
def identity_sources(clock: Clock = system_clock) -> Iterator[IdentitySources]:
    """Serve the stand-ins on loopback until the context is left."""
    sources = IdentitySources(clock)
    with serving(sources.app) as url:
        sources.at(url)
        yield sources
