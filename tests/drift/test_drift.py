"""Drift reads everything once, over HTTP, changes nothing, and leaves nothing out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from packer_publisher.drift.row import How, Row
from packer_publisher.errors import CloudTrouble, ConfigurationError, CredentialsTrouble
from packer_publisher.image import Artifact, ImageRef, ImageState, Platform, Scope, Unread
from packer_publisher.policy import BucketPolicy, BucketRule, Policy
from tests.backfill.account import OWNER
from tests.drift.audit import Audit, Served, served
from tests.switches import catch_up

OTHER = "222222222222"
MANAGED = "/subscriptions/sub-1/resourceGroups/{}/providers/Microsoft.Compute/images/{}"


@pytest.fixture
def registry() -> Iterator[Served]:
    with served() as registry:
        registry.model.create_bucket({"name": "web"})
        yield registry


@pytest.fixture
def audit(registry: Served, tmp_path: Path) -> Audit:
    """Two accounts, a subscription and a project, with one version of all three clouds and one of two accounts."""
    found = Audit(tmp_path, registry=registry, workers=3)
    found.add("a1", regions=["eu-west-1", "us-east-1"], days=20)
    found.add("a1", platform=Platform.AZURE, regions=["westeurope"], owner="sub-1", days=20)
    found.add("a1", platform=Platform.GCE, regions=["europe-west1-b"], owner="project-1", days=20)
    found.add("b2", days=10)
    found.add("b2-base", fingerprint="b2", owner=OTHER, days=10, component_type="amazon-ebs.base")
    found.workers = 1  # what writes is not for several threads in this world
    found.done()
    found.workers = 3
    registry.requests.clear()
    return found


def told(rows: list[Row]) -> list[tuple[str, How]]:
    """Return what differs, by image."""
    return sorted((row.identifier, row.how) for row in rows if row.how)


def test_every_verdict_in_one_registry(audit: Audit) -> None:
    """Several owners, a denied region, an account without credentials, Packer's own builds, deeds of all kinds."""
    audit.register("p1", "amazon-ebs", ("eu-west-1", "ami-packers"))
    audit.register("s1", "amazon-ebs", ("eu-west-1", "ami-strangers"), owner="aws:999999999999")
    audit.disable(ImageRef(Platform.AWS, OTHER, "eu-west-1", "ami-b2-base-eu-west-1"))
    audit.delete(ImageRef(Platform.AZURE, "sub-1", "", MANAGED.format("rg", "a1")))
    audit.change(ImageRef(Platform.GCE, "project-1", "", "a1"), identity=(("image_id", "7"),))
    audit.add("new", days=5)
    audit.surveys[Platform.AWS].closed.add("us-east-1")
    rows = audit.rows()
    assert [
        (MANAGED.format("rg", "a1"), How.GONE),
        ("a1", How.NUMBER),
        ("ami-a1-us-east-1", How.DENIED),
        ("ami-b2-base-eu-west-1", How.DISABLED),
        ("ami-new-eu-west-1", How.UNREGISTERED),
        ("ami-packers", How.FOREIGN),
        ("ami-strangers", How.ELSEWHERE),
    ] == told(rows)
    assert {"ami-a1-eu-west-1", "ami-b2-eu-west-1"} == {row.identifier for row in rows if not row.how}
    (denied,) = (row for row in rows if row.how is How.DENIED)
    assert ("aws:111111111111, us-east-1 denies access", "allow it, or leave it out with --region") == (
        denied.reason,
        denied.remedy,
    )


@pytest.mark.switches(max_page_size=100)
def test_it_only_reads_and_reads_each_version_once(audit: Audit, registry: Served) -> None:
    """One list of buckets, one of versions for each bucket, one read for each version."""
    audit.add("new", days=5)
    audit.rows()
    assert ["GetVersion", "GetVersion", "ListBuckets", "ListVersions"] == sorted(registry.requests.operations())
    assert {"GET"} == {request.method for request in registry.requests.calls()}


