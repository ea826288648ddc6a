"""The demo's base image: a complete version of another bucket, as Packer itself would have registered it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from packer_publisher.image import Artifact
from packer_publisher.local.registry_model import Refusal, RegistryModel

BUCKET, CHANNEL = "base-image", "production"
COMPONENT_TYPES = {"aws": "amazon-ebs.base", "azure": "azure-arm.base", "gce": "googlecompute.base"}


def register_base(model: RegistryModel, fingerprint: str, artifacts: Mapping[str, Artifact]) -> None:
    """Register one image per platform as a complete version, an hour ago, and point the channel to it."""
    clock = model.clock
    model.clock = lambda: clock() - timedelta(hours=1)
    try:
        _register(model, fingerprint, artifacts)
    finally:
        model.clock = clock
    body = {"version_fingerprint": fingerprint, "update_mask": "versionFingerprint"}
    model.update_channel(BUCKET, CHANNEL, body)


def _register(model: RegistryModel, fingerprint: str, artifacts: Mapping[str, Artifact]) -> None:
    try:
        model.create_bucket({"name": BUCKET, "description": "What other images are built from"})
        model.create_channel(BUCKET, {"name": CHANNEL})
    except Refusal as refusal:  # a database that was kept has both
        if refusal.code != 6:
            raise
    model.create_version(BUCKET, {"fingerprint": fingerprint, "template_type": "HCL2"})
    builds = {
        platform: model.create_build(BUCKET, fingerprint, {"component_type": COMPONENT_TYPES[platform]})["build"]["id"]
        for platform in artifacts
    }
    for platform, artifact in artifacts.items():
        model.update_build(BUCKET, fingerprint, builds[platform], {"status": "BUILD_RUNNING"})
        body = {
            "status": "BUILD_DONE",
            "platform": platform,
            "artifacts": [{"external_identifier": artifact.external_identifier, "region": artifact.region}],
        }
        model.update_build(BUCKET, fingerprint, builds[platform], body)


def parents(model: RegistryModel, bucket: str, fingerprint: str) -> tuple[str, tuple[str, ...]]:
    """Return what HCP tells of a version's parent, in words, and the builds that do not record it."""
    try:
        relations = model.list_ancestry(bucket, "ANCESTRY_TYPE_PARENTS", fingerprint=fingerprint)["relations"]
    except Refusal:  # nobody has created it yet
        return "", ()
    words = [
        f"{parent['bucket_name']} {parent['version_name']} (channel {parent['channel_name'] or 'none'}), "
        f"{relation['status'].lower().replace('_', ' ')}"
        for relation in relations
        for parent in [relation["parent"]]
    ]
    record = model.find_version(bucket, fingerprint)
    builds = record.builds if record is not None else ()
    return "; ".join(words), tuple(b.component_type for b in builds if not b.parent_version_id)
