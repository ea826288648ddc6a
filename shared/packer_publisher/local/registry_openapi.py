"""The local registry's description of itself: OpenAPI 3.1, made from its routes, fields, documents and switches.

Only what no code says is written here: one sentence for each operation, and the refusals that it may answer with. The
sentences are ours; names and paths are facts of the published description (cloud-packer-service 2023-01-01).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from packer_publisher.local.registry_fields import BODIES, QUERIES, Fields
from packer_publisher.local.registry_ledger import BASE, Tenancy
from packer_publisher.local.registry_routes import ROUTES, TENANT, Route
from packer_publisher.local.registry_schemas import ANSWERS, SCHEMAS, Schema, ref
from packer_publisher.local.registry_switches import Switches
from packer_publisher.local.registry_tokens import AUDIENCE

DESCRIPTION_PATH = "/openapi.json"
TOKEN_PATH = "/oauth2/token"  # noqa: S105 (a path, no password)
EXCHANGE_PATH = "/2019-12-10/{provider}/exchange-token"

# What each operation does, and what it may refuse with beside what all do: status/code, or the switch that decides.
OPERATIONS: Mapping[str, tuple[str, str]] = {
    "SearchExternalArtifact": ("Find the builds that list an image.", ""),
    "ListBuckets": ("List the buckets of a project.", ""),
    "CreateBucket": ("Create a bucket and its managed channel.", "409/6"),
    "DeleteBucket": ("Delete a bucket with all that is in it.", "404/5"),
    "GetBucket": ("Read a bucket with its latest version.", "404/5"),
    "UpdateBucket": ("Change a bucket's description or labels.", "404/5"),
    "ListBucketAncestry": ("List a bucket's parents and children.", "404/5 builds_of_unknown_version"),
    "ListChannels": ("List the channels that the caller may see.", "404/5"),
    "CreateChannel": (
        "Create a channel, assigned or not.",
        "404/5 409/6 400/9 assign_unknown_version assign_incomplete_version",
    ),
    "AssignChannelVersion": ("Give one channel's version to another.", "404/5 400/9"),
    "DeleteChannel": ("Delete a channel that is not managed.", "404/5 400/3"),
    "GetChannel": ("Read a channel with its version.", "404/5"),
    "UpdateChannel": (
        "Assign a version to a channel, or restrict it.",
        "404/5 400/9 assign_unknown_version assign_incomplete_version",
    ),
    "ListChannelAssignmentHistory": ("List what a channel was assigned.", "404/5"),
    "ListVersions": ("List a bucket's versions.", "404/5"),
    "CreateVersion": ("Begin a version.", "404/5 409/6"),
    "DeleteVersion": ("Delete a version that no channel of a user's needs.", "404/5 400/9"),
    "GetVersion": ("Read a version with its builds.", "404/5 409/10"),
    "UpdateVersion": ("Revoke a version, restore it, or complete it.", "404/5 400/9 builds_of_unknown_version"),
    "ListBuilds": ("List a version's builds.", "404/5 builds_of_unknown_version"),
    "CreateBuild": ("Register a build.", "404/5 409/6 400/9 builds_of_unknown_version"),
    "DeleteBuild": ("Delete a build.", "404/5 400/9 builds_of_unknown_version"),
    "GetBuild": ("Read a build.", "404/5 builds_of_unknown_version"),
    "UpdateBuild": (
        "Fill a build, say how far it is, or that it goes on.",
        "404/5 409/6 400/9 builds_of_unknown_version",
    ),
    "ListSboms": ("List a build's bills of materials.", "404/5 builds_of_unknown_version"),
    "UploadSbom": ("Add a bill of materials to a running build.", "404/5 409/6 builds_of_unknown_version"),
    "GetEnforcedBlocksByBucket": ("List what Packer must run for a bucket: nothing.", "404/5"),
    "DeleteRegistry": ("Deactivate the project's registry.", ""),
    "GetRegistry": ("Read the project's registry.", ""),
    "UpdateRegistry": ("Change the registry's tier, or whether it is active.", ""),
    "CreateRegistry": ("Activate the project's registry.", "409/6"),
    "ListOrganizations": ("List the one organization.", ""),
    "GetOrganization": ("Read the organization.", "404/5"),
    "ListProjects": ("List the organization's projects.", "403/7"),
    "GetProject": ("Read a project, and whose it is.", "404/5"),
    "GetOperation": ("Read an operation, which is done.", "404/5"),
    "WaitOperation": ("Wait for an operation, which is done.", "404/5"),
}

# Operations that answer although the project's registry is not active.
_ALWAYS = frozenset(
    {"DeleteRegistry", "GetRegistry", "UpdateRegistry", "CreateRegistry", "GetOperation", "WaitOperation"}
)
_MEANING = {
    "3": "the request is wrong",
    "5": "it does not exist",
    "6": "it exists already, or is set already",
    "7": "the caller may not",
    "9": "its state forbids it",
    "10": "there is no such version",
    "12": "not part of the local registry",
    "16": "the token is missing, unknown or expired",
}

# What an operation makes, and where its answer names it: from there, others can be called.
_MADE = {
    "CreateBucket": ("bucket", "bucket/name"),
    "CreateVersion": ("fingerprint", "version/fingerprint"),
    "CreateBuild": ("build", "build/id"),
    "CreateChannel": ("channel", "channel/name"),
    "UpdateRegistry": ("operation", "operation/id"),
}


def describe(tenancy: Tenancy, switches: Switches) -> dict[str, Any]:
    """Return the description of a registry of this tenancy under these switches."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, tenancy, switches)
    paths[TOKEN_PATH] = {"post": _token(switches)}
    paths[EXCHANGE_PATH] = {"post": _exchange()}
    paths[DESCRIPTION_PATH] = {
        "get": {
            "operationId": "Description",
            "summary": "Read this description.",
            "security": [],
            "responses": {"200": _answer("The description.", {"type": "object", "required": ["openapi", "paths"]})},
        }
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Local registry of packer-publisher",
            "version": "2023-01-01",
            "description": "A stand-in for HCP Packer's API on one machine. Not affiliated with HashiCorp or IBM.",
            "license": {"name": "MPL-2.0", "identifier": "MPL-2.0"},
        },
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": dict(SCHEMAS),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _operation(route: Route, tenancy: Tenancy, switches: Switches) -> dict[str, Any]:
    absent = (f"{route.operation} is not part of the local registry.", "501/12")
    summary, refusals = OPERATIONS.get(route.operation, absent)
    words = {"401/16", *(word if "/" in word else getattr(switches, word) for word in refusals.split())}
    body, query = BODIES.get(route.operation, {}), QUERIES.get(route.operation, {})
    if route.path.startswith(TENANT) or "{organization}" in route.path:
        words.add("403/7")
        if route.answered and route.operation not in _ALWAYS:
            words.add(switches.inactive_registry)
    if body or query:
        words.add("400/3")
    described: dict[str, Any] = {
        "operationId": route.operation,
        "summary": summary,
        "parameters": [*_path_parameters(route, tenancy), *_query_parameters(route, query, switches)],
        "responses": {},
    }
    if route.answered:
        described["responses"]["200"] = _answer("Done.", ANSWERS[route.operation], dict(_links(route)))
    if body:
        required = any(field.required for field in body.values())
        described["requestBody"] = {
            "required": required,
            "content": {"application/json": {"schema": _body(body, switches)}},
        }
    described["responses"] |= _refusals(words)
    return described


