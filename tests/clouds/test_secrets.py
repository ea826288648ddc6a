"""The clouds' secret stores through their real SDKs: what is read, and what is said where nothing can be read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from google.oauth2.credentials import Credentials
from tests.registry.peer import Peer, Resets, Says, Stalls, running_peer
from tests.switches import setting

from packer_publisher.clouds.aws_secrets import read_aws_secret
from packer_publisher.clouds.azure_secrets import read_azure_secret
from packer_publisher.clouds.gcp_secrets import read_google_secret
from packer_publisher.deadline import Deadline
from packer_publisher.errors import CloudTrouble, ConfigurationError, CredentialsTrouble, Trouble
from packer_publisher.image import Platform
from packer_publisher.local.aws import LocalAccount
from packer_publisher.local.identity_sources import IdentitySources, identity_sources
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import local_registry
from packer_publisher.local.registry_tokens import WRITER
from packer_publisher.local.secret_vaults import SecretVaults, secret_vaults
from packer_publisher.registry import HCPPacker
from packer_publisher.secret_reference import (
    KeyVaultSecret,
    SecretManagerVersion,
    SecretsManagerSecret,
    SystemsManagerParameter,
    parse_secret_reference,
)
from packer_publisher.secret_stores import SecretStores

ROOT = Path(__file__).parents[2]
VAULT = "https://team.vault.azure.net/secrets/hcp"
GOOGLE = "projects/img-proj/secrets/hcp/versions/latest"
MANAGER = "arn:aws:secretsmanager:us-east-1:111122223333:secret:hcp-AbCdEf"
PARAMETER = "arn:aws:ssm:us-east-1:111122223333:parameter/hcp"
WORDS = "made-up words that AWS says"


def soon() -> Deadline:
    """Return a deadline whose pauses take no time."""
    return Deadline.after(20, sleep=lambda _: None)


@pytest.fixture(scope="module")
def sources() -> Iterator[IdentitySources]:
    with identity_sources() as served:
        yield served


@pytest.fixture(scope="module")
def served(sources: IdentitySources) -> Iterator[tuple[SecretVaults, str]]:
    with secret_vaults(lambda: sources.given) as vaults:
        yield vaults


@pytest.fixture
def vaults(served: tuple[SecretVaults, str]) -> Iterator[SecretVaults]:
    found = served[0]
    found.secrets = {"hcp": "made-up-secret", "projects/img-proj/secrets/hcp": "made-up-secret"}
    found.denied = False
    found.asked.clear()
    yield found
    assert not found.failing


@pytest.fixture
def peer() -> Iterator[Peer]:
    with running_peer() as peer:
        yield peer


def test_both_stores_of_aws(account: LocalAccount) -> None:
    """By their ARNs: a secret that is text or bytes, a parameter with and without a path."""
    session: Any = account.session()
    manager = session.client("secretsmanager", endpoint_url=account.endpoint)
    store = session.client("ssm", endpoint_url=account.endpoint)
    arns = [
        manager.create_secret(Name="team/hcp", SecretString="text")["ARN"],
        manager.create_secret(Name="bytes", SecretBinary=b"of bytes")["ARN"],
    ]
    for name in ("plain", "/team/hcp"):
        store.put_parameter(Name=name, Value=f"parameter {name}", Type="SecureString")
        arns.append(store.get_parameter(Name=name)["Parameter"]["ARN"])

    references = [parse_secret_reference(arn) for arn in arns]

    assert ["text", "of bytes", "parameter plain", "parameter /team/hcp"] == [
        read_aws_secret(reference, soon())
        for reference in references
        if isinstance(reference, SecretsManagerSecret | SystemsManagerParameter)
    ]


def test_a_secret_of_aws_that_is_no_text(account: LocalAccount) -> None:
    """It is told so, and nothing of it; no decoder's error, which carries the bytes, is behind it."""
    session: Any = account.session()
    manager = session.client("secretsmanager", endpoint_url=account.endpoint)
    arn = manager.create_secret(Name="picture", SecretBinary=b"\xffmade-up")["ARN"]
    with pytest.raises(CredentialsTrouble, match=f"The secret {arn} is binary, and no text.") as caught:
        read_aws_secret(SecretsManagerSecret(arn, "us-east-1"), soon())
    assert None is caught.value.__cause__


def test_a_secret_that_aws_does_not_have(account: LocalAccount) -> None:
    """What is missing is named, and so is the variable."""
    for arn in (MANAGER, PARAMETER):
        reference = parse_secret_reference(arn)
        assert isinstance(reference, SecretsManagerSecret | SystemsManagerParameter)
        with pytest.raises(CredentialsTrouble, match=f"AWS has no secret {arn}"):
            read_aws_secret(reference, soon())


