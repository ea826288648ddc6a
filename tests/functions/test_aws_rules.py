"""The rules and queues of the templates, here and in other regions: what passes, matched by moto's EventBridge."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.clouds.aws_stand_in import fresh_account_id
from tests.infra.cloudformation import AWS, as_list, read_template

from packer_publisher.clouds.aws_events import read_event
from packer_publisher.local.aws import LocalAWS
from packer_publisher.local.aws_delivery import LocalDelivery, read_patterns

ROOT = Path(__file__).parents[2]
EVENTS = ROOT / "tests" / "events" / "aws"
RESOURCES = read_template("template.json")["Resources"]

PASSES = {
    "ami_available": True,
    "ami_available_gov": True,
    "ami_deregistered": True,
    "ami_disabled": True,
    "ami_failed": True,
    "cloudtrail_create_image": False,
    "cloudtrail_create_tags": False,
    "cloudtrail_deregister_image": False,
    "instance_state": False,
    "snapshot_notification": False,
    "tag_change": True,
    "tag_change_china": True,
    "tag_change_image_builder": False,
    "tag_change_instance": False,
    "tag_change_like_ours": False,
    "tag_change_other_keys": False,
    "tag_change_removed": True,
    "tag_change_snapshot": False,
    "tag_change_without_account": True,
}


@pytest.fixture(scope="module", params=["template.json", "forwarder.yml"])
def delivery(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalDelivery]:
    """Yield a queue behind the rules of a template; those of the forwarder lead here to a queue, too."""
    path = AWS / request.param
    if path.suffix == ".yml":
        path = tmp_path_factory.mktemp("forwarder") / "forwarder.json"
        path.write_text(json.dumps(read_template(request.param)), "utf-8")
    with LocalAWS() as local:
        yield LocalDelivery(local.account(fresh_account_id()), patterns=read_patterns(path))


def load(name: str) -> dict[str, Any]:
    """Return one of the event files."""
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    return event


def passed(delivery: LocalDelivery, event: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what arrives in the queue when an event is put on the bus."""
    delivery.emit(event)
    return [json.loads(record["body"]) for record in delivery.receive()]


@pytest.mark.parametrize("name", sorted(path.stem for path in EVENTS.glob("*.json")))
def test_the_rules_let_pass_what_the_function_reads(name: str, delivery: LocalDelivery) -> None:
    """Each event file, matched once at most; what is not ours never wakes the function."""
    event = load(name)

    arrived = passed(delivery, event)

    assert PASSES[name] is bool(arrived)
    assert len(arrived) in (0, 1)
    if arrived:
        assert read_event(event) is not None
        assert event["detail"] == arrived[0]["detail"]


@pytest.mark.parametrize("key", ["hcp-packer-channels", "hcp-packer-label-team", "hcp-packer-expects"])
def test_a_contract_tag_that_is_added_later_passes(key: str, delivery: LocalDelivery) -> None:
    """Channels may be asked for when the image is long there; other keys among the changed ones do no harm."""
    event = load("tag_change")
    event["detail"]["changed-tag-keys"] = ["Name", key]

    assert 1 == len(passed(delivery, event))


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("ami_available", ("detail", "State"), "pending"),
        ("ami_available", ("source",), "custom.ec2"),
        ("tag_change", ("detail", "changed-tag-keys"), ["Name", "x-hcp-packer-bucket"]),
        ("tag_change", ("detail", "service"), "rds"),
        ("tag_change", ("detail-type",), "Tag Change"),
    ],
)
def test_near_misses_do_not_pass(name: str, path: tuple[str, ...], value: object, delivery: LocalDelivery) -> None:
    """One field that differs is enough."""
    event = copy.deepcopy(load(name))
    table = event
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = value

    assert [] == passed(delivery, event)


def test_the_stand_in_gives_back_account_and_region(delivery: LocalDelivery) -> None:
    """What moto drops or overwrites is as EventBridge sends it: the image's region, the account of the bus."""
    (arrived,) = passed(delivery, load("ami_available_gov"))

    assert "us-gov-west-1" == arrived["region"]
    assert delivery._account.account_id == arrived["account"]


