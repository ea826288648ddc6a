"""The sweep: what events alone would leave undone, within bounds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta

import boto3
import pytest

from packer_publisher.clouds.aws import AWS
from packer_publisher.deadline import Deadline
from packer_publisher.errors import CloudTrouble
from packer_publisher.handed_over import converge_images
from packer_publisher.image import Platform
from packer_publisher.messages import MOST_MESSAGES, ConvergeOrder, read_order
from packer_publisher.policy import BucketPolicy, BucketRule, Policy
from packer_publisher.publish import Publisher
from packer_publisher.report import Outcome
from packer_publisher.sweep import MARGIN, TROUBLES, Memory, Sweep, sweep
from tests.clouds.aws_stand_in import Answer, Request, error, image_xml, images, regions, scripted_ec2
from tests.publishing import Service, service
from tests.simulation.world import T0, WorldCloud
from tests.switches import completing

OWNER = "111111111111"
TAGS = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "a1"}
REGIONS = ["eu-west-1", "us-east-1"]


class Line:
    """A queue that keeps its messages, and one that takes none."""

    def __init__(self, *, broken: bool = False) -> None:
        self.messages: list[str] = []
        self.broken = broken

    def put(self, messages: Sequence[str]) -> None:
        if self.broken:
            raise CloudTrouble("the queue is gone")
        self.messages += messages


def run(
    at: Service, memory: Memory | None = None, seconds: float = 300, *, queue: Line | None = None,
    function: Publisher | None = None, bucket: str = "", dry_run: bool = False,
) -> Sweep:  # fmt: skip
    """Sweep AWS once, the last 48 hours, in a new process (with its memory where one is given)."""
    since = at.clock() - timedelta(hours=48)
    cloud = WorldCloud(at.world, Platform.AWS)
    deadline = Deadline.after(seconds)
    at_work = function or at.function()
    return sweep(at_work, cloud, since, None, deadline, memory, queue, bucket=bucket, dry_run=dry_run)


def add(at: Service, name: str, age: int = 60, **tags: str) -> None:
    """Add an image in one region; by default each is a version of its own, and declares that it is all of it."""
    own = {"hcp-packer-fingerprint": name, "hcp-packer-expects": "aws"}
    given = {f"hcp-packer-{key.replace('_', '-')}": value for key, value in tags.items()}
    at.world.add(Platform.AWS, OWNER, name, ["eu-west-1"], {**TAGS, **own, **given}, age=age)


@pytest.fixture
def at() -> Iterator[Service]:
    """A registry with the bucket ``web``."""
    with service() as found:
        found.bucket()
        yield found


def test_no_tagged_image_in_the_window_means_no_call_to_the_registry(at: Service) -> None:
    """An idle account costs nothing; images of the window that are not ours neither."""
    at.world.add(Platform.AWS, OWNER, "old", REGIONS, TAGS, age=60 * 49)
    at.world.add(Platform.AWS, OWNER, "foreign", REGIONS, {"Name": "x"}, age=60)
    assert Sweep() == run(at)
    assert [] == at.registry.requests.all()


@pytest.mark.switches(completion_lag=0.0)
def test_a_lost_event_is_healed_with_one_read_per_version_afterwards(at: Service) -> None:
    """Both regions of a build are one image to the sweep; what was seen complete is not asked for again."""
    at.world.add(Platform.AWS, OWNER, "web", REGIONS, {**TAGS, "hcp-packer-expects": "aws"}, age=60)
    memory = Memory()
    (report,) = run(at, memory).reports
    assert Outcome.COMPLETED == report.outcome
    before = at.registry.requests.count()
    (report,) = run(at).reports
    assert Outcome.UNCHANGED == report.outcome
    assert 1 == at.registry.requests.count() - before
    assert Sweep(images=2, known=1) == run(at, memory)
    assert 1 == at.registry.requests.count() - before


def test_one_read_serves_all_builds_of_a_version(at: Service) -> None:
    """Three builds of an account in one version are one read, not three."""
    for name in ("one", "two", "three"):
        add(at, name, fingerprint="a1", component_type=f"amazon-ebs.{name}", expects="aws azure")
    run(at)
    before = at.registry.requests.count()
    swept = run(at)
    assert 3 * [Outcome.UNCHANGED] == [report.outcome for report in swept.reports]
    assert 1 == at.registry.requests.count() - before
    (version,) = swept.versions
    assert ("web", "a1", "v0", ("azure",), T0) == (
        version.bucket, version.fingerprint, version.name, version.waits_for, version.since,
    )  # fmt: skip


def test_what_has_become_due_is_finished(at: Service) -> None:
    """An undeclared version whose quiet time is over needs no further event."""
    refs = at.world.add(Platform.AWS, OWNER, "web", REGIONS, TAGS, age=60)
    report, _ = at.deliver(at.function(), refs[0])
    assert Outcome.WAITING == report.outcome
    assert [Outcome.WAITING] == [report.outcome for report in run(at).reports]
    at.clock.forward(hours=7)
    assert [completing()] == [report.outcome for report in run(at).reports]


def test_a_region_that_came_when_its_build_was_whole_is_told(at: Service) -> None:
    """Its event was lost, and the build cannot take it any more; the rest of the build is told of once."""
    at.world.add(Platform.AWS, OWNER, "web", REGIONS, {**TAGS, "hcp-packer-expects": "aws"}, age=60)
    assert [completing()] == [report.outcome for report in run(at).reports]
    at.lag()
    copies = ["ap-south-1", "ca-west-1"]
    at.world.add(Platform.AWS, OWNER, "web", copies, {**TAGS, "hcp-packer-expects": "aws"}, age=30)
    there, late = run(at).reports
    assert (Outcome.UNCHANGED, Outcome.LATE, "ap-south-1") == (there.outcome, late.outcome, late.region)
    assert ("the same holds for ami-web-ca-west-1 (ca-west-1)",) == late.notes
    assert late.reason.startswith("version a1 (v1) of bucket web is complete, and component type amazon-ebs of")


def test_a_channel_is_set_whichever_region_the_sweep_looks_at_first(at: Service) -> None:
    """The oldest image of the build is one that came too late; the channel is asked for by the others as well."""
    rules = BucketPolicy(channels=("staging",), create_channels=True)
    asking = {**TAGS, "hcp-packer-expects": "aws", "hcp-packer-channels": "staging"}
    at.world.add(Platform.AWS, OWNER, "web", REGIONS, {**TAGS, "hcp-packer-expects": "aws"}, age=60)
    run(at)
    at.lag()
    at.world.add(Platform.AWS, OWNER, "web", REGIONS, asking, age=60)
    at.world.add(Platform.AWS, OWNER, "web", ["ap-south-1"], asking, age=90)
    late, there = run(at, function=at.function(rules)).reports
    assert (Outcome.LATE, Outcome.UNCHANGED) == (late.outcome, there.outcome)
    assert ["GetChannel", "CreateChannel", "GetChannel"] == [
        name for name in at.registry.requests.operations() if "Channel" in name
    ]


def test_a_broken_image_stops_no_other(at: Service) -> None:
    """It is reported with its reason; the version of its neighbour goes on."""
    add(at, "bad", age=61, bucket="_")
    add(at, "good")
    bad, good = run(at).reports
    assert (Outcome.REJECTED, completing()) == (bad.outcome, good.outcome)
    assert "is no bucket name" in bad.reason


def test_versions_that_there_is_no_time_for_are_named(at: Service) -> None:
    """The sweep never runs into its deadline; without a queue the next one takes them."""
    at.world.add(Platform.AWS, OWNER, "web", REGIONS, TAGS, age=60)
    assert Sweep(images=2, not_reached=(("web", "a1"),)) == run(at, seconds=MARGIN - 1)
    assert [] == at.registry.requests.all()


def test_what_is_not_reached_is_handed_over_and_done_from_there(at: Service) -> None:
    """One message per version on the function's own queue; each is done by itself, in another process."""
    for name in ("one", "two"):
        add(at, name)
    line = Line()
    swept = run(at, seconds=MARGIN - 1, queue=line)
    assert ((("web", "one"), ("web", "two")), ()) == (swept.handed_over, swept.not_reached)
    assert [] == at.registry.requests.all()
    for text in line.messages:
        order = read_order(json.loads(text), Platform.AWS)
        assert isinstance(order, ConvergeOrder)
        (report,) = converge_images(at.function(), order, Deadline.after(30)).reports
        assert completing() == report.outcome
    assert 2 * [Outcome.UNCHANGED] == [report.outcome for report in run(at).reports]


