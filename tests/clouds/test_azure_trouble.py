"""What happens when Azure refuses, throttles, stalls or talks nonsense."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest
from azure.core.credentials import AccessToken
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from tests.clouds.azure_stand_in import SUBSCRIPTION, azure_on, managed_image, ref, soon

from packer_publisher.clouds.azure import Azure
from packer_publisher.deadline import Deadline
from packer_publisher.errors import CloudTrouble, ConfigurationError, CredentialsTrouble, Trouble
from packer_publisher.local.arm import Arm
from packer_publisher.local.server import serving
from packer_publisher.policy import Policy

IMAGE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-images/providers/Microsoft.Compute/images/web-1"
ROLE = "give the function's identity the role that infra/azure defines (read images, galleries and resources)"
CALLER = "The client 'somebody' with object id '4444' does not have authorization"


@pytest.fixture
def arm() -> Arm:
    arm = Arm()
    managed_image(arm, system_data=True)
    return arm


@pytest.fixture
def azure(arm: Arm) -> Iterator[Azure]:
    with serving(arm.app) as address, azure_on(address) as azure:
        yield azure


def trouble(azure: Azure, identifier: str = IMAGE, deadline: Deadline | None = None) -> Trouble:
    with pytest.raises(Trouble) as raised:
        azure.describe(ref(identifier), deadline or soon())
    return raised.value


@pytest.mark.parametrize(("status", "code"), [(401, "InvalidAuthenticationToken"), (403, "AuthorizationFailed")])
def test_refused_credentials_are_trouble_that_names_no_caller(arm: Arm, azure: Azure, status: int, code: str) -> None:
    """Refusal is not repeated here, and Azure's own text, which quotes the caller, is not passed on."""
    arm.fail(status, code, CALLER, times=2)
    error = trouble(azure)
    assert isinstance(error, CredentialsTrouble)
    assert f"Azure refused to show {IMAGE} (HTTP {status} {code})." == str(error)
    assert (error.remedy, arm.unmet_faults) == (ROLE, 1)


def test_an_unknown_subscription_is_a_matter_of_credentials(azure: Azure) -> None:
    """A 404 for the subscription says that the identity may not see it, not that the image is gone."""
    identifier = IMAGE.replace(SUBSCRIPTION, "00000000-0000-0000-0000-000000000000")
    error = trouble(azure, identifier)
    assert isinstance(error, CredentialsTrouble)
    assert f"Azure refused to show {identifier} (HTTP 404 SubscriptionNotFound)." == str(error)


def test_made_up_subscriptions_fill_no_memory(azure: Azure) -> None:
    """Each has a client of its own, and whoever sends events can make up any number."""
    for number in range(33):
        trouble(azure, IMAGE.replace(SUBSCRIPTION, f"00000000-0000-0000-0000-{number:012}"))
    assert azure.describe(ref(IMAGE), soon()) is not None
    assert 32 == len(azure._arm._clients)


def test_throttling_hands_on_a_long_wait(arm: Arm, azure: Azure) -> None:
    """A Retry-After longer than an invocation should wait goes to the platform at once."""
    arm.fail(429, "TooManyRequests", retry_after=30, times=2)
    error = trouble(azure)
    assert isinstance(error, CloudTrouble)
    assert (30.0, f"Azure throttles; it did not show {IMAGE} (HTTP 429 TooManyRequests).") == (
        error.retry_after,
        str(error),
    )
    assert arm.unmet_faults == 1


def test_throttling_is_sat_out_where_it_is_short(arm: Arm, azure: Azure) -> None:
    """A short Retry-After is waited for, on the invocation's deadline."""
    arm.fail(429, "TooManyRequests", retry_after=4)
    deadline = soon(20)
    assert azure.describe(ref(IMAGE), deadline) is not None
    assert (deadline.remaining(), arm.unmet_faults) == (16.0, 0)


def test_throttling_is_not_sat_out_past_the_deadline(arm: Arm, azure: Azure) -> None:
    """Where the wait would end after the deadline, the platform waits instead."""
    arm.fail(429, "TooManyRequests", retry_after=4)
    assert trouble(azure, deadline=soon(3)).retry_after == 4.0


