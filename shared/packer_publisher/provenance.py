"""Where a build comes from, in Packer's shapes: the metadata of git, of the CI run and of Packer, read off labels.

Only what the labels say for certain is told. The shapes, and the names of the details, are those that Packer's own
client sends (hashicorp/packer, internal/hcp/registry/metadata); of most details no tag knows anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from packer_publisher.labels import MAX_LABEL_VALUE

GIT_SHA = "git_sha"
"""The label in which Packer writes the commit: the first of all labels that it adds."""
COMMIT_KEYS = (GIT_SHA, "git-sha", "git-commit")
CI_RUN = "ci-run"
PACKER_VERSION = "packer-version"

_COMMIT = re.compile(r"[0-9A-Fa-f]{7,64}")
_PACKER = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.-]+)?")
# Gitea and Forgejo have the same paths as GitHub, so the host must be GitHub's own; `/-/` is GitLab's own, wherever
# it runs. A number alone, or the URL of a Jenkins, could be anybody's.
_GITHUB = re.compile(
    r"(?P<run>https://(?:github\.com|[a-z0-9-]+\.ghe\.com)/(?P<repository>[\w.-]+/[\w.-]+)/actions/runs/[0-9]+)"
    r"(?:/attempts/[0-9]+|/job/[0-9]+)?/?",
    re.ASCII,
)
_GITLAB = re.compile(
    r"(?P<project>https?://[\w.-]+(?::[0-9]+)?(?:/[\w.-]+){2,})/-/(?P<what>pipelines|jobs)/[0-9]+", re.ASCII
)
_GITLAB_RUN = {"pipelines": "CI_PIPELINE_URL", "jobs": "CI_JOB_URL"}


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known of a build's origin; "" and () where it is not.

    ``ci`` is Packer's word for the system, ``ci_details`` are variables of that system, sorted.
    """

    commit: str = ""
    ci: str = ""
    ci_details: tuple[tuple[str, str], ...] = ()
    packer_version: str = ""

    @property
    def document(self) -> dict[str, Any]:
        """Return the metadata as Packer sends them: null for a part of which nothing is known, but never for itself."""
        return {
            "packer": {"version": self.packer_version} if self.packer_version else {},
            "vcs": {"type": "git", "details": {"commit": self.commit}} if self.commit else None,
            "cicd": {"type": self.ci, "details": dict(self.ci_details)} if self.ci else None,
        }


def read_metadata(labels: Iterable[tuple[str, str]]) -> Metadata | None:
    """Return what a build's labels tell of its origin, None where they tell nothing for certain."""
    known = dict(labels)
    version = known.get(PACKER_VERSION, "")
    ci, details = _ci(known.get(CI_RUN, ""))
    found = Metadata(_commit(known), ci, details, version if _PACKER.fullmatch(version) else "")
    return found if found != Metadata() else None


def in_packers_words(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels with the commit under Packer's own name, whatever tag it came from.

    A value that is no commit stays a label under its own name, and so do values that name different commits.
    """
    commit = _commit(labels)
    rest = {key: value for key, value in labels.items() if key not in COMMIT_KEYS or not _COMMIT.fullmatch(value)}
    return {**rest, GIT_SHA: commit} if commit and GIT_SHA not in rest else dict(labels)


def commits(labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return the different commits that labels name, sorted; a short form beside its long one is not another."""
    named = {labels[key].lower() for key in COMMIT_KEYS if _COMMIT.fullmatch(labels.get(key, ""))}
    return tuple(sorted(one for one in named if not any(other != one and other.startswith(one) for other in named)))


def _commit(labels: Mapping[str, str]) -> str:
    named = commits(labels)
    return named[0] if len(named) == 1 else ""


def _ci(run: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    if len(run) >= MAX_LABEL_VALUE:
        return "", ()  # it may have lost its end
    if found := _GITHUB.fullmatch(run):
        return "github", (("GITHUB_REPOSITORY", found["repository"]), ("GITHUB_WORKFLOW_URL", found["run"]))
    if found := _GITLAB.fullmatch(run):
        return "gitlab", tuple(sorted(((_GITLAB_RUN[found["what"]], run), ("CI_PROJECT_URL", found["project"]))))
    return "", ()
