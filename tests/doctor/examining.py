"""An examination in the tests' own hands: its findings as a table, its probe answered by a function that is played."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from packer_publisher.doctor.run import Examination
from packer_publisher.examiners import Named, open_examination
from packer_publisher.finding import Finding, Verdict
from packer_publisher.image import Platform

_PRINCIPAL = "iam/project/22222222-2222-4222-8222-222222222222/service-principal/publisher"
FEDERATION = {"PUBLISHER_WORKLOAD_PROVIDER": f"{_PRINCIPAL}/workload-identity-provider/lambda"}
"""How the deployments that are examined come by HCP's credentials."""


def examine(
    platform: Platform,
    named: Named,
    environ: Mapping[str, str],
    *,
    probe: bool = False,
    before: Callable[[Examination], None] = lambda _run: None,
) -> list[Finding]:
    """Return what an examination finds."""
    with open_examination(platform, named, environ, 60.0, 1.0, lambda: probe, lambda _text: None) as run:
        before(run)
        return list(run.findings())


def bad(findings: list[Finding]) -> list[tuple[Verdict, str, str]]:
    """Return the findings that are neither right nor a note."""
    return [
        (found.verdict, found.about, found.text)
        for found in findings
        if found.verdict in (Verdict.WRONG, Verdict.UNKNOWN)
    ]


def only_wrong(findings: list[Finding]) -> Finding:
    """Return the one finding that says something is wrong; a second one would be a consequence told as a cause."""
    [found] = [found for found in findings if found.verdict is Verdict.WRONG]
    return found


def said(findings: list[Finding], about: str) -> list[str]:
    """Return what was said about a thing."""
    return [f"{found.verdict}: {found.text}" for found in findings if found.about == about]