def test_a_queue_that_takes_nothing_loses_nothing(at: Service) -> None:
    """The versions stay with the next sweep, and it is said why."""
    add(at, "one")
    swept = run(at, seconds=MARGIN - 1, queue=Line(broken=True))
    assert ((), (("web", "one"),), "the queue is gone") == (swept.handed_over, swept.not_reached, swept.problem)


def test_no_more_is_handed_over_than_a_queue_can_bear(at: Service) -> None:
    """What is beyond it the next sweep takes."""
    for number in range(MOST_MESSAGES + 2):
        add(at, f"n{number:03}", age=600 - number % 600)
    line = Line()
    swept = run(at, seconds=MARGIN - 1, queue=line)
    assert (MOST_MESSAGES, MOST_MESSAGES, 2) == (
        len(line.messages),
        len(swept.handed_over),
        len(swept.not_reached),
    )


def test_while_hcp_is_in_trouble_a_sweep_gives_up_and_hands_nothing_over(at: Service) -> None:
    """Else each sweep of a day's outage would put all its versions on the queue again."""
    for number in range(TROUBLES + 2):
        add(at, f"n{number}", age=60 - number)
    line, memory = Line(), Memory()
    refused = at.function(HCP_CLIENT_SECRET="wrong")
    swept = run(at, memory, queue=line, function=refused)
    assert TROUBLES * [Outcome.DEFERRED] == [report.outcome for report in swept.reports]
    assert (("web", "n3"), ("web", "n4")) == swept.not_reached
    assert ([], (), swept.reports[0].reason) == (line.messages, swept.handed_over, swept.problem)
    again = run(at, memory, queue=line)
    assert ["n3", "n4", "n0", "n1", "n2"] == [report.fingerprint for report in again.reports]
    assert 5 * [completing()] == [report.outcome for report in again.reports]


