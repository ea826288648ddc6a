"""Metadata in Packer's shapes, and nothing that a label does not say for certain."""

from __future__ import annotations

import pytest

from packer_publisher.provenance import Metadata, in_packers_words, read_metadata

SHA = "3f2a9c1b7d04e5f60718293a4b5c6d7e8f901234"


def document(**labels: str) -> dict[str, object] | None:
    found = read_metadata((key.replace("_", "-"), value) for key, value in labels.items())
    return None if found is None else found.document


def test_all_that_tags_can_tell_has_packers_shape() -> None:
    """The names of types and details are Packer's own."""
    run = "https://github.com/acme/images/actions/runs/11223344"
    assert {
        "packer": {"version": "1.16.0"},
        "vcs": {"type": "git", "details": {"commit": SHA}},
        "cicd": {"type": "github", "details": {"GITHUB_REPOSITORY": "acme/images", "GITHUB_WORKFLOW_URL": run}},
    } == document(git_sha=SHA, ci_run=run, packer_version="1.16.0")


def test_what_is_not_known_is_null_as_packer_sends_it() -> None:
    """Where nothing is known at all, nothing is sent."""
    assert {"packer": {}, "vcs": {"type": "git", "details": {"commit": SHA[:7]}}, "cicd": None} == document(
        git_commit=SHA[:7]
    )
    assert {"packer": {"version": "1.9.0-dev"}, "vcs": None, "cicd": None} == document(packer_version="1.9.0-dev")
    assert document(packer_run_uuid="6f3c", ci_run="11223344", git_sha="main", packer_version="1-16-0") is None


@pytest.mark.parametrize(
    ("run", "ci", "details"),
    [
        (
            "https://github.com/acme/images/actions/runs/7/attempts/2",
            "github",
            {"GITHUB_REPOSITORY": "acme/images", "GITHUB_WORKFLOW_URL": "https://github.com/acme/images/actions/runs/7"},
        ),
        (
            "https://acme.ghe.com/acme/images/actions/runs/7",
            "github",
            {
                "GITHUB_REPOSITORY": "acme/images",
                "GITHUB_WORKFLOW_URL": "https://acme.ghe.com/acme/images/actions/runs/7",
            },
        ),
        (
            "https://gitlab.com/acme/sub/images/-/pipelines/99",
            "gitlab",
            {
                "CI_PIPELINE_URL": "https://gitlab.com/acme/sub/images/-/pipelines/99",
                "CI_PROJECT_URL": "https://gitlab.com/acme/sub/images",
            },
        ),
        (
            "http://git.corp:8080/acme/images/-/jobs/99",
            "gitlab",
            {"CI_JOB_URL": "http://git.corp:8080/acme/images/-/jobs/99", "CI_PROJECT_URL": "http://git.corp:8080/acme/images"},
        ),
    ],
)  # fmt: skip
def test_a_run_is_told_where_its_url_is_one_systems_own(run: str, ci: str, details: dict[str, str]) -> None:
    """GitHub's host, or the path that only GitLab has."""
    found = read_metadata([("ci-run", run)])
    assert Metadata(ci=ci, ci_details=tuple(sorted(details.items()))) == found


@pytest.mark.parametrize(
    "run",
    [
        "11223344",
        "https://gitea.corp/acme/images/actions/runs/7",  # Gitea has GitHub's paths
        "https://github.com.evil.example/acme/images/actions/runs/7",
        "https://user:token@gitlab.com/acme/images/-/pipelines/99",
        "https://jenkins.corp/job/images/7/",
        "https://github.com/acme/images/actions/runs/7?x=1",
        "https://github.com/acme/images/pull/7",
        "https://gitlab.com/acme/images/pipelines/99",
        "https://github.com/" + "a" * 211 + "/images/actions/runs/12345",  # as long as a label may be: cut, perhaps
    ],
)
def test_a_run_that_could_be_anybodys_is_a_label_only(run: str) -> None:
    """Nothing is guessed, and what may have lost its end is not read."""
    assert read_metadata([("ci-run", run)]) is None


def test_the_commit_has_packers_label_whatever_tag_it_came_from() -> None:
    """Packer writes git_sha first of all labels; consumers look for that one."""
    assert {"git_sha": SHA, "team": "a"} == in_packers_words({"git-commit": SHA, "team": "a"})
    assert {"git_sha": SHA} == in_packers_words({"git-sha": SHA[:12], "git_sha": SHA})
    assert {"git_sha": SHA} == in_packers_words({"git-sha": SHA.upper()})


@pytest.mark.parametrize(
    "labels",
    [
        {"git-sha": "main"},
        {"git-sha": "3f2a9c"},
        {"git-sha": SHA, "git-commit": "0" * 40},
        {"git_sha": "main", "git-commit": SHA},
        {},
    ],
)
def test_what_is_no_commit_or_no_certain_one_keeps_its_label(labels: dict[str, str]) -> None:
    """Six digits, a branch, two commits: all stay as they are."""
    assert labels == in_packers_words(labels)


def test_two_commits_are_no_commit() -> None:
    """Which of them the image was built from is not known."""
    assert read_metadata([("git-sha", SHA), ("git-commit", "0" * 40)]) is None
