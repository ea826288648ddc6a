"""``drift`` as a person and a pipeline meet it: exit statuses, the table, JSON, CSV, the file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from tests.backfill.account import OWNER
from tests.drift.audit import Audit

from packer_publisher.cli.drift import conduct, drift
from packer_publisher.cli.program import Program, program
from packer_publisher.drift.row import COLUMNS
from packer_publisher.errors import CredentialsTrouble
from packer_publisher.image import ImageRef, Platform, Scope, Unread

Run = Callable[..., Result]
FIRST = ImageRef(Platform.AWS, OWNER, "eu-west-1", "ami-a1-eu-west-1")


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    """One complete version of two clouds, backfilled."""
    folder = tmp_path / "audit"
    folder.mkdir()
    found = Audit(folder)
    found.registry.model.create_bucket({"name": "web"})
    found.add("a1", regions=["eu-west-1", "us-east-1"])
    found.add("a1", platform=Platform.AZURE, regions=["westeurope"], owner="sub-1")
    found.done()
    return found


@pytest.fixture
def run(audit: Audit) -> Run:
    """Run the command's own options on the world of the test, in a program like ours."""

    def invoke(*words: str) -> Result:
        def callback(**options: Any) -> None:
            chosen = {name: options[name] for name in ("only", "as_json", "as_csv", "results", "timeout")}
            with audit.drift(buckets=options["buckets"]) as found:
                conduct(found, **chosen)

        class One(Program):
            def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
                return click.Command(cmd_name, params=drift.params, callback=callback)

        return CliRunner().invoke(One("packer-publisher"), ["drift", *words])

    return invoke


def test_without_drift_the_status_is_0(run: Run) -> None:
    """One line for each bucket, and the sums."""
    found = run()
    assert (0, "web  3 correct\n\nNo drift: 1 bucket, 3 rows: 3 correct.\n") == (found.exit_code, found.stdout)


@pytest.mark.parametrize("deed", ["missing from the cloud", "missing from the registry", "incorrect"])
def test_drift_is_status_3(deed: str, audit: Audit, run: Run) -> None:
    """Whichever way the two differ; nothing is on stderr."""
    match deed:
        case "missing from the cloud":
            audit.delete(FIRST)
        case "missing from the registry":
            audit.add("new", days=5)
        case _:
            audit.disable(FIRST)
    found = run()
    assert (3, "") == (found.exit_code, found.stderr)
    assert f"  {deed}  " in found.stdout


def test_builds_of_others_alone_are_status_0(audit: Audit, run: Run) -> None:
    """They are told, and no error: the credentials are not meant to reach them. Alike ones are told once."""
    for number in range(3):
        audit.register(f"p{number}", "amazon-ebs", ("eu-west-1", f"ami-packers-{number}"))
    audit.register("s1", "amazon-ebs", ("eu-west-1", "ami-strangers"), owner="aws:999999999999")
    found = run()
    assert (
        0,
        "web  3 correct, 4 unreachable\n"
        "  unreachable  3 rows\n"
        "      why         Packer or somebody else made this build\n"
        "      what to do  nothing: packer-publisher does not touch it\n"
        "  unreachable  1 row\n"
        "      why         no credentials for aws:999999999999\n"
        "      what to do  run drift with credentials for aws:999999999999\n"
        "\n"
        "No drift: 1 bucket, 7 rows: 3 correct, 4 unreachable.\n",
    ) == (found.exit_code, found.stdout)


def test_a_closed_region_is_status_4_and_beats_drift(audit: Audit, run: Run) -> None:
    """What could not be reached is never 0; the rows are told all the same."""
    audit.disable(FIRST)
    audit.surveys[Platform.AWS].closed.add("us-east-1")
    found = run()
    assert 4 == found.exit_code
    assert "incorrect" in found.stdout
    assert (
        "not looked at: aws:111111111111, us-east-1\n"
        "  why         aws:111111111111, us-east-1 denies access\n"
        "  what to do  allow it, or leave it out with --region\n"
    ) in found.stdout
    assert (
        "Error: not everything could be looked at: aws:111111111111, us-east-1\n"
        "What to do: allow it, or leave it out with CLOUD or --region\n"
    ) == found.stderr


def test_a_closed_region_is_status_4_even_where_no_build_has_an_image(audit: Audit, run: Run) -> None:
    """A tagged image may be there that the registry lacks."""
    audit.add("other", regions=["ap-south-1"])
    audit.surveys[Platform.AWS].closed.add("ap-south-1")
    found = run()
    assert 4 == found.exit_code
    assert "No drift: 1 bucket, 3 rows: 3 correct." in found.stdout


def test_a_cloud_without_credentials_is_named(audit: Audit, run: Run) -> None:
    """With status 4, as for a single closed region."""
    audit.surveys[Platform.AZURE].shut = CredentialsTrouble("Azure knows no credentials", remedy="az login")
    found = run()
    assert 4 == found.exit_code
    assert "Error: not everything could be looked at: all of azure\n" in found.stderr


def test_what_does_not_answer_or_cannot_be_read_is_status_1(audit: Audit, run: Run) -> None:
    """It beats drift, too."""
    audit.disable(FIRST)
    audit.surveys[Platform.AWS].unread = [Unread(Scope(Platform.AWS, OWNER, "eu-west-1"), "ami-odd", "it has no name")]
    found = run()
    assert 1 == found.exit_code
    assert "Error: not everything could be looked at: see above\n" in found.stderr
    audit.surveys[Platform.AWS].unread = []
    audit.surveys[Platform.AWS].silent.add("us-east-1")
    assert 1 == run().exit_code


