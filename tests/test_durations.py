"""Durations as a person types them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from packer_publisher.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (timedelta(minutes=2), "2m"),
        (timedelta(hours=6), "6h"),
        (timedelta(hours=1, minutes=30), "1h30m"),
        (timedelta(hours=1, minutes=30), "1.5h"),
        (timedelta(days=2), "48h"),
        (timedelta(days=7), "7d"),
        (timedelta(0), "0s"),
        (timedelta(days=1, hours=2, minutes=3, seconds=4), "1d2h3m4s"),
    ],
)
def test_what_hashicorps_users_type_is_a_duration(expected: timedelta, text: str) -> None:
    """Units follow their numbers, the largest first."""
    assert expected == parse_duration(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "120",
        "2 m",
        "2M",
        "h",
        "30m1h",
        "1h1h",
        "-2m",
        "+2m",
        "2m ",
        "2m\n",
        "1e3s",
        "1.h",
        ".5h",
        "9999999h",
        "２m",
        "500ms",
    ],
)
def test_anything_else_is_none(text: str) -> None:
    """A bare number, another order, a sign or a blank is no duration."""
    assert parse_duration(text) is None


@pytest.mark.parametrize("text", ["1h30m", "7d", "2m", "0s", "1d2h3m4s"])
def test_formatting_gives_back_what_was_parsed(text: str) -> None:
    """A duration is shown as a person would type it."""
    duration = parse_duration(text)
    assert duration is not None
    assert text == format_duration(duration)
