"""Federation and secret stores in the deployed functions: no key in their environment, and signatures are checked.

Each answers a probe from its unpacked archive under its own runtime, with the variables that its cloud sets.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from packer_publisher.local.arm import Arm
from packer_publisher.local.aws import LocalAWS
from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.registry_tokens import WRITER
from packer_publisher.local.secret_vaults import SecretVaults, secret_vaults
from packer_publisher.local.server import serving
from tests.clouds.aws_stand_in import fresh_account_id
from tests.deploy.azure_host import Worker
from tests.deploy.google_framework import GoogleFunction
from tests.deploy.lambda_runtime import LambdaProcess, sqs_event
from tests.registry.trusting import KEY, Trusting, trusting

PROBE = json.dumps({"packer-publisher": {"probe": {"id": "3f2a9c1b7d04"}}})
CONFIG = {"PUBLISHER_CONFIG": '{"buckets": {"*": {}}}', "PUBLISHER_LOG_LEVEL": "DEBUG"}
REFUSED = "made-up-and-deleted-secret"
GOOGLE = "projects/img-proj/secrets/hcp"


@pytest.fixture(scope="module")
def world() -> Iterator[Trusting]:
    with trusting() as world:
        yield world


@pytest.fixture(scope="module")
def vaults(world: Trusting) -> Iterator[tuple[SecretVaults, str]]:
    with secret_vaults(lambda: world.sources.given) as found:
        found[0].secrets = {name: json.dumps({"client_id": WRITER.id, "client_secret": WRITER.secret})
                            for name in ("hcp", GOOGLE)}  # fmt: skip
        yield found


@pytest.fixture(scope="module")
def local() -> Iterator[LocalAWS]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with LocalAWS(("eu-west-1",), ()) as running:
        yield running


def stored(environ: Mapping[str, str], reference: str) -> dict[str, str]:
    """Return a deployment's variables with a secret's place instead of a federation."""
    kept = {name: value for name, value in environ.items() if not name.startswith("PUBLISHER_WORKLOAD_")}
    return {**kept, "PUBLISHER_CLIENT_SECRET": reference}


def answered(lines: list[Any]) -> str:
    """Return what a probe's answer says of the registry."""
    [line] = [line for line in lines if isinstance(line, Mapping) and line.get("probe") == "3f2a9c1b7d04"]
    return str(line.get("registry", line))


def secrets(world: Trusting) -> list[str]:
    """Return everything that proves somebody's identity here: keys, signatures' keys, and each token that was given."""
    keys = [WRITER.secret, REFUSED, KEY.secret, KEY.session_token, world.sources.header]
    assert world.registry.tokens.issued()
    return [*keys, *world.registry.tokens.issued(), *world.sources.given]


@pytest.mark.parametrize("way", ["federation", "secretsmanager", "ssm"])
def test_the_lambda(unpacked: Callable[[str], Path], world: Trusting, local: LocalAWS, way: str) -> None:
    """The trimmed botocore signs, and reads both stores; the role's keys are those that AWS knows."""
    account = local.account(fresh_account_id(), "eu-west-1")
    session: Any = account.session()
    environ = {**world.aws(), **account.environment}
    secret = json.dumps({"client_id": WRITER.id, "client_secret": WRITER.secret})
    if way == "federation":
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        environ |= dict(zip(names, (KEY.id, KEY.secret, KEY.session_token), strict=True))
    elif way == "ssm":
        store = session.client("ssm", endpoint_url=account.endpoint)
        store.put_parameter(Name="/team/hcp", Value=secret, Type="SecureString")
        environ = stored(environ, store.get_parameter(Name="/team/hcp")["Parameter"]["ARN"])
    else:
        manager = session.client("secretsmanager", endpoint_url=account.endpoint)
        environ = stored(environ, manager.create_secret(Name="hcp", SecretString=secret)["ARN"])
    with LambdaProcess(unpacked("aws"), {**environ, **CONFIG}) as function:
        assert {"batchItemFailures": []} == function.handler(sqs_event(PROBE), None)
    assert "active" == answered(function.lines())
    assert [] == [secret for secret in secrets(world) if secret in function.log]
    assert ("from-aws" if way == "federation" else WRITER.caller.name) == _asker(world)


