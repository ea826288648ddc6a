"""A day without HCP loses no event, and its end is no stampede."""

from __future__ import annotations

from dataclasses import replace

import pytest

from packer_publisher.image import Artifact
from packer_publisher.image import Platform as Cloud
from packer_publisher.labels import OWNER
from packer_publisher.snapshot import BuildStatus
from tests.proof.contents import contents, doubles
from tests.proof.outage import ACCOUNTS, LATENCY, Failure, Simulation, many_accounts, three_clouds
from tests.proof.queues import DAY, Platform
from tests.simulation.handlers import DEADLINE

# Without a sweep: it is the sweep that completes what two writers left behind who both read what was no longer so.
# Calls are counted, too: one more for each build where HCP wants RUNNING before DONE.
pytestmark = pytest.mark.switches(completion_lag=0.0, read_after_write="fresh", unset_to_done="accept")


HALF_AN_HOUR = 1800.0


@pytest.fixture(scope="module", params=Failure, ids=lambda failure: failure.name.lower())
def after_a_day(request: pytest.FixtureRequest) -> Simulation:
    """Run 1,000 events of 100 versions in three clouds through an outage of a day."""
    return three_clouds(1, request.param)


def test_a_day_without_hcp_loses_nothing(after_a_day: Simulation) -> None:
    """Not one message is dead or expired, and every one of them was acknowledged in the end."""
    assert [] == after_a_day.lost()
    assert 1000 == sum(len(queue.done) for queue in after_a_day.queues.values())


def test_after_it_every_version_holds_exactly_what_the_clouds_hold(after_a_day: Simulation) -> None:
    """Complete, each artifact once, by its owner."""
    wanted: dict[tuple[str, str], dict[str, tuple[BuildStatus, set[Artifact]]]] = {}
    for image in after_a_day.world.images.values():
        builds = wanted.setdefault((image.tags["hcp-packer-bucket"], image.tags["hcp-packer-fingerprint"]), {})
        builds.setdefault(image.owner, (BuildStatus.DONE, set()))[1].update(image.artifacts)
    versions = {address: after_a_day.registry.get_version(*address, DEADLINE) for address in wanted}
    assert 100 == len(versions)
    assert all(version.complete for version in versions.values())
    assert wanted == {
        address: {build.label(OWNER): (build.status, set(build.artifacts)) for build in version.builds}
        for address, version in versions.items()
    }
    buckets = {bucket for bucket, _ in wanted}
    assert [] == [double for bucket in buckets for double in doubles(contents(after_a_day.registry.model, bucket))]


def test_the_backlog_is_gone_soon_and_without_a_stampede(after_a_day: Simulation) -> None:
    """Whatever is due is due within the longest rest, and no more workers ask than are deployed."""
    lags = after_a_day.lags()
    assert 100 == len(lags)
    assert HALF_AN_HOUR > lags[-1]
    workers = sum(queue.platform.workers for queue in after_a_day.queues.values())
    assert 5 == workers
    assert workers * 60 / LATENCY > max(after_a_day.per_minute(DAY).values())
    assert 3 * 1000 > sum(after_a_day.per_minute(DAY).values())


@pytest.mark.parametrize("failure", Failure, ids=lambda failure: failure.name.lower())
@pytest.mark.parametrize("cloud", Cloud, ids=str)
def test_a_message_that_is_alone_on_its_queue_outlives_a_day_too(cloud: Cloud, failure: Failure) -> None:
    """Nothing else keeps the worker busy, so it is tried as often as can be; forty accounts, one event in each."""
    simulation = many_accounts(1, cloud, failure)
    assert [] == simulation.lost()
    assert HALF_AN_HOUR > simulation.lags()[-1]


@pytest.mark.parametrize("cloud", [Cloud.AWS, Cloud.GCE], ids=str)
def test_functions_that_fail_together_do_not_come_back_together(cloud: Cloud) -> None:
    """One event in each of forty accounts, all in the same second: jitter has spread them when the day is over.

    Azure's queue has no jitter: the host rests each message for the same time.
    """
    after = many_accounts(2, cloud, Failure.UNAVAILABLE).per_minute(DAY)
    assert 8 <= len(after)
    assert sum(after.values()) / 3 > max(after.values())


def test_without_jitter_they_would() -> None:
    """The measure tells: where every try rests equally long, all come back in the same minute."""

    def rigid(platform: Platform) -> Platform:
        return replace(platform, rest=lambda _tries, _retry_after: 600.0)

    after = many_accounts(2, Cloud.AWS, Failure.REFUSING, shape=rigid).per_minute(DAY)
    assert 1 == len(after)


@pytest.mark.parametrize(("cloud", "most"), [(Cloud.AWS, 6), (Cloud.GCE, 100)])
def test_fewer_tries_would_lose_every_message(cloud: Cloud, most: int) -> None:
    """The measure tells: the few tries that are usual for SQS, and the most that a dead-letter topic of Pub/Sub allows.

    A hundred tries ten minutes apart are sixteen hours, so the subscription must have no dead-letter topic.
    """
    simulation = many_accounts(1, cloud, Failure.UNAVAILABLE, shape=lambda platform: replace(platform, most=most))
    assert ACCOUNTS == len(simulation.lost())
