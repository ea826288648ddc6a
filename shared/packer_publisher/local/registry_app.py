"""The HTTP face of the local registry: HCP Packer's API, HCP's token endpoint and workload exchange.

It holds no rule of the registry: it reads requests, asks the model, and breaks what a test wants broken.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Mapping
from email.utils import format_datetime
from typing import Any, NoReturn
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route as HttpRoute
from starlette.types import Receive, Scope, Send

from packer_publisher.local.registry_bodies import number
from packer_publisher.local.registry_faults import Answer, Fault, Faults, LostReply, Reset, Stall, Truncated
from packer_publisher.local.registry_ledger import Caller
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_openapi import DESCRIPTION_PATH, EXCHANGE_PATH, TOKEN_PATH, describe
from packer_publisher.local.registry_pages import PageRequest
from packer_publisher.local.registry_refusals import Refusal, denied, invalid, not_found, unauthenticated
from packer_publisher.local.registry_requests import Request, RequestLog
from packer_publisher.local.registry_routes import ROUTES, Call, Route
from packer_publisher.local.registry_switches import Switches
from packer_publisher.local.registry_tokens import AUDIENCE, LIFETIME, Tokens
from packer_publisher.local.server import connection_of, disconnected

Work = Callable[[HttpRequest, bytes], tuple[int, Any, str]]  # status, body, caller's name


class _Broken(Response):
    """An answer that never arrives whole."""

    def __init__(self, fault: Fault, inner: Response | None) -> None:
        super().__init__()
        self._fault = fault
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = connection_of(scope)
        if isinstance(self._fault, Truncated) and self._inner is not None:
            start = {
                "type": "http.response.start",
                "status": self._inner.status_code,
                "headers": self._inner.raw_headers,
            }
            await send(start)
            half = self._inner.body[: len(self._inner.body) // 2]
            await send({"type": "http.response.body", "body": bytes(half), "more_body": True})
            connection.close()
        else:
            if isinstance(self._fault, LostReply):
                await disconnected(receive, self._fault.seconds)
            connection.reset()
        await disconnected(receive)


class RegistryFace:
    """Answers requests; ``requests`` is the log, ``faults`` and ``latency`` (seconds) may change while it runs."""

    def __init__(
        self, model: RegistryModel, faults: Faults, tokens: Tokens, requests: RequestLog, latency: float
    ) -> None:
        self.model = model
        self.faults = faults
        self.tokens = tokens
        self.requests = requests
        self.latency = latency

    def endpoint(self, operation: str, work: Work) -> Callable[[HttpRequest], Awaitable[Response]]:
        """Return what answers one operation: latency, programmed fault, work, log line."""

        async def answer(request: HttpRequest) -> Response:
            raw = await request.body()
            fault = self.faults.take(operation)
            if self.latency:
                await asyncio.sleep(self.latency)
            if isinstance(fault, Reset):
                self._log(request, operation, 0, "", fault)
                return _Broken(fault, None)
            if isinstance(fault, Stall) and await disconnected(request.receive, fault.seconds):
                self._log(request, operation, 0, "", fault)
                return Response(status_code=499)
            if isinstance(fault, Answer) and not fault.committed:
                self._log(request, operation, fault.status, "", fault)
                return self._programmed(fault)
            status, body, caller = work(request, raw)
            if isinstance(fault, Answer):
                self._log(request, operation, fault.status, caller, fault)
                return self._programmed(fault)
            response = self._response(status, body)
            if isinstance(fault, LostReply | Truncated):
                self._log(request, operation, 0, caller, fault)
                return _Broken(fault, response)
            self._log(request, operation, status, caller, fault)
            return response

        return answer

    def registry_work(self, route: Route) -> Work:
        """Return the work of one operation of the registry."""

        def work(request: HttpRequest, raw: bytes) -> tuple[int, Any, str]:
            caller = Caller("", may_write=False)
            try:
                caller = self._caller(request)
                path = dict(request.path_params)
                if path.get("organization", self.model.tenancy.organization_id) != (self.model.tenancy.organization_id):
                    raise denied(f"The organization {path['organization']} is not known or not accessible.")
                model = self.model.seen_by(caller, path.get("project"))
                call = read_call(route, path, request.query_params, raw, model.switches)
                return 200, route.handler(model, call), caller.name
            except Refusal as refusal:
                return refusal.status, refusal.body(), caller.name

        return work

    def token(self, request: HttpRequest, raw: bytes) -> tuple[int, Any, str]:
        """Answer ``POST /oauth2/token``: key in the Basic header or in the form, audience checked."""
        form = {name: values[0] for name, values in parse_qs(raw.decode("utf-8", "replace")).items()}
        client_id, secret = _basic(request) or (form.get("client_id", ""), form.get("client_secret", ""))
        if form.get("grant_type") != "client_credentials":
            return self._no_token(400, "unsupported_grant_type", "grant_type must be client_credentials")
        if form.get("audience") != AUDIENCE:
            return self._no_token(400, "invalid_request", f"audience must be {AUDIENCE}")
        token = self.tokens.for_client(client_id, secret)
        if token is None:
            return self._no_token(401, "invalid_client", "Client authentication failed")
        answer = {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": int(LIFETIME.total_seconds()),
        }
        return 200, answer, client_id

    def _no_token(self, status: int, error: str, description: str) -> tuple[int, Any, str]:
        form = self.model.switches.token_error_body
        if form == "html":
            return status, f"<html><body><h1>{error}</h1></body></html>", ""
        if form == "status":
            return status, unauthenticated(description).body(), ""
        return status, {"error": error, "error_description": description}, ""

    def exchange(self, request: HttpRequest, raw: bytes) -> tuple[int, Any, str]:
        """Answer ``exchange-token``: an OIDC token or a signed GetCallerIdentity becomes an access token."""
        try:
            token = self.tokens.for_workload(request.path_params["provider"], read_json(raw))
        except Refusal as refusal:
            return refusal.status, refusal.body(), ""
        if token is None:
            no = unauthenticated("The workload's identity was not accepted.")
            return no.status, no.body(), ""
        return 200, {"access_token": token, "expires_in": int(LIFETIME.total_seconds())}, "workload"

    def description(self, _request: HttpRequest, _raw: bytes) -> tuple[int, Any, str]:
        """Answer ``GET /openapi.json``, to anybody."""
        return 200, describe(self.model.tenancy, self.model.switches), ""

    def unknown(self, request: HttpRequest, _raw: bytes) -> tuple[int, Any, str]:
        """Answer a path or a method that the API does not have."""
        refusal = not_found(f"Not Found: {request.method} {request.url.path}")
        return refusal.status, refusal.body(), ""

    def _caller(self, request: HttpRequest) -> Caller:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        caller = self.tokens.caller(token.strip()) if scheme.lower() == "bearer" else None
        if caller is None:
            raise unauthenticated("The bearer token is missing, unknown or expired.")
        return caller

    def _date(self) -> str:
        return format_datetime(self.model.clock(), usegmt=True)

    def _response(self, status: int, body: Any) -> Response:
        if isinstance(body, str):
            return Response(body, status, {"date": self._date()}, "text/html")
        return Response(json.dumps(body).encode(), status, {"date": self._date()}, "application/json")

    def _programmed(self, fault: Answer) -> Response:
        start = fault.body.lstrip()[:1]
        kind = {"{": "application/json", "<": "text/html"}.get(start, "text/plain")
        return Response(fault.body, fault.status, {"date": self._date(), **fault.headers}, kind)

    def _log(self, request: HttpRequest, operation: str, status: int, caller: str, fault: Fault | None) -> None:
        self.requests.add(
            Request(
                operation=operation,
                method=request.method,
                path=request.url.path,
                bucket=request.path_params.get("bucket", ""),
                fingerprint=request.path_params.get("fingerprint", ""),
                status=status,
                at=self.model.clock(),
                caller=caller,
                fault="" if fault is None else type(fault).__name__,
            )
        )


def build_app(
    model: RegistryModel,
    faults: Faults | None = None,
    *,
    tokens: Tokens | None = None,
    latency: float = 0.0,
) -> Starlette:
    """Return the app; ``app.state`` holds ``requests``, ``faults``, ``tokens``, ``model`` and ``face``.

    Reset, lost and truncated answers need :func:`packer_publisher.local.server.serving`.
    """
    face = RegistryFace(model, faults or Faults(), tokens or Tokens(model.clock), RequestLog(), latency)
    routes = [
        HttpRoute(route.path, face.endpoint(route.operation, face.registry_work(route)), methods=[route.method])
        for route in ROUTES
    ]
    routes.append(HttpRoute(TOKEN_PATH, face.endpoint("Token", face.token), methods=["POST"]))
    exchange = face.endpoint("ExchangeToken", face.exchange)
    # The provider's resource name has slashes in it.
    routes.append(HttpRoute(EXCHANGE_PATH.replace("}", ":path}"), exchange, methods=["POST"]))
    routes.append(HttpRoute(DESCRIPTION_PATH, face.endpoint("Description", face.description), methods=["GET"]))
    unknown = face.endpoint("Unknown", face.unknown)

    async def not_served(request: HttpRequest, _error: Exception) -> Response:
        return await unknown(request)

    app = Starlette(routes=routes, exception_handlers={HTTPException: not_served})
    app.router.redirect_slashes = False
    app.state.face = face
    app.state.model = model
    app.state.faults = face.faults
    app.state.tokens = face.tokens
    app.state.requests = face.requests
    return app


def read_call(route: Route, path: Mapping[str, str], given: QueryParams, raw: bytes, switches: Switches) -> Call:
    """Return what an operation is asked; raises 400/3 where a field has the wrong type. Unknown fields are ignored."""
    document = read_json(raw) if route.body else {}
    body = {name: document[name] for name in route.body if name in document}
    query = {name: given[name] for name in route.query if name in given}
    for name, field in route.body.items():
        field.read(body, name, switches)
    for name in query:
        route.query[name].read(query, name, switches)
    page = PageRequest(
        number(query, "pagination.page_size"),
        query.get("pagination.next_page_token", ""),
        query.get("pagination.previous_page_token", ""),
        tuple(given.getlist("sorting.order_by")) if "sorting.order_by" in query else (),
    )
    return Call(path, query, body, page)


def read_json(raw: bytes) -> Mapping[str, Any]:
    """Return a JSON object; raises 400/3 for anything else. An empty body is an empty object."""
    if not raw.strip():
        return {}
    try:
        body = json.loads(raw.decode(), parse_constant=_no_number)
        # Half a surrogate pair is no text; it could not be stored or sent back.
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise invalid("proto: syntax error: the body is no JSON.") from None
    if not isinstance(body, dict):
        raise invalid("proto: syntax error: the body is no JSON object.")
    return body


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _basic(request: HttpRequest) -> tuple[str, str] | None:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return client_id, secret
