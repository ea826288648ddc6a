"""Images that are gone, over HTTP: what an event costs and does, the second look, what a sweep misses, every switch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from packer_publisher.deadline import Deadline
from packer_publisher.errors import CloudTrouble, CredentialsTrouble, Forbidden, Trouble
from packer_publisher.image import Change, Image, ImageEvent, ImageRef, ImageState, Platform
from packer_publisher.local.registry_faults import LostReply
from packer_publisher.local.registry_switches import Switches
from packer_publisher.messages import LookAgainOrder, read_order
from packer_publisher.policy import BucketPolicy, BucketRule, Policy
from packer_publisher.publish import Publisher
from packer_publisher.report import Outcome, Report
from packer_publisher.sweep import Sweep, sweep
from tests.publishing import Service, service
from tests.simulation.world import WorldCloud

# What becomes of a version is told at once; tests/proof/machine.py lets the same happen while answers lag behind.
pytestmark = pytest.mark.switches(completion_lag=0.0, read_after_write="fresh", search_lag=0.0)


OWNER = "111111111111"
TAGS = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "a1"}
REVOKE = BucketPolicy(on_delete="revoke")
REGIONS = ["eu-west-1", "us-east-1"]


class Line:
    """A queue that keeps its messages, or takes none."""

    def __init__(self, *, broken: bool = False) -> None:
        self.messages: list[str] = []
        self.broken = broken

    def put(self, messages: Sequence[str]) -> None:
        if self.broken:
            raise CloudTrouble("the queue is gone", retry_after=30)
        self.messages += messages

    def orders(self, platform: Platform = Platform.AWS) -> list[LookAgainOrder]:
        """Return what the messages ask for."""
        found = [read_order(json.loads(text), platform) for text in self.messages]
        return [order for order in found if isinstance(order, LookAgainOrder)]


@pytest.fixture
def at() -> Iterator[Service]:
    """A registry with the bucket ``web``."""
    with service() as found:
        found.bucket()
        yield found


def add(
    at: Service, *, expects: str = "aws", regions: Sequence[str] = ("eu-west-1",), name: str = "web"
) -> list[ImageRef]:
    """Make a build of AMIs, and let its events be handled."""
    tags = {**TAGS, "hcp-packer-expects": expects}
    refs = at.world.add(Platform.AWS, OWNER, name, regions, tags, age=60)
    for ref in refs:
        at.deliver(at.function(), ref)
    return refs


def delete(at: Service, *refs: ImageRef) -> None:
    """Deregister AMIs, without a word."""
    for ref in refs:
        del at.world.images[ref]


def deleted(at: Service, ref: ImageRef, *, age: float = 5, **fields: Any) -> ImageEvent:
    """Return the event of a deletion so many minutes ago."""
    return ImageEvent(ref, Change.DELETED, at.clock() - timedelta(minutes=age), "event-1", **fields)


def tell(
    at: Service,
    event: ImageEvent,
    *,
    line: Line | None = None,
    rules: BucketPolicy = REVOKE,
    function: Publisher | None = None,
) -> Report:
    """Deliver the event of a deletion to a new process."""
    return (function or at.function(rules)).on_event(event, Deadline.after(60), line)


def seeing(at: Service, cloud: WorldCloud, rules: BucketPolicy = REVOKE) -> Publisher:
    """Return a new process's publisher that sees AWS as a test says."""
    opened = at.function(rules)
    return Publisher(opened.policy, lambda: opened.registry, lambda _: cloud, now=at.clock)


def look_again(at: Service, order: LookAgainOrder, rules: BucketPolicy = REVOKE, line: Line | None = None) -> Report:
    """Deliver the message of a second look to a new process."""
    return at.function(rules).departures.look_again(order, Deadline.after(60), line)


def status(at: Service, fingerprint: str = "a1") -> tuple[str, str]:
    """Return a version's name and status."""
    at.registry.model.get_version("web", fingerprint)  # the first read may lag
    version = at.registry.model.get_version("web", fingerprint)["version"]
    return version["name"], version["status"].removeprefix("VERSION_")


