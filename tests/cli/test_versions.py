"""``packer-publisher versions`` as a person calls it, against the local registry over HTTP."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.cli.terminal import CTRL_C, on_terminal
from tests.publishing import Service, service
from tests.simulation.world import event
from tests.switches import catch_up, completing, fresh

from packer_publisher.cli.program import program
from packer_publisher.deadline import Deadline
from packer_publisher.image import Platform


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A registry in which an Azure image waits for a Google one."""
    with service() as found:
        found.bucket()
        for name, value in found.registry.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PUBLISHER_CONFIG", '{"buckets": {"*": {}}}')
        tags = {
            "hcp-packer-bucket": "web",
            "hcp-packer-fingerprint": "a1",
            "hcp-packer-expects": "azure-arm googlecompute",
        }
        (ref,) = found.world.add(Platform.AZURE, "sub-1", "web", ["westeurope"], tags)
        found.function().on_event(event(ref, at=found.clock()), Deadline.after(30))
        catch_up(found.registry.model, "web", "a1")
        yield found


def run(*words: str, answer: str = "") -> Result:
    return CliRunner().invoke(program, ("versions", *words), prog_name="packer-publisher", input=answer)


def name(at: Service) -> str:
    return str(fresh(at.registry.model).get_version("web", "a1")["version"]["name"])


@pytest.mark.switches(completion_lag=0.0, done_without_artifacts="accept")
def test_a_person_sees_the_plan_and_confirms(at: Service) -> None:
    """The builds, what would be written, what becomes of latest; no is no."""
    asked = run("complete", "web", "a1", "--without", "googlecompute", answer="n\n")
    assert 1 == asked.exit_code
    for line in (
        "web/a1 (v0, open)",
        "  would set build googlecompute to DONE",
        "  would delete build googlecompute, which is empty",
        "  channel latest: (none) -> this version",
        "  other channels stay; the next sweep that sees its images sets those that they or the bucket ask for",
        "Complete this version? It cannot be undone.",
    ):
        assert line in asked.stdout
    assert "v0" == name(at)
    done = run("complete", "web", "a1", "--without", "googlecompute", answer="y\n")
    assert 0 == done.exit_code, done.output
    assert "completed  web/a1 is v1" in done.stdout
    assert "v1" == name(at)


@pytest.mark.parametrize(
    "words", [("complete", "--without", "googlecompute"), ("abandon",)], ids=lambda words: words[0]
)
def test_ctrl_c_at_the_question_writes_nothing(at: Service, tmp_path: Path, words: tuple[str, ...]) -> None:
    """It is no "no", which has status 1: nobody took a decision."""
    command, *options = words
    with on_terminal(("versions", command, "web", "a1", *options), dict(os.environ), tmp_path) as screen:
        screen.until("[y/N] ")
        screen.type(CTRL_C)
        assert 130 == screen.end(), screen.seen
    assert "v0" == name(at)


@pytest.mark.switches(
    completion_lag=0.0,
    read_after_write="fresh",
    done_without_artifacts="accept",
    unset_to_done="accept",
    delete_build_on_complete="accept",
)
def test_a_program_gets_json_and_is_never_asked(at: Service) -> None:
    """--json needs --yes or --dry-run."""
    assert 2 == run("complete", "web", "a1", "--without", "googlecompute", "--json").exit_code
    planned = json.loads(run("complete", "web", "a1", "--without", "gOOglecompute", "--dry-run", "--json").stdout)
    assert (True, "v0") == (planned["dry_run"], planned["version"])
    assert "v0" == name(at)
    done = json.loads(run("complete", "web", "a1", "--without", "googlecompute", "--yes", "--json").stdout)
    assert ("v1", planned["steps"]) == (done["version"], done["steps"])


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (("complete", "web", "a1", "--yes"), 1, "still waits for googlecompute"),
        (("complete", "web", "none", "--yes"), 1, "version none of bucket web does not exist"),
        (("complete", "w", "a1", "--yes"), 2, "is no bucket name"),
        (("complete", "web", "a/1", "--yes"), 2, "is no version fingerprint"),
        (("complete", "web", "a1", "--without", "a b", "--yes"), 2, "is no component type"),
        (("abandon", "web", "a1", "--undo", "--yes"), 1, "is not abandoned"),
    ],
)
def test_bad_input_is_an_error_that_changes_nothing(
    at: Service, words: tuple[str, ...], status: int, text: str
) -> None:
    """What happened on stderr, with what to do."""
    before = fresh(at.registry.model).get_version("web", "a1")
    result = run(*words)
    assert status == result.exit_code
    assert text in result.stderr
    assert before == fresh(at.registry.model).get_version("web", "a1")


@pytest.mark.switches(read_after_write="fresh", unset_to_done="accept")  # the other build is DONE, then
def test_who_abandons_a_version_sees_what_is_written_and_confirms(at: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for completing; a dry run asks nothing, and in a container nobody may have a name."""
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 7)
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    plan = (
        "web/a1 (v0, open)",
        "  would label build googlecompute as abandoned",
        "  channels, and latest, stay where they are",
    )
    asked, dry = run("abandon", "web", "a1", answer="n\n"), run("abandon", "web", "a1", "--dry-run")
    assert (1, 0) == (asked.exit_code, dry.exit_code)
    assert (True, False) == ("Abandon web/a1? [y/N]" in asked.stdout, "[y/N]" in dry.stdout)
    for result in (asked, dry):
        assert [*plan] == [line for line in result.stdout.splitlines() if line in plan]
    assert "is not abandoned" in run("abandon", "web", "a1", "--undo", "--yes").stderr
    done = run("abandon", "web", "a1", answer="y\n")
    assert (0, True) == (done.exit_code, "\nabandoned  web/a1\n" in done.stdout)
    catch_up(at.registry.model, "web", "a1")
    builds = fresh(at.registry.model).get_version("web", "a1")["version"]["builds"]
    assert ["by somebody on"] == [build["labels"]["abandoned"][:14] for build in builds if not build["artifacts"]]


@pytest.mark.parametrize("words", [("complete", "web", "a1", "--without", "googlecompute"), ("abandon", "web", "a1")])
def test_nothing_is_decided_while_the_registry_is_off(
    at: Service, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """Who switched writing off means commands, too; a dry run may look."""
    monkeypatch.setenv("HCP_PACKER_REGISTRY", "off")
    before = at.registry.model.get_version("web", "a1")
    refused = run(*words, "--yes")
    assert (2, "", True) == (
        refused.exit_code, refused.stdout, "HCP_PACKER_REGISTRY is off: nothing would be written" in refused.stderr,
    )  # fmt: skip
    assert 0 == run(*words, "--dry-run").exit_code
    assert before == at.registry.model.get_version("web", "a1")


def test_a_version_is_abandoned_and_taken_up_again(at: Service) -> None:
    """Its events are rejected in between, with the command that takes it back."""
    assert 0 == run("abandon", "web", "a1", "--yes").exit_code
    catch_up(at.registry.model, "web", "a1")
    tags = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "a1"}
    (ref,) = at.world.add(Platform.GCE, "project-1", "web", ["europe-west1-b"], tags)
    report, _ = at.deliver(at.function(), ref)
    assert "version a1 of bucket web was abandoned: by " in report.reason
    assert "packer-publisher versions abandon web a1 --undo" in report.remedy
    assert 0 == run("abandon", "web", "a1", "--undo", "--yes").exit_code
    catch_up(at.registry.model, "web", "a1")
    report, _ = at.deliver(at.function(), ref)
    assert completing() == report.outcome
