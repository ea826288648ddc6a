"""How long a message rests after trouble."""

from __future__ import annotations

import pytest

from packer_publisher.clouds.aws_queue import rest, stretch


def highest(low: float, high: float) -> float:
    """Pick the longest rest."""
    return high


def lowest(low: float, high: float) -> float:
    """Pick the shortest rest."""
    return low


@pytest.mark.parametrize(
    ("tries", "most"), [(0, 60), (1, 60), (2, 120), (3, 240), (4, 480), (5, 900), (6, 900), (10_000, 900)]
)
def test_the_ceiling_doubles_up_to_fifteen_minutes(tries: int, most: int) -> None:
    """Jitter picks from the upper half, so that 200 receives outlast a day for every single message."""
    assert most == rest(tries, None, highest)
    assert most // 2 == rest(tries, None, lowest)


@pytest.mark.parametrize(("asked", "seconds"), [(10.0, 30), (90.0, 90), (3600.0, 3600), (1e9, 43_000)])
def test_what_the_other_side_asks_for_is_honoured(asked: float, seconds: int) -> None:
    """Even beyond the cap, within the 12 hours that SQS allows."""
    assert seconds == rest(1, asked, lowest)


def test_two_hundred_tries_outlast_a_day() -> None:
    """At the very shortest, 200 receives until the dead-letter queue: an outage of a day loses nothing."""
    shortest = sum(rest(tries, None, lowest) for tries in range(1, 200))

    assert 24 * 3600 < shortest


def test_nothing_to_stretch_is_no_call() -> None:
    """No client is made for it: there is no address to ask here."""
    assert {} == stretch("", "", {})
