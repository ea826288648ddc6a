"""How the registry says no: one error that carries HTTP status, gRPC code, message and details.

The codes are google.rpc's; the API description's default response is google.rpc.Status
(hashicorp/web-unified-docs, hcp.swagger.json of cloud-packer-service 2023-01-01).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from packer_publisher.errors import PublisherError

INVALID, NOT_FOUND, EXISTS, DENIED, PRECONDITION, ABORTED = 3, 5, 6, 7, 9, 10
UNIMPLEMENTED, UNAUTHENTICATED = 12, 16


class Refusal(PublisherError):
    """The registry refuses an operation; nothing was changed by it."""

    def __init__(self, status: int, code: int, message: str, details: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = tuple(details)

    def body(self) -> dict[str, Any]:
        """Return the JSON body. ``code`` comes first: Packer takes the first ``code:<n>`` that it meets."""
        return {"code": self.code, "message": self.message, "details": list(self.details)}


def invalid(message: str) -> Refusal:
    """Return 400 with code 3: the request itself is wrong."""
    return Refusal(400, INVALID, message)


def invalid_field(field: str, description: str) -> Refusal:
    """Return 400 with code 3 and the one kind of details that the live service was seen to send."""
    violation = {
        "field": f"body.{field}",
        "description": description,
        "reason": "",
        "localized_message": None,
    }
    return Refusal(
        400,
        INVALID,
        f"body: ({field}: {description}.).",
        [{"@type": "type.googleapis.com/google.rpc.BadRequest", "field_violations": [violation]}],
    )


def not_found(message: str) -> Refusal:
    """Return 404 with code 5."""
    return Refusal(404, NOT_FOUND, message)


def exists(message: str) -> Refusal:
    """Return 409 with code 6."""
    return Refusal(409, EXISTS, message)


def denied(message: str) -> Refusal:
    """Return 403 with code 7."""
    return Refusal(403, DENIED, message)


def precondition(message: str) -> Refusal:
    """Return 400 with code 9."""
    return Refusal(400, PRECONDITION, message)


def aborted(message: str) -> Refusal:
    """Return 409 with code 10: what GetVersion answers for a fingerprint that it does not know."""
    return Refusal(409, ABORTED, message)


def unimplemented(operation: str) -> Refusal:
    """Return 501 with code 12: the operation exists in the API, but not here."""
    return Refusal(501, UNIMPLEMENTED, f"{operation} is not part of the local registry.")


def unauthenticated(message: str) -> Refusal:
    """Return 401 with code 16."""
    return Refusal(401, UNAUTHENTICATED, message)
