"""The negative controls: the search that finds nothing wrong with the product finds each of these mistakes."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from packer_publisher.local.registry_switches import Switches
from tests.proof.controls import CONTROLS, Control
from tests.proof.interleaving import Exploration, Violation

# A mistake is made in one known world, whatever the setting of the other tests.
pytestmark = pytest.mark.switches(**asdict(Switches()))


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)
def test_each_mistake_is_caught_and_named(control: Control) -> None:
    """A handler that makes the mistake breaks the invariant that it is known to break, within a trace of calls."""
    with pytest.raises(Violation) as caught:
        Exploration(control.scenario(control.style), control.logic()).run()
    print(f"{control.name:<42} caught as: {caught.value.kind}, after {len(caught.value.trace)} steps")  # noqa: T201 (a figure of the proof)
    assert control.breaks == caught.value.kind, str(caught.value)
    assert caught.value.trace, "the way to it is part of the finding"


def test_the_nine_mistakes_are_all_there() -> None:
    """The suite holds every control that was asked for, once."""
    assert 9 == len({control.logic for control in CONTROLS}) == len(CONTROLS)


@pytest.mark.parametrize(("scenario", "style"), sorted({(c.scenario, c.style) for c in CONTROLS}, key=str))
def test_without_the_mistake_nothing_is_found(scenario: object, style: str) -> None:
    """The very scenarios in which the mistakes show are clean with the product's own decisions."""
    assert callable(scenario)
    assert Exploration(scenario(style)).run().states > 10_000
