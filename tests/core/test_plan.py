"""The rules, one by one, on snapshots made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from packer_publisher.expectation import Quirks, missing
from packer_publisher.image import Artifact, Image, ImageRef, ImageState, Platform
from packer_publisher.labels import MARKER, OWNER, own_labels, placeholder_labels
from packer_publisher.placement import Item, Placement
from packer_publisher.plan import next_call
from packer_publisher.policy import BucketPolicy
from packer_publisher.provenance import Metadata
from packer_publisher.report import Outcome
from packer_publisher.snapshot import Build, BuildStatus, Latest, Parent, Version, label_pairs
from packer_publisher.standing import Standing, standings
from packer_publisher.steps import (
    CreateBucket,
    CreateBuild,
    CreateVersion,
    FillBuild,
    Gather,
    ReadBucket,
    ReadVersion,
    SetLabels,
    SetStatus,
)
from packer_publisher.verdict import judge

T0 = datetime(2026, 11, 1, 12, tzinfo=UTC)
WEB = ("web", "a1")
QUIRKS = Quirks()
OWNERS = {Platform.AWS: "111111111111", Platform.AZURE: "sub-1", Platform.GCE: "project-1"}
TYPES = {Platform.AWS: "amazon-ebs", Platform.AZURE: "azure-arm", Platform.GCE: "googlecompute"}
REGIONS = {Platform.AWS: "eu-west-1", Platform.AZURE: "westeurope", Platform.GCE: "europe-west1-b"}


def item(
    platform: Platform = Platform.AWS,
    expects: str = "",
    *,
    identifier: str = "",
    owner: str = "",
    whole: bool | None = True,
    age: int = 0,
    rules: BucketPolicy | None = None,
    channels: tuple[str, ...] = (),
) -> Item:
    name = identifier or f"{platform}-image"
    ref = ImageRef(platform, owner or OWNERS[platform], "", name)
    artifacts = (Artifact(REGIONS[platform], name),)
    image = Image(ref, name, ImageState.AVAILABLE, T0 - timedelta(minutes=age), artifacts, whole=whole)
    rules = rules or BucketPolicy()
    names = tuple(sorted(expects.split()))
    return Item(image, Placement(*WEB, TYPES[platform], rules, expects=names, channels=channels))


def build(
    subject: Item,
    status: BuildStatus = BuildStatus.UNSET,
    *,
    full: bool = True,
    owner: bool = True,
    **fields: object,
) -> Build:
    """Return the build of an item as our functions write it, whole or still empty."""
    component_type = subject.placement.component_type
    empty = Build(
        f"build-{component_type}",
        component_type,
        status=status,
        labels=own_labels(subject.image.owner, subject.placement.expects) if owner else placeholder_labels(),
        created_at=T0,
    )
    whole = {"platform": str(subject.image.platform), "artifacts": frozenset(subject.image.artifacts)}
    return replace(empty, **(whole if full else {}), **fields)  # type: ignore[arg-type]


def version(*builds: Build, **fields: object) -> Version:
    base = Version(*WEB, exists=True, name="v0", builds=builds, created_at=T0, read_at=T0 + timedelta(minutes=1))
    return replace(base, **fields)  # type: ignore[arg-type]


def outcome(subject: Item, at: Version, *, wrote: bool = False) -> Outcome:
    (verdict,) = judge((subject,), at, wrote=wrote)
    return verdict.outcome


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


def test_the_declaration_is_the_union_of_what_any_image_said() -> None:
    """What one image says counts for all, whoever handles the version."""
    azure = item(Platform.AZURE, "aws azure gce")
    quiet = version(build(item()), build(azure), read_at=T0 + timedelta(days=2), latest=Latest())
    assert ("gce",) == missing([item()], quiet)
    assert next_call([item()], quiet, QUIRKS) is None


def test_what_an_image_declares_later_is_written_into_its_build() -> None:
    """Else only the handler that saw the new tag would wait, and the next one would finish too early."""
    said = item(expects="aws azure gce")
    silent = version(build(item()), build(item(Platform.AZURE)), read_at=T0 + timedelta(days=1), latest=Latest())
    call = next_call([said], silent, QUIRKS)
    assert isinstance(call, SetLabels)
    assert ("build-amazon-ebs", ("expects", "aws azure gce")) == (call.build_id, call.labels[0])
    labelled = version(replace(build(item()), labels=call.labels), build(item(Platform.AZURE)), latest=Latest())
    quiet = replace(labelled, read_at=T0 + timedelta(days=1))
    assert next_call([said], quiet, QUIRKS) is None
    assert next_call([item(Platform.AZURE)], quiet, QUIRKS) is None
    assert ("gce",) == missing([item(Platform.AZURE)], quiet)


def test_only_the_owner_of_a_build_writes_what_its_image_declares() -> None:
    """A stranger's build, or one that is DONE, stays as it is."""
    stranger = item(expects="aws azure gce", owner="222222222222")
    assert not isinstance(next_call([stranger], version(build(item())), QUIRKS), SetLabels)
    said = item(expects="aws azure gce")
    done = version(build(item(), BuildStatus.DONE), build(item(Platform.AZURE), full=False))
    assert not isinstance(next_call([said], done, QUIRKS), SetLabels)


