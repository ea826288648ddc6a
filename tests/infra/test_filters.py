"""The sink's filter and the event subscription's, read from the templates: they let through what the functions read.

What an emulator of ours says about a filter is only as good as the emulator; it refuses what it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from packer_publisher.clouds import azure_events, gcp_events
from packer_publisher.errors import Rejected
from packer_publisher.local.compute import ComputeEngine
from tests.clouds.gcp_stand_in import LABELS
from tests.infra import event_grid, logging_query
from tests.infra.hcl import literal, local, read, read_module

ROOT = Path(__file__).parents[2]
EVENTS = ROOT / "tests" / "events"


@pytest.fixture(scope="module")
def sink() -> Callable[[Mapping[str, Any]], bool]:
    """The filter of the log sink."""
    text = literal(local(read_module(ROOT / "infra" / "gcp"), "filter"))
    assert isinstance(text, str)
    assert len(text) < 20_000, "Cloud Logging takes no longer one"
    return logging_query.compile_filter(text)


@pytest.fixture(scope="module")
def subscription() -> Callable[[Mapping[str, Any]], bool]:
    """The filters of the event subscription."""
    module = read_module(ROOT / "infra" / "azure")
    return event_grid.compile_subscription(
        module.one("resource", "azurerm_eventgrid_system_topic_event_subscription", "images")
    )


def test_every_sink_has_the_one_filter() -> None:
    """A project's, a folder's and an organization's."""
    module = read_module(ROOT / "infra" / "gcp")
    sinks = [
        block
        for kind in ("project", "folder", "organization")
        for block in module.all("resource", f"google_logging_{kind}_sink", "images")
    ]
    assert 3 * ["local.filter"] == [block.attributes["filter"] for block in sinks]


def google_entries() -> dict[str, Mapping[str, Any]]:
    """Return the corpus's log entries by file."""
    return {path.stem: gcp_events.unwrap(path.read_bytes()) for path in sorted((EVENTS / "gcp").glob("*.json"))}


def azure_bodies() -> dict[str, Mapping[str, Any]]:
    """Return the corpus's events by file; Event Grid's arrays hold one each."""
    found = {}
    for path in sorted((EVENTS / "azure").glob("*.json")):
        body = json.loads(path.read_bytes())
        (found[path.stem],) = body if isinstance(body, list) else [body]
    return found


@pytest.mark.parametrize("name", google_entries())
def test_the_sink_lets_through_what_the_function_reads(sink: Callable[[Mapping[str, Any]], bool], name: str) -> None:
    """An entry without a service's name, which the function tolerates, no log ever holds."""
    entry = google_entries()[name]
    wanted = gcp_events.read_event(entry) is not None
    assert (wanted and "serviceName" in entry["protoPayload"]) == sink(entry)


def test_the_corpus_holds_both_kinds() -> None:
    """A filter that lets all through, or nothing, would pass else."""
    google = [gcp_events.read_event(entry) is not None for entry in google_entries().values()]
    azure = [azure_events.read_event(body) is not None for body in azure_bodies().values()]
    for wanted in (google, azure):
        assert 5 < sum(wanted)
        assert 3 < len(wanted) - sum(wanted)


@pytest.mark.parametrize("version", ["v1", "beta", "alpha"])
def test_everything_that_happens_to_an_image_comes_through_once(
    sink: Callable[[Mapping[str, Any]], bool], version: str
) -> None:
    """Of an operation's two entries the last."""
    compute = ComputeEngine(now=lambda: datetime.now(UTC))
    first, last = compute.insert_image("web-1", labels=LABELS, api_version=version)
    assert (False, True) == (sink(first), sink(last))
    (labelled,) = compute.set_labels("web-1", LABELS)
    deleted = compute.delete("web-1")
    assert sink(labelled)
    assert [False, True] == [sink(entry) for entry in deleted]


