"""What may be imported when: cold starts and memory are paid for by every account, most events are not ours.

Each test runs one small program in a fresh interpreter and looks at what it has loaded: names and counts, never
times. What the bare interpreter loads by itself is not counted.
"""

from __future__ import annotations

import configparser
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parent.parent
SDKS = (
    "boto3",
    "botocore.",  # with the dot: see test_the_aws_function
    "azure.core",
    "azure.identity",
    "azure.mgmt",
    "msal",
    "google.api_core",
    "google.auth",
    "google.cloud.compute",
    "google.cloud.compute_v1",
    "grpc",
    "httpx",
    "requests",
    "moto",
    "re2",
    "starlette",
    "yaml",
)
NOT_YET = (
    "packer_publisher.mapping",
    "packer_publisher.mapping_file",
    "packer_publisher.registry",
    "packer_publisher.cli",
    "packer_publisher.local",
)


def run(program: str, **environment: str) -> tuple[set[str], str]:
    """Return the modules that a program has loaded at its end, and what it printed."""
    ending = "import json, sys; print('\\n' + json.dumps(sorted(sys.modules)))"
    ours = {"PUBLISHER_CONFIG": '{"buckets": {"*": {}}}', "AWS_DEFAULT_REGION": "eu-west-1"}
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{ending}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=kept | ours | environment,
        timeout=60,
    )
    assert (0, "") == (done.returncode, done.stderr)
    printed, _, modules = done.stdout.rstrip("\n").rpartition("\n")
    return set(json.loads(modules)), printed


@cache
def bare() -> frozenset[str]:
    """Return what the interpreter loads by itself, files of site-packages that run at its start included."""
    return frozenset(run("")[0])


def third_party(modules: set[str]) -> set[str]:
    """Return the modules that are neither of the standard library nor ours, entry points included."""
    ours = {"packer_publisher", "handler", "function_app", "main"}
    return {
        name
        for name in modules - bare()
        if name.split(".")[0] not in sys.stdlib_module_names and name.split(".")[0] not in ours
    }


def packages(modules: set[str]) -> set[str]:
    """Return the top-level names of modules."""
    return {name.split(".")[0] for name in modules}


def unwanted(modules: set[str], names: tuple[str, ...]) -> set[str]:
    """Return the modules that are one of the names or lie below it."""
    return {
        module
        for module in modules - bare()
        for name in names
        if module == name or module.startswith(name if name.endswith(".") else f"{name}.")
    }


def core_modules() -> list[str]:
    """Return the core's modules, as the dependency rule lists them."""
    rules = configparser.ConfigParser()
    rules.read_string((ROOT / ".importlinter").read_text("utf-8"))
    return rules["importlinter:contract:core"]["source_modules"].split()


@pytest.mark.parametrize("module", core_modules())
def test_the_core(module: str) -> None:
    """A module of the core loads the standard library and the core alone."""
    modules, _ = run(f"import {module}")
    assert set() == third_party(modules)
    assert set() == {name for name in modules if name.startswith("packer_publisher.")} - set(core_modules())


def test_the_command_line() -> None:
    """``packer-publisher --help`` loads click and no command."""
    program = """
        from packer_publisher.cli.main import main
        import sys
        sys.argv = ["packer-publisher", "--help"]
        try:
            main()
        except SystemExit as end:
            assert end.code in (0, None), end.code
    """
    modules, printed = run(dedent(program))
    assert "Usage: packer-publisher [OPTIONS] COMMAND [ARGS]..." in printed
    assert {"click"} == packages(third_party(modules))
    assert {"packer_publisher.cli.main", "packer_publisher.cli.program"} == {
        name for name in modules if name.startswith("packer_publisher.cli.")
    }
    assert set() == unwanted(
        modules, ("packer_publisher.registry", "packer_publisher.local", "packer_publisher.clouds")
    )


AWS_FOREIGN = {"version": "0", "id": "1", "source": "aws.s3", "detail-type": "Object Created", "detail": {}}
AWS_UNTAGGED = {
    "version": "0",
    "id": "2",
    "source": "aws.tag",
    "detail-type": "Tag Change on Resource",
    "account": "111122223333",
    "time": "2026-11-21T07:00:00Z",
    "region": "eu-west-1",
    "resources": ["arn:aws:ec2:eu-west-1::image/ami-0123456789abcdef0"],
    "detail": {
        "service": "ec2",
        "resource-type": "image",
        "changed-tag-keys": ["Name"],
        "tags": {"Name": "web"},
        "version": 1,
    },
}


