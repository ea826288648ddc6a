"""The operations of the API: name, method, path, and what answers them.

Names and paths are those of the published description (hashicorp/web-unified-docs, cloud-packer-service
2023-01-01); an operation that nobody needs here answers 501 with code 12, so that a wrong call is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from packer_publisher.local.registry_bodies import truth
from packer_publisher.local.registry_documents import Document
from packer_publisher.local.registry_fields import BODIES, QUERIES, Fields
from packer_publisher.local.registry_ledger import BASE
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_pages import PageRequest
from packer_publisher.local.registry_refusals import unimplemented


@dataclass(frozen=True, slots=True)
class Call:
    """One request, taken apart: parts of the path, the known fields of query and body, the page that was asked for."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any]
    page: PageRequest

    @property
    def bucket(self) -> str:
        """Return the bucket of the path."""
        return self.path["bucket"]

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the path."""
        return self.path["fingerprint"]

    @property
    def build(self) -> str:
        """Return the build's id of the path."""
        return self.path["build"]

    @property
    def channel(self) -> str:
        """Return the channel of the path."""
        return self.path["channel"]


Handler = Callable[[RegistryModel, Call], Document]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the API; without a handler it is answered 501/12."""

    operation: str
    method: str
    path: str
    handler: Handler

    answered: bool = True

    @property
    def body(self) -> Fields:
        """Return the fields of its JSON body, none where it has no body."""
        return BODIES.get(self.operation, {})

    @property
    def query(self) -> Fields:
        """Return the fields of its query."""
        return QUERIES.get(self.operation, {})


def _absent(operation: str) -> Handler:
    def refuse(_model: RegistryModel, _call: Call) -> Document:
        raise unimplemented(operation)

    return refuse


TENANT = BASE + "/organizations/{organization}/projects/{project}"
_BUCKET = TENANT + "/buckets/{bucket}"
_CHANNEL = _BUCKET + "/channels/{channel}"
_VERSION = _BUCKET + "/versions/{fingerprint}"
_BUILD = _VERSION + "/builds/{build}"
_BLOCKS = TENANT + "/enforced_blocks"
_RESOURCES = "/resource-manager/2019-12-10"
_OPERATION = "/operation/2020-05-05/organizations/{organization}/projects/{project}/operations/{operation}"


def _ancestry(model: RegistryModel, call: Call) -> Document:
    return model.list_ancestry(
        call.bucket,
        call.query.get("type", ""),
        call.query.get("channel_name", ""),
        call.query.get("version_fingerprint", ""),
        call.page,
    )


def _delete_version(model: RegistryModel, call: Call) -> Document:
    rollback = truth(call.query, "rollback_channels")
    return model.delete_version(call.bucket, call.fingerprint, rollback_channels=rollback)


def _projects(model: RegistryModel, call: Call) -> Document:
    return model.list_projects(call.query.get("scope.id", ""), call.query.get("scope.type", ""), call.page)


_ANSWERED: tuple[tuple[str, str, str, Handler], ...] = (
    ("SearchExternalArtifact", "POST", f"{TENANT}/_search/external_artifact",
     lambda m, c: m.search_external_artifact(c.body, c.page)),
    ("ListBuckets", "GET", f"{TENANT}/buckets", lambda m, c: m.list_buckets(c.page)),
    ("CreateBucket", "PUT", f"{TENANT}/buckets", lambda m, c: m.create_bucket(c.body)),
    ("DeleteBucket", "DELETE", _BUCKET, lambda m, c: m.delete_bucket(c.bucket)),
    ("GetBucket", "GET", _BUCKET, lambda m, c: m.get_bucket(c.bucket)),
    ("UpdateBucket", "PATCH", _BUCKET, lambda m, c: m.update_bucket(c.bucket, c.body)),
    ("ListBucketAncestry", "GET", f"{_BUCKET}/ancestry", _ancestry),
    ("ListChannels", "GET", f"{_BUCKET}/channels", lambda m, c: m.list_channels(c.bucket)),
    ("CreateChannel", "POST", f"{_BUCKET}/channels", lambda m, c: m.create_channel(c.bucket, c.body)),
    ("AssignChannelVersion", "POST", f"{_BUCKET}/channels/assign",
     lambda m, c: m.assign_channel_version(c.bucket, c.body)),
    ("DeleteChannel", "DELETE", _CHANNEL, lambda m, c: m.delete_channel(c.bucket, c.channel)),
    ("GetChannel", "GET", _CHANNEL, lambda m, c: m.get_channel(c.bucket, c.channel)),
    ("UpdateChannel", "PATCH", _CHANNEL, lambda m, c: m.update_channel(c.bucket, c.channel, c.body)),
    ("ListChannelAssignmentHistory", "GET", f"{_CHANNEL}/history",
     lambda m, c: m.list_channel_history(c.bucket, c.channel, c.page)),
    ("ListVersions", "GET", f"{_BUCKET}/versions", lambda m, c: m.list_versions(c.bucket, c.page)),
    ("CreateVersion", "POST", f"{_BUCKET}/versions", lambda m, c: m.create_version(c.bucket, c.body)),
    ("DeleteVersion", "DELETE", _VERSION, _delete_version),
    ("GetVersion", "GET", _VERSION, lambda m, c: m.get_version(c.bucket, c.fingerprint)),
    ("UpdateVersion", "PATCH", _VERSION, lambda m, c: m.update_version(c.bucket, c.fingerprint, c.body)),
    ("ListBuilds", "GET", f"{_VERSION}/builds", lambda m, c: m.list_builds(c.bucket, c.fingerprint, c.page)),
    ("CreateBuild", "POST", f"{_VERSION}/builds", lambda m, c: m.create_build(c.bucket, c.fingerprint, c.body)),
    ("DeleteBuild", "DELETE", _BUILD, lambda m, c: m.delete_build(c.bucket, c.fingerprint, c.build)),
    ("GetBuild", "GET", _BUILD, lambda m, c: m.get_build(c.bucket, c.fingerprint, c.build)),
    ("UpdateBuild", "PATCH", _BUILD, lambda m, c: m.update_build(c.bucket, c.fingerprint, c.build, c.body)),
    ("ListSboms", "GET", f"{_BUILD}/sboms", lambda m, c: m.list_sboms(c.bucket, c.fingerprint, c.build)),
    ("UploadSbom", "PUT", f"{_BUILD}/sboms", lambda m, c: m.upload_sbom(c.bucket, c.fingerprint, c.build, c.body)),
    ("GetEnforcedBlocksByBucket", "GET", f"{_BLOCKS}/bucket/{{bucket}}",
     lambda m, c: m.get_enforced_blocks_by_bucket(c.bucket)),
    ("DeleteRegistry", "DELETE", f"{TENANT}/registry", lambda m, _: m.delete_registry()),
    ("GetRegistry", "GET", f"{TENANT}/registry", lambda m, _: m.get_registry()),
    ("UpdateRegistry", "PATCH", f"{TENANT}/registry", lambda m, c: m.update_registry(c.body)),
    ("CreateRegistry", "PUT", f"{TENANT}/registry", lambda m, c: m.create_registry(c.body)),
    ("ListOrganizations", "GET", f"{_RESOURCES}/organizations", lambda m, c: m.list_organizations(c.page)),
    ("GetOrganization", "GET", f"{_RESOURCES}/organizations/{{id}}",
     lambda m, c: m.get_organization(c.path["id"])),
    ("ListProjects", "GET", f"{_RESOURCES}/projects", _projects),
    ("GetProject", "GET", f"{_RESOURCES}/projects/{{id}}", lambda m, c: m.get_project(c.path["id"])),
    ("GetOperation", "GET", _OPERATION, lambda m, c: m.get_operation(c.path["operation"])),
    ("WaitOperation", "GET", f"{_OPERATION}/wait", lambda m, c: m.get_operation(c.path["operation"])),
)  # fmt: skip

_ABSENT: tuple[tuple[str, str, str], ...] = (
    ("ListBucketPackages", "GET", f"{_BUCKET}/packages"),
    ("ListBucketPackagesVulnerabilitySummary", "GET", f"{_BUCKET}/packages/vulnerability-summary"),
    ("ListBucketPackagesWithVulnerabilities", "GET", f"{_BUCKET}/packages/with-vulnerabilities"),
    ("ListBuildPackages", "GET", f"{_BUILD}/packages"),
    ("GetSbom", "GET", f"{_BUILD}/sboms/{{sbom}}"),
    ("ListBucketVulnerabilities", "GET", f"{_BUCKET}/vulnerabilities"),
    ("ListEnforcedBlocks", "GET", _BLOCKS),
    ("CreateEnforcedBlock", "PUT", _BLOCKS),
    ("DeleteEnforcedBlock", "DELETE", f"{_BLOCKS}/{{block}}"),
    ("GetEnforcedBlock", "GET", f"{_BLOCKS}/{{block}}"),
    ("UpdateEnforcedBlock", "PATCH", f"{_BLOCKS}/{{block}}"),
    ("GetEnforcedBlockVersions", "GET", f"{_BLOCKS}/{{block}}/versions"),
    ("CreateEnforcedBlockVersion", "PUT", f"{_BLOCKS}/{{block}}/versions"),
    ("DeleteEnforcedBlockVersion", "DELETE", f"{_BLOCKS}/{{block}}/versions/{{version}}"),
    ("UpdateEnforcedBlockVersion", "PATCH", f"{_BLOCKS}/{{block}}/versions/{{version}}"),
    ("GetEnforcedBlockLinkedBuckets", "GET", f"{_BLOCKS}/{{block}}/versions/{{version}}/buckets"),
    ("ManageEnforcedBlockLinkedBuckets", "POST", f"{_BLOCKS}/{{block}}/versions/{{version}}/buckets"),
    ("GetRunTaskConfig", "GET", f"{TENANT}/runtasks/config"),
    ("UpdateRunTaskConfig", "PATCH", f"{TENANT}/runtasks/config"),
    ("RegenerateTFCRunTaskHmacKey", "PATCH", f"{TENANT}/runtasks/hmac"),
    ("GetRegistryTFCRunTaskAPI", "GET", f"{TENANT}/runtasks/{{task_type}}"),
)

ROUTES: tuple[Route, ...] = (
    *(Route(*entry) for entry in _ANSWERED),
    *(Route(operation, method, path, _absent(operation), answered=False) for operation, method, path in _ABSENT),
)
