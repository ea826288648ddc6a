"""The HTTP face of the local registry: routes, tokens, bodies, log."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest

from packer_publisher.local.registry_ledger import Caller
from packer_publisher.local.registry_routes import ROUTES
from packer_publisher.local.registry_tokens import AUDIENCE, VIEWER, WRITER
from tests.local.http_registry import FORM, RegistryClient, served
from tests.local.worlds import BUCKET, PLAIN, START, World

pytestmark = PLAIN

VERSIONS = f"/buckets/{BUCKET}/versions"


def test_a_token_is_given_for_a_basic_header_and_for_a_form(client: RegistryClient) -> None:
    """The answer has exactly three members."""
    by_header = client.ask_token(WRITER.id, WRITER.secret)
    by_form = client.http.post("/oauth2/token", data={**FORM, "client_id": WRITER.id, "client_secret": WRITER.secret})

    for answer in (by_header, by_form):
        assert 200 == answer.status_code
        assert ["access_token", "token_type", "expires_in"] == list(answer.json())
        assert ("Bearer", 3600) == (answer.json()["token_type"], answer.json()["expires_in"])


@pytest.mark.switches(token_error_body="oauth")
@pytest.mark.parametrize(
    ("form", "auth", "status", "error"),
    [
        (FORM, ("nobody", WRITER.secret), 401, "invalid_client"),
        (FORM, (WRITER.id, "wrong"), 401, "invalid_client"),
        (FORM, ("", ""), 401, "invalid_client"),
        ({**FORM, "audience": "https://example.com"}, (WRITER.id, WRITER.secret), 400, "invalid_request"),
        ({"audience": AUDIENCE}, (WRITER.id, WRITER.secret), 400, "unsupported_grant_type"),
    ],
)
def test_a_wrong_key_grant_or_audience_gives_no_token(
    client: RegistryClient, form: dict[str, str], auth: tuple[str, str], status: int, error: str
) -> None:
    """The body is OAuth's, not google.rpc's."""
    answer = client.http.post("/oauth2/token", data=form, auth=auth)

    assert (status, error) == (answer.status_code, answer.json()["error"])


def test_a_token_lives_for_an_hour_by_the_clock() -> None:
    """A second before it works, then it is 401 with code 16."""
    world = World()
    with served(world.model) as client:
        client.log_in()
        world.clock.advance(3599)
        assert 200 == client.call("GET", "/buckets").status_code
        world.clock.advance(1)
        assert (401, 16) == client.code("GET", "/buckets")
        client.log_in()
        assert 200 == client.call("GET", "/buckets").status_code


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic eDp5", "wrong"])
def test_every_call_but_the_token_needs_a_bearer(client: RegistryClient, header: str) -> None:
    """401 with code 16, on writes too."""
    client.http.headers["authorization"] = header

    assert (401, 16) == client.code("GET", "/buckets")
    assert (401, 16) == client.code("PUT", "/buckets", {"name": "abc"})
    assert 401 == client.http.get("/resource-manager/2019-12-10/organizations").status_code


@pytest.mark.switches(viewer_writes="403/7")
def test_a_viewer_reads_and_does_not_write(client: RegistryClient) -> None:
    """403 with code 7."""
    client.log_in(VIEWER.id, VIEWER.secret)

    assert 200 == client.call("GET", "/buckets").status_code
    assert (403, 7) == client.code("PUT", "/buckets", {"name": "abc"})


PROVIDER = "iam/project/p/service-principal/sp/workload-identity-provider/aws"


def signed(provider: str = PROVIDER, headers: str = "host;x-hcp-workload-identity-provider") -> dict[str, Any]:
    """Return a GetCallerIdentity as a client signs it."""
    return {
        "aws_get_caller_id_token": {
            "method": "POST",
            "url": "https://sts.eu-west-1.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
            "headers": {
                "X-Hcp-Workload-Identity-Provider": provider,
                "Authorization": "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20261121/eu-west-1/sts/aws4_request, "
                f"SignedHeaders={headers}, Signature=00",
            },
        }
    }


@pytest.mark.parametrize("body", [{"jwt_token": "a.b.c"}, signed()])
def test_a_registered_workload_gets_a_token(client: RegistryClient, body: dict[str, Any]) -> None:
    """Without any Authorization header; the token works."""
    client.tokens.register_workload(PROVIDER, "a.b.c", Caller("workload"))
    client.tokens.register_workload(PROVIDER, "AKIAEXAMPLE", Caller("workload"))
    del client.http.headers["authorization"]

    answer = client.http.post(f"/2019-12-10/{PROVIDER}/exchange-token", json=body)

    assert ["access_token", "expires_in"] == list(answer.json())
    client.http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
    created = client.call("POST", VERSIONS, {"fingerprint": "f1"})
    assert "workload" == created.json()["version"]["author_id"]


@pytest.mark.parametrize(
    "body",
    [
        {"jwt_token": "other"},
        {"jwt_token": 5},
        {},
        signed("iam/project/p/other"),
        signed(headers="host"),
        {"aws_get_caller_id_token": {"headers": None}},
        {"aws_get_caller_id_token": {"headers": {"Authorization": 1}}},
    ],
)
def test_an_unknown_workload_gets_none(client: RegistryClient, body: dict[str, Any]) -> None:
    """An AWS signature must be bound to the very provider."""
    client.tokens.register_workload(PROVIDER, "AKIAEXAMPLE", Caller("workload"))

    answer = client.http.post(f"/2019-12-10/{PROVIDER}/exchange-token", json=body)

    assert (401, 16) == (answer.status_code, answer.json()["code"])


def test_dates_are_the_clocks(client: RegistryClient) -> None:
    """A client that measures time by the Date header measures the test's."""
    assert "Sat, 21 Nov 2026 08:00:00 GMT" == client.call("GET", "/buckets").headers["date"]
    assert "Sat, 21 Nov 2026 08:00:00 GMT" == client.call("GET", "/buckets/nope").headers["date"]


