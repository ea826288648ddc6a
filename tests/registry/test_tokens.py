"""Tokens are asked for once, kept while they are good, and never shown."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from packer_publisher.deadline import Deadline
from packer_publisher.errors import CredentialsTrouble, RegistryTrouble, Trouble
from packer_publisher.registry import HCPPacker, read_environment
from tests.registry.peer import SECRET, Peer, Says, Time, refusal, version_body

OPEN = Says({"version": version_body()})
PROVIDER = "iam/project/p/service-principal/s/workload-identity-provider/w"


def read(client: HCPPacker, clock: Time) -> None:
    client.get_version("web", "abc", clock.deadline())


AT = 1_795_255_200.0
"""The time of the peer, which its answers carry."""


def workload(
    peer: Peer, tmp_path: Path, source: dict[str, Any], now: Callable[[], float] = lambda: AT, /, **environ: str
) -> HCPPacker:
    """Return a client whose credential file describes a workload identity."""
    path = tmp_path / "cred.json"
    path.write_text(json.dumps({"scheme": "workload", "workload": {"provider_resource_name": PROVIDER, **source}}))
    return peer.client(now, HCP_CLIENT_ID=None, HCP_CLIENT_SECRET=None, HCP_CRED_FILE=str(path), **environ)


def test_the_token_request_is_client_credentials_by_basic(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """Id and secret travel as HTTP Basic, the audience in the form (hcp-sdk-go config/tokensource.go)."""
    peer.says(OPEN)

    read(hcp, clock)

    [request] = peer.auth
    assert ("POST", "/oauth2/token") == (request.method, request.target)
    assert b"made-up-client:made-up-secret" == b64decode(request.headers["authorization"].removeprefix("Basic "))
    form = {"grant_type": ["client_credentials"], "audience": ["https://api.hashicorp.cloud"]}
    assert form == parse_qs(request.content.decode())
    assert "Bearer token-1" == peer.api[0].headers["authorization"]


def test_a_key_with_odd_characters_is_form_encoded_in_basic(peer: Peer, clock: Time) -> None:
    """RFC 6749 2.3.1 encodes both parts, so that a colon or a percent sign survives."""
    peer.says(OPEN)

    with peer.client(HCP_CLIENT_SECRET="a:b%c d") as client:
        read(client, clock)

    assert b"made-up-client:a%3Ab%25c+d" == b64decode(peer.auth[0].headers["authorization"].removeprefix("Basic "))


def test_one_token_serves_until_a_minute_before_its_end(peer: Peer, clock: Time) -> None:
    """A token of an hour is used for 59 minutes and then replaced."""
    peer.says(OPEN, OPEN, OPEN)
    wall = Time()

    with peer.client(wall) as client:
        read(client, clock)
        wall.now += 3539
        read(client, clock)
        assert 1 == len(peer.auth)
        wall.now += 1
        read(client, clock)

    assert 2 == len(peer.auth)
    assert ["Bearer token-1", "Bearer token-1", "Bearer token-2"] == [r.headers["authorization"] for r in peer.api]


def test_a_short_token_serves_for_half_its_life(peer: Peer, clock: Time) -> None:
    """A token that lives less than two minutes is not asked for with every call."""
    peer.says(OPEN, OPEN, OPEN)
    peer.expires_in = 30
    wall = Time()

    with peer.client(wall) as client:
        read(client, clock)
        wall.now += 14
        read(client, clock)
        assert 1 == len(peer.auth)
        wall.now += 1
        read(client, clock)

    assert 2 == len(peer.auth)


def test_threads_share_one_token(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """Threads that start together wait for one token request."""
    peer.says(*[OPEN] * 8)
    threads = [threading.Thread(target=read, args=(hcp, clock)) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 1 == len(peer.auth)
    assert 8 == hcp.calls


def test_a_401_renews_the_token_once(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """A token that HCP no longer takes is replaced, and the call repeated."""
    peer.says(refusal(401, 16, "token is expired"), OPEN)

    read(hcp, clock)

    assert ["Bearer token-1", "Bearer token-2"] == [request.headers["authorization"] for request in peer.api]
    assert 2 == hcp.calls


def test_a_token_that_was_replaced_meanwhile_costs_no_other_one(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """Two threads are refused with the same token; the second finds the one that the first has fetched."""
    peer.says(OPEN, OPEN)
    read(hcp, clock)
    tokens = hcp._transport._tokens
    for _ in range(2):
        tokens.forget("token-1")
        assert "token-2" == tokens.get(clock.deadline())
    read(hcp, clock)
    assert 2 == len(peer.auth)


def test_a_write_is_repeated_after_a_401(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """An unauthorised write did not happen, so sending it again is safe."""
    peer.says(refusal(401, 16, "token is expired"), OPEN)

    hcp.create_version("web", "abc", "HCL2", clock.deadline())

    assert ["POST", "POST"] == [request.method for request in peer.api]


def test_a_second_401_is_trouble_with_credentials(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """A fresh token that is refused too is for a person."""
    peer.says(refusal(401, 16, "bad token token-2"), refusal(401, 16, "bad token token-2"))

    with pytest.raises(CredentialsTrouble) as caught:
        read(hcp, clock)

    assert (
        "GetVersion of bucket 'web', version 'abc': HCP answered 401 (code 16): bad token [secret], "
        "with a fresh token too." == str(caught.value)
    )
    assert 2 == len(peer.api)


def test_a_refused_key_says_where_it_came_from(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """A refused key names its origin and never the secret, even where the server repeats it."""
    peer.auth_script.append(Says({"error": "invalid_client", "error_description": f"no such key {SECRET}\x1b"}, 401))

    with pytest.raises(CredentialsTrouble) as caught:
        read(hcp, clock)

    assert (
        f"Asking http://{peer.address} for a token: HCP refused HCP_CLIENT_ID and HCP_CLIENT_SECRET: "
        "401: invalid_client: no such key [secret]\\x1b." == str(caught.value)
    )
    assert "Check HCP_CLIENT_ID and HCP_CLIENT_SECRET; the key may be deleted." == caught.value.remedy
    assert [] == peer.api


def test_white_space_around_the_secret_is_hinted_at(peer: Peer, clock: Time) -> None:
    """A line break at the end of a stored secret is the classic of all mistakes."""
    peer.auth_script.append(Says({"error": "invalid_client"}, 401))

    with peer.client(HCP_CLIENT_SECRET=f"{SECRET}\n") as client, pytest.raises(CredentialsTrouble) as caught:
        read(client, clock)

    assert caught.value.remedy.endswith("The secret begins or ends with white space.")


def test_a_wrong_auth_address_is_trouble(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """A server without a token endpoint says nothing about the key."""
    peer.auth_script.append(Says(status=404, text="<html><h1>Not Found</h1></html>"))

    with pytest.raises(RegistryTrouble) as caught:
        read(hcp, clock)

    assert f"Asking http://{peer.address} for a token: HCP answered 404: Not Found." == str(caught.value)
    assert "Check HCP_AUTH_URL, HCP_API_ADDRESS and HCP_GEOGRAPHY." == caught.value.remedy


@pytest.mark.parametrize("body", [{}, {"access_token": ""}, {"access_token": 7}, {"access_token": "two\nlines"}])
def test_an_answer_without_a_token_is_trouble(peer: Peer, hcp: HCPPacker, clock: Time, body: object) -> None:
    """A 200 of the token endpoint that holds no usable token is trouble, and the token is not shown."""
    peer.auth_script.append(Says(body))

    with pytest.raises(RegistryTrouble) as caught:
        read(hcp, clock)

    assert f"Asking http://{peer.address} for a token: the answer holds no access token." == str(caught.value)


def test_a_token_request_is_repeated(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """Tokens are asked for again on passing trouble: a second one harms nobody."""
    peer.auth_script.append(Says(status=503, text="busy"))
    peer.says(OPEN)

    read(hcp, clock)

    assert 2 == len(peer.auth)
    assert 1 == hcp.calls


def test_no_secret_shows_in_any_representation(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """Neither settings nor client nor a request show a secret or a token."""
    peer.says(OPEN)
    read(hcp, clock)

    shown = repr((read_environment(peer.environ()), hcp, vars(hcp), vars(hcp._transport), vars(hcp._wire)))

    assert SECRET not in shown
    assert "token-1" not in shown


EXCHANGED = Says({"access_token": "exchanged", "expires_in": 3600})


@pytest.mark.parametrize(
    ("source", "environ"),
    [
        ({"token": {"token": "made-up-jwt"}}, {}),
        ({"env": {"var": "JWT"}}, {"JWT": "made-up-jwt"}),
        (
            {"env": {"var": "JWT", "format_type": "json", "subject_cred_pointer": "/a~1b/0/c"}},
            {"JWT": '{"a/b": [{"c": "made-up-jwt"}]}'},
        ),
    ],
)
def test_a_workload_is_exchanged_for_a_token(
    peer: Peer, clock: Time, tmp_path: Path, source: dict[str, Any], environ: dict[str, str]
) -> None:
    """The workload's own token goes to exchange-token without Authorization, and is not counted as a call."""
    peer.says(EXCHANGED, OPEN)

    with workload(peer, tmp_path, source, **environ) as client:
        read(client, clock)
        assert 1 == client.calls

    exchange, get = peer.api
    assert ("POST", f"/2019-12-10/{PROVIDER}/exchange-token") == (exchange.method, exchange.target)
    assert {"jwt_token": "made-up-jwt"} == exchange.json
    assert "authorization" not in exchange.headers
    assert "Bearer exchanged" == get.headers["authorization"]
    assert [] == peer.auth


