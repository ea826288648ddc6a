"""Bad input gets a clear error, and nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from packer_publisher.deadline import Deadline
from packer_publisher.image import ImageState, Platform
from packer_publisher.policy import BucketPolicy, Policy
from packer_publisher.publish import Publisher
from packer_publisher.registry import HCPPacker
from packer_publisher.report import Outcome, Report
from tests.publishing import Service, service
from tests.simulation.world import cloud_of, event
from tests.switches import catch_up, completing, fresh

GOOD = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "a1"}


@pytest.fixture(scope="module")
def at() -> Iterator[Service]:
    """Serve one registry with the bucket ``web``."""
    with service() as found:
        found.bucket()
        yield found


def writes(at: Service) -> list[str]:
    """Return the writes that reached the registry."""
    return [name for name in at.registry.requests.operations() if not name.startswith("Get")]


def deliver(at: Service, tags: Mapping[str, str], rules: BucketPolicy | None = None) -> Report:
    """Deliver the event of an Azure image with these tags and return the report; nothing may have been written."""
    at.world.images.clear()
    (ref,) = at.world.add(Platform.AZURE, "sub-1", "bad", ["westeurope"], dict(tags))
    before = writes(at)
    report, _ = at.deliver(at.function(rules), ref)
    assert before == writes(at)
    return report


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"hcp-packer-bucket": "web"}, "tag hcp-packer-fingerprint is missing"),
        ({"hcp-packer-fingerprint": "a1"}, "tag hcp-packer-bucket is missing"),
        ({**GOOD, "hcp-packer-bucket": "a"}, "hcp-packer-bucket 'a' is no bucket name"),
        ({**GOOD, "hcp-packer-bucket": "../../organizations"}, "is no bucket name"),
        ({**GOOD, "hcp-packer-fingerprint": "x" * 41}, "is no version fingerprint"),
        ({**GOOD, "hcp-packer-fingerprint": "a1/builds"}, "is no version fingerprint"),
        ({**GOOD, "hcp-packer-expects": "aws;azure"}, "is no component type"),
        ({**GOOD, "hcp-packer-expects": ",,"}, "is no readable list"),
        ({**GOOD, "hcp-packer-expects": "a\nb"}, "contains control characters: a\\nb"),
        ({**GOOD, "hcp-packer-source-image": "x" * 3000}, "is 3000 characters long"),
        ({**GOOD, **{f"tag{n}": "x" for n in range(200)}}, "carries 202 tags, more than 128"),
        ({**GOOD, "hcp-packer-label-image-owner": "aws:1"}, "which this program keeps for itself"),
    ],
)
def test_broken_tags_are_rejected_with_the_reason(at: Service, tags: Mapping[str, str], reason: str) -> None:
    """The report names the image and what is wrong; the registry is not even asked."""
    before = at.registry.requests.count()
    report = deliver(at, tags)
    assert Outcome.REJECTED == report.outcome
    assert reason in report.reason
    assert "/images/bad" in report.reason
    assert before == at.registry.requests.count()


def test_an_image_without_contract_tags_is_ignored(at: Service) -> None:
    """It is somebody else's; the registry is not asked."""
    assert Outcome.IGNORED == deliver(at, {"Name": "bad"}).outcome


def test_a_bucket_that_is_not_allowed_is_rejected_with_the_setting(at: Service) -> None:
    """No rule, no bucket."""
    at.world.images.clear()
    (ref,) = at.world.add(Platform.AZURE, "sub-1", "bad", ["westeurope"], GOOD)
    environ = at.registry.environment()
    publisher = Publisher(Policy(), lambda: HCPPacker.from_environment(environ), cloud_of(at.world))
    report = publisher.on_event(event(ref), Deadline.after(10))
    assert Outcome.REJECTED == report.outcome
    assert "bucket web is not allowed by this deployment's configuration" in report.reason
    assert "PUBLISHER_CONFIG" in report.remedy


def test_a_missing_bucket_is_rejected_with_the_setting(at: Service) -> None:
    """create_buckets: true must be written out; the refused CreateVersion has changed nothing."""
    at.world.images.clear()
    tags = {**GOOD, "hcp-packer-bucket": "nowhere"}
    (ref,) = at.world.add(Platform.AZURE, "sub-1", "bad", ["westeurope"], tags)
    report, _ = at.deliver(at.function(), ref)
    assert Outcome.REJECTED == report.outcome
    assert "bucket nowhere does not exist in HCP Packer" == report.reason
    assert "create it, or set create_buckets: true in the configuration" == report.remedy
    assert "nowhere" not in {bucket["name"] for bucket in fresh(at.registry.model).list_buckets()["buckets"]}


def test_a_sealed_version_is_late_with_the_line_that_would_have_helped(at: Service) -> None:
    """What comes after completion is never added."""
    tags = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "sealed"}
    (first,) = at.world.add(Platform.GCE, "p-1", "first", ["europe-west1-b"], {**tags, "hcp-packer-expects": "gce"})
    report, _ = at.deliver(at.function(), first)
    assert completing() == report.outcome
    at.lag()
    late = deliver(at, tags)
    assert Outcome.LATE == late.outcome
    assert "version sealed (v1) of bucket web was complete before" in late.reason
    assert 'hcp-packer-expects = "azure gce"' in late.remedy


