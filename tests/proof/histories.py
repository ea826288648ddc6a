"""Random histories of the state machine, and what they did in figures.

``python -m tests.proof.histories`` plays those of the normal run and prints the figures; with ``PROOF=long`` it plays
more, with ``PROOF_SEED=n`` those from another seed, with ``PROOF_SHRINK=1`` a failing one is made smaller (minutes).
"""

from __future__ import annotations

import os
import sys
import time

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.proof.machine import Machine
from tests.proof.stage import totals
from tests.switches import EXPECTED

LONG = os.environ.get("PROOF") == "long"
FIRST = int(os.environ.get("PROOF_SEED", "0"))
SEEDS = range(FIRST, FIRST + (64 if LONG else 8))

PROFILE = settings(
    max_examples=500 if LONG else 75 if EXPECTED else 15,
    stateful_step_count=60,
    deadline=None,
    database=None,  # a seed says it all
    derandomize=False,
    print_blob=False,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink) if os.environ.get("PROOF_SHRINK") else (Phase.generate,),
)


def play(number: int) -> None:
    """Play the histories of one seed; raises what the first bad one raises, with its steps and the seed as notes."""
    try:
        run_state_machine_as_test(seed(number)(type(f"Machine{number}", (Machine,), {})), settings=PROFILE)
    except Exception as error:
        error.add_note(f"PROOF_SEED={number}")
        raise


def figures() -> list[str]:
    """Return what this process has played so far, in lines."""
    faults = sum(count for name, count in totals.items() if name.startswith("met "))
    return [
        f"{totals['runs']:,} histories, {totals['looks']:,} states looked at, {faults:,} faults met",
        f"{totals['calls']:,} calls in flight, {totals['calls of Packer']:,} calls of Packer",
        *(f"{count:,} {name}" for name, count in sorted(totals.items()) if name.startswith(("ends ", "reported "))),
    ]


def main() -> None:
    """Play all seeds and print the figures."""
    began = time.process_time()
    for number in SEEDS:
        play(number)
    lines = [f"seeds {SEEDS.start} to {SEEDS.stop - 1}", *figures(), f"{time.process_time() - began:.0f} s of CPU"]
    sys.stdout.write("State machine: " + "\n  ".join(lines) + "\n")


if __name__ == "__main__":
    main()
