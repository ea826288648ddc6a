"""A backfill that is handed over ends as one that writes by itself: whoever dies, and whatever comes twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from packer_publisher.backfill.handover import PATIENCE, Handover
from packer_publisher.backfill.journal import Entry, Journal
from packer_publisher.backfill.run import Backfill
from packer_publisher.deadline import Deadline
from packer_publisher.errors import CloudTrouble, Forbidden
from packer_publisher.handed_over import converge_images
from packer_publisher.image import Platform
from packer_publisher.messages import ConvergeOrder, read_order
from packer_publisher.publish import Publisher
from packer_publisher.report import Outcome, Report
from packer_publisher.snapshot import Build, BuildStatus
from tests.backfill.account import Estate, problems
from tests.registered import parents_of
from tests.simulation.world import cloud_of
from tests.switches import setting

HOUR = Deadline(1e9, clock=lambda: 0.0, sleep=lambda _: None)


class Killed(BaseException):
    """The process is gone, at this very line."""


@dataclass
class Line:
    """A queue, and all that was ever put on it. ``fails`` is asked before each message is taken."""

    messages: list[str] = field(default_factory=list)
    everything: list[str] = field(default_factory=list)
    fails: Callable[[], None] = lambda: None
    dies: bool = False

    def put(self, messages: Sequence[str]) -> None:
        self.fails()
        self.messages += messages
        self.everything += messages
        if self.dies:
            self.dies = False
            raise Killed


@dataclass
class Functions:
    """The functions of three clouds behind their queues, each of which sees its own cloud's images alone."""

    estate: Estate
    queues: dict[Platform, Line] = field(default_factory=lambda: {platform: Line() for platform in Platform})
    most_at_once: int = 0
    twice: bool = False
    off: bool = False

    def orders(self, platform: Platform) -> list[ConvergeOrder]:
        """Return everything that was ever sent to a cloud's function."""
        read = [read_order(json.loads(text), platform) for text in self.queues[platform].everything]
        return [order for order in read if isinstance(order, ConvergeOrder)]

    def work(self, _: float = 0.0) -> list[Report]:
        """Let each function do what is on its queue, each version that waits there once or twice; time passes."""
        waiting = [
            json.loads(text)["packer-publisher"]["converge"] for q in self.queues.values() for text in q.messages
        ]
        versions = {(order["bucket"], order["fingerprint"]) for order in waiting}
        buckets = [bucket for bucket, _ in versions]
        self.most_at_once = max([self.most_at_once, *map(buckets.count, buckets)])
        reports: list[Report] = []
        for platform, queue in self.queues.items() if not self.off else ():
            taken, queue.messages = queue.messages, []
            for text in taken * (2 if self.twice else 1):
                reports += self.deliver(platform, text)
        self.estate.forward(minutes=3)
        return reports

    def deliver(self, platform: Platform, text: str) -> tuple[Report, ...]:
        """Hand one message to a cloud's function."""
        order = read_order(json.loads(text), platform)
        assert isinstance(order, ConvergeOrder)
        estate = self.estate
        publisher = Publisher(estate.policy, lambda: estate.registry, cloud_of(estate.world), now=estate.registry.clock)
        return converge_images(publisher, order, HOUR, estate.registry.clock).reports


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    """Nothing is there yet but the bucket ``web``."""
    found = Estate(tmp_path)
    found.registry.model.create_bucket({"name": "web"})
    return found


@pytest.fixture
def functions(estate: Estate) -> Functions:
    return Functions(estate)


def begin(estate: Estate, journal: Journal | None = None, **asked: object) -> Backfill:
    """Return a run that has listed and looked."""
    run = estate.backfill(journal, **asked)
    run.list_clouds(lambda *_: None)
    run.look()
    return run


def hand_over(run: Backfill, functions: Functions) -> str:
    """Hand a run over; the functions work in its pauses."""
    return Handover(run, functions.queues, pause=functions.work).run()