def test_what_is_named_in_another_case_on_azure_is_the_same_image(audit: Audit) -> None:
    """Azure itself changes the casing of resource groups."""
    ref = ImageRef(Platform.AZURE, "sub-1", "", MANAGED.format("rg", "a1"))
    image = audit.world.images.pop(ref)
    spelled = MANAGED.format("RG", "a1")
    audit.world.images[replace(ref, identifier=spelled)] = replace(
        image, ref=replace(ref, identifier=spelled), artifacts=(Artifact("westeurope", spelled),)
    )
    assert [] == told(audit.rows())


def test_an_image_that_is_younger_than_the_list_of_its_cloud_is_not_missing(audit: Audit) -> None:
    """It is asked for by itself before anything is said."""
    with audit.drift() as run:
        ref = ImageRef(Platform.AWS, OWNER, "eu-west-1", "ami-b2-eu-west-1")
        image = audit.world.images.pop(ref)
        run.list_clouds(lambda *_: None)
        audit.world.images[ref] = image
        run.compare()
        assert [] == told(list(run.findings.rows()))


def test_an_image_that_packers_own_build_lists_is_in_the_registry(audit: Audit) -> None:
    """It is somebody's build, and not missing from it."""
    (ref,) = audit.add("hcp", days=5)
    audit.register("hcp", "amazon-ebs.web", ("eu-west-1", ref.identifier))
    assert [(ref.identifier, How.FOREIGN)] == told(audit.rows())


def test_an_image_that_is_listed_elsewhere_than_its_tags_say_is_told_once(audit: Audit) -> None:
    """It is incorrect where it is listed, not missing besides."""
    audit.retag(ImageRef(Platform.AWS, OWNER, "eu-west-1", "ami-b2-eu-west-1"), fingerprint="a1")
    audit.retag(ImageRef(Platform.AWS, OWNER, "us-east-1", "ami-a1-us-east-1"), fingerprint="c3")
    assert [("ami-a1-us-east-1", How.TAGS), ("ami-b2-eu-west-1", How.TAGS)] == told(audit.rows())


@pytest.mark.parametrize(
    ("days", "open_", "reason", "remedy"),
    [
        (5, False, "there is no such version", "packer-publisher backfill aws --bucket web"),
        (0.1, False, "there is no such version", "packer-publisher publish eu-west-1:ami-new-eu-west-1"),
        (5, True, "no build of the version lists it", "packer-publisher backfill aws --bucket web"),
    ],
)
def test_an_image_that_no_build_lists_is_brought_by_a_command(
    days: float, open_: bool, reason: str, remedy: str, audit: Audit
) -> None:
    """What a backfill would leave to the events is published by itself."""
    audit.add("new", days=days)
    if open_:
        audit.registry.model.create_version("web", {"fingerprint": "new"})
        catch_up(audit.registry.model, "web", "new")
    (row,) = (row for row in audit.rows() if row.how)
    assert (How.UNREGISTERED, "registry", reason, remedy) == (row.how, row.missing_from, row.reason, row.remedy)


def test_a_missing_bucket_is_created_first_where_the_configuration_does_not_allow_it(audit: Audit) -> None:
    """Else the command would be refused."""
    audit.policy = Policy(rules=(BucketRule("*", BucketPolicy()),))
    audit.add("new", bucket="api", days=5)
    (row,) = (row for row in audit.rows() if row.how)
    assert "there is no bucket api" == row.reason
    assert (
        "create bucket api in HCP Packer, or set create_buckets: true; then packer-publisher backfill aws --bucket api"
        == row.remedy
    )


def test_a_build_that_is_not_whole_of_a_version_that_is_not_there_is_brought_too(audit: Audit) -> None:
    """The configuration may create the bucket: that there is none is not what keeps it out."""
    audit.add("new", bucket="api", days=5, regions=["eu-west-1"], regions_named="eu-west-1 us-east-1")
    (ref,) = (ref for ref in audit.world.images if "new" in ref.identifier)
    tags = dict(audit.world.images[ref].tags)
    audit.world.tag(ref, {**tags, "hcp-packer-regions": tags.pop("hcp-packer-regions-named")})
    (row,) = (row for row in audit.rows() if row.how)
    assert ("there is no bucket api", "packer-publisher backfill aws --bucket api") == (row.reason, row.remedy)


