"""The templates deployed into moto's CloudFormation: what is made works together, survives an upgrade, and goes again.

moto makes no alarms, dashboards and queue policies from a template, and cannot leave a policy out of a role: conditions
are decided before, and what it does not make is given to its services by their own calls.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from packer_publisher.image import Platform
from packer_publisher.local.aws import LocalAccount, LocalAWS
from packer_publisher.messages import SweepOrder, read_order
from packer_publisher.report import Outcome
from packer_publisher.sweep_log import NOT_REACHED, OLDEST, WAITING
from tests.clouds.aws_stand_in import fresh_account_id
from tests.functions.test_aws_rules import load
from tests.infra.cloudformation import ROOT, Template, decided, read_template, worth
from tests.infra.test_aws_parameters import LEAST

NOT_MADE = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard", "AWS::SQS::QueuePolicy")
HOME, ELSEWHERE = "eu-west-1", "us-west-2"


class Stack:
    """A template deployed in one region of an account."""

    def __init__(self, account: LocalAccount, region: str, template: Template, given: Mapping[str, str]) -> None:
        self.account, self.region, self.template = account, region, template
        self._cloudformation = self.client("cloudformation")
        self._cloudformation.create_stack(StackName="publisher", **self._asked(given))
        self.names: dict[str, str] = {
            each["LogicalResourceId"]: each["PhysicalResourceId"]
            for each in self._cloudformation.list_stack_resources(StackName="publisher")["StackResourceSummaries"]
        }

    def _asked(self, given: Mapping[str, str]) -> dict[str, Any]:
        template = decided(self.template, given, {"AWS::Region": self.region})
        template["Resources"] = {
            name: each for name, each in template["Resources"].items() if each["Type"] not in NOT_MADE
        }
        listed = [{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()]
        capabilities = ["CAPABILITY_NAMED_IAM"]
        return {"TemplateBody": json.dumps(template), "Parameters": listed, "Capabilities": capabilities}

    def update(self, given: Mapping[str, str]) -> None:
        """Deploy it again with other parameters."""
        self._cloudformation.update_stack(StackName="publisher", **self._asked(given))

    def remove(self) -> None:
        """Delete it."""
        self._cloudformation.delete_stack(StackName="publisher")

    def client(self, service: str) -> Any:
        """Return a client for a service in the stack's region."""
        session: Any = self.account.session()
        return session.client(service, region_name=self.region, endpoint_url=self.account.endpoint)

    def attributes(self, queue: str) -> dict[str, str]:
        """Return the attributes of one of the stack's queues."""
        found = self.client("sqs").get_queue_attributes(QueueUrl=self.names[queue], AttributeNames=["All"])
        attributes: dict[str, str] = found["Attributes"]
        return attributes

    def received(self) -> list[Any]:
        """Return what is visible in the queue."""
        answer = self.client("sqs").receive_message(
            QueueUrl=self.names["Events"], MaxNumberOfMessages=10, VisibilityTimeout=60
        )
        return [json.loads(message["Body"]) for message in answer.get("Messages", ())]

    def emit(self, event: dict[str, Any]) -> None:
        """Put an event on the region's bus."""
        entry = {"Source": event["source"], "DetailType": event["detail-type"], "Detail": json.dumps(event["detail"])}
        self.client("events").put_events(Entries=[entry | {"Resources": event["resources"]}])


@pytest.fixture(scope="module")
def local() -> Iterator[LocalAWS]:
    with LocalAWS() as running:
        yield running


@pytest.fixture
def account(local: LocalAWS) -> LocalAccount:
    account = local.account(fresh_account_id())
    storage = account.session().client("s3", region_name=HOME, endpoint_url=account.endpoint)
    bucket = f"releases-{account.account_id}"
    storage.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": HOME})
    for release in ("1", "2"):
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as opened:
            opened.writestr("handler.py", f"RELEASE = {release}\n")
        storage.put_object(Bucket=bucket, Key=f"{release}.zip", Body=archive.getvalue())
    return account


def home(account: LocalAccount, *, schedules: bool = False) -> Stack:
    """Return the function's stack in the home region; its settle delay is seen, then shortened to nothing.

    It is paused, so that moto, which would start a container for it, leaves the messages where they are; and without
    the targets of its schedules, which moto gives every event, because they have no pattern.
    """
    bucket = f"releases-{account.account_id}"
    given = LEAST | {"CodeBucket": bucket, "CodeKey": "1.zip", "Paused": "true"}
    stack = Stack(account, HOME, read_template("template.json"), given)
    assert "120" == stack.attributes("Events")["DelaySeconds"]
    stack.client("sqs").set_queue_attributes(QueueUrl=stack.names["Events"], Attributes={"DelaySeconds": "0"})
    if not schedules:
        for rule in ("SweepOften", "SweepDaily"):
            stack.client("events").remove_targets(Rule=stack.names[rule], Ids=["events"])
    return stack