@pytest.mark.parametrize(
    ("code", "kind", "text", "remedy"),
    [
        (
            "AccessDeniedException",
            CredentialsTrouble,
            f"AWS denies this role the secret {MANAGER} (AccessDeniedException).",
            "Allow secretsmanager:GetSecretValue on it in the function's role, and kms:Decrypt where it has a key of "
            "your own.",
        ),
        (
            "DecryptionFailure",
            CredentialsTrouble,
            f"AWS cannot decrypt the secret {MANAGER} for this role (DecryptionFailure).",
            "Allow kms:Decrypt on the secret's key in the function's role and in the key's policy.",
        ),
        (
            "ThrottlingException",
            CloudTrouble,
            "AWS region us-east-1 throttles (ThrottlingException), 3 tries",
            "nothing to do, it is tried again",
        ),
        (
            "UnrecognizedClientException",
            CredentialsTrouble,
            "AWS region us-east-1 refused the credentials (UnrecognizedClientException)",
            "renew the AWS credentials of this function or command, and check the clock",
        ),
    ],
)
def test_what_aws_says(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, code: str, kind: type[Trouble], text: str, remedy: str
) -> None:
    """A refusal is told by its code and with the permission that is missing, never in AWS's own words."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{peer.address}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAMADEUP")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    answer = Says({"__type": code, "message": WORDS}, 400, headers={"Content-Type": "application/x-amz-json-1.1"})
    peer.says(*[answer] * (3 if code == "ThrottlingException" else 1))

    with pytest.raises(kind) as caught:
        read_aws_secret(SecretsManagerSecret(MANAGER, "us-east-1"), soon())

    assert (text, remedy) == (str(caught.value), caught.value.remedy)
    assert WORDS not in f"{caught.value}{caught.value.remedy}"


@pytest.fixture
def azure(
    sources: IdentitySources, served: tuple[SecretVaults, str], monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Return the environment of an Azure Function whose vault is the stand-in; azure-identity reads the process's."""
    environ = {**sources.app_service(), "PUBLISHER_VAULT_ENDPOINT": served[1]}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return environ


def vault_secret(environ: dict[str, str], reference: str = VAULT) -> str:
    parsed = parse_secret_reference(reference)
    assert isinstance(parsed, KeyVaultSecret)
    return read_azure_secret(parsed, environ, soon())


def test_a_secret_of_key_vault(azure: dict[str, str], vaults: SecretVaults) -> None:
    """The newest version or a given one, with a token of the managed identity for vaults."""
    assert "made-up-secret" == vault_secret(azure)
    version = "0123456789abcdef0123456789abcdef"
    assert "made-up-secret" == vault_secret(azure, f"{VAULT}/{version}")
    assert ["/secrets/hcp", f"/secrets/hcp/{version}"] == vaults.asked


class StaticCredential:
    """A token that the stand-in of the vaults knows."""

    def get_token(self, *scopes: str, **_options: Any) -> AccessToken:
        """Return the token, for vaults alone."""
        assert ("https://vault.azure.net/.default",) == scopes
        return AccessToken("vault-token", 2_000_000_000)


def google_secret(environ: dict[str, str], token: str, reference: str = GOOGLE) -> str:
    parsed = parse_secret_reference(reference)
    assert isinstance(parsed, SecretManagerVersion)
    credentials = Credentials(token)  # type: ignore[no-untyped-call]  # of google-auth
    return read_google_secret(parsed, environ, soon(), credentials)


@pytest.fixture
def google(sources: IdentitySources, served: tuple[SecretVaults, str]) -> dict[str, str]:
    sources.given |= {"made-up-token": "google", "vault-token": "https://vault.azure.net"}
    return {"PUBLISHER_SECRET_MANAGER_ENDPOINT": served[1]}


def test_a_secret_of_secret_manager(google: dict[str, str], vaults: SecretVaults) -> None:
    """One GET of the version's payload."""
    assert "made-up-secret" == google_secret(google, "made-up-token")
    assert [f"/v1/{GOOGLE}:access"] == vaults.asked


def both(azure: dict[str, str], google: dict[str, str]) -> list[str]:
    """Return what both stores answer, a refusal as its text."""
    answers = []
    asks: tuple[Callable[[], str], ...] = (lambda: vault_secret(azure), lambda: google_secret(google, "made-up-token"))
    for ask in asks:
        try:
            answers.append(ask())
        except Trouble as problem:
            answers.append(f"{type(problem).__name__}: {problem}")
    return answers


