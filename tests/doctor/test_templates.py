"""The doctor and the templates say the same: what they deploy is well, and what it asks for is in them."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import boto3
import pytest

from packer_publisher.clouds import azure_examined_events, azure_examiner, gcp_examined_events, gcp_examiner
from packer_publisher.examiners import Named
from packer_publisher.image import Platform
from packer_publisher.local.aws import LocalAccount
from packer_publisher.local.registry_serve import LocalRegistry
from tests.doctor.examining import bad, examine
from tests.infra import hcl, test_aws_stack

ROOT = Path(__file__).parents[2]
local, account = test_aws_stack.local, test_aws_stack.account  # the fixtures of moto's CloudFormation


def test_the_stack_of_aws_is_well(
    account: LocalAccount, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deployed from infra/aws/template.json; all that is wrong is that it is paused, for moto's sake.

    moto makes no queue policy from a template, so that of the template is put by hand, and its delay put back. The
    role's policies it keeps in Python's words instead of JSON.
    """
    stack = test_aws_stack.home(account, schedules=True)
    template = json.loads((ROOT / "infra/aws/template.json").read_text("utf-8"))
    policy = json.dumps(template["Resources"]["FromEventBridge"]["Properties"]["PolicyDocument"])
    attributes = {"Policy": policy, "DelaySeconds": "120"}
    stack.client("sqs").set_queue_attributes(QueueUrl=stack.names["Events"], Attributes=attributes)
    iam = stack.client("iam")
    for name in iam.list_role_policies(RoleName="packer-publisher")["PolicyNames"]:
        written = iam.get_role_policy(RoleName="packer-publisher", PolicyName=name)["PolicyDocument"]
        document = json.dumps(ast.literal_eval(written))
        iam.put_role_policy(RoleName="packer-publisher", PolicyName=name, PolicyDocument=document)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for name, value in {**account.environment, "AWS_REGION": stack.region}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_REGION", stack.region)

    registry.model.create_bucket({"name": "web"})
    findings = examine(Platform.AWS, Named(), registry.environment())

    assert [
        ("event source", "it is Disabled: events stay in the queue, for 14 days at most"),
        ("sweeps", f"not all run: {stack.names['SweepOften']}; lost events are found late, or not at all"),
    ] == [(about, text) for _, about, text in bad(findings)]


def test_the_sink_and_the_role_of_google() -> None:
    """The module's filter has nothing that the doctor misses, and its role just the permissions that it looks for."""
    module = hcl.read_module(ROOT / "infra" / "gcp")
    text = hcl.literal(hcl.local(module, "filter"))
    assert [] == list(gcp_examined_events._filter_problems(str(text)))
    assert list(gcp_examiner.PERMISSIONS) == hcl.texts(hcl.local(module, "permissions"))


def test_the_event_subscription_and_the_role_of_azure() -> None:
    """The module's operations, types and actions are those that the doctor asks for."""
    module = hcl.read_module(ROOT / "infra" / "azure")
    found = module.one("resource", "azurerm_eventgrid_system_topic_event_subscription", "images")
    filters = found.one("advanced_filter").one("string_in").attributes
    assert azure_examined_events.OPERATIONS == {text.lower() for text in hcl.texts(filters["values"])}
    assert azure_examined_events.TYPES == set(hcl.texts(found.attributes["included_event_types"]))
    role = module.one("resource", "azurerm_role_definition", "image_reader").one("permissions").attributes
    assert set(azure_examiner.ACTIONS) == set(hcl.texts(role["actions"]))
    role = module.one("resource", "azurerm_role_definition", "queue_worker").one("permissions").attributes
    assert set(azure_examiner.DATA_ACTIONS) == set(hcl.texts(role["data_actions"]))


def test_the_functions_of_azure() -> None:
    """The functions that must be there are those of function_app.py."""
    source = (ROOT / "functions/azure/function_app.py").read_text("utf-8")
    assert azure_examiner.FUNCTIONS == set(re.findall(r"_trigger\(.*?\ndef (\w+)\(", source, re.DOTALL))
