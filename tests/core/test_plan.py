"""The rules, one by one, on snapshots made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from packer_publisher.expectation import Quirks, missing
from packer_publisher.image import Artifact, ImageState, Platform
from packer_publisher.labels import MARKER, OWNER, own_labels
from packer_publisher.placement import Item
from packer_publisher.plan import next_call
from packer_publisher.policy import BucketPolicy
from packer_publisher.provenance import Metadata
from packer_publisher.report import Outcome
from packer_publisher.snapshot import BuildStatus, Latest, Parent, Version, label_pairs
from packer_publisher.steps import (
    CreateBucket,
    CreateBuild,
    CreateVersion,
    FillBuild,
    Gather,
    ReadBucket,
    ReadVersion,
    SetStatus,
)
from packer_publisher.verdict import judge
from tests.core.snapshots import QUIRKS, T0, WEB, build, item, outcome, version


def test_nothing_is_done_before_the_version_is_read() -> None:
    """Also after a conflict or a lost reply the last read is gone, and the next call is a read."""
    assert ReadVersion(*WEB) == next_call([item()], None, QUIRKS)


def test_an_unknown_version_is_created_and_then_the_bucket_if_that_was_missing() -> None:
    """GetVersion cannot tell a missing bucket from a missing version, CreateVersion can."""
    rules = BucketPolicy(create_bucket=True, description="Web", labels=(("team", "a"),))
    subject = item(rules=rules)
    assert CreateVersion(*WEB, "HCL2") == next_call([subject], Version(*WEB), QUIRKS)
    assert CreateBucket("web", "Web", (("team", "a"),)) == next_call(
        [subject], Version(*WEB, bucket_missing=True), QUIRKS
    )


def test_a_missing_bucket_is_not_created_without_leave() -> None:
    """create_buckets: true must be written out."""
    nowhere = Version(*WEB, bucket_missing=True)
    assert next_call([item()], nowhere, QUIRKS) is None
    assert Outcome.REJECTED == outcome(item(), nowhere)


def test_regions_are_gathered_after_the_read_and_only_where_the_image_is_not_listed() -> None:
    """A region of a build that is whole already costs one call to the registry and none to the cloud."""
    subject = item(whole=None)
    assert Gather("aws-image") == next_call([subject], Version(*WEB), QUIRKS)
    assert next_call([subject], version(build(item(expects="aws azure"))), QUIRKS) is None


def test_the_own_build_comes_first_and_carries_owner_and_declaration() -> None:
    """Everybody else must see what was declared before anything else happens."""
    subject = item(expects="amazon-ebs azure-arm gce")
    expected = CreateBuild(*WEB, "amazon-ebs", own_labels("aws:111111111111", ("amazon-ebs", "azure-arm", "gce")))
    assert expected == next_call([subject], version(), QUIRKS)


def test_an_expected_component_type_becomes_a_placeholder_and_a_platform_never_does() -> None:
    """A platform name is not the name of any build."""
    subject = item(expects="amazon-ebs azure-arm gce")
    own = build(subject, full=False)
    placeholder = CreateBuild(*WEB, "azure-arm", ((MARKER, "1"),))
    assert placeholder == next_call([subject], version(own), QUIRKS)
    filled = next_call([subject], version(own, build(item(Platform.AZURE), full=False, owner=False)), QUIRKS)
    assert isinstance(filled, FillBuild)


@pytest.mark.parametrize(
    ("expects", "status"),
    [
        ("amazon-ebs azure-arm", BuildStatus.DONE),  # the open placeholder holds the version
        ("aws azure", BuildStatus.UNSET),  # nothing holds it but every build
        ("amazon-ebs azure", BuildStatus.UNSET),
        ("", BuildStatus.UNSET),  # the first cloud must not lock out the others
    ],
)
def test_a_build_goes_done_at_once_only_where_open_builds_hold_the_version(expects: str, status: BuildStatus) -> None:
    """What a version consists of decides how its builds are finished."""
    subject = item(expects=expects)
    others = [build(item(Platform.AZURE), full=False, owner=False)] if "azure-arm" in expects else []
    call = next_call([subject], version(build(subject, full=False), *others), QUIRKS)
    assert isinstance(call, FillBuild)
    assert status == call.status


def test_a_build_is_filled_in_one_update() -> None:
    """All that it is travels together: the platform is the registry's only compare-and-set, parents are set once."""
    subject = item(Platform.GCE)
    image = replace(subject.image, labels=(("self_link", "x"),), identity=(("image_id", "7"),), source="base")
    placement = replace(subject.placement, labels=(("git_sha", "3f2a91c"),))
    parent = Parent("id-7", "channel-3")
    call = next_call([Item(image, placement, parent)], version(build(subject, full=False)), QUIRKS)
    assert isinstance(call, FillBuild)
    assert ("gce", (Artifact("europe-west1-b", "gce-image"),), "base") == (
        call.platform,
        call.artifacts,
        call.source_external_identifier,
    )
    assert ("id-7", "channel-3", Metadata(commit="3f2a91c")) == (
        call.parent_version_id,
        call.parent_channel_id,
        call.metadata,
    )
    labels = {"self_link": "x", "image_id": "7", "git_sha": "3f2a91c", MARKER: "1", OWNER: "gce:project-1"}
    assert label_pairs(labels) == call.labels


