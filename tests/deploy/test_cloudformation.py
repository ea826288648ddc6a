"""serverless.yml, compiled by the packager that is pinned: the template of the release is what it compiles to.

What the template itself must hold to is checked without Node, in tests/infra. Two tools are too large to be installed
for one test each, and are asked where they are named: Serverless 3.40 by ``SERVERLESS_3`` (the path of
``node_modules/.bin/serverless`` after ``npm install serverless@3.40.0`` somewhere), and checkov by ``CHECKOV``
(``make checkov``).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from infra.aws.compile import AWS, FORWARDER, TEMPLATE, as_text, compiled, find_program, released

from packer_publisher.local.server import serving
from tests.deploy.stack_stand_in import StackStandIn

ROOT = Path(__file__).parents[2]

CHECKOV = {
    ("CKV_AWS_116", "template.json", "PublishLambdaFunction"): "SQS starts it, never asynchronously: the dead-letter "
    "queue is the queue's",
    ("CKV_AWS_115", "template.json", "PublishLambdaFunction"): "the event source's maximum concurrency bounds it; "
    "reserved concurrency would throttle polls and burn receives (Lambda developer guide, SQS scaling)",
}
"""What checkov finds and we do not follow, with the reason."""


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    """Return what osls makes of serverless.yml in this checkout."""
    program = find_program()
    if program is None:
        pytest.exit("osls is not there: `make test-deploy` installs it with Node", returncode=2)
    return compiled(program)


def test_the_released_template_is_what_serverless_yml_compiles_to(template: dict[str, Any]) -> None:
    """Else `make template`."""
    assert as_text(released(template)) == TEMPLATE.read_text("utf-8")


def test_osls_adds_no_more_than_its_bucket(template: dict[str, Any]) -> None:
    """What it deploys itself differs from the release by the place of the archive alone; it retains nothing either."""
    own, release = template["Resources"], released(template)["Resources"]
    assert {"ServerlessDeploymentBucket", "ServerlessDeploymentBucketPolicy"} == set(own) - set(release)
    assert [] == [name for name, resource in own.items() if "DeletionPolicy" in resource]
    differing = [name for name in release if own[name] != release[name]]
    assert ["PublishLambdaFunction"] == differing
    function, renewed = own["PublishLambdaFunction"], release["PublishLambdaFunction"]
    assert {"Ref": "ServerlessDeploymentBucket"} == function["Properties"]["Code"]["S3Bucket"]
    assert renewed["Properties"] == function["Properties"] | {"Code": renewed["Properties"]["Code"]}


def test_a_parameters_file_that_is_missing_is_an_error() -> None:
    """A typing error in its name never deploys the defaults."""
    program = find_program()
    assert program is not None
    for name, status in (("infra/aws/parameters.example.json", 0), ("infra/aws/parameters.exemple.json", 1)):
        command = [str(program), "print", f"--param=parameters={name}", "--path", "provider.stackParameters"]
        environment = {"PATH": os.environ["PATH"], "SLS_TELEMETRY_DISABLED": "1", "SLS_NOTIFICATIONS_MODE": "off"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert status == done.returncode
        assert ("HcpWorkloadProvider" in done.stdout) is (status == 0)
        assert ('Value not found at "file" source' in done.stdout + done.stderr) is (status == 1)


def deploy(place: Path, stand_in: StackStandIn, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the README's command in a checkout of its own, with an empty archive."""
    program = find_program()
    assert program is not None
    shutil.copy(ROOT / "serverless.yml", place)
    shutil.copytree(AWS, place / "infra" / "aws", ignore=shutil.ignore_patterns("terraform"))
    (place / "build").mkdir()
    (place / "build" / "aws.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(place),
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "SLS_AWS_MONITORING_FREQUENCY": "10",
        "SLS_NOTIFICATIONS_MODE": "off",
        "SLS_TELEMETRY_DISABLED": "1",
    }
    with serving(stand_in.app) as address:
        return subprocess.run(
            [str(program), "deploy", "--region", "eu-west-1", *options],
            cwd=place,
            env=environment | {"AWS_ENDPOINT_URL": address},
            capture_output=True,
            text=True,
            check=False,
        )


def test_one_command_makes_the_stack_that_is_not_there_yet(tmp_path: Path, template: dict[str, Any]) -> None:
    """A bucket first, then all of it; each request takes the parameters, although the bucket needs none of them."""
    stand_in = StackStandIn()
    (tmp_path / "tags.json").write_text('{"team": "platform"}', "utf-8")
    done = deploy(tmp_path, stand_in, "--param=parameters=infra/aws/parameters.example.json", "--param=tags=tags.json")

    assert 0 == done.returncode, done.stdout + done.stderr
    first, whole = stand_in.asked
    assert ("CreateStack", "UpdateStack") == (first.action, whole.action)
    assert {"packer-publisher"} == {first.name, whole.name}
    assert ((), ()) == (first.refused, whole.refused)
    assert {"AWS::S3::Bucket", "AWS::S3::BucketPolicy"} == {
        each["Type"] for each in first.template["Resources"].values()
    }
    assert set(template["Resources"]) == set(whole.template["Resources"])
    listed = json.loads((AWS / "parameters.example.json").read_text("utf-8"))
    assert {each["ParameterKey"]: each["ParameterValue"] for each in listed} == first.parameters == whole.parameters
    assert {"STAGE": "prod", "team": "platform"} == first.tags == whole.tags
    # osls deploys where this differs from the last time's: a parameter alone (Paused) is a change, too.
    (state,) = [json.loads(body) for name, body in stand_in.objects.items() if name.endswith("serverless-state.json")]
    assert listed == state["service"]["provider"]["stackParameters"]
    assert [True] == [name.endswith("/aws.zip") for name in stand_in.objects if not name.endswith(".json")]


def test_what_cannot_be_right_is_refused_before_the_bucket_is_there(tmp_path: Path) -> None:
    """And the sentence reaches whoever deploys: here nobody says who the function is to HCP."""
    stand_in = StackStandIn()
    given = [{"ParameterKey": "Configuration", "ParameterValue": "publisher.json"}]
    (tmp_path / "aws.json").write_text(json.dumps(given), "utf-8")
    done = deploy(tmp_path, stand_in, "--param=parameters=aws.json")

    assert 1 == done.returncode
    assert "Say who the function is to HCP: HcpWorkloadProvider" in done.stdout + done.stderr
    assert ["CreateStack"] == [each.action for each in stand_in.asked]
    assert {} == stand_in.objects


def test_serverless_3_compiles_the_same() -> None:
    """The file is no more osls's than that of the framework that it continues."""
    program = os.environ.get("SERVERLESS_3")
    if not program:
        pytest.skip("SERVERLESS_3 names no Serverless Framework 3.40 (npm install serverless@3.40.0)")
    assert as_text(released(compiled(Path(program)))) == TEMPLATE.read_text("utf-8")


def test_checkov_finds_nothing_but_what_is_explained() -> None:
    """Its own list of what a template should have; each exception has a reason."""
    program = os.environ.get("CHECKOV")
    if not program:
        pytest.skip("CHECKOV names no checkov: make checkov")
    files = [part for path in (TEMPLATE, FORWARDER) for part in ("-f", str(path))]
    command = [program, *files, "--framework", "cloudformation", "--output", "json", "--skip-download", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout)
    found = {
        (check["check_id"], Path(check["file_path"]).name, check["resource"].rpartition(".")[2])
        for check in answer["results"]["failed_checks"]
    }
    assert set(CHECKOV) == found
    assert 20 < answer["summary"]["passed"]
