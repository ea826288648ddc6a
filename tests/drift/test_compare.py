"""One artifact beside what its cloud shows: every verdict, and how it is mended."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from packer_publisher.drift.compare import Terms, artifact_row
from packer_publisher.drift.row import How, Row, Verdict
from packer_publisher.drift.sighting import Reach, Sighting
from packer_publisher.image import Artifact, Image, ImageRef, ImageState, Platform, Scope
from packer_publisher.labels import MARKER, OWNER
from packer_publisher.policy import Contract
from packer_publisher.snapshot import Build, BuildStatus, Version
from tests.simulation.world import T0

IRELAND = Scope(Platform.AWS, "111", "eu-west-1")
OHIO = Scope(Platform.AWS, "111", "us-east-2")
REACH = Reach(
    frozenset({IRELAND, Scope(Platform.AWS, "222", "eu-west-1"), Scope(Platform.GCE, "web-images")}),
    {OHIO: (How.DENIED, "us-east-2 is closed", "open it")},
    {Platform.AZURE: (How.DENIED, "no credentials for Azure", "log in")},
)
TERMS = Terms(REACH, Contract(), timedelta(hours=6))
AMI = Artifact("eu-west-1", "ami-1")
IMAGE = Image(ImageRef(Platform.AWS, "111", "eu-west-1", "ami-1"), "web", ImageState.AVAILABLE, T0, (AMI,))
SEEN = Sighting(7, "aws:111", "ami-1", IMAGE, "web", "a1", "amazon-ebs")
BUILD = Build(
    "b1", "amazon-ebs", BuildStatus.DONE, "aws", frozenset({AMI}), ((OWNER, "aws:111"), (MARKER, "1")), created_at=T0
)
DONE = Version("web", "a1", exists=True, name="v3", status="VERSION_ACTIVE", builds=(BUILD,), created_at=T0, read_at=T0)
GOOGLE = replace(
    BUILD, component_type="googlecompute", platform="gce", artifacts=frozenset({Artifact("europe-west1-b", "ubuntu")}),
    labels=((OWNER, "gce:web-images"), (MARKER, "1"), ("image_id", "42")),
)  # fmt: skip
RETIRE = "revoke version v3 of bucket web in HCP Packer, then build it again with a new fingerprint"


def compared(*seen: Sighting, build: Build = BUILD, version: Version = DONE) -> Row:
    """Return the row of a build's only artifact."""
    (artifact,) = build.artifacts
    builds = (build, *(other for other in version.builds if other.id != build.id))
    return artifact_row(replace(version, builds=builds), build, artifact, seen, TERMS)


def labelled(build: Build, **labels: str) -> Build:
    """Return a build with some labels changed."""
    given = {key.replace("_", "-"): value for key, value in labels.items()}
    return replace(build, labels=tuple(sorted({**dict(build.labels), **given}.items())))


def google(project: str = "web-images", number: str = "42") -> Sighting:
    """Return an image of Google's by the name of ``GOOGLE``."""
    ref, artifacts = ImageRef(Platform.GCE, project, "", "ubuntu"), (Artifact("europe-west1-b", "ubuntu"),)
    image = Image(ref, "ubuntu", ImageState.AVAILABLE, T0, artifacts, identity=(("image_id", number),))
    return Sighting(8, f"gce:{project}", "ubuntu", image)


def test_what_is_listed_and_there_is_correct() -> None:
    """The row says where it is, and needs no mending."""
    row = compared(SEEN)
    assert (Verdict.CORRECT, How.FINE, "", "", 7) == (row.verdict, row.how, row.reason, row.remedy, row.image)
    assert ("web", "a1", "v3", "amazon-ebs", "aws", "aws:111", "eu-west-1", "ami-1") == (
        row.bucket, row.fingerprint, row.version, row.component_type, row.platform, row.owner, row.region,
        row.identifier,
    )  # fmt: skip


def test_an_image_without_tags_was_published_by_a_person_and_is_correct() -> None:
    """Nothing contradicts the registry."""
    assert How.FINE is compared(replace(SEEN, bucket="", fingerprint="", component_type="")).how


def test_what_its_own_scope_does_not_show_is_missing_in_the_cloud() -> None:
    """Told, and mended by a person only: absence is no evidence for changing anything."""
    row = compared()
    assert (Verdict.MISSING, How.GONE, "cloud") == (row.verdict, row.how, row.missing_from)
    assert ("aws:111 has no such image in eu-west-1", RETIRE) == (row.reason, row.remedy)


def test_an_open_version_with_a_gone_image_is_abandoned() -> None:
    """Nobody completes it with an image that is not there."""
    open_ = replace(DONE, name="v0")
    assert (
        "packer-publisher versions abandon web a1; then build it again with a new fingerprint"
        == compared(version=open_).remedy
    )


