"""What the templates for AWS may and may not contain, as a security review reads them; cfn-lint, and rules of ours."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from botocore.session import Session
from cfnlint.api import ManualArgs, lint
from infra.aws.compile import BODY_LIMIT, FORWARDER, FORWARDERS, as_text, read, stack_set
from infra.aws.tables import REASONS

from tests.infra.cloudformation import AWS, as_list, every, read_template, statements

FILES = ("template.json", "forwarder.yml", "forwarders.json")
RUNNING = ("template.json", "forwarder.yml")
"""Those that are more than a StackSet around another one."""

LINT = {
    ("template.json", "W1033", "Parameters/SecurityGroupIds"): "its default, with which none is made",
    ("template.json", "W1033", "Resources/PublishLambdaFunction"): "the same, at the place where it is used",
    ("template.json", "W3005", "Resources/PublishLambdaFunction"): "osls names the role twice, which is harmless",
}
"""What cfn-lint says and we do not follow, with the reason."""

CREATED = {
    "template.json": {
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::Dashboard",
        "AWS::Events::Rule",
        "AWS::IAM::Role",
        "AWS::Lambda::EventSourceMapping",
        "AWS::Lambda::Function",
        "AWS::Logs::LogGroup",
        "AWS::SQS::Queue",
        "AWS::SQS::QueuePolicy",
    },
    "forwarder.yml": {
        "AWS::CloudWatch::Alarm",
        "AWS::Events::Rule",
        "AWS::IAM::Role",
        "AWS::SQS::Queue",
        "AWS::SQS::QueuePolicy",
    },
}
"""All of these go with their stack; a type that is added is looked at whether it does, too."""


@pytest.mark.parametrize("name", FILES)
def test_cfn_lint_has_nothing_to_say_but_what_is_explained(name: str) -> None:
    """Types, properties, references, conditions, rules; in the regions of three partitions."""
    regions = ["eu-west-1", "us-gov-west-1", "cn-north-1"]
    found = lint((AWS / name).read_text("utf-8"), config=ManualArgs(regions=regions))

    said = {(name, match.rule.id, "/".join(map(str, match.path[:2]))) for match in found}
    assert {place for place in LINT if place[0] == name} == said


@pytest.mark.parametrize("name", RUNNING)
def test_no_action_is_a_wildcard(name: str) -> None:
    """Every action is spelt out, in roles and in queue policies, and nobody is allowed everything but something."""
    for _, statement in statements(read_template(name)):
        assert "NotAction" not in statement
        assert "NotResource" not in statement
        assert [] == [action for action in as_list(statement["Action"]) if "*" in action]


@pytest.mark.parametrize("name", RUNNING)
def test_every_wildcard_resource_is_explained(name: str) -> None:
    """A statement about ``*`` stands in the table of the documentation with its reason."""
    wide = [
        statement["Sid"]
        for _, statement in statements(read_template(name))
        if statement["Effect"] == "Allow" and "*" in as_list(statement.get("Resource", []))
    ]
    assert (["ReadImages", "LambdaAttachesTheFunction"] if name == "template.json" else []) == wide
    assert all(REASONS[sid] for sid in wide)


def test_what_a_role_may_do_to_images_is_looking() -> None:
    """No write to EC2 but what Lambda itself does for a VPC, and that the function's own code is denied."""
    role = [statement for name, statement in statements(read_template("template.json")) if name == "Role"]
    allowed = {
        action
        for statement in role
        if statement["Effect"] == "Allow"
        for action in as_list(statement["Action"])
        if not re.match(r"\w+:(Describe|Get)", action)
    }
    denied = [statement for statement in role if statement["Effect"] == "Deny"]

    assert {
        "sts:AssumeRole",
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "sqs:ReceiveMessage",
        "sqs:SendMessage",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "kms:Decrypt",
        "kms:GenerateDataKey",
        *(action for statement in denied for action in statement["Action"] if "Describe" not in action),
    } == allowed
    (deny,) = denied
    (interfaces,) = [statement for statement in role if statement.get("Sid") == "LambdaAttachesTheFunction"]
    assert interfaces["Action"] == deny["Action"]
    own = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${FunctionName}"
    assert {"ArnEquals": {"lambda:SourceFunctionArn": [{"Fn::Sub": own}]}} == deny["Condition"]


def test_the_role_writes_into_its_own_log_group_only() -> None:
    """The one of the template, by its name."""
    template = read_template("template.json")
    (logs,) = [statement for _, statement in statements(template) if statement.get("Sid") == "OwnLogGroup"]
    group = template["Resources"]["PublishLogGroup"]["Properties"]["LogGroupName"]["Fn::Sub"]
    where = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}"
    assert {"Fn::Sub": f"{where}:log-group:{group}:*"} == logs["Resource"]


@pytest.mark.parametrize(("name", "service"), [("template.json", "lambda"), ("forwarder.yml", "events")])
def test_a_role_is_its_own_services(name: str, service: str) -> None:
    """No other service, and no user, may be what HCP trusts, or send events home."""
    roles = [each for each in read_template(name)["Resources"].values() if each["Type"] == "AWS::IAM::Role"]
    (trust,) = [each["Properties"]["AssumeRolePolicyDocument"]["Statement"] for each in roles]
    (statement,) = trust
    assert ("Allow", "sts:AssumeRole") == (statement["Effect"], statement["Action"])
    assert {"Service": f"{service}.amazonaws.com"} == statement["Principal"]