def labels(at: Service) -> dict[str, str]:
    """Return the labels of the version's one build."""
    (build,) = at.registry.model.get_version("web", "a1")["version"]["builds"]
    return dict(build["labels"])


def operations(at: Service) -> list[str]:
    """Return what was asked of the registry since the last time."""
    found = [name for name in at.registry.requests.operations() if name != "Token"]
    at.registry.requests.clear()
    return found


# What an event costs


def test_under_ignore_a_deletion_costs_nothing(at: Service) -> None:
    """Neither a call to the registry nor a look at the cloud, and nothing is changed."""
    refs = add(at)
    delete(at, *refs)
    operations(at)
    blind = Publisher(Policy(rules=(BucketRule("*", BucketPolicy()),)), _never, _never, now=at.clock)
    report = tell(at, deleted(at, refs[0]), function=blind)
    assert (Outcome.IGNORED, "the image was deleted; nothing is changed in HCP", 0) == (
        report.outcome,
        report.reason,
        report.calls,
    )
    assert [] == operations(at)
    assert ("v1", "ACTIVE") == status(at)


def _never(*_: object) -> Any:
    raise AssertionError("nobody is to be asked")


def test_an_image_that_no_bucket_lists_costs_one_search(at: Service) -> None:
    """A deletion event names no bucket; most images of an account are not ours."""
    ref = ImageRef(Platform.AWS, OWNER, "eu-west-1", "ami-other")
    report = tell(at, deleted(at, ref))
    assert (Outcome.IGNORED, 1) == (report.outcome, report.calls)
    assert ["SearchExternalArtifact"] == operations(at)


def test_what_is_disabled_and_not_there_is_not_waited_for(at: Service) -> None:
    """An image that is new may still appear; one that somebody has disabled was there."""
    ref = ImageRef(Platform.AWS, OWNER, "eu-west-1", "ami-other")
    event = ImageEvent(ref, Change.DISABLED, at.clock(), "event-1")
    assert Outcome.IGNORED == tell(at, event).outcome
    assert [] == operations(at)


@pytest.mark.parametrize("tags", [{"team": "a"}, {}])
def test_an_event_whose_tags_are_not_ours_costs_nothing(at: Service, tags: dict[str, str]) -> None:
    """Azure's notifications carry the tags."""
    ref = ImageRef(Platform.AZURE, "sub-1", "", "/subscriptions/sub-1/x")
    report = tell(at, deleted(at, ref, tags=tags))
    assert (Outcome.IGNORED, "carried no contract tag", []) == (report.outcome, report.reason, operations(at))


def test_an_image_that_is_there_costs_no_search(at: Service) -> None:
    """It was restored, or an image of the same name was built since; the event is old news."""
    refs = add(at)
    operations(at)
    report = tell(at, deleted(at, refs[0]))
    assert (Outcome.IGNORED, "the image is there; nothing is changed in HCP", []) == (
        report.outcome,
        report.reason,
        operations(at),
    )


def test_an_event_rests_until_the_search_can_be_trusted(at: Service) -> None:
    """What was registered a moment ago may not be found yet; the event is kept, and costs nothing until then."""
    refs = add(at)
    delete(at, *refs)
    operations(at)
    event = deleted(at, refs[0], age=0.5)
    report = tell(at, event)
    assert (Outcome.DEFERRED, 90.0, []) == (report.outcome, report.retry_after, operations(at))
    at.clock.forward(seconds=90)
    assert Outcome.REVOKED == tell(at, event).outcome


def test_an_event_from_the_future_does_not_rest_until_then(at: Service) -> None:
    """A forged time would keep it for ever; a clock may be wrong by minutes."""
    (ref,) = add(at)
    delete(at, ref)
    assert Outcome.DEFERRED == tell(at, deleted(at, ref, age=-59)).outcome
    assert Outcome.REVOKED == tell(at, deleted(at, ref, age=-61)).outcome


def test_a_search_that_lags_a_minute_finds_it(at: Service) -> None:
    """Under the switch of an image that is deleted seconds after it was registered."""
    with service(search_lag=60.0) as lagging:
        lagging.bucket()
        refs = add(lagging)
        delete(lagging, *refs)
        event = deleted(lagging, refs[0], age=0)
        assert Outcome.DEFERRED == tell(lagging, event).outcome
        lagging.clock.forward(minutes=2)
        assert Outcome.REVOKED == tell(lagging, event).outcome


