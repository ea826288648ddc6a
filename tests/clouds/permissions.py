"""What docs/backfill.md says that the credentials of a backfill must be allowed to do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

_PAGE = (Path(__file__).parents[2] / "docs" / "backfill.md").read_text("utf-8")


def _documents() -> list[Any]:
    return [json.loads(text) for text in re.findall(r"```json\n(.*?)```", _PAGE, re.DOTALL)]


def aws_actions() -> set[str]:
    """Return the actions of the IAM policy."""
    (statement,) = next(document["Statement"] for document in _documents() if "Statement" in document)
    return set(statement["Action"])


def azure_actions() -> set[str]:
    """Return the actions of the custom role."""
    return set(next(document["Actions"] for document in _documents() if "Actions" in document))


def google_permissions() -> set[str]:
    """Return the permissions of the custom role."""
    (listed,) = re.findall(r"--permissions=(\S+)", _PAGE)
    return set(listed.split(","))