def test_an_image_without_tags_that_a_mapping_places_is_missing(audit: Audit, tmp_path: Path) -> None:
    """The commands say where the mapping puts it; where it is listed elsewhere, the mapping may be to blame."""
    audit.mapping = tmp_path / "mapping.yaml"
    audit.mapping.write_text("rules:\n- match: {name: old}\n  bucket: web\n  fingerprint: z9\n")
    (ref,) = audit.add("old", days=5)
    audit.world.tag(ref, {})
    (row,) = (row for row in audit.rows() if row.how)
    assert ("z9", How.UNREGISTERED, f"packer-publisher backfill aws --bucket web --mapping {audit.mapping}") == (
        row.fingerprint,
        row.how,
        row.remedy,
    )
    audit.change(ref, created_at=audit.registry.clock())
    (row,) = (row for row in audit.rows() if row.how)
    assert "packer-publisher publish eu-west-1:ami-old-eu-west-1 --bucket web --fingerprint z9" == row.remedy
    listed = ImageRef(Platform.AWS, OWNER, "eu-west-1", "ami-b2-eu-west-1")
    audit.delete(ref)
    audit.world.tag(listed, {})
    audit.change(listed, name="old")
    (row,) = (row for row in audit.rows() if row.how)
    assert (How.TAGS, "its tags or the mapping name version z9 of bucket web") == (row.how, row.reason)


def test_an_image_that_a_sealed_version_lacks_needs_a_new_fingerprint(audit: Audit) -> None:
    """The plan's own words, whether its component type is taken or new; a region that came late, too."""
    audit.add("second", fingerprint="b2", days=5)
    audit.add("new", fingerprint="b2", days=5, component_type="amazon-ebs.new")
    audit.add("a1", regions=["ap-south-1"], days=5)
    rows = {row.identifier: row for row in audit.rows() if row.how}
    assert [
        "version a1 (v1) of bucket web is complete, and component type amazon-ebs of version a1 (v1) of bucket web is "
        "whole already with ami-a1-eu-west-1 (eu-west-1) and ami-a1-us-east-1 (us-east-1); ami-a1-ap-south-1 "
        "(aws:111111111111, ap-south-1) is not among them",
        "version b2 (v2) of bucket web was complete before ami-new-eu-west-1 (aws:111111111111, eu-west-1) came",
        "version b2 (v2) of bucket web is complete, and ami-second-eu-west-1 (aws:111111111111, eu-west-1) and "
        "ami-b2-eu-west-1 (aws:111111111111, eu-west-1), which has it, claim component type amazon-ebs of version b2 "
        "(v2) of bucket web",
    ] == [rows[f"ami-{name}"].reason for name in ("a1-ap-south-1", "new-eu-west-1", "second-eu-west-1")]
    assert all("build it again with a new fingerprint" in row.remedy for row in rows.values())


def test_an_image_whose_tags_break_a_rule_is_missing_with_the_reason(audit: Audit) -> None:
    """It stands under no bucket; one whose bucket is not allowed stands under that."""
    audit.add("broken", bucket="no name", days=5)
    audit.policy = Policy(rules=(BucketRule("web", BucketPolicy()),))
    audit.add("api-1", bucket="api", days=5)
    rows = {row.identifier: row for row in audit.rows() if row.how}
    assert [("", "ami-broken-eu-west-1"), ("api", "ami-api-1-eu-west-1")] == sorted(
        (row.bucket, name) for name, row in rows.items()
    )
    assert rows["ami-broken-eu-west-1"].reason.startswith("hcp-packer-bucket 'no name' is no bucket name")
    assert "bucket api is not allowed by this deployment's configuration" == rows["ami-api-1-eu-west-1"].reason


