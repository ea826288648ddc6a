"""What the Azure and the Google part cost: list prices times use, for the pages' tables (see reference.py).

Prices are those of East US and us-central1, without free grants, as they were known in 2026. What is used follows from
the modules where it can (memory, processors, schedules, alerts); the rest is assumed, and stands here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.infra.hcl import Block, literal, local, members

ROOT = Path(__file__).parents[2]
HOURS = 730  # a month
DAYS = HOURS / 24
IMAGES = 1000

AZURE_PRICES = {
    "GB-second": 0.000026,  # Flex Consumption, on demand
    "execution": 0.40 / 1e6,
    "operation of queue or blob": 0.05 / 1e4,
    "event operation": 0.60 / 1e6,
    "GB of logs": 2.30,
    "log alert, every 15 minutes": 0.50,
    "log alert, every hour": 0.50,
    "metric alert": 0.10,
}
GOOGLE_PRICES = {
    "vCPU-second": 0.000024,
    "GiB-second": 0.0000025,
    "request": 0.40 / 1e6,
    "GiB of Pub/Sub": 40 / 1024,
    "GiB of logs": 0.50,
    "schedule": 0.10,
    "alert condition": 0.10,
}

SWEEP_SECONDS = 2.0  # one list, nothing found; with a cold start now and then
EVENT_SECONDS = 3.0  # with a cold start, cloud and HCP asked
AZURE_EVENTS = 2  # of an image: written, and its gallery version or its tags
AZURE_LOG_BYTES = 8000  # of an invocation: the host's lines, dependencies and metrics, and ours
AZURE_HOST_OPERATIONS = 100_000  # an idle month: locks, timers' state, polling of the queue
GOOGLE_EVENTS = 2  # of an image: inserted, and deprecated, as Packer does with every image
GOOGLE_TRIES = 5  # of an event: an image younger than two minutes is tried again
GOOGLE_TRY_SECONDS = 1.5
GOOGLE_LOG_BYTES = 2500  # of a request: the platform's line and ours
MESSAGE_BYTES = 6000  # an audit log entry, published and delivered


@dataclass(frozen=True, slots=True)
class Cost:
    """One line: what is used in an idle month and for 1,000 images, in units of one price."""

    price: str
    idle: float
    images: float
    basis: str


def azure(module: Block) -> Iterator[tuple[str, ...]]:
    """Yield the rows of Azure's table."""
    app = module.one("resource", "azurerm_function_app_flex_consumption", "publisher")
    memory = _number(app, "instance_memory_in_mb") / 1024
    function = (ROOT / "functions" / "azure" / "function_app.py").read_text("utf-8")
    sweeps = DAYS * sum(_per_day(found) for found in re.findall(r'timer_trigger\(.*schedule="0 ([^"]+)"', function))
    events = IMAGES * AZURE_EVENTS
    alerts = [str(literal(members(alert)["frequency"])) for alert in members(local(module, "alerts")).values()]
    metrics = len(list(module.all("resource", "azurerm_monitor_metric_alert")))
    yield from _rows(
        AZURE_PRICES,
        "East US",
        Cost("GB-second", sweeps * SWEEP_SECONDS * memory, events * EVENT_SECONDS * memory, _counted(sweeps, events)),
        Cost("execution", sweeps, events, "one each"),
        Cost("operation of queue or blob", AZURE_HOST_OPERATIONS, 6 * events, "the host's own; six for each event"),
        Cost("event operation", 0, 2 * events, "matched and delivered"),
        Cost("GB of logs", sweeps * AZURE_LOG_BYTES / 1e9, events * AZURE_LOG_BYTES / 1e9, "8 KB an invocation"),
        Cost("log alert, every 15 minutes", alerts.count("PT15M"), 0, "`alerts_enabled = false` makes none"),
        Cost("log alert, every hour", alerts.count("PT1H"), 0, "the same"),
        Cost("metric alert", metrics, 0, "the same"),
    )


def google(module: Block) -> Iterator[tuple[str, ...]]:
    """Yield the rows of Google's table."""
    service = module.one("resource", "google_cloudfunctions2_function", "publisher").one("service_config")
    processors = float(str(literal(service.attributes["available_cpu"])))
    memory = float(str(literal(service.attributes["available_memory"])).removesuffix("Mi")) / 1024
    jobs = members(module.one("resource", "google_cloud_scheduler_job", "sweep").attributes["for_each"])
    sweeps = DAYS * sum(_per_day(str(literal(members(job)["schedule"]))) for job in jobs.values())
    requests = IMAGES * GOOGLE_EVENTS * GOOGLE_TRIES
    seconds = sweeps * SWEEP_SECONDS, requests * GOOGLE_TRY_SECONDS
    carried = IMAGES * GOOGLE_EVENTS * 2 * MESSAGE_BYTES / 2**30
    logs = sweeps * GOOGLE_LOG_BYTES / 2**30, requests * GOOGLE_LOG_BYTES / 2**30
    alerts = len(members(local(module, "log_alerts"))) + len(members(local(module, "metric_alerts")))
    yield from _rows(
        GOOGLE_PRICES,
        "us-central1",
        Cost("vCPU-second", seconds[0] * processors, seconds[1] * processors, _counted(sweeps, requests, "requests")),
        Cost("GiB-second", seconds[0] * memory, seconds[1] * memory, "the same"),
        Cost("request", sweeps, requests, "an image is tried until it is two minutes old"),
        Cost("GiB of Pub/Sub", 0, carried, "6 KB an entry, in and out"),
        Cost("GiB of logs", *logs, "2.5 KB a request"),
        Cost("schedule", len(jobs), 0, "three are free in a billing account"),
        Cost("alert condition", alerts, 0, "where Monitoring charges for them; `alerts_enabled = false` makes none"),
    )


def _rows(prices: dict[str, float], where: str, *costs: Cost) -> Iterator[tuple[str, ...]]:
    assert set(prices) == {cost.price for cost in costs}
    yield "", "an idle month", "1,000 images", "of what"
    for cost in costs:
        price = prices[cost.price]
        yield cost.price, f"${cost.idle * price:.2f}", f"${cost.images * price:.2f}", cost.basis
    idle = sum(cost.idle * prices[cost.price] for cost in costs)
    images = sum(cost.images * prices[cost.price] for cost in costs)
    yield "**all**", f"**${idle:.2f}**", f"**${images:.2f}**", f"list prices of {where}, without free grants"


def _counted(sweeps: float, events: float, name: str = "events") -> str:
    return f"{sweeps:,.0f} sweeps; {events:,} {name}"


def _number(block: Block, name: str) -> int:
    found = literal(block.attributes[name].partition("#")[0])
    assert isinstance(found, int)
    return found


def _per_day(schedule: str) -> float:
    """Return how often a day a cron expression fires; only "every N minutes" and "once a day" are known."""
    if every := re.fullmatch(r"\*/(\d+) \* \* \* \*", schedule):
        return 24 * 60 / int(every[1])
    if re.fullmatch(r"\d+ \d+ \* \* \*", schedule):
        return 1
    raise ValueError(f"not known: {schedule}")