@pytest.mark.parametrize("event", [AWS_FOREIGN, AWS_UNTAGGED], ids=["foreign", "untagged"])
def test_the_aws_function(event: dict[str, object]) -> None:
    """The Lambda handles an event that is not ours with Powertools and no SDK.

    Powertools' user agent asks for the bare package ``botocore``, which loads nothing else.
    """
    record = {
        "messageId": "1",
        "receiptHandle": "handle",
        "body": json.dumps(event),
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:111122223333:images",
        "awsRegion": "eu-west-1",
    }
    program = f"""
        import sys
        from types import SimpleNamespace
        sys.path.insert(0, "functions/aws")
        import handler
        context = SimpleNamespace(
            function_name="publisher",
            memory_limit_in_mb=256,
            invoked_function_arn="arn:aws:lambda:eu-west-1:111122223333:function:publisher",
            aws_request_id="00000000-0000-0000-0000-000000000000",
            get_remaining_time_in_millis=lambda: 60_000,
        )
        print(handler.handler({{"Records": [{record!r}]}}, context))
    """
    modules, printed = run(dedent(program))
    assert "{'batchItemFailures': []}" == printed.strip().splitlines()[-1]
    assert '"outcome":"ignored"' in printed.replace('": "', '":"')
    assert {"aws_lambda_powertools", "botocore", "jmespath", "typing_extensions"} == packages(third_party(modules))
    assert {"botocore"} == {name for name in modules if name.split(".")[0] == "botocore"}
    _assert_lean(modules, cloud="aws", third_party_at_most=110)


@pytest.mark.parametrize("event", ["virtual_machine_written", "untagged"])
def test_the_azure_function(event: str) -> None:
    """The Azure Function handles an event that is not ours with its host's library and no SDK."""
    folder = ROOT / "tests/events/azure"
    if event == "untagged":
        body = json.loads((folder / "gallery_version_notification.json").read_text("utf-8"))
        body["data"]["resourceInfo"]["tags"] = {"team": "web"}
    else:
        body = json.loads((folder / f"{event}.json").read_text("utf-8"))
    program = f"""
        import sys
        sys.path.insert(0, "functions/azure")
        import function_app
        print(function_app.handle({json.dumps(body).encode()!r}).outcome)
    """
    modules, printed = run(dedent(program), PUBLISHER_QUEUE="images")
    assert "ignored" == printed.strip().splitlines()[-1]
    assert {"azure", "markupsafe", "werkzeug"} == packages(third_party(modules))
    assert set() == {name for name in third_party(modules) if name.startswith("azure.")} - {
        name for name in modules if name.startswith("azure.functions")
    }
    _assert_lean(modules, cloud="azure", third_party_at_most=120)


@pytest.mark.parametrize("event", ["disk_create_snapshot_last", "image_insert_first"])
def test_the_google_function(event: str) -> None:
    """The Cloud Run function handles an event that is not ours, or no image yet, with its framework and no SDK."""
    body = json.loads((ROOT / f"tests/events/gcp/{event}.json").read_text("utf-8"))
    program = f"""
        import sys
        sys.path.insert(0, "functions/gcp")
        import main
        print(main.handle({body!r}).outcome)
    """
    modules, printed = run(dedent(program))
    assert "ignored" == printed.strip().splitlines()[-1]
    flask = {"flask", "werkzeug", "jinja2", "markupsafe", "click", "itsdangerous", "blinker"}
    events = {"cloudevents", "deprecation", "packaging"}
    assert {"functions_framework", "google", *flask, *events} == packages(third_party(modules))
    ships = ("google.cloud.functions", "google.cloud.functions_v1")  # they come with the framework
    google = {name for name in third_party(modules) if name.startswith("google.")}
    assert set() == {name for name in google if not name.startswith(ships)}
    _assert_lean(modules, cloud="gcp", third_party_at_most=165)


def _assert_lean(modules: set[str], *, cloud: str, third_party_at_most: int) -> None:
    others = tuple(f"packer_publisher.clouds.{other}" for other in ("aws", "azure", "gcp") if other != cloud)
    foreign = {name for name in modules if name.startswith(others)}
    assert set() == foreign
    assert set() == unwanted(modules, SDKS)
    assert set() == unwanted(modules, NOT_YET)
    count = len(third_party(modules))
    assert count <= third_party_at_most, f"{count} modules of third parties"
