"""What a version consists of: who may declare it, until when, and what is told of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from packer_publisher.expectation import missing
from packer_publisher.image import Platform
from packer_publisher.labels import placeholder_labels
from packer_publisher.plan import next_call
from packer_publisher.report import Outcome
from packer_publisher.snapshot import BuildStatus, Latest
from packer_publisher.steps import CreateBuild, SetLabels
from packer_publisher.verdict import judge
from tests.core.snapshots import QUIRKS, T0, WEB, build, item, outcome, version


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


def test_the_hint_of_a_late_image_would_not_have_been_too_early() -> None:
    """Where a platform has several builds, naming the platform would complete the version with its first."""
    sealed = version(build(item(), BuildStatus.DONE), build(item(Platform.AZURE), BuildStatus.DONE), name="v1")
    other = item(identifier="ami-base")
    late = replace(other, placement=replace(other.placement, component_type="amazon-ebs.base"))
    (verdict,) = judge([late], sealed, wrote=False)
    assert 'hcp-packer-expects = "amazon-ebs amazon-ebs.base azure"' in verdict.remedy
