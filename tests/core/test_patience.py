"""How often a question is put again, and how long it waits in between."""

from __future__ import annotations

import pytest

from packer_publisher.deadline import Deadline
from packer_publisher.patience import SURVEY, Patience


def test_pauses_double_up_to_a_bound() -> None:
    """The first is a second; what a function has no time for is left to its platform."""
    patience = Patience(tries=7, bound=10.0)

    assert [1.0, 2.0, 4.0, 8.0, 10.0, 10.0, None] == [patience.pause(tries) for tries in range(1, 8)]


def test_a_wait_that_is_asked_for_is_kept_unless_it_is_too_long() -> None:
    """A longer one is not cut short: it is given up."""
    patience = Patience(tries=9, longest=10.0)

    assert [0.0, 7.5, 10.0, None] == [patience.pause(1, asked) for asked in (0.0, 7.5, 10.0, 10.1)]


@pytest.mark.parametrize("asked", [None, 30.0])
def test_no_two_askers_wait_alike(asked: float | None) -> None:
    """Where many are throttled together each draws its pause, never less than it was asked for."""
    drawn = iter([0.0, 0.25, 0.999])
    patience = Patience(tries=9, longest=60.0, draw=lambda: next(drawn))

    least = asked or 0.0
    assert [least, least + 1.0, least + 3.996] == [patience.pause(tries, asked) for tries in (1, 3, 3)]


def test_an_answer_that_is_only_doubted_is_not_waited_out() -> None:
    """It is asked for twice more, however patient one is."""
    patience = Patience(tries=10)

    assert [1.0, 2.0, None] == [patience.pause(tries, doubted=True) for tries in (1, 2, 3)]
    assert None is Patience(tries=2).pause(2, doubted=True)


def test_each_question_of_a_survey_has_its_own_deadline() -> None:
    """A survey lasts as long as there are images; a function's calls share one deadline."""
    time = [100.0]
    shared = Deadline.after(5.0)

    patience = Patience(seconds=60.0, clock=lambda: time[0])
    first = patience.begin()
    time[0] = 200.0

    assert [160.0, 260.0] == [first.at, patience.begin().at]
    assert shared is Patience.until(shared).begin()


def test_a_survey_is_patient_within_bounds() -> None:
    """All pauses of a question, with what a cloud may ask for at most, end by number; and all fit their deadline."""
    worst = [SURVEY.pause(tries) for tries in range(1, 11)]

    assert (10, None) == (len(worst), worst[-1])
    assert sum(wait or 0.0 for wait in worst) < SURVEY.seconds
    assert SURVEY.longest < SURVEY.seconds
