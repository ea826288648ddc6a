"""Alerts look for what the functions really log, and the pages say what each of them means."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from packer_publisher.image import Platform
from packer_publisher.overdue import Overdue
from packer_publisher.report import Outcome, Report
from packer_publisher.sweep import Sweep
from packer_publisher.sweep_log import Entry, overdue_entry, report_entry, sweep_entries
from tests.infra.hcl import literal, local, members, read_module
from tests.infra.logging_query import compile_filter

ROOT = Path(__file__).parents[2]
AZURE, GOOGLE = (read_module(ROOT / "infra" / name) for name in ("azure", "gcp"))
LIMIT = timedelta(hours=48)


def report(outcome: Outcome) -> Entry:
    """Return the line about an image."""
    return report_entry(Report(outcome, platform=Platform.GCE, reason="because"))


def overdue(waiting: timedelta) -> Entry:
    """Return the line about a version that waits too long."""
    return overdue_entry(Overdue("web", "a1", ("aws",), datetime.now(UTC) - waiting, waiting, "because", "do it"))


def swept() -> Entry:
    """Return a sweep's own line, of an account without any image."""
    (line,) = sweep_entries(Sweep(), timedelta(hours=48))
    return line


def google_line(entry: Entry) -> Mapping[str, Any]:
    """Return a line of the function as Cloud Logging holds it: ``severity`` is taken out of the JSON."""
    return logged(entry.level, {"message": entry.line, **entry.fields})


def logged(severity: str, fields: Mapping[str, object]) -> Mapping[str, Any]:
    """Return an entry of the function's log."""
    resource = {"type": "cloud_run_revision", "labels": {"service_name": "packer-publisher"}}
    name = "projects/my-images/logs/run.googleapis.com%2Fstdout"
    return {"logName": name, "resource": resource, "severity": severity, "jsonPayload": fields}


def requested(status: int) -> Mapping[str, Any]:
    """Return the platform's own entry of a request: it has no line, and whatever begins with 5 is an error."""
    entry = {**logged("ERROR", {}), "logName": "projects/my-images/logs/run.googleapis.com%2Frequests"}
    return {**entry, "httpRequest": {"requestMethod": "POST", "status": status}}


KNOWN = {
    "var.name": "packer-publisher",
    "var.alert_thresholds.oldest_waiting_version_hours * 3600": str(int(LIMIT.total_seconds())),
}


def google_filter(expression: str) -> Callable[[Mapping[str, Any]], bool]:
    """Return a filter of a template, compiled; nothing else is put in than what is known above."""
    of_the_function = literal(local(GOOGLE, "function_log"), KNOWN)
    text = literal(expression, {**KNOWN, "local.function_log": str(of_the_function)})
    return compile_filter(f"{of_the_function} AND {text}")


def google_alert(name: str) -> Callable[[Mapping[str, Any]], bool]:
    """Return the filter of one log alert."""
    return google_filter(members(members(local(GOOGLE, "log_alerts"))[name])["filter"])


@pytest.mark.parametrize("outcome", Outcome)
def test_google_tells_of_what_was_rejected(outcome: Outcome) -> None:
    """And of conflicts and late images, but of nothing that resolves itself."""
    wanted = outcome in (Outcome.REJECTED, Outcome.CONFLICT, Outcome.LATE)
    assert wanted == google_alert("rejected-images")(google_line(report(outcome)))


def test_google_tells_of_the_oldest_waiting_version() -> None:
    """Once it has waited for longer than the limit."""
    alert = google_alert("oldest-waiting-version")
    assert alert(google_line(overdue(LIMIT + timedelta(seconds=1))))
    assert not alert(google_line(overdue(LIMIT - timedelta(seconds=1))))
    assert not alert(google_line(swept()))


def test_google_tells_of_errors() -> None:
    """Of the two that functions/gcp/main.py writes at that level, and of what the platform itself does."""
    alert = google_alert("errors")
    assert alert(logged("ERROR", {"message": "our code failed", "stack_trace": "..."}))
    assert alert({**logged("ERROR", {}), "textPayload": "Memory limit of 512 MiB exceeded"})
    assert not alert(google_line(report(Outcome.DEFERRED)))


