"""Google's and Azure's management APIs as a table of documents, each host under its name, over HTTP."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from packer_publisher.local.server import serving

Answer = dict[str, Any] | int | str | Callable[[bytes], dict[str, Any]]
"""A document, a status that refuses, a page that is no document, or what is made of the request's body."""


@dataclass
class Documents:
    """What there is, by ``METHOD host/path`` or with a query; ``asked`` lists the requests with their queries."""

    table: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    tokens: int = 0

    @property
    def app(self) -> Starlette:
        """Return the HTTP face."""
        return Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST", "PUT", "DELETE"])])

    async def _answer(self, request: Request) -> Response:
        body = await request.body()
        self.tokens += "authorization" in request.headers
        key = f"{request.method} {request.path_params['path']}"
        self.asked.append(f"{key}?{request.url.query}")
        self.bodies.append(body)
        found = self.table.get(self.asked[-1], self.table.get(key, 404))
        if callable(found):
            found = found(body)
        if isinstance(found, int):
            return JSONResponse({"error": {"code": "Refused", "status": "REFUSED", "message": "made up"}}, found)
        return Response(found, media_type="text/html") if isinstance(found, str) else JSONResponse(found)

    def change(self, key: str, **fields: Any) -> None:
        """Give a document other fields; a dotted path in the names of the fields is spelled with ``__``."""
        document = copy.deepcopy(self.table[key])
        assert isinstance(document, dict)
        for path, value in fields.items():
            *parents, last = path.split("__")
            inner: Any = document
            for parent in parents:
                inner = inner[int(parent) if parent.isdigit() else parent]
            inner[last] = value
        self.table[key] = document


@contextmanager
def documents(table: dict[str, Answer]) -> Iterator[tuple[Documents, str]]:
    """Serve a table of documents on loopback."""
    found = Documents(dict(table))
    with serving(found.app) as url:
        yield found, url
