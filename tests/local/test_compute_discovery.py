"""The stand-in of Compute Engine answers as the discovery document says that google-api-python-client ships."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.compute_v1 import DeprecationStatus, GlobalSetLabelsRequest, Image, ImagesClient
from starlette.types import Message, Receive, Scope, Send

from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.server import serving
from tests.clouds.gcp_stand_in import LABELS, OLD, google_on, ref, soon

DISK = "projects/build-proj/zones/us-central1-a/disks/packer-6700"


@dataclass
class Exchange:
    """One request to the face with its answer."""

    method: str
    path: str
    query: dict[str, str]
    status: int = 0
    body: bytes = b""


@dataclass
class Recorder:
    """The face of the Compute Engine of the test that runs, and every exchange with it."""

    compute: ComputeEngine = field(default_factory=ComputeEngine)
    exchanges: list[Exchange] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope["method"], scope["path"], dict(parse_qsl(scope["query_string"].decode())))
        self.exchanges.append(exchange)

        async def noting(message: Message) -> None:
            exchange.status = message.get("status", exchange.status)
            exchange.body += message.get("body", b"")
            await send(message)

        await self.compute.app(scope, receive, noting)


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(scope="module")
def address(recorder: Recorder) -> Iterator[str]:
    with serving(recorder) as address:
        yield address


@pytest.fixture(scope="module")
def client(address: str) -> ImagesClient:
    """The real SDK, whose calls may write."""
    return ImagesClient(
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]  # of google-auth
        client_options={"api_endpoint": address},
    )


@pytest.fixture
def compute(recorder: Recorder) -> ComputeEngine:
    recorder.exchanges.clear()
    recorder.compute = ComputeEngine(now=lambda: OLD)
    return recorder.compute


@cache
def discovery() -> dict[str, Any]:
    """Return Google's own description of compute v1, as google-api-python-client ships it."""
    document = files("googleapiclient.discovery_cache.documents") / "compute.v1.json"
    read: dict[str, Any] = json.loads(document.read_text("utf-8"))
    return read


def method_of(exchange: Exchange) -> dict[str, Any]:
    """Return the described method that a request calls; fails where none has this path."""
    methods: dict[str, dict[str, Any]] = discovery()["resources"]["images"]["methods"]
    for method in methods.values():
        path = re.escape(f"/{discovery()['servicePath']}{method['path']}")
        for name, parameter in method["parameters"].items():
            path = path.replace(rf"\{{{name}\}}", f"(?:{parameter.get('pattern')})")
        if method["httpMethod"] == exchange.method and re.fullmatch(path, exchange.path):
            return method
    raise AssertionError(f"compute v1 has no {exchange.method} {exchange.path}")


def deviations(value: Any, schema: Mapping[str, Any], at: str = "$") -> list[str]:
    """Return where a value is not what a schema of the discovery document says; fields that it lacks count."""
    if "$ref" in schema:
        return deviations(value, discovery()["schemas"][schema["$ref"]], at)
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "number": float}
    if not isinstance(value, kinds[schema["type"]]) or isinstance(value, bool) is not (schema["type"] == "boolean"):
        return [f"{at} is no {schema['type']}"]
    if isinstance(value, dict):
        found = []
        for key, part in value.items():
            inner = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
            found += deviations(part, inner, f"{at}.{key}") if inner else [f"{at}.{key} is unknown"]
        return found
    if isinstance(value, list):
        return [text for n, part in enumerate(value) for text in deviations(part, schema["items"], f"{at}[{n}]")]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{at} is none of the words"]
    if "pattern" in schema and not re.fullmatch(schema["pattern"], str(value)):
        return [f"{at} does not match"]
    formats = {"int64": r"-?\d{1,19}", "uint64": r"\d{1,20}", "byte": r"[A-Za-z0-9+/_-]*=*"}
    form = formats.get(schema.get("format", ""))
    if isinstance(value, str) and form and not re.fullmatch(form, value):
        return [f"{at} is no {schema['format']}"]
    return []