# A complete version


def test_the_only_image_of_a_version_is_deleted(at: Service) -> None:
    """One search, one read, one write: the version alone is revoked, no channel moves, and the message names it."""
    at.registry.model.create_channel("web", {"name": "production"})
    refs = add(at)
    at.registry.model.update_channel(
        "web", "production", {"version_fingerprint": "a1", "update_mask": "versionFingerprint"}
    )
    delete(at, *refs)
    operations(at)
    report = tell(at, deleted(at, refs[0]))
    assert ["SearchExternalArtifact", "GetVersion", "UpdateVersion"] == operations(at)
    assert (
        Outcome.REVOKED,
        "version a1 (v1) of bucket web is revoked: every image of it is gone",
        "restore it in HCP Packer, if its images are fit for use",
        ("web", "a1", "v1", 3),
    ) == (
        report.outcome,
        report.reason,
        report.remedy,
        (report.bucket, report.fingerprint, report.version, report.calls),
    )
    version = at.registry.model.get_version("web", "a1")["version"]
    assert (
        "packer-publisher: every image of this version is gone: ami-web-eu-west-1 (eu-west-1)"
        == (version["revocation_message"])
    )
    channel = at.registry.model.get_channel("web", "production")["channel"]
    assert "a1" == channel["version"]["fingerprint"]
    again = tell(at, deleted(at, refs[0]))
    assert (Outcome.UNCHANGED, "version a1 (v1) of bucket web is revoked already") == (again.outcome, again.reason)


def test_what_was_built_from_it_stays(at: Service) -> None:
    """A descendant that is in use does not break because its base image is gone."""
    at.bucket("api")
    refs = add(at)
    source = {"hcp-packer-source-image": refs[0].identifier, "hcp-packer-expects": "aws", "hcp-packer-bucket": "api"}
    (child,) = at.world.add(Platform.AWS, OWNER, "api", ["eu-west-1"], {**TAGS, **source})
    report, _ = at.deliver(at.function(), child)
    assert (Outcome.COMPLETED, "web v1") == (report.outcome, report.parent)
    delete(at, *refs)
    assert Outcome.REVOKED == tell(at, deleted(at, refs[0])).outcome
    assert "VERSION_ACTIVE" == at.registry.model.get_version("api", "a1")["version"]["status"]


def test_while_an_image_is_there_its_version_stays(at: Service) -> None:
    """One region of two is deregistered: what is left can still be used."""
    refs = add(at, regions=REGIONS)
    delete(at, refs[0])
    line = Line()
    report = tell(at, deleted(at, refs[0]), line=line)
    assert (Outcome.UNCHANGED, []) == (report.outcome, line.messages)
    assert report.reason.endswith("ami-web-us-east-1 (us-east-1) is there")
    assert ("v1", "ACTIVE") == status(at)


def test_the_rest_is_looked_for_twice_ten_minutes_apart(at: Service) -> None:
    """The second look is a message on the function's own queue; kept until it is due, it costs nothing."""
    refs = add(at, regions=REGIONS)
    at.clock.forward(hours=2)
    delete(at, *refs)
    line = Line()
    report = tell(at, deleted(at, refs[0]), line=line)
    assert (
        Outcome.WAITING,
        "nothing that version a1 (v1) of bucket web lists is to be found; it is looked for again before it is revoked",
    ) == (report.outcome, report.reason)
    assert ("v1", "ACTIVE") == status(at)
    (order,) = line.orders()
    assert {(ref.region, ref.identifier) for ref in refs} == {(i.ref.region, i.ref.identifier) for i in order.images}
    operations(at)
    at.clock.forward(minutes=9)
    early = look_again(at, order)
    assert (Outcome.DEFERRED, True, []) == (early.outcome, 55 < (early.retry_after or 0) <= 60, operations(at))
    at.clock.forward(minutes=1)
    assert Outcome.REVOKED == look_again(at, order).outcome
    assert ["GetVersion", "UpdateVersion"] == operations(at)
    assert ("v1", "REVOKED") == status(at)
    again = look_again(at, order)
    assert (Outcome.UNCHANGED, ["GetVersion"]) == (again.outcome, operations(at))


