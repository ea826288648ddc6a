"""What became of one image, for people and for programs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from packer_publisher.cli.result import as_json, build_lines, headline, report_lines, status_of
from packer_publisher.errors import (
    CloudTrouble,
    CredentialsTrouble,
    OutcomeUnknown,
    PublisherError,
    RegistryRefused,
    RegistryTrouble,
    Rejected,
)
from packer_publisher.image import Artifact, Image, ImageRef, ImageState, Platform
from packer_publisher.placement import Placement
from packer_publisher.policy import BucketPolicy
from packer_publisher.provenance import Metadata
from packer_publisher.publish import Publication
from packer_publisher.report import Outcome, Report
from packer_publisher.snapshot import Build, BuildStatus, Parent, Version
from packer_publisher.steps import CreateBucket, CreateBuild, CreateVersion, FillBuild, SetStatus

REF = ImageRef(Platform.AWS, "123456789012", "eu-west-1", "ami-0123456789abcdef0")
ARTIFACT = Artifact("eu-west-1", REF.identifier)
IMAGE = Image(REF, "web-1", ImageState.AVAILABLE, datetime(2026, 11, 21, 8, tzinfo=UTC), (ARTIFACT,))
LONG = (
    "/subscriptions/00000000-1111-4222-8333-444444444444/resourceGroups/images/providers/Microsoft.Compute/images/web"
)
VERSION = Version(
    "web",
    "abc-1",
    exists=True,
    name="v0",
    builds=(
        Build("2", "azure-arm", BuildStatus.UNSET, "azure", frozenset({Artifact("westeurope", LONG)})),
        Build("1", "amazon-ebs", BuildStatus.DONE, "aws", frozenset({ARTIFACT})),
        Build("3", "googlecompute"),
    ),
)
STEPS = (
    CreateBucket("web", "", ()),
    CreateVersion("web", "abc-1", "HCL2"),
    CreateBuild("web", "abc-1", "amazon-ebs", ()),
    FillBuild(
        "web",
        "abc-1",
        "1",
        "amazon-ebs",
        BuildStatus.UNSET,
        "aws",
        (ARTIFACT,),
        (),
        "ami-base",
        "id-7",
        "ch-3",
        Metadata(commit="3f2a91c"),
    ),
    SetStatus("web", "abc-1", "1", "amazon-ebs", BuildStatus.DONE),
)
REPORT = Report(
    Outcome.REGISTERED,
    image=REF.identifier,
    platform="aws",
    bucket="web",
    fingerprint="abc-1",
    component_type="amazon-ebs",
    parent="base v12 (channel production)",
    waits_for=("azure", "gce"),
    notes=("one thing", "another"),
    calls=4,
)
PARENT = Parent("id-7", "ch-3", "base", "base-1", "v12", "production")
PUBLICATION = Publication(
    REPORT, IMAGE, Placement("web", "abc-1", "amazon-ebs", BucketPolicy()), STEPS, VERSION, PARENT
)


def test_a_person_reads_outcome_place_writes_and_what_is_missing() -> None:
    """Aligned lines, each fact once; what says nothing is left out."""
    assert "registered  ami-0123456789abcdef0 (aws:123456789012, eu-west-1)" == plain(
        headline(PUBLICATION, predicted=False)
    )
    assert [
        "  bucket          web",
        "  version         abc-1 (v0, open)",
        "  component type  amazon-ebs",
        "  parent          base v12 (channel production)",
        "  wrote           create bucket web",
        "                  create version abc-1, template type HCL2",
        "                  create build amazon-ebs, still empty",
        "                  fill build amazon-ebs (UNSET): eu-west-1:ami-0123456789abcdef0",
        "                  set build amazon-ebs to DONE",
        "  waits for       azure gce",
        "  note            one thing",
        "                  another",
    ] == report_lines(PUBLICATION, predicted=False)


def test_a_dry_run_says_would() -> None:
    """Nobody takes a prediction for what happened."""
    assert plain(headline(PUBLICATION, predicted=True)).startswith("would be registered  ami-")
    assert "  would write     create bucket web" in report_lines(PUBLICATION, predicted=True)


def test_a_prediction_says_that_the_registry_knows_no_parent() -> None:
    """Whoever asks why gets an answer; what is really published has no line for what is not there."""
    report, image = replace(REPORT, parent=""), replace(IMAGE, source="ami-vendor")
    orphan = replace(PUBLICATION, report=report, image=image, parent=Parent())
    line = "  parent          nothing in this HCP project lists ami-vendor"
    assert line in report_lines(orphan, predicted=True)
    assert not [found for found in report_lines(orphan, predicted=False) if "parent" in found]
    told = replace(orphan, parent=Parent(note="no parent is recorded: base v3 is revoked"))
    assert line not in report_lines(told, predicted=True)


def test_ids_stand_last_and_are_never_broken() -> None:
    """An ARM id is longer than a terminal is wide; it can still be copied."""
    assert [
        "  COMPONENT TYPE  PLATFORM  STATUS  REGION      ARTIFACT",
        "  googlecompute   -         UNSET   -           (empty)",
        "  amazon-ebs      aws       DONE    eu-west-1   ami-0123456789abcdef0",
        f"  azure-arm       azure     UNSET   westeurope  {LONG}",
    ] == build_lines(VERSION)


def test_a_program_reads_the_same_as_plain_values() -> None:
    """Every key is there in every outcome."""
    found = as_json(PUBLICATION, dry_run=False)
    artifacts = [{"region": "eu-west-1", "external_identifier": "ami-0123456789abcdef0"}]
    assert {
        "outcome": "registered",
        "bucket": "web",
        "fingerprint": "abc-1",
        "component_type": "amazon-ebs",
        "dry_run": False,
        "waits_for": ["azure", "gce"],
        "reason": "",
        "remedy": "",
        "notes": ["one thing", "another"],
        "calls": 4,
    } == {key: value for key, value in found.items() if key not in ("image", "version", "parent", "steps")}
    assert ("ami-0123456789abcdef0", "aws:123456789012", artifacts) == (
        found["image"]["id"],
        found["image"]["owner"],
        found["image"]["artifacts"],
    )
    assert ["googlecompute", "amazon-ebs", "azure-arm"] == [b["component_type"] for b in found["version"]["builds"]]
    assert ["create_bucket", "create_version", "create_build", "fill_build", "set_status"] == [
        step["step"] for step in found["steps"]
    ]
    assert {
        "step": "fill_build",
        "text": "fill build amazon-ebs (UNSET): eu-west-1:ami-0123456789abcdef0",
        "bucket": "web",
        "fingerprint": "abc-1",
        "component_type": "amazon-ebs",
        "status": "UNSET",
        "platform": "aws",
        "artifacts": artifacts,
        "source_external_identifier": "ami-base",
        "metadata": {"packer": {}, "vcs": {"type": "git", "details": {"commit": "3f2a91c"}}, "cicd": None},
    } == found["steps"][3]
    assert {
        "bucket": "base",
        "fingerprint": "base-1",
        "version": "v12",
        "version_id": "id-7",
        "channel": "production",
        "channel_id": "ch-3",
    } == found["parent"]
    assert set(found) == set(as_json(Publication(Report(Outcome.IGNORED)), dry_run=True))


def test_foreign_text_cannot_move_the_cursor() -> None:
    """Names come from a registry that others write to."""
    build = Build("1", "evil\x1b[2J", BuildStatus.DONE, "a\nb", frozenset({Artifact("r", "i\rd")}))
    text = "\n".join(build_lines(Version("web", "abc-1", exists=True, builds=(build,))))
    assert "evil\\x1b[2J" in text
    assert not any(letter in text for letter in "\x1b\r")
    assert 2 == len(text.splitlines())


@pytest.mark.parametrize(
    ("expected", "outcome", "error"),
    [
        (0, Outcome.REGISTERED, None),
        (0, Outcome.COMPLETED, None),
        (0, Outcome.UNCHANGED, None),
        (0, Outcome.WAITING, None),
        (0, Outcome.SUPERSEDED, None),
        (1, Outcome.REJECTED, None),
        (1, Outcome.CONFLICT, None),
        (1, Outcome.LATE, None),
        (1, Outcome.DEFERRED, None),
        (1, Outcome.REJECTED, Rejected("no")),
        (1, Outcome.REJECTED, RegistryRefused("no", code=3, status=400)),
        (1, Outcome.DEFERRED, CloudTrouble("no")),
        (4, Outcome.DEFERRED, CredentialsTrouble("no")),
        (5, Outcome.DEFERRED, RegistryTrouble("no")),
        (5, Outcome.DEFERRED, OutcomeUnknown("no")),
    ],
)
def test_the_exit_status_tells_what_to_mend(expected: int, outcome: Outcome, error: PublisherError | None) -> None:
    """0 is in its version or on its way, 1 is not, 4 is credentials, 5 is the registry."""
    assert expected == status_of(Publication(Report(outcome), error=error))


def plain(text: str) -> str:
    """Return text without colours, as a pipe gets it."""
    import click

    return click.unstyle(text)
