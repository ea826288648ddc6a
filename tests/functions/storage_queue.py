"""A Storage queue as the Queue service's REST reference has Put Message, and what the Functions host makes of it."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from xml.etree import ElementTree

import azure.functions as func
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

QUEUE = "packer-publisher"


@dataclass
class StorageQueue:
    """One account with one queue; ``refuses`` is a status and the service's own code for it."""

    texts: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    refuses: tuple[int, str] | None = None
    number: int = 0

    @property
    def app(self) -> Starlette:
        """Return the HTTP face."""
        return Starlette(routes=[Route("/{account}/{queue}/messages", self._put, methods=["POST"])])

    async def _put(self, request: Request) -> Response:
        self.tokens.append(request.headers.get("authorization", ""))
        if self.refuses is not None:
            return _error(*self.refuses)
        if request.path_params["queue"] != QUEUE:
            return _error(404, "QueueNotFound")
        if not re.fullmatch(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}", request.headers.get("x-ms-version", "")):
            return _error(400, "InvalidHeaderValue")
        root = ElementTree.fromstring(await request.body())  # noqa: S314 (a test's own request)
        if (root.tag, [child.tag for child in root]) != ("QueueMessage", ["MessageText"]):
            return _error(400, "InvalidXmlDocument")
        self.texts.append(root[0].text or "")
        return Response("<QueueMessagesList/>", 201, media_type="application/xml")

    def take(self) -> list[func.QueueMessage]:
        """Return what the host hands to the function, its base64 undone as host.json says, and forget it."""
        taken, self.texts = self.texts, []
        found = []
        for text in taken:
            self.number += 1
            found.append(func.QueueMessage(id=f"m-{self.number}", body=base64.b64decode(text, validate=True)))
        return found


def _error(status: int, code: str) -> Response:
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
    return Response(body, status, {"x-ms-error-code": code}, media_type="application/xml")