def test_a_server_error_is_tried_three_times(arm: Arm, azure: Azure) -> None:
    """A read is repeated after 1 and 2 seconds, then it is trouble."""
    arm.fail(503, "ServerTimeout", times=4)
    deadline = soon(20)
    assert f"Azure did not show {IMAGE} (HTTP 503 ServerTimeout)." == str(trouble(azure, deadline=deadline))
    assert (deadline.remaining(), arm.unmet_faults) == (17.0, 1)


def test_without_time_nothing_is_asked(arm: Arm, azure: Azure) -> None:
    """An expired deadline costs no request."""
    assert f"No time was left to ask Azure for {IMAGE}." == str(trouble(azure, deadline=soon(0)))
    assert arm.asked == []


def test_nobody_listening_is_trouble() -> None:
    """A refused connection is trouble with Azure, not a crash."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with azure_on(f"http://127.0.0.1:{port}") as azure:
        error = trouble(azure)
    assert isinstance(error, CloudTrouble)
    assert f"Azure did not answer to a question for {IMAGE} (ServiceRequestError)." == str(error)


def test_a_broken_connection_is_tried_again(arm: Arm, azure: Azure) -> None:
    """A reset of one request costs a second and nothing else."""
    arm.reset()
    deadline = soon(20)
    assert azure.describe(ref(IMAGE), deadline) is not None
    assert (19.0, 0) == (deadline.remaining(), arm.unmet_faults)


def test_a_stalled_answer_ends_with_the_deadline() -> None:
    """A server that takes the request and says nothing holds the invocation no longer than its deadline."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = time.monotonic()
        with azure_on(f"http://127.0.0.1:{listener.getsockname()[1]}") as azure:
            error = trouble(azure, deadline=Deadline.after(1))
        took = time.monotonic() - started
    assert isinstance(error, CloudTrouble)
    assert 0.9 < took < 2.5


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (PlainTextResponse("<html>nothing here", 404), f"Azure did not show {IMAGE} (HTTP 404)."),
        (JSONResponse({"error": {"code": "InvalidResourceType"}}, 404), "(HTTP 404 InvalidResourceType)."),
        (JSONResponse({}, 302, {"Location": "http://127.0.0.1:1/"}), f"Azure did not show {IMAGE} (HTTP 302)."),
        (Response("{", media_type="application/json"), "Azure did not show"),
        (Response("[1]", media_type="application/json"), "Azure gave no readable answer"),
        (JSONResponse({"location": "eastus", "properties": "none"}), "Azure gave no readable answer"),
        (JSONResponse({"properties": {"provisioningState": "Succeeded"}}), "Azure gave no readable answer"),
        (Response("", media_type="application/json"), "Azure gave no readable answer"),
    ],
    ids=[
        "a proxy's 404",
        "a wrong api-version",
        "a redirect",
        "broken JSON",
        "a list",
        "no properties",
        "no location",
        "nothing",
    ],
)
def test_an_answer_that_is_not_azure_s_is_trouble_never_absence(answer: Response, text: str) -> None:
    """Only ARM's own NotFound says that an image does not exist."""
    with serving(Starlette(routes=[Mount("/", answer)])) as address, azure_on(address) as azure:
        error = trouble(azure)
    assert isinstance(error, CloudTrouble)
    assert text in str(error)


