"""Reading request bodies: null counts as missing, an unknown field is ignored, a wrong type is refused.

HCP's Go clients send null for empty lists and leave empty strings out (hashicorp/hcp-sdk-go, packer_service
models); unknown fields were seen to be ignored by the live service.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from packer_publisher.local.registry_refusals import Refusal, invalid
from packer_publisher.local.registry_switches import Switches

Body = Mapping[str, Any]

# The zero value of Go's time, which its clients always send: it means "not given".
_ZERO_TIME = datetime(1, 1, 1, tzinfo=UTC)
_NAME = re.compile(r"[A-Za-z0-9-]{3,36}")
_FINGERPRINT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,38}[A-Za-z0-9])?")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _wrong(key: str, value: object) -> Refusal:
    return invalid(f"proto: invalid value for field {key}: {type(value).__name__}")


def text(body: Body, key: str) -> str:
    """Return a string, "" for null or missing."""
    value = body.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(key, value)
    return value


def flag(body: Body, key: str) -> bool:
    """Return a boolean, False for null or missing."""
    value = body.get(key)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise _wrong(key, value)
    return value


def labels(body: Body, key: str, switches: Switches) -> dict[str, str]:
    """Return a map of strings, empty for null or missing; raises above the label limit."""
    value = body.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise _wrong(key, value)
    if switches.label_limit and len(value) > switches.label_limit:
        raise invalid(f"at most {switches.label_limit} labels are allowed.")
    return dict(value)


def artifacts(body: Body) -> list[tuple[str, str]]:
    """Return the artifacts as (identifier, region) pairs, in their order."""
    value = body.get("artifacts")
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _wrong("artifacts", value)
    return [(text(item, "external_identifier"), text(item, "region")) for item in value]


def anything(body: Body, key: str) -> Any:
    """Return an object as it is (metadata is free JSON), None for null, missing or empty."""
    value = body.get(key)
    if value is not None and not isinstance(value, dict):
        raise _wrong(key, value)
    return value or None


def word(body: Body, key: str, known: tuple[str, ...], switches: Switches) -> str:
    """Return an enum's word; the first one of ``known`` is the unset value and stands for null and missing."""
    value = text(body, key)
    if value in known:
        return value
    if value and switches.unknown_enum == "refuse":
        raise invalid(f"proto: invalid value for enum field {key}: {value!r}")
    return known[0]


def moment(body: Body, key: str) -> datetime | None:
    """Return an RFC 3339 time in UTC, None for null, missing and Go's zero time."""
    value = text(body, key)
    if not value:
        return None
    try:
        parsed = datetime.fromisoformat(value)
        if parsed.tzinfo is None:
            raise _wrong(key, value)
        return None if parsed.replace(tzinfo=UTC) == _ZERO_TIME else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _wrong(key, value) from None


def duration(body: Body, key: str) -> timedelta | None:
    """Return a duration such as ``30d`` or ``2h45m``, None for null or missing."""
    value = text(body, key)
    if not value:
        return None
    sign, digits = (-1, value[1:]) if value[0] == "-" else (1, value.removeprefix("+"))
    if not _DURATION.fullmatch(digits):
        raise invalid(f"{key}: {value!r} is no duration.")
    seconds = sum(float(amount) * _SECONDS[unit] for amount, unit in re.findall(r"([\d.]+)([smhd])", digits))
    try:
        return sign * timedelta(seconds=seconds)
    except OverflowError:
        raise invalid(f"{key}: {value!r} is too long.") from None


def checked_name(kind: str, value: str) -> str:
    """Return a bucket's or channel's name; raises unless it is 3 to 36 letters, digits and hyphens."""
    if not _NAME.fullmatch(value):
        raise invalid(f"{kind} name must be 3 to 36 letters, digits or hyphens: {value!r}")
    return value


def checked_fingerprint(value: str) -> str:
    """Return a fingerprint; raises unless it has the form that the API description gives."""
    if not _FINGERPRINT.fullmatch(value):
        raise invalid(
            "fingerprint must be 1 to 40 letters, digits, '-', '.' or '_' and begin and end with a letter or "
            f"digit: {value!r}"
        )
    return value
