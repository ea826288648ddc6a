"""A function shows its own identity to HCP: no secret, no file; whoever is somebody else gets nothing.

The registry judges as HCP does: signatures are recomputed, tokens checked by the keys of their issuer.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from packer_publisher.deadline import Deadline
from packer_publisher.errors import ConfigurationError, CredentialsTrouble
from packer_publisher.local.identity_sources import APPLICATION, Issuer
from packer_publisher.registry import HCPPacker, read_environment
from packer_publisher.registry.principals import WorkloadIdentity
from packer_publisher.registry.subject_token import exchange_body
from packer_publisher.registry.wire import Wire
from tests.registry.trusting import AWS, AZURE, FOREIGN, GOOGLE, KEY, LOOSE_AWS, OTHER_AWS, Trusting, ask, trusting


@pytest.fixture(scope="module")
def served() -> Iterator[Trusting]:
    with trusting() as world:
        yield world


@pytest.fixture
def world(served: Trusting) -> Iterator[Trusting]:
    yield served
    served.clock.by = timedelta()
    served.sources.asked.clear()
    served.sources.lifetime = timedelta(hours=1)
    assert not served.sources.failing


@pytest.fixture(autouse=True)
def role(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the credentials of the role as Lambda does, and nothing else that botocore would find."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY.id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY.secret)
    monkeypatch.setenv("AWS_SESSION_TOKEN", KEY.session_token)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.delenv("AWS_PROFILE", raising=False)


def refusal(environ: dict[str, str]) -> CredentialsTrouble:
    with pytest.raises(CredentialsTrouble) as caught:
        ask(environ)
    return caught.value


def shown(environ: dict[str, str]) -> dict[str, Any]:
    """Return what a client of this environment would send to be exchanged."""
    credentials = read_environment(environ).credentials
    assert isinstance(credentials, WorkloadIdentity)
    wire = Wire()
    try:
        return exchange_body(credentials, wire, Deadline.after(10))
    finally:
        wire.close()


def exchanged(world: Trusting, provider: str, body: dict[str, Any]) -> bool:
    """Return whether the registry gives a token for a proof."""
    return world.registry.tokens.for_workload(provider, body) is not None


def test_the_role_of_a_lambda(world: Trusting) -> None:
    """Nothing is asked of AWS: the signature is made from the function's own variables."""
    ask(world.aws())
    assert "from-aws" == world.caller


def test_the_managed_identity_of_a_function_app(world: Trusting) -> None:
    """App Service's endpoint is asked with its header, for the audience, by the client id of the identity."""
    ask(world.azure())
    assert "from-azure" == world.caller
    [question] = world.sources.asked
    assert question.endswith(
        "/msi/token?api-version=2019-08-01&resource=api%3A%2F%2Fpacker-publisher"
        f"&client_id={world.sources.identity.client_id}"
    )


def test_the_managed_identity_of_a_machine(world: Trusting) -> None:
    """Elsewhere in Azure it is the instance metadata service; which cloud it is must be said there."""
    environ = world.environ(
        AZURE,
        PUBLISHER_WORKLOAD_CLOUD="azure",
        PUBLISHER_WORKLOAD_AUDIENCE=APPLICATION,
        **world.sources.machine(),
    )
    ask(environ)
    assert "from-azure" == world.caller
    assert "/metadata/identity/oauth2/token?api-version=2018-02-01" in world.sources.asked[0]


def test_the_service_account_of_a_cloud_run_function(world: Trusting) -> None:
    """The identity token is made out for the provider itself, unless an audience is named."""
    ask(world.google())
    assert "from-google" == world.caller
    assert "audience=iam%2Fproject%2F" in world.sources.asked[0]
    assert world.sources.asked[0].endswith("&format=full")


def test_one_token_serves_until_hcp_refuses_it(world: Trusting) -> None:
    """After a 401 the identity is shown again, once."""
    deadline = Deadline.after(20)
    with HCPPacker.from_environment(world.azure()) as hcp:
        for _ in range(3):
            hcp.get_bucket("web", deadline)
        assert 1 == len(world.sources.asked)
        world.registry.tokens.revoke_all()
        hcp.get_bucket("web", deadline)
    assert 2 == len(world.sources.asked)


def test_the_wrong_audience(world: Trusting) -> None:
    """A token that is made out for somebody else is not taken; the error names the provider and no token."""
    problem = refusal(world.google(PUBLISHER_WORKLOAD_AUDIENCE="https://vault.example"))
    assert (
        "Exchanging the workload's identity for a token: HCP refused the workload identity of the "
        "PUBLISHER_WORKLOAD_PROVIDER (the service account of Google Cloud): 401 (code 16): The workload's identity was "
        "not accepted." == str(problem)
    )
    assert f"Check the provider {GOOGLE!r}: its issuer, audience and conditional access." == problem.remedy


