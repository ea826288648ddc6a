"""botocore's descriptions of AWS, cut down to the calls that the Lambda makes.

They are 28 of its 30 MB, and reading EC2's alone takes a third of a cold start: it is 550 KB of compressed JSON for 700
operations, of which three are called.
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.package.refusal import Refused

OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "ec2": ("DescribeImages", "DescribeRegions", "GetImageAncestry"),
    "sqs": ("ChangeMessageVisibilityBatch", "SendMessageBatch"),
    "sts": ("GetCallerIdentity",),
    "secretsmanager": ("GetSecretValue",),
    "ssm": ("GetParameter",),
}
"""What the Lambda may call, by service: no other operation exists in its archive."""

GENERAL = ("partitions.json", "sdk-default-configuration.json", "_retry.json")


def trim(site: Path) -> None:
    """Cut down the data of the botocore and boto3 that are installed in a folder.

    Raises Refused where botocore does not know an operation, or has its data in another shape.
    """
    data = site / "botocore" / "data"
    kept = site / "botocore" / "kept-data"
    kept.mkdir()
    for name in GENERAL:
        shutil.copyfile(data / name, kept / name)
    _write(kept / "endpoints.json", _endpoints(_read(data, "endpoints.json")))
    for service, operations in OPERATIONS.items():
        version = max(path.name for path in (data / service).iterdir())
        source, target = data / service / version, kept / service / version
        target.mkdir(parents=True)
        _write(target / "service-2.json", cut_model(_read(source, "service-2.json"), operations))
        _write(target / "endpoint-rule-set-1.json", _read(source, "endpoint-rule-set-1.json"))
        pages = _read(source, "paginators-1.json")["pagination"]
        _write(
            target / "paginators-1.json", {"pagination": {name: pages[name] for name in operations if name in pages}}
        )
    shutil.rmtree(data)
    kept.rename(data)
    for resources in ("data", "examples"):  # of boto3's resource objects, which are not used
        shutil.rmtree(site / "boto3" / resources)


def cut_model(model: Mapping[str, Any], operations: Iterable[str]) -> dict[str, Any]:
    """Return a service's model with these operations, the shapes that they need, and no documentation."""
    missing = [name for name in operations if name not in model["operations"]]
    if missing:
        raise Refused(f"botocore does not know {', '.join(missing)} of {model['metadata']['serviceId']}")
    chosen = {name: _plain(model["operations"][name]) for name in operations}
    shapes = model["shapes"]
    needed: set[str] = set()
    waiting = list(_named(chosen))
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += _named(shapes[name])
    rest = {key: value for key, value in model.items() if key not in ("operations", "shapes", "documentation")}
    return {**rest, "operations": chosen, "shapes": {name: _plain(shapes[name]) for name in sorted(needed)}}


def _named(value: Any) -> Iterator[str]:
    """Yield the names of shapes in a part of a model."""
    if isinstance(value, dict):
        if isinstance(value.get("shape"), str):
            yield value["shape"]
        for inner in value.values():
            yield from _named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named(inner)


def _plain(value: Any) -> Any:
    """Return a part of a model without the documentation, which is a text; a member may have that name, too."""
    if isinstance(value, dict):
        return {
            key: _plain(inner)
            for key, inner in value.items()
            if not (key in ("documentation", "documentationUrl") and isinstance(inner, str))
        }
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _endpoints(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the addresses of the services that are called, in every partition."""
    return {
        **document,
        "partitions": [
            {
                **partition,
                "services": {name: entry for name, entry in partition["services"].items() if name in OPERATIONS},
            }
            for partition in document["partitions"]
        ],
    }


def _read(folder: Path, name: str) -> Any:
    plain = folder / name
    if plain.is_file():
        return json.loads(plain.read_bytes())
    packed = folder / f"{name}.gz"
    if packed.is_file():
        return json.loads(gzip.decompress(packed.read_bytes()))
    raise Refused(f"botocore has no {name} in {folder.name}; its data has another shape than packaging knows")


def _write(path: Path, document: Any) -> None:
    """Write JSON as it is read fastest: on one line, not compressed, which the archive does."""
    path.write_text(json.dumps(document, separators=(",", ":"), sort_keys=True), "utf-8")
