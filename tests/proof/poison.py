"""Poison: event JSON that is spoiled in every way, through the three real entry points, alone and among good messages.

``python -m tests.proof.poison`` prints what became of how many inputs of which kind; with ``PROOF=long`` of a hundred
thousand, with ``PROOF_SEED=n`` of others. An input that breaks a rule (poison_rules) is written into
tests/events/poison/found, to become a case of the corpus.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from packer_publisher.image import Platform
from tests.proof.poison_clouds import Site, sites
from tests.proof.poison_corpus import keep
from tests.proof.poison_doors import Handled, Message
from tests.proof.poison_inputs import Input, Inputs
from tests.proof.poison_rules import broken_rules, longest_line

LONG = os.environ.get("PROOF") == "long"
SEED = int(os.environ.get("PROOF_SEED", "0"))
COUNT = 34_000 if LONG else 800
"""Inputs for each cloud: more than 100,000 in the long run, a few thousand in the normal one."""
SHOWN = 10
"""Failures that are printed and kept: the first ones tell what is wrong."""
ALONE = 40
"""Where a platform delivers one message at a time, a good one follows so many."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that broke rules: which one, which rules, and everything that was written when it was handled."""

    cloud: Platform
    number: int
    kind: str
    rules: tuple[str, ...]
    message: Message
    written: str

    def __str__(self) -> str:
        return (
            f"PROOF_SEED={SEED}, {self.cloud} input {self.number} ({self.kind}): {'; '.join(self.rules)}\n"
            f"  {self.message.headers} {self.message.path}\n  {self.message.body[:2000]!r}\n  {self.written[-2000:]}"
        )


@dataclass
class Tally:
    """What became of the inputs of one cloud, by kind and outcome, and of the good messages among them.

    ``kept`` counts the inputs that come again, ``longest`` is the longest log line in bytes.
    """

    cloud: Platform
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    neighbours: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    kept: int = 0
    longest: int = 0
    seconds: float = 0.0
    cpu: float = 0.0

    @property
    def inputs(self) -> int:
        """Return how many inputs were tried."""
        return self.outcomes.total()


def play(site: Site, seed: int, count: int) -> Tally:
    """Deliver the inputs of a seed to one cloud's function, with good messages among them, and judge every answer."""
    tally = Tally(site.platform)
    inputs = Inputs(site.platform, seed, site.events, site.images)
    rng = Random(f"{seed} {site.platform} neighbours")
    size = max(1, site.door.batch - 1)
    began, cpu = time.perf_counter(), time.process_time()
    with site.deployed():
        for first in range(0, count, size):
            some = [inputs[number] for number in range(first, min(first + size, count))]
            if site.door.batch > 1 or first % ALONE == 0:
                handled = _among(site, some, rng, tally, first)
            else:
                handled = site.door.deliver([found.message for found in some])
            for number, found, answer in zip(range(first, count), some, handled, strict=False):
                _judge(site, number, found, answer, tally)
    tally.seconds, tally.cpu = time.perf_counter() - began, time.process_time() - cpu
    return tally


def _among(site: Site, some: Sequence[Input], rng: Random, tally: Tally, first: int) -> list[Handled]:
    """Deliver inputs with a good message at any place among them; return what became of the inputs."""
    neighbour = site.neighbours[0] if rng.random() < 0.95 else site.neighbours[-1]
    messages = [found.message for found in some]
    at = rng.randrange(len(messages) + 1)
    messages.insert(at, neighbour.message)
    handled = site.door.deliver(messages)
    good = handled.pop(at)
    outcomes = {str(line["outcome"]) for line in good.reports}
    tally.neighbours.update(outcomes)
    if good.kept or good.escaped or not outcomes or not outcomes <= neighbour.outcomes:
        rule = f"a good message became {', '.join(sorted(outcomes)) or 'nothing'}, kept: {good.kept} {good.escaped}"
        tally.failures += [
            Failure(site.platform, first + number, found.kind, (rule,), found.message, good.written)
            for number, found in enumerate(some)
        ]
    return handled


def _judge(site: Site, number: int, found: Input, answer: Handled, tally: Tally) -> None:
    outcomes = sorted({str(line["outcome"]) for line in answer.reports})
    tally.outcomes[found.kind, "+".join(outcomes) or "sweep"] += 1
    tally.kept += answer.kept
    tally.longest = max(tally.longest, longest_line(answer.written))
    rules = broken_rules(answer, batch=site.door.batch, textual=found.textual, secrets=site.secrets())
    if rules:
        tally.failures.append(Failure(site.platform, number, found.kind, tuple(rules), found.message, answer.written))


def table(tallies: Sequence[Tally]) -> list[str]:
    """Return what became of which kind of input, in lines; answers with several outcomes are counted as several."""
    kinds: dict[str, Counter[str]] = {}
    for tally in tallies:
        for (kind, outcomes), number in tally.outcomes.items():
            counts = kinds.setdefault(kind, Counter())
            counts["inputs"] += number
            for outcome in outcomes.split("+"):
                counts[outcome] += number
    every = sorted({outcome for counts in kinds.values() for outcome in counts} - {"inputs"})
    lines = []
    for kind, counts in sorted(kinds.items()):
        told = ", ".join(f"{counts[outcome]:,} {outcome}" for outcome in every if counts[outcome])
        lines.append(f"{kind:<26} {counts['inputs']:>7,}: {told}")
    return lines


def figures(tallies: Sequence[Tally]) -> list[str]:
    """Return the figures of a run, in lines."""
    lines = []
    for tally in tallies:
        good = ", ".join(f"{number:,} {outcome}" for outcome, number in sorted(tally.neighbours.items()))
        lines.append(
            f"{tally.cloud}: {tally.inputs:,} inputs, {len(tally.failures)} against the rules, {tally.kept} kept; the "
            f"longest log line has {tally.longest:,} bytes; good messages among them: {good}; {tally.seconds:.0f} s, "
            f"{tally.cpu:.0f} s of CPU"
        )
    return lines


def main() -> int:
    """Play the inputs of all clouds and print the figures; keep what breaks a rule."""
    tallies: list[Tally] = []
    sys.stdout.write(f"Poison, seed {SEED}:\n")
    with sites() as found:
        for site in found.values():
            tallies.append(play(site, SEED, COUNT))
            sys.stdout.write(f"  {figures(tallies[-1:])[0]}\n")
            sys.stdout.flush()
    sys.stdout.writelines(f"    {line}\n" for line in table(tallies))
    failures = [failure for tally in tallies for failure in tally.failures]
    for failure in failures[:SHOWN]:
        path = keep(failure.cloud, f"seed-{SEED}-{failure.number}", failure.message)
        sys.stdout.write(f"{failure}\n  kept as {os.path.relpath(path, Path.cwd())}\n")
    total = sum(tally.inputs for tally in tallies)
    sys.stdout.write(f"  {total:,} inputs, {len(failures)} against the rules\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
