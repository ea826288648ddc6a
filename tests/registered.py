"""Images that the registry knows already: a version of another bucket, as a run of Packer registers it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from packer_publisher.image import Artifact
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_refusals import Refusal
from tests.switches import catch_up, let_lags_pass

COMPONENT_TYPES = {"aws": "amazon-ebs.base", "azure": "azure-arm.base", "gce": "googlecompute.base"}


def register(
    model: RegistryModel,
    platform: str,
    *artifacts: Artifact,
    bucket: str = "base",
    fingerprint: str = "base-1",
    channels: Iterable[str] = (),
    labels: Mapping[str, str] | None = None,
    complete: bool = True,
    just_now: bool = False,
) -> str:
    """Register a build with these artifacts and return the id of its version.

    The bucket and its channels are created where they are missing, and point to the version. It has been there for a
    while, so that nothing lags behind it, unless it comes ``just_now``.
    """
    _unless_there(model.create_bucket, {"name": bucket})
    version_id: str = model.create_version(bucket, {"fingerprint": fingerprint})["version"]["id"]
    body: dict[str, Any] = {"component_type": COMPONENT_TYPES[platform], "packer_run_uuid": "6f3c"}
    build = model.create_build(bucket, fingerprint, body)["build"]
    model.update_build(bucket, fingerprint, build["id"], {"status": "BUILD_RUNNING"})
    body = {
        "status": "BUILD_DONE" if complete else "BUILD_RUNNING",
        "platform": platform,
        "labels": dict(labels or {}),
        "artifacts": [{"external_identifier": a.external_identifier, "region": a.region} for a in artifacts],
    }
    model.update_build(bucket, fingerprint, build["id"], body)
    if not just_now:
        let_lags_pass(model)
        catch_up(model, bucket, fingerprint)
    for channel in channels:
        _unless_there(model.create_channel, bucket, {"name": channel})
        point(model, channel, fingerprint, bucket)
    return version_id


def point(model: RegistryModel, channel: str, fingerprint: str, bucket: str = "base") -> None:
    """Point a channel to a version."""
    model.update_channel(bucket, channel, {"version_fingerprint": fingerprint, "update_mask": "versionFingerprint"})


def parents_of(model: RegistryModel, bucket: str, fingerprint: str) -> list[tuple[str, str, str]]:
    """Return what ListBucketAncestry tells of a version: the parent's name, its channel, and whether it is new."""
    relations = model.list_ancestry(bucket, "ANCESTRY_TYPE_PARENTS", fingerprint=fingerprint)["relations"]
    return [
        (f"{r['parent']['bucket_name']} {r['parent']['version_name']}", r["parent"]["channel_name"], r["status"])
        for r in relations
    ]


def _unless_there(create: Any, *arguments: Any) -> None:
    try:
        create(*arguments)
    except Refusal as refusal:
        if refusal.code != 6:
            raise
