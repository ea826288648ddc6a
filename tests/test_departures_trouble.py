"""Departures that somebody else tells of, or that meet trouble, over HTTP; and every switch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from packer_publisher.deadline import Deadline
from packer_publisher.errors import CloudTrouble, CredentialsTrouble, Forbidden, Trouble
from packer_publisher.image import ImageRef, Platform
from packer_publisher.local.registry_faults import LostReply
from packer_publisher.local.registry_switches import Switches
from packer_publisher.messages import LookAgainOrder
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
from tests.simulation.world import WorldCloud

__all__ = ["at"]

# What becomes of a version is told at once; tests/proof/machine.py lets the same happen while answers lag behind.
pytestmark = pytest.mark.switches(completion_lag=0.0, read_after_write="fresh", search_lag=0.0)


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
