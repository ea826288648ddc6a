"""Pages and sorting of lists, as the query parameters ``pagination.*`` and ``sorting.order_by`` ask for them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from packer_publisher.local.registry_refusals import invalid
from packer_publisher.local.registry_switches import Switches

T = TypeVar("T")

# What each list can be sorted by; a field may be followed by a blank and asc or desc.
BUCKET_ORDER = ("id", "name", "created_at", "updated_at")
VERSION_ORDER = ("id", "name", "fingerprint", "created_at", "updated_at")
BUILD_ORDER = ("id", "component_type", "platform", "status", "created_at", "updated_at")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What a client asks of a list; ``size`` 0 means the default."""

    size: int = 0
    next_token: str = ""
    previous_token: str = ""
    order_by: tuple[str, ...] = ()


FIRST_PAGE = PageRequest()


def criterion(fields: Sequence[str]) -> str:
    """Return the pattern of one criterion of ``order_by`` in a list that can be sorted by these fields."""
    return f"({'|'.join(fields)})( (asc|desc))?"


def ordered(items: Sequence[T], request: PageRequest, fields: Sequence[str]) -> list[T]:
    """Return the items sorted by ``order_by`` (the first criterion weighs most); raises for an unknown field."""
    result = list(items)
    for wanted in reversed(request.order_by):
        if not re.fullmatch(criterion(fields), wanted):
            raise invalid(f"sorting.order_by: {wanted!r} is not supported.")
        field, _, direction = wanted.partition(" ")
        # Stable in both directions: equal items keep the list's own order, so pages never overlap.
        result.sort(key=lambda item: getattr(item, field), reverse=direction == "desc")
    return result


def page(items: Sequence[T], request: PageRequest, switches: Switches) -> tuple[Sequence[T], dict[str, Any]]:
    """Return one page and its ``pagination`` answer; raises for tokens that are wrong or exclude each other."""
    if request.next_token and request.previous_token:
        raise invalid("pagination: next_page_token and previous_page_token exclude each other.")
    if request.size < 0:
        raise invalid("pagination.page_size must not be negative.")
    size = min(request.size or switches.default_page_size, switches.max_page_size)
    start = 0
    if request.next_token:
        start = _place(request.next_token)
    elif request.previous_token:
        start = max(0, _place(request.previous_token) - size)
    return items[start : start + size], {
        "next_page_token": _token(start + size) if start + size < len(items) else "",
        "previous_page_token": _token(start) if start > 0 else "",
    }


def _token(place: int) -> str:
    return base64.urlsafe_b64encode(f"place:{place}".encode()).decode()


def _place(token: str) -> int:
    try:
        prefix, _, place = base64.urlsafe_b64decode(token).decode().partition(":")
    except (binascii.Error, ValueError):
        prefix, place = "", ""
    if prefix != "place" or not place.isascii() or not place.isdigit() or len(place) > 12:
        raise invalid("pagination: the page token is not valid.")
    return int(place)
