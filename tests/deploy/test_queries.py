"""The queries of Azure's alerts, as Microsoft's own language service reads them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.infra.hcl import literal, local, members, read_module

ROOT = Path(__file__).parents[2]
SERVICE = ROOT / "node_modules" / "@kusto" / "language-service-next"


def diagnosed(queries: Mapping[str, str]) -> dict[str, list[str]]:
    """Return what is wrong with each query."""
    if not SERVICE.exists():
        pytest.exit("Kusto's language service is not there: `make test-deploy` installs it with Node", returncode=2)
    done = subprocess.run(
        ["node", str(Path(__file__).with_name("kusto.js"))],
        input=json.dumps(queries),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_every_query_is_one() -> None:
    """Names, functions and types, against the tables that the function's log is in."""
    module = read_module(ROOT / "infra" / "azure")
    known = {"var.function_app_name": "images"}
    known["local.lines"] = str(literal(local(module, "lines"), known))
    alerts = members(local(module, "alerts"))
    queries = {name: str(literal(members(alert)["query"], known)) for name, alert in alerts.items()}
    assert {"errors", "no-sweep", "oldest-message"} <= set(queries)
    assert {key: [] for key in queries} == diagnosed(queries)


def test_what_is_none_is_found() -> None:
    """Else the test above would say nothing."""
    wrong = {
        "an operator": "AppTraces | wher Message == 'a'",
        "a function": "print datetime_diffs('second', now(), now())",
        "a column": "AppTraces | where Text == 'a'",
    }
    assert [] == [name for name, problems in diagnosed(wrong).items() if not problems]
