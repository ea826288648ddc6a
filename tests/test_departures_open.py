"""Images that are gone from an open version, over HTTP: the build is held, a sweep misses them, they come back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from packer_publisher.deadline import Deadline
from packer_publisher.errors import CloudTrouble, CredentialsTrouble, Forbidden, Rejected
from packer_publisher.image import ImageState, Platform
from packer_publisher.policy import BucketPolicy
from packer_publisher.report import Outcome
from packer_publisher.sweep import Sweep, sweep
from tests.departing import (
    REGIONS,
    REVOKE,
    TAGS,
    Line,
    Sick,
    add,
    at,
    delete,
    deleted,
    labels,
    look_again,
    operations,
    seeing,
    status,
    tell,
)
from tests.publishing import Service
from tests.simulation.world import WorldCloud

__all__ = ["at"]

# What becomes of a version is told at once; tests/proof/machine.py lets the same happen while answers lag behind.
pytestmark = pytest.mark.switches(completion_lag=0.0, read_after_write="fresh", search_lag=0.0)


# An open version


def test_in_an_open_version_the_build_is_held(at: Service) -> None:
    """Whoever comes later does not finish it; the version waits for a person."""
    refs = add(at, expects="aws azure")
    delete(at, *refs)
    operations(at)
    report = tell(at, deleted(at, refs[0]))
    assert ["SearchExternalArtifact", "GetVersion", "UpdateBuild"] == operations(at)
    assert (Outcome.WAITING, ("amazon-ebs",), "ami-web-eu-west-1") == (
        report.outcome,
        report.waits_for,
        labels(at)["gone"],
    )
    (azure,) = at.world.add(Platform.AZURE, "sub-1", "web", ["westeurope"], {**TAGS, "hcp-packer-expects": "aws azure"})
    sibling, _ = at.deliver(at.function(), azure)
    assert (Outcome.WAITING, ("amazon-ebs", "aws"), "v0") == (sibling.outcome, sibling.waits_for, status(at)[0])
    assert "lists what is gone: ami-web-eu-west-1" in sibling.reason


def test_a_restored_image_takes_the_note_back_and_the_version_completes(at: Service) -> None:
    """From the recycle bin, with an event that says it is available."""
    refs = add(at, expects="aws azure")
    image = at.world.images[refs[0]]
    delete(at, *refs)
    tell(at, deleted(at, refs[0]))
    (azure,) = at.world.add(Platform.AZURE, "sub-1", "web", ["westeurope"], {**TAGS, "hcp-packer-expects": "aws azure"})
    at.deliver(at.function(), azure)
    at.world.images[refs[0]] = image
    report, _ = at.deliver(at.function(REVOKE), refs[0])
    assert (Outcome.COMPLETED, ("v1", "ACTIVE")) == (report.outcome, status(at))


@pytest.mark.parametrize("rules", [REVOKE, BucketPolicy()], ids=["revoke", "ignore"])
def test_a_sweep_misses_an_image_of_an_open_version_and_looks_twice(at: Service, rules: BucketPolicy) -> None:
    """Under ignore, too, for nothing is revoked; the first look asks nothing of the registry."""
    refs = add(at, expects="aws azure", regions=REGIONS)
    at.clock.forward(hours=2)
    delete(at, refs[0])
    operations(at)
    line = Line()
    swept = _sweep(at, line, rules)
    assert ["GetVersion"] == operations(at)
    (missed,) = swept.missed
    assert (
        Outcome.WAITING,
        "version a1 of bucket web lists what is not to be found: ami-web-eu-west-1 (eu-west-1); "
        "it is looked for again before it is noted",
    ) == (missed.outcome, missed.reason)
    assert "" == labels(at).get("gone", "")
    at.clock.forward(minutes=10)
    report = look_again(at, line.orders()[0], rules)
    assert ["GetVersion", "UpdateBuild"] == operations(at)
    assert (Outcome.WAITING, "ami-web-eu-west-1") == (report.outcome, labels(at)["gone"])
    later = _sweep(at, line, rules)
    assert ((), 1) == (later.missed, len(line.messages))
    (overdue,) = later.overdue
    assert ("web", "a1", ("amazon-ebs", "aws", "azure")) == (overdue.bucket, overdue.fingerprint, overdue.waits_for)


def test_what_a_scan_does_not_see_but_is_there_is_not_missed(at: Service) -> None:
    """An image that is disabled, that was tagged otherwise since, or is older than the window."""
    refs = add(at, expects="aws azure", regions=REGIONS)
    at.clock.forward(hours=2)
    for change in (
        {"state": ImageState.DISABLED},
        {"tags": {"Name": "x"}},
        {"created_at": at.clock() - timedelta(days=9)},
    ):
        image = at.world.images[refs[0]]
        at.world.images[refs[0]] = replace(image, **change)
        line = Line()
        swept = _sweep(at, line)
        assert ((), []) == (swept.missed, line.messages), change
        at.world.images[refs[0]] = image


def test_a_dry_run_and_a_sweep_without_a_queue_note_nothing_and_say_so(at: Service) -> None:
    """From a laptop: what is missed is told, the functions do the rest."""
    refs = add(at, expects="aws azure", regions=REGIONS)
    at.clock.forward(hours=2)
    delete(at, refs[0])
    line = Line()
    for swept in (_sweep(at, line, dry_run=True), _sweep(at, None)):
        (missed,) = swept.missed
        assert missed.reason.endswith("before it is noted, which takes a queue, and there is none")
    assert [] == line.messages


def test_a_look_that_its_cloud_rejects_is_no_sign_of_absence(at: Service) -> None:
    """Its tags are broken by now, say; the sweep comes to its end, and misses nothing."""
    add(at, expects="aws azure", regions=REGIONS)
    at.clock.forward(hours=2)
    cloud = Sick(at, Rejected("its region label names nothing"))
    line = Line()
    unseen = at.world.images.pop(next(ref for ref in at.world.images if ref.region == "eu-west-1"))
    swept = sweep(seeing(at, cloud), cloud, at.clock() - timedelta(hours=48), None, Deadline.after(60), queue=line)
    assert (unseen.ref.region, (), []) == ("eu-west-1", swept.missed, line.messages)


@pytest.mark.parametrize("gone", [0, -1], ids=["the first", "the last"])
def test_what_is_there_does_not_stand_before_what_is_gone_for_ever(
    at: Service, monkeypatch: pytest.MonkeyPatch, gone: int
) -> None:
    """More images of an open version are out of the scan's sight than one sweep looks for; some sweep misses each."""
    monkeypatch.setattr("packer_publisher.departures.MOST_LOOKS", 2)
    refs = add(at, expects="aws azure", regions=[f"eu-west-{number}" for number in range(1, 9)])
    at.clock.forward(hours=2)
    for ref in refs[1:-1]:
        at.world.images[ref] = replace(at.world.images[ref], created_at=at.clock() - timedelta(days=9))
    at.world.images[refs[-1 - gone]] = replace(at.world.images[refs[-1 - gone]], tags=TAGS)
    delete(at, refs[gone])
    line = Line()
    for _ in range(100):  # one in three sweeps or so: a hundred in vain come once in 10^17 times
        _sweep(at, line)
        if line.messages:
            break
    assert refs[gone] == line.orders()[0].images[0].ref


