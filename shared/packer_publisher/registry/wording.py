"""What the other side said, made fit for an error message: short, printable, and without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable

from packer_publisher.registry.wire import Answer

EXCERPT = 300
"""The most characters of a server's own words in one message."""

_TAGS = re.compile(r"(?is)<(script|style|head)\b.*?</\1>|<[^>]*>")


def words_of(answer: Answer, secrets: Iterable[str] = ()) -> str:
    """Return what an error body says: google.rpc.Status, OAuth's error, HTML or text; "" for an empty body.

    Load balancers in front of HCP answer in HTML and plain text too, so nothing is assumed of the body.
    """
    document = answer.document() or {}
    message = document.get("message")
    if not isinstance(message, str) or not message:
        oauth = (document.get("error"), document.get("error_description"))
        message = ": ".join(part for part in oauth if isinstance(part, str) and part)
    if not message:
        message = answer.content[: EXCERPT * 20].decode("utf-8", "replace")
        if "html" in answer.headers.get("content-type", "") or message.lstrip().startswith("<"):
            message = _TAGS.sub(" ", message)
        message = " ".join(message.split())
    for secret in secrets:
        if secret:
            message = message.replace(secret, "[secret]")
    return excerpt(message).rstrip(".")  # the sentence around it has its own full stop


def excerpt(text: str) -> str:
    """Return text with control characters escaped, cut at :data:`EXCERPT` characters."""
    shown = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text.strip()
    )
    return shown if len(shown) <= EXCERPT else shown[: EXCERPT - 1] + "…"


def grpc_code(answer: Answer) -> int:
    """Return the gRPC code of an error body, 0 where it has none."""
    code = (answer.document() or {}).get("code")
    return code if isinstance(code, int) and not isinstance(code, bool) else 0


def describe(answer: Answer, secrets: Iterable[str] = ()) -> str:
    """Return an answer as part of a sentence: ``409 (code 6): Error: The bucket ... already exists.``."""
    code = grpc_code(answer)
    said = words_of(answer, secrets)
    return f"{answer.status}{f' (code {code})' if code else ''}{f': {said}' if said else ', without a word'}"