def test_a_token_file_is_read_anew(peer: Peer, clock: Time, tmp_path: Path) -> None:
    """A projected token changes; white space around it does not belong to it."""
    peer.says(EXCHANGED, refusal(401, 16, "expired"), EXCHANGED, OPEN)
    path = tmp_path / "token"
    path.write_text(" first\n")

    with workload(peer, tmp_path, {"file": {"path": str(path)}}) as client:
        path.write_text("second\n")
        read(client, clock)

    assert ["second", "second"] == [peer.api[0].json["jwt_token"], peer.api[2].json["jwt_token"]]


def test_a_metadata_server_is_asked_with_its_header(peer: Peer, clock: Time, tmp_path: Path) -> None:
    """The url source is what the cloud's metadata server wants: a GET with headers, JSON or text back."""
    peer.says(Says({"access_token": "made-up-jwt"}), EXCHANGED, OPEN)
    source = {
        "url": f"http://{peer.address}/metadata/token?resource=x",
        "headers": {"Metadata": "True"},
        "format_type": "json",
        "subject_cred_pointer": "/access_token",
    }

    with workload(peer, tmp_path, {"url": source}) as client:
        read(client, clock)

    assert ("GET", "/metadata/token?resource=x") == (peer.api[0].method, peer.api[0].target)
    assert "True" == peer.api[0].headers["metadata"]
    assert {"jwt_token": "made-up-jwt"} == peer.api[1].json


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({"env": {"var": "JWT"}}, "the environment variable JWT is not set or empty"),
        ({"file": {"path": "/nonexistent/x"}}, "the file '/nonexistent/x' cannot be read (No such file or directory)"),
    ],
)
def test_a_missing_workload_credential_is_trouble(
    peer: Peer, clock: Time, tmp_path: Path, source: dict[str, Any], reason: str
) -> None:
    """What the platform should have provided and did not is mended by people, so the event is kept."""
    with workload(peer, tmp_path, source) as client, pytest.raises(CredentialsTrouble) as caught:
        read(client, clock)

    origin = f"credential file {str(tmp_path / 'cred.json')!r}"
    assert f"The workload identity of the {origin} has no credential to show: {reason}." == str(caught.value)