def test_in_a_revoked_version_images_may_be_gone_or_disabled() -> None:
    """That is what revoking is for."""
    revoked = replace(DONE, status="VERSION_REVOKED")
    gone = compared(version=revoked)
    assert (Verdict.CORRECT, "the version is revoked, and its image is gone") == (gone.verdict, gone.reason)
    disabled = replace(SEEN, image=replace(IMAGE, state=ImageState.DISABLED))
    assert Verdict.CORRECT is compared(disabled, version=revoked).verdict
    scheduled = replace(DONE, status="VERSION_REVOCATION_SCHEDULED")
    assert Verdict.MISSING is compared(version=scheduled).verdict


@pytest.mark.parametrize("seen", [(), (SEEN,)])
@pytest.mark.parametrize(
    "build",
    [
        replace(BUILD, labels=()),
        replace(BUILD, packer_run_uuid="f0e1"),
        replace(BUILD, labels=(), platform="vsphere"),
        replace(BUILD, labels=((MARKER, "1"),)),
    ],
)
def test_what_is_not_ours_is_never_missing(build: Build, seen: tuple[Sighting, ...]) -> None:
    """Packer's own builds, those of others, those that a run of Packer took up, and those of nobody."""
    row = compared(*seen, build=build)
    assert (Verdict.UNREACHABLE, How.FOREIGN, "nothing: packer-publisher does not touch it") == (
        row.verdict,
        row.how,
        row.remedy,
    )


@pytest.mark.parametrize(
    ("owner", "region", "platform", "how", "reason"),
    [
        ("aws:999", "eu-west-1", "aws", How.ELSEWHERE, "no credentials for aws:999"),
        ("aws:111", "me-south-1", "aws", How.ELSEWHERE, "region me-south-1 of aws:111 is not enabled"),
        ("aws:111", "us-east-2", "aws", How.DENIED, "us-east-2 is closed"),
        ("azure:sub-1", "westeurope", "azure", How.DENIED, "no credentials for Azure"),
        ("gce:other-images", "europe-west1-b", "gce", How.ELSEWHERE, "no credentials for gce:other-images"),
    ],
)
def test_what_could_not_be_looked_at_is_unreachable(
    owner: str, region: str, platform: str, how: How, reason: str
) -> None:
    """A stranger's account, a region that is off or denied, a cloud without credentials."""
    artifacts = frozenset({Artifact(region, "x-1")})
    row = compared(build=labelled(replace(BUILD, artifacts=artifacts, platform=platform), image_owner=owner))
    assert (Verdict.UNREACHABLE, how, reason) == (row.verdict, row.how, row.reason)


def test_an_image_that_could_not_be_read_is_unreachable() -> None:
    """It is there, and that is all that is known."""
    row = compared(Sighting(7, "aws:111", "ami-1", problem="it has no name", remedy="look at it"))
    assert (How.UNREAD, "it could not be read: it has no name", "look at it") == (row.how, row.reason, row.remedy)


@pytest.mark.parametrize(
    ("state", "how", "remedy"),
    [
        (
            ImageState.DISABLED,
            How.DISABLED,
            f"aws ec2 enable-image --region eu-west-1 --image-id ami-1; or {RETIRE}",
        ),
        (ImageState.FAILED, How.FAILED, RETIRE),
        (ImageState.PENDING, How.FINE, ""),
    ],
)
def test_an_image_that_nobody_can_use_is_incorrect(state: ImageState, how: How, remedy: str) -> None:
    """One that its cloud is at work on changes by itself."""
    row = compared(replace(SEEN, image=replace(IMAGE, state=state)))
    assert (how, remedy) == (row.how, row.remedy)


@pytest.mark.parametrize(
    ("fields", "reason", "command"),
    [
        ({"fingerprint": "b2"}, "its tags name version b2 of bucket web", ""),
        ({"bucket": "api"}, "its tags name version a1 of bucket api", ""),
        ({"component_type": "amazon-ebs.base"}, "its tags name component type amazon-ebs.base", ""),
    ],
)
def test_tags_that_name_another_place_are_incorrect(fields: dict[str, str], reason: str, command: str) -> None:
    """Both ways of mending are told: which of the two is right only a person knows."""
    command = (
        "aws ec2 create-tags --region eu-west-1 --resources ami-1 --tags Key=hcp-packer-bucket,Value=web "
        "Key=hcp-packer-fingerprint,Value=a1"
    )
    row = compared(replace(SEEN, **fields))  # type: ignore[arg-type]  # all of these fields are text
    assert (How.TAGS, reason) == (row.how, row.reason)
    assert f"if the version is right: {command}; if the tags are: {RETIRE}" == row.remedy


def test_bucket_names_are_compared_without_case_and_fingerprints_with_it() -> None:
    """As the registry and the functions do."""
    assert How.FINE is compared(replace(SEEN, bucket="WEB")).how
    assert How.TAGS is compared(replace(SEEN, fingerprint="A1")).how


def test_an_image_without_a_component_type_tag_may_be_in_a_build_of_any_name() -> None:
    """A person has named it in place of the tag."""
    assert How.FINE is compared(SEEN, build=replace(BUILD, component_type="amazon-ebs.ubuntu")).how