def test_a_build_that_is_not_whole_is_created_empty_and_waits() -> None:
    """It stands open in the registry and holds the version; no further read is needed."""
    subject = item(whole=False)
    assert isinstance(next_call([subject], version(), QUIRKS), CreateBuild)
    waiting = version(build(subject, full=False), fresh=False)
    assert next_call([subject], waiting, QUIRKS) is None
    assert Outcome.WAITING == outcome(subject, waiting)


def test_a_platform_holds_every_build_until_it_has_a_whole_one() -> None:
    """Then whoever sees it on a fresh read sets each whole build DONE."""
    aws, azure = item(expects="aws azure"), item(Platform.AZURE, "aws azure")
    assert next_call([aws], version(build(aws)), QUIRKS) is None
    both = version(build(aws), build(azure))
    assert SetStatus(*WEB, "build-amazon-ebs", "amazon-ebs", BuildStatus.DONE) == next_call([aws], both, QUIRKS)
    assert ReadVersion(*WEB) == next_call([aws], replace(both, fresh=False), QUIRKS)


def test_once_seen_complete_every_build_is_set_done_without_reading_in_between() -> None:
    """Whoever adds a build meanwhile holds the version by that very build."""
    aws, azure = item(expects="aws azure"), item(Platform.AZURE, "aws azure")
    halfway = version(build(aws, BuildStatus.DONE), build(azure), fresh=False, settled=True)
    assert SetStatus(*WEB, "build-azure-arm", "azure-arm", BuildStatus.DONE) == next_call([aws], halfway, QUIRKS)


def test_the_work_ends_on_a_fresh_read_unless_all_declare_the_same_component_types() -> None:
    """Else two last writers miss each other and nobody finishes."""
    alike = item(expects="amazon-ebs azure-arm")
    placeholder = build(item(Platform.AZURE), full=False, owner=False)
    done = version(build(alike, BuildStatus.DONE), placeholder, fresh=False)
    assert next_call([alike], done, QUIRKS) is None
    assert ReadVersion(*WEB) == next_call(
        [replace(alike, placement=replace(alike.placement, channels=("x",)))], done, QUIRKS
    )
    other = build(item(Platform.AZURE), BuildStatus.UNSET)
    assert ReadVersion(*WEB) == next_call([alike], replace(done, builds=(done.builds[0], other)), QUIRKS)


def test_an_undeclared_version_is_finished_after_the_quiet_time_by_the_registrys_clock() -> None:
    """The newest created_at of builds and artifacts counts, never updated_at, never our clock."""
    subject = item()
    added = T0 + timedelta(hours=1)
    held = build(subject, artifacts_created_at=added)
    early = version(held, read_at=added + timedelta(hours=6, seconds=-1))
    assert next_call([subject], early, QUIRKS) is None
    assert Outcome.WAITING == outcome(subject, early, wrote=True)
    due = version(held, read_at=added + timedelta(hours=6))
    assert ReadBucket("web") == next_call([subject], due, QUIRKS)
    assert isinstance(next_call([subject], replace(due, latest=Latest()), QUIRKS), SetStatus)
    assert next_call([subject], replace(due, read_at=None), QUIRKS) is None


