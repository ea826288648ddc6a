"""A deployment in an account of the local AWS, as serverless.yml and infra/aws/forwarder.yml make it."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from packer_publisher.local.aws import LocalAccount
from tests.doctor.examining import FEDERATION

NAME = "packer-publisher"
CONFIG = json.dumps({"buckets": {"base": {"create_buckets": True}}})
TAGS: dict[str, Any] = {
    "source": ["aws.tag"],
    "detail-type": ["Tag Change on Resource"],
    "detail": {"service": ["ec2"], "resource-type": ["image"], "changed-tag-keys": [{"prefix": "hcp-packer-"}]},
}
STATES: dict[str, Any] = {
    "source": ["aws.ec2"],
    "detail-type": ["EC2 AMI State Change"],
    "detail": {"State": ["available", "failed", "deregistered", "disabled"]},
}
SWEEPS = {
    "SweepOften": ("rate(15 minutes)", '{"packer-publisher": {"sweep": {}}}'),
    "SweepDaily": ("cron(7 3 * * ? *)", '{"packer-publisher": {"sweep": {"window": "14d"}}}'),
}
READING = ["ec2:DescribeImages", "ec2:DescribeRegions", "ec2:GetImageAncestry"]
QUEUEING = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility",
            "sqs:SendMessage"]  # fmt: skip


class Deployment:
    """The deployment, and the ways in which a test breaks it; ``home`` is its region."""

    def __init__(self, account: LocalAccount, regions: tuple[str, ...]) -> None:
        self._clients: dict[tuple[str, str], Any] = {}
        self.account = account
        self.regions = regions
        self.home = account.home
        self.sqs, self.events, self.awslambda, self.iam, self.logs = (
            self.client(name) for name in ("sqs", "events", "lambda", "iam", "logs")
        )
        self.mend()

    def mend(self) -> None:
        """Make it as it should be, whatever a test has done to it."""
        self.dead_url, self.dead_arn = self._queue("DeadLetters")
        redrive = json.dumps({"deadLetterTargetArn": self.dead_arn, "maxReceiveCount": 200})
        statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
                     "Resource": "*"}  # fmt: skip
        self.policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.url, self.arn = self._queue(
            "Events",
            DelaySeconds="120",
            VisibilityTimeout="720",
            RedrivePolicy=redrive,
            Policy=self.policy,
        )
        self.role(READING, QUEUEING)
        self.runtime = "python3.13"
        self.function({"PUBLISHER_CONFIG": CONFIG, "PUBLISHER_QUEUE": self.url, **FEDERATION})
        self.awslambda.delete_function_concurrency(FunctionName=NAME)
        for mapping in self.awslambda.list_event_source_mappings(FunctionName=NAME)["EventSourceMappings"]:
            self.awslambda.delete_event_source_mapping(UUID=mapping["UUID"])
        self.mapping = self.awslambda.create_event_source_mapping(
            EventSourceArn=self.arn, FunctionName=NAME, FunctionResponseTypes=["ReportBatchItemFailures"]
        )["UUID"]
        self.rule("TagChanges", self.home, self.arn, self.dead_arn, pattern=TAGS)
        self.rule("StateChanges", self.home, self.arn, self.dead_arn, pattern=STATES)
        for name, (schedule, order) in SWEEPS.items():
            self.rule(name, self.home, self.arn, self.dead_arn, schedule=schedule, order=order)
        with suppress(self.logs.exceptions.ResourceAlreadyExistsException):
            self.logs.create_log_group(logGroupName=f"/aws/lambda/{NAME}")
        self.forwarders = {region: self.forward(region) for region in self.regions}

    def client(self, service: str, region: str = "") -> Any:
        """Return a client of the account."""
        key = (service, region or self.home)
        if key not in self._clients:
            session: Any = self.account.session()
            self._clients[key] = session.client(service, region_name=key[1], endpoint_url=self.account.endpoint)
        return self._clients[key]

    def _queue(self, name: str, region: str = "", **attributes: str) -> tuple[str, str]:
        sqs = self.client("sqs", region)
        given = {"MessageRetentionPeriod": "1209600", **attributes}
        with suppress(sqs.exceptions.QueueDoesNotExist):
            sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=f"publisher-{name}")["QueueUrl"])
        url = sqs.create_queue(QueueName=f"publisher-{name}", Attributes=given)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        return url, arn

    def role(self, reading: list[str], queueing: list[str]) -> None:
        """Create the role, or give it other permissions."""
        trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                 "Principal": {"Service": "lambda.amazonaws.com"}}]}  # fmt: skip
        with suppress(self.iam.exceptions.EntityAlreadyExistsException):
            self.iam.create_role(RoleName=NAME, AssumeRolePolicyDocument=json.dumps(trust))
        statements = [
            {"Effect": "Allow", "Action": reading, "Resource": "*"},
            {"Effect": "Allow", "Action": queueing, "Resource": self.arn},
        ]
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.iam.put_role_policy(RoleName=NAME, PolicyName="publish", PolicyDocument=document)

    @contextmanager
    def attached_policy(self, *actions: str, boundary: bool = False) -> Iterator[str]:
        """Give the role a managed policy of its own, or a boundary; yield its ARN."""
        statement = {"Effect": "Allow", "Action": list(actions) or READING, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        name = "boundary" if boundary else "attached"
        arn: str = self.iam.create_policy(PolicyName=name, PolicyDocument=document)["Policy"]["Arn"]
        if boundary:
            self.iam.put_role_permissions_boundary(RoleName=NAME, PermissionsBoundary=arn)
        else:
            self.iam.attach_role_policy(RoleName=NAME, PolicyArn=arn)
        try:
            yield arn
        finally:
            if boundary:
                self.iam.delete_role_permissions_boundary(RoleName=NAME)
            else:
                self.iam.detach_role_policy(RoleName=NAME, PolicyArn=arn)
            self.iam.delete_policy(PolicyArn=arn)

    def function(self, variables: Mapping[str, str], runtime: str = "") -> None:
        """Create the function, or change its settings."""
        environment = {"Variables": dict(variables)}
        self.variables, self.runtime = dict(variables), runtime or self.runtime
        try:
            self.awslambda.create_function(
                FunctionName=NAME,
                Runtime=self.runtime,
                Role=f"arn:aws:iam::{self.account.account_id}:role/{NAME}",
                Handler="handler.handler",
                Code={"ZipFile": archive()},
                Timeout=120,
                Environment=environment,
            )
        except self.awslambda.exceptions.ResourceConflictException:
            self.awslambda.update_function_configuration(
                FunctionName=NAME, Environment=environment, Runtime=self.runtime
            )

    def rule(
        self, name: str, region: str, target: str, dead: str, *, pattern: object = None, schedule: str = "",
        order: str = "", role: str = "",
    ) -> None:  # fmt: skip
        """Put a rule with its target."""
        events = self.client("events", region)
        what: dict[str, str] = {"ScheduleExpression": schedule} if schedule else {"EventPattern": json.dumps(pattern)}
        events.put_rule(Name=name, State="ENABLED", **what)
        aimed: dict[str, Any] = {"Id": "target", "Arn": target, "DeadLetterConfig": {"Arn": dead}}
        aimed |= {"Input": order} if order else {}
        aimed |= {"RoleArn": role} if role else {}
        events.put_targets(Rule=name, Targets=[aimed])

    def forward(self, region: str) -> str:
        """Forward a region's events to the home region; return the URL of its dead-letter queue."""
        url, dead = self._queue("Forwarded", region)
        bus = f"arn:aws:events:{self.home}:{self.account.account_id}:event-bus/default"
        role = f"arn:aws:iam::{self.account.account_id}:role/{NAME}"
        self.rule("TagChanges", region, bus, dead, pattern=TAGS, role=role)
        self.rule("StateChanges", region, bus, dead, pattern=STATES, role=role)
        return url

    def write_log(self, line: str) -> None:
        """Put a line into the function's log."""
        group, stream = f"/aws/lambda/{NAME}", "1"
        with suppress(self.logs.exceptions.ResourceAlreadyExistsException):
            self.logs.create_log_stream(logGroupName=group, logStreamName=stream)
        events = [{"timestamp": int(time.time() * 1000), "message": line}]
        self.logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def archive() -> bytes:
    """Return a small archive that Lambda takes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr(zipfile.ZipInfo("handler.py"), "def handler(event, context): ...\n")
    return content.getvalue()
