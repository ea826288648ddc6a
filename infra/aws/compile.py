"""Compile what plain CloudFormation and Terraform deploy; ``--check`` only compares.

forwarders.json, a StackSet over regions, is made of forwarder.yml, and template.json of serverless.yml. That takes Node
and what ``npm ci`` installs (osls); no account, no network. The archive of the function is not looked at: osls itself
uploads it to a bucket that it makes, here two parameters, CodeBucket and CodeKey, stand for it. So one template serves
every release, account and region.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
AWS = ROOT / "infra" / "aws"
TEMPLATE = AWS / "template.json"
FORWARDER = AWS / "forwarder.yml"
FORWARDERS = AWS / "forwarders.json"
BODY_LIMIT = 51_200
"""The most that CloudFormation takes without a bucket, in bytes."""

CODE = {
    "CodeBucket": {
        "Type": "String",
        "Description": "The S3 bucket, in this region, that holds the function's archive (aws.zip of a release)",
        "AllowedPattern": "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        "ConstraintDescription": "must be the name of an S3 bucket",
    },
    "CodeKey": {
        "Type": "String",
        "Description": "The archive's key in that bucket; a new one for each release, or the old code stays",
        "AllowedPattern": "^.+\\.zip$",
        "ConstraintDescription": "must be the key of a zip archive",
    },
}


def main(arguments: list[str]) -> int:
    """Write both files, or with ``--check`` say whether they are what they are made of."""
    program = find_program()
    if program is None:
        sys.stderr.write("compile.py: osls is not installed; with Node 20 or newer: npm ci\n")
        return 2
    texts = {FORWARDERS: as_text(stack_set(read(FORWARDER))), TEMPLATE: as_text(released(compiled(program)))}
    wrong = []
    for path, text in texts.items():
        name, size = path.relative_to(ROOT), len(text.encode())
        if size > BODY_LIMIT:
            wrong.append(f"{name} would be {size} bytes, more than {BODY_LIMIT}")
        elif arguments != ["--check"]:
            path.write_text(text, "utf-8")
        elif path.read_text("utf-8") != text:
            wrong.append(f"{name} is out of date: make template")
    sys.stderr.writelines(f"compile.py: {problem}\n" for problem in wrong)
    return 1 if wrong else 0


def find_program() -> Path | None:
    """Return osls as ``npm ci`` installs it, None where it is not there or Node is not."""
    program = ROOT / "node_modules" / ".bin" / "osls"
    return program if program.exists() and shutil.which("node") else None


def compiled(program: Path) -> dict[str, Any]:
    """Return the template that a packager (osls, or Serverless 3.40) makes of serverless.yml, in a place of its own."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        shutil.copy(ROOT / "serverless.yml", place)
        shutil.copytree(AWS, place / "infra" / "aws", ignore=shutil.ignore_patterns("terraform"))
        (place / "build").mkdir()
        (place / "build" / "aws.zip").write_bytes(b"PK\x05\x06" + bytes(18))  # an empty archive
        environment = {"PATH": os.environ["PATH"], "HOME": folder, "SLS_TELEMETRY_DISABLED": "1"}
        command = [str(program), "package", "--package", "out"]
        done = subprocess.run(
            command, cwd=place, env=environment | {"SLS_NOTIFICATIONS_MODE": "off"}, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"compile.py: {program.name} failed:\n{done.stdout}{done.stderr}")
        template: dict[str, Any] = json.loads(
            (place / "out" / "cloudformation-template-update-stack.json").read_text("utf-8")
        )
    return template


def released(template: dict[str, Any]) -> dict[str, Any]:
    """Return the template without what only osls needs, its bucket, and with the parameters that stand for it."""
    resources = {
        name: resource
        for name, resource in template["Resources"].items()
        if not name.startswith("ServerlessDeploymentBucket")
    }
    function = resources["PublishLambdaFunction"]
    code = {"Code": {"S3Bucket": {"Ref": "CodeBucket"}, "S3Key": {"Ref": "CodeKey"}}}
    resources["PublishLambdaFunction"] = function | {"Properties": function["Properties"] | code}
    outputs = {name: output for name, output in template["Outputs"].items() if name != "ServerlessDeploymentBucketName"}
    parts = {"Parameters": CODE | template["Parameters"], "Resources": resources, "Outputs": outputs}
    order = ("AWSTemplateFormatVersion", "Description", "Parameters", "Rules", "Conditions", "Resources", "Outputs")
    return {name: (template | parts)[name] for name in order}


def read(path: Path) -> dict[str, Any]:
    """Return a template that is written in YAML."""
    template: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return template


def stack_set(forwarder: dict[str, Any]) -> dict[str, Any]:
    """Return the template of a StackSet that puts the forwarder into many regions; it goes into the home region."""
    passed_on = {name: given for name, given in forwarder["Parameters"].items() if name != "HomeRegion"}
    own = {
        "ForwardedRegions": {
            "Type": "CommaDelimitedList",
            "Description": "The other regions in which images are made, with commas between",
            "AllowedPattern": "^[a-z]{2}(-[a-z]+)+-[0-9]+$",
            "ConstraintDescription": "must be AWS regions, like us-east-1,us-west-2",
        },
        "AdministrationRole": {
            "Type": "String",
            "Default": "AWSCloudFormationStackSetAdministrationRole",
            "Description": "The role by which CloudFormation administers StackSets of this account",
        },
        "ExecutionRole": {
            "Type": "String",
            "Default": "AWSCloudFormationStackSetExecutionRole",
            "Description": "The role that makes the forwarders in each region",
        },
    }
    parameters = [{"ParameterKey": "HomeRegion", "ParameterValue": {"Ref": "AWS::Region"}}]
    parameters += [{"ParameterKey": name, "ParameterValue": {"Ref": name}} for name in passed_on]
    role = "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/${AdministrationRole}"
    forwarders = {
        "Type": "AWS::CloudFormation::StackSet",
        "Properties": {
            "StackSetName": "packer-publisher-forwarders",
            "Description": forwarder["Description"],
            "PermissionModel": "SELF_MANAGED",
            "AdministrationRoleARN": {"Fn::Sub": role},
            "ExecutionRoleName": {"Ref": "ExecutionRole"},
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
            "OperationPreferences": {"RegionConcurrencyType": "PARALLEL"},
            "Parameters": parameters,
            "StackInstancesGroup": [
                {
                    "DeploymentTargets": {"Accounts": [{"Ref": "AWS::AccountId"}]},
                    "Regions": {"Ref": "ForwardedRegions"},
                }
            ],
            "TemplateBody": json.dumps(forwarder, separators=(",", ":")),
        },
    }
    return {
        "AWSTemplateFormatVersion": forwarder["AWSTemplateFormatVersion"],
        "Description": "packer-publisher forwards the AMI events of many regions to this one",
        "Parameters": own | passed_on,
        "Resources": {"Forwarders": forwarders},
    }


def as_text(template: dict[str, Any]) -> str:
    """Return a template as it stands in the file: to be read, and small enough."""
    return json.dumps(template, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