def test_an_undeclared_version_is_not_finished_under_a_newer_one() -> None:
    """Finishing it would pull latest back."""
    subject = item()
    due = version(build(subject), read_at=T0 + timedelta(hours=7))
    newer = replace(due, latest=Latest("b2", "v1", T0 + timedelta(hours=1)))
    assert next_call([subject], newer, QUIRKS) is None
    assert Outcome.SUPERSEDED == outcome(subject, newer)
    older = replace(due, latest=Latest("b2", "v1", T0 - timedelta(hours=1)))
    assert isinstance(next_call([subject], older, QUIRKS), SetStatus)


def test_an_empty_build_of_ours_is_an_expected_name_like_any_other() -> None:
    """Declared or not, nothing is finished while one of our builds stands empty."""
    subject = item()
    empty = build(item(Platform.AZURE), full=False)
    quiet = version(build(subject), empty, read_at=T0 + timedelta(days=2), latest=Latest())
    assert next_call([subject], quiet, QUIRKS) is None
    assert ("azure-arm",) == missing([subject], quiet)


def test_an_image_that_its_cloud_takes_back_while_gathering_is_ignored() -> None:
    """Packer's intermediary image counts for nothing beside the image that takes its place."""
    subject = item()
    gone = replace(subject, image=replace(subject.image, state=ImageState.GONE, lacks="Packer's intermediary image"))
    assert next_call([gone], version(), QUIRKS) is None
    (verdict,) = judge([gone], version(), wrote=False)
    assert (Outcome.IGNORED, "Packer's intermediary image") == (verdict.outcome, verdict.reason)


def test_a_sealed_version_takes_nothing_more() -> None:
    """Its images are unchanged, any other is late and is told how it would have been in time."""
    sealed = version(build(item(), BuildStatus.DONE), name="v3", status="VERSION_ACTIVE")
    assert next_call([item()], sealed, QUIRKS) is None
    assert Outcome.UNCHANGED == outcome(item(), sealed)
    assert Outcome.COMPLETED == outcome(item(), sealed, wrote=True)
    assert next_call([item(Platform.AZURE)], sealed, QUIRKS) is None
    (late,) = judge([item(Platform.AZURE)], sealed, wrote=False)
    assert Outcome.LATE == late.outcome
    assert "version a1 (v3) of bucket web was complete before azure-image (azure:sub-1) came" == late.reason
    assert 'hcp-packer-expects = "aws azure"' in late.remedy


def test_another_template_type_is_refused() -> None:
    """Packer would refuse to resume a version whose stored type is not its own; unset matches any."""
    other = version(template_type="JSON")
    assert next_call([item()], other, QUIRKS) is None
    assert Outcome.REJECTED == outcome(item(), other)
    assert next_call([item()], replace(other, template_type="TEMPLATE_TYPE_UNSET"), QUIRKS) is not None
    assert next_call([item(rules=BucketPolicy(template_type="JSON"))], other, QUIRKS) is not None
    sealed = version(build(item(), BuildStatus.DONE), name="v1", template_type="JSON")
    assert Outcome.UNCHANGED == outcome(item(), sealed)


def test_where_the_registry_refuses_unset_to_done_running_is_sent_just_before() -> None:
    """Only for whole builds, so a handler that dies in between leaves nothing that looks like Packer's."""
    quirks = Quirks(running_first=True)
    subject = item(expects="amazon-ebs")
    filled = next_call([subject], version(build(subject, full=False)), quirks)
    assert isinstance(filled, FillBuild)
    assert BuildStatus.UNSET == filled.status
    running = next_call([subject], version(build(subject)), quirks)
    assert SetStatus(*WEB, "build-amazon-ebs", "amazon-ebs", BuildStatus.RUNNING) == running
    done = next_call([subject], version(build(subject, BuildStatus.RUNNING)), quirks)
    assert SetStatus(*WEB, "build-amazon-ebs", "amazon-ebs", BuildStatus.DONE) == done


def test_where_the_registry_refuses_an_identifier_twice_one_region_remains() -> None:
    """A gallery version has the same id in all its regions; Packer itself lists one."""
    subject = item(Platform.AZURE)
    arm_id = subject.image.ref.identifier
    image = replace(subject.image, artifacts=(Artifact("westeurope", arm_id), Artifact("eastus", arm_id)))
    both = Item(image, subject.placement)
    empty = version(build(subject, full=False))
    call = next_call([both], empty, QUIRKS)
    assert isinstance(call, FillBuild)
    assert 2 == len(call.artifacts)
    call = next_call([both], empty, Quirks(single_region=True))
    assert isinstance(call, FillBuild)
    assert (Artifact("westeurope", arm_id),) == call.artifacts
