"""Every call times every fault: nothing is lost, nothing is written twice, and the event ends as the table says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import pytest

from packer_publisher.deadline import Deadline
from packer_publisher.errors import OutcomeUnknown
from packer_publisher.local.registry_switches import Switches
from packer_publisher.registry import HCPPacker
from packer_publisher.snapshot import Build
from packer_publisher.steps import CreateBuild
from tests.proof.contents import doubles
from tests.proof.fault_columns import COLUMNS
from tests.proof.fault_matrix import COMMAND, PAGE, End, expected, page
from tests.proof.fault_play import clean, held, run
from tests.proof.fault_rows import BY_TYPE, ROWS, Row
from tests.publishing import Service, service
from tests.switches import EXPECTED

# What becomes of a call differs with the setting; the table in the docs, which the cells are held to, is the defaults'.
pytestmark = pytest.mark.switches(**asdict(Switches()))
PLAYED = COLUMNS if EXPECTED else COLUMNS[::4]


@pytest.fixture(scope="module")
def at() -> Iterator[Service]:
    """Serve one registry; each cell has a bucket of its own."""
    with service() as found:
        yield found
        found.registry.faults.assert_consumed()


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_whatever_fails_the_contents_are_exact(at: Service, row: Row, lasting: bool) -> None:
    """Each cell ends as expected, with the contents that the story has where nothing breaks."""
    exact = clean(at, row.story)
    runs = {column.name: run(at, row, column, exact, lasting=lasting) for column in PLAYED}
    assert {} == {name: found.wrong for name, found in runs.items() if found.wrong}
    ends = {column.name: expected(row, column, lasting=lasting) for column in PLAYED}
    assert ends == {name: found.end for name, found in runs.items()}
    wanted = {name: held(row, end, exact) for name, end in ends.items()}
    assert {} == {name: found.contents for name, found in runs.items() if found.contents != wanted[name]}


class Blind(HCPPacker):
    """A client that sends a write again when its answer is lost."""

    def create_build(self, step: CreateBuild, deadline: Deadline, project: str | None = None) -> Build:
        try:
            return super().create_build(step, deadline, project)
        except OutcomeUnknown:
            return super().create_build(step, deadline, project)


def test_a_blind_second_write_would_be_seen(at: Service) -> None:
    """Also where it does no harm, because the registry refuses the double."""
    (row,) = [row for row in ROWS if row.name == "CreateBuild"]
    (column,) = [column for column in COLUMNS if column.name == "500, carried out"]
    found = run(at, row, column, clean(at, row.story), lasting=False, client=Blind)
    (wrong,) = found.wrong
    assert wrong.startswith("written blindly: CreateBuild ")


def test_what_stands_there_twice_would_be_seen(at: Service) -> None:
    """A double of a build, or of an artifact, is not hidden by looking at sets."""
    exact = clean(at, BY_TYPE)
    (version,) = exact["versions"]
    assert [] == doubles(exact)
    version["builds"].append(version["builds"][0])
    assert ["a1: azure-arm"] == doubles(exact)
    version["builds"].pop()
    version["builds"][0]["artifacts"] *= 2
    assert 1 == len(doubles(exact))


def test_the_page_in_the_docs_is_what_the_tests_expect() -> None:
    """Where it is stale, the command writes it anew."""
    assert page() == PAGE.read_text(encoding="utf-8"), f"docs/faults.md is stale: run {COMMAND}"


def test_no_cell_is_expected_to_end_in_anything_else() -> None:
    """The table has a word for every end, and each of them occurs."""
    ends = {expected(row, column, lasting=lasting) for row in ROWS for column in COLUMNS for lasting in (False, True)}
    assert {End.ON, End.AGAIN, End.FOUND, End.LATER, End.SWEPT, End.ORPHAN} == ends