def _path_parameters(route: Route, tenancy: Tenancy) -> Iterator[Schema]:
    known = {"organization": [tenancy.organization_id], "project": [project.id for project in tenancy.projects]}
    for name in _names(route.path):
        schema = {"type": "string", "enum": known[name]} if name in known else {"type": "string", "minLength": 1}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(route: Route, fields: Fields, switches: Switches) -> Iterator[Schema]:
    for name, field in fields.items():
        required = {"required": True} if field.required else {}
        yield {"name": name, "in": "query", "schema": field.schema(switches), **required}
    if route.path.startswith(BASE) and route.answered:
        for name in ("location.region.provider", "location.region.region"):
            yield {"name": name, "in": "query", "description": "Ignored.", "schema": {"type": "string"}}


def _body(fields: Fields, switches: Switches) -> Schema:
    """Return the schema of a body; what it has beside these fields is ignored."""
    return {
        "type": "object",
        "properties": {name: field.schema(switches) for name, field in fields.items()},
        "required": [name for name, field in fields.items() if field.required],
    }


def _answer(description: str, schema: Schema, links: Schema | None = None, kind: str = "application/json") -> Schema:
    answer: Schema = {"description": description, "content": {kind: {"schema": schema}}}
    return {**answer, "links": links} if links else answer