def test_a_bucket_that_the_configuration_does_not_allow_is_compared_all_the_same(audit: Audit) -> None:
    """Reading harms nobody."""
    audit.policy = Policy(rules=(BucketRule("api", BucketPolicy()),))
    assert 6 == len(audit.rows())
    assert [] == told(audit.rows())


@pytest.mark.parametrize("state", [ImageState.PENDING, ImageState.FAILED, ImageState.DISABLED, ImageState.GONE])
def test_an_image_that_cannot_be_registered_is_not_missing(state: ImageState, audit: Audit) -> None:
    """It has no business in the registry as it is."""
    refs = audit.add("new", days=5) + audit.add("broken", bucket="no name", days=5)
    for ref in refs:
        audit.change(ref, state=state)
    assert [] == told(audit.rows())


def test_a_listed_image_that_is_being_deleted_is_gone(audit: Audit) -> None:
    """Whether its cloud still shows it or not."""
    audit.change(ImageRef(Platform.AWS, OWNER, "eu-west-1", "ami-b2-eu-west-1"), state=ImageState.GONE)
    assert [("ami-b2-eu-west-1", How.GONE)] == told(audit.rows())


def test_an_open_version_all_of_whose_images_are_gone_is_found(audit: Audit) -> None:
    """No sweep comes by it, for a sweep begins with the images that are there."""
    (ref,) = audit.add("c3", days=5, expects="aws azure")
    audit.done()
    audit.delete(ref)
    (row,) = (row for row in audit.rows() if row.how)
    assert ("c3", How.GONE, "packer-publisher versions abandon web c3; then build it again with a new fingerprint") == (
        row.fingerprint, row.how, row.remedy,
    )  # fmt: skip


def test_what_is_read_under_another_name_is_there(audit: Audit) -> None:
    """On Azure a managed image stands for the gallery version made from it, or the other way round, by the settings."""
    managed = audit.world.images[ImageRef(Platform.AZURE, "sub-1", "", MANAGED.format("rg", "a1"))]
    version = MANAGED.format("rg", "a1").replace("/images/a1", "/galleries/g/images/web/versions/1.0.0")
    audit.world.images[ImageRef(Platform.AZURE, "sub-1", "", version)] = managed
    audit.register("g1", "azure-arm", ("northeurope", version), "azure", "azure:sub-1")
    rows = [row for row in audit.rows() if row.fingerprint == "g1"]
    assert [(version, How.FINE)] == [(row.identifier, row.how) for row in rows]


def test_a_bucket_counts_in_its_own_project_only(tmp_path: Path) -> None:
    """One of the same name elsewhere is another deployment's."""
    audit = Audit(tmp_path)  # its registry has the same buckets in every project
    audit.registry.model.create_bucket({"name": "web"})
    audit.add("a1")
    audit.done()
    other = BucketRule("api", BucketPolicy(project="0e7aa0fc-0d5c-4a26-a4ff-8d58a1f5ad4d"))
    audit.policy = Policy(rules=(other, *audit.policy.rules))
    assert 1 == len(audit.rows())
    assert 2 == audit.registry.log.count("ListBuckets") - 1


def test_tags_of_images_that_are_not_ours_are_kept_nowhere(audit: Audit) -> None:
    """They are nobody's business; where an image is ours they place it."""
    (ours,) = audit.add("new", days=5)
    (theirs,) = audit.add("theirs", days=5)
    audit.world.tag(theirs, {"password": "hunter2"})
    with audit.drift() as run:
        run.list_clouds(lambda *_: None)
        for ref, kept in ((ours, audit.world.images[ours].tags), (theirs, {})):
            (seen,) = run.census.named("aws", ref.identifier)
            assert seen.image is not None
            assert kept == seen.image.tags


def test_packers_intermediary_is_not_missing(audit: Audit) -> None:
    """Packer is about to remove it, and the build is the other image's."""
    audit.add("c3", days=0.01)
    audit.add("packer1", fingerprint="c3", days=0.02)
    assert [("ami-c3-eu-west-1", How.UNREGISTERED)] == told(audit.rows())


