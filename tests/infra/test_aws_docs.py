"""docs/aws.md says what the templates are: its tables are generated, its alarms are those that exist."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from botocore.session import Session
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
    keys = {"OrganizationalUnitIds", "Enabled", "RetainStacksOnAccountRemoval", "Key", "Value"}  # CloudFormation's own
    text = re.sub(r"ParameterKey=(\w+),ParameterValue=", r"\1=", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL))
    named = set(re.findall(r"\b([A-Z][A-Za-z]+)=", text)) - keys | set(
        re.findall(r"`([A-Z][a-z]+[A-Z][A-Za-z]+)`", text)
    )
    assert {"Paused", "Registry", "HomeRegion", "CaLayerArn"} <= named
    assert {"FailedInvocations", "SecureString"} >= named - known


COMMANDS = [
    shlex.split(line.replace("\\\n", " "))
    for line in re.findall(r"(?:^    |`)(aws [a-z](?:[^`\n\\]|\\\n)+)", TEXT, re.MULTILINE)
]
GLOBAL = {"--region", "--query", "--output", "--profile"}
OF_THE_TOOL = {
    # What the AWS command line adds to the API: `aws cloudformation deploy help`, `aws logs tail help`.
    ("cloudformation", "deploy"): {
        "--stack-name",
        "--template-file",
        "--capabilities",
        "--parameter-overrides",
        "--tags",
    },
    ("logs", "tail"): {"--since", "--filter-pattern"},
    ("s3", "cp"): set(),
    ("cloudformation", "delete-stack-instances"): {"--no-retain-stacks"},  # of a member that is yes or no
}


def dashed(name: str) -> str:
    """Return a name of the API as the command line spells it."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


def shorthand(value: str) -> Iterator[str]:
    """Yield the keys of a structure as the command line takes it: ``Key=value,Other=value``."""
    if not value.startswith(("file://", "{", "[")):
        yield from re.findall(r"(?:^|,)([A-Za-z]+)=", value)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: "-".join(command[1:3]))
def test_every_aws_command_can_be_given(command: list[str]) -> None:
    """The operation exists, and so do its options and the keys of what they take; no required one is left out.

    A command in the middle of a sentence may be short of options.
    """
    _, service, verb, *rest = command
    options = {word for word in rest if word.startswith("--")}
    own = OF_THE_TOOL.get((service, verb), set())
    if service == "s3" or (service, verb) in (("cloudformation", "deploy"), ("logs", "tail")):
        assert options <= own | GLOBAL
        return
    model = Session().get_service_model(service)
    operations = {dashed(name): name for name in model.operation_names}
    assert verb in operations
    shape: Any = model.operation_model(operations[verb]).input_shape
    members = {"--" + dashed(name): member for name, member in shape.members.items()}
    assert options <= set(members) | own | GLOBAL
    if f"    aws {service} {verb}" in TEXT:
        assert {"--" + dashed(name) for name in shape.required_members} <= options
    for option, value in pairwise(rest):
        member = members.get(option)
        if member is not None and member.type_name in ("structure", "list"):
            structure = getattr(member, "member", member)
            assert set(shorthand(value)) <= set(getattr(structure, "members", ()))


def test_the_commands_are_found() -> None:
    """Those of a block and those of a sentence; a file that one names is there, or is a release's or the reader's."""
    verbs = {tuple(command[1:3]) for command in COMMANDS}
    assert {("cloudformation", "deploy"), ("cloudformation", "create-stack-set"), ("sqs", "purge-queue")} <= verbs
    assert 15 <= len(COMMANDS)
    named = {word.rpartition("//")[2] for command in COMMANDS for word in command if re.search(r"\.(json|yml)$", word)}
    there = {path.name for path in (ROOT / "infra" / "aws").iterdir()}
    assert {"accounts.json"} == {name for name in named if name.rpartition("/")[2] not in there}
    assert all((ROOT / name).exists() for name in named if "/" in name)


def test_the_policy_of_a_key_is_what_its_services_need() -> None:
    """EventBridge for queues, without a condition that it cannot meet; the log group by its name."""
    (policy,) = [json.loads(text) for text in re.findall(r"```json\n(\[.*?)```", TEXT, re.DOTALL)]
    queues, logs = policy
    assert {"Service": "events.amazonaws.com"} == queues["Principal"]
    assert {"kms:Decrypt", "kms:GenerateDataKey"} == set(queues["Action"])
    assert "Condition" not in queues
    assert {"Service": "logs.REGION.amazonaws.com"} == logs["Principal"]
    (encrypted,) = logs["Condition"]["ArnEquals"].values()
    group = TEMPLATE["Resources"]["PublishLogGroup"]["Properties"]["LogGroupName"]["Fn::Sub"]
    function = TEMPLATE["Parameters"]["FunctionName"]["Default"]
    assert encrypted.endswith(":log-group:" + group.replace("${FunctionName}", function))


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
