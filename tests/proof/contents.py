"""What a bucket of the local registry holds, without what may differ between two runs: ids and times."""

from __future__ import annotations

from typing import Any

from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_refusals import Refusal

Contents = dict[str, Any]


def contents(model: RegistryModel, bucket: str) -> Contents:
    """Return the bucket, its versions and their builds; artifacts as the list they are, so that doubles show."""
    try:
        document = model.get_bucket(bucket)["bucket"]
    except Refusal:
        return {}
    versions = model.list_versions(bucket)["versions"]
    return {
        "description": document["description"],
        "labels": document["labels"],
        "channels": sorted(
            (channel["name"], (channel["version"] or {}).get("fingerprint", ""))
            for channel in model.list_channels(bucket)["channels"]
        ),
        "versions": sorted((_version(model, bucket, entry["fingerprint"]) for entry in versions), key=str),
    }


def _version(model: RegistryModel, bucket: str, fingerprint: str) -> Contents:
    version = model.get_version(bucket, fingerprint)["version"]
    return {
        "fingerprint": version["fingerprint"],
        "name": version["name"],
        "template_type": version["template_type"],
        "builds": sorted((_build(build) for build in version["builds"]), key=str),
    }


def _build(build: dict[str, Any]) -> Contents:
    return {
        "component_type": build["component_type"],
        "status": build["status"],
        "platform": build["platform"],
        "labels": build["labels"],
        "source": build["source_external_identifier"],
        "artifacts": sorted((entry["region"], entry["external_identifier"]) for entry in build["artifacts"]),
    }


def doubles(found: Contents) -> list[str]:
    """Return what stands there twice: builds of one component type, artifacts of one build."""
    return [
        f"{version['fingerprint']}: {what}"
        for version in found.get("versions", ())
        for what in [
            *_repeated(build["component_type"].casefold() for build in version["builds"]),
            *(twice for build in version["builds"] for twice in _repeated(map(str, build["artifacts"]))),
        ]
    ]


def _repeated(names: Any) -> list[str]:
    listed = list(names)
    return sorted({name for name in listed if listed.count(name) > 1})