def test_unknown_fields_and_the_region_query_are_ignored(client: RegistryClient) -> None:
    """The live service ignores them."""
    answer = client.call(
        "PUT",
        "/buckets?location.region.provider=aws&location.region.region=eu-west-1",
        {"name": "abc", "colour": {"is": ["unknown"]}},
    )

    assert (200, "abc") == (answer.status_code, answer.json()["bucket"]["name"])


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"[]",
        b'"text"',
        b"5",
        b"null",
        b"\xff\xfe",
        b'{"name": NaN}',
        b'{"name": "\\ud800"}',
        b"[" * 100_000,
        b'{"name": {"a": 1}}',
        b'{"name": ["abc"]}',
        b'{"name": 1e999}',
        b'{"name": ' + b"9" * 5000 + b"}",
        b'{"name": "abc", "labels": "x"}',
        b'{"name": "abc", "labels": []}',
        b"",
    ],
)
def test_a_body_that_is_not_what_it_should_be_is_400_with_code_3(client: RegistryClient, raw: bytes) -> None:
    """Never a 500."""
    answer = client.http.put(f"{client.base}/buckets", content=raw)

    assert (400, 3) == (answer.status_code, answer.json()["code"])


@pytest.mark.parametrize("query", ["pagination.page_size=x", "pagination.next_page_token=%00", "sorting.order_by=x"])
def test_a_wrong_query_is_400_with_code_3(client: RegistryClient, query: str) -> None:
    """Never a 500."""
    assert (400, 3) == client.code("GET", f"/buckets?{query}")


def test_every_operation_of_the_api_is_routed() -> None:
    """52 of the registry, and seven of its neighbours."""
    names = [route.operation for route in ROUTES]

    assert 52 + 6 == len(names) == len(set(names))


def test_an_operation_that_is_not_needed_is_501_with_code_12(client: RegistryClient) -> None:
    """A wrong call is seen, and logged by its name."""
    answer = client.call("GET", "/enforced_blocks")

    assert (501, 12) == (answer.status_code, answer.json()["code"])
    assert "ListEnforcedBlocks is not part of the local registry." == answer.json()["message"]
    assert ["ListEnforcedBlocks"] == client.requests.operations()


def test_a_path_or_method_that_the_api_lacks_is_404_with_code_5(client: RegistryClient) -> None:
    """And is logged as unknown."""
    assert (404, 5) == client.code("GET", "/nonsense")
    assert (404, 5) == client.code("POST", "/buckets", {})
    assert ["Unknown", "Unknown"] == client.requests.operations()