def test_an_event_reaches_the_queue_that_the_function_polls(account: LocalAccount) -> None:
    """Rules, queue, mapping, function and role are made, and lead to each other."""
    stack = home(account)
    functions = stack.client("lambda")
    configuration = functions.get_function(FunctionName="packer-publisher")["Configuration"]
    (mapping,) = functions.list_event_source_mappings()["EventSourceMappings"]
    queue = stack.attributes("Events")

    assert queue["QueueArn"] == mapping["EventSourceArn"]
    assert configuration["FunctionArn"] == mapping["FunctionArn"]
    assert stack.names["Events"] == configuration["Environment"]["Variables"]["PUBLISHER_QUEUE"]
    assert configuration["Role"].endswith(":role/packer-publisher")
    assert ("720", "1209600") == (queue["VisibilityTimeout"], queue["MessageRetentionPeriod"])
    dead = stack.attributes("DeadLetters")["QueueArn"]
    assert {"deadLetterTargetArn": dead, "maxReceiveCount": 200} == json.loads(queue["RedrivePolicy"])
    for name in ("tag_change", "ami_available", "tag_change_instance"):
        stack.emit(load(name))
    assert ["Tag Change on Resource", "EC2 AMI State Change"] == [event["detail-type"] for event in stack.received()]


def test_the_schedules_send_orders_to_sweep(account: LocalAccount) -> None:
    """Every quarter of an hour, and once a day with a longer window."""
    stack = home(account, schedules=True)
    events = stack.client("events")
    sent = {}
    for rule in ("SweepOften", "SweepDaily"):
        (target,) = events.list_targets_by_rule(Rule=stack.names[rule])["Targets"]
        sent[rule] = read_order(json.loads(target["Input"]), Platform.AWS)
    assert isinstance(sent["SweepOften"], SweepOrder)
    assert sent["SweepOften"].window is None
    assert isinstance(sent["SweepDaily"], SweepOrder)
    assert sent["SweepDaily"].window is not None
    assert 14 == sent["SweepDaily"].window.days


def test_an_upgrade_loses_no_event(account: LocalAccount) -> None:
    """A new release is new code for the same function; what waits in the queue is there afterwards, and more comes."""
    stack = home(account)
    stack.emit(load("tag_change"))
    before = stack.client("lambda").get_function(FunctionName="packer-publisher")["Configuration"]["CodeSha256"]

    given = {"CodeBucket": f"releases-{account.account_id}", "CodeKey": "2.zip", "Paused": "true"}
    stack.update(LEAST | given)
    stack.emit(load("ami_available"))

    after = stack.client("lambda").get_function(FunctionName="packer-publisher")["Configuration"]["CodeSha256"]
    assert before != after
    assert ["Tag Change on Resource", "EC2 AMI State Change"] == [event["detail-type"] for event in stack.received()]


def test_nothing_is_left_when_the_stack_is_removed(account: LocalAccount) -> None:
    """Function, log group, queues, rules and role go; the archive stays in the team's own bucket."""
    stack = home(account)
    stack.remove()
    left = [
        stack.client("lambda").list_functions()["Functions"],
        stack.client("logs").describe_log_groups()["logGroups"],
        stack.client("sqs").list_queues().get("QueueUrls", []),
        stack.client("events").list_rules()["Rules"],
        stack.client("iam").list_roles()["Roles"],
    ]
    assert [[], [], [], [], []] == left


def test_the_forwarder_brings_an_event_home(account: LocalAccount) -> None:
    """From the bus of another region to the queue in this one; what is no image's stays where it is."""
    stack = home(account)
    forwarder = Stack(account, ELSEWHERE, read_template("forwarder.yml"), {"HomeRegion": HOME})
    for name in ("tag_change", "tag_change_instance", "ami_deregistered", "instance_state"):
        forwarder.emit(load(name))

    assert ["Tag Change on Resource", "EC2 AMI State Change"] == [event["detail-type"] for event in stack.received()]
    role = forwarder.client("iam").get_role(RoleName=f"packer-publisher-forwarder-{ELSEWHERE}")["Role"]
    (target,) = forwarder.client("events").list_targets_by_rule(Rule=forwarder.names["TagChanges"])["Targets"]
    assert role["Arn"] == target["RoleArn"]


def test_the_forwarders_role_reaches_one_bus() -> None:
    """That of the home region: the very target of its rules."""
    resources = read_template("forwarder.yml")["Resources"]
    (policy,) = resources["Role"]["Properties"]["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    (target,) = resources["TagChanges"]["Properties"]["Targets"]
    assert ("events:PutEvents", target["Arn"]) == (statement["Action"], statement["Resource"])
    (trust,) = resources["Role"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}} == trust["Condition"]