@pytest.mark.parametrize("name", RUNNING)
def test_a_principal_is_a_service(name: str) -> None:
    """Nobody else is let in: a statement for everybody is a denial."""
    for _, statement in statements(read_template(name)):
        if "Principal" in statement and statement["Effect"] == "Allow":
            assert {"Service"} == set(statement["Principal"])


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_retained(name: str) -> None:
    """Removing the stack removes everything: no policy keeps a resource, and none is of a type that outlives it."""
    resources = read_template(name)["Resources"]

    assert [] == [
        path for path, _ in every(resources) if path and path[-1] in ("DeletionPolicy", "UpdateReplacePolicy")
    ]
    assert CREATED.get(name, {"AWS::CloudFormation::StackSet"}) == {resource["Type"] for resource in resources.values()}


def test_the_log_group_is_in_the_template() -> None:
    """Lambda would make one that is kept for ever; here it is made first, and the role may make none."""
    template = read_template("template.json")
    resources, actions = (
        template["Resources"],
        [action for _, statement in statements(template) for action in as_list(statement["Action"])],
    )

    assert {"Fn::Sub": "/aws/lambda/${FunctionName}"} == resources["PublishLogGroup"]["Properties"]["LogGroupName"]
    assert {"Ref": "FunctionName"} == resources["PublishLambdaFunction"]["Properties"]["FunctionName"]
    assert "PublishLogGroup" in resources["PublishLambdaFunction"]["DependsOn"]
    assert "logs:CreateLogGroup" not in actions


@pytest.mark.parametrize("name", FILES)
def test_no_partition_region_or_account_is_written_out(name: str) -> None:
    """So it deploys in GovCloud and China, too; a parameter's pattern takes ARNs of all partitions."""
    template = read_template(name)
    if name == "forwarders.json":
        template["Resources"]["Forwarders"]["Properties"]["TemplateBody"] = ""  # forwarder.yml, looked at by itself
    texts = [(path, value) for path, value in every(template) if isinstance(value, str)]

    for path, text in texts:
        if path[-1] == "AllowedPattern":
            assert "arn:aws:" not in text
            assert "arn:aws" not in text or "arn:aws[a-z-]*:" in text
        elif path[-1] not in ("Description", "ConstraintDescription"):
            assert not re.search(r"arn:aws|amazonaws\.com\.cn|\b[a-z]{2}-[a-z]+-\d\b|\b\d{12}\b", text), path


def test_what_an_account_has_once_is_named_after_its_region() -> None:
    """Where the whole stack, or a forwarder, goes to several regions: roles and dashboards are an account's.

    Only the function's role has the very name that it is given, because HCP is told of it first; docs/aws.md says so.
    """
    names = {
        (name, kind): each["Properties"][kind]
        for name in RUNNING
        for each in read_template(name)["Resources"].values()
        for kind in ("RoleName", "DashboardName")
        if kind in each["Properties"]
    }
    assert {
        ("template.json", "RoleName"): {"Ref": "RoleName"},
        ("template.json", "DashboardName"): {"Fn::Sub": "${FunctionName}-${AWS::Region}"},
        ("forwarder.yml", "RoleName"): {"Fn::Sub": "${RoleName}-${AWS::Region}"},
    } == names
    pattern = re.compile(read_template("forwarder.yml")["Parameters"]["RoleName"]["AllowedPattern"])
    session = Session()
    regions = [
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("ec2", partition)
    ]
    longest = max(len("-" + region) for region in regions)
    assert pattern.fullmatch("x" * (64 - longest - 2)), "IAM takes 64 characters"
    assert not pattern.fullmatch("x" * (64 - longest + 1))


def test_messages_and_dead_letters_are_encrypted_and_kept_for_two_weeks() -> None:
    """With SQS's own key, or with one of the team's."""
    for name in RUNNING:
        queues = [
            resource["Properties"]
            for resource in read_template(name)["Resources"].values()
            if resource["Type"] == "AWS::SQS::Queue"
        ]
        assert queues
        for queue in queues:
            own = queue["SqsManagedSseEnabled"]
            assert own is True or {"Fn::If": ["HasKey", {"Ref": "AWS::NoValue"}, True]} == own
            assert 1_209_600 == queue["MessageRetentionPeriod"]


@pytest.mark.parametrize("name", FILES)
def test_a_template_needs_no_bucket(name: str) -> None:
    """CloudFormation takes it as it is, from a command line or from Terraform."""
    assert len((AWS / name).read_bytes()) <= BODY_LIMIT


def test_the_stack_set_holds_the_forwarder_as_it_is() -> None:
    """forwarders.json is made of forwarder.yml and passes every parameter on; HomeRegion is where it is deployed."""
    assert as_text(stack_set(read(FORWARDER))) == FORWARDERS.read_text("utf-8")
    properties: dict[str, Any] = read_template("forwarders.json")["Resources"]["Forwarders"]["Properties"]
    assert read(FORWARDER) == json.loads(properties["TemplateBody"])
    passed = {each["ParameterKey"]: each["ParameterValue"]["Ref"] for each in properties["Parameters"]}
    assert set(read(FORWARDER)["Parameters"]) == set(passed)
    assert "AWS::Region" == passed.pop("HomeRegion")
    assert all(key == value for key, value in passed.items())


def test_the_forwarder_does_nothing_in_the_home_region() -> None:
    """There it would send the bus its own events; and CloudFormation takes no YAML aliases, where anchors tempt."""
    resources = read_template("forwarder.yml")["Resources"]
    assert {"TagChanges", "StateChanges", "Role", "FromEventBridge"} == {
        name for name, resource in resources.items() if resource.get("Condition") == "IsElsewhere"
    }
    assert not re.search(r"^\s*(- )?(\w+: )?[&*]\w+", FORWARDER.read_text("utf-8"), re.MULTILINE)