def test_another_organization_or_project_is_403_with_code_7(client: RegistryClient) -> None:
    """The path is the tenant."""
    for path in (
        f"/packer/2023-01-01/organizations/other/projects/{client.model.project}/buckets",
        f"/packer/2023-01-01/organizations/{client.model.tenancy.organization_id}/projects/other/buckets",
    ):
        answer = client.http.get(path)
        assert (403, 7) == (answer.status_code, answer.json()["code"])


def test_ids_are_discovered(client: RegistryClient) -> None:
    """Organizations, projects of one, one project with its parent, and its registry."""
    organization, project = client.model.tenancy.organization_id, client.model.project
    root = "/resource-manager/2019-12-10"

    assert [organization] == [o["id"] for o in client.http.get(f"{root}/organizations").json()["organizations"]]
    listed = client.http.get(f"{root}/projects?scope.id={organization}&scope.type=ORGANIZATION").json()
    assert [project] == [p["id"] for p in listed["projects"]]
    one = client.http.get(f"{root}/projects/{project}").json()["project"]
    assert {"id": organization, "type": "ORGANIZATION"} == one["parent"]
    assert organization == client.http.get(f"{root}/organizations/{organization}").json()["organization"]["id"]
    assert 404 == client.http.get(f"{root}/projects/other").status_code
    registry = client.call("GET", "/registry").json()["registry"]
    assert (True, "PLUS") == (registry["config"]["activated"], registry["config"]["feature_tier"])
    assert 0 == client.requests.count("GetBucket")
    assert ["GetRegistry"] == client.requests.operations()


def test_the_log_tells_what_was_asked(client: RegistryClient) -> None:
    """Operation, bucket, fingerprint, status and time; tokens and discovery are not counted as calls."""
    client.call("GET", f"{VERSIONS}/f1")
    client.ask_token("x", "y")

    [request] = client.requests.calls()

    assert ("GetVersion", BUCKET, "f1", 409, START, "local-publisher", "") == (
        request.operation,
        request.bucket,
        request.fingerprint,
        request.status,
        request.at,
        request.caller,
        request.fault,
    )
    assert (1, 1, 1) == (
        client.requests.count(),
        client.requests.count("GetVersion"),
        client.requests.count("Token"),
    )


@pytest.mark.switches(max_page_size=100)
def test_sorting_may_be_repeated_and_pages_go_by_query(client: RegistryClient) -> None:
    """The parameters have dots in their names."""
    for fingerprint in ("f1", "f2", "f3"):
        client.call("POST", VERSIONS, {"fingerprint": fingerprint})

    query = "?pagination.page_size=2&sorting.order_by=name&sorting.order_by=fingerprint%20desc"
    first = client.call("GET", VERSIONS + query).json()
    token = first["pagination"]["next_page_token"]
    second = client.call("GET", f"{VERSIONS}{query}&pagination.next_page_token={token}").json()

    assert ["f3", "f2"] == [version["fingerprint"] for version in first["versions"]]
    assert ["f1"] == [version["fingerprint"] for version in second["versions"]]


def test_latency_is_added_to_every_answer() -> None:
    """The demo's registry may be as slow as a real one."""
    with served(World().model, latency=0.15) as client:
        client.log_in()
        begin = time.monotonic()
        client.call("GET", "/buckets")

        assert 0.15 <= time.monotonic() - begin


def test_answers_do_not_wait_for_delayed_acknowledgements(client: RegistryClient) -> None:
    """Without TCP_NODELAY each would take 40 ms."""
    begin = time.monotonic()
    for _ in range(20):
        client.call("GET", "/buckets")

    assert time.monotonic() - begin < 20 * 0.03


def test_a_basic_header_that_is_none_gives_no_token(client: RegistryClient) -> None:
    """Neither broken base64 nor broken text crash it."""
    for encoded in ("***", base64.b64encode(b"\xff").decode()):
        answer = client.http.post("/oauth2/token", data=FORM, headers={"authorization": f"Basic {encoded}"})
        assert 401 == answer.status_code