def test_a_platform_that_is_declared_when_no_build_can_carry_it_any_more_counts_for_nobody() -> None:
    """The build is DONE and only this handler would know the name: it is said to be late, and nothing waits for it."""
    retagged = item(Platform.AWS, "amazon-ebs gce azure-arm")
    done = build(item(Platform.AWS, "amazon-ebs azure-arm"), BuildStatus.DONE)
    at = version(done, build(item(Platform.AZURE), full=False))
    assert next_call([retagged], at, QUIRKS) is None
    assert ("azure-arm",) == missing([retagged], at)
    (verdict,) = judge([retagged], at, wrote=False)
    assert (Outcome.LATE, ("azure-arm",)) == (verdict.outcome, verdict.waits_for)
    assert (
        "aws-image (aws:111111111111) declares gce for version a1 of bucket web too late: its build is written for "
        "good, so nobody else would know, and the version completes without"
    ) == verdict.reason
    assert (
        "name the component types instead (as in googlecompute), or build it again with a new fingerprint"
    ) == verdict.remedy


def test_a_platform_is_not_declared_too_late_where_anybody_else_would_see_it() -> None:
    """Another image said so in time, or a build of that platform holds the version open by itself."""
    done = build(item(Platform.AWS, "amazon-ebs azure-arm"), BuildStatus.DONE)
    in_time = version(done, build(item(Platform.AZURE, "gce"), BuildStatus.UNSET))
    assert Outcome.UNCHANGED == outcome(item(Platform.AWS, "amazon-ebs gce"), in_time)
    held = version(done, build(item(Platform.AZURE), full=False))
    assert Outcome.UNCHANGED == outcome(item(Platform.AWS, "amazon-ebs azure"), held)


def test_a_component_type_is_never_declared_too_late_while_the_version_is_open() -> None:
    """It becomes a placeholder, which everybody sees."""
    done = build(item(Platform.AWS, "amazon-ebs azure-arm"), BuildStatus.DONE)
    call = next_call(
        [item(Platform.AWS, "amazon-ebs googlecompute")], version(done, build(item(Platform.AZURE), full=False)), QUIRKS
    )
    assert CreateBuild(*WEB, "googlecompute", placeholder_labels()) == call


def test_regions_of_one_build_stand_and_fall_with_the_oldest() -> None:
    """Only that one is gathered; the others are in no conflict with it, and are late where the build came without."""
    one, two = (item(whole=None, identifier=name, age=age) for name, age in (("ami-1", 2), ("ami-2", 1)))
    two = replace(two, image=replace(two.image, name="ami-1"))
    assert (Standing.SIBLING, Standing.TO_CREATE) == standings([two, one], version())
    assert Gather("ami-1") == next_call([two, one], version(), QUIRKS)
    partial = replace(one, image=replace(one.image, whole=False, lacks="us-east-1 is missing"))
    verdicts = judge([two, partial], version(build(one, full=False)), wrote=True)
    assert 2 * [Outcome.WAITING] == [verdict.outcome for verdict in verdicts]
    assert (Standing.TAKEN, Standing.LISTED) == standings([two, one], version(build(one)))


