"""The Google Cloud function: what it acknowledges, what it has delivered again, and what it logs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import functions_framework
import pytest
from flask.testing import FlaskClient
from tests.clouds.gcp_stand_in import LABELS, Switchboard, sample

from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.compute_events import (
    CALLER,
    audit_log_written,
    binary,
    message_published,
    push_body,
    structured,
)
from packer_publisher.local.server import serving

FUNCTION = Path(__file__).parents[2] / "functions" / "gcp"
CONFIG = json.dumps({"buckets": {"web": {"expects": ["gce"]}}})
SECRETS = (CALLER, "203.0.113.7", "packer@build-proj", "authenticationInfo", "authorizationInfo", "made-up-token")
# functions-framework 3.10 asks for the time so even where the message has one; Python 3.12 says that this will go.
OLD_CLOCK = "ignore:datetime.datetime.utcnow:DeprecationWarning"


def raw_push(entry: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    """Return headers and body of a push request of an own subscription, without any of CloudEvents' headers."""
    return {"content-type": "application/json"}, json.dumps(push_body(entry)).encode()


WIRES: dict[str, Callable[[dict[str, Any]], tuple[dict[str, str], bytes]]] = {
    "Eventarc binary": lambda entry: binary(audit_log_written(entry)),
    "Eventarc structured": lambda entry: structured(audit_log_written(entry)),
    "Pub/Sub binary": lambda entry: binary(message_published(entry)),
    "Pub/Sub structured": lambda entry: structured(message_published(entry)),
    "Pub/Sub push": raw_push,
}


@pytest.fixture(scope="module")
def board() -> Switchboard:
    return Switchboard()


@pytest.fixture(scope="module")
def address(board: Switchboard) -> Iterator[str]:
    with serving(board) as address:
        yield address


@pytest.fixture
def compute(board: Switchboard) -> Iterator[ComputeEngine]:
    """Compute Engine a day ago: what was made then has settled."""
    compute = board.compute = ComputeEngine(now=lambda: datetime.now(UTC) - timedelta(days=1))
    yield compute
    assert (0, []) == (compute.unmet_faults, compute.writes)


