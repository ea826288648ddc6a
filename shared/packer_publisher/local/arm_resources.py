"""The resources of the stand-in for Azure Resource Manager, and what its lists do with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_CLAUSE = re.compile(r"(?P<key>\w+) eq '(?P<value>[^']*)'")
_FILTERS = {"resourcetype", "name", "location", "tagname", "tagvalue"}


class Refusal(Exception):
    """One of ARM's error answers, raised where it is decided."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, dict(headers or {})


@dataclass(slots=True)
class Resource:
    """One resource: what a GET shows, and how many GETs it will still look unfinished."""

    identifier: str  # as it was typed; what a GET shows may be cased otherwise
    body: dict[str, Any]
    created: datetime
    creating: int = 0
    replicating: int = 0

    @property
    def type(self) -> str:
        return str(self.body["type"])


def replication_status(states: Mapping[str, str]) -> dict[str, Any]:
    """Return a replication status in Azure's words; regions come back as they are displayed (``East US``)."""
    words = set(states.values())
    aggregated = "Completed" if words <= {"Completed"} else "InProgress" if "Replicating" in words else "Failed"
    done = {"Completed": 100, "Replicating": 40}
    return {
        "aggregatedState": aggregated,
        "summary": [
            {"region": name, "state": state, "details": "", "progress": done.get(state, 0)}
            for name, state in states.items()
        ],
    }


def clauses(text: str) -> dict[str, str]:
    """Return the clauses of a ``$filter``; ARM takes a tag's name and value together, but nothing beside them."""
    clauses = [_CLAUSE.fullmatch(part) for part in text.split(" and ")] if text else []
    wanted = {match["key"].lower(): match["value"] for match in clauses if match}
    tags = wanted.keys() & {"tagname", "tagvalue"}
    if not all(clauses) or wanted.keys() - _FILTERS or (tags and wanted.keys() - tags) or tags == {"tagvalue"}:
        raise Refusal(400, "InvalidFilterInQueryString", f"Invalid $filter '{text}' specified in the query string.")
    return wanted


def matches(resource: Resource, wanted: Mapping[str, str]) -> bool:
    """Return whether a resource meets all clauses; tag names are compared without case, as Azure does."""
    listed = entry(resource, set(), by_tag=False)
    tags = {key.lower(): value for key, value in listed["tags"].items()}
    facts = {"resourcetype": listed["type"], "name": listed["name"], "location": listed["location"]}
    if "tagname" in wanted:
        value = tags.get(wanted["tagname"].lower())
        return value is not None and wanted.get("tagvalue", value) == value
    return all(facts[key].lower() == value.lower() for key, value in wanted.items())


def entry(resource: Resource, expand: set[str], *, by_tag: bool) -> dict[str, Any]:
    """Return a resource as a list shows it: no properties, a child's name with those of its parents."""
    names = resource.identifier.split("/providers/", 1)[1].split("/")[2::2]
    shown = {key: resource.body[key] for key in ("id", "type", "location")} | {"name": "/".join(names)}
    if by_tag:
        return shown
    shown["tags"] = resource.body["tags"]
    if "createdTime" in expand:
        shown["createdTime"] = resource.created.isoformat()
    return shown


def subscription(identifier: str, states: Mapping[str, str]) -> dict[str, Any]:
    """Return a subscription as ``Subscriptions - List`` shows it."""
    return {
        "id": f"/subscriptions/{identifier}",
        "subscriptionId": identifier,
        "tenantId": "22222222-2222-2222-2222-222222222222",
        "displayName": f"Images {identifier[:4]}",
        "state": states.get(identifier, "Enabled"),
        "authorizationSource": "RoleBased",
    }