def test_nobody_floods_a_version_with_names() -> None:
    """Sixteen names an image, sixty-four a version; the image that would go beyond is refused, the others go on."""
    builds = [
        replace(build(item(expects=" ".join(f"x.n{i}-{k}" for k in range(16)))), id=f"b{i}", component_type=f"x.own{i}")
        for i in range(4)
    ]
    full = version(*builds)
    flooding = item(Platform.AZURE, "one-more")
    assert next_call([flooding], full, QUIRKS) is None
    (verdict,) = judge([flooding], full, wrote=False)
    assert Outcome.REJECTED == verdict.outcome
    assert "would declare more than 64 parts" in verdict.reason
    assert isinstance(next_call([item(Platform.AZURE)], full, QUIRKS), CreateBuild)


def test_an_image_that_its_cloud_takes_back_while_gathering_is_ignored() -> None:
    """Packer's intermediary image counts for nothing beside the image that takes its place."""
    subject = item()
    gone = replace(subject, image=replace(subject.image, state=ImageState.GONE, lacks="Packer's intermediary image"))
    assert next_call([gone], version(), QUIRKS) is None
    (verdict,) = judge([gone], version(), wrote=False)
    assert (Outcome.IGNORED, "Packer's intermediary image") == (verdict.outcome, verdict.reason)


def test_the_hint_of_a_late_image_would_not_have_been_too_early() -> None:
    """Where a platform has several builds, naming the platform would complete the version with its first."""
    sealed = version(build(item(), BuildStatus.DONE), build(item(Platform.AZURE), BuildStatus.DONE), name="v1")
    other = item(identifier="ami-base")
    late = replace(other, placement=replace(other.placement, component_type="amazon-ebs.base"))
    (verdict,) = judge([late], sealed, wrote=False)
    assert 'hcp-packer-expects = "amazon-ebs amazon-ebs.base azure"' in verdict.remedy


def test_a_taken_component_type_in_a_sealed_version_needs_no_hint() -> None:
    """No declaration would have let both in."""
    sealed = version(build(item(), BuildStatus.DONE), name="v1")
    (verdict,) = judge([item(identifier="ami-2")], sealed, wrote=False)
    assert (Outcome.LATE, "build it again with a new fingerprint") == (verdict.outcome, verdict.remedy)
    assert "is complete, and component type amazon-ebs" in verdict.reason


def test_a_run_of_packer_that_failed_is_told_with_the_way_to_resume_it() -> None:
    """Packer itself goes on with a fingerprint that it is given."""
    failed = replace(build(item(), BuildStatus.FAILED, full=False), labels=(), packer_run_uuid="6f3c")
    (verdict,) = judge([item()], version(failed), wrote=False)
    assert "belongs to a run of Packer that has failed" in verdict.reason
    assert "run Packer again with HCP_PACKER_BUILD_FINGERPRINT=a1" in verdict.remedy


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


def test_one_component_type_of_two_owners_is_a_conflict_that_names_both() -> None:
    """What a build contains is written by functions of its owner alone, also while it is empty."""
    mine, theirs = item(identifier="ami-2"), item(owner="222222222222")
    for full in (False, True):
        taken = version(build(theirs, full=full))
        assert next_call([mine], taken, QUIRKS) is None
        (verdict,) = judge([mine], taken, wrote=False)
        assert Outcome.CONFLICT == verdict.outcome
        assert "aws:222222222222" in verdict.reason
        assert "aws:111111111111" in verdict.reason


def test_a_placeholder_belongs_to_whoever_fills_it() -> None:
    """The filling update writes the owner."""
    subject = item(expects="amazon-ebs azure-arm")
    call = next_call(
        [subject],
        version(build(subject, full=False, owner=False), build(item(Platform.AZURE), full=False, owner=False)),
        QUIRKS,
    )
    assert isinstance(call, FillBuild)
    assert (OWNER, "aws:111111111111") in call.labels


def test_a_whole_build_is_never_changed() -> None:
    """Another image for it is a conflict, whatever its age."""
    older = item(identifier="ami-0", age=60)
    taken = version(build(item()))
    assert next_call([older], taken, QUIRKS) is None
    assert Outcome.CONFLICT == outcome(older, taken)