@pytest.mark.parametrize("content", ["made-up-jwt", '{"other": "made-up-jwt"}', '{"token": ["made-up-jwt"]}'])
def test_a_workload_credential_is_never_shown(peer: Peer, clock: Time, tmp_path: Path, content: str) -> None:
    """Neither the error nor its causes carry what should have been the credential."""
    source = {"env": {"var": "JWT", "format_type": "json", "subject_cred_pointer": "/token"}}

    with workload(peer, tmp_path, source, JWT=content) as client, pytest.raises(CredentialsTrouble) as caught:
        read(client, clock)

    assert "made-up-jwt" not in f"{caught.value}{caught.value.remedy}{caught.value.__cause__!r}"


def test_a_refused_exchange_hides_the_credential(peer: Peer, clock: Time, tmp_path: Path) -> None:
    """A refusal of the exchange names the provider and hides the workload's own token."""
    peer.says(refusal(403, 7, "jwt made-up-jwt has the wrong audience"))

    with (
        workload(peer, tmp_path, {"token": {"token": "made-up-jwt"}}) as client,
        pytest.raises(CredentialsTrouble) as caught,
    ):
        read(client, clock)

    assert (
        "Exchanging the workload's identity for a token: HCP refused the workload identity of the "
        f"credential file {str(tmp_path / 'cred.json')!r}: 403 (code 7): jwt [secret] has the wrong audience."
        == str(caught.value)
    )


