"""Explore every interleaving and print what was visited: ``python -m tests.proof.explore`` (``--long`` for all)."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tests.proof.controls import CONTROLS
from tests.proof.interleaving import Exploration
from tests.proof.players import Figures, Scenario
from tests.proof.scenarios import longer, normal


def explore(scenarios: Iterable[Scenario]) -> list[Figures]:
    """Explore scenarios one after the other, a line for each; raises Violation at the first that breaks a rule."""
    found = []
    for scenario in scenarios:
        found.append(Exploration(scenario).run())
        sys.stdout.write(f"{found[-1]}\n")
        sys.stdout.flush()
    return found


def total(found: Iterable[Figures]) -> str:
    """Return the sum of what was explored, as one line."""
    found = list(found)
    return (
        f"{len(found)} scenarios, {sum(f.states for f in found):,} states, "
        f"{sum(f.transitions for f in found):,} transitions, {sum(f.seconds for f in found):.0f} s: 0 violations"
    )


def main() -> None:
    """Print the figures of the normal run or, with ``--long``, of the normal and the longer one."""
    found = explore(normal())
    if "--long" in sys.argv[1:]:
        found += explore(longer())
    sys.stdout.write(f"{total(found)}\n")
    for control in CONTROLS:
        violation = Exploration(control.scenario(control.style), control.logic()).shortest()
        if violation is None:
            raise SystemExit(f"the mistake was not seen: {control.name}")
        sys.stdout.write(f"{control.name:<42} caught: {violation.kind}, in {len(violation.trace)} steps\n")


if __name__ == "__main__":
    main()