@pytest.mark.parametrize("link", ["https://elsewhere.example.com/more", "/subscriptions", 7, "again"])
def test_a_list_continues_at_azure_only_and_never_in_a_circle(link: object) -> None:
    """A nextLink to another host would carry the token away; one to itself would never end."""
    asked: list[str] = []

    def page(request: Request) -> JSONResponse:
        asked.append(request.url.path)
        more = str(request.url.replace(query="again=1")) if link == "again" else link
        return JSONResponse({"value": [], "nextLink": more})

    app = Starlette(routes=[Route("/{path:path}", page)])
    since, until = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 10, 2, tzinfo=UTC)
    with (
        serving(app) as address,
        azure_on(address, AZURE_SUBSCRIPTION_ID=SUBSCRIPTION) as azure,
        pytest.raises(CloudTrouble) as raised,
    ):
        list(azure.scan(since, until, soon()))
    assert (
        str(raised.value)
        == f"Azure's answer to the list of Microsoft.Compute/galleries/images/versions in subscription {SUBSCRIPTION} "
        "continues at an address that leads nowhere."
    )
    assert len(asked) == (2 if link == "again" else 1)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://127.0.0.1:8080",
        "http://management.azure.com",
        "http://10.0.0.1",
        "http://user:word@127.0.0.1",
        "http://127.0.0.1/path",
        "127.0.0.1:8080",
    ],
)
def test_a_stand_in_is_http_on_loopback(endpoint: str) -> None:
    """No other address can be put in Azure's place."""
    with pytest.raises(ConfigurationError) as raised:
        Azure(Policy(), environ={"PUBLISHER_ARM_ENDPOINT": endpoint})
    assert raised.value.remedy == "unset PUBLISHER_ARM_ENDPOINT to talk to Azure itself"


def test_a_managed_identity_without_a_token_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside Azure the platform's identity endpoint is asked; what it refuses is told without its answer."""
    asked: list[str] = []

    def refuse(request: Request) -> JSONResponse:
        asked.append(request.query_params["resource"])
        return JSONResponse({"error": "made-up-secret"}, 400)

    with serving(Starlette(routes=[Route("/token", refuse)])) as address:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{address}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "made-up")
        azure = Azure(Policy(), environ={"IDENTITY_ENDPOINT": f"{address}/token"})
        error = trouble(azure)
        azure.close()
    assert isinstance(error, CredentialsTrouble)
    assert asked[0] == "https://management.azure.com"
    assert "made-up" not in str(error)
    assert error.remedy == "assign a managed identity to the function, or run `az login` on a laptop"


class _Anybody:
    """A credential of the test's own."""

    def get_token(self, *scopes: str, **options: object) -> AccessToken:
        return AccessToken("made-up", 4102444800)


@pytest.mark.parametrize(
    ("variable", "value", "kind"),
    [
        ("AZURE_AUTHORITY_HOST", "http://me:hidden-word@login.example.com", "ValueError"),
        ("AZURE_TOKEN_CREDENTIALS", "anything", "ValueError"),
    ],
)
def test_a_setting_of_which_no_credential_can_be_made_is_named(
    variable: str, value: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK says ValueError; the value may be a secret and is not repeated."""
    for name in ("AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_TENANT_ID", "AZURE_TOKEN_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    with closing(Azure(Policy(), environ={})) as azure, pytest.raises(ConfigurationError) as raised:
        azure.describe(ref(IMAGE), soon())
    assert f"No credential for Azure can be made of {variable} ({kind})." == str(raised.value)
    assert "correct it, or leave it unset" == raised.value.remedy


def test_a_certificate_that_is_not_there_is_a_matter_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK says FileNotFoundError."""
    monkeypatch.delenv("AZURE_AUTHORITY_HOST", raising=False)
    monkeypatch.delenv("AZURE_TOKEN_CREDENTIALS", raising=False)
    monkeypatch.setenv("AZURE_CLIENT_ID", "made-up")
    monkeypatch.setenv("AZURE_TENANT_ID", "made-up")
    monkeypatch.setenv("AZURE_CLIENT_CERTIFICATE_PATH", "/nonexistent.pem")
    with closing(Azure(Policy(), environ={})) as azure, pytest.raises(ConfigurationError) as raised:
        azure.describe(ref(IMAGE), soon())
    assert (
        "No credential for Azure can be made of AZURE_CLIENT_CERTIFICATE_PATH and AZURE_TENANT_ID (FileNotFoundError)."
    ) == str(raised.value)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_bundle_of_authorities_that_is_not_there_is_named(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """requests says OSError, and azure-core lets it pass."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "/nonexistent.pem")
    with closing(Azure(Policy(), _Anybody(), {})) as azure, pytest.raises(ConfigurationError) as raised:
        azure.describe(ref(IMAGE), soon())
    assert f"{variable} names a bundle of certificate authorities that is not there." == str(raised.value)
    assert "name a file in PEM format, or leave it unset" == raised.value.remedy
