"""Channels: set once a version is complete, only where configuration allows it, and never backwards."""

from __future__ import annotations

import pytest

from packer_publisher.channels import channel_notes
from packer_publisher.converge import Progress, next_request, received
from packer_publisher.deadline import Deadline
from packer_publisher.image import ImageRef, Platform
from packer_publisher.placement import Item, place
from packer_publisher.policy import BucketPolicy, BucketRule, Policy
from packer_publisher.publish import Publisher
from packer_publisher.report import Outcome, Report
from packer_publisher.snapshot import Build, BuildStatus, Channel, Version
from tests.publishing import Service, service
from tests.simulation.world import event
from tests.switches import completing

RULES = BucketPolicy(channels=("staging", "beta"), expects=("azure",))


def image(at: Service, fingerprint: str, channels: str = "staging", name: str = "") -> ImageRef:
    """Add an image that asks for channels."""
    tags = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": fingerprint, "hcp-packer-channels": channels}
    (ref,) = at.world.add(Platform.AZURE, "sub-1", name or f"web-{fingerprint}", ["westeurope"], tags)
    return ref


def deliver(at: Service, function: Publisher, ref: ImageRef) -> Report:
    return function.on_event(event(ref, at=at.clock()), Deadline.after(30))


def complete(at: Service, function: Publisher, ref: ImageRef) -> Report:
    """Deliver the image that completes a version; where completion lags, its event comes again when it is there."""
    report = deliver(at, function, ref)
    assert completing() == report.outcome
    if report.outcome is Outcome.REGISTERED:
        at.lag()
        report = deliver(at, function, ref)
        assert Outcome.UNCHANGED == report.outcome
    return report


def points_to(at: Service, channel: str) -> str:
    """Return the name of the version that a channel points to, "" for none."""
    found = at.registry.model.get_channel("web", channel)["channel"]["version"]
    return str(found["name"]) if found else ""


def test_a_channel_is_set_when_the_version_completes() -> None:
    """By the same handler; a channel that nobody created is told, and created only where configuration says so."""
    with service() as at:
        at.bucket()
        at.registry.model.create_channel("web", {"name": "staging"})
        report = complete(at, at.function(RULES), image(at, "a1", "staging beta"))
        assert "v1" == points_to(at, "staging")
        missing = "channel beta does not exist; create it, or set create_channels: true for this bucket"
        assert (missing,) == report.notes
        creating = BucketPolicy(channels=RULES.channels, expects=RULES.expects, create_channels=True)
        assert () == complete(at, at.function(creating), image(at, "a2", "beta")).notes
        assert ("v1", "v2") == (points_to(at, "staging"), points_to(at, "beta"))


def test_a_channel_may_be_asked_for_after_completion() -> None:
    """The next event of the image (its tags changed) sets it; one more changes nothing."""
    with service() as at:
        at.bucket()
        at.registry.model.create_channel("web", {"name": "staging"})
        function = at.function(RULES)
        ref = image(at, "a1", "")
        complete(at, function, ref)
        assert not points_to(at, "staging")
        image(at, "a1", "staging")
        assert Outcome.UNCHANGED == deliver(at, function, ref).outcome
        assert "v1" == points_to(at, "staging")
        before = at.registry.requests.count()
        assert Outcome.UNCHANGED == deliver(at, function, ref).outcome
        assert ["GetVersion", "GetChannel"] == at.registry.requests.operations()[before:]


def test_a_channel_never_goes_back_to_an_older_version() -> None:
    """An event that is delivered again days later leaves the newer version where it is, and says so."""
    with service() as at:
        at.bucket()
        at.registry.model.create_channel("web", {"name": "staging"})
        function = at.function(RULES)
        old, new = image(at, "a1"), image(at, "a2")
        complete(at, function, old)
        complete(at, function, new)
        report = deliver(at, function, old)
        assert "v2" == points_to(at, "staging")
        assert ("channel staging points to the newer v2 already",) == report.notes


def test_every_version_may_be_assigned_by_configuration() -> None:
    """assign_channels needs no tag."""
    with service() as at:
        at.bucket()
        at.registry.model.create_channel("web", {"name": "nightly"})
        rules = BucketPolicy(assign_channels=("nightly",), expects=("azure",))
        complete(at, at.function(rules), image(at, "a1", ""))
        assert "v1" == points_to(at, "nightly")


def test_a_channel_that_configuration_does_not_allow_is_never_touched() -> None:
    """A tag alone moves nothing."""
    with service() as at:
        at.bucket()
        at.registry.model.create_channel("web", {"name": "production"})
        report = complete(at, at.function(RULES), image(at, "a1", "production"))
        assert ("channel production is not allowed for this bucket by the configuration",) == report.notes
        assert not points_to(at, "production")


@pytest.mark.switches(completion_lag=0.0)
def test_a_handler_that_dies_after_done_loses_no_channel() -> None:
    """The event comes again, finds the version complete, and sets the channel."""
    with service() as at:
        at.bucket()
        at.registry.model.create_channel("web", {"name": "staging"})
        ref = image(at, "a1")
        at.registry.faults.reset("GetChannel", times=20)
        deferred = at.function(RULES).on_event(event(ref, at=at.clock()), Deadline.after(1))
        assert Outcome.DEFERRED == deferred.outcome
        assert not points_to(at, "staging")
        while at.registry.faults.left():
            at.registry.faults.take("GetChannel")
        assert Outcome.UNCHANGED == deliver(at, at.function(RULES), ref).outcome
        assert "v1" == points_to(at, "staging")


@pytest.mark.parametrize("status", [400, 404])
def test_a_channel_that_refuses_is_told_and_the_image_stays_registered(status: int) -> None:
    """No channel undoes a registration."""
    with service() as at:
        at.bucket()
        at.registry.model.create_channel("web", {"name": "staging"})
        at.registry.faults.answer("UpdateChannel", status, body='{"code": 9, "message": "not now"}')
        report = complete(at, at.function(RULES), image(at, "a1"))
        (note,) = report.notes
        assert note.startswith("channel staging was not set: ")
        assert "not now" in note
        at.registry.faults.assert_consumed()


def test_a_restricted_channel_is_told_and_the_image_stays_registered() -> None:
    """403 on a channel is no trouble of the image, which would be delivered again for days."""
    with service() as at:
        at.bucket()
        at.registry.faults.answer("GetChannel", 403, body='{"code": 7, "message": "restricted"}')
        report = complete(at, at.function(RULES), image(at, "a1"))
        (note,) = report.notes
        assert note.startswith("channel staging was not set: ")
        at.registry.faults.assert_consumed()


def test_a_channel_that_a_read_does_not_show_is_set_once() -> None:
    """Reads may lag behind writes; the sweep looks again, this handler does not go round in circles."""
    with service() as at:
        ref = image(at, "a1")
        subject = at.world.images[ref]
        placement = place(subject, Policy(rules=(BucketRule("*", RULES),)))
        assert placement is not None
        build = Build("b", "azure-arm", BuildStatus.DONE, "azure", frozenset(subject.artifacts))
        sealed = Version("web", "a1", exists=True, name="v1", builds=(build,))
        progress = Progress((Item(subject, placement),), version=sealed)
        calls: list[str] = []
        while len(calls) < 50:
            progress, call = next_request(progress)
            if call is None:
                break
            calls.append(type(call).__name__)
            progress = received(progress, call, Channel("staging"))  # always as if it pointed to nothing
    assert ["ReadChannel", "AssignChannel", "ReadChannel"] == calls
    assert progress.version is not None
    (note,) = channel_notes([placement], progress.version)
    assert "a read since does not show it; the sweep looks again" in note