def test_a_store_that_denies(azure: dict[str, str], google: dict[str, str], vaults: SecretVaults) -> None:
    """It is asked once, and the role that is missing is named."""
    vaults.denied = True
    assert [
        f"CredentialsTrouble: The vault refuses the secret {VAULT} (HTTP 403).",
        f"CredentialsTrouble: Secret Manager refuses the secret {GOOGLE} (HTTP 403).",
    ] == both(azure, google)
    assert 2 == len(vaults.asked)


def test_a_secret_that_is_not_there(azure: dict[str, str], google: dict[str, str], vaults: SecretVaults) -> None:
    """It is asked once, too."""
    vaults.secrets.clear()
    assert [
        f"CredentialsTrouble: There is no secret {VAULT} (HTTP 404).",
        f"CredentialsTrouble: There is no secret {GOOGLE} to read (HTTP 404).",
    ] == both(azure, google)
    assert 2 == len(vaults.asked)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_store_in_trouble(azure: dict[str, str], google: dict[str, str], vaults: SecretVaults, status: int) -> None:
    """It is asked three times in all, then the event is kept."""
    vaults.failing.extend([status, status])
    assert "made-up-secret" == vault_secret(azure)
    vaults.failing.extend([status] * 6)
    assert [
        f"CloudTrouble: The vault did not give the secret {VAULT} (HTTP {status}).",
        f"CloudTrouble: Secret Manager did not give the secret {GOOGLE} (HTTP {status}).",
    ] == both(azure, google)


def test_a_store_that_is_not_there(azure: dict[str, str], google: dict[str, str]) -> None:
    """Nobody listens: trouble, with the kind of error and no address of a token."""
    nobody = "http://127.0.0.1:9"
    vault, manager = both({**azure, "PUBLISHER_VAULT_ENDPOINT": nobody}, {"PUBLISHER_SECRET_MANAGER_ENDPOINT": nobody})
    assert f"CloudTrouble: The vault of {VAULT} did not answer (ServiceRequestError)." == vault
    assert f"CloudTrouble: Secret Manager did not answer for {GOOGLE} (ConnectionError)." == manager


def test_an_answer_that_is_none(azure: dict[str, str], google: dict[str, str], peer: Peer) -> None:
    """A proxy's page is no secret, and a broken connection no answer."""
    peer.says(*[Says(text="<html>made up</html>")] * 6, *[Resets()] * 6)
    here = f"http://{peer.address}"
    for words in ("gave no readable answer", "did not answer"):
        answers = both({**azure, "PUBLISHER_VAULT_ENDPOINT": here}, {"PUBLISHER_SECRET_MANAGER_ENDPOINT": here})
        assert [True, True] == [words in answer for answer in answers], answers


def test_a_store_that_is_silent_ends_with_the_invocations_time(azure: dict[str, str], google: dict[str, str]) -> None:
    """One that takes the question and never answers; AWS's are asked as EC2 is, whose silence is tried elsewhere."""
    vault, version = parse_secret_reference(VAULT), parse_secret_reference(GOOGLE)
    assert isinstance(vault, KeyVaultSecret)
    assert isinstance(version, SecretManagerVersion)
    token = Credentials("made-up-token")  # type: ignore[no-untyped-call]  # of google-auth
    asks: tuple[Callable[[str, Deadline], str], ...] = (
        lambda here, deadline: read_azure_secret(vault, {**azure, "PUBLISHER_VAULT_ENDPOINT": here}, deadline),
        lambda here, deadline: read_google_secret(
            version, {**google, "PUBLISHER_SECRET_MANAGER_ENDPOINT": here}, deadline, token
        ),
    )
    for ask in asks:
        with running_peer() as silent:
            silent.says(Stalls())
            began = monotonic()
            with pytest.raises(CloudTrouble):
                ask(f"http://{silent.address}", Deadline.after(1.2))
            assert monotonic() - began < 3.0


def test_no_redirect_is_followed(azure: dict[str, str], google: dict[str, str], peer: Peer) -> None:
    """A token goes to whom it was made out for, and nowhere that an answer names."""
    here = f"http://{peer.address}"
    peer.says(*[Says(status=302, headers={"Location": f"{here}/elsewhere"})] * 6)
    answers = both({**azure, "PUBLISHER_VAULT_ENDPOINT": here}, {"PUBLISHER_SECRET_MANAGER_ENDPOINT": here})
    assert [True, True] == [answer.endswith("(HTTP 302).") for answer in answers], answers
    assert [] == [request.target for request in peer.api if "elsewhere" in request.target]