def answers(recorder: Recorder) -> list[str]:
    """Return every deviation of the exchanges so far, and the methods that were called, as ``calls: ...``."""
    found, called = [], []
    for exchange in recorder.exchanges:
        method = method_of(exchange)
        called.append(method["id"].rpartition(".")[2])
        known = {*discovery()["parameters"], *method["parameters"]}
        found += [f"{key} is no parameter of {method['id']}" for key in exchange.query if key not in known]
        if exchange.status == 200:
            found += deviations(json.loads(exchange.body), method["response"])
    return [*found, f"calls: {' '.join(sorted(set(called)))}"]


def test_every_answer_is_as_the_discovery_document_says(
    recorder: Recorder, compute: ComputeEngine, client: ImagesClient, address: str
) -> None:
    """No unknown field, every type and format right, every path and parameter known, whoever asks."""
    compute.page_size = 2
    resource = Image(name="web-1", source_disk=DISK, labels=LABELS, family="web", architecture="ARM64", disk_size_gb=20)
    client.insert_unary(project="img-proj", image_resource=resource)
    client.deprecate_unary(project="img-proj", image="web-1", deprecation_status_resource=DeprecationStatus())
    status = DeprecationStatus(state="DEPRECATED", replacement=f"projects/img-proj/global/images/{'web-2'}")
    client.deprecate_unary(project="img-proj", image="web-1", deprecation_status_resource=status)
    compute.insert_image("web-2", rawDisk={"source": "https://storage.googleapis.com/b/o.tar.gz"}, pending=1)
    compute.insert_image("web-3", sourceImage="projects/p/global/images/i", licenses=["projects/p/global/licenses/l"])
    compute.insert_image("web-4", sourceSnapshot="projects/p/global/snapshots/s", status="FAILED")
    compute.insert_image("web-5", guestOsFeatures=[{"type": "UEFI_COMPATIBLE"}], description="Created by Packer")
    compute.delete("web-5", deleting=1)
    found = client.get(project="img-proj", image="web-1")
    labels = GlobalSetLabelsRequest(labels={"team": "a"}, label_fingerprint=found.label_fingerprint)
    client.set_labels_unary(project="img-proj", resource="web-1", global_set_labels_request_resource=labels)
    for name in ("web-1", "web-2", "web-2", "web-3", "web-4", "web-5", str(found.id)):
        client.get(project="img-proj", image=name)
    assert 4 == len(list(client.list(request={"project": "img-proj", "max_results": 3, "order_by": "name"})))
    with google_on(address) as google:
        google.describe(ref("web-3"), soon())
        assert [] == list(google.scan(OLD - timedelta(days=1), OLD + timedelta(days=1), soon(), ["img-proj"]))
    client.delete_unary(project="img-proj", image="web-1")
    assert ["calls: delete deprecate get insert list setLabels"] == answers(recorder)


@pytest.mark.parametrize(
    ("change", "deviation"),
    [
        ({"flavour": "x"}, "$.flavour is unknown"),
        ({"id": 7}, "$.id is no string"),
        ({"id": "x"}, "$.id is no uint64"),
        ({"diskSizeGb": "ten"}, "$.diskSizeGb is no int64"),
        ({"status": "DONE"}, "$.status is none of the words"),
        ({"name": "Web"}, "$.name does not match"),
        ({"labels": {"a": 1}}, "$.labels.a is no string"),
        ({"licenses": "l"}, "$.licenses is no array"),
        ({"deprecated": {"colour": "x"}}, "$.deprecated.colour is unknown"),
        ({"guestOsFeatures": [{"type": "X"}]}, "$.guestOsFeatures[0].type is none of the words"),
    ],
)
def test_the_check_finds_deviations(compute: ComputeEngine, change: dict[str, Any], deviation: str) -> None:
    """The comparison with the discovery document can fail, at every depth."""
    compute.insert_image("web-1", labels=LABELS)
    resource = compute.resource("web-1")
    assert [] == deviations(resource, {"$ref": "Image"})
    assert [deviation] == deviations({**resource, **change}, {"$ref": "Image"})