def history(estate: Estate) -> dict[str, str]:
    """Fill the estate with versions of one, two and three clouds; return what their numbers must be."""
    for name, days in (("a1", 30), ("b2", 20), ("c3", 10)):
        estate.add(name, days=days, regions=["eu-west-1", "us-east-1"])
        estate.add(f"{name}-db", bucket="database", days=40 - days)
    estate.add("a1", platform=Platform.AZURE, regions=["westeurope"], owner="sub-1", days=30)
    estate.add("b2", platform=Platform.GCE, regions=["europe-west1-b"], owner="project-1", days=20)
    estate.add("a1", platform=Platform.GCE, regions=["europe-west1-b"], owner="project-1", days=30)
    return {"a1": "v1", "b2": "v2", "c3": "v3", "c3-db": "v1", "b2-db": "v2", "a1-db": "v3"}


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


@pytest.mark.parametrize("delivered", [False, True], ids=["before it is on the queue", "after"])
@pytest.mark.parametrize("number", range(1, 10))
def test_a_run_that_is_killed_while_it_sends_loses_nothing(
    estate: Estate, functions: Functions, number: int, delivered: bool
) -> None:
    """Only what was being sent at that very moment is sent again, unless HCP shows it done by then."""
    numbers = history(estate)
    taken = 0

    def dying(queue: Line) -> Callable[[], None]:
        def count() -> None:
            nonlocal taken
            taken += 1
            if taken == number:
                if not delivered:
                    raise Killed
                queue.dies = True

        return count

    for queue in functions.queues.values():
        queue.fails = dying(queue)
    run = begin(estate)
    with pytest.raises(Killed):
        hand_over(run, functions)
    run.journal.close()
    run = begin(estate, estate.journal())
    assert "" == hand_over(run, functions)
    assert numbers == {entry.fingerprint: entry.name for entry in run.journal.versions()}
    sent = [text for queue in functions.queues.values() for text in queue.everything]
    assert len(sent) <= 9 + delivered
    assert 9 == len(set(sent))


@pytest.mark.switches(read_after_write="fresh")
def test_what_was_done_after_a_run_was_killed_is_not_sent_again(estate: Estate, functions: Functions) -> None:
    """Whether the message was put nobody noted; HCP shows that it was."""
    estate.add("a1")
    functions.queues[Platform.AWS].dies = True
    run = begin(estate)
    with pytest.raises(Killed):
        hand_over(run, functions)
    assert ["sending"] == [entry.stage for entry in run.journal.versions()]
    functions.work()
    assert "" == hand_over(begin(estate, run.journal), functions)
    assert ["done"] == [entry.stage for entry in run.journal.versions()]
    assert 1 == len(functions.queues[Platform.AWS].everything)


def test_what_was_sent_is_not_sent_again(estate: Estate, functions: Functions) -> None:
    """The functions are slow; a resumed run waits for them, and tells what is open and why."""
    estate.add("a1")
    estate.add("b2", days=5)
    functions.off = True
    run = begin(estate)
    reason = "version a1 of bucket web was sent and is not finished: nothing of it is in HCP Packer yet"
    assert reason == hand_over(run, functions)
    assert ["sent", "looked"] == [entry.stage for entry in run.journal.versions()]
    run = begin(estate, run.journal)
    assert reason == hand_over(run, functions)
    assert 1 == len(functions.queues[Platform.AWS].everything)
    functions.off = False
    functions.work()
    assert "" == hand_over(begin(estate, run.journal), functions)
    assert 2 == len(functions.queues[Platform.AWS].everything)
    assert ["v1", "v2"] == [estate.version(name).name for name in ("a1", "b2")]