def test_a_key_that_hcp_refuses(unpacked: Callable[[str], Path], world: Trusting, local: LocalAWS) -> None:
    """The log names the variable and the secret's place; the secret itself is in no line, at any level."""
    account = local.account(fresh_account_id(), "eu-west-1")
    session: Any = account.session()
    manager = session.client("secretsmanager", endpoint_url=account.endpoint)
    secret = json.dumps({"client_id": WRITER.id, "client_secret": REFUSED})
    arn = manager.create_secret(Name="refused", SecretString=secret)["ARN"]
    environ = {**stored({**world.aws(), **account.environment}, arn), **CONFIG}
    with LambdaProcess(unpacked("aws"), environ) as function:
        assert {"batchItemFailures": []} == function.handler(sqs_event(PROBE), None)
    assert answered(function.lines()).startswith(f"refused: Asking {world.registry.url} for a token: HCP refused "
                                                 f"PUBLISHER_CLIENT_SECRET ({arn}): 401")  # fmt: skip
    assert [] == [secret for secret in secrets(world) if secret in function.log]


@pytest.mark.parametrize("way", ["federation", "secret manager"])
def test_the_google_function(
    unpacked: Callable[[str], Path], world: Trusting, vaults: tuple[SecretVaults, str], way: str
) -> None:
    """The metadata server gives the identity's token, and the one that opens Secret Manager."""
    compute = ComputeEngine()
    with serving(compute.app) as url:
        environ = {**world.google(), "PUBLISHER_COMPUTE_ENDPOINT": url, "GOOGLE_CLOUD_PROJECT": "img-proj"}
        environ |= {"PUBLISHER_SECRET_MANAGER_ENDPOINT": vaults[1]}
        if way != "federation":
            environ = stored(environ, f"{GOOGLE}/versions/latest")
        with GoogleFunction(unpacked("gcp"), {**environ, **CONFIG}) as function:
            data = base64.b64encode(PROBE.encode()).decode()
            message = {"data": data, "messageId": "1", "publishTime": "2026-11-25T20:00:00Z"}
            status = function.post({"message": message, "subscription": "projects/img-proj/subscriptions/images"})
            assert 200 <= status < 300
    assert "active" == answered(function.lines())
    assert [] == [secret for secret in secrets(world) if secret in function.log]
    assert ("from-google" if way == "federation" else WRITER.caller.name) == _asker(world)


@pytest.mark.parametrize("way", ["federation", "key vault"])
def test_the_azure_function(
    unpacked: Callable[[str], Path], world: Trusting, vaults: tuple[SecretVaults, str], way: str
) -> None:
    """App Service's endpoint gives the identity's token, and the one that opens the vault."""
    arm = Arm()
    with serving(arm.app) as url:
        environ = {**world.azure(), "PUBLISHER_ARM_ENDPOINT": url, "AZURE_SUBSCRIPTION_ID": arm.subscriptions[0]}
        environ |= {"PUBLISHER_VAULT_ENDPOINT": vaults[1], "PUBLISHER_QUEUE": "images"}
        if way != "federation":
            environ = stored(environ, "https://team.vault.azure.net/secrets/hcp")
        with Worker(unpacked("azure"), {**environ, **CONFIG}) as worker:
            ended = worker.invoke("publish_image", {"message": {"string": PROBE}})
    assert "active" == answered(ended.reports())
    assert [] == [secret for secret in secrets(world) if secret in str(ended.logs)]
    assert ("from-azure" if way == "federation" else WRITER.caller.name) == _asker(world)


def _asker(world: Trusting) -> str:
    """Return for whom the registry's state was read last."""
    asked = [request for request in world.registry.requests.all() if request.operation == "GetRegistry"]
    return asked[-1].caller
