"""Exhaustive interleaving: no order of calls, crash or lost reply breaks a promise.

The longer run is opt-in: ``PROOF=long``. What each scenario came to is printed (``pytest -s``, or
``python -m tests.proof.explore``).
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from tests.proof.explore import explore
from tests.proof.interleaving import Exploration
from tests.proof.players import Logic, Scenario
from tests.proof.scenarios import longer, normal, three_clouds

# The states know no time, so nothing in them may wait for it; and a build is judged as its one writer left it, so the
# registry must have its compare-and-sets (without them sets are compared: tests/simulation, tests/backfill). What else
# is unknown a scenario names itself.
pytestmark = pytest.mark.switches(
    completion_lag=0.0,
    read_after_write="fresh",
    unset_to_done="accept",  # twice the states; the longer run plays it
    updates_after_done="refuse",
    platform_resent_same="refuse",
    platform_resent_after_create="refuse",
    duplicate_build_key="component_type",
)


LONG = os.environ.get("PROOF") == "long"


@pytest.mark.parametrize("scenario", normal(), ids=lambda scenario: scenario.name)
def test_no_interleaving_breaks_a_promise(scenario: Scenario) -> None:
    """Every state of every scenario was visited, and each promise held in all of them."""
    (figures,) = explore([scenario])
    assert figures.states < figures.transitions


@pytest.mark.skipif(not LONG, reason="the longer run: PROOF=long")
@pytest.mark.parametrize("scenario", longer(), ids=lambda scenario: scenario.name)
def test_no_interleaving_of_four_breaks_a_promise(scenario: Scenario) -> None:
    """The same with a fourth handler for three clouds, and under what is not known of the registry."""
    (figures,) = explore([scenario])
    assert figures.states < figures.transitions


def test_mishaps_are_really_explored() -> None:
    """Without a crash and a lost reply there is far less to see."""
    calm = Exploration(replace(three_clouds("platforms on all"), mishaps=0)).run()
    rough = Exploration(three_clouds("platforms on all")).run()
    assert calm.states * 4 < rough.states


def test_the_same_scenario_is_explored_alike_each_time() -> None:
    """A second search visits as many states by as many ways."""
    first, second = (Exploration(three_clouds("not at all"), Logic()).run() for _ in range(2))
    assert (first.states, first.transitions) == (second.states, second.transitions)
