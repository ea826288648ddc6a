"""The queues of deployed functions, seen from outside: real SDKs against what the three services answer."""

from __future__ import annotations

import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.clouds.aws_stand_in import forget_credentials

from packer_publisher.clouds import aws_handover, azure_handover
from packer_publisher.clouds.gcp_queue import deployed_topic
from packer_publisher.errors import CloudTrouble, ConfigurationError, CredentialsTrouble, Forbidden
from packer_publisher.local.server import serving

SQS = "https://sqs.us-west-2.amazonaws.com/123456789012/packer-publisher"


@dataclass
class Service:
    """One method of SQS in its JSON protocol; ``answers`` are used up before it does what it is asked for."""

    answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    scopes: list[str] = field(default_factory=list)

    @property
    def app(self) -> Starlette:
        """Return the HTTP face."""
        return Starlette(routes=[Route("/", self._answer, methods=["POST"])])

    async def _answer(self, request: Request) -> JSONResponse:
        assert "AmazonSQS.SendMessageBatch" == request.headers["x-amz-target"]
        self.scopes.append(request.headers["authorization"].split("Credential=")[1].split(",")[0])
        self.asked.append(await request.json())
        if self.answers:
            status, body = self.answers.pop(0)
            return JSONResponse(body, status, media_type="application/x-amz-json-1.0")
        entries = [{"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": ""} for entry in self.asked[-1]["Entries"]]
        return JSONResponse({"Successful": entries, "Failed": []}, media_type="application/x-amz-json-1.0")


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    service = Service()
    forget_credentials(monkeypatch)
    with serving(service.app) as address:
        for name, value in {
            "AWS_ENDPOINT_URL_SQS": address, "AWS_ACCESS_KEY_ID": "AKIAFAKE", "AWS_SECRET_ACCESS_KEY": "made-up",
            "AWS_REGION": "eu-west-1", "NO_PROXY": "127.0.0.1",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        yield service


def test_sqs_gets_messages_that_need_not_settle(sqs: Service) -> None:
    """Ten a call, in the queue's own region, without the queue's delay: it is for images that are new."""
    sqs.answers = [(200, {"Successful": [], "Failed": []})]
    aws_handover.DeployedQueue(SQS).put([str(number) for number in range(11)])
    assert [10, 1] == [len(asked["Entries"]) for asked in sqs.asked]
    assert {SQS} == {asked["QueueUrl"] for asked in sqs.asked}
    assert {0} == {entry["DelaySeconds"] for asked in sqs.asked for entry in asked["Entries"]}
    assert {"us-west-2"} == {scope.split("/")[2] for scope in sqs.scopes}


@pytest.mark.parametrize(
    ("status", "code", "error", "text"),
    [
        (403, "AccessDenied", Forbidden, f"SQS denied access to {SQS} (AccessDenied)"),
        (400, "ExpiredToken", CredentialsTrouble, "AWS region us-west-2 refused the credentials (ExpiredToken)"),
        (400, "QueueDoesNotExist", ConfigurationError, f"there is no queue {SQS}"),
        (400, "InvalidMessageContents", CloudTrouble, "AWS region us-west-2 answered InvalidMessageContents"),
    ],
)
def test_what_sqs_refuses(sqs: Service, status: int, code: str, error: type[Exception], text: str) -> None:
    """Each says what to do."""
    sqs.answers = [(status, {"__type": f"com.amazonaws.sqs#{code}", "message": "no"})] * 3
    with pytest.raises(error) as caught:
        aws_handover.DeployedQueue(SQS).put(["{}"])
    assert (error, text) == (type(caught.value), str(caught.value))


def test_a_single_message_that_sqs_does_not_take_is_trouble(sqs: Service) -> None:
    """The call itself succeeds."""
    failed = {"Id": "0", "Code": "InternalError", "SenderFault": False}
    sqs.answers = [(200, {"Successful": [], "Failed": [failed]})]
    with pytest.raises(CloudTrouble, match=r"SQS did not take a message for .* \(InternalError\)"):
        aws_handover.DeployedQueue(SQS).put(["{}"])


class _Handler(BaseHTTPRequestHandler):
    """Put Message over TLS: the Storage queue refuses tokens without it."""

    seen: list[tuple[str, str | None, bytes]] = []  # noqa: RUF012 (each server gets a class of its own)
    status, code = 201, ""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, self.headers["Authorization"], body))
        self.send_response(self.status)
        self.send_header("x-ms-error-code", self.code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass
class Account:
    """A storage account at ``url`` and the identity endpoint that gives tokens for it."""

    url: str
    handler: type[_Handler]
    asked: list[str]
    tokens: list[tuple[int, dict[str, Any]]]


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    asked: list[str] = []
    tokens: list[tuple[int, dict[str, Any]]] = []
    handler = type("Handler", (_Handler,), {"seen": []})

    def token(request: Request) -> JSONResponse:
        asked.append(request.query_params["resource"])
        if tokens:
            status, body = tokens.pop(0)
            return JSONResponse(body, status)
        return JSONResponse({"access_token": "made-up-token", "expires_on": "4102444800", "token_type": "Bearer"})

    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    pem = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    with serving(Starlette(routes=[Route("/token", token)])) as identity:
        for name, value in {
            "IDENTITY_ENDPOINT": f"{identity}/token", "IDENTITY_HEADER": "made-up", "NO_PROXY": "127.0.0.1",
            "REQUESTS_CA_BUNDLE": str(pem),
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        yield Account(f"https://127.0.0.1:{server.server_port}/devaccount/images", handler, asked, tokens)
    server.shutdown()
    server.server_close()


def certificate(folder: Path) -> Path:
    """Make a certificate for 127.0.0.1 that vouches for itself; return the file with it and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stand-in")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "server.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def put(account: Account) -> None:
    """Put one message with the credentials of the environment."""
    queue = azure_handover.DeployedQueue(account.url, {"IDENTITY_ENDPOINT": "set"})
    try:
        queue.put(['{"packer-publisher": {}}'])
    finally:
        queue.close()


def test_a_storage_queue_gets_base64_and_a_token_for_storage(account: Account) -> None:
    """The token comes from azure-identity itself, over TLS alone."""
    put(account)
    text = b"<QueueMessage><MessageText>eyJwYWNrZXItcHVibGlzaGVyIjoge319</MessageText></QueueMessage>"
    assert [("/devaccount/images/messages", "Bearer made-up-token", text)] == account.handler.seen
    assert ["https://storage.azure.com"] == account.asked


@pytest.mark.parametrize(
    ("status", "code", "error", "text"),
    [
        (403, "AuthorizationPermissionMismatch", Forbidden, "Azure denied access to the queue URL (HTTP 403 CODE)."),
        (401, "InvalidAuthenticationInfo", CredentialsTrouble, "Azure refused the credentials for the queue URL"),
        (404, "QueueNotFound", ConfigurationError, "There is no queue URL."),
        (404, "", CloudTrouble, "URL did not take a message (HTTP 404)."),
        (503, "ServerBusy", CloudTrouble, "URL did not take a message (HTTP 503 CODE)."),
    ],
)
def test_what_a_storage_queue_refuses(
    account: Account, status: int, code: str, error: type[Exception], text: str
) -> None:
    """Each says what to do, and none the token."""
    account.handler.status, account.handler.code = status, code
    with pytest.raises(error) as caught:
        put(account)
    assert error is type(caught.value)
    assert str(caught.value).startswith(text.replace("URL", account.url).replace("CODE", code))
    assert "made-up" not in str(caught.value)


def test_an_identity_that_gets_no_token_is_status_four(account: Account) -> None:
    """Nothing was sent; what the identity endpoint said is not repeated."""
    account.tokens += [(400, {"error": "made-up-secret"})] * 5
    with pytest.raises(CredentialsTrouble, match="No token for the queue") as caught:
        put(account)
    assert [] == account.handler.seen
    assert "made-up" not in str(caught.value)


def test_a_storage_account_that_is_not_there_is_trouble(account: Account) -> None:
    """It is tried again."""
    account.url = "https://127.0.0.1:9/devaccount/images"
    with pytest.raises(CloudTrouble, match="did not take a message"):
        put(account)


def test_google_credentials_that_are_missing_or_refused_are_status_four(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service account's key that its token endpoint does not take; no key at all; nothing is published."""
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    topic = "projects/img-proj/topics/images"

    def refuse(_: Request) -> JSONResponse:
        return JSONResponse({"error": "invalid_grant"}, 400)

    with serving(Starlette(routes=[Route("/token", refuse, methods=["POST"])])) as address:
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        key = {
            "type": "service_account", "client_email": "publisher@img-proj.iam.gserviceaccount.com",
            "private_key": private.decode(), "token_uri": f"{address}/token", "project_id": "img-proj",
        }  # fmt: skip
        path = tmp_path / "key.json"
        path.write_text(json.dumps(key), encoding="utf-8")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        with pytest.raises(CredentialsTrouble) as caught:
            deployed_topic(topic, {}).put(["{}"])
    assert "there is no token for it (RefreshError)" in str(caught.value)
    path.unlink()
    with pytest.raises(CredentialsTrouble, match="no credentials for Pub/Sub were found"):
        deployed_topic(topic, {})
