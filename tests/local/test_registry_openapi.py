"""The local registry is what its own OpenAPI description says, and the description says all of it.

Schemathesis plays it (tests/proof/honesty.py); ``PROOF=long`` plays far more, and under every switch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.routing import Route as HttpRoute

from packer_publisher.local.registry_app import build_app
from packer_publisher.local.registry_fields import BODIES, QUERIES
from packer_publisher.local.registry_ledger import Tenancy
from packer_publisher.local.registry_openapi import OPERATIONS, describe
from packer_publisher.local.registry_routes import ROUTES
from packer_publisher.local.registry_schemas import ANSWERS
from packer_publisher.local.registry_switches import Switches
from tests.local.http_registry import RegistryClient
from tests.local.worlds import World
from tests.proof.honesty import LONG, ROUNDS, Play, Stage, described, play

Description = dict[str, Any]


def operation(description: Description, name: str) -> Description:
    """Return an operation of a description."""
    [found] = [
        operation
        for operations in description["paths"].values()
        for operation in operations.values()
        if operation["operationId"] == name
    ]
    return found  # type: ignore[no-any-return]  # of JSON


@pytest.mark.parametrize(("what", "seed"), ROUNDS)
def test_the_registry_is_what_its_description_says(what: Play, seed: int) -> None:
    """No 5xx, no answer, member or content type that is not described, nothing wrong accepted, nothing right refused.

    Edges are the boundaries of every field, on both sides; histories go on with what earlier calls have made.
    """
    found = play(what, seed=seed)

    assert [] == found.failures
    assert found.cases > 50


@pytest.mark.skipif(not LONG, reason="PROOF=long only: some seconds for each switch")
@pytest.mark.parametrize("switches", list(Switches.variations()), ids=lambda switches: str(switches.deviations()))
def test_the_description_goes_with_the_switches(switches: Switches) -> None:
    """Whatever is not known of HCP, the description says what this registry does."""
    assert [] == play(Play.EDGES, switches).failures


@pytest.mark.skipif(not LONG, reason="PROOF=long only: the normal run is too short to meet them all")
def test_no_answer_is_described_that_never_comes() -> None:
    """Every status of every operation is met."""
    met = play(Play.EDGES).answers + play(Play.RANDOM).answers

    assert set() == described() - set(met)


def test_every_route_is_described_and_every_description_is_a_route() -> None:
    """Method by method; GET answers HEAD, too, as everywhere."""
    model = World().model
    routed = {
        (method, route.path.replace(":path}", "}"))
        for route in build_app(model).routes
        if isinstance(route, HttpRoute)
        for method in route.methods or ()
        if method != "HEAD"
    }

    paths = describe(model.tenancy, model.switches)["paths"]
    assert routed == {(method.upper(), path) for path, operations in paths.items() for method in operations}


def test_what_describes_the_operations_is_there_for_those_that_are_answered() -> None:
    """Each has a sentence, refusals and an answer; fields belong to operations that there are."""
    answered = {route.operation for route in ROUTES if route.answered}

    assert answered == set(OPERATIONS) == set(ANSWERS)
    assert {*BODIES, *QUERIES} <= answered


def test_the_description_is_served_to_anybody(client: RegistryClient) -> None:
    """Without a token; it is no call of the registry."""
    del client.http.headers["authorization"]

    answer = client.http.get("/openapi.json")

    assert (200, "application/json") == (answer.status_code, answer.headers["content-type"])
    assert describe(client.model.tenancy, client.model.switches) == answer.json()
    assert [] == client.requests.calls()


def test_an_operation_that_is_not_needed_is_described_as_such(client: RegistryClient) -> None:
    """Each is 501 with code 12, and needs its token and its tenant first."""
    description = describe(client.model.tenancy, client.model.switches)
    for route in ROUTES:
        if not route.answered:
            path = route.path.format_map(
                {
                    "organization": client.model.tenancy.organization_id,
                    "project": client.model.project,
                    **dict.fromkeys(("bucket", "fingerprint", "build", "block", "version", "sbom", "task_type"), "x"),
                }
            )
            answer = client.http.request(route.method, path)
            assert (501, 12) == (answer.status_code, answer.json()["code"])
            assert ["401", "403", "501"] == list(operation(description, route.operation)["responses"])


def test_the_switches_are_in_the_description() -> None:
    """Words that are refused are listed, labels are counted, and each code is the one that would come."""
    usual = describe(Tenancy(), Switches())
    strict = describe(
        Tenancy(),
        Switches(unknown_enum="refuse", label_limit=64, builds_of_unknown_version="404/5", token_error_body="html"),
    )

    def body(description: Description, name: str) -> Description:
        content = operation(description, name)["requestBody"]["content"]["application/json"]
        return content["schema"]["properties"]  # type: ignore[no-any-return]  # of JSON

    assert "enum" not in body(usual, "CreateVersion")["template_type"]
    assert ["TEMPLATE_TYPE_UNSET", "HCL2", "JSON", None] == body(strict, "CreateVersion")["template_type"]["enum"]
    assert "maxProperties" not in body(usual, "CreateBucket")["labels"]
    assert 64 == body(strict, "CreateBucket")["labels"]["maxProperties"]
    assert ["200", "400", "401", "403", "404", "409"] == list(operation(usual, "ListBuilds")["responses"])
    assert ["200", "400", "401", "403", "404"] == list(operation(strict, "ListBuilds")["responses"])
    assert ["text/html"] == list(operation(strict, "Token")["responses"]["401"]["content"])


def lie(name: str, *path: str, value: object = None) -> Callable[[Stage], object]:
    """Return what makes a play's description of an operation untrue at one place."""

    def tell(description: Description) -> None:
        place = operation(description, name) if name else description["components"]["schemas"]
        for step in path[:-1]:
            place = place[step]
        if value is None:
            del place[path[-1]]
        else:
            place[path[-1]] = value

    def prepare(stage: Stage) -> None:
        stage.lie = tell

    return prepare


def fault(name: str, status: int, body: str) -> Callable[[Stage], object]:
    """Return what makes a play's registry answer an operation wrongly."""
    return lambda stage: stage.app.state.faults.answer(name, status, body=body, times=1000)


DESCRIPTION = ("requestBody", "content", "application/json", "schema", "properties", "description")


@pytest.mark.switches(get_version_in_missing_bucket="404/5")  # the answer that one of them denies
@pytest.mark.parametrize(
    ("name", "prepare", "check"),
    [
        ("GetVersion", lie("GetVersion", "responses", "404"), "status_code_conformance"),
        ("GetBuild", lie("", "Build", "properties", "metadata"), "response_schema_conformance"),
        ("GetBucket", lie("", "Bucket", "properties", "labels", "type", value="array"), "response_schema_conformance"),
        ("UpdateBucket", lie("UpdateBucket", *DESCRIPTION, "type", value="integer"), "right, and refused"),
        ("UpdateBucket", lie("UpdateBucket", *DESCRIPTION, "maxLength", value=9), "negative_data_rejection"),
        ("GetBucket", fault("GetBucket", 500, "{}"), "not_a_server_error"),
        ("GetBucket", fault("GetBucket", 200, "<html></html>"), "content_type_conformance"),
    ],
)
def test_a_play_finds_what_is_not_as_described(name: str, prepare: Callable[[Stage], object], check: str) -> None:
    """Whichever of the two is wrong, the description or the registry."""
    failures = play(Play.EDGES, only=name, prepare=prepare).failures

    assert [] != [failure for failure in failures if check in failure]
