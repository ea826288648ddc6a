"""A gate before the local AWS that denies single calls, as a service control policy or missing permissions do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from packer_publisher.local.server import serving

WORDS = "User arn:made:up is not authorized"
_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")
_ACTION = re.compile(r"(?:^|&)Action=(\w+)")


@dataclass
class Gate:
    """What is denied: services, calls of them (``iam:GetRole``) or whole regions; ``denied`` lists what was.

    ``words`` are changed in all other answers: for what moto cannot be brought to say.
    """

    behind: str
    closed: set[str] = field(default_factory=set)
    denied: list[str] = field(default_factory=list)
    words: dict[bytes, bytes] = field(default_factory=dict)

    async def _answer(self, request: Request) -> Response:
        body = await request.body()
        scope = _SCOPE.search(request.headers.get("authorization", ""))
        assert scope is not None
        region, service = scope.groups()
        call = f"{service}:{self._operation(request, body)}"
        if {region, service, call, f"{service} in {region}"} & self.closed:
            self.denied.append(call)
            return _denial(request, service)
        url = f"{self.behind}{request.url.path}{f'?{request.url.query}' if request.url.query else ''}"
        headers = {name: value for name, value in request.headers.items() if name not in ("content-length",)}

        def ask() -> httpx.Response:
            return httpx.request(request.method, url, headers=headers, content=body, timeout=30, trust_env=False)

        answer = await run_in_threadpool(ask)
        passed = {name: value for name, value in answer.headers.items() if name.startswith(("x-amz", "content-type"))}
        content = answer.content
        for old, new in self.words.items():
            content = content.replace(old, new)
        return Response(content, answer.status_code, passed)

    @staticmethod
    def _operation(request: Request, body: bytes) -> str:
        if target := request.headers.get("x-amz-target"):
            return target.rpartition(".")[2]
        found = _ACTION.search(body.decode("utf-8", "replace"))
        return found[1] if found else f"{request.method} {request.url.path}"


def _denial(request: Request, service: str) -> Response:
    """Return a denial in the form of the service's protocol."""
    if service in ("iam", "sts"):
        error = f"<Error><Code>AccessDenied</Code><Message>{WORDS}</Message></Error>"
        return Response(f"<ErrorResponse>{error}</ErrorResponse>", 403, media_type="text/xml")
    if service == "ec2":
        error = f"<Error><Code>UnauthorizedOperation</Code><Message>{WORDS}</Message></Error>"
        return Response(f"<Response><Errors>{error}</Errors></Response>", 403, media_type="text/xml")
    headers = {"x-amzn-errortype": "AccessDeniedException"}
    body = f'{{"__type": "AccessDeniedException", "message": "{WORDS}"}}'
    return Response(body, 403, headers, media_type=request.headers.get("content-type", "application/json"))


@contextmanager
def gate(behind: str) -> Iterator[tuple[Gate, str]]:
    """Serve a gate before an endpoint."""
    found = Gate(behind)
    methods = ["GET", "POST", "PUT", "DELETE"]
    with serving(Starlette(routes=[Route("/{path:path}", found._answer, methods=methods)])) as url:
        yield found, url