@pytest.fixture(autouse=True)
def deployed(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of a deployment that writes nothing, pointed at the stand-in."""
    monkeypatch.setenv("PUBLISHER_COMPUTE_ENDPOINT", address)
    monkeypatch.setenv("PUBLISHER_CONFIG", CONFIG)
    monkeypatch.setenv("HCP_PACKER_REGISTRY", "off")


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    """The function as the framework serves it."""
    create: Any = functions_framework.create_app  # it has no types
    app = create("publish_image", str(FUNCTION / "main.py"), "cloudevent")
    found: FlaskClient = app.test_client()
    return found


class Function:
    """The function behind its framework: ``post`` delivers, ``logged`` is what was logged since."""

    def __init__(self, client: FlaskClient, capsys: pytest.CaptureFixture[str]) -> None:
        self._client = client
        self._capsys = capsys

    def post(self, headers: dict[str, str], body: bytes) -> int:
        answer = self._client.post("/", headers={**headers, "Authorization": "Bearer made-up-token"}, data=body)
        assert [] == [secret for secret in SECRETS if secret in answer.get_data(as_text=True)]
        return answer.status_code

    def deliver(self, entry: dict[str, Any], wire: str = "Pub/Sub binary") -> int:
        return self.post(*WIRES[wire](entry))

    def logged(self) -> dict[str, Any]:
        """Return the one line that was logged; whatever it is about, it names no caller and no token."""
        printed = self._capsys.readouterr()
        assert "" == printed.err
        assert [] == [secret for secret in SECRETS if secret in printed.out]
        (line,) = printed.out.splitlines()
        found: dict[str, Any] = json.loads(line)
        return found


@pytest.fixture
def function(client: FlaskClient, capsys: pytest.CaptureFixture[str]) -> Function:
    return Function(client, capsys)


@pytest.mark.filterwarnings(OLD_CLOCK)
@pytest.mark.parametrize("wire", WIRES)
def test_every_way_to_deliver(compute: ComputeEngine, function: Function, wire: str) -> None:
    """Both services, both content modes, and a push request without any CloudEvent lead to the same report."""
    _, last = compute.insert_image("web-1", labels=LABELS)
    assert 200 == function.deliver(last, wire)
    assert {
        "severity": "INFO",
        "message": "ignored web-1 web/4f2a9c1-812: HCP_PACKER_REGISTRY is off: nothing was written",
        "outcome": "ignored",
        "image": "web-1",
        "platform": "gce",
        "owner": "gce:img-proj",
        "region": "us-central1-a",
        "bucket": "web",
        "fingerprint": "4f2a9c1-812",
        "component_type": "googlecompute",
        "reason": "HCP_PACKER_REGISTRY is off: nothing was written",
        "calls": 0,
    } == function.logged()
    assert ["GET /compute/v1/projects/img-proj/global/images/web-1"] == compute.asked


@pytest.mark.parametrize(
    "name", ["image_insert_first", "image_insert_denied", "disk_create_snapshot_last", "instance_insert_last"]
)
def test_an_entry_that_is_no_usable_image_costs_nothing(compute: ComputeEngine, function: Function, name: str) -> None:
    """It is acknowledged without a question to Google Cloud."""
    assert 200 == function.deliver(sample(name))
    report = function.logged()
    assert ("ignored", "the event is about no usable image") == (report["outcome"], report["reason"])
    assert [] == compute.asked


def test_a_cloud_event_about_something_else(compute: ComputeEngine, function: Function) -> None:
    """A trigger that was set on another service is acknowledged."""
    event = {
        "specversion": "1.0",
        "id": "1",
        "type": "google.cloud.storage.object.v1.finalized",
        "source": "//storage.googleapis.com/projects/_/buckets/b",
        "data": {"bucket": "b", "name": "o"},
    }
    assert 200 == function.post(*structured(event))
    assert "ignored" == function.logged()["outcome"]


def test_an_image_that_is_not_ours(compute: ComputeEngine, function: Function) -> None:
    """One question to Google Cloud, none to HCP."""
    _, last = compute.insert_image("web-1", labels={"team": "a"})
    assert 200 == function.deliver(last)
    report = function.logged()
    assert ("ignored", "carries no contract tag", 0) == (report["outcome"], report["reason"], report["calls"])


def test_a_deleted_image(compute: ComputeEngine, function: Function) -> None:
    """Deleting an image changes nothing in HCP, and is known from the event alone."""
    compute.insert_image("web-1", labels=LABELS)
    _, last = compute.delete("web-1")
    assert 200 == function.deliver(last)
    assert "the image was deleted; nothing is changed in HCP" == function.logged()["reason"]
    assert [] == compute.asked


def test_an_image_that_breaks_the_contract(compute: ComputeEngine, function: Function) -> None:
    """It is rejected with the reason and what to do, and never delivered again."""
    _, last = compute.insert_image("web-1", labels={"hcp-packer-bucket": "web"})
    assert 200 == function.deliver(last)
    report = function.logged()
    assert ("WARNING", "rejected", "web-1 (gce:img-proj): tag hcp-packer-fingerprint is missing") == (
        report["severity"],
        report["outcome"],
        report["reason"],
    )


def test_an_entry_without_its_image(compute: ComputeEngine, function: Function) -> None:
    """An image's entry that does not say which is rejected."""
    entry = sample("image_insert_last")
    del entry["protoPayload"]["resourceName"]
    assert 200 == function.deliver(entry)
    report = function.logged()
    assert ("rejected", "The log entry of v1.compute.images.insert has no resourceName.") == (
        report["outcome"],
        report["reason"],
    )


EVENTARC, _ = binary(sample("eventarc_audit_log_written"))
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("headers", "body", "status", "reason"),
    [
        (EVENTARC, b'{"protoPayload": {', 200, "The request holds no readable JSON."),
        (EVENTARC, b"", 200, "The request holds no JSON object."),
        (EVENTARC, b"[]", 200, "The request holds no JSON object."),
        (EVENTARC, b'{"message": {"data": "***"}}', 200, "The Pub/Sub message carries data that is not base64."),
        (EVENTARC, b'{"message": {"data": "eyJh"}}', 200, "The Pub/Sub message holds no readable JSON."),
        (EVENTARC, b'{"message": {}}', 200, "The Pub/Sub message carries no data."),
        (JSON, b"not json", 204, "the request holds no readable event"),
        (JSON, b"", 204, "the request holds no readable event"),
        (JSON, b"{}", 204, "the request holds no readable event"),
        (JSON, b'{"message": {"messageId": "1"}, "subscription": "s"}', 204, "the request holds no readable event"),
        ({"content-type": "text/plain"}, b"hello", 204, "the request holds no readable event"),
        (
            {"content-type": "application/cloudevents+json"},
            b'{"specversion": "1.0"',
            204,
            "the request holds no readable event",
        ),
        (
            {"content-type": "application/cloudevents+json"},
            b'{"specversion": "1.0", "id": "1"}',
            204,
            "the request holds no readable event",
        ),
    ],
)
@pytest.mark.filterwarnings(OLD_CLOCK)
def test_what_holds_no_event_is_rejected_and_acknowledged(
    compute: ComputeEngine, function: Function, headers: dict[str, str], body: bytes, status: int, reason: str
) -> None:
    """It would be as broken the next time; neither the log nor the answer quotes the request or its token."""
    assert status == function.post(headers, body)
    report = function.logged()
    assert ("WARNING", "rejected", reason) == (report["severity"], report["outcome"], report["reason"])
    assert [] == compute.asked