def test_an_image_that_is_back_at_the_second_look_keeps_its_version(at: Service) -> None:
    """Everything is looked at again from scratch."""
    refs = add(at, regions=REGIONS)
    at.clock.forward(hours=2)
    lost = {ref: at.world.images[ref] for ref in refs}
    delete(at, *refs)
    line = Line()
    tell(at, deleted(at, refs[0]), line=line)
    at.clock.forward(minutes=11)
    at.world.images[refs[1]] = lost[refs[1]]
    report = look_again(at, line.orders()[0])
    assert (Outcome.UNCHANGED, ("v1", "ACTIVE")) == (report.outcome, status(at))


def test_the_configuration_counts_at_the_second_look_too(at: Service) -> None:
    """Somebody has thought better of it."""
    refs = add(at, regions=REGIONS)
    at.clock.forward(hours=2)
    delete(at, *refs)
    line = Line()
    tell(at, deleted(at, refs[0]), line=line)
    at.clock.forward(minutes=11)
    assert Outcome.IGNORED == look_again(at, line.orders()[0], BucketPolicy()).outcome
    assert ("v1", "ACTIVE") == status(at)


def test_images_that_are_too_young_to_be_missed_keep_the_event(at: Service) -> None:
    """Until they have been registered for an hour."""
    refs = add(at, regions=REGIONS)
    at.clock.forward(minutes=30)
    delete(at, *refs)
    line = Line()
    report = tell(at, deleted(at, refs[0]), line=line)
    assert (Outcome.DEFERRED, []) == (report.outcome, line.messages)
    assert 29 * 60 <= (report.retry_after or 0) <= 30 * 60
    at.clock.forward(minutes=31)
    assert Outcome.WAITING == tell(at, deleted(at, refs[0]), line=line).outcome
    assert 1 == len(line.messages)


def test_without_a_queue_nothing_is_revoked_on_one_look_and_it_is_said(at: Service) -> None:
    """So is a queue that takes nothing: then the event is kept."""
    refs = add(at, regions=REGIONS)
    at.clock.forward(hours=2)
    delete(at, *refs)
    report = tell(at, deleted(at, refs[0]))
    assert report.reason.endswith(", which takes a queue, and there is none")
    assert "name the function's own queue in PUBLISHER_QUEUE, or revoke the version in HCP Packer" == report.remedy
    kept = tell(at, deleted(at, refs[0]), line=Line(broken=True))
    assert (Outcome.DEFERRED, 30, True) == (kept.outcome, kept.retry_after, kept.reason.endswith("the queue is gone"))
    assert ("v1", "ACTIVE") == status(at)


def test_only_buckets_that_say_so_are_acted_on(at: Service) -> None:
    """A retagged image is registered in two versions; each bucket's own rule counts."""
    at.bucket("api")
    refs = add(at)
    at.world.tag(refs[0], {**at.world.images[refs[0]].tags, "hcp-packer-bucket": "api"})
    at.deliver(at.function(), refs[0])
    delete(at, *refs)
    rules = (BucketRule("api", BucketPolicy("api")), BucketRule("web", BucketPolicy("web", on_delete="revoke")))
    opened = at.function()
    function = Publisher(Policy(rules=rules), lambda: opened.registry, opened.cloud, now=at.clock)
    report = tell(at, deleted(at, refs[0]), function=function)
    assert (Outcome.REVOKED, "web", ()) == (report.outcome, report.bucket, report.notes)
    other = at.registry.model.get_version("api", "a1")["version"]
    assert "VERSION_ACTIVE" == other["status"]


