"""What a CloudWatch alarm of a template says of figures over time, as documented.

Amazon CloudWatch user guide, "Using Amazon CloudWatch alarms": M datapoints out of N periods, and how missing data is
treated. Left out: the range beyond the N periods that CloudWatch looks at where data is missing, and partial periods.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

MINUTE, HOUR = 60, 3600

Figure = tuple[float, float]
"""When, in seconds, and how much."""

_STATISTICS: Mapping[str, Callable[[list[float]], float]] = {
    "Sum": sum,
    "Maximum": max,
    "SampleCount": len,
}
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
}


def metric(namespace: str, name: str, dimensions: Mapping[str, Any]) -> str:
    """Return what identifies a metric; a dimension's value may be one of a template's functions."""
    return json.dumps([namespace, name, sorted(dimensions.items())])


def goes_off(alarm: Mapping[str, Any], figures: Mapping[str, Iterable[Figure]], until: float) -> bool:
    """Return whether an alarm (its properties) is in ALARM at the end of any of its periods up to ``until``.

    ``figures`` are those of all metrics; the alarm finds its own, or none.
    """
    dimensions = {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
    own = list(figures.get(metric(alarm["Namespace"], alarm["MetricName"], dimensions), ()))
    period, periods = alarm["Period"], alarm["EvaluationPeriods"]
    assert 0 == period % MINUTE
    assert period * periods <= 24 * HOUR
    breached = [
        _breached(alarm, [value for when, value in own if start <= when < start + period])
        for start in range(0, int(until), period)
    ]
    needed = alarm.get("DatapointsToAlarm", periods)
    return any(sum(breached[end - periods : end]) >= needed for end in range(periods, len(breached) + 1))


def _breached(alarm: Mapping[str, Any], values: list[float]) -> bool:
    if not values:
        return {"breaching": True, "notBreaching": False}[alarm["TreatMissingData"]]
    statistic = _STATISTICS[alarm["Statistic"]](values)
    return _COMPARISONS[alarm["ComparisonOperator"]](statistic, alarm["Threshold"])
