"""Images that are gone from a complete version, over HTTP: what an event costs, the second look, what is revoked."""

from __future__ import annotations

from typing import Any

import pytest

from packer_publisher.errors import Rejected
from packer_publisher.image import Change, ImageEvent, ImageRef, Platform
from packer_publisher.policy import BucketPolicy, BucketRule, Policy
from packer_publisher.publish import Publisher
from packer_publisher.report import Outcome
from tests.departing import (
    OWNER,
    REGIONS,
    TAGS,
    Line,
    Sick,
    add,
    at,
    delete,
    deleted,
    look_again,
    operations,
    seeing,
    status,
    tell,
)
from tests.publishing import Service, service

__all__ = ["at"]

# What becomes of a version is told at once; tests/proof/machine.py lets the same happen while answers lag behind.
pytestmark = pytest.mark.switches(completion_lag=0.0, read_after_write="fresh", search_lag=0.0)


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


def test_an_event_of_what_can_be_nowhere_is_rejected(at: Service) -> None:
    """A forged one, of a region that its cloud does not have: nobody says of such an image that it is there."""
    refs = add(at)
    operations(at)
    nowhere = Sick(at, Rejected("AWS has no region eu-west-1", remedy="look at its name"))
    report = tell(at, deleted(at, refs[0]), function=seeing(at, nowhere))
    assert (Outcome.REJECTED, "AWS has no region eu-west-1", "look at its name", []) == (
        report.outcome, report.reason, report.remedy, operations(at),
    )  # fmt: skip


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