def test_what_is_too_young_is_not_looked_for(at: Service) -> None:
    """Clouds take a while to show what is new: not even a question is asked."""
    refs = add(at, expects="aws azure", regions=REGIONS)
    at.clock.forward(minutes=30)
    delete(at, refs[0])
    assert () == _sweep(at, Line()).missed


def test_a_cloud_that_is_in_trouble_misses_nothing(at: Service) -> None:
    """A region that denies access is passed over, as by the scan; anything else is told."""
    refs = add(at, expects="aws azure", regions=REGIONS)
    at.clock.forward(hours=2)
    delete(at, refs[0])
    line = Line()
    denying = Sick(at, Forbidden("eu-west-1 denies access"))
    assert ((), []) == (_sweep(at, line, cloud=denying).missed, line.messages)
    for trouble in (CloudTrouble("eu-west-1 does not answer"), CredentialsTrouble("the keys have expired")):
        (told,) = _sweep(at, line, cloud=Sick(at, trouble)).missed
        assert (Outcome.DEFERRED, str(trouble), []) == (told.outcome, told.reason, line.messages)


def _sweep(
    at: Service,
    line: Line | None,
    rules: BucketPolicy = REVOKE,
    *,
    dry_run: bool = False,
    cloud: WorldCloud | None = None,
) -> Sweep:
    seen = cloud or WorldCloud(at.world, Platform.AWS)
    function = seeing(at, seen, rules)
    since = at.clock() - timedelta(hours=48)
    return sweep(function, seen, since, None, Deadline.after(300), None, line, dry_run=dry_run)
