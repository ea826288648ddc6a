"""Reading request bodies: null counts as missing, an unknown field is ignored, a wrong type is refused.

HCP's Go clients send null for empty lists and leave empty strings out (hashicorp/hcp-sdk-go, packer_service
models); unknown fields were seen to be ignored by the live service.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from packer_publisher.local.registry_refusals import Refusal, invalid
from packer_publisher.local.registry_switches import Switches

Body = Mapping[str, Any]

# The zero value of Go's time, which its clients always send: it means "not given".
_ZERO_TIME = datetime(1, 1, 1, tzinfo=UTC)
NAME = r"[A-Za-z0-9-]{3,36}"
FINGERPRINT = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,38}[A-Za-z0-9])?"
DURATION = r"[+-]?([0-9]+(\.[0-9]+)?[smhd])+"
LARGEST = 2**32 - 1  # of the unsigned numbers of 32 bits that sizes of pages are
METADATA = ("packer", "cicd", "vcs")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")
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


def texts(body: Body, key: str) -> list[str]:
    """Return a list of strings, empty for null or missing."""
    value = body.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(key, value)
    return list(value)


def content(body: Body, key: str) -> str:
    """Return base64 text as it is, "" for null or missing."""
    value = text(body, key)
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise _wrong(key, value) from None
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


def metadata(body: Body, key: str) -> dict[str, Any] | None:
    """Return the three members of a build's metadata, each free JSON or None; None where there is nothing in them."""
    value = body.get(key)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise _wrong(key, value)
    members = {name: value.get(name) for name in METADATA}
    for name, member in members.items():
        if member is not None and not isinstance(member, dict):
            raise _wrong(f"{key}.{name}", member)
    return None if all(member is None for member in members.values()) else members


def word(body: Body, key: str, known: tuple[str, ...], switches: Switches) -> str:
    """Return an enum's word; the first one of ``known`` is the unset value and stands for null and missing."""
    if body.get(key) is None:
        return known[0]
    value = text(body, key)
    if value in known:
        return value
    if switches.unknown_enum == "refuse":
        raise invalid(f"proto: invalid value for enum field {key}: {value!r}")
    return known[0]


def moment(body: Body, key: str) -> datetime | None:
    """Return an RFC 3339 time in UTC, None for null, missing and Go's zero time."""
    if body.get(key) is None:
        return None
    value = text(body, key)
    if not _TIME.fullmatch(value):
        raise _wrong(key, value)
    try:
        parsed = datetime.fromisoformat(value.upper())
        return None if parsed.replace(tzinfo=UTC) == _ZERO_TIME else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _wrong(key, value) from None


def duration(body: Body, key: str) -> timedelta | None:
    """Return a duration such as ``30d`` or ``2h45m``, None for "", null or missing."""
    value = text(body, key)
    if not value:
        return None
    if not re.fullmatch(DURATION, value):
        raise invalid(f"proto: invalid value for field {key}: {value!r} is no duration")
    seconds = sum(float(amount) * _SECONDS[unit] for amount, unit in re.findall(r"([0-9.]+)([smhd])", value))
    try:
        return timedelta(seconds=-seconds if value[0] == "-" else seconds)
    except OverflowError:
        raise invalid(f"{key}: {value!r} is too long.") from None


def checked_name(kind: str, value: str) -> str:
    """Return a bucket's or channel's name; raises unless it is 3 to 36 letters, digits and hyphens."""
    if not re.fullmatch(NAME, value):
        raise invalid(f"{kind} name must be 3 to 36 letters, digits or hyphens: {value!r}")
    return value


def checked_fingerprint(value: str) -> str:
    """Return a fingerprint; raises unless it has the form that the API description gives."""
    if not re.fullmatch(FINGERPRINT, value):
        raise invalid(
            "fingerprint must be 1 to 40 letters, digits, '-', '.' or '_' and begin and end with a letter or "
            f"digit: {value!r}"
        )
    return value


def number(query: Mapping[str, str], key: str) -> int:
    """Return a number of a query, 0 where it is missing; raises where it is no unsigned number of 32 bits."""
    value = query.get(key, "0")
    if not re.fullmatch(r"[0-9]{1,10}", value) or int(value) > LARGEST:
        raise invalid(f"query: {key} must be a number from 0 to {LARGEST}: {value!r}")
    return int(value)


def truth(query: Mapping[str, str], key: str) -> bool:
    """Return a boolean of a query, False where it is missing."""
    value = query.get(key, "false")
    if value not in ("true", "false"):
        raise invalid(f"query: {key} must be true or false: {value!r}")
    return value == "true"


def choice(query: Mapping[str, str], key: str, known: tuple[str, ...]) -> str:
    """Return a word of a query, "" where it is missing; a word that is not known is always refused."""
    value = query.get(key)
    if value is not None and value not in known:
        raise invalid(f"query: {key} must be one of {', '.join(known)}: {value!r}")
    return value or ""
