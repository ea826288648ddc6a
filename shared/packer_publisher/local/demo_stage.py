"""The demo's stage: every stand-in on loopback, the three real functions loaded, images that appear and their events.

What the functions log is the only thing that is looked at: the very lines that an operator would see.
"""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

from packer_publisher.errors import ConfigurationError
from packer_publisher.image import Artifact
from packer_publisher.local.arm import Arm
from packer_publisher.local.aws import LocalAWS
from packer_publisher.local.aws_delivery import LocalDelivery
from packer_publisher.local.aws_events import Event
from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.compute_events import push_body
from packer_publisher.local.demo_base import register_base
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import local_registry
from packer_publisher.local.registry_switches import Switches
from packer_publisher.local.server import serving

FUNCTIONS = Path(__file__).parents[3] / "functions"
BUCKET = "web-server"
ACCOUNT, SUBSCRIPTION, PROJECT = "123456789012", "11111111-1111-1111-1111-111111111111", "img-proj"
REGIONS = ("eu-west-1", "us-east-1")
TARGET_REGIONS = ("westeurope", "eastus")
ZONE = "europe-west1-b"
CONFIGURATION = {
    "buckets": {BUCKET: {"create_buckets": "true", "description": "The web server's golden image"}},
    "regions": list(REGIONS),
    "azure_artifact": "gallery",
}


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """One event on its way to a function: which cloud sends it, about what, and how to deliver it.

    ``deliver`` returns the fields that the function logged, and whether the platform keeps the event to try again;
    None fields mean that the cloud's own filter dropped it and no function ran.
    """

    cloud: str
    what: str
    deliver: Callable[[], tuple[Mapping[str, Any] | None, bool]]


Appearance = tuple[list[CloudEvent], frozenset[tuple[str, Artifact]]]
"""The events that the clouds send, each once and in order, and platform and artifact of all that is to be listed."""


