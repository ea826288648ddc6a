"""Which alarm goes off when: what the function, its queues and Lambda would count, played over a day."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from packer_publisher.clouds.aws_queue import rest
from packer_publisher.sweep_log import OLDEST, WAITING
from tests.infra.alarm_play import HOUR, MINUTE, Figure, goes_off, metric
from tests.infra.cloudformation import read_template

RESOURCES = read_template("template.json")["Resources"]
ALARMS = {name: each["Properties"] for name, each in RESOURCES.items() if each["Type"] == "AWS::CloudWatch::Alarm"}
DAY = 24 * HOUR


def of_queue(name: str, queue: str) -> str:
    """Return one of SQS's metrics of a queue of the template."""
    return metric("AWS/SQS", name, {"QueueName": {"Fn::GetAtt": [queue, "QueueName"]}})


def ours(name: str) -> str:
    """Return one of the function's own metrics; test_aws_stack says that it counts them so."""
    return metric("PackerPublisher", name, {"service": "packer-publisher"})


ERRORS = metric("AWS/Lambda", "Errors", {"FunctionName": {"Ref": "FunctionName"}})
VISIBLE, AGE = "ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"


def every(seconds: int, value: float, start: float = 0, end: float = DAY) -> list[Figure]:
    """Return the same figure again and again."""
    return [(start + step, value) for step in range(0, int(end - start), seconds)]


def tries(first: float, end: float) -> list[Figure]:
    """Return an image in trouble: it is counted with each try, and rests longer and longer in between."""
    chance, found, number, when = random.Random(5), [], 0, first
    while when < end:
        found.append((when, 1.0))
        number += 1
        when += rest(number, None, chance.uniform)
    return found


# A quiet day: sweeps come and find nothing, SQS says now and then that there is nothing.
QUIET: dict[str, list[Figure]] = {
    ours(WAITING): every(15 * MINUTE, 0, start=17 * MINUTE),
    ours(OLDEST): every(15 * MINUTE, 0, start=17 * MINUTE),
    of_queue(VISIBLE, "DeadLetters"): every(5 * MINUTE, 0, end=HOUR),
    of_queue(AGE, "Events"): every(5 * MINUTE, 150, end=2 * HOUR),
    ERRORS: every(15 * MINUTE, 0, start=17 * MINUTE),
}

PLAYS: dict[str, tuple[dict[str, list[Figure]], set[str]]] = {
    "a quiet day": ({}, set()),
    "a dead letter": ({of_queue(VISIBLE, "DeadLetters"): every(5 * MINUTE, 1, start=HOUR)}, {"DeadLettersAlarm"}),
    "events that rest and are taken": ({of_queue(VISIBLE, "Events"): every(MINUTE, 40, end=HOUR)}, set()),
    "nobody takes the events": (
        {of_queue(AGE, "Events"): [(when, when) for when, _ in every(5 * MINUTE, 0, end=90 * MINUTE)]},
        {"OldestMessageAlarm"},
    ),
    "nobody took the events for an hour": (
        {of_queue(AGE, "Events"): [(when, when) for when, _ in every(5 * MINUTE, 0, end=65 * MINUTE)]},
        set(),
    ),
    "HCP is out of order for an hour": ({ours("deferred"): tries(HOUR, 2 * HOUR)}, set()),
    "HCP is out of order for two hours": ({ours("deferred"): tries(HOUR, 3 * HOUR)}, {"TroubleAlarm"}),
    "a rejected image": ({ours("rejected"): [(5 * HOUR, 1.0)]}, {"RejectedAlarm"}),
    "only the daily sweep still sees it": ({ours(OLDEST): [(3 * HOUR, 10 * DAY)]}, {"WaitingVersionAlarm"}),
    "one crash": ({ERRORS: [(HOUR, 1.0)]}, set()),
    "a message that crashes each time": ({ERRORS: every(12 * MINUTE, 1, start=HOUR)}, {"ErrorsAlarm"}),
    "sweeps run out of time": (
        {
            ours(WAITING): every(15 * MINUTE, 0, end=HOUR),
            ERRORS: every(15 * MINUTE, 1, start=HOUR) + every(15 * MINUTE, 1, start=HOUR + 14 * MINUTE),
        },
        {"NoSweepAlarm", "ErrorsAlarm"},
    ),
    "no sweep for an hour and a half": (
        {ours(WAITING): every(15 * MINUTE, 0, end=HOUR) + every(15 * MINUTE, 0, start=150 * MINUTE)},
        set(),
    ),
    "no sweep for three hours": (
        {ours(WAITING): every(15 * MINUTE, 0, end=HOUR) + every(15 * MINUTE, 0, start=4 * HOUR)},
        {"NoSweepAlarm"},
    ),
    "nothing at all, for ever": ({name: [] for name in QUIET}, {"NoSweepAlarm"}),
    "the same of another function": (
        {
            metric("PackerPublisher", "rejected", {"service": "another"}): [(HOUR, 1.0)],
            metric("AWS/Lambda", "Errors", {"FunctionName": "another"}): every(MINUTE, 1),
        },
        set(),
    ),
}


@pytest.mark.parametrize("name", PLAYS)
def test_an_alarm_goes_off_when_it_should_and_no_other(name: str) -> None:
    """Each play is a day; what it does not say is as on a quiet one."""
    told, wanted = PLAYS[name]
    figures: Mapping[str, list[Figure]] = {**QUIET, **told}
    assert wanted == {alarm for alarm, properties in ALARMS.items() if goes_off(properties, figures, DAY)}


def test_every_alarm_goes_off_in_one_of_the_plays() -> None:
    """None is only there."""
    assert set(ALARMS) == {alarm for _, wanted in PLAYS.values() for alarm in wanted}


def test_the_forwarders_alarm_sees_its_own_dead_letters() -> None:
    """One is enough; silence is a good sign there."""
    alarm: dict[str, Any] = read_template("forwarder.yml")["Resources"]["DeadLettersAlarm"]["Properties"]
    queue = of_queue(VISIBLE, "DeadLetters")
    assert goes_off(alarm, {queue: every(5 * MINUTE, 1, start=HOUR)}, DAY)
    assert not goes_off(alarm, {queue: every(5 * MINUTE, 0, end=HOUR)}, DAY)
    assert not goes_off(alarm, {}, DAY)