def test_google_takes_a_kept_message_for_no_error() -> None:
    """The function answers 503 to trouble, an image of the last two minutes among it; the platform logs the request."""
    function = (ROOT / "functions" / "gcp" / "main.py").read_text("utf-8")
    assert 'return "", 503' in function
    assert not google_alert("errors")(requested(503))
    assert google_alert("errors")(requested(504)), "its time ran out"
    assert google_alert("errors")({**requested(503), "logName": "projects/p/logs/run.googleapis.com%2Fvarlog%2Fsystem"})


def metric_alert(name: str) -> dict[str, str]:
    """Return one of Google's alerts that look at a number."""
    return members(members(local(GOOGLE, "metric_alerts"))[name])


def test_google_looks_at_the_numbers_that_there_are() -> None:
    """The age of what is pushed to the function, what lies on the poison subscription, and the sweeps counted above."""
    assert "google_pubsub_subscription.function.name" in metric_alert("oldest-message")["filter"]
    assert "subscription/oldest_unacked_message_age" in metric_alert("oldest-message")["filter"]
    assert "google_pubsub_subscription.poison.name" in metric_alert("poison-messages")["filter"]
    assert "subscription/num_undelivered_messages" in metric_alert("poison-messages")["filter"]
    assert "user/${google_logging_metric.sweeps.name}" in metric_alert("no-sweep")["filter"]
    more = {name: literal(metric_alert(name)["comparison"]) for name in ("oldest-message", "poison-messages")}
    assert {"oldest-message": "COMPARISON_GT", "poison-messages": "COMPARISON_GT"} == more


def test_google_tells_that_no_sweep_was_counted() -> None:
    """Less than one in an hour, also where there is no number at all: a sweep is due every quarter of it."""
    alert = {key: literal(value) for key, value in metric_alert("no-sweep").items() if key not in ("title", "filter")}
    assert {
        "comparison": "COMPARISON_LT",
        "threshold": 1,
        "window": "3600s",
        "aligner": "ALIGN_SUM",
        "no_data": "EVALUATION_MISSING_DATA_ACTIVE",
    } == alert
    condition = GOOGLE.one("resource", "google_monitoring_alert_policy", "metric").one("conditions")
    threshold = condition.one("condition_threshold").attributes
    assert "each.value.no_data" == threshold["evaluation_missing_data"]
    assert 60 <= int(str(literal(threshold["duration"])).removesuffix("s")), "Google ignores missing data in less"


def test_google_counts_sweeps() -> None:
    """One line for each, and no other."""
    counts = google_filter(GOOGLE.one("resource", "google_logging_metric", "sweeps").attributes["filter"])
    assert counts(google_line(swept()))
    assert not counts(google_line(overdue(LIMIT)))
    assert not any(counts(google_line(report(outcome))) for outcome in Outcome)


def test_google_tells_of_this_function_alone() -> None:
    """Others of the project have their own alerts."""
    line = logged("ERROR", {})
    assert google_alert("errors")(line)
    assert not google_alert("errors")({**line, "resource": {"type": "cloud_run_revision", "labels": {}}})


def azure_queries() -> dict[str, str]:
    """Return the queries of the log alerts, as they are written."""
    return {name: members(alert)["query"] for name, alert in members(local(AZURE, "alerts")).items()}


def names(entries: Iterable[Entry]) -> set[str]:
    """Return the names of all fields of lines."""
    return {name for entry in entries for name in entry.fields}


def test_azure_asks_for_fields_that_the_function_logs() -> None:
    """A name that no line has would make an alert that never fires."""
    asked = {name for query in azure_queries().values() for name in re.findall(r"\bline\.(\w+)", query)}
    assert {"outcome", "oldest_waiting_version", "window", "images"} == asked
    assert asked <= names([report(Outcome.REJECTED), swept()])
    assert {"window", "images", "oldest_waiting_version"} <= names([swept()])


def test_azure_asks_for_outcomes_that_there_are() -> None:
    """Spelled as the program spells them."""
    (listed,) = re.findall(r"outcome\) in \(([^)]*)\)", azure_queries()["rejected-images"])
    assert {"rejected", "conflict", "late"} == {text.strip(" '") for text in listed.split(",")}
    assert {"rejected", "conflict", "late"} <= {str(outcome) for outcome in Outcome}


def test_azure_takes_a_kept_message_for_no_error() -> None:
    """The function raises an exception of this name, and the host logs it."""
    function = (ROOT / "functions" / "azure" / "function_app.py").read_text("utf-8")
    assert "class RetryLater(Exception)" in function
    assert "has 'RetryLater'" in azure_queries()["errors"]


