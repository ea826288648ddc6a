"""The pages under docs/ say what the tests show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from packer_publisher.drift.row import VERDICTS, How, Verdict

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("page", ["trust.md", "promises.md"])
def test_every_rule_and_promise_names_a_test_that_exists(page: str) -> None:
    """One whose test was renamed or removed is found here."""
    named = re.findall(r"`(test_[a-z0-9_]+)`", (ROOT / "docs" / page).read_text("utf-8"))
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_[a-z0-9_]+)\(", path.read_text("utf-8"), re.MULTILINE)
    }
    assert 10 < len(named)
    assert [] == [name for name in named if name not in defined]


def test_every_verdict_of_drift_and_every_difference_is_explained() -> None:
    """Each word that a row may carry stands under its verdict, in the program's order."""
    text = (ROOT / "docs" / "drift.md").read_text("utf-8")
    rows = [[cell.strip(" `") for cell in line.split("|")[1:3]] for line in text.splitlines() if line.startswith("| `")]
    assert [[str(VERDICTS[how]), str(how)] for how in How if how] == rows
    assert [str(verdict) for verdict in Verdict] == re.findall(r"^- \*\*(\w+)\*\*", text, re.MULTILINE)
