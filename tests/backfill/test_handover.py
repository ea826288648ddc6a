"""A backfill that is handed over ends as one that writes by itself, whatever comes twice."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from packer_publisher.backfill.handover import Handover
from packer_publisher.backfill.journal import Entry
from packer_publisher.image import Platform
from packer_publisher.report import Outcome
from packer_publisher.snapshot import Build, BuildStatus
from tests.backfill.account import Estate
from tests.backfill.functions import Functions, begin, estate, functions, hand_over, history
from tests.registered import parents_of
from tests.switches import setting

__all__ = ["estate", "functions"]


def builds(estate: Estate, entry: Entry) -> set[tuple[str, str, object, BuildStatus]]:
    """Return what a version holds: component types, platforms, artifacts, status."""

    def told(build: Build) -> tuple[str, str, object, BuildStatus]:
        return build.component_type, build.platform, build.artifacts, build.status

    return {told(build) for build in estate.version(entry.fingerprint, entry.bucket).builds}


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_what_is_handed_over_ends_as_what_is_written(tmp_path: Path, twice: bool) -> None:
    """The same builds and numbers, in the order of the images; of a bucket never more than one version is under way."""
    (tmp_path / "direct").mkdir()
    direct, estate = Estate(tmp_path / "direct"), Estate(tmp_path)
    numbers = history(direct)
    direct.done()
    history(estate)
    functions = Functions(estate, twice=twice)
    run = begin(estate)
    assert "" == hand_over(run, functions)
    entries = list(run.journal.versions())
    assert numbers == {entry.fingerprint: entry.name for entry in entries}
    assert 6 * [("done", "completed")] == [(entry.stage, entry.outcome) for entry in entries]
    for entry in entries:
        assert builds(direct, entry) == builds(estate, entry)
    assert 1 == functions.most_at_once


def test_each_version_is_one_message_for_each_of_its_clouds(estate: Estate, functions: Functions) -> None:
    """It names one image of each build, whose regions the function gathers, and all parts, other clouds' too."""
    history(estate)
    hand_over(begin(estate), functions)
    sent = {(platform, order.fingerprint): order for platform in Platform for order in functions.orders(platform)}
    assert 9 == len(sent) == sum(len(queue.everything) for queue in functions.queues.values())
    assert ("amazon-ebs", "azure-arm", "googlecompute") == sent[Platform.GCE, "a1"].expects
    assert ["ami-a1-eu-west-1"] == [ref.identifier for ref in sent[Platform.AWS, "a1"].images]
    assert ("amazon-ebs",) == sent[Platform.AWS, "c3"].expects


def test_a_region_that_asks_for_channels_is_named_too(estate: Estate, functions: Functions) -> None:
    """Its tags were set one by one; a function would not learn of it from its sibling."""
    refs = estate.add("a1", regions=["eu-west-1", "us-east-1"])
    tags = dict(estate.world.images[refs[1]].tags)
    estate.world.tag(refs[1], tags | {"hcp-packer-channels": "prod"})
    hand_over(begin(estate), functions)
    (order,) = functions.orders(Platform.AWS)
    assert list(refs) == list(order.images)


def test_of_two_images_for_one_part_the_older_one_wins_here_too(estate: Estate, functions: Functions) -> None:
    """The function sees both, as a run that writes by itself does; the next version goes on."""
    estate.add("one", fingerprint="a1", days=20)
    estate.add("two", fingerprint="a1", days=19)
    estate.add("b2", days=5)
    run = begin(estate)
    assert "" == hand_over(run, functions)
    (built,) = estate.version("a1").builds
    assert ["ami-one-eu-west-1"] == [artifact.external_identifier for artifact in built.artifacts]
    first, second = run.journal.versions()
    assert ("late", "completed") == (first.outcome, second.outcome)


