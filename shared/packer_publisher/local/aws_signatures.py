"""What STS does with a GetCallerIdentity request that somebody hands on: the signature is recomputed, and told whose.

Only the standard library, and on purpose not botocore, which signs on the other side. AWS's pages "Create a signed AWS
API request" and "GetCallerIdentity"; what HCP asks of such a request: hashicorp/hcp-sdk-go ``auth/workload/aws.go``.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

WINDOW = timedelta(minutes=15)
"""How far a signature's time may be from AWS's own."""

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/\s,]+)/(?P<day>\d{8})/(?P<region>[a-z0-9-]+)/(?P<service>[a-z]+)"
    r"/aws4_request, ?SignedHeaders=(?P<signed>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
_QUERY = {"Action": "GetCallerIdentity", "Version": "2011-06-15"}


@dataclass(frozen=True, slots=True)
class Identity:
    """What GetCallerIdentity answers."""

    account_id: str
    arn: str
    user_id: str


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key of a role's session (with a session token) or of a user, and whom AWS takes its holder for."""

    id: str
    secret: str
    identity: Identity
    session_token: str = ""


class SecurityTokenService:
    """STS of one partition: it knows some access keys, its domain and the time."""

    def __init__(self, keys: tuple[AccessKey, ...], domain: str = "amazonaws.com") -> None:
        self._keys = {key.id: key for key in keys}
        self._domain = domain

    def caller(self, request: Mapping[str, Any], signed: tuple[str, ...], now: datetime) -> Identity | None:
        """Return who signed a request (method, url, headers), None where STS would refuse it.

        ``signed`` are headers that must be among the signed ones.
        """
        headers = _headers(request.get("headers"))
        parts = urlsplit(str(request.get("url")))
        found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        key = self._keys.get(found["key"]) if found else None
        if found is None or key is None or found["service"] != "sts" or request.get("method") != "POST":
            return None
        if parts.scheme != "https" or parts.netloc != f"sts.{found['region']}.{self._domain}":
            return None
        if dict(parse_qsl(parts.query)) != _QUERY or parts.path not in ("", "/") or headers.get("host") != parts.netloc:
            return None
        names = found["signed"].split(";")
        if not {"host", "x-amz-date", *signed} <= set(names) or any(name not in headers for name in names):
            return None
        if headers.get("x-amz-security-token", "") != key.session_token or not _timely(headers, found["day"], now):
            return None
        expected = _signature(key.secret, parts.query, headers, names, found["region"])
        return key.identity if hmac.compare_digest(expected, found["signature"]) else None


def _headers(given: object) -> dict[str, str]:
    if not isinstance(given, Mapping):
        return {}
    return {str(name).lower(): " ".join(value.split()) for name, value in given.items() if isinstance(value, str)}


def _timely(headers: Mapping[str, str], day: str, now: datetime) -> bool:
    try:
        moment = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return False
    return headers["x-amz-date"].startswith(day) and abs(now - moment) <= WINDOW


def _signature(secret: str, query: str, headers: Mapping[str, str], names: list[str], region: str) -> str:
    sorted_query = "&".join(f"{quote(k, '')}={quote(v, '')}" for k, v in sorted(parse_qsl(query)))
    lines = [f"{name}:{headers[name]}\n" for name in names]
    nothing = hashlib.sha256(b"").hexdigest()
    canonical = f"POST\n/\n{sorted_query}\n{''.join(lines)}\n{';'.join(names)}\n{nothing}"
    moment = headers["x-amz-date"]
    scope = f"{moment[:8]}/{region}/sts/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in (moment[:8], region, "sts", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