def test_each_version_that_lists_a_retagged_image_is_judged(at: Service) -> None:
    """The report is the one that tells most, with a note on each other."""
    refs = add(at)
    at.world.tag(
        refs[0], {**at.world.images[refs[0]].tags, "hcp-packer-fingerprint": "b2", "hcp-packer-expects": "aws gce"}
    )
    report, _ = at.deliver(at.function(), refs[0])
    assert (Outcome.REGISTERED, ()) == (report.outcome, report.notes)
    assert (("v1", "ACTIVE"), "v0") == (status(at), status(at, "b2")[0])
    delete(at, *refs)
    told = tell(at, deleted(at, refs[0]))
    assert (Outcome.REVOKED, "a1") == (told.outcome, told.fingerprint)
    (note,) = told.notes
    assert note.startswith("waiting in web/b2: version b2 of bucket web is not finished, because its build amazon-ebs")


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


class Sick(WorldCloud):
    """A cloud that shows what it scans, and is in trouble when it is asked for the first AMI."""

    def __init__(self, at: Service, trouble: Trouble) -> None:
        super().__init__(at.world, Platform.AWS)
        self._trouble = trouble

    def describe(self, ref: ImageRef, deadline: Deadline) -> Image | None:
        if ref.region == "eu-west-1":
            raise self._trouble
        return super().describe(ref, deadline)


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


# Who may say so


class Foreign(WorldCloud):
    """A cloud of another account."""

    def speaks_for(self, owner_id: str, deadline: Deadline) -> bool:
        return owner_id == "222222222222"


def test_nobody_judges_the_images_of_another_account(at: Service) -> None:
    """An event or a message that is forged, or strayed: NotFound from a stranger is no evidence."""
    refs = add(at, regions=REGIONS)
    at.clock.forward(hours=2)
    delete(at, *refs)
    line = Line()
    tell(at, deleted(at, refs[0]), line=line)
    at.clock.forward(minutes=11)
    operations(at)
    stranger = seeing(at, Foreign(at.world, Platform.AWS))
    by_event = tell(at, deleted(at, refs[0]), function=stranger)
    by_message = stranger.departures.look_again(line.orders()[0], Deadline.after(60), line)
    for report in (by_event, by_message):
        assert (Outcome.IGNORED, "belongs to aws:111111111111, whose own function judges it") == (
            report.outcome,
            report.reason,
        )
    assert ([], ("v1", "ACTIVE")) == (operations(at), status(at))


def test_a_message_that_tells_of_a_look_to_come_is_rejected(at: Service) -> None:
    """It would else stay on the queue until its day has come."""
    refs = add(at)
    line = Line()
    at.clock.forward(hours=2)
    delete(at, *refs)
    order = LookAgainOrder("web", "a1", at.clock() + timedelta(hours=1), _listed(refs))
    report = look_again(at, order, line=line)
    assert (Outcome.REJECTED, "the message tells of a first look that is still to come") == (
        report.outcome,
        report.reason,
    )


def test_a_forged_message_shortens_two_looks_to_one_and_no_more(at: Service) -> None:
    """It takes the message's word for the first look; what is there, young, or another's stays untouched."""
    refs = add(at, regions=REGIONS)
    order = LookAgainOrder("web", "a1", at.clock() - timedelta(hours=1), _listed(refs))
    assert Outcome.UNCHANGED == look_again(at, order).outcome
    images = {ref: at.world.images[ref] for ref in refs}
    delete(at, *refs)
    assert Outcome.DEFERRED == look_again(at, order).outcome  # too young
    at.world.images |= images
    at.clock.forward(hours=2)
    delete(at, *refs)
    assert Outcome.REVOKED == look_again(at, order).outcome


def _listed(refs: Sequence[ImageRef]) -> Any:
    from packer_publisher.departure import Listed

    return tuple(map(Listed, refs))


# Trouble


@pytest.mark.parametrize(
    ("trouble", "outcome", "reason"),
    [
        (Forbidden("no"), Outcome.UNCHANGED, "ami-web-eu-west-1 (eu-west-1) cannot be looked for"),
        (CredentialsTrouble("the keys have expired"), Outcome.DEFERRED, "the keys have expired"),
        (CloudTrouble("eu-west-1 does not answer"), Outcome.DEFERRED, "eu-west-1 does not answer"),
    ],
    ids=["denied", "expired", "silent"],
)
def test_a_region_that_tells_nothing_keeps_its_version(
    at: Service, trouble: Trouble, outcome: Outcome, reason: str
) -> None:
    """One that denies access is not looked at again; what may pass by itself keeps the event, or the message."""
    refs = add(at, regions=REGIONS)
    at.clock.forward(hours=2)
    delete(at, refs[1])
    function = seeing(at, Sick(at, trouble))
    report = tell(at, deleted(at, refs[1]), line=Line(), function=function)
    assert (outcome, True) == (report.outcome, report.reason.endswith(reason))
    order = LookAgainOrder("web", "a1", at.clock() - timedelta(hours=1), _listed(refs))
    second = function.departures.look_again(order, Deadline.after(60), None)
    assert Outcome.DEFERRED == second.outcome  # nothing was seen before: it may be the credentials themselves
    assert ("v1", "ACTIVE") == status(at)


