"""The sweep: what events alone would leave undone."""

from __future__ import annotations

from datetime import timedelta

from packer_publisher.deadline import Deadline
from packer_publisher.image import Platform
from packer_publisher.report import Outcome
from packer_publisher.sweep import MARGIN, Memory, Sweep, sweep
from tests.publishing import Service, service
from tests.simulation.world import WorldCloud

TAGS = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "a1"}
REGIONS = ["eu-west-1", "us-east-1"]


def run(at: Service, memory: Memory | None = None, seconds: float = 300) -> Sweep:
    """Sweep AWS once, the last 48 hours, in a new process (with its memory where one is given)."""
    cloud = WorldCloud(at.world, Platform.AWS)
    since = at.clock() - timedelta(hours=48)
    return sweep(at.function(), cloud, since, None, Deadline.after(seconds), memory)


def test_no_tagged_image_in_the_window_means_no_call_to_the_registry() -> None:
    """An idle account costs nothing; images of the window that are not ours neither."""
    with service() as at:
        at.world.add(Platform.AWS, "111111111111", "old", REGIONS, TAGS, age=60 * 49)
        at.world.add(Platform.AWS, "111111111111", "foreign", REGIONS, {"Name": "x"}, age=60)
        assert Sweep() == run(at)
        assert [] == at.registry.requests.all()


def test_a_lost_event_is_healed_with_one_read_per_version_afterwards() -> None:
    """Both regions of a build are one image to the sweep; what was seen complete is not asked for again."""
    with service() as at:
        at.bucket()
        at.world.add(Platform.AWS, "111111111111", "web", REGIONS, {**TAGS, "hcp-packer-expects": "aws"}, age=60)
        memory = Memory()
        (report,) = run(at, memory).reports
        assert Outcome.COMPLETED == report.outcome
        before = at.registry.requests.count()
        (report,) = run(at).reports
        assert Outcome.UNCHANGED == report.outcome
        assert 1 == at.registry.requests.count() - before
        run(at, memory)
        assert () == run(at, memory).reports


def test_what_has_become_due_is_finished() -> None:
    """An undeclared version whose quiet time is over needs no further event."""
    with service() as at:
        at.bucket()
        refs = at.world.add(Platform.AWS, "111111111111", "web", REGIONS, TAGS, age=60)
        report, _ = at.deliver(at.function(), refs[0])
        assert Outcome.WAITING == report.outcome
        assert [Outcome.WAITING] == [report.outcome for report in run(at).reports]
        at.clock.forward(hours=7)
        assert [Outcome.COMPLETED] == [report.outcome for report in run(at).reports]


def test_a_broken_image_stops_no_other() -> None:
    """It is reported with its reason; the version of its neighbour goes on."""
    with service() as at:
        at.bucket()
        at.world.add(Platform.AWS, "111111111111", "bad", ["eu-west-1"], {**TAGS, "hcp-packer-bucket": "_"}, age=61)
        at.world.add(Platform.AWS, "111111111111", "web", ["eu-west-1"], {**TAGS, "hcp-packer-expects": "aws"}, age=60)
        bad, good = run(at).reports
        assert (Outcome.REJECTED, Outcome.COMPLETED) == (bad.outcome, good.outcome)
        assert "is no bucket name" in bad.reason


def test_versions_that_there_is_no_time_for_are_named() -> None:
    """The sweep never runs into its deadline; the next one takes them."""
    with service() as at:
        at.bucket()
        at.world.add(Platform.AWS, "111111111111", "web", REGIONS, TAGS, age=60)
        swept = run(at, seconds=MARGIN - 1)
        assert Sweep(not_reached=(("web", "a1"),)) == swept
        assert [] == at.registry.requests.all()
