"""A backfill writes whole versions, in the order of their images, and nothing that is somebody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from packer_publisher.errors import CredentialsTrouble
from packer_publisher.image import Artifact, Platform
from packer_publisher.snapshot import BuildStatus
from tests.backfill.account import Estate, problems
from tests.registered import parents_of
from tests.switches import catch_up, setting

HELD = (("a1", "web"), ("c3", "database"), ("b2", "web"))


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    """Nothing is there yet but the bucket ``web``."""
    found = Estate(tmp_path)
    found.registry.model.create_bucket({"name": "web"})
    return found


@pytest.mark.switches(completion_lag=0.0, read_after_write="fresh", unset_to_done="accept")
def test_a_version_of_three_clouds_is_written_in_eight_calls_and_confirmed(estate: Estate) -> None:
    """Read, create, and a create and an update for each build: they declare each other and go DONE one by one."""
    estate.add("a1", platform=Platform.AWS, regions=["eu-west-1", "us-east-1"])
    estate.add("a1", platform=Platform.AZURE, regions=["westeurope"], owner="sub-1")
    estate.add("a1", platform=Platform.GCE, regions=["europe-west1-b"], owner="project-1")
    (entry,) = estate.done()
    version = estate.version("a1")
    assert ("completed", "v1", "done") == (entry.outcome, entry.name, entry.stage)
    assert ["amazon-ebs", "azure-arm", "googlecompute"] == sorted(build.component_type for build in version.builds)
    assert {BuildStatus.DONE} == {build.status for build in version.builds}
    assert [
        *("GetVersion", "ListBuckets", "CreateVersion"),
        *3 * ["CreateBuild"],
        *3 * ["UpdateBuild"],
        "GetVersion",  # tells the number
    ] == estate.registry.log


def test_versions_are_numbered_in_the_order_of_their_images(estate: Estate) -> None:
    """Whatever the survey finds first; buckets have numbers of their own."""
    for name, days in (("c", 10), ("a", 30), ("b", 20)):
        estate.add(name, days=days)
        estate.add(f"{name}-db", bucket="database", days=40 - days)
    estate.done()
    assert ["v1", "v2", "v3"] == [estate.version(name).name for name in ("a", "b", "c")]
    assert ["v1", "v2", "v3"] == [estate.version(f"{name}-db", "database").name for name in ("c", "b", "a")]


def test_regions_of_one_build_are_one_build(estate: Estate) -> None:
    """Their copies are of different age, and each scope is listed by itself."""
    estate.add("a1", regions=["us-east-1"], days=10)
    estate.add("a1", regions=["eu-west-1"], days=9.9)
    estate.done()
    (build,) = estate.version("a1").builds
    assert {Artifact("eu-west-1", "ami-a1-eu-west-1"), Artifact("us-east-1", "ami-a1-us-east-1")} == build.artifacts


@pytest.mark.switches(
    read_after_write="stale",
    platform_resent_same="accept",
    platform_resent_after_create="accept",
    repeated_artifact="ignore",
)
def test_what_is_written_twice_counts_once(estate: Estate) -> None:
    """Behind a stale read the same build is filled again."""
    estate.add("a1", regions=["us-east-1", "eu-west-1"], expects="aws azure")
    (entry,) = estate.done()
    assert 2 == estate.registry.log.count("UpdateBuild")
    details = entry.details or {}
    assert (["amazon-ebs"], 2) == (details["builds"], details["artifacts"])


def test_what_may_still_grow_is_left_to_the_events(estate: Estate) -> None:
    """Its newest image is younger than the quiet time, or somebody is at work on the version."""
    estate.add("young", days=0.1)
    estate.add("old", days=10)
    estate.registry.model.create_version("web", {"fingerprint": "old"})
    estate.registry.model.create_build("web", "old", {"component_type": "vsphere-iso.base", "status": "BUILD_RUNNING"})
    catch_up(estate.registry.model, "web", "old")
    before = len(estate.registry.log)
    young, old = sorted(estate.done(), key=lambda entry: entry.fingerprint, reverse=True)
    assert ("left", "left") == (young.outcome, old.outcome)
    assert {"GetVersion", "ListBuckets"} == set(estate.registry.log[before:])
    (problem,) = problems(young)
    assert "is younger than the quiet time: more may come" in problem
    (problem,) = problems(old)
    assert "open builds belong to others: vsphere-iso.base (nobody yet)" == problem


def test_a_second_run_writes_nothing_and_reads_each_version_once(estate: Estate) -> None:
    """Without a journal of the first."""
    for name in ("a1", "b2"):
        estate.add(name)
    estate.done()
    before = len(estate.registry.log)
    assert ["unchanged", "unchanged"] == [entry.outcome for entry in estate.done()]
    assert ["GetVersion", "GetVersion", "ListBuckets"] == sorted(estate.registry.log[before:])


def test_a_bucket_whose_latest_would_move_back_is_left_out(estate: Estate) -> None:
    """Its newest complete version is of a newer image; a person may want the history all the same."""
    estate.add("new", days=5)
    estate.done()
    estate.add("old", days=20)
    run = estate.backfill(estate.journal("second"))
    run.list_clouds(lambda *_: None)
    run.look()
    reason = run.left_out()["web"]
    assert (
        "latest points to v1 (new, 2026-10-27), and 1 older version would be completed after it, the newest of them "
        "old (2026-10-12)"
    ) == reason
    assert "" == run.write()
    assert not estate.version("old").exists
    estate.done(allow_latest_back=True)
    assert "v2" == estate.version("old").name


def test_older_images_after_newer_ones_of_the_same_backfill_count_by_their_images(estate: Estate) -> None:
    """The versions of an earlier backfill were created in HCP today; what their images say counts."""
    estate.add("a", days=30)
    estate.done()
    estate.add("b", days=20)
    estate.done()
    assert ["v1", "v2"] == [estate.version(name).name for name in ("a", "b")]


def test_a_conflict_names_both_images_and_stops_nothing(estate: Estate) -> None:
    """The older of the two is in the version; the version after it is written as well."""
    estate.add("one", fingerprint="a1", days=20)
    estate.add("two", fingerprint="a1", days=19)
    estate.add("b2", days=5)
    first, second = estate.done()
    # Where the last of several writes set it DONE, a look after it has found the version complete.
    looked = setting().unset_to_done == "refuse" and not setting().completion_lag
    assert ("late" if looked else "conflict", "completed") == (first.outcome, second.outcome)
    (problem,) = problems(first)
    name = "version a1 (v1)" if looked else "version a1"
    assert (
        f"{f'{name} of bucket web is complete, and ' if looked else ''}ami-two-eu-west-1 (aws:111111111111, eu-west-1) "
        "and ami-one-eu-west-1 (aws:111111111111, eu-west-1), which has it, claim component type amazon-ebs of "
        f"{name} of bucket web"
    ) == problem
    assert ["v1", "v2"] == [estate.version(name).name for name in ("a1", "b2")]


def test_a_denied_region_is_told_and_the_others_go_on(estate: Estate) -> None:
    """Unless a tag names the region: then the build waits for it."""
    estate.add("a1", regions=["eu-west-1", "us-east-1"])
    estate.add("b2", regions=["eu-west-1", "us-east-1"], regions_="eu-west-1 us-east-1")
    for ref in [ref for ref in estate.world.images if "b2" in ref.identifier]:
        tags = dict(estate.world.images[ref].tags)
        estate.world.tag(ref, {**tags, "hcp-packer-regions": tags.pop("hcp-packer-regions-")})
    estate.surveys[Platform.AWS].closed.add("us-east-1")
    run = estate.backfill()
    run.list_clouds(lambda *_: None)
    denied = [scope.region for scope, (state, _, _) in run.journal.scopes().items() if state == "denied"]
    assert ["us-east-1"] == denied
    run.look()
    assert "" == run.write()
    assert ("v1", "v0") == (estate.version("a1").name, estate.version("b2").name)


def test_the_next_version_waits_until_the_last_one_is_complete(estate: Estate) -> None:
    """Completion may lag, and the numbers tell history all the same."""
    estate.registry.model.switches = setting(completion_lag=20.0)
    for name, days in (("a1", 20), ("b2", 10)):
        estate.add(name, days=days)
    assert ["v1", "v2"] == [entry.name for entry in estate.done()]


def test_a_version_that_hcp_does_not_complete_holds_its_bucket_and_no_other(estate: Estate) -> None:
    """The run says so; resumed later it goes on."""
    estate.registry.model.switches = setting(completion_lag=10_000.0)
    for name, days in (("a1", 20), ("b2", 10)):
        estate.add(name, days=days)
    estate.add("c3", bucket="database")
    run = estate.backfill()
    run.list_clouds(lambda *_: None)
    run.look()
    assert run.write().startswith("HCP has not completed version a1 of bucket web yet")
    assert 3 * ["looked"] == [entry.stage for entry in run.journal.versions()]
    assert [False, False, True] == [not estate.version(name, b).exists for name, b in HELD]
    estate.forward(hours=3)
    assert run.write().startswith("HCP has not completed version b2 of bucket web yet")
    estate.forward(hours=3)
    assert "" == run.write()
    assert ["v1", "v2"] == [estate.version(name).name for name in ("a1", "b2")]


@pytest.mark.switches(search_lag=0.0)
def test_what_an_image_was_built_from_is_recorded_with_it(estate: Estate) -> None:
    """Versions of one bucket are written in the order of their images, so the parent is there before the child."""
    (base,) = estate.add("base", days=20)
    estate.add("child", days=10, source_image=base.identifier)
    estate.done()
    # Out of date by now: the child is the bucket's latest version.
    assert [("web v1", "", "OUT_OF_DATE")] == parents_of(estate.registry.model, "web", "child")


def test_expired_credentials_stop_the_run_and_it_goes_on_later(estate: Estate) -> None:
    """They are no denied region: what was listed stays, and the rest is listed by a resumed run."""
    estate.add("a1", regions=["eu-west-1", "us-east-1"])
    survey = estate.surveys[Platform.AWS]
    survey.expired.add("us-east-1")
    run = estate.backfill()
    with pytest.raises(CredentialsTrouble, match="the credentials have expired"):
        run.list_clouds(lambda *_: None)
    assert ["listed", "open"] == [state for state, _, _ in run.journal.scopes().values()]
    survey.expired.clear()
    run.stop.clear()
    assert 1 == run.list_clouds(lambda *_: None)
    run.look()
    assert "" == run.write()
    (build,) = estate.version("a1").builds
    assert 2 == len(build.artifacts)


@pytest.mark.switches(search_lag=0.0)
def test_a_base_of_another_bucket_is_written_before_what_was_built_from_it(estate: Estate) -> None:
    """Else the child would have no parent for ever; its own bucket comes first by name, and is the longer one."""
    (base,) = estate.add("zero", bucket="zz-base", days=30)
    estate.add("old", bucket="aa-app", days=40)
    estate.add("child", bucket="aa-app", days=20, source_image=base.identifier)
    estate.add("grandchild", bucket="aa-app", days=5)
    estate.done()
    assert ["v1", "v2", "v3"] == [estate.version(name, "aa-app").name for name in ("old", "child", "grandchild")]
    assert ["zz-base v1"] == [name for name, _, _ in parents_of(estate.registry.model, "aa-app", "child")]


@pytest.mark.switches(search_lag=0.0)
def test_buckets_that_wait_for_each_other_are_written_all_the_same(estate: Estate) -> None:
    """By age no base comes first where an older image is in a newer version; nobody waits for ever."""
    estate.add("one", bucket="aaa", days=30, source_image="ami-three-eu-west-1")
    estate.add("two", bucket="aaa", days=10)
    estate.add("three", bucket="bbb", days=20, source_image="ami-two-eu-west-1")
    entries = estate.done()
    assert ["v1", "v2", "v1"] == [estate.version(e.fingerprint, e.bucket).name for e in entries]
    assert ["aaa v2"] == [name for name, _, _ in parents_of(estate.registry.model, "bbb", "three")]


@pytest.mark.switches(search_lag=0.0)
def test_what_was_built_from_a_base_in_trouble_waits_for_a_resumed_run(estate: Estate) -> None:
    """Its parent could not be recorded any more."""
    estate.registry.model.switches = setting(completion_lag=10_000.0)
    (base,) = estate.add("zero", bucket="zz-base", days=30)
    estate.add("child", bucket="aa-app", days=20, source_image=base.identifier)
    run = estate.backfill()
    run.list_clouds(lambda *_: None)
    run.look()
    assert run.write().startswith("HCP has not completed version zero of bucket zz-base yet")
    assert not estate.version("child", "aa-app").exists
    estate.forward(hours=3)
    assert run.write().startswith("HCP has not completed version child of bucket aa-app yet")
    estate.forward(hours=3)
    assert "" == run.write()
    assert ["zz-base v1"] == [name for name, _, _ in parents_of(estate.registry.model, "aa-app", "child")]