@pytest.mark.parametrize("operation", ["UpdateVersion", "UpdateBuild"])
@pytest.mark.parametrize("happened", [True, False], ids=["carried out", "not carried out"])
def test_a_lost_reply_is_read_again_and_never_written_blindly(at: Service, operation: str, happened: bool) -> None:
    """Whether the write happened is what the next read shows."""
    refs = add(at, expects="aws" if operation == "UpdateVersion" else "aws azure")
    delete(at, *refs)
    operations(at)
    fault = LostReply() if happened else None
    if fault is not None:
        at.registry.faults.add(operation, fault, on=1)
    else:
        at.registry.faults.answer(operation, 503, on=1)
    report = tell(at, deleted(at, refs[0]))
    assert (Outcome.REVOKED if operation == "UpdateVersion" else Outcome.WAITING) == report.outcome
    once = ["SearchExternalArtifact", "GetVersion", operation, "GetVersion"]
    assert (once if happened else [*once, operation]) == operations(at)


def test_a_refusal_that_does_not_end_is_left_to_a_retry(at: Service) -> None:
    """And one of the content is the image's end: it would be refused for ever."""
    refs = add(at)
    delete(at, *refs)
    refusal = '{"code": 9, "message": "not now", "details": []}'
    for number in range(7):
        at.registry.faults.answer("UpdateVersion", 400, body=refusal, on=number + 1)
    report = tell(at, deleted(at, refs[0]))
    assert Outcome.DEFERRED == report.outcome
    assert "HCP Packer keeps refusing to change version a1 (v1) of bucket web" in report.reason
    at.registry.faults.answer("UpdateVersion", 400, body=refusal.replace("9", "3"), on=1)
    assert Outcome.REJECTED == tell(at, deleted(at, refs[0])).outcome


def test_no_search_no_judgement(at: Service) -> None:
    """HCP is in trouble, or denies the search: the event is kept."""
    refs = add(at)
    delete(at, *refs)
    at.registry.faults.answer("SearchExternalArtifact", 403, body='{"code": 7, "message": "no", "details": []}', on=1)
    assert Outcome.DEFERRED == tell(at, deleted(at, refs[0])).outcome
    assert ("v1", "ACTIVE") == status(at)


@pytest.mark.parametrize("switches", list(Switches.variations()), ids=lambda switches: str(switches.deviations()))
def test_it_ends_the_same_under_every_setting_of_what_is_not_known(switches: Switches) -> None:
    """A complete version is revoked, an open one is held, whatever HCP may turn out to do."""
    with service(**switches.deviations()) as at:
        at.bucket()
        refs = add(at, regions=REGIONS)
        at.clock.forward(hours=2)
        assert "v1" == status(at)[0]
        delete(at, *refs)
        line = Line()
        assert Outcome.WAITING == tell(at, deleted(at, refs[0]), line=line).outcome
        at.clock.forward(minutes=11)
        assert Outcome.REVOKED == look_again(at, line.orders()[0]).outcome
        tags = {**TAGS, "hcp-packer-fingerprint": "b2", "hcp-packer-expects": "aws azure"}
        (ref,) = at.world.add(Platform.AWS, OWNER, "next", ["eu-west-1"], tags)
        at.deliver(at.function(), ref)
        at.clock.forward(minutes=3)
        delete(at, ref)
        assert Outcome.WAITING == tell(at, deleted(at, ref, age=3)).outcome
        assert (("v1", "REVOKED"), "v0") == (status(at), status(at, "b2")[0])
