"""A backfill that stopped, and one that goes on: trouble while it writes, and what was closed to it at first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from packer_publisher.backfill.journal import Entry, Journal
from packer_publisher.backfill.run import Backfill
from packer_publisher.errors import CredentialsTrouble, Forbidden, RegistryTrouble, Trouble
from packer_publisher.image import Platform
from packer_publisher.policy import BucketPolicy, BucketRule, Policy
from tests.backfill.account import Estate, problems

# What is read shows what was written, and what is DONE is complete: each request that fails is the one that is meant.
pytestmark = pytest.mark.switches(completion_lag=0.0, read_after_write="fresh", unset_to_done="accept")


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    """Two buckets, and no version."""
    found = Estate(tmp_path)
    for bucket in ("aaa", "web"):
        found.registry.model.create_bucket({"name": bucket})
    return found


def begun(estate: Estate, journal: Journal | None = None, **asked: object) -> Backfill:
    """Return a run that has listed and looked."""
    run = estate.backfill(journal, **asked)
    run.list_clouds(lambda *_: None)
    run.look()
    return run


def stages(run: Backfill) -> list[tuple[str, str, str]]:
    """Return how far each version is, and what became of it."""
    return [(entry.fingerprint, entry.stage, entry.outcome) for entry in run.journal.versions()]


def only(run: Backfill) -> Entry:
    """Return the one version of a run."""
    (entry,) = run.journal.versions()
    return entry


def test_a_bucket_of_which_nothing_was_read_is_not_taken_for_missing(estate: Estate) -> None:
    """The first version that is written is there already; what is known of its bucket says nothing of another one."""
    estate.policy = Policy(rules=(BucketRule("*", BucketPolicy(create_bucket=False)),))
    estate.add("there", bucket="aaa", days=20)
    estate.add("new", bucket="web")
    estate.registry.model.create_version("aaa", {"fingerprint": "there"})
    begun(estate, allow_latest_back=True).journal.close()
    run = begun(estate, estate.journal(), allow_latest_back=True)
    assert "" == run.write()
    assert [("there", "done", "completed"), ("new", "done", "completed")] == stages(run)


def test_a_version_whose_bucket_was_removed_since_is_rejected(estate: Estate) -> None:
    """What was known leaves nothing to do, and that is told of the version."""
    estate.policy = Policy(rules=(BucketRule("*", BucketPolicy(create_bucket=False)),))
    estate.add("a1")
    begun(estate).journal.close()
    estate.registry.model.delete_bucket("web")
    run = begun(estate, estate.journal())
    assert "" == run.write()
    assert ("done", "rejected") == (only(run).stage, only(run).outcome)
    assert ["bucket web does not exist in HCP Packer"] == problems(only(run))


@pytest.mark.parametrize("component_type", ["amazon-ebs", "amazon-ebs.other"], ids=["a region", "a build"])
def test_what_was_closed_at_first_is_told_when_it_is_listed(estate: Estate, component_type: str) -> None:
    """The version is complete without it: nothing is written, and nobody is told that all is well."""
    estate.add("a1", regions=["eu-west-1"])
    estate.add("a1", regions=["us-east-1"], days=9.9, component_type=component_type)
    estate.surveys[Platform.AWS].closed.add("us-east-1")
    run = begun(estate)
    assert "" == run.write()
    assert ("v1", 1, "completed") == (only(run).name, only(run).images, only(run).outcome)
    estate.surveys[Platform.AWS].closed.clear()
    run = begun(estate, run.journal)
    assert (2, "looked", "late") == (only(run).images, only(run).stage, only(run).outcome)
    (problem,) = problems(only(run))
    assert "ami-a1-us-east-1 (aws:111111111111, us-east-1)" in problem
    before = len(estate.registry.log)
    assert "" == run.write()
    assert before == len(estate.registry.log)
    run = begun(estate, estate.journal("anew"))
    assert ("looked", "late") == (only(run).stage, only(run).outcome)


def test_an_open_version_gets_what_was_closed_at_first(estate: Estate) -> None:
    """Its other builds stand; a resumed run adds what it has found since."""
    estate.add("a1", regions=["eu-west-1"], expects="aws azure")
    estate.add("a1", platform=Platform.AZURE, regions=["westeurope"], owner="sub-1")
    estate.surveys[Platform.AZURE].closed.add("")  # Azure has no regions to be listed
    run = begun(estate)
    assert "" == run.write()
    assert "registered" == only(run).outcome
    estate.surveys[Platform.AZURE].closed.clear()
    run = begun(estate, run.journal)
    assert "" == run.write()
    assert (2, "v1", "completed") == (only(run).images, only(run).name, only(run).outcome)


def test_the_limit_holds_for_a_resumed_run_too(estate: Estate) -> None:
    """What is listed later may be older than what was chosen at first, and does not come on top of it."""
    estate.add("young", days=10)
    estate.add("old", regions=["us-east-1"], days=20)
    estate.surveys[Platform.AWS].closed.add("us-east-1")
    begun(estate, limit=1).journal.close()
    estate.surveys[Platform.AWS].closed.clear()
    assert ["young"] == [name for name, _, _ in stages(begun(estate, estate.journal(), limit=1))]


def failing(estate: Estate, method: str, trouble: Trouble, fingerprint: str) -> Callable[[], None]:
    """Let the registry fail whenever it is asked for a version by one of its methods; return what mends it."""
    working = getattr(estate.registry, method)

    def fail(bucket: str, wanted: str, *arguments: object) -> object:
        if wanted == fingerprint:
            raise trouble
        return working(bucket, wanted, *arguments)

    setattr(estate.registry, method, fail)
    return lambda: setattr(estate.registry, method, working)


def test_a_read_that_fails_after_the_write_stops_its_bucket_alone(estate: Estate) -> None:
    """The next version would be numbered before one of which nobody knows whether it is complete."""
    for number in range(3):
        estate.add(f"a{number}", bucket="aaa", days=20 - number)
    estate.add("b0")
    run = begun(estate)
    mend = failing(estate, "get_version", RegistryTrouble("HCP is down"), "a1")
    assert "HCP is down" == run.write()
    assert [
        ("a0", "done", "completed"), ("a1", "looked", "completed"), ("a2", "looked", "completed"),
        ("b0", "done", "completed"),
    ] == stages(run)  # fmt: skip
    mend()
    assert "" == run.write()
    assert ["v1", "v2", "v3"] == [estate.version(f"a{number}", "aaa").name for number in range(3)]


@pytest.mark.parametrize(
    ("trouble", "others"),
    [(CredentialsTrouble("HCP refuses the credentials"), "looked"), (Forbidden("no role on the bucket"), "done")],
)
def test_credentials_that_hcp_refuses_end_the_run_unless_they_are_good_elsewhere(
    estate: Estate, trouble: CredentialsTrouble, others: str
) -> None:
    """A role may be missing on one bucket; credentials that have expired are of no use to any."""
    estate.add("a0", bucket="aaa")
    estate.add("a1", bucket="aaa", days=9)  # the bucket with the most versions comes first
    estate.add("b0")
    run = begun(estate)
    failing(estate, "create_version", trouble, "a0")
    assert str(trouble) == run.write()
    assert trouble is run.trouble
    assert ["looked", "looked", others] == [stage for _, stage, _ in stages(run)]