# As the host has written them, in public logs: of a message that is tried, and of one that is given up.
TRIED = "Trigger Details: MessageId: b93dfa1b-373b-4b43, DequeueCount: 41, InsertedOn: 2026-10-31T00:36:16.000+00:00"
OLDER = "Trigger Details: MessageId: b00a86dc-298d-4cd2, DequeueCount: 1, InsertionTime: 1/18/2019 3:28:51 AM +00:00"
GIVEN_UP = "Message has reached MaxDequeueCount of 200. Moving message to queue 'images-poison'."


def test_azure_knows_the_hosts_lines() -> None:
    """How old a message is stands in them, and nowhere else."""
    begins = {name: re.findall(r"Message startswith '([^']+)'", query) for name, query in azure_queries().items()}
    assert ["Trigger Details:"] == [text for text in begins["oldest-message"] if TRIED.startswith(text)]
    assert [text for text in begins["poison-messages"] if GIVEN_UP.startswith(text)]
    (pattern,) = re.findall(r"extract\('([^']+)', 1, Message\)", azure_queries()["oldest-message"])
    ages = [found[1] for line in (TRIED, OLDER) if (found := re.search(pattern, line))]
    assert ["2026-10-31T00:36:16.000+00:00", "1/18/2019 3:28:51 AM +00:00"] == ages


def test_azure_compares_as_its_alerts_mean_it() -> None:
    """One line too many, a number too high, no line where there should be some."""
    shapes = {}
    for name, alert in members(local(AZURE, "alerts")).items():
        about = members(alert)
        shapes[name] = tuple(str(literal(about[key])) for key in ("aggregation", "operator", "measure"))
        assert {"PT1H": True, "P1D": name == "oldest-waiting-version"}[str(literal(about["window"]))]
    many, high = ("Count", "GreaterThan", "None"), ("Maximum", "GreaterThan", "seconds")
    assert {
        "rejected-images": many,
        "oldest-waiting-version": high,
        "oldest-message": high,
        "poison-messages": many,
        "errors": many,
        "no-sweep": ("Count", "LessThan", "None"),
    } == shapes
    assert "1" == members(members(local(AZURE, "alerts"))["no-sweep"])["threshold"]


def test_azure_counts_the_dead_letters_of_its_own_subscription() -> None:
    """By the name that Event Grid has for them."""
    alert = AZURE.one("resource", "azurerm_monitor_metric_alert", "dead_letters")
    criteria = alert.one("criteria")
    assert ("Microsoft.EventGrid/systemTopics", "DeadLetteredCount", "Total", "GreaterThan", "0") == tuple(
        criteria.attributes[key].strip('"')
        for key in ("metric_namespace", "metric_name", "aggregation", "operator", "threshold")
    )
    assert (
        "[azurerm_eventgrid_system_topic_event_subscription.images.name]"
        == criteria.one("dimension").attributes["values"]
    )


def test_alerts_reach_somebody() -> None:
    """Every one of them those who are named."""
    for kind in ("log", "metric"):
        policy = GOOGLE.one("resource", "google_monitoring_alert_policy", kind)
        assert "var.notification_channels" == policy.attributes["notification_channels"]
    query = AZURE.one("resource", "azurerm_monitor_scheduled_query_rules_alert_v2", "log").one("dynamic", "action")
    metric = AZURE.one("resource", "azurerm_monitor_metric_alert", "dead_letters").one("dynamic", "action")
    assert "action.value" == query.one("content").attributes["action_groups"]
    assert "[var.action_group_ids]" in query.attributes["for_each"]
    assert "action.value" == metric.one("content").attributes["action_group_id"]
    assert "var.action_group_ids" == metric.attributes["for_each"]


def test_azure_takes_what_the_host_warns_of_for_no_error() -> None:
    """It sends exceptions along with warnings, and those are rows of the same table."""
    assert "| where isnull(SeverityLevel) or SeverityLevel >= 3 |" in azure_queries()["errors"]


def test_a_page_explains_every_alert() -> None:
    """Under "Alerts", with what to do, and none that is not there."""
    google = {*members(local(GOOGLE, "log_alerts")), *members(local(GOOGLE, "metric_alerts"))}
    for page, alerts in (("azure.md", {*azure_queries(), "dead-letters"}), ("google.md", google)):
        section = (ROOT / "docs" / page).read_text("utf-8").partition("\n## Alerts\n")[2].partition("\n## ")[0]
        assert alerts == set(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE))
