"""What a bucket of the local registry holds, without what may differ between two runs: ids and times."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_refusals import Refusal
from tests.switches import fresh

Contents = dict[str, Any]


def contents(model: RegistryModel, bucket: str) -> Contents:
    """Return the bucket, its versions and their builds; artifacts as the list they are, so that doubles show."""
    model = fresh(model)
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
    parents = _parents(model, bucket, fingerprint)
    return {
        "fingerprint": version["fingerprint"],
        "name": version["name"],
        "template_type": version["template_type"],
        "revoked": version["revocation_message"] if version["status"] == "VERSION_REVOKED" else None,
        "builds": sorted((_build(build, bucket, parents) for build in version["builds"]), key=str),
    }


def _parents(model: RegistryModel, bucket: str, fingerprint: str) -> dict[str, tuple[str, str]]:
    """Return the fingerprint and the channel of each build's parent, which no answer of the API shows."""
    record = model.find_version(bucket, fingerprint)
    found = {}
    for build in record.builds if record is not None else ():
        parent = model.version_by_id(build.parent_version_id)
        if parent is not None:
            channels = model.list_channels(parent.bucket)["channels"]
            named = [channel["name"] for channel in channels if channel["id"] == build.parent_channel_id]
            found[build.component_type] = (parent.fingerprint, *named)
    return {name: (fingerprint, *channel, "")[:2] for name, (fingerprint, *channel) in found.items()}


def without_parents(found: Contents, component_type: str, *, channel_only: bool = False) -> Contents:
    """Return contents in which a build has no parent, or none of its channels."""
    changed = deepcopy(found)
    for version in changed["versions"]:
        for build in version["builds"]:
            if build["component_type"] == component_type:
                build["parent"] = (build["parent"][0], "") if channel_only else ("", "")
    return changed


def _build(build: dict[str, Any], bucket: str, parents: dict[str, tuple[str, str]]) -> Contents:
    return {
        "component_type": build["component_type"],
        "status": build["status"],
        "platform": build["platform"],
        "labels": build["labels"],
        "source": build["source_external_identifier"].replace(bucket, "BUCKET"),
        "parent": parents.get(build["component_type"], ("", "")),
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
