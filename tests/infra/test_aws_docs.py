"""docs/aws.md says what the templates are: its tables are generated, its alarms are those that exist."""

from __future__ import annotations

import re

import pytest
from infra.aws.costs import ASSUMED, PRICES, costs, per_day
from infra.aws.tables import PAGE, REASONS, renewed, role_statements

from packer_publisher.clouds.aws_queue import rest
from tests.infra.cloudformation import ROOT, read_template

TEMPLATE = read_template("template.json")
TEXT = PAGE.read_text("utf-8")


def test_the_tables_are_those_of_the_templates() -> None:
    """Permissions, parameters and costs; else `make template`."""
    assert renewed(TEXT) == TEXT


def test_every_statement_has_its_reason_and_no_reason_is_left_over() -> None:
    """A permission that nobody can explain is not given."""
    sids = {
        statement["Sid"]
        for name in ("template.json", "forwarder.yml")
        for _, statement in role_statements(read_template(name)["Resources"]["Role"])
    }
    assert set(REASONS) == sids


def test_every_alarm_is_explained() -> None:
    """What it means and what to do, in the template's order."""
    alarms = [name for name, each in TEMPLATE["Resources"].items() if each["Type"] == "AWS::CloudWatch::Alarm"]
    rows = re.findall(r"^\| `(\w+Alarm)` \| ([^|]+) \| ([^|]+) \|$", TEXT, re.MULTILINE)
    assert alarms == [name for name, _, _ in rows]


def test_every_parameter_and_output_that_is_named_exists() -> None:
    """In sentences and commands, for either template."""
    known = {
        name
        for file in ("template.json", "forwarder.yml", "forwarders.json")
        for part in ("Parameters", "Outputs", "Resources")
        for name in read_template(file).get(part, ())
    }
    named = set(re.findall(r"\b([A-Z][A-Za-z]+)=", TEXT)) | set(re.findall(r"`([A-Z][a-z]+[A-Z][A-Za-z]+)`", TEXT))
    assert {"Paused", "Registry", "HomeRegion", "CaLayerArn"} <= named
    assert {"FailedInvocations", "SecureString"} >= named - known


@pytest.mark.parametrize("page", ["aws.md", "promises.md"])
def test_the_links_lead_somewhere(page: str) -> None:
    """Every relative link names something that exists, every anchor a heading."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    for target in re.findall(r"\]\(([^):]+)\)", text):
        path, _, anchor = target.partition("#")
        assert (ROOT / "docs" / path).exists(), target
        assert path or anchor in headings, target


def test_costs_follow_from_the_template() -> None:
    """The schedules are counted, so are alarms and memory: twice the memory, twice the price of a second."""
    sweeps = {name: per_day(TEMPLATE["Resources"][name]["Properties"]) for name in ("SweepOften", "SweepDaily")}
    assert {"SweepOften": 96.0, "SweepDaily": 1} == sweeps
    by_price = {cost.price: cost for cost in costs(TEMPLATE)}
    assert set(PRICES) == set(by_price)
    assert 7 == by_price["alarm-month"].idle
    assert 97 * 730 / 24 == pytest.approx(by_price["Lambda request"].idle)
    function = TEMPLATE["Resources"]["PublishLambdaFunction"]
    larger = function | {"Properties": function["Properties"] | {"MemorySize": 1024}}
    doubled = costs(TEMPLATE | {"Resources": TEMPLATE["Resources"] | {"PublishLambdaFunction": larger}})
    assert 2 * by_price["Lambda GB-second, arm64"].idle == pytest.approx(doubled[0].idle)
    assert 1000 * ASSUMED["events of an image"] == by_price["Lambda request"].images


def test_200_tries_last_about_a_day_and_a_half() -> None:
    """As both pages say: the sum of the rests, half way between the shortest and the longest that chance gives."""
    tries = TEMPLATE["Resources"]["Events"]["Properties"]["RedrivePolicy"]["maxReceiveCount"]
    hours = sum(rest(number, None, lambda low, high: (low + high) / 2) for number in range(1, tries + 1)) / 3600
    assert 200 == tries
    assert 35 < hours < 38
    for page in ("aws.md", "promises.md"):
        assert "about a day and a half" in (ROOT / "docs" / page).read_text("utf-8")


def test_a_schedule_that_is_not_understood_is_no_cost_of_zero() -> None:
    """It is refused instead."""
    assert 0 == per_day({"EventPattern": {}})
    assert 24 == per_day({"ScheduleExpression": "rate(1 hour)"})
    with pytest.raises(ValueError, match="not once a day"):
        per_day({"ScheduleExpression": "cron(0/5 * * * ? *)"})