def test_one_version_in_trouble_stops_no_other(at: Service) -> None:
    """Only so many in a row mean that HCP itself is out of order."""
    for number in range(TROUBLES + 1):
        add(at, f"n{number}", age=60 - number)
    at.registry.faults.answer("GetVersion", 403, body='{"code": 7, "message": "denied", "details": []}', on=1)
    outcomes = [report.outcome for report in run(at).reports]
    assert (1, TROUBLES) == (len(outcomes) - outcomes.count(completing()), outcomes.count(completing()))


@pytest.mark.switches(completion_lag=0.0)
def test_a_process_remembers_what_is_complete_within_bounds(at: Service) -> None:
    """The oldest entry makes room; a version that was forgotten is read again, and only that costs a call."""
    for name in ("one", "two", "three"):
        add(at, name)
    memory = Memory(most=2)
    run(at, memory)
    before = at.registry.requests.count()
    swept = run(at, memory)
    assert (2, 1) == (swept.known, len(swept.reports))
    assert 1 == at.registry.requests.count() - before
    assert 2 == len(memory.complete)


@pytest.mark.switches(completion_lag=0.0)
def test_a_complete_version_is_read_again_for_a_new_image_or_a_new_tag(at: Service) -> None:
    """A late image is told so; a channel that is asked for later is set."""
    at.registry.model.create_channel("web", {"name": "production"})
    add(at, "one", fingerprint="a1")
    memory, rules = Memory(), BucketPolicy(channels=("production",))
    run(at, memory, function=at.function(rules))
    assert 1 == run(at, memory, function=at.function(rules)).known
    add(at, "late", fingerprint="a1", component_type="amazon-ebs.late")
    assert [Outcome.LATE] == [
        report.outcome for report in run(at, memory, function=at.function(rules)).reports if "late" in report.image
    ]
    assert 1 == run(at, memory, function=at.function(rules)).known
    (ref, image) = next((ref, image) for ref, image in at.world.images.items() if image.name == "one")
    at.world.tag(ref, {**image.tags, "hcp-packer-channels": "production"})
    assert 0 == run(at, memory, function=at.function(rules)).known
    channel = at.registry.model.get_channel("web", "production")["channel"]
    assert "a1" == channel["version"]["fingerprint"]


