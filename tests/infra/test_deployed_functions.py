"""The modules deploy the functions as they are: runtime, entry point, limits of time, places of files."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

from infra.package.artefact import ARTEFACTS, PYTHON

from tests.infra.hcl import Block, literal, read_module

ROOT = Path(__file__).parents[2]
AZURE, GOOGLE = (read_module(ROOT / "infra" / name) for name in ("azure", "gcp"))
APP = AZURE.one("resource", "azurerm_function_app_flex_consumption", "publisher")
FUNCTION = GOOGLE.one("resource", "google_cloudfunctions2_function", "publisher")
HOST = json.loads((ROOT / "functions" / "azure" / "host.json").read_text("utf-8"))


def seconds(file: str) -> float:
    """Return the time that an entry point gives itself."""
    (found,) = re.findall(r"^SECONDS = ([0-9.]+)", (ROOT / "functions" / file).read_text("utf-8"), re.MULTILINE)
    return float(found)


def span(text: str) -> timedelta:
    """Return a duration as host.json writes it."""
    hours, minutes, rest = (int(part) for part in text.split(":"))
    return timedelta(hours=hours, minutes=minutes, seconds=rest)


def number(block: Block, name: str) -> int:
    """Return a number of a block, without the comment behind it."""
    found = literal(block.attributes[name])
    assert isinstance(found, int)
    return found


def test_the_runtime_is_the_one_that_the_archives_are_made_for() -> None:
    """Bytecode and wheels are valid for no other."""
    major, minor = PYTHON
    assert ("python", f"{major}.{minor}") == (
        literal(APP.attributes["runtime_name"]),
        literal(APP.attributes["runtime_version"]),
    )
    assert f"python{major}{minor}" == literal(FUNCTION.one("build_config").attributes["runtime"])


def test_googles_entry_point_is_there() -> None:
    """By the name that the function has."""
    name = literal(FUNCTION.one("build_config").attributes["entry_point"])
    assert f"@functions_framework.cloud_event\ndef {name}(" in (ROOT / "functions/gcp/main.py").read_text("utf-8")


def test_google_gives_the_function_the_time_that_it_takes() -> None:
    """And the subscription waits for longer than that."""
    timeout = number(FUNCTION.one("service_config"), "timeout_seconds")
    assert seconds("gcp/main.py") < timeout
    subscription = GOOGLE.one("resource", "google_pubsub_subscription", "function")
    assert timeout < number(subscription, "ack_deadline_seconds")


def test_azures_queue_is_read_as_event_grid_writes_it() -> None:
    """In base64; the poison queue has the name that the host gives it."""
    assert "base64" == HOST["extensions"]["queues"]["messageEncoding"]
    names = [
        literal(AZURE.one("resource", "azurerm_storage_queue", name).attributes["name"])
        for name in ("events", "poison")
    ]
    assert [names[0], f"{names[0]}-poison"] == names


def test_azures_tries_outlast_a_day_and_end_before_the_message_does() -> None:
    """A day's outage makes no poison, and what is given up is put on the poison queue, not dropped."""
    queues = HOST["extensions"]["queues"]
    tries = queues["maxDequeueCount"] * span(queues["visibilityTimeout"])
    kept = timedelta(days=number(AZURE.one("variable", "event_retention_days"), "default"))
    assert timedelta(days=1) < tries < kept
    # What a person may set, too: its least value is in its validation.
    (least,) = re.findall(r">= (\d+)", AZURE.one("variable", "event_retention_days").blocks[0].attributes["condition"])
    assert tries < timedelta(days=int(least))


def test_azure_gives_the_function_the_time_that_it_takes() -> None:
    """Its own, and as long a wait for another's turn; the message is not shown to another meanwhile."""
    assert timedelta(seconds=2 * seconds("azure/function_app.py")) < span(HOST["functionTimeout"])
    assert span(HOST["functionTimeout"]) < span(HOST["extensions"]["queues"]["visibilityTimeout"])


def test_azures_file_of_authorities_lies_where_the_archive_is_unpacked() -> None:
    """Both libraries are told of it."""
    text = (ROOT / "infra" / "azure" / "main.tf").read_text("utf-8")
    assert 2 == text.count(f'= "{ARTEFACTS["azure"].deployed}/${{var.ca_bundle}}"')