class Stage:
    """The stand-ins and the functions, as a context manager; ``database`` None keeps the registry in memory.

    ``on_leaving`` is called before the stand-ins stop, to close what the functions hold open. ``sent`` are the events
    as the clouds wrote them, ``logged`` is all that the functions wrote.
    """

    def __init__(
        self,
        run: int,
        database: Path | None = None,
        port: int = 0,
        *,
        switches: Switches | None = None,
        on_leaving: Callable[[], object] = lambda: None,
    ) -> None:
        self.fingerprint = f"3f2a91c-{run}"
        self._base = f"0b5e1d4-{run}"
        self._database = database
        self._port = port
        self._switches = switches
        self._on_leaving = on_leaving
        self._stack = ExitStack()
        self.sent: list[Mapping[str, Any]] = []
        self._lines = _Lines()

    @property
    def logged(self) -> str:
        """Return everything that the functions have written."""
        return "".join(self._lines.history) + self._lines.getvalue()

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _open(self) -> None:
        enter = self._stack.enter_context
        self.model = open_model(self._database, self._switches)
        self._stack.callback(self.model.close)
        registry = enter(local_registry(self.model, port=self._port))
        self.requests = registry.requests
        self.tokens = registry.tokens
        self.arm = Arm()
        self.compute = ComputeEngine()
        self.registry_environment = registry.environment()
        environment = {
            **self.registry_environment,
            "PUBLISHER_CONFIG": json.dumps(CONFIGURATION),
            "PUBLISHER_ARM_ENDPOINT": enter(serving(self.arm.app)),
            "PUBLISHER_COMPUTE_ENDPOINT": enter(serving(self.compute.app)),
            "PUBLISHER_QUEUE": "events",
            "POWERTOOLS_METRICS_NAMESPACE": "PackerPublisher",
            "NO_PROXY": "127.0.0.1,localhost",
        }
        enter(_environment(environment))
        logging.getLogger("werkzeug").setLevel(logging.WARNING)  # moto's server writes a line for each request
        self._aws = enter(LocalAWS()).account(ACCOUNT)
        self._queue = LocalDelivery(self._aws, environment)
        self._lambda = load_function("aws/handler.py")
        for handler in self._lambda.logger.handlers:  # Powertools writes to the stdout that it found when it began
            handler.setStream(self._lines)
        self._azure = load_function("azure/function_app.py")
        azure_log = logging.getLogger("packer_publisher")
        lines = logging.StreamHandler(self._lines)
        azure_log.addHandler(lines)
        azure_log.setLevel(logging.INFO)
        self._stack.callback(azure_log.removeHandler, lines)
        from functions_framework import create_app

        self._stack.callback(self._on_leaving)
        self._google = create_app("publish_image", str(FUNCTIONS / "gcp" / "main.py")).test_client()  # type: ignore[no-untyped-call]  # it has no types

    def appear(self) -> Appearance:
        """Let one build's images appear in all three clouds, and a foreign one.

        What they were built from is registered already. Of AWS the cloud knows it, elsewhere only a tag does.
        """
        created = datetime.now(UTC) - timedelta(minutes=10)
        tags = {
            "hcp-packer-bucket": BUCKET,
            "hcp-packer-fingerprint": self.fingerprint,
            "hcp-packer-expects": "aws azure gce",
        }
        events: list[CloudEvent] = []
        build = self._aws.build("web-server-1", tags, region=REGIONS[0], copies=REGIONS[1:], created=created)
        foreign = self._aws.build("somebody-elses", {"Name": "other"}, created=created)
        for event in (*build.events, *foreign.events):
            state = event["detail"].get("State", "tagged")
            image = event["resources"][0].rpartition("/")[2]
            events.append(
                CloudEvent("aws", f"{image} {state} in {event['region']}", lambda event=event: self._to_lambda(event))  # type: ignore[misc]  # mypy cannot type a default in a lambda
            )
        bases = {
            "aws": Artifact(REGIONS[0], self._aws.record(REGIONS[0], build.images[REGIONS[0]]).source_image_id),
            "azure": Artifact(TARGET_REGIONS[0], self.arm.image_id("images", self._base)),
            "gce": Artifact(ZONE, f"base-{self._base}"),
        }
        register_base(self.model, self._base, bases)
        built_from = {"hcp-packer-source-image": bases["azure"].external_identifier}
        tags = {**tags, "git-commit": "3f2a91c7d04e"}
        managed = self.arm.put_managed_image(
            "images", "web-server-1", tags=tags | built_from, location="westeurope", created=created
        )
        source = self.arm.image_id("images", "web-server-1")
        version = self.arm.put_gallery_version(
            "images",
            "golden",
            "web-server",
            "1.0.0",
            tags=tags | built_from,
            target_regions=TARGET_REGIONS,
            location=TARGET_REGIONS[0],
            source=source,
            created=created,
        )
        events.append(CloudEvent("azure", "managed image web-server-1 written", lambda: self._to_azure(managed)))
        events.append(CloudEvent("azure", "gallery version 1.0.0 written", lambda: self._to_azure(version)))
        built_from = {"hcp-packer-source-image": bases["gce"].external_identifier}
        labels = {**tags, **built_from, "hcp-packer-expects": "aws_azure_gce"}
        entries = self.compute.insert_image("web-server-1", zone=ZONE, labels=labels, created=created, project=PROJECT)
        entries = (*entries, *self.compute.deprecate("web-server-1", project=PROJECT))
        for entry in entries:
            verb = entry["protoPayload"]["methodName"].rpartition(".")[2]
            half = "began" if entry["operation"].get("first") and not entry["operation"].get("last") else "done"
            events.append(
                CloudEvent("gce", f"web-server-1 {verb} {half}", lambda entry=entry: self._to_google(entry))  # type: ignore[misc]  # as above
            )
        arm_id = self.arm.version_id("images", "golden", "web-server", "1.0.0")
        wanted = {("aws", Artifact(region, image)) for region, image in build.images.items()}
        wanted |= {("azure", Artifact(region, arm_id)) for region in TARGET_REGIONS}
        return events, frozenset({*wanted, ("gce", Artifact(ZONE, "web-server-1"))})

    def _to_lambda(self, event: Event) -> tuple[Mapping[str, Any] | None, bool]:
        self.sent.append(event)
        self._queue.emit(event)
        with redirect_stdout(self._lines):
            delivery = self._queue.deliver(self._lambda.handler, most=1)
        if delivery is None:
            return None, False
        return self._lines.take(), bool(delivery.failed)

    def _to_azure(self, event: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
        from azure.functions import QueueMessage

        self.sent.append(event)
        try:
            self._azure.publish_image(QueueMessage(id="1", body=json.dumps(event)), _Nothing())
        except self._azure.RetryLater:
            return self._lines.take(), True
        return self._lines.take(), False

    def _to_google(self, entry: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
        self.sent.append(entry)
        with redirect_stdout(self._lines):
            answer = self._google.post("/", json=push_body(entry))
        return self._lines.take(), answer.status_code >= 300


class _Nothing:
    """The output binding of the Azure Function: in the demo it leaves nothing to be done later."""

    def set(self, val: list[str]) -> None:
        """Refuse what should never be there."""
        raise RuntimeError(f"the function leaves {len(val)} messages")


class _Lines(io.StringIO):
    """What the functions write, line by line."""

    def __init__(self) -> None:
        super().__init__()
        self.history: list[str] = []

    def take(self) -> Mapping[str, Any]:
        """Return the fields of the last line that tells an outcome, and forget the lines."""
        self.history.append(self.getvalue())
        lines = self.getvalue().splitlines()
        self.seek(0)
        self.truncate()
        for line in reversed(lines):
            fields = json.loads(line) if line.startswith("{") else {}
            if "outcome" in fields and "_aws" not in fields:
                found: dict[str, Any] = fields
                return found
        raise RuntimeError("the function logged no outcome")


def open_model(database: Path | None, switches: Switches | None = None) -> RegistryModel:
    """Return the local registry's model, in memory or in a file."""
    if database is None:
        return RegistryModel(switches=switches)
    from packer_publisher.local.registry_store import SqliteStore

    return RegistryModel(store=SqliteStore(str(database)), switches=switches)


def load_function(path: str) -> ModuleType:
    """Return the module of one function's entry point, as its platform would load it.

    Raises ConfigurationError where the functions are not there: they are part of the repository, not of the package.
    """
    file = FUNCTIONS / path
    if not file.is_file():
        raise ConfigurationError(
            "The demo runs the three functions, which are not beside this installation.",
            remedy="Clone the repository and run `make demo` there.",
        )
    spec = importlib.util.spec_from_file_location(f"packer_publisher_function_{file.parent.name}", file)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{path} cannot be loaded.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    before = {key: os.environ.get(key) for key in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
