"""The journal outlives a killed run, and belongs to one question and the accounts it was asked of."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packer_publisher.backfill.asked import Asked
from packer_publisher.backfill.beginning import claim, end, open_journal
from packer_publisher.backfill.journal import FORMAT, Journal
from packer_publisher.backfill.spool import read_image, write_image
from packer_publisher.errors import CloudTrouble, ConfigurationError, RegistryTrouble
from packer_publisher.image import Artifact, Image, ImageRef, ImageState, Platform, Scope
from tests.backfill.account import Estate
from tests.simulation.world import T0

ASKED = Asked(("aws",), bucket="web")
IRELAND = Scope(Platform.AWS, "111111111111", "eu-west-1")
pairs = st.lists(st.tuples(st.text(), st.text()), max_size=3).map(tuple)


@given(
    name=st.text(), identifier=st.text(min_size=1), tags=st.dictionaries(st.text(), st.text(), max_size=4),
    labels=pairs, identity=pairs, behind=pairs, whole=st.sampled_from([None, True, False]),
    state=st.sampled_from(ImageState), platform=st.sampled_from(Platform),
)  # fmt: skip
def test_an_image_comes_back_as_it_went_in(
    name: str, identifier: str, tags: dict[str, str], labels: tuple[tuple[str, str], ...],
    identity: tuple[tuple[str, str], ...], behind: tuple[tuple[str, str], ...], whole: bool | None,
    state: ImageState, platform: Platform,
) -> None:  # fmt: skip
    """Every field of it, whatever a cloud lets people write into it."""
    image = Image(
        ImageRef(platform, "1", "eu-west-1", identifier), name, state, T0, (Artifact("eu-west-1", identifier),), tags,
        "arm64", "ami-base", labels, identity, whole, "a region", "a rival", behind,
    )  # fmt: skip
    assert image == read_image(write_image(image))


def test_a_run_that_is_not_over_is_not_forgotten(tmp_path: Path) -> None:
    """A new run would begin anew; the person is told of both ways."""
    path = tmp_path / "journal.sqlite"
    open_journal(path, ASKED, resume=False).close()
    with pytest.raises(ConfigurationError) as caught:
        open_journal(path, ASKED, resume=False)
    assert f"{path} is the journal of a backfill that is not over" == str(caught.value)
    assert "go on with it (--resume), name another file (--journal), or remove it" == caught.value.remedy
    journal = open_journal(path, ASKED, resume=True)
    end(journal)
    journal.close()
    open_journal(path, replace(ASKED, bucket="other"), resume=False).close()


def test_a_run_that_was_over_and_goes_on_is_not_forgotten_either(tmp_path: Path) -> None:
    """It is resumed for a region that was closed to it, say; asking for it with other credentials changes nothing."""
    path = tmp_path / "journal.sqlite"
    journal = open_journal(path, ASKED, resume=False)
    claim(journal, [IRELAND])
    end(journal)
    with pytest.raises(ConfigurationError):
        claim(journal, [replace(IRELAND, owner_id="222222222222")])
    assert "over" == journal.facts()["stage"]
    journal.close()
    journal = open_journal(path, ASKED, resume=True)
    claim(journal, [IRELAND])
    journal.close()
    with pytest.raises(ConfigurationError, match="is the journal of a backfill that is not over"):
        open_journal(path, ASKED, resume=False)


def test_a_run_is_only_resumed_for_the_same_question(tmp_path: Path) -> None:
    """Another bucket, other rules: each difference is named by its option."""
    path = tmp_path / "journal.sqlite"
    open_journal(path, ASKED, resume=False).close()
    with pytest.raises(ConfigurationError) as caught:
        open_journal(path, Asked(("aws",), bucket="db", rules="x", allow_latest_back=True), resume=True)
    assert (
        f"{path} was begun with something else: --allow-latest-to-move-back, --bucket, the configuration or the mapping"
    ) == str(caught.value)


def test_a_journal_of_another_account_is_refused(tmp_path: Path) -> None:
    """Both are named, and nothing is changed."""
    journal = open_journal(tmp_path / "journal.sqlite", ASKED, resume=False)
    claim(journal, [IRELAND])
    with pytest.raises(ConfigurationError) as caught:
        claim(journal, [replace(IRELAND, owner_id="222222222222")])
    assert (
        f"{journal.path} is the journal of other accounts: aws:111111111111, and the credentials reach aws:222222222222"
    ) == str(caught.value)
    assert [IRELAND] == list(journal.scopes())


@pytest.mark.parametrize(
    "content", [b"this is no database at all, whatever its name says", b"SQLite format 3\0" + b"x" * 100]
)
def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    """A person may have named the wrong file."""
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"cannot be used as a journal"):
        open_journal(path, ASKED, resume=True)
    assert content == path.read_bytes()


def test_another_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    """To the last byte: it may be anybody's."""
    path = tmp_path / "notes.sqlite"
    with closing(sqlite3.connect(path)) as base:
        base.execute("create table note (text)")
    content = path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"notes.sqlite is a database, and no journal"):
        open_journal(path, ASKED, resume=False)
    assert content == path.read_bytes()


