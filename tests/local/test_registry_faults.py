"""Faults of the local registry: each is seen by a real client over TCP."""

from __future__ import annotations

import json

import httpx
import pytest

from packer_publisher.local.registry_faults import Faults
from packer_publisher.local.registry_tokens import WRITER
from tests.local.http_registry import RegistryClient
from tests.local.worlds import BUCKET, PLAIN

pytestmark = PLAIN

VERSIONS = f"/buckets/{BUCKET}/versions"


def test_a_status_may_be_answered_instead(client: RegistryClient) -> None:
    """Any status, with headers and a body that need not be JSON; the operation does not happen."""
    client.faults.answer("CreateVersion", 429, headers={"Retry-After": "7"})
    client.faults.answer("CreateVersion", 504, body="<html><h1>504</h1></html>")
    client.faults.answer("CreateVersion", 503, body=json.dumps({"code": 14, "message": "busy", "details": []}))

    answers = [client.call("POST", VERSIONS, {"fingerprint": "f1"}) for _ in range(4)]

    assert [429, 504, 503, 200] == [answer.status_code for answer in answers]
    assert "7" == answers[0].headers["retry-after"]
    assert "text/html; charset=utf-8" == answers[1].headers["content-type"]
    assert 14 == answers[2].json()["code"]
    assert ["Answer", "Answer", "Answer", ""] == [request.fault for request in client.requests.calls()]


def test_a_status_may_hide_that_the_operation_happened(client: RegistryClient) -> None:
    """A gateway's time-out after the commit."""
    client.faults.answer("CreateVersion", 504, body="Gateway Timeout", committed=True)

    assert 504 == client.call("POST", VERSIONS, {"fingerprint": "f1"}).status_code
    assert (409, 6) == client.code("POST", VERSIONS, {"fingerprint": "f1"})


def test_a_reset_happens_before_the_operation(client: RegistryClient) -> None:
    """The client sees a broken connection, and nothing was written."""
    client.faults.reset("CreateVersion")

    with pytest.raises(httpx.ReadError):
        client.call("POST", VERSIONS, {"fingerprint": "f1"})

    assert (409, 10) == client.code("GET", f"{VERSIONS}/f1")


def test_a_lost_reply_comes_after_the_operation(client: RegistryClient) -> None:
    """The client sees the same, but the write happened: reading first is the only way out."""
    client.faults.lose_reply("CreateVersion")

    with pytest.raises(httpx.ReadError):
        client.call("POST", VERSIONS, {"fingerprint": "f1"})

    assert 200 == client.call("GET", f"{VERSIONS}/f1").status_code
    assert [0, 200] == [request.status for request in client.requests.calls()]


def test_a_reply_may_be_lost_by_silence(client: RegistryClient) -> None:
    """The client's time-out comes first; the write happened."""
    client.faults.lose_reply("CreateVersion", seconds=30)

    with pytest.raises(httpx.ReadTimeout):
        client.call("POST", VERSIONS, {"fingerprint": "f1"}, timeout=0.2)

    assert 200 == client.call("GET", f"{VERSIONS}/f1").status_code


def test_a_stall_is_over_for_those_who_wait(client: RegistryClient) -> None:
    """Whoever leaves before it ends has changed nothing."""
    client.faults.stall("CreateVersion", 30)
    with pytest.raises(httpx.ReadTimeout):
        client.call("POST", VERSIONS, {"fingerprint": "f1"}, timeout=0.2)
    assert (409, 10) == client.code("GET", f"{VERSIONS}/f1")

    client.faults.stall("CreateVersion", 0.1)
    assert 200 == client.call("POST", VERSIONS, {"fingerprint": "f1"}).status_code


def test_a_body_may_be_cut(client: RegistryClient) -> None:
    """The promised length does not come; the write happened."""
    client.faults.truncate("CreateVersion")

    with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
        client.call("POST", VERSIONS, {"fingerprint": "f1"})

    assert 200 == client.call("GET", f"{VERSIONS}/f1").status_code


def test_a_fault_may_wait_for_its_occurrence(client: RegistryClient) -> None:
    """Calls are counted from when it was programmed."""
    client.call("GET", "/buckets")
    client.faults.answer("ListBuckets", 500, on=2, times=2)

    assert [200, 500, 500, 200] == [client.call("GET", "/buckets").status_code for _ in range(4)]


def test_tokens_may_fail_too(client: RegistryClient) -> None:
    """The token endpoint has a name like all others, and * means any."""
    client.faults.answer("Token", 503)
    client.faults.answer("*", 502)

    assert 503 == client.ask_token(WRITER.id, WRITER.secret).status_code
    assert 502 == client.call("GET", "/buckets").status_code


def test_a_fault_that_nobody_met_is_an_error() -> None:
    """It is named."""
    faults = Faults()
    faults.assert_consumed()
    faults.stall("UpdateBuild", 3, on=2)
    faults.reset("GetBucket")
    faults.take("GetBucket")

    with pytest.raises(AssertionError) as caught:
        faults.assert_consumed()

    assert "Faults were programmed but never met: UpdateBuild: Stall(seconds=3) on call 2" == str(caught.value)


@pytest.mark.parametrize("counts", [{"on": 0}, {"times": 0}])
def test_faults_count_from_one(counts: dict[str, int]) -> None:
    """Zero is no occurrence."""
    with pytest.raises(ValueError, match="on and times count from 1"):
        Faults().reset("GetBucket", **counts)
