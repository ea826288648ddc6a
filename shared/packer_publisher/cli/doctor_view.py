"""How an examination looks: a line for each thing, with what mends it below, and a sum."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

import click

from packer_publisher.cli.tables import line_width
from packer_publisher.finding import Finding, Verdict
from packer_publisher.wording import shown

COLOURS = {Verdict.RIGHT: "green", Verdict.NOTE: "yellow", Verdict.UNKNOWN: "magenta", Verdict.WRONG: "red"}
WIDTH = max(len(word) for word in Verdict)


class Sheet:
    """The examination on a terminal, printed as it goes on: a person sees at once what takes time."""

    def begin(self, title: str) -> None:
        """Print what is examined."""
        click.echo(shown(title, 200))

    def line(self, finding: Finding) -> None:
        """Print one finding."""
        word = click.style(f"{finding.verdict:{WIDTH}}", fg=COLOURS[finding.verdict])
        said = _wrapped(f"{finding.about}: {finding.text}")
        for number, text in enumerate(said):
            click.echo(f"  {word if number == 0 else ' ' * WIDTH}  {text}")
        if finding.remedy and finding.verdict is not Verdict.RIGHT:
            for number, text in enumerate(_wrapped(finding.remedy, 2)):
                click.echo(f"  {'':{WIDTH}}  {'> ' if number == 0 else '  '}{text}")

    def end(self, findings: Sequence[Finding]) -> None:
        """Print how many things are how."""
        counts = Counter(found.verdict for found in findings)
        sums = [
            f"{counts[verdict]} {verdict}{'s' if verdict is Verdict.NOTE and counts[verdict] > 1 else ''}"
            for verdict in Verdict
            if counts[verdict]
        ]
        click.echo(", ".join(sums) or "nothing found")


def as_object(
    findings: Sequence[Finding], *, cloud: str, where: str, version: str, configuration: str, status: int
) -> dict[str, object]:
    """Return an examination for programs."""
    return {
        "cloud": cloud,
        "deployment": where,
        "doctor_version": version,
        "configuration": configuration or None,
        "exit_status": status,
        "findings": [
            {
                "verdict": str(found.verdict),
                "about": found.about,
                "text": found.text,
                "remedy": found.remedy or None,
            }
            for found in findings
        ],
    }


def _wrapped(text: str, hanging: int = 0) -> list[str]:
    """Return foreign text in lines that fit; whole where stdout is no terminal."""
    lines = [shown(line, 2000) for line in text.splitlines()] or [""]
    width = line_width()
    if width is None:
        return lines
    room = max(30, width - WIDTH - 4 - hanging)
    folded = [textwrap.wrap(line, room, break_long_words=False, break_on_hyphens=False) or [""] for line in lines]
    return [part for line in folded for part in line]
