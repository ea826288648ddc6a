"""What the AWS part costs: list prices times use; ``python -m infra.aws.costs`` prints the table of docs/aws.md.

Prices are those of us-east-1, without free tiers and discounts, as the pages named in PRICES said in 2026. What is used
follows from the templates where it can (alarms, schedules, memory); the rest is assumed, and stands in ASSUMED.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.aws.compile import TEMPLATE

HOURS = 730  # a month
DAYS = HOURS / 24

PRICES = {
    "Lambda GB-second, arm64": (0.0000133334, "aws.amazon.com/lambda/pricing"),
    "Lambda request": (0.20 / 1e6, "aws.amazon.com/lambda/pricing"),
    "SQS request": (0.40 / 1e6, "aws.amazon.com/sqs/pricing"),
    "event sent to another region's bus": (1.00 / 1e6, "aws.amazon.com/eventbridge/pricing"),
    "metric-month": (0.30, "aws.amazon.com/cloudwatch/pricing"),
    "alarm-month": (0.10, "aws.amazon.com/cloudwatch/pricing"),
    "dashboard-month": (3.00, "aws.amazon.com/cloudwatch/pricing"),
    "GB of logs": (0.50, "aws.amazon.com/cloudwatch/pricing"),
}

ASSUMED = {
    "seconds of a sweep that finds nothing": 6.0,  # a cold start, and DescribeImages in some 17 regions
    "seconds of an event": 3.0,  # with a cold start, AWS and HCP asked
    "events of an image": 3,  # available, tagged, and one day deregistered
    "log bytes of an invocation": 2500,  # Lambda's own lines, ours, and the metrics in them
    "log bytes of a sweep": 2500,
    "metrics of an idle month": 3,  # the figures that every sweep writes, 0 included
    "metrics of a busy month": 10,  # these and the outcomes
    "pollers of an idle queue": 5,  # Lambda's, each asking every 20 seconds
    "share of images outside the home region": 0.75,
}


@dataclass(frozen=True, slots=True)
class Cost:
    """One line: what is used in an idle month and for 1,000 images, in units of one price."""

    price: str
    idle: float
    images: float
    basis: str

    @property
    def idle_dollars(self) -> float:
        """Return what an idle month of it costs."""
        return self.idle * PRICES[self.price][0]

    @property
    def images_dollars(self) -> float:
        """Return what 1,000 images add."""
        return self.images * PRICES[self.price][0]


def costs(template: Mapping[str, Any]) -> tuple[Cost, ...]:
    """Return all lines for a template."""
    resources = template["Resources"]
    memory = resources["PublishLambdaFunction"]["Properties"]["MemorySize"] / 1024
    sweeps = DAYS * sum(per_day(each["Properties"]) for each in resources.values() if each["Type"].endswith("Rule"))
    alarms = sum(each["Type"] == "AWS::CloudWatch::Alarm" for each in resources.values())
    dashboards = sum(each["Type"] == "AWS::CloudWatch::Dashboard" for each in resources.values())
    events = 1000 * ASSUMED["events of an image"]
    polls = HOURS * 3600 / 20 * ASSUMED["pollers of an idle queue"]
    more = ASSUMED["metrics of a busy month"] - ASSUMED["metrics of an idle month"]
    gigabytes = sweeps * ASSUMED["log bytes of a sweep"] / 1e9, events * ASSUMED["log bytes of an invocation"] / 1e9
    seconds = sweeps * ASSUMED["seconds of a sweep that finds nothing"], events * ASSUMED["seconds of an event"]
    computing = seconds[0] * memory, seconds[1] * memory
    away = events * ASSUMED["share of images outside the home region"]
    return (
        Cost("Lambda GB-second, arm64", *computing, f"{sweeps:,.0f} sweeps; {events:,} events"),
        Cost("Lambda request", sweeps, events, "one each"),
        Cost("SQS request", polls + 3 * sweeps, 3 * events, "Lambda's polling; three for each message"),
        Cost("event sent to another region's bus", 0, away, "three images in four are outside the home region"),
        Cost("metric-month", ASSUMED["metrics of an idle month"], more, "a sweep's; a month's outcomes"),
        Cost("alarm-month", alarms, 0, f"{alarms} alarms; one more for each other region"),
        Cost("dashboard-month", dashboards, 0, "`Dashboard: false` makes none"),
        Cost("GB of logs", *gigabytes, "2.5 KB an invocation"),
    )  # fmt: skip


def per_day(rule: Mapping[str, Any]) -> float:
    """Return how often a day a rule starts something by its schedule; 0 for a rule without one."""
    schedule = rule.get("ScheduleExpression", "")
    if schedule.startswith("rate("):
        number, unit = schedule[5:-1].split()
        return 86400 / (int(number) * {"minute": 60, "hour": 3600, "day": 86400}[unit.rstrip("s")])
    if schedule.startswith("cron("):
        minute, hour, *rest = schedule[5:-1].split()
        if not (minute.isdigit() and hour.isdigit() and rest == ["*", "*", "?", "*"]):
            raise ValueError(f"a schedule that is not once a day: {schedule}")
        return 1
    return 0


def cost_table() -> str:
    """Return the table of docs/aws.md."""
    every = costs(json.loads(TEMPLATE.read_text("utf-8")))
    lines = ["| | an idle month | 1,000 images | of what |", "|---|---|---|---|"]
    lines += [
        f"| {cost.price} | ${cost.idle_dollars:.2f} | ${cost.images_dollars:.2f} | {cost.basis} |" for cost in every
    ]
    idle, images = sum(cost.idle_dollars for cost in every), sum(cost.images_dollars for cost in every)
    lines.append(f"| **all** | **${idle:.2f}** | **${images:.2f}** | list prices of us-east-1, without free tiers |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(cost_table())