def test_of_two_images_for_one_empty_build_the_older_wins() -> None:
    """Among the images of one plan, and where the cloud saw an older one."""
    newer, older = item(identifier="ami-2"), item(identifier="ami-1", age=5)
    assert (Standing.RIVAL, Standing.TO_CREATE) == standings([newer, older], version())
    told = replace(newer, image=replace(newer.image, rival="ami-1"))
    assert next_call([told], version(), QUIRKS) is None
    assert Outcome.CONFLICT == outcome(told, version())
    assert Outcome.CONFLICT == outcome(told, Version(*WEB))


@pytest.mark.parametrize("status", list(BuildStatus))
def test_packers_builds_are_never_written(status: BuildStatus) -> None:
    """A build without our marker, or taken up by a run of Packer, is read and waited for."""
    subject = item(expects="aws azure")
    for strange in (
        replace(build(subject, status, full=False), labels=()),
        replace(build(subject, status, full=False), packer_run_uuid="6f3c"),
    ):
        assert next_call([subject], version(strange), QUIRKS) is None
        expected = Outcome.CONFLICT if status is BuildStatus.DONE else Outcome.WAITING
        assert expected == outcome(subject, version(strange))


def test_packers_build_satisfies_a_platform_once_it_is_done() -> None:
    """Packer sends the platform with DONE; until then the platform is waited for."""
    subject = item(expects="aws azure")
    packers = Build("b-p", "azure-arm.web", status=BuildStatus.RUNNING, packer_run_uuid="6f3c", created_at=T0)
    assert next_call([subject], version(build(subject), packers), QUIRKS) is None
    done = replace(packers, status=BuildStatus.DONE, platform="azure")
    call = next_call([subject], version(build(subject), done), QUIRKS)
    assert isinstance(call, SetStatus)
    assert "build-amazon-ebs" == call.build_id


def test_an_image_that_any_build_lists_adds_nothing_but_the_version_goes_on() -> None:
    """Whatever that build's component type: Packer may have recorded it under its own."""
    subject = item(expects="aws azure")
    packers = Build("p", "amazon-ebs.x", BuildStatus.DONE, "aws", frozenset(subject.image.artifacts), created_at=T0)
    azure = item(Platform.AZURE, "aws azure")
    call = next_call([subject], version(packers, build(azure)), QUIRKS)
    assert SetStatus(*WEB, "build-azure-arm", "azure-arm", BuildStatus.DONE) == call


def test_a_google_image_is_its_name_and_its_number() -> None:
    """The same name with another number is another image; a build without a number is taken at its word."""
    subject = item(Platform.GCE)
    mine = replace(subject, image=replace(subject.image, identity=(("image_id", "2"),)))
    other = replace(build(subject), labels=label_pairs({MARKER: "1", OWNER: "gce:project-1", "image_id": "1"}))
    (verdict,) = judge([mine], version(other), wrote=False)
    assert Outcome.CONFLICT == verdict.outcome
    assert "with gce-image number 1 (europe-west1-b); gce-image (gce:project-1) number 2 is not" in verdict.reason
    assert (Standing.LISTED,) == standings([mine], version(build(subject)))


def test_azure_ids_are_compared_without_case() -> None:
    """ARM answers with the resource group in capitals whatever the event said."""
    arm_id = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/images/web"
    subject = item(Platform.AZURE, identifier=arm_id)
    shouted = frozenset({Artifact("westeurope", arm_id.replace("/rg/", "/RG/"))})
    assert (Standing.LISTED,) == standings([subject], version(replace(build(subject), artifacts=shouted)))


def test_an_image_that_stands_behind_a_listed_one_is_listed_with_it() -> None:
    """A managed image whose gallery version is the artifact is no rival of that version, whichever event came first."""
    subject = item(Platform.AZURE, identifier="managed", whole=False)
    source = (("managed_image_name", "Web-1"),)
    behind = replace(subject, image=replace(subject.image, stands_behind=source))
    made = build(item(Platform.AZURE))
    labels = (*made.labels, ("managed_image_name", "web-1"))
    assert (Standing.LISTED,) == standings([behind], version(replace(made, labels=labels)))
    assert (Standing.TAKEN,) == standings([behind], version(made))
    stranger = build(item(Platform.AZURE, owner="sub-2"))
    assert (Standing.TAKEN,) == standings([behind], version(replace(stranger, labels=(*stranger.labels, labels[-1]))))


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
