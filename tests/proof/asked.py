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


class _Noting:
    """Notes with each test, in the process that plays it, what was asked for on its behalf."""

    def __init__(self) -> None:
        self._shared: dict[tuple[str, str], frozenset[str]] = {}

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

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Let the report tell: the process that collects the reports may be another."""
        report = yield
        if report.when == "teardown":
            for (node, fixture), names in self._shared.items():
                if item.nodeid.startswith(node) and fixture in item.fixturenames:
                    asked.update(names)
            report.user_properties.append(("asked", " ".join(sorted(asked))))
        return report


class _Writer:
    """Writes a line for each test that has ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._under_way: dict[str, Played] = {}
        path.write_text("", encoding="utf-8")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        now = self._under_way.setdefault(report.nodeid, Played(report.nodeid))
        now.seconds += report.duration
        if report.outcome != "passed" and now.outcome != "failed":
            now.outcome = report.outcome
            now.why = _why(report)
        if report.when == "teardown":
            now.asked = str(dict(report.user_properties)["asked"]).split()
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(self._under_way.pop(report.nodeid))) + "\n")


def _why(report: pytest.TestReport) -> str:
    """Return what pytest marks with E, up to the first of its explanations."""
    said = [line[1:].strip() for line in report.longreprtext.splitlines() if line.startswith("E ")]
    return " ".join(said[:3])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--asked", type=Path, metavar="FILE", help="write what each test came to into a file")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Noting())
    if not hasattr(config, "workerinput"):  # the process that collects the reports
        config.pluginmanager.register(_Writer(config.getoption("--asked")))


def read(path: Path) -> list[Played]:
    """Return what a run has written; of one that was ended early, what there is."""
    return [Played(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