def test_two_rules_let_events_pass_and_both_lead_to_the_queue() -> None:
    """With retries for a day and a place for what could not be delivered."""
    assert {"TagChanges", "StateChanges"} == set(read_patterns())
    for name in read_patterns():
        (target,) = RESOURCES[name]["Properties"]["Targets"]
        assert {"Fn::GetAtt": ["Events", "Arn"]} == target["Arn"]
        assert {"Arn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}} == target["DeadLetterConfig"]
        assert {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185} == target["RetryPolicy"]


@pytest.mark.parametrize("template", ["template.json", "forwarder.yml"])
def test_only_these_rules_may_write_to_the_queues(template: str) -> None:
    """A queue that anybody may fill would let anybody start the function."""
    resources = read_template(template)["Resources"]
    ours, clear = resources["FromEventBridge"]["Properties"]["PolicyDocument"]["Statement"]

    assert ("Allow", {"Service": "events.amazonaws.com"}) == (ours["Effect"], ours["Principal"])
    assert "sqs:SendMessage" == ours["Action"]
    sources = ours["Condition"]["ArnEquals"]["aws:SourceArn"]
    assert {name for name, resource in resources.items() if resource["Type"] == "AWS::Events::Rule"} == {
        source["Fn::GetAtt"][0] for source in sources
    }
    assert ("Deny", {"Bool": {"aws:SecureTransport": "false"}}) == (clear["Effect"], clear["Condition"])
    assert ["sqs:SendMessage", "sqs:ReceiveMessage"] == clear["Action"]
    assert "*" == clear["Principal"]


@pytest.mark.parametrize("name", ["template.json", "forwarder.yml"])
def test_every_queue_has_the_policy(name: str) -> None:
    """Each statement is about each queue, and stands on it: EventBridge gives up its dead letters there, too."""
    resources = read_template(name)["Resources"]
    queues = {key for key, each in resources.items() if each["Type"] == "AWS::SQS::Queue"}
    policy = resources["FromEventBridge"]["Properties"]

    assert queues == {each["Ref"] for each in policy["Queues"]}
    for statement in policy["PolicyDocument"]["Statement"]:
        assert queues == {each["Fn::GetAtt"][0] for each in as_list(statement["Resource"])}


def test_the_queue_rests_and_keeps() -> None:
    """Two minutes of settle time, 200 tries, 14 days; and six times the function's timeout between blind tries."""
    queue, function = RESOURCES["Events"]["Properties"], RESOURCES["PublishLambdaFunction"]["Properties"]

    assert 120 == queue["DelaySeconds"]
    assert queue["VisibilityTimeout"] == 6 * function["Timeout"]
    assert (
        1_209_600 == queue["MessageRetentionPeriod"] == RESOURCES["DeadLetters"]["Properties"]["MessageRetentionPeriod"]
    )
    assert {"deadLetterTargetArn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}, "maxReceiveCount": 200} == queue[
        "RedrivePolicy"
    ]


def test_lambda_reports_record_by_record() -> None:
    """Partial batch responses, few at a time, on Python 3.13 and arm64; one batch fits one visibility call."""
    mapping = RESOURCES["PublishEventSourceMappingSQSEvents"]["Properties"]
    function = RESOURCES["PublishLambdaFunction"]["Properties"]

    assert {"Fn::GetAtt": ["Events", "Arn"]} == mapping["EventSourceArn"]
    assert {"Fn::GetAtt": ["PublishLambdaFunction", "Arn"]} == mapping["FunctionName"]
    assert (5, {"MaximumConcurrency": 2}) == (mapping["BatchSize"], mapping["ScalingConfig"])
    assert ["ReportBatchItemFailures"] == mapping["FunctionResponseTypes"]
    assert ("python3.13", ["arm64"]) == (function["Runtime"], function["Architectures"])
    # It would throttle the event source, and throttled messages use up their tries (Lambda developer guide).
    assert "ReservedConcurrentExecutions" not in function


def test_an_order_to_sweep_is_not_kept_for_longer_than_it_is_worth() -> None:
    """The frequent one is dropped before its successor comes; the daily one, once it is too late, is told."""
    (often,), (daily,) = (RESOURCES[name]["Properties"]["Targets"] for name in ("SweepOften", "SweepDaily"))

    assert {"Fn::GetAtt": ["Events", "Arn"]} == often["Arn"] == daily["Arn"]
    assert "rate(15 minutes)" == RESOURCES["SweepOften"]["Properties"]["ScheduleExpression"]
    assert often["RetryPolicy"]["MaximumEventAgeInSeconds"] < 15 * 60
    assert "DeadLetterConfig" not in often
    assert {"Arn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}} == daily["DeadLetterConfig"]
    assert 3600 < daily["RetryPolicy"]["MaximumEventAgeInSeconds"] < 86_400


def test_the_forwarder_sends_what_the_home_region_takes() -> None:
    """The same two patterns, parameter and all; its own dead letters, its own role, a day of retries."""
    forwarder = read_template("forwarder.yml")["Resources"]

    for name in ("TagChanges", "StateChanges"):
        assert RESOURCES[name]["Properties"]["EventPattern"] == forwarder[name]["Properties"]["EventPattern"]
        (target,) = forwarder[name]["Properties"]["Targets"]
        bus = "arn:${AWS::Partition}:events:${HomeRegion}:${AWS::AccountId}:event-bus/default"
        assert {"Fn::Sub": bus} == target["Arn"]
        assert {"Fn::GetAtt": ["Role", "Arn"]} == target["RoleArn"]
        assert {"Arn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}} == target["DeadLetterConfig"]
        assert {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185} == target["RetryPolicy"]
        assert "IsElsewhere" == forwarder[name]["Condition"]
