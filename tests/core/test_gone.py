"""What a build that lists a gone image does to its version, on snapshots made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from packer_publisher.decision import Completion, abandon_calls, next_completion_call
from packer_publisher.errors import Rejected
from packer_publisher.expectation import Quirks, missing
from packer_publisher.image import Platform
from packer_publisher.labels import ABANDONED, GONE, RESERVED_LABELS, gone_from, labels_with_gone
from packer_publisher.overdue import overdue
from packer_publisher.placement import Item
from packer_publisher.plan import next_call
from packer_publisher.report import Outcome
from packer_publisher.snapshot import Build, BuildStatus, Latest
from packer_publisher.steps import SetLabels, SetStatus
from packer_publisher.verdict import judge
from tests.core.snapshots import QUIRKS, T0, WEB, build, item, version

AWS, AZURE = item(), item(Platform.AZURE)


def gone(subject: Item = AWS, status: BuildStatus = BuildStatus.UNSET, *, names: tuple[str, ...] = ()) -> Build:
    """Return a whole build whose images (by default its own) are noted to be gone."""
    whole = build(subject, status)
    return replace(whole, labels=labels_with_gone(whole, names or (subject.image.ref.identifier,)))


@pytest.mark.parametrize(
    ("expects", "lacking"),
    [
        ("", ("amazon-ebs",)),
        ("aws azure", ("amazon-ebs", "aws")),
        ("amazon-ebs azure-arm", ("amazon-ebs",)),
        ("aws azure-arm", ("amazon-ebs", "aws")),
    ],
)
@pytest.mark.parametrize("running_first", [False, True])
def test_nothing_is_finished_while_a_build_lists_what_is_gone(
    expects: str, lacking: tuple[str, ...], running_first: bool
) -> None:
    """Neither the build itself, nor the version by way of the others, however it was declared and however long."""
    azure = item(Platform.AZURE, expects)
    at = version(gone(), build(azure), read_at=T0 + timedelta(days=30), latest=Latest())
    assert lacking == missing([azure], at)
    call = next_call([azure], at, Quirks(running_first=running_first))
    assert call is None or (isinstance(call, SetStatus) and call.component_type == "azure-arm")
    if isinstance(call, SetStatus):  # declared by component type: each on its own, and the one that is gone holds it
        done = replace(at.builds[1], status=BuildStatus.DONE)
        assert next_call([azure], version(at.builds[0], done, read_at=at.read_at, latest=Latest()), QUIRKS) is None


def test_whoever_asks_is_told_what_is_gone_and_how_to_go_on() -> None:
    """Also the sibling's owner, whose own image is there; and the version is overdue at once."""
    azure = item(Platform.AZURE, "aws azure")
    at = version(gone(), build(azure))
    (verdict,) = judge([azure], at, wrote=False)
    assert (
        Outcome.WAITING,
        "version a1 of bucket web is not finished, because its build amazon-ebs lists what is gone: aws-image",
        "build it again with a new fingerprint, or finish it as it is: "
        "packer-publisher versions complete web a1 --without amazon-ebs --without aws",
        ("amazon-ebs", "aws"),
    ) == (verdict.outcome, verdict.reason, verdict.remedy, verdict.waits_for)
    late = overdue([azure], at, [Outcome.WAITING])
    assert late is not None
    assert (verdict.reason, timedelta(minutes=1)) == (late.reason, late.waiting)


def test_an_image_that_its_cloud_shows_again_takes_the_note_back() -> None:
    """It was restored from the recycle bin, or is enabled again; the build then goes on as if nothing had been."""
    at = version(gone(), read_at=T0 + timedelta(days=1), latest=Latest())
    call = next_call([AWS], at, QUIRKS)
    assert isinstance(call, SetLabels)
    assert {GONE: "", "image-owner": "aws:111111111111"}.items() <= dict(call.labels).items()
    healed = replace(at.builds[0], labels=call.labels)
    assert frozenset() == gone_from(healed)
    assert isinstance(next_call([AWS], replace(at, builds=(healed,)), QUIRKS), SetStatus)


