"""Stand-ins of Azure Key Vault and Google Secret Manager that give a secret to whoever bears the right token.

Moto stands in for Secrets Manager and Parameter Store. Shapes: Microsoft's REST page "Get Secret" (api-version 7.4)
and Google's ``projects.secrets.versions.access``. A vault's name is not looked at: the stand-in is every vault.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from packer_publisher.local.server import serving

Bearers = Callable[[], Mapping[str, str]]
"""The tokens that are good now, and for whom each is (``IdentitySources.given``)."""

VAULT = "https://vault.azure.net"


class SecretVaults:
    """Both stores: ``secrets`` by what a reference names, without the vault: ``hcp`` or ``projects/P/secrets/S``.

    ``denied``: whether the identity lacks the role. ``failing`` are statuses that the next requests get.
    """

    def __init__(self, bearers: Bearers) -> None:
        self.secrets: dict[str, str] = {}
        self.denied = False
        self.failing: deque[int] = deque()
        self.asked: list[str] = []
        self._bearers = bearers
        self.app = Starlette(
            routes=[
                Route("/secrets/{name}", self._key_vault),
                Route("/secrets/{name}/{version}", self._key_vault),
                Route("/v1/{secret:path}", self._secret_manager),
            ]
        )

    def _key_vault(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        name = request.path_params["name"]
        if self._bearer(request) != VAULT:
            challenge = f'Bearer authorization="https://login.microsoftonline.com/common", resource="{VAULT}"'
            return _azure(401, "Unauthorized", "AKV10000: Request is missing a token.", {"WWW-Authenticate": challenge})
        if request.query_params.get("api-version") != "7.4":
            return _azure(400, "BadParameter", "api-version must be specified")
        if self.failing:
            return _azure(self.failing.popleft(), "Throttled", "try later", {"Retry-After": "0"})
        if self.denied:
            return _azure(403, "Forbidden", f"Caller is not authorized to perform action on {name}")
        if name not in self.secrets:
            return _azure(404, "SecretNotFound", f"A secret with (name/id) {name} was not found")
        version = request.path_params.get("version", "0" * 32)
        identifier = f"https://made-up.vault.azure.net/secrets/{name}/{version}"
        return JSONResponse({"value": self.secrets[name], "id": identifier, "attributes": {"enabled": True}})

    def _secret_manager(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        path, _, verb = request.path_params["secret"].partition(":")
        if self._bearer(request) != "google" or verb != "access":
            return _google(401, "UNAUTHENTICATED")
        if self.failing:
            return _google(self.failing.popleft(), "UNAVAILABLE")
        if self.denied:
            return _google(403, "PERMISSION_DENIED")
        name = path.partition("/versions/")[0]
        if name not in self.secrets:
            return _google(404, "NOT_FOUND")
        data = base64.b64encode(self.secrets[name].encode()).decode()
        return JSONResponse({"name": path, "payload": {"data": data}})

    def _bearer(self, request: Request) -> str | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return self._bearers().get(token) if scheme == "Bearer" else None


def _azure(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    error: dict[str, Any] = {"error": {"code": code, "message": message}}
    return JSONResponse(error, status, headers=dict(headers or {}))


def _google(status: int, word: str) -> Response:
    return JSONResponse({"error": {"code": status, "message": f"made up: {word}", "status": word}}, status)


@contextmanager
def secret_vaults(bearers: Bearers) -> Iterator[tuple[SecretVaults, str]]:
    """Serve both stores on loopback until the context is left; yield them and their address."""
    vaults = SecretVaults(bearers)
    with serving(vaults.app) as url:
        yield vaults, url