def test_a_version_that_is_not_finished_holds_its_bucket_and_what_was_built_from_it(
    estate: Estate, functions: Functions
) -> None:
    """Their numbers and parents depend on it; other buckets go on, and a resumed run goes on with these."""
    (base,) = estate.add("a1", days=30)
    estate.add("b2", days=20)
    estate.add("c3", bucket="database")
    estate.add("d4", bucket="aaa-app", days=10, source_image=base.identifier)
    run = begin(estate)
    gone = estate.world.images.pop(base)  # the function does not find it
    assert "version a1 of bucket web was sent and is not finished" in hand_over(run, functions)
    assert "v1" == estate.version("c3", "database").name
    assert [False, False] == [estate.version(*at).exists for at in (("b2", "web"), ("d4", "aaa-app"))]
    estate.world.images[base] = gone
    (late,) = [text for text in functions.queues[Platform.AWS].everything if '"a1"' in text]
    functions.deliver(Platform.AWS, late)
    assert "" == hand_over(begin(estate, run.journal), functions)
    assert ["v1", "v2", "v1"] == [estate.version(*at).name for at in (("a1", "web"), ("b2", "web"), ("d4", "aaa-app"))]


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


def test_a_queue_that_denies_access_loses_nothing(estate: Estate, functions: Functions) -> None:
    """The refusal ends the run; once it is mended, a resumed one sends everything."""

    def deny() -> None:
        raise Forbidden("SQS denied access")

    estate.add("a1")
    functions.queues[Platform.AWS].fails = deny
    run = begin(estate)
    with pytest.raises(Forbidden):
        hand_over(run, functions)
    assert ["looked"] == [entry.stage for entry in run.journal.versions()]
    functions.queues[Platform.AWS].fails = lambda: None
    assert "" == hand_over(begin(estate, run.journal), functions)
    assert "v1" == estate.version("a1").name


def test_the_second_queue_of_a_version_that_denies_access_is_sent_alone_later(
    estate: Estate, functions: Functions
) -> None:
    """What the first one has is not sent again."""

    def deny() -> None:
        raise Forbidden("Azure denied access")

    estate.add("a1")
    estate.add("a1", platform=Platform.AZURE, regions=["westeurope"], owner="sub-1")
    functions.queues[Platform.AZURE].fails = deny
    run = begin(estate)
    with pytest.raises(Forbidden):
        hand_over(run, functions)
    functions.queues[Platform.AZURE].fails = lambda: None
    assert "" == hand_over(begin(estate, run.journal), functions)
    assert [1, 1] == [len(functions.queues[p].everything) for p in (Platform.AWS, Platform.AZURE)]


def test_a_queue_that_stumbles_is_tried_again(estate: Estate, functions: Functions) -> None:
    """A message may come twice that way, which is harmless."""
    tries = iter([CloudTrouble("the queue is busy"), None])

    def stumble() -> None:
        if (trouble := next(tries)) is not None:
            raise trouble

    estate.add("a1")
    functions.queues[Platform.AWS].fails = stumble
    run = begin(estate)
    run.stop.wait = lambda _=None: False  # type: ignore[method-assign,assignment]  # time passes at once
    assert "" == hand_over(run, functions)


def test_a_bucket_whose_latest_would_move_back_is_not_sent(estate: Estate, functions: Functions) -> None:
    """As in a run that writes by itself."""
    estate.add("new", days=5)
    estate.done()
    estate.add("old", days=20)
    run = begin(estate, estate.journal("second"))
    assert "" == hand_over(run, functions)
    assert [] == functions.orders(Platform.AWS)


def test_more_parts_than_a_message_may_declare_are_told(estate: Estate, functions: Functions) -> None:
    """Each image's tags are within their limit, and together they declare too much; the next version goes on."""
    for name in ("one", "two", "three", "four", "five"):
        parts = " ".join(f"amazon-ebs.{name}-{number}" for number in range(13))
        estate.add(f"a1-{name}", fingerprint="a1", component_type=f"amazon-ebs.{name}-0", days=20, expects=parts)
    estate.add("b2", days=10)
    run = begin(estate)
    assert "" == hand_over(run, functions)
    first, second = run.journal.versions()
    assert ("rejected", "completed") == (first.outcome, second.outcome)
    assert ["it consists of 65 parts, more than 64"] == problems(first)


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


def test_patience_outlives_the_longest_rest_of_a_message() -> None:
    """Else a version would be called open although its next try is due."""
    from packer_publisher.clouds.aws_queue import CAP

    assert timedelta(seconds=2 * CAP) <= PATIENCE