def test_only_one_bucket(at: Service) -> None:
    """A person may ask for one bucket; the images of others are left out, broken ones too: but not its own."""
    at.bucket("api")
    add(at, "one")
    add(at, "two", bucket="api")
    add(at, "bad", bucket="_")
    add(at, "half", bucket="Api", expects="what?")
    swept = run(at, bucket="API")
    assert [("api", "two")] == [(version.bucket, version.fingerprint) for version in swept.versions]
    assert ["ami-half-eu-west-1"] == [report.image for report in swept.rejected]


def test_a_dry_run_writes_and_remembers_nothing(at: Service) -> None:
    """It predicts, hands nothing over, and leaves the process's memory as it was."""
    add(at, "one")
    line, memory = Line(), Memory()
    (version,) = run(at, memory, queue=line, dry_run=True).versions
    assert (Outcome.COMPLETED, True) == (version.outcome, version.changed)
    assert {"GET"} == {request.method for request in at.registry.requests.calls()}
    assert (Memory(), []) == (memory, line.messages)


@pytest.mark.parametrize(("hours", "late"), [(23, False), (24, True)])
def test_a_declared_version_that_is_short_of_something_for_a_day_is_reported(
    at: Service, hours: int, late: bool
) -> None:
    """Which one, for what, since when, and the command; counted from its newest build."""
    add(at, "one", fingerprint="a1", expects="aws azure gce")
    run(at)
    at.clock.forward(hours=hours)
    found = run(at).overdue
    assert late is bool(found)
    for version in found:
        assert ("web", "a1", ("azure", "gce"), T0, timedelta(hours=24), "missing: azure and gce") == (
            version.bucket,
            version.fingerprint,
            version.waits_for,
            version.since,
            version.waiting,
            version.reason,
        )
        assert (
            "build what is missing, or finish it as it is: "
            "packer-publisher versions complete web a1 --without azure --without gce" == version.remedy
        )


@pytest.mark.parametrize(("minutes", "late"), [(9, False), (10, True)])
def test_a_version_that_hcp_does_not_complete_is_reported_ten_minutes_later(minutes: int, late: bool) -> None:
    """All its builds are DONE, and it is still v0."""
    with service(completion_lag=1e6) as at:
        at.bucket()
        add(at, "one")
        run(at)
        at.clock.forward(minutes=minutes)
        found = run(at).overdue
    assert (late, late) == (bool(found), "all of its builds are DONE" in "".join(version.reason for version in found))
    assert late is ("packer-publisher versions complete web one" in "".join(version.remedy for version in found))


def test_a_version_that_waits_for_packers_own_run_names_its_build(at: Service) -> None:
    """Nothing of ours is missing; what holds it is another's build, which nobody but Packer may end."""
    add(at, "one", fingerprint="a1", expects="aws")
    model = at.registry.model
    model.create_version("web", {"fingerprint": "a1", "template_type": "HCL2"})
    model.create_build("web", "a1", {"component_type": "docker.web", "packer_run_uuid": "u", "status": "BUILD_UNSET"})
    run(at)
    at.clock.forward(hours=25)
    (version,) = run(at).overdue
    assert (("docker.web",), "not finished: docker.web") == (version.waits_for, version.reason)