def test_tags_that_break_a_rule_are_incorrect() -> None:
    """The image would be rejected today."""
    broken = replace(SEEN, bucket="", fingerprint="", problem="tag x is empty", remedy="set it")
    assert (How.TAGS, "tag x is empty", "set it") == (lambda r: (r.how, r.reason, r.remedy))(compared(broken))


def test_an_image_of_another_owner_is_incorrect() -> None:
    """AMIs have one owner; which account an image belongs to the build says."""
    row = compared(replace(SEEN, owner="aws:222"))
    assert (How.OWNER, "the image belongs to aws:222, and the build says aws:111") == (row.how, row.reason)


def test_an_image_in_another_region_is_incorrect() -> None:
    """The build lists it where it is not."""
    row = compared(SEEN, build=replace(BUILD, artifacts=frozenset({Artifact("us-west-2", "ami-1")})))
    assert (How.REGION, "the image is in eu-west-1, not in us-west-2") == (row.how, row.reason)


def test_a_google_name_that_was_given_again_is_incorrect() -> None:
    """Only the number tells."""
    assert How.FINE is compared(google(), build=GOOGLE).how
    row = compared(google(number="77"), build=GOOGLE)
    assert (How.NUMBER, "the name belongs to another image now, number 77, not 42") == (row.how, row.reason)


def test_another_projects_image_of_the_same_name_says_nothing() -> None:
    """Unless it has the number, too."""
    assert How.GONE is compared(google("api-images", "77"), build=GOOGLE).how
    assert How.OWNER is compared(google("api-images", "42"), build=GOOGLE).how
    assert How.FINE is compared(google("api-images", "42"), google(), build=GOOGLE).how


def test_an_image_that_two_builds_list_is_incorrect_in_the_one_that_its_tags_do_not_name() -> None:
    """Where the tags name neither, it is so in both."""
    other = replace(BUILD, id="b2", component_type="amazon-ebs.copy")
    twice = replace(DONE, builds=(BUILD, other))
    assert [How.FINE, How.TWICE] == [compared(SEEN, build=build, version=twice).how for build in (BUILD, other)]
    untagged = replace(SEEN, bucket="", fingerprint="", component_type="")
    rows = [compared(untagged, build=build, version=twice) for build in (BUILD, other)]
    assert [
        (How.TWICE, "the version lists it twice, in build amazon-ebs.copy, too"),
        (How.TWICE, "the version lists it twice, in build amazon-ebs, too"),
    ] == [(row.how, row.reason) for row in rows]


@pytest.mark.parametrize(("hours", "how"), [(23, How.FINE), (24, How.UNFINISHED)])
def test_a_whole_build_that_nobody_sets_done_is_incorrect_after_a_day(hours: int, how: How) -> None:
    """By the registry's own clock; the command does without what never came."""
    held = labelled(replace(BUILD, status=BuildStatus.UNSET), expects="aws azure")
    version = replace(DONE, name="v0", read_at=T0 + timedelta(hours=hours))
    row = compared(SEEN, build=held, version=version)
    assert how is row.how
    if row.how:
        assert (
            "the build is whole, and has not been DONE since 2026-11-01; the version waits for azure",
            "packer-publisher versions complete web a1 --without azure",
        ) == (row.reason, row.remedy)


def test_commands_quote_what_others_wrote() -> None:
    """A tag or an identifier with blanks or worse stays one word of a shell."""
    azure = "/subscriptions/sub-1/resourceGroups/r g/providers/Microsoft.Compute/images/web'$(x)"
    image = replace(IMAGE, ref=ImageRef(Platform.AZURE, "sub-1", "", azure), artifacts=(Artifact("westeurope", azure),))
    build = labelled(
        replace(BUILD, platform="azure", artifacts=frozenset(image.artifacts), component_type="azure-arm.base"),
        image_owner="azure:sub-1",
    )
    row = compared(Sighting(9, "azure:sub-1", azure, image, "web", "b2", "azure-arm.base"), build=build)
    quoted = "'/subscriptions/sub-1/resourceGroups/r g/providers/Microsoft.Compute/images/web'\"'\"'$(x)'"
    assert (
        f"az tag update --operation Merge --resource-id {quoted} --tags hcp-packer-bucket=web "
        "hcp-packer-fingerprint=a1 hcp-packer-component-type=azure-arm.base"
    ) in row.remedy


def test_google_labels_are_written_as_google_allows() -> None:
    """Lower case, and two underscores for the dot of a component type."""
    build = replace(GOOGLE, component_type="googlecompute.base")
    seen = replace(google(), bucket="web", fingerprint="b2", component_type="googlecompute.base")
    row = compared(seen, build=build, version=replace(DONE, bucket="Web"))
    assert (
        "gcloud compute images add-labels ubuntu --project web-images --labels hcp-packer-bucket=web,"
        "hcp-packer-fingerprint=a1,hcp-packer-component-type=googlecompute__base"
    ) in row.remedy