def test_the_first_cloud_does_not_complete_what_another_one_is_to_add(estate: Estate, functions: Functions) -> None:
    """Nothing is declared but by the message; without it the version would be sealed."""
    estate.add("a1")
    estate.add("a1", platform=Platform.AZURE, regions=["westeurope"], owner="sub-1")
    run = begin(estate)
    functions.off = True
    estate_pauses: list[float] = []

    def pause(seconds: float) -> None:
        estate_pauses.append(seconds)
        if len(estate_pauses) == 1:
            functions.deliver(Platform.AWS, functions.queues[Platform.AWS].messages.pop())
            estate.forward(hours=1)
            assert "v0" == estate.version("a1").name
        else:
            functions.off = False
            functions.work()

    assert "" == Handover(run, functions.queues, patience=timedelta(days=1), pause=pause).run()
    assert ("v1", 2) == (estate.version("a1").name, len(estate.version("a1").builds))


@pytest.mark.switches(search_lag=0.0)
def test_a_base_of_another_bucket_is_sent_before_what_was_built_from_it(estate: Estate, functions: Functions) -> None:
    """Else the child would have no parent for ever."""
    (base,) = estate.add("zero", bucket="zz-base", days=30)
    estate.add("child", bucket="aa-app", days=20, source_image=base.identifier)
    assert "" == hand_over(begin(estate), functions)
    assert ["zz-base v1"] == [name for name, _, _ in parents_of(estate.registry.model, "aa-app", "child")]


@pytest.mark.switches(search_lag=0.0)
def test_buckets_that_wait_for_each_other_are_sent_all_the_same(estate: Estate, functions: Functions) -> None:
    """No base comes first; nobody waits for ever."""
    estate.add("one", bucket="aaa", days=30, source_image="ami-three-eu-west-1")
    estate.add("two", bucket="aaa", days=10)
    estate.add("three", bucket="bbb", days=20, source_image="ami-two-eu-west-1")
    assert "" == hand_over(begin(estate), functions)
    assert ["aaa v2"] == [name for name, _, _ in parents_of(estate.registry.model, "bbb", "three")]


def test_a_bucket_whose_latest_would_move_back_is_not_sent(estate: Estate, functions: Functions) -> None:
    """As in a run that writes by itself."""
    estate.add("new", days=5)
    estate.done()
    estate.add("old", days=20)
    run = begin(estate, estate.journal("second"))
    assert "" == hand_over(run, functions)
    assert [] == functions.orders(Platform.AWS)


@pytest.mark.parametrize("lag", [0.0, 600.0])
def test_the_next_version_waits_until_hcp_has_completed_the_last(
    estate: Estate, functions: Functions, lag: float
) -> None:
    """All builds DONE is not complete; the next would be numbered before it."""
    estate.registry.model.switches = setting(completion_lag=lag)
    estate.add("a1", days=20)
    estate.add("b2", days=10)
    assert "" == hand_over(begin(estate), functions)
    assert ["v1", "v2"] == [estate.version(name).name for name in ("a1", "b2")]


def test_what_a_message_declares_does_not_count_for_what_is_in_motion(estate: Estate, functions: Functions) -> None:
    """A forged one could keep a fresh version open that its own events are about to complete."""
    (young,) = estate.add("a1", days=0.1, expects="aws")
    order = {"owner": young.owner_id, "region": young.region, "image": young.identifier}
    asked = {"bucket": "web", "fingerprint": "a1", "images": [order], "expects": ["azure-arm"]}
    (report,) = functions.deliver(Platform.AWS, json.dumps({"packer-publisher": {"converge": asked}}))
    assert Outcome.REJECTED == report.outcome
    assert "is younger than the quiet time: what its version consists of is for tags to say" in report.reason
    assert not estate.version("a1").exists


def test_what_a_message_declares_counts_for_the_version_that_it_names(estate: Estate, functions: Functions) -> None:
    """The tags say where an image belongs; of another version the message says nothing."""
    (old,) = estate.add("a1", days=20, expects="aws")
    order = {"owner": old.owner_id, "region": old.region, "image": old.identifier}
    asked = {"bucket": "web", "fingerprint": "b2", "images": [order], "expects": ["azure-arm"]}
    functions.deliver(Platform.AWS, json.dumps({"packer-publisher": {"converge": asked}}))
    assert ["amazon-ebs"] == [build.component_type for build in estate.version("a1").builds]
