"""One image of the Compute Engine stand-in: what may be written on it, and what Google answers when it may not.

Limits: Google's pages "Naming resources" and "Labels" (packer-plugin-googlecompute checks the same in
``lib/common``), and the discovery document of compute v1.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

ROOT = "https://www.googleapis.com/compute/v1/"
MAX_LABELS = 64
_NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
_SOURCES = ("sourceDisk", "sourceImage", "sourceSnapshot", "rawDisk")
_WRITABLE = {
    *_SOURCES,
    "name",
    "description",
    "family",
    "labels",
    "sourceType",
    "licenses",
    "architecture",
    "storageLocations",
    "diskSizeGb",
    "guestOsFeatures",
}
_DEPRECATIONS = ("ACTIVE", "DEPRECATED", "OBSOLETE", "DELETED")
_ARCHITECTURES = ("ARCHITECTURE_UNSPECIFIED", "X86_64", "ARM64")
_PACIFIC = timezone(timedelta(hours=-7))  # Google writes Pacific time, whatever the image's location


class Refusal(Exception):
    """What Compute Engine refuses, with its status and the word that it gives as the reason."""

    def __init__(self, status: int, reason: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Return the JSON of an error response."""
        text = str(self)
        error = {"message": text, "domain": "global", "reason": self.reason}
        return {"error": {"code": self.status, "message": text, "errors": [error]}}


@dataclass(slots=True)
class StoredImage:
    """An image as it is kept: its resource, the statuses that the next reads show, and whether it vanishes then."""

    resource: dict[str, Any]
    created: datetime
    shows: list[str] = field(default_factory=list)
    vanishes: bool = False

    def seen(self, *, advance: bool = True) -> dict[str, Any] | None:
        """Return the resource as a read sees it, None where it has vanished; each read brings it one step further."""
        if not self.shows:
            return None if self.vanishes else self.resource
        status = self.shows.pop(0) if advance else self.shows[0]
        return {**self.resource, "status": status}


def new_image(
    project: str, image_id: int, body: Mapping[str, Any], created: datetime, status: str = "READY"
) -> dict[str, Any]:
    """Return the resource that an insert makes of a request body; raises Refusal (400) for one that breaks a rule."""
    unknown = sorted(set(body) - _WRITABLE)
    if unknown:
        raise Refusal(400, "invalid", f'Invalid JSON payload received. Unknown name "{unknown[0]}": Cannot find field.')
    name = str(body.get("name", ""))
    check_name("name", name)
    if body.get("family"):
        check_name("family", str(body["family"]))
    given = [source for source in _SOURCES if body.get(source)]
    if len(given) != 1:
        raise Refusal(400, "invalid", "Exactly one of sourceDisk, sourceImage, sourceSnapshot and rawDisk is needed.")
    architecture = body.get("architecture", "X86_64")
    if architecture not in _ARCHITECTURES:
        raise Refusal(400, "invalid", f"Invalid value for field 'resource.architecture': '{architecture}'.")
    labels = dict(body.get("labels") or {})
    check_labels(labels)
    link = f"projects/{project}/global/images/{name}"
    resource = {
        "kind": "compute#image",
        "id": str(image_id),
        "creationTimestamp": created.astimezone(_PACIFIC).isoformat(timespec="milliseconds"),
        "name": name,
        "description": body.get("description", ""),
        "sourceType": "RAW",
        "status": status,
        "archiveSizeBytes": "912345600",
        "diskSizeGb": str(body.get("diskSizeGb", "10")),
        "licenses": list(body.get("licenses") or ()),
        "family": body.get("family", ""),
        "selfLink": f"{ROOT}{link}",
        "labelFingerprint": fingerprint(labels),
        "labels": labels,
        "guestOsFeatures": list(body.get("guestOsFeatures") or ()),
        "storageLocations": list(body.get("storageLocations", ("us",))),
        "architecture": architecture,
        **{source: _full(body[source]) for source in given},
        **({f"{given[0]}Id": str(image_id + 1)} if given != ["rawDisk"] else {}),
    }
    # Google leaves out what is empty; the fingerprint of no labels is not empty.
    return {key: value for key, value in resource.items() if value not in ("", [], {})}


def check_name(what: str, name: str) -> None:
    """Raise Refusal (400) for a name that Google does not allow."""
    if not _NAME.fullmatch(name):
        raise Refusal(
            400,
            "invalid",
            f"Invalid value for field 'resource.{what}': '{name}'. Must be a match of regex '(?:{_NAME.pattern})'",
        )


def check_labels(labels: Mapping[str, str]) -> None:
    """Raise Refusal (400) for labels that Google does not allow: upper case, dots, spaces, too long, too many."""
    if len(labels) > MAX_LABELS:
        raise Refusal(400, "invalid", f"The resource has {len(labels)} labels, at most {MAX_LABELS} are allowed.")
    for key, value in labels.items():
        if not key or unicodedata.category(key[0]) != "Ll" or not _allowed(key):
            raise Refusal(
                400,
                "invalid",
                f"Label key '{key}' violates format constraints. The key must start with a lowercase character, can "
                "only contain lowercase letters, numeric characters, underscores and dashes. The key can be at most "
                "63 characters long. International characters are allowed.",
            )
        if not _allowed(value):
            raise Refusal(
                400,
                "invalid",
                f"Label value '{value}' violates format constraints. The value can only contain lowercase letters, "
                "numeric characters, underscores and dashes. The value can be at most 63 characters long. "
                "International characters are allowed.",
            )


def deprecation(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the DeprecationStatus of a request; Packer sends an empty one. Raises Refusal (400) for another state."""
    state = body.get("state", "")
    if state and state not in _DEPRECATIONS:
        raise Refusal(400, "invalid", f"Invalid value for field 'resource.state': '{state}'.")
    return {key: value for key, value in body.items() if value}


def fingerprint(labels: Mapping[str, str]) -> str:
    """Return the label fingerprint, which changes with the labels."""
    return base64.b64encode(hashlib.sha256(repr(sorted(labels.items())).encode()).digest()[:8]).decode()


def _allowed(text: str) -> bool:
    return len(text) <= 63 and all(c in "0123456789_-" or unicodedata.category(c) == "Ll" for c in text)


def _full(source: Any) -> Any:
    """Return a source as Google shows it: a partial URL is completed."""
    if not isinstance(source, str) or source.startswith("https://"):
        return source
    return ROOT + source.removeprefix("/compute/v1/").removeprefix("/")
