"""How an image stands to its version: whose a build is, what lists the image, who comes first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from packer_publisher.image import Artifact, Platform
from packer_publisher.labels import MARKER, OWNER
from packer_publisher.plan import next_call
from packer_publisher.report import Outcome
from packer_publisher.snapshot import Build, BuildStatus, Version, label_pairs
from packer_publisher.standing import Standing, standings
from packer_publisher.steps import FillBuild, Gather, SetStatus
from packer_publisher.verdict import judge
from tests.core.snapshots import QUIRKS, T0, WEB, build, item, outcome, version


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