def test_no_proxy_sees_what_is_meant_for_loopback(
    azure: dict[str, str], google: dict[str, str], vaults: SecretVaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in is asked directly, whatever the environment says of proxies."""
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    credential = StaticCredential()
    parsed = parse_secret_reference(VAULT)
    assert isinstance(parsed, KeyVaultSecret)
    assert "made-up-secret" == read_azure_secret(parsed, azure, soon(), credential)
    assert "made-up-secret" == google_secret(google, "made-up-token")


def test_no_identity_to_ask_with(azure: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An identity that is not assigned is told from a vault that denies."""
    monkeypatch.setenv("AZURE_CLIENT_ID", "nobody")
    with pytest.raises(CredentialsTrouble, match=r"No token to ask for the secret https://team\."):
        vault_secret({**azure, "AZURE_CLIENT_ID": "nobody"})


@pytest.mark.parametrize("name", ["PUBLISHER_VAULT_ENDPOINT", "PUBLISHER_SECRET_MANAGER_ENDPOINT"])
def test_a_stand_in_is_on_this_machine(azure: dict[str, str], name: str) -> None:
    """No token leaves for an address that somebody sets."""
    elsewhere = {**azure, name: "https://evil.example"}
    with pytest.raises(ConfigurationError, match=f"{name}=https://evil.example is no stand-in"):
        vault_secret(elsewhere) if "VAULT" in name else google_secret(elsewhere, "made-up-token")


SDKS = {Platform.AWS: ("boto3",), Platform.AZURE: ("azure.core", "azure.identity"), Platform.GCE: ("google.auth",)}


@pytest.mark.parametrize("platform", Platform)
def test_a_secret_costs_its_own_clouds_sdk_only(
    platform: Platform, account: LocalAccount, sources: IdentitySources, served: tuple[SecretVaults, str],
    vaults: SecretVaults, tmp_path: Path,
) -> None:  # fmt: skip
    """In a fresh process with a deployment's own variables the secret is read, and no other cloud's SDK is loaded."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "shared")}
    if platform is Platform.AWS:
        session: Any = account.session()
        manager = session.client("secretsmanager", endpoint_url=account.endpoint)
        reference = manager.create_secret(Name=f"pure-{os.getpid()}", SecretString="made-up-secret")["ARN"]
        environ |= account.environment
    elif platform is Platform.AZURE:
        reference = VAULT
        environ |= {**sources.app_service(), "PUBLISHER_VAULT_ENDPOINT": served[1]}
    else:
        reference = GOOGLE
        environ |= {**sources.cloud_run(), "PUBLISHER_SECRET_MANAGER_ENDPOINT": served[1]}
    program = """
import json, os, sys
from packer_publisher.deadline import Deadline
from packer_publisher.secret_reference import parse_secret_reference
from packer_publisher.secret_stores import SecretStores
text = SecretStores(dict(os.environ))(parse_secret_reference(sys.argv[1]), Deadline.after(20))
print(json.dumps([text, sorted(sys.modules)]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, reference], capture_output=True, text=True, check=False, env=environ, timeout=60
    )
    assert (0, "") == (done.returncode, done.stderr)
    text, modules = json.loads(done.stdout)
    assert "made-up-secret" == text
    for other, names in SDKS.items():
        assert [other is platform] * len(names) == [name in modules for name in names], other
    heavy = {"azure.mgmt", "google.cloud.compute_v1", "grpc", "packer_publisher.registry", "packer_publisher.local"}
    assert set() == heavy & set(modules)


def test_a_rotation_from_store_to_registry(account: LocalAccount) -> None:
    """Secrets Manager, boto3, the client, the token endpoint: the old key dies, and the next call goes on."""
    session: Any = account.session()
    manager = session.client("secretsmanager", endpoint_url=account.endpoint)
    wrong = json.dumps({"client_id": WRITER.id, "client_secret": "not-yet"})
    arn = manager.create_secret(Name=f"rotated-{os.getpid()}", SecretString=wrong)["ARN"]
    with local_registry(RegistryModel(seed=1, switches=setting())) as registry:
        environ = {**registry.environment(), "PUBLISHER_CLIENT_SECRET": arn}
        del environ["HCP_CLIENT_ID"], environ["HCP_CLIENT_SECRET"]
        with HCPPacker.from_environment(environ, read_secret=SecretStores(environ)) as hcp:
            with pytest.raises(CredentialsTrouble):
                hcp.get_bucket("web", soon())
            manager.put_secret_value(
                SecretId=arn, SecretString=json.dumps({"client_id": WRITER.id, "client_secret": WRITER.secret})
            )
            assert not hcp.get_bucket("web", soon()).exists