STRANGE: dict[str, dict[str, Any]] = {
    "data access": {"logName": "projects/img-proj/logs/cloudaudit.googleapis.com%2Fdata_access"},
    "another service": {"protoPayload": {"serviceName": "container.googleapis.com"}},
    "a list": {"protoPayload": {"methodName": "v1.compute.images.list"}},
    "permissions": {"protoPayload": {"methodName": "v1.compute.images.setIamPolicy"}},
    "a machine image": {"protoPayload": {"methodName": "v1.compute.machineImages.insert"}},
    "another prefix": {"protoPayload": {"methodName": "x.v1.compute.images.insert"}},
    "another ending": {"protoPayload": {"methodName": "v1.compute.images.insertAll"}},
    "any character for a dot": {"protoPayload": {"methodName": "v1xcompute.images.insert"}},
    "a failure": {"severity": "ERROR"},
    "an emergency": {"severity": "EMERGENCY"},
    "the first of two": {"operation": {"first": True}},
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_else_is_logged_does_not(sink: Callable[[Mapping[str, Any]], bool], name: str) -> None:
    """One change to an entry that comes through is enough."""
    entry = json.loads(json.dumps(google_entries()["image_insert_last"]))
    assert sink(entry)
    for key, value in STRANGE[name].items():
        entry[key] = {**entry[key], **value} if isinstance(value, dict) and key == "protoPayload" else value
    assert not sink(entry)


ABSENT = {"operation", "severity"}


@pytest.mark.parametrize("field", sorted(ABSENT))
def test_what_an_entry_may_lack_keeps_nothing_back(sink: Callable[[Mapping[str, Any]], bool], field: str) -> None:
    """A short operation has no ``operation``, and shapes differ from method to method (cloud-custodian issue 10768)."""
    entry = {key: value for key, value in google_entries()["image_insert_last"].items() if key != field}
    assert sink(entry)


@pytest.mark.parametrize("name", azure_bodies())
def test_the_subscription_lets_through_what_the_function_reads(
    subscription: Callable[[Mapping[str, Any]], bool], name: str
) -> None:
    """Notifications come from another topic, CloudEvents in another schema; the function reads both all the same."""
    body = azure_bodies()[name]
    elsewhere = "ResourceNotifications" in str(body.get("eventType")) or "specversion" in body
    assert (azure_events.read_event(body) is not None and not elsewhere) == subscription(body)


def test_azure_spells_as_it_likes(subscription: Callable[[Mapping[str, Any]], bool]) -> None:
    """Resource ids come in any case."""
    for name in ("managed_image_written", "gallery_version_deleted", "managed_image_tags_written"):
        body = json.loads(json.dumps(azure_bodies()[name]).replace("Microsoft.Compute", "MICROSOFT.COMPUTE"))
        assert subscription(body)


@pytest.mark.parametrize(
    ("operation", "resource"),
    [
        ("Microsoft.Compute/disks/write", "/providers/Microsoft.Compute/disks/d"),
        ("Microsoft.Compute/galleries/images/write", "/providers/Microsoft.Compute/galleries/g/images/d"),
        ("Microsoft.Compute/images/action", "/providers/Microsoft.Compute/images/web-1"),
        ("Microsoft.Resources/tags/write", "/providers/Microsoft.Compute/virtualMachines/v/providers/x"),
        ("Microsoft.Resources/deployments/write", "/providers/Microsoft.Compute/images/web-1"),
    ],
)
def test_what_else_happens_in_the_subscription_does_not(
    subscription: Callable[[Mapping[str, Any]], bool], operation: str, resource: str
) -> None:
    """It would cost an invocation each."""
    body = azure_bodies()["managed_image_written"]
    data = {**body["data"], "operationName": operation, "resourceUri": f"/subscriptions/s/resourceGroups/g{resource}"}
    assert not subscription({**body, "data": data})


def test_a_failure_does_not(subscription: Callable[[Mapping[str, Any]], bool]) -> None:
    """Nothing has changed."""
    assert not subscription(
        {**azure_bodies()["managed_image_written"], "eventType": "Microsoft.Resources.ResourceWriteFailure"}
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a=b OR c=d",
        "a!=b",
        'a:"b"',
        "a=~b",
        "sample(insertId, 0.1)",
        "(a=b",
        "a=b)",
        "a<3",
        'NOT log_id("x") OR a=b',
    ],
)
def test_the_emulator_of_the_query_language_refuses_what_it_does_not_know(text: str) -> None:
    """A filter that is half understood proves nothing."""
    with pytest.raises(logging_query.Unknown):
        logging_query.compile_filter(text)


@pytest.mark.parametrize(
    "change",
    [
        'subject_filter {\n subject_begins_with = "x"\n}',
        'advanced_filter {\n string_not_in {\n key = "a"\n values = ["b"]\n }\n}',
        'advanced_filter {\n string_in {\n key = "a.b.c"\n values = ["b"]\n }\n}',
        "advanced_filtering_on_arrays_enabled = true",
    ],
)
def test_the_emulator_of_event_grid_refuses_what_it_does_not_know(change: str) -> None:
    """As above."""
    text = 'x {\nevent_delivery_schema = "EventGridSchema"\nincluded_event_types = ["a"]\n' + change + "\n}"
    with pytest.raises(event_grid.Unknown):
        event_grid.compile_subscription(read(text).one("x"))


def test_what_nobody_can_read_comes_through_to_be_told(sink: Callable[[Mapping[str, Any]], bool]) -> None:
    """An image's entry that does not name it is an error that somebody should see."""
    entry = json.loads(json.dumps(google_entries()["image_insert_last"]))
    del entry["protoPayload"]["resourceName"]
    with pytest.raises(Rejected):
        gcp_events.read_event(entry)
    assert sink(entry)