def _refusals(words: Iterable[str]) -> dict[str, Schema]:
    """Return the responses of ``status/code`` words: a status tells which codes can stand in its body."""
    codes: dict[str, list[str]] = {}
    for word in sorted(words, key=lambda word: [int(part) for part in word.split("/")]):
        status, _, code = word.partition("/")
        codes.setdefault(status, []).append(code)
    found = {}
    for status, known in codes.items():
        meaning = "; ".join(f"{code}: {_MEANING[code]}" for code in known)
        only = {"properties": {"code": {"enum": [int(code) for code in known]}}}
        found[status] = _answer(f"Refused, {meaning}.", {"allOf": [ref("Status"), only]})
    return found


def _links(route: Route) -> Iterator[tuple[str, Schema]]:
    """Yield what can be called with the thing that an operation made."""
    name, place = _MADE.get(route.operation, ("", ""))
    given = {known: f"$request.path.{known}" for known in _names(route.path)}
    given[name] = f"$response.body#/{place}"
    for other in ROUTES:
        if name and other.answered and set(_names(other.path)) == set(given):
            yield other.operation, {"operationId": other.operation, "parameters": given}


def _names(path: str) -> list[str]:
    return re.findall(r"{(\w+)}", path)


def _token(switches: Switches) -> Schema:
    text = {"type": "string"}
    oauth = {"type": "object", "properties": {"error": text, "error_description": text}, "required": ["error"]}
    schema, kind = {
        "oauth": (oauth, "application/json"),
        "status": (ref("Status"), "application/json"),
        "html": (text, "text/html"),
    }[switches.token_error_body]
    given = {
        "type": "object",
        "properties": {"access_token": text, "token_type": {"const": "Bearer"}, "expires_in": {"type": "integer"}},
        "required": ["access_token", "token_type", "expires_in"],
        "additionalProperties": False,
    }
    form = {
        "type": "object",
        "properties": {
            "grant_type": {"type": "string", "enum": ["client_credentials"]},
            "audience": {"type": "string", "enum": [AUDIENCE]},
            "client_id": text,
            "client_secret": text,
        },
        "required": ["grant_type", "audience"],
    }
    return {
        "operationId": "Token",
        "summary": "Get a token for a service principal's key, in the header or in the form.",
        "security": [{"key": []}, {}],
        "requestBody": {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": form}}},
        "responses": {
            "200": _answer("The token, for an hour.", given),
            "400": _answer("It is no such request.", schema, kind=kind),
            "401": _answer("The key is wrong.", schema, kind=kind),
        },
    }


def _exchange() -> Schema:
    given = {
        "type": "object",
        "properties": {"access_token": {"type": "string"}, "expires_in": {"type": "integer"}},
        "required": ["access_token", "expires_in"],
        "additionalProperties": False,
    }
    body = {
        "type": "object",
        "properties": {"jwt_token": {"type": "string"}, "aws_get_caller_id_token": {"type": "object"}},
    }
    pattern = "^iam/project/[^/]+/service-principal/[^/]+/workload-identity-provider/[^/]+$"
    return {
        "operationId": "ExchangeToken",
        "summary": "Get a token for a workload's identity.",
        "security": [],
        "parameters": [
            {"name": "provider", "in": "path", "required": True, "schema": {"type": "string", "pattern": pattern}}
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": _answer("The token, for an hour.", given), **_refusals(("400/3", "401/16"))},
    }
