"""The suite under every setting of the local registry's switches: ``python -m tests.proof.switches``.

At first all tests are played under the defaults, and what each test's registries ask for is written down. A test whose
registries never ask for a switch goes the same way under each of its settings; so each setting is then played by the
tests that ask for a switch which it changes, and those that ask for none are left out (and listed). The settings are
the fewest combinations that hold each single variation, each single variation, then random combinations, whose seeds
are printed.

The first are played by all tests, the others by those that take less than a second; with ``PROOF=long`` by all of them,
and there are more random ones. ``PROOF_SEED=n`` begins with another seed. ``--defaults FILE`` keeps what the defaults
came to in a file, or takes it from there; other arguments are ``name=setting`` words: the one setting to be played, and
that by all tests.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packer_publisher.local.registry_switches import Switches
from tests.proof.asked import Played, read
from tests.switches import VARIABLE, survivable, words

LONG = os.environ.get("PROOF") == "long"
FIRST = int(os.environ.get("PROOF_SEED", "0"))
RANDOM = 20 if LONG else 4
JOBS = os.environ.get("JOBS", "auto")
"""Processes that play a setting's tests, as pytest-xdist takes it."""
QUICK = 1.0
"""Seconds that a test takes at most to be played under each single setting in the normal run."""


@dataclass(frozen=True)
class Row:
    """One setting, and what the tests that can tell came to under it."""

    name: str
    switches: Switches
    played: Sequence[Played]
    seconds: float

    @property
    def failed(self) -> list[Played]:
        """Return the tests that failed."""
        return [test for test in self.played if test.outcome == "failed"]

    def __str__(self) -> str:
        ends = Counter(test.outcome for test in self.played)
        counts = f"{ends['passed']:>5} passed {ends['failed']:>3} failed {self.seconds:>6.0f} s"
        failures = "".join(f"\n    {test.test}\n        {test.why}" for test in self.failed)
        return f"{self.name:<64} {counts}{failures}"


def settings() -> Iterator[tuple[str, Switches, bool]]:
    """Yield every setting with its name, and whether the slow tests are played, too."""
    for number, switches in enumerate(covering(FIRST)):
        yield f"{len(switches.deviations())} at once, number {number} of seed {FIRST}", switches, True
    for switches in Switches.variations():
        yield " ".join(words(switches)), switches, LONG
    for seed in range(FIRST, FIRST + RANDOM):
        yield f"random, seed {seed}", survivable(Switches.random(random.Random(seed))), LONG


def covering(seed: int) -> Iterator[Switches]:
    """Yield the fewest random combinations that hold each single variation once."""
    left = list(Switches.variations())
    random.Random(seed).shuffle(left)
    while left:
        together = Switches()
        for single in tuple(left):
            ((name, value),) = single.deviations().items()
            wider = replace(together, **{name: value})
            if name not in together.deviations() and wider == survivable(wider):
                together = wider
                left.remove(single)
        yield together


def play(switches: Switches, tests: Iterable[str], kept: Path | None = None, jobs: str = JOBS) -> list[Played]:
    """Play tests under a setting, in a process of their own; raises RuntimeError where pytest itself fails."""
    with tempfile.TemporaryDirectory() as folder:
        chosen, written = Path(folder) / "tests", kept or Path(folder) / "asked"
        chosen.write_text("\n".join(tests), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-n", jobs, "-p", "tests.proof.asked", "--asked", str(written)]
        environ = {name: value for name, value in os.environ.items() if name not in ("PROOF", "PROOF_SEED")}
        environ[VARIABLE] = " ".join(words(switches))
        ran = subprocess.run([*command, f"@{chosen}"], env=environ, capture_output=True, text=True, check=False)
        if ran.returncode not in (0, 1):
            raise RuntimeError(f"pytest ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
        return read(written)


def row(name: str, switches: Switches, defaults: Sequence[Played]) -> Row:
    """Play a setting with all the tests that can tell."""
    began = time.monotonic()
    tests = [test.test for test in defaults if switches.deviations().keys() & set(test.asked)]
    return Row(name, switches, play(switches, tests) if tests else (), time.monotonic() - began)


def left_out(defaults: Sequence[Played]) -> str:
    """Return which files have tests that ask a registry for nothing, and how many."""
    files = Counter(test.test.partition("::")[0] for test in defaults if not test.asked)
    return ", ".join(f"{name} ({count})" for name, count in sorted(files.items()))


def main(arguments: Sequence[str]) -> int:
    """Print a row for each setting; exit status 1 where a test failed."""
    kept = Path(arguments[1]) if arguments[:1] == ["--defaults"] else None
    chosen = arguments[2:] if kept else arguments
    defaults = read(kept) if kept and kept.exists() else play(Switches(), ["tests"], kept)
    print(f"Left out, as they ask no registry for a switch: {left_out(defaults)}.", flush=True)
    asking = [test for test in defaults if test.asked]
    rows = [Row("defaults", Switches(), defaults, sum(test.seconds for test in defaults))]
    print(rows[0], flush=True)
    for name, switches, slow in [(" ".join(chosen), Switches.parse(chosen), True)] if chosen else settings():
        rows.append(row(name, switches, [test for test in asking if slow or test.seconds < QUICK]))
        print(rows[-1], flush=True)
    failed = [found for found in rows if found.failed]
    print(
        f"{len(rows)} settings, {sum(len(found.played) for found in rows):,} tests played, "
        f"{sum(len(found.failed) for found in rows)} failed under {len(failed)} settings, "
        f"{sum(found.seconds for found in rows):.0f} s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