def test_an_audience_that_the_tenant_does_not_know(world: Trusting) -> None:
    """Entra gives no token for it; its code is told, its words are not."""
    problem = refusal(world.azure(PUBLISHER_WORKLOAD_AUDIENCE="api://nobody"))
    assert str(problem).endswith("/msi/token answered 400 (AADSTS500011).")
    assert "AZURE_CLIENT_ID" in problem.remedy
    assert 1 == len(world.sources.asked)  # it would not help to ask again


def test_an_identity_that_is_not_assigned(world: Trusting) -> None:
    """The wrong client id ends in trouble that says so."""
    assert "answered 400 (AADSTS700016)" in str(refusal(world.azure(AZURE_CLIENT_ID="nobody")))


def test_the_header_of_the_platform_never_shows(world: Trusting) -> None:
    """A wrong IDENTITY_HEADER is refused by the endpoint, and neither it nor the address's query is told."""
    problem = refusal(world.azure(IDENTITY_HEADER="made-up-header"))
    assert "made-up-header" not in f"{problem}{problem.remedy}{problem.__cause__!r}"
    assert "client_id" not in str(problem)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_endpoint_that_is_still_starting(world: Trusting, status: int) -> None:
    """It is asked three times in all."""
    world.sources.failing.extend([status, status])
    ask(world.google())
    assert 3 == len(world.sources.asked)
    world.sources.failing.extend([status] * 3)
    assert f"/identity answered {status}." in str(refusal(world.google()))
    assert 6 == len(world.sources.asked)


def test_an_endpoint_that_nobody_answers_at(world: Trusting) -> None:
    """An endpoint that is not there is trouble within seconds, never a hang."""
    problem = refusal(world.azure(IDENTITY_ENDPOINT="http://127.0.0.1:9/msi/token"))
    assert "http://127.0.0.1:9/msi/token did not answer" in str(problem)


def test_no_proxy_sees_the_question(world: Trusting, monkeypatch: pytest.MonkeyPatch) -> None:
    """App Service's address is one of the machine's own, whatever it is, and its header a secret."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    here = world.sources.url.replace("127.0.0.1", "127.1")  # the same address, which no list of exceptions spells so
    ask(world.azure(IDENTITY_ENDPOINT=f"{here}/msi/token"))
    assert 1 == len(world.sources.asked)


def test_half_an_identity_endpoint(world: Trusting) -> None:
    """An endpoint without its header is a setting of somebody's own, refused by name."""
    with pytest.raises(ConfigurationError) as caught:
        read_environment(world.azure(IDENTITY_HEADER=""))
    assert str(caught.value).startswith("IDENTITY_ENDPOINT is set, but IDENTITY_HEADER is not")


def test_a_federation_wins_over_a_credential_file(world: Trusting, tmp_path: Path) -> None:
    """What was asked for explicitly is used; a file of credentials, named or lying about, is not even read."""
    path = tmp_path / "cred.json"
    path.write_text("not JSON")
    ask(world.google(HCP_CRED_FILE=str(path)))
    assert "from-google" == world.caller


def test_a_key_wins_over_a_federation(world: Trusting) -> None:
    """HCP_CLIENT_ID and HCP_CLIENT_SECRET come first, as in HashiCorp's SDK; half of a key does not."""
    key = world.registry.environment()
    ask({**world.google(), "HCP_CLIENT_ID": key["HCP_CLIENT_ID"], "HCP_CLIENT_SECRET": key["HCP_CLIENT_SECRET"]})
    assert [] == world.sources.asked
    ask(world.google(HCP_CLIENT_ID=key["HCP_CLIENT_ID"]))
    assert "from-google" == world.caller


def test_a_token_that_has_expired(world: Trusting) -> None:
    """By the clock of whoever judges."""
    proof = shown(world.google())
    assert exchanged(world, GOOGLE, proof)
    world.clock.by = timedelta(hours=2)
    assert not exchanged(world, GOOGLE, proof)


@pytest.mark.parametrize(
    "change",
    [{"aud": "other"}, {"iss": "https://accounts.google.com"}, {"sub": "1"}, {"exp": 1}, {"nbf": 4_000_000_000}],
    ids=lambda change: next(iter(change)),
)
def test_each_claim_counts(world: Trusting, change: dict[str, Any]) -> None:
    """Audience, issuer, subject (by the conditional access) and times, each by itself."""
    claims = world.sources.google_claims(GOOGLE)
    assert exchanged(world, GOOGLE, {"jwt_token": world.sources.google.token(claims)})
    assert not exchanged(world, GOOGLE, {"jwt_token": world.sources.google.token({**claims, **change})})