def test_a_row_says_what_is_wrong_and_which_command_mends_it(audit: Audit, run: Run) -> None:
    """Identifiers and commands stay in one piece."""
    audit.delete(FIRST)
    audit.add("new", days=5)
    assert (
        "web  2 correct, 2 missing\n"
        "  missing from the registry  new  amazon-ebs\n"
        "      image       eu-west-1:ami-new-eu-west-1\n"
        "      owner       aws:111111111111\n"
        "      why         there is no such version\n"
        "      what to do  packer-publisher backfill aws --bucket web\n"
        "  missing from the cloud  a1 (v1)  amazon-ebs\n"
        "      image       eu-west-1:ami-a1-eu-west-1\n"
        "      owner       aws:111111111111\n"
        "      why         aws:111111111111 has no such image in eu-west-1\n"
        "      what to do  revoke version v1 of bucket web in HCP Packer, then build it again with a new fingerprint\n"
        "\n"
        "Drift: 1 bucket, 4 rows: 2 correct, 2 missing.\n"
    ) == run().stdout


def test_only_chooses_the_rows_that_are_shown_and_nothing_else(audit: Audit, run: Run) -> None:
    """Sums, status and the written file are about all rows."""
    audit.delete(FIRST)
    found = run("--only", "correct", "--json")
    assert 3 == found.exit_code
    document = json.loads(found.stdout)
    assert {"correct"} == {row["verdict"] for row in document["rows"]}
    assert {"correct": 2, "missing": 1, "incorrect": 0, "unreachable": 0} == document["sums"]
    assert 2 == run("--only", "unreachable,missing").stdout.count("missing") - 1
    wrong = run("--only", "wrong")
    assert 2 == wrong.exit_code
    assert "'wrong' is none of correct, missing, incorrect, unreachable" in wrong.stderr


def test_the_json_is_stable(audit: Audit, run: Run) -> None:
    """Programs rely on these names; what does not apply is "", never left out."""
    audit.delete(FIRST)
    document = json.loads(run("--json").stdout)
    assert ["drift", "sums", "buckets", "scopes", "not_looked_at", "rows"] == list(document)
    assert document["drift"] is True
    assert {"correct": 2, "missing": 1, "incorrect": 0, "unreachable": 0} == document["buckets"]["web"]
    assert {"scope": "aws:111111111111, us-east-1", "state": "listed", "images": 1, "reason": ""} in document["scopes"]
    assert {
        "verdict": "missing",
        "how": "gone",
        "missing_from": "cloud",
        "bucket": "web",
        "fingerprint": "a1",
        "version": "v1",
        "component_type": "amazon-ebs",
        "platform": "aws",
        "owner": "aws:111111111111",
        "region": "eu-west-1",
        "identifier": "ami-a1-eu-west-1",
        "reason": "aws:111111111111 has no such image in eu-west-1",
        "remedy": "revoke version v1 of bucket web in HCP Packer, then build it again with a new fingerprint",
    } == next(row for row in document["rows"] if row["how"])


def test_json_of_nothing_is_json(audit: Audit, run: Run) -> None:
    """An empty list is a list."""
    assert [] == json.loads(run("--json", "--only", "incorrect").stdout)["rows"]


def test_the_csv_opens_with_a_csv_reader(audit: Audit, run: Run) -> None:
    """A heading, and as many cells in each row, whatever somebody wrote into the registry."""
    audit.register("p1", "amazon-ebs", ("eu-west-1", '=HYPERLINK("x"),\n"y"'))
    found = run("--csv")
    heading, *rows = csv.reader(io.StringIO(found.stdout))
    assert list(COLUMNS) == heading
    assert {len(COLUMNS)} == {len(row) for row in rows}
    assert [("unreachable", "foreign", '\'=HYPERLINK("x"),\\n"y"')] == [
        (row[0], row[1], row[10]) for row in rows if row[0] != "correct"
    ]


@pytest.mark.parametrize("name", ["results.csv", "results.json"])
def test_all_rows_are_written_to_a_file(name: str, tmp_path: Path, audit: Audit, run: Run) -> None:
    """Beside what is printed, in the form that the file's name says."""
    audit.delete(FIRST)
    path = tmp_path / name
    found = run("--only", "incorrect", "--write-results-path", str(path))
    assert 3 == found.exit_code
    text = path.read_text("utf-8")
    rows = list(csv.DictReader(io.StringIO(text))) if name.endswith("csv") else json.loads(text)["rows"]
    assert ["correct", "correct", "missing"] == sorted(row["verdict"] for row in rows)


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path, run: Run) -> None:
    """With status 2, after the comparison."""
    found = run("--write-results-path", str(tmp_path / "none" / "results.json"))
    assert 2 == found.exit_code
    assert "results.json cannot be written: No such file or directory" in found.stderr


def test_two_forms_at_once_are_refused() -> None:
    """Before anything is read."""
    found = CliRunner().invoke(program, ["drift", "aws", "--json", "--csv"])
    assert 2 == found.exit_code
    assert "--json and --csv exclude each other" in found.stderr