@pytest.mark.parametrize("name", ["template.json", "forwarder.yml"])
def test_cloudwatch_takes_every_alarm(name: str, account: LocalAccount) -> None:
    """botocore checks names and types of what CloudFormation passes on; a period and its number fit into one day."""
    client = account.session().client("cloudwatch", region_name=HOME, endpoint_url=account.endpoint)
    template = decided(read_template(name), LEAST if name == "template.json" else {"HomeRegion": ELSEWHERE},
                       {"AWS::Region": HOME})  # fmt: skip
    alarms = {key: each["Properties"] for key, each in template["Resources"].items() if "Alarm" in each["Type"]}
    for key, properties in alarms.items():
        dimensions = [{"Name": each["Name"], "Value": str(each["Value"])} for each in properties["Dimensions"]]
        client.put_metric_alarm(AlarmName=key, **(properties | {"Dimensions": dimensions}))
        assert properties["Period"] * properties["EvaluationPeriods"] <= 86400
        assert properties["TreatMissingData"] == ("breaching" if key == "NoSweepAlarm" else "notBreaching")
    assert set(alarms) == {each["AlarmName"] for each in client.describe_alarms()["MetricAlarms"]}


def test_an_alarm_goes_to_the_topic_that_is_named() -> None:
    """Without one it is only shown."""
    for topic, wanted in (("", []), ("arn:aws:sns:eu-west-1:123456789012:alarms", [{"Ref": "AlarmTopicArn"}])):
        resources = decided(read_template("template.json"), LEAST | {"AlarmTopicArn": topic})["Resources"]
        for resource in resources.values():
            if resource["Type"] == "AWS::CloudWatch::Alarm":
                assert wanted == resource["Properties"]["AlarmActions"] == resource["Properties"]["OKActions"]


def test_a_forwarders_alarm_goes_to_the_topic_of_its_region() -> None:
    """By the name that the topic has in every region; without one it is only shown."""
    pseudo = {"AWS::Partition": "aws-us-gov", "AWS::Region": ELSEWHERE, "AWS::AccountId": "123456789012"}
    for name, wanted in (("", []), ("alarms", [f"arn:aws-us-gov:sns:{ELSEWHERE}:123456789012:alarms"])):
        given = {"HomeRegion": HOME, "AlarmTopicName": name}
        alarm = decided(read_template("forwarder.yml"), given, pseudo)["Resources"]["DeadLettersAlarm"]["Properties"]
        for actions in (alarm["AlarmActions"], alarm["OKActions"]):
            assert wanted == [worth(each, given | pseudo) for each in actions]


def test_the_function_counts_where_the_alarms_look() -> None:
    """A message that is none is rejected, and its figure is what the alarm asks for: namespace, dimension, name."""
    record = {"messageId": "1", "receiptHandle": "1", "body": "{", "attributes": {"ApproximateReceiveCount": "1"}}
    code = (
        "import handler\n"
        "from packer_publisher.local.aws_delivery import LocalContext\n"
        f"handler.handler({{'Records': [{record | {'awsRegion': HOME}}]}}, LocalContext())\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PUBLISHER_CONFIG": '{"buckets": {"web": {}}}',
    }
    folder = ROOT / "functions" / "aws"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, check=True)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    (counted,) = [line for line in said if "_aws" in line]
    (directive,) = counted["_aws"]["CloudWatchMetrics"]
    alarm = read_template("template.json")["Resources"]["RejectedAlarm"]["Properties"]

    assert alarm["Namespace"] == directive["Namespace"]
    assert [[each["Name"] for each in alarm["Dimensions"]]] == directive["Dimensions"]
    assert all(counted[each["Name"]] == each["Value"] for each in alarm["Dimensions"])
    assert [alarm["MetricName"]] == [metric["Name"] for metric in directive["Metrics"]]


def test_alarms_and_dashboard_ask_for_figures_that_are_counted() -> None:
    """Under the function's own namespace and dimension, and by the names of outcomes and of a sweep's figures."""
    resources = read_template("template.json")["Resources"]
    counted = {*map(str, Outcome), WAITING, OLDEST, NOT_REACHED}
    ours = [
        each["Properties"]
        for each in resources.values()
        if each["Type"] == "AWS::CloudWatch::Alarm" and each["Properties"]["Namespace"] == "PackerPublisher"
    ]
    assert {"deferred", "rejected", OLDEST, WAITING} == {each["MetricName"] for each in ours}
    assert {"deferred", "rejected", OLDEST, WAITING} <= counted
    assert all([{"Name": "service", "Value": "packer-publisher"}] == each["Dimensions"] for each in ours)

    text, parts = resources["DashboardPage"]["Properties"]["DashboardBody"]["Fn::Sub"]
    widgets = json.loads(text)["widgets"]
    drawn = {
        metric[1] for widget in widgets for metric in widget["properties"].get("metrics", ()) if "service" in metric
    } | {metric[1] for widget in widgets[1:3] for metric in widget["properties"]["metrics"]}
    assert {str(outcome) for outcome in Outcome} - {"ignored", "unchanged"} | {WAITING, OLDEST, NOT_REACHED} == drawn
    alarms = {name for name, each in resources.items() if each["Type"] == "AWS::CloudWatch::Alarm"}
    assert {f"${{{name}.Arn}}" for name in alarms} == set(widgets[0]["properties"]["alarms"])
    assert {"Queue", "DeadQueue"} == set(parts)