def test_regions_that_refuse_are_told(at: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real SDK: a denied region is passed over, never in silence, and forgotten once it answers again."""
    denies = True

    def answer(request: Request) -> Answer:
        if request.action == "DescribeRegions":
            return regions(us_east_1="opt-in-not-required", eu_west_1="opt-in-not-required")
        if request.region == "eu-west-1" and denies:
            return error("UnauthorizedOperation", 403)
        return (
            images() if request.region == "eu-west-1" else images(image_xml("ami-0aaaaaaaaaaaaaaaa", "web", T0, TAGS))
        )

    policy = Policy(rules=(BucketRule("*", BucketPolicy()),))
    session = boto3.Session(aws_access_key_id="AKIAFAKE", aws_secret_access_key="fake-secret")
    cloud = AWS(policy, session_factory=lambda: session)
    publisher = Publisher(policy, lambda: pytest.fail("no call to HCP"), lambda _: cloud, off=True)
    with scripted_ec2(answer) as ec2:
        monkeypatch.setenv("AWS_ENDPOINT_URL", ec2.url)
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        before = sweep(publisher, cloud, T0 - timedelta(hours=1), None, Deadline.after(60))
        denies = False
        after = sweep(publisher, cloud, T0 - timedelta(hours=1), None, Deadline.after(60))
    assert ((("eu-west-1", "UnauthorizedOperation"),), 1) == (before.denied, before.images)
    assert ((), 1) == (after.denied, after.images)


def test_what_was_handed_over_is_judged_by_what_is_there_now(at: Service) -> None:
    """An image that is gone is ignored, and said so."""
    add(at, "gone")
    add(at, "kept")
    line = Line()
    run(at, seconds=MARGIN - 1, queue=line)
    (gone,) = [ref for ref in at.world.images if "gone" in ref.identifier]
    del at.world.images[gone]
    orders = [read_order(json.loads(text), Platform.AWS) for text in line.messages]
    reports = [
        report
        for order in orders
        if isinstance(order, ConvergeOrder)
        for report in converge_images(at.function(), order, Deadline.after(30)).reports
    ]
    assert [(Outcome.IGNORED, "the image is gone, or not available any more"), (completing(), "")] == [
        (report.outcome, report.reason) for report in reports
    ]


def test_a_handed_over_image_without_tags_is_told_of(at: Service) -> None:
    """Whoever asked finds an outcome for every image, also where the tags were taken away meanwhile."""
    (ref,) = at.world.add(Platform.AWS, OWNER, "bare", ["eu-west-1"], {}, age=60)
    order = ConvergeOrder("web", "a1", (ref,))
    (report,) = converge_images(at.function(), order, Deadline.after(30)).reports
    assert (Outcome.IGNORED, "carries no contract tag") == (report.outcome, report.reason)


def test_what_an_image_in_conflict_declares_does_not_count_for_the_others() -> None:
    """The good image of an undeclared version waits; the other one's names are not waited for."""
    with service() as at:
        at.bucket()
        tags = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "a1"}
        at.world.add(Platform.GCE, "project-1", "one", ["europe-west1-b"], tags, age=60)
        cloud, since = WorldCloud(at.world, Platform.GCE), at.clock() - timedelta(hours=48)
        sweep(at.function(), cloud, since, None, Deadline.after(300))
        more = {**tags, "hcp-packer-expects": "aws_azure_gce"}
        at.world.add(Platform.GCE, "project-1", "two", ["europe-west1-b"], more)
        good, bad = sweep(at.function(), cloud, since, None, Deadline.after(300)).reports
        assert (Outcome.WAITING, ()) == (good.outcome, good.waits_for)
        assert Outcome.CONFLICT == bad.outcome
