"""The pages under docs/ say what the tests show."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_rule_of_trust_names_a_test_that_exists() -> None:
    """A promise whose test was renamed or removed is found here."""
    named = re.findall(r"`(test_[a-z0-9_]+)`", (ROOT / "docs" / "trust.md").read_text("utf-8"))
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_[a-z0-9_]+)\(", path.read_text("utf-8"), re.MULTILINE)
    }
    assert 10 < len(named)
    assert [] == [name for name in named if name not in defined]