def test_a_journal_of_another_format_says_how_to_go_on(tmp_path: Path) -> None:
    """A release may need to write down more than the one before; nothing is lost but the list of the images."""
    path = tmp_path / "journal.sqlite"
    open_journal(path, ASKED, resume=False).close()
    with closing(sqlite3.connect(path)) as base:
        base.execute("pragma user_version = 1")
    content = path.read_bytes()
    with pytest.raises(ConfigurationError) as caught:
        open_journal(path, ASKED, resume=True)
    assert (
        f"{path} is a journal of format 1, which another release of packer-publisher wrote; this one goes on with "
        f"format {FORMAT} alone"
    ) == str(caught.value)
    assert caught.value.remedy.endswith("and begin anew: what is in HCP Packer already is not written again")
    assert content == path.read_bytes()


def test_nothing_to_resume_is_told(tmp_path: Path) -> None:
    """Rather than taken for a run that found nothing."""
    with pytest.raises(ConfigurationError, match="there is no journal to go on with"):
        open_journal(tmp_path / "none.sqlite", ASKED, resume=True)


@pytest.mark.parametrize("bucket", [None, "web"])
@pytest.mark.parametrize("stages", [(), ("looked",)])
def test_no_page_of_a_walk_is_sorted(tmp_path: Path, bucket: str | None, stages: tuple[str, ...]) -> None:
    """Else a bucket of a hundred thousand versions would be sorted once for every two hundred of them."""
    journal = Journal(tmp_path / "journal.sqlite")
    asked: list[str] = []
    journal._base.set_trace_callback(asked.append)
    assert [] == list(journal.versions(*stages, bucket=bucket))
    journal._base.set_trace_callback(None)
    statement = asked[0].replace("-Inf", "-9e999")  # as SQLite itself reads it
    plan = journal._base.execute(f"explain query plan {statement}").fetchall()
    assert "USING INDEX version_order" in str(plan)
    assert "TEMP B-TREE" not in str(plan)


def test_a_scope_that_was_listed_is_not_listed_again(tmp_path: Path) -> None:
    """One that broke off in the middle is, from its beginning, and nothing of it counts twice."""
    estate = Estate(tmp_path)
    for number in range(3):
        estate.add(f"a{number}", regions=["eu-west-1"])
    estate.add("b1", regions=["us-east-1"])
    journal = estate.journal()
    run = estate.backfill(journal)
    survey = estate.surveys[Platform.AWS]
    breaking = survey.survey
    listed: list[str] = []

    def broken(scope: Scope, *arguments: object, **options: object) -> object:
        listed.append(scope.region)
        for number, image in enumerate(breaking(scope, *arguments, **options)):  # type: ignore[arg-type]
            if scope.region == "us-east-1" and len(listed) < 3 and number == 0:
                raise CloudTrouble("the network is gone")
            yield image

    survey.survey = broken  # type: ignore[method-assign, assignment]  # a cloud that fails, not our own code
    with pytest.raises(CloudTrouble):
        run.list_clouds(lambda *_: None)
    assert ["listed", "open"] == [state for state, _, _ in journal.scopes().values()]
    run.stop.clear()
    listed.append("a second run")
    assert 4 == run.list_clouds(lambda *_: None)
    assert ["eu-west-1", "us-east-1", "a second run", "us-east-1"] == listed
    assert 4 == sum(entry.images for entry in journal.versions())


@pytest.mark.switches(completion_lag=0.0, read_after_write="fresh", unset_to_done="accept")
def test_a_resumed_run_repeats_nothing(tmp_path: Path) -> None:
    """What was looked at is not read again, what was written is not written again; trouble stops a bucket in order."""
    estate = Estate(tmp_path)
    estate.registry.model.create_bucket({"name": "web"})
    for number in range(6):
        estate.add(f"a{number}", days=20 - number)
    journal = estate.journal()
    run = estate.backfill(journal)
    run.list_clouds(lambda *_: None)
    run.look()
    creating = estate.registry.create_version

    def down(bucket: str, fingerprint: str, *arguments: object) -> object:
        if fingerprint == "a3":
            raise RegistryTrouble("HCP is down")
        return creating(bucket, fingerprint, *arguments)

    estate.registry.create_version = down
    assert "HCP is down" == run.write()
    assert 3 * ["done"] + 3 * ["looked"] == [entry.stage for entry in journal.versions()]
    journal.close()
    estate.registry.create_version = creating
    before = len(estate.registry.log)
    again = estate.backfill(Journal(estate.folder / "journal.sqlite"))
    again.list_clouds(lambda *_: None)
    again.look()
    assert "" == again.write()
    assert [f"v{number}" for number in range(1, 7)] == [estate.version(f"a{number}").name for number in range(6)]
    assert ["ListBuckets", *3 * ["CreateVersion", "CreateBuild", "UpdateBuild", "GetVersion"]] == (
        estate.registry.log[before:]
    )