def test_a_version_of_another_template_type_is_rejected(at: Service) -> None:
    """Packer's own runs could not go on with it."""
    at.registry.model.create_version("web", {"fingerprint": "json", "template_type": "JSON"})
    catch_up(at.registry.model, "web", "json")
    tags = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "json"}
    report = deliver(at, tags)
    assert Outcome.REJECTED == report.outcome
    assert "version json of bucket web was begun with template type JSON, not HCL2" == report.reason
    assert "set template_type: JSON for this bucket" in report.remedy


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (ImageState.PENDING, Outcome.DEFERRED),
        (ImageState.FAILED, Outcome.REJECTED),
        (ImageState.DISABLED, Outcome.REJECTED),
        (ImageState.GONE, Outcome.IGNORED),
    ],
)
def test_an_image_that_cannot_be_used_is_not_recorded(at: Service, state: ImageState, outcome: Outcome) -> None:
    """A pending one is asked about again, the others never become usable by waiting."""
    at.world.images.clear()
    (ref,) = at.world.add(Platform.AZURE, "sub-1", "bad", ["westeurope"], GOOD)
    at.world.images[ref] = replace(at.world.images[ref], state=state)
    before = writes(at)
    report, calls = at.deliver(at.function(), ref)
    assert (outcome, 0) == (report.outcome, calls)
    assert before == writes(at)


def test_an_image_of_another_account_is_left_to_its_own_function(at: Service) -> None:
    """A shared image shows up in events and lists of accounts that do not own it."""
    at.world.images.clear()
    (ref,) = at.world.add(Platform.AZURE, "sub-1", "bad", ["westeurope"], GOOD)
    at.world.images[replace(ref, owner_id="sub-2")] = at.world.images[ref]
    report, calls = at.deliver(at.function(), replace(ref, owner_id="sub-2"))
    assert (Outcome.IGNORED, 0) == (report.outcome, calls)
    assert "belongs to azure:sub-1, whose own function records it" == report.reason


def test_an_image_that_its_cloud_does_not_know_is_asked_about_again_for_an_hour(at: Service) -> None:
    """EC2 is eventually consistent; after an hour the image is gone, and nothing was registered."""
    at.world.images.clear()
    (ref,) = at.world.add(Platform.AZURE, "sub-1", "bad", ["westeurope"], GOOD)
    at.world.images.clear()
    at_event = event(ref, at=at.clock())
    function = at.function()
    assert Outcome.DEFERRED == function.on_event(at_event, Deadline.after(10)).outcome
    at.clock.forward(minutes=61)
    assert Outcome.IGNORED == function.on_event(at_event, Deadline.after(10)).outcome


def test_an_event_from_the_future_keeps_nothing_alive(at: Service) -> None:
    """An image that nobody knows would be asked for until then; a clock may be wrong by minutes."""
    at.world.images.clear()
    (ref,) = at.world.add(Platform.AZURE, "sub-1", "bad", ["westeurope"], GOOD)
    at.world.images.clear()
    function = at.function()
    soon, later = event(ref, at=at.clock() + timedelta(minutes=5)), event(ref, at=at.clock() + timedelta(minutes=61))
    assert Outcome.DEFERRED == function.on_event(soon, Deadline.after(10)).outcome
    assert Outcome.IGNORED == function.on_event(later, Deadline.after(10)).outcome


@pytest.mark.parametrize("secret", ["wrong", ""])
def test_wrong_credentials_are_trouble_that_keeps_the_event(at: Service, secret: str) -> None:
    """People mend credentials; the event is tried again, and the secret is in no text."""
    at.world.images.clear()
    (ref,) = at.world.add(Platform.AZURE, "sub-1", "bad", ["westeurope"], GOOD)
    function = at.function(HCP_CLIENT_SECRET=secret or "another-wrong-one")
    report = function.on_event(event(ref, at=at.clock()), Deadline.after(10))
    assert Outcome.DEFERRED == report.outcome
    assert "another-wrong-one" not in str(report)


@pytest.mark.parametrize("answer", ["400/9", "403/7", "404/5"])
def test_an_inactive_registry_is_trouble_that_keeps_the_event(answer: Any) -> None:
    """It is activated again when somebody pays or clicks; what HCP answers until then is not documented."""
    with service(inactive_registry=answer) as at:
        at.bucket()
        at.registry.model.delete_registry()
        for rules in (BucketPolicy(), BucketPolicy(create_bucket=True)):
            (ref,) = at.world.add(Platform.AZURE, "sub-1", "bad", ["westeurope"], GOOD)
            report, _ = at.deliver(at.function(rules), ref)
            assert Outcome.DEFERRED == report.outcome, report


def test_no_credentials_at_all_are_trouble_that_keeps_the_event(at: Service) -> None:
    """Whoever forgot them in the deployment finds the events still there."""
    (ref,) = at.world.add(Platform.AZURE, "sub-1", "bad", ["westeurope"], GOOD)
    function = at.function(HCP_CLIENT_ID="", HCP_CLIENT_SECRET="", HOME="/nonexistent")
    report, calls = at.deliver(function, ref)
    assert (Outcome.DEFERRED, 0) == (report.outcome, calls)
    assert "There are no credentials for HCP." == report.reason
    assert "HCP_CLIENT_ID" in report.remedy
