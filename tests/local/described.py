"""Every answer of the local registry that a test's client gets is held against the registry's own description."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from packer_publisher.local.registry_ledger import Tenancy
from packer_publisher.local.registry_openapi import describe
from packer_publisher.local.registry_switches import Switches


class Description:
    """The description of a registry of this tenancy under these switches, to hold answers against."""

    def __init__(self, tenancy: Tenancy, switches: Switches) -> None:
        self._document = describe(tenancy, switches)
        self._paths = [
            (re.compile("[^/]+".join(map(re.escape, re.split(r"{\w+}", path)))), operations)
            for path, operations in self._document["paths"].items()
        ]
        self._validators: dict[tuple[str, str], Draft202012Validator] = {}

    def hold(self, answer: httpx.Response) -> None:
        """Raise AssertionError where an answer is not as described; a path that is not described is not judged."""
        method, path = answer.request.method.lower(), answer.request.url.path
        for pattern, operations in self._paths:
            if pattern.fullmatch(path) and method in operations:
                self._hold(operations[method], answer)
                return

    def _hold(self, operation: dict[str, Any], answer: httpx.Response) -> None:
        name, status = operation["operationId"], str(answer.status_code)
        assert status in operation["responses"], f"{name}: {status} is not described: {answer.text}"
        kind = answer.headers["content-type"].partition(";")[0]
        content = operation["responses"][status]["content"]
        assert kind in content, f"{name}: {status} as {kind} is not described"
        if kind == "application/json":
            for error in self._validator(name, status, content[kind]["schema"]).iter_errors(answer.json()):
                raise AssertionError(f"{name}: {status} is not as described: {error.json_path}: {error.message}")

    def _validator(self, name: str, status: str, schema: dict[str, Any]) -> Draft202012Validator:
        key = (name, status)
        if key not in self._validators:
            whole = {**schema, "components": self._document["components"]}
            self._validators[key] = Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)
        return self._validators[key]


@cache
def description(tenancy: Tenancy, switches: Switches) -> Description:
    """Return the description, made once."""
    return Description(tenancy, switches)