def test_only_the_image_itself_takes_its_note_back() -> None:
    """Another region of the build stays gone; a stranger, and a build that is DONE, write nothing."""
    both = version(gone(names=("aws-image", "ami-other")))
    call = next_call([AWS], both, QUIRKS)
    assert isinstance(call, SetLabels)
    assert "ami-other" == dict(call.labels)[GONE]
    assert next_call([AWS], version(gone(names=("ami-other",))), QUIRKS) is None
    assert next_call([AZURE], version(gone(), build(AZURE)), QUIRKS) is None
    namesake = item(owner="222222222222")
    assert next_call([namesake], version(gone()), QUIRKS) is None
    assert not isinstance(next_call([AWS], version(gone(status=BuildStatus.DONE)), QUIRKS), SetLabels)


def test_a_build_that_went_done_all_the_same_counts_as_done() -> None:
    """Nothing can be changed about it any more, so nothing waits for it."""
    at = version(gone(status=BuildStatus.DONE), build(AZURE))
    assert () == missing([AZURE], at)


def test_another_image_does_not_take_the_place_of_one_that_is_gone() -> None:
    """A build takes its platform once; the remedy is a new fingerprint."""
    other = item(identifier="ami-other")
    at = version(gone())
    assert next_call([other], at, QUIRKS) is None
    (verdict,) = judge([other], at, wrote=False)
    assert Outcome.CONFLICT == verdict.outcome


def test_a_person_may_complete_the_version_without_it() -> None:
    """It must be named; then it is set DONE as it is, after all others, because what holds images is never deleted."""
    at = version(gone(), build(AZURE))
    with pytest.raises(Rejected, match="still waits for amazon-ebs"):
        Completion().check(at)
    asked = Completion(("amazon-ebs",))
    asked.check(at)
    first = next_completion_call(at, asked, WEB, finished=False)
    assert isinstance(first, SetStatus)
    assert "azure-arm" == first.component_type
    rest = version(gone(), build(AZURE, BuildStatus.DONE))
    assert isinstance(next_completion_call(rest, asked, WEB, finished=True), SetStatus)
    assert not isinstance(next_completion_call(rest, Completion(), WEB, finished=True), SetStatus)


def test_a_version_of_which_everything_is_gone_is_not_completed_but_abandoned() -> None:
    """It holds no image at all; abandoning leaves the note where it is."""
    at = version(gone())
    with pytest.raises(Rejected, match="holds no image at all"):
        Completion(("amazon-ebs",)).check(at)
    (call,) = abandon_calls(at, "by me")
    assert {GONE: "aws-image", ABANDONED: "by me"}.items() <= dict(call.labels).items()


def test_long_lists_continue_in_further_labels_and_are_emptied_all_together() -> None:
    """No value is longer than 256 characters, and no tag may set any of them."""
    names = [f"ami-{number:017x}" for number in range(40)]
    labelled = replace(build(AWS), labels=labels_with_gone(build(AWS), names))
    assert frozenset(names) == gone_from(labelled)
    assert all(len(value) <= 256 for _, value in labelled.labels)
    keys = {key for key, _ in labelled.labels if key.startswith(GONE)}
    assert keys == {"gone", "gone-2", "gone-3", "gone-4"}
    assert keys <= RESERVED_LABELS
    emptied = dict(labels_with_gone(labelled, ()))
    assert {""} == {emptied[key] for key in keys}


def test_an_identifier_that_is_longer_than_a_label_is_noted_by_its_end() -> None:
    """ARM ids may be."""
    arm = "/subscriptions/s/resourceGroups/" + "g" * 90 + "/providers/x/" + "n" * 200
    subject = item(Platform.AZURE, identifier=arm)
    at = version(gone(subject))
    assert {arm[-256:]} == gone_from(at.builds[0])
    assert isinstance(next_call([subject], at, QUIRKS), SetLabels)


def test_the_label_of_a_stranger_says_nothing() -> None:
    """A run of Packer may have a build label of that name."""
    packers = replace(build(AWS), labels=((GONE, "x"),), packer_run_uuid="u")
    assert frozenset() == gone_from(packers)