def test_what_the_framework_cannot_read_is_rejected_and_acknowledged(
    compute: ComputeEngine, function: Function
) -> None:
    """Its parsers fail in ways that it does not catch, and would have the request sent again for days."""
    for body in (b"[1]", b'"text"', b"\xff", b"[" * 100_000, b'{"specversion": []}', b'{"context": 7, "data": 1}'):
        assert 204 == function.post(JSON, body)
        report = function.logged()
        assert ("rejected", "the request holds no readable event") == (report["outcome"], report["reason"])
    assert [] == compute.asked


def test_a_fault_of_ours_keeps_the_event_and_is_told(client: FlaskClient, capsys: pytest.CaptureFixture[str]) -> None:
    """It must not look like a request that holds no event: that would be acknowledged, and lost."""
    main = sys.modules["main"]  # as the framework has loaded it
    with pytest.raises(main.RetryLater, match=r"^our code failed; the log says where$"):
        main.publish_image(None)  # no event at all, which the framework never hands over
    line = json.loads(capsys.readouterr().out)
    assert ("ERROR", "our code failed") == (line["severity"], line["message"])
    assert "AttributeError" in line["stack_trace"]


@pytest.mark.parametrize("wire", ["Eventarc binary", "Pub/Sub structured"])
def test_trouble_has_the_event_delivered_again(compute: ComputeEngine, function: Function, wire: str) -> None:
    """Refused credentials are trouble: 503, with one line in the log that says what to do."""
    _, last = compute.insert_image("web-1", labels=LABELS)
    compute.fail(403, "forbidden", f"{CALLER} may not")
    assert 503 == function.deliver(last, wire)
    report = function.logged()
    assert ("WARNING", "deferred") == (report["severity"], report["outcome"])
    assert (
        "Google Cloud refused to show projects/img-proj/global/images/web-1 (HTTP 403 forbidden)." == report["reason"]
    )
    assert report["remedy"].startswith("grant compute.images.get and compute.images.list in project img-proj ")


def test_an_image_that_is_pending(compute: ComputeEngine, function: Function) -> None:
    """It changes by itself: the event is delivered again, and then it is placed."""
    _, last = compute.insert_image("web-1", labels=LABELS, pending=1)
    assert 503 == function.deliver(last)
    assert "the image is not available yet" == function.logged()["reason"]
    assert 200 == function.deliver(last)
    assert "web" == function.logged()["bucket"]


def test_an_image_that_has_not_settled(compute: ComputeEngine, function: Function) -> None:
    """An image of a moment ago is looked at again when it is two minutes old."""
    _, last = compute.insert_image("web-1", labels=LABELS, created=datetime.now(UTC))
    assert 503 == function.deliver(last)
    report = function.logged()
    assert ("deferred", "web-1 (gce:img-proj) is younger than the settle time of 2m.") == (
        report["outcome"],
        report["reason"],
    )


def test_an_image_that_is_gone(compute: ComputeEngine, function: Function) -> None:
    """Hours after its event an unknown image is gone for good."""
    _, last = compute.insert_image("web-1", labels=LABELS)
    compute.delete("web-1")
    assert 200 == function.deliver(last)
    assert "its cloud does not know the image (any more)" == function.logged()["reason"]


def test_wrong_settings_keep_the_event(
    compute: ComputeEngine, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person mends them; until then nothing is lost."""
    monkeypatch.setenv("PUBLISHER_SETTLE", "soon")
    _, last = compute.insert_image("web-1", labels=LABELS)
    assert 503 == function.deliver(last)
    line = function.logged()
    assert "ERROR" == line["severity"]
    assert "PUBLISHER_SETTLE" in line["message"]
    assert [] == compute.asked


@pytest.mark.parametrize(("level", "lines"), [("", 1), ("info", 1), ("WARNING", 0), ("ERROR", 0)])
def test_the_log_level(
    compute: ComputeEngine,
    client: FlaskClient,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    level: str,
    lines: int,
) -> None:
    """PUBLISHER_LOG_LEVEL leaves lines of less severity out."""
    monkeypatch.setenv("PUBLISHER_LOG_LEVEL", level)
    headers, body = WIRES["Pub/Sub binary"](sample("image_insert_first"))
    assert 200 == client.post("/", headers=headers, data=body).status_code
    assert lines == len(capsys.readouterr().out.splitlines())


def test_a_forged_line_stays_one_line(compute: ComputeEngine, function: Function) -> None:
    """Line breaks in an event are escaped."""
    entry = sample("image_insert_last")
    entry["protoPayload"]["resourceName"] += '\n{"severity": "INFO", "outcome": "completed"}'
    assert 200 == function.deliver(entry)
    assert '\\n{"severity"' in function.logged()["reason"]


def test_the_entry_point_is_short() -> None:
    """Under 100 lines: the rules live in the package."""
    assert len((FUNCTION / "main.py").read_text().splitlines()) < 100