def test_a_forged_signature(world: Trusting) -> None:
    """A key of somebody else's, the key of another issuer, no key at all, and the published key as a shared secret."""
    claims = world.sources.google_claims(GOOGLE)
    real = world.sources.google
    forger = Issuer(real.url, key_id=real.key_id)
    public = real.key_set()["keys"][0]["n"]
    forged = [
        forger.token(claims),
        world.sources.azure.token(claims),
        jwt.encode(claims, None, algorithm="none", headers={"kid": real.key_id}),  # type: ignore[arg-type]  # none
        jwt.encode(claims, public, algorithm="HS256", headers={"kid": real.key_id}),
        real.token(claims)[:-4] + "AAAA",
        real.token(claims, kid="other"),
        "not.a.token",
    ]
    assert [False] * 7 == [exchanged(world, GOOGLE, {"jwt_token": token}) for token in forged]


def test_an_aws_signature_is_of_one_provider(world: Trusting) -> None:
    """It can be replayed neither at another provider nor with another provider's name in the header."""
    proof = shown(world.aws())
    assert exchanged(world, AWS, proof)
    assert not exchanged(world, OTHER_AWS, proof)
    assert exchanged(world, OTHER_AWS, shown(world.aws(PUBLISHER_WORKLOAD_PROVIDER=OTHER_AWS)))
    proof["aws_get_caller_id_token"]["headers"]["X-Hcp-Workload-Identity-Provider"] = OTHER_AWS
    assert not exchanged(world, AWS, proof)
    assert not exchanged(world, OTHER_AWS, proof)


@pytest.mark.parametrize(
    "change",
    [
        {"X-Amz-Date": "20200101T000000Z"},
        {"X-Amz-Security-Token": "other"},
        {"Host": "sts.eu-central-1.amazonaws.com"},
        {"Authorization": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_part_of_an_aws_signature_counts(world: Trusting, change: dict[str, Any]) -> None:
    """Whatever is changed afterwards makes the signature somebody else's."""
    proof = shown(world.aws())
    proof["aws_get_caller_id_token"]["headers"].update(change)
    assert not exchanged(world, AWS, proof)


def test_a_role_of_the_same_name_in_another_account(world: Trusting, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider's account counts by itself, however loose its conditional access is."""
    loose = world.aws(PUBLISHER_WORKLOAD_PROVIDER=LOOSE_AWS)
    assert exchanged(world, LOOSE_AWS, shown(loose))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", FOREIGN.id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", FOREIGN.secret)
    monkeypatch.setenv("AWS_SESSION_TOKEN", FOREIGN.session_token)
    assert not exchanged(world, LOOSE_AWS, shown(loose))


def test_an_aws_signature_is_short_lived(world: Trusting) -> None:
    """STS takes it for a quarter of an hour."""
    proof = shown(world.aws())
    world.clock.by = timedelta(minutes=14)
    assert exchanged(world, AWS, proof)
    world.clock.by = timedelta(minutes=16)
    assert not exchanged(world, AWS, proof)


def test_an_aws_signature_of_another_secret(world: Trusting, monkeypatch: pytest.MonkeyPatch) -> None:
    """The access key id alone proves nothing; the error shows neither signature nor session token."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "guessed")
    problem = refusal(world.aws())
    assert "HCP refused the workload identity of the PUBLISHER_WORKLOAD_PROVIDER (the AWS role)" in str(problem)
    assert "made-up-session" not in f"{problem}{problem.remedy}"


def test_no_aws_credentials(world: Trusting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without a role is told so."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    problem = refusal(world.aws())
    assert str(problem).endswith("has no credential to show: there are no AWS credentials here.")
    assert "Run it with AWS credentials of a role, and AWS_REGION set, as Lambda does." == problem.remedy


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "sts.eu-west-1.amazonaws.com"),
        ("us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
        ("eusc-de-east-1", "sts.eusc-de-east-1.amazonaws.eu"),
        ("xx-new-1", "sts.xx-new-1.amazonaws.com"),
    ],
)
def test_the_host_fits_the_partition(world: Trusting, region: str, host: str) -> None:
    """China and the European sovereign cloud have domains of their own; the signature is for the very host."""
    request = shown(world.aws(AWS_REGION=region))["aws_get_caller_id_token"]
    assert f"https://{host}?Action=GetCallerIdentity&Version=2011-06-15" == request["url"]
    assert host == request["headers"]["Host"]


def test_a_signature_of_china(monkeypatch: pytest.MonkeyPatch) -> None:
    """STS of China takes its own, and not the one of the public partition."""
    with trusting("amazonaws.com.cn") as world:
        assert exchanged(world, AWS, shown(world.aws(AWS_REGION="cn-north-1")))
        assert not exchanged(world, AWS, shown(world.aws(AWS_REGION="eu-west-1")))
