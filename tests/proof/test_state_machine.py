"""Whatever happens in whatever order, nothing is early, lost, taken or broken; see the machine for the rules."""

from __future__ import annotations

import pytest

from packer_publisher.snapshot import BuildStatus
from tests.proof.histories import SEEDS, play
from tests.proof.machine import Machine
from tests.proof.packer import Phase

# One writer fills a build, which is what the rules are about; without compare-and-sets sets are compared, elsewhere.
# Much is said of a version without a sweep; what lags behind or is stale the machine plays where it names it.
pytestmark = pytest.mark.switches(
    completion_lag=0.0,
    read_after_write="fresh",
    platform_resent_same="refuse",
    platform_resent_after_create="refuse",
    duplicate_build_key="component_type",
)


@pytest.mark.parametrize("number", SEEDS)
def test_any_history_keeps_every_promise(number: int) -> None:
    """Images, events, faults, time, sweeps and Packer in random histories; the test's number is the seed."""
    play(number)


def begun(style: str | None = None) -> Machine:
    """Return a machine whose functions are deployed."""
    machine = Machine()
    machine.functions(configured=(), style=style)
    return machine


def image(machine: Machine, account: int, version: str, expects: str = "", *, rival: bool = False) -> None:
    """Make an image in one region and handle its event."""
    machine.image(account, version, expects, rival, 1, True, False, False)
    machine.deliver([0])


@pytest.mark.switches(
    default_page_size=50,  # a run reads the first page of builds alone
    max_page_size=100,
    silent_build_becomes="BUILD_CANCELLED",
)
def test_packer_takes_up_a_placeholder_and_nobody_writes_it_from_then_on() -> None:
    """Neither when its image's event comes before Packer says DONE, nor while its heartbeats have lapsed."""
    machine = begun()
    image(machine, 0, "a1", "amazon-ebs amazon-ebs.joined")
    machine.packer_build("joins", "a1")
    (run,) = machine.runs
    while run.sources["amazon-ebs.joined"].phase is not Phase.RUNNING:
        machine.packer(0, 1, fails=False, loses=False, tagged=True)
    machine.packer(0, 1, fails=False, loses=False, tagged=True)
    machine.deliver([0])
    machine.nothing_is_violated()
    machine.registry.clock.forward(minutes=30)
    machine.sweep(0)
    machine.nothing_is_violated()
    (version, _) = machine._versions()
    joined = version.build("amazon-ebs.joined")
    assert joined is not None
    assert (BuildStatus.CANCELLED, "") == (joined.status, joined.platform)
    machine.teardown()
    assert ["v1", ""] == [version.name for version in machine._versions()]
    assert (Phase.DONE, []) == (run.sources["amazon-ebs.joined"].phase, run.refusals)


def test_a_run_that_registered_its_builds_is_waited_for() -> None:
    """The declared version lacks nothing of ours, and is complete only with Packer's last DONE."""
    machine = begun()
    machine.packer_build("registers", "a1")
    (run,) = machine.runs
    while not run.is_set_up:
        machine.packer(0, 1, fails=False, loses=False, tagged=False)
    image(machine, 0, "a1", "aws azure")
    image(machine, 3, "a1")
    machine.wait(400)
    machine.sweep(0)
    assert ["v0", ""] == [version.name for version in machine._versions()]
    machine.teardown()
    assert ["v1", ""] == [version.name for version in machine._versions()]


def test_an_undeclared_version_is_not_finished_once_a_newer_one_is_complete() -> None:
    """Its quiet time ends after the newer one is there; a sweep leaves it to a person."""
    machine = begun()
    image(machine, 0, "a1")
    image(machine, 0, "b2", "aws")
    machine.wait(400)
    machine.sweep(0)
    machine.teardown()
    assert ["v0", "v1"] == [version.name for version in machine._versions()]
