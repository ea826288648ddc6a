"""What a run of the tests came to, with the switches that each test's registries asked for.

A pytest plugin: ``-p tests.proof.asked --asked FILE`` writes it there, one JSON object for each test and line.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest

from tests.switches import asked


@dataclass
class Played:
    """One test: how it ended, how long it took, which switches its registries asked for, and why it failed."""

    test: str
    outcome: str = "passed"
    seconds: float = 0.0
    asked: list[str] = field(default_factory=list)
    why: str = ""


class _Writer:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._now = Played("")
        self._shared: dict[tuple[str, str], frozenset[str]] = {}
        path.write_text("", encoding="utf-8")

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        """Keep what a fixture asks for that several tests share: it is asked for on behalf of each of them."""
        if request.scope == "function":
            return (yield)
        before = set(asked)
        asked.clear()
        try:
            return (yield)
        finally:
            self._shared[request.node.nodeid, fixturedef.argname] = frozenset(asked)
            asked.update(before)

    def pytest_runtest_teardown(self, item: pytest.Function) -> None:
        for (node, fixture), names in self._shared.items():
            if item.nodeid.startswith(node) and fixture in item.fixturenames:
                asked.update(names)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._now = Played(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._now.seconds += report.duration
        if report.outcome != "passed" and self._now.outcome != "failed":
            self._now.outcome = report.outcome
            self._now.why = _why(report)

    def pytest_runtest_logfinish(self) -> None:
        self._now.asked = sorted(asked)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(self._now)) + "\n")


def _why(report: pytest.TestReport) -> str:
    """Return what pytest marks with E, up to the first of its explanations."""
    said = [line[1:].strip() for line in report.longreprtext.splitlines() if line.startswith("E ")]
    return " ".join(said[:3])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--asked", type=Path, metavar="FILE", help="write what each test came to into a file")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Writer(config.getoption("--asked")))


def read(path: Path) -> list[Played]:
    """Return what a run has written; of one that was ended early, what there is."""
    return [Played(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