@pytest.mark.parametrize(
    ("seconds", "hint"),
    [
        (-600, " Set this machine's clock, by NTP for one: it is 600 s behind HCP's."),
        (300, " Set this machine's clock, by NTP for one: it is 300 s ahead of HCP's."),
        (200, ""),
    ],
)
def test_a_clock_that_is_off_is_told_where_a_proof_is_refused(
    peer: Peer, tmp_path: Path, seconds: float, hint: str
) -> None:
    """HCP gives no reason, but its time: tokens and signatures are good for minutes around the real one."""
    peer.says(refusal(401, 16, "not accepted"))
    source = {"token": {"token": "made-up-jwt"}}
    with (
        workload(peer, tmp_path, source, lambda: AT + seconds) as client,
        pytest.raises(CredentialsTrouble) as caught,
    ):
        client.get_version("web", "abc", Deadline.after(20))
    assert f"Check the provider '{PROVIDER}': its issuer, audience and conditional access.{hint}" == caught.value.remedy


@pytest.mark.parametrize(
    ("answer", "kind", "text", "remedy"),
    [
        (
            refusal(404, 5, "no such workload identity provider"),
            CredentialsTrouble,
            f"HCP knows no provider '{PROVIDER}': 404 (code 5): no such workload identity provider.",
            "Name it as `hcp iam workload-identity-providers list` prints it.",
        ),
        (
            Says(status=404, text="<html><h1>Not Found</h1></html>"),
            RegistryTrouble,
            "HCP answered 404: Not Found.",
            "Check HCP_AUTH_URL, HCP_API_ADDRESS and HCP_GEOGRAPHY.",
        ),
    ],
)
def test_a_provider_that_is_not_there_is_told_from_a_wrong_address(
    peer: Peer, clock: Time, tmp_path: Path, answer: Says, kind: type[Trouble], text: str, remedy: str
) -> None:
    """HCP's own 404 is about the name, one without its code about the server."""
    peer.says(answer)
    with workload(peer, tmp_path, {"token": {"token": "made-up-jwt"}}) as client, pytest.raises(kind) as caught:
        read(client, clock)
    assert (f"Exchanging the workload's identity for a token: {text}", remedy) == (
        str(caught.value),
        caught.value.remedy,
    )


def test_an_aws_identity_is_a_signed_request(
    peer: Peer, clock: Time, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The aws source signs GetCallerIdentity, the provider's name among the signed headers (SigV4, recomputed)."""
    secret = "made-up-aws-secret"
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIAMADEUP",
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_SESSION_TOKEN": "made-up-session",
    }.items():
        monkeypatch.setenv(name, value)
    peer.says(EXCHANGED, OPEN)

    with workload(peer, tmp_path, {"aws": {"imds_v2": True}}, AWS_REGION="eu-west-1") as client:
        read(client, clock)

    request = peer.api[0].json["aws_get_caller_id_token"]
    headers = {name.lower(): value for name, value in request["headers"].items()}
    url = "https://sts.eu-west-1.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"
    assert ("POST", url) == (request["method"], request["url"])
    assert PROVIDER == headers["x-hcp-workload-identity-provider"]
    signed = ["host", "x-amz-date", "x-amz-security-token", "x-hcp-workload-identity-provider"]
    canonical = "\n".join(
        [
            "POST",
            "/",
            "Action=GetCallerIdentity&Version=2011-06-15",
            *[f"{name}:{headers[name]}" for name in signed],
            "",
            ";".join(signed),
            hashlib.sha256(b"").hexdigest(),
        ]
    )
    moment = headers["x-amz-date"]
    scope = f"{moment[:8]}/eu-west-1/sts/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in (*scope.split("/"), to_sign):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    assert (
        f"AWS4-HMAC-SHA256 Credential=AKIAMADEUP/{scope}, SignedHeaders={';'.join(signed)}, Signature={key.hex()}"
        == headers["authorization"]
    )


def test_waiting_for_another_threads_token_ends_with_the_deadline(peer: Peer, hcp: HCPPacker) -> None:
    """A thread does not wait for a token beyond its own deadline."""
    peer.auth_script.append(Says(status=503, text="busy", headers={"Retry-After": "1"}))
    peer.says(OPEN)
    first = threading.Thread(target=hcp.get_version, args=("web", "abc", Deadline.after(20)))
    first.start()
    while not peer.auth:
        threading.Event().wait(0.005)

    with pytest.raises(Trouble) as caught:
        hcp.get_version("web", "abc", Deadline.after(0.05))

    assert "Another thread was still asking HCP for a token when the time was over." == str(caught.value)
    first.join()