def test_clouds_regions_and_buckets_narrow_the_question(audit: Audit) -> None:
    """What is not asked for gets no row."""
    audit.register("p1", "amazon-ebs", ("eu-west-1", "ami-packers"))
    audit.registry.model.create_bucket({"name": "api"})
    audit.add("new", bucket="api", days=5)
    audit.add("broken", bucket="no name", days=5)
    assert {"azure"} == {row.platform for row in audit.rows(clouds=(Platform.AZURE,))}
    assert {"us-east-1"} == {row.region for row in audit.rows(clouds=(Platform.AWS,), only=("us-east-1",))} - {
        "eu-west-1"
    }
    assert {"api"} == {row.bucket for row in audit.rows(buckets=("API",))}


def test_a_bucket_that_is_nowhere_is_no_bucket_without_drift(audit: Audit) -> None:
    """A slip of the pen must not let a pipeline pass."""
    with pytest.raises(ConfigurationError) as caught:
        audit.rows(buckets=("wbe",))
    assert "bucket wbe is neither in HCP Packer nor on any image" == str(caught.value)


def test_a_cloud_without_credentials_is_told_and_the_others_go_on(audit: Audit) -> None:
    """Its artifacts are unreachable, never missing."""
    audit.surveys[Platform.AZURE].shut = CredentialsTrouble("Azure knows no credentials", remedy="az login")
    (row,) = (row for row in audit.rows() if row.how)
    assert ("azure", How.DENIED, "Azure knows no credentials", "az login") == (
        row.platform,
        row.how,
        row.reason,
        row.remedy,
    )


def test_where_no_cloud_can_be_listed_the_registry_is_not_asked(audit: Audit, registry: Served) -> None:
    """There would be nothing to compare."""
    for survey in audit.surveys.values():
        survey.shut = CredentialsTrouble("who are you?")
    with pytest.raises(CredentialsTrouble):
        audit.rows()
    assert [] == registry.requests.operations()


def test_a_region_that_does_not_answer_is_silent_and_the_others_go_on(audit: Audit) -> None:
    """What is there is not known."""
    audit.surveys[Platform.AWS].silent.add("us-east-1")
    assert [("ami-a1-us-east-1", How.SILENT)] == told(audit.rows())


def test_an_image_that_cannot_be_read_is_told_once(audit: Audit) -> None:
    """Beside its artifact where there is one, else by itself."""
    scope = Scope(Platform.AWS, OWNER, "eu-west-1")
    audit.world.images.pop(ImageRef(Platform.AWS, OWNER, "eu-west-1", "ami-b2-eu-west-1"))
    audit.surveys[Platform.AWS].unread = [
        Unread(scope, name, "it has no name") for name in ("ami-b2-eu-west-1", "ami-odd")
    ]
    rows = {row.identifier: row for row in audit.rows() if row.how}
    assert {("ami-b2-eu-west-1", "web", How.UNREAD), ("ami-odd", "", How.UNREAD)} == {
        (name, row.bucket, row.how) for name, row in rows.items()
    }


def test_a_run_whose_time_is_over_says_so(audit: Audit) -> None:
    """Half a comparison is none."""
    with audit.drift() as run:
        run.stop.set()
        with pytest.raises(CloudTrouble) as caught:
            run.list_clouds(lambda *_: None)
    assert "the time was over before everything was read" == str(caught.value)


def test_every_project_that_the_configuration_names_is_walked(audit: Audit, registry: Served) -> None:
    """A bucket counts in its own project only."""
    elsewhere = "0e7aa0fc-0d5c-4a26-a4ff-8d58a1f5ad4d"
    audit.policy = Policy(
        rules=(BucketRule("api", BucketPolicy(project=elsewhere)), BucketRule("*", BucketPolicy(create_bucket=True)))
    )
    with pytest.raises(CredentialsTrouble):
        audit.rows()
    paths = [request.path for request in registry.requests.calls() if request.operation == "ListBuckets"]
    assert elsewhere in "".join(paths)
