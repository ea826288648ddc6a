"""What HashiCorp's Terraform provider asks: its data sources, and its resources from creation to deletion."""

from __future__ import annotations

from collections.abc import Mapping

from tests.local.replays import (
    AWS,
    AZURE,
    BASE,
    BUCKET,
    BUCKET_PATH,
    FINGERPRINT,
    ID,
    IMAGES,
    RESOURCES,
    SOME,
    TIME,
    UUID,
    VERSION_PATH,
    Replay,
    Row,
)

_PROVIDER = "provider internal/provider/provider.go Configure"
_CLIENT = "provider internal/clients/packerv2"
_DATA = "provider internal/provider/packer/datasources"
_SDK = "provider internal/providersdkv2"

CONFIGURE = Row(
    "GET",
    f"{RESOURCES}/projects/{{project}}",
    _PROVIDER,
    reads={"project.id": "{project}", "project.parent.id": "{organization}"},
)


def _version(place: str) -> Mapping[str, object]:
    """Return what hcp_packer_version puts into the state; it checks the id and the fingerprint for their form."""
    return {
        f"{place}.id": ID,
        f"{place}.name": "v1",
        f"{place}.bucket_name": BUCKET,
        f"{place}.fingerprint": FINGERPRINT,
        f"{place}.author_id": SOME,
        f"{place}.created_at": TIME,
        f"{place}.updated_at": TIME,
        f"{place}.revoke_at": None,
    }


def _artifact(place: str, source: str, region: str) -> Mapping[str, object]:
    """Return what hcp_packer_artifact puts into the state: it fails where the run is no UUID, or an id no ULID."""
    platform, artifacts = IMAGES[source]
    [image] = [image for image, where in artifacts if where == region]
    build = f"{place}.builds[platform={platform}]"
    return {
        f"{place}.bucket_name": BUCKET,
        f"{place}.fingerprint": FINGERPRINT,
        f"{place}.revoke_at": None,
        f"{build}.id": ID,
        f"{build}.component_type": source,
        f"{build}.packer_run_uuid": UUID,
        f"{build}.artifacts[region={region}].id": ID,
        f"{build}.artifacts[region={region}].external_identifier": image,
        f"{build}.artifacts[region={region}].created_at": TIME,
    }


_LATEST = f"{BUCKET_PATH}/channels/latest"
_CHANNELS = f"{BUCKET_PATH}/channels"

VERSION = Replay(
    "data hcp_packer_version",
    (CONFIGURE, Row("GET", _LATEST, f"{_DATA}/version/data_source.go", reads=_version("channel.version"))),
)
ARTIFACT = Replay(
    "data hcp_packer_artifact by channel, for each image",
    (
        CONFIGURE,
        *(
            Row("GET", _LATEST, f"{_DATA}/artifact/data_source.go", reads=_artifact("channel.version", source, region))
            for source in (AWS, AZURE)
            for _, region in IMAGES[source][1]
        ),
    ),
)
ARTIFACT_BY_FINGERPRINT = Replay(
    "data hcp_packer_artifact by fingerprint",
    (
        CONFIGURE,
        Row("GET", VERSION_PATH, f"{_DATA}/artifact/data_source.go", reads=_artifact("version", AZURE, "westeurope")),
    ),
)
BUCKET_NAMES = Replay(
    "data hcp_packer_bucket_names, whose pages end with an empty token",
    (
        CONFIGURE,
        Row(
            "GET",
            f"{BASE}/buckets?sorting.order_by=name",
            f"{_CLIENT}/bucket.go ListBuckets",
            reads={"buckets.0.name": BUCKET, "pagination.next_page_token": ""},
        ),
    ),
)
BUCKET_NAMES_BY_PAGES = Replay(
    "data hcp_packer_bucket_names where a page holds one",
    (
        Row("PUT", f"{BASE}/buckets", f"{_CLIENT}/bucket.go CreateBucket", {"name": "another"}),
        Row(
            "GET",
            f"{BASE}/buckets?sorting.order_by=name",
            f"{_CLIENT}/bucket.go ListBuckets",
            reads={"buckets.0.name": "another", "pagination.next_page_token": SOME},
            keeps={"next": "pagination.next_page_token"},
        ),
        Row(
            "GET",
            f"{BASE}/buckets?sorting.order_by=name&pagination.next_page_token={{next}}",
            f"{_CLIENT}/bucket.go ListBuckets",
            reads={"buckets.0.name": BUCKET, "pagination.next_page_token": ""},
        ),
    ),
)
DATA_SOURCES = (VERSION, ARTIFACT, ARTIFACT_BY_FINGERPRINT, BUCKET_NAMES)

NOTHING_THERE = Replay(
    "data sources of what is not there, whose messages Terraform shows",
    (
        Row(
            "GET",
            f"{_CHANNELS}/production",
            f"{_CLIENT}/channel.go GetChannelByName",
            answer=(404, 5),
            reads={"message": "Error: The channel with identifier production does not exist."},
        ),
        Row(
            "GET",
            f"{BUCKET_PATH}/versions/nowhere",
            f"{_CLIENT}/version.go GetVersionByFingerprint",
            answer=(409, 10),
            reads={"message": "Version with fingerprint nowhere not found"},
        ),
    ),
)


def _state(place: str, restricted: bool, managed: bool = False) -> Mapping[str, object]:
    """Return what hcp_packer_channel puts into the state."""
    return {
        f"{place}.id": ID,
        f"{place}.author_id": SOME,
        f"{place}.created_at": TIME,
        f"{place}.updated_at": TIME,
        f"{place}.restricted": restricted,
        f"{place}.managed": managed,
    }


_CHANNEL = f"{_SDK}/resource_packer_channel.go"
_LISTED = "channels[name=production]"

CHANNEL = Replay(
    "resource hcp_packer_channel: create, read, update, delete",
    (
        CONFIGURE,
        # Go leaves false out.
        Row("POST", _CHANNELS, _CHANNEL, {"name": "production"}, reads=_state("channel", restricted=False)),
        Row("GET", _CHANNELS, _CHANNEL, reads=_state(_LISTED, restricted=False)),
        Row(
            "PATCH",
            f"{_CHANNELS}/production",
            _CHANNEL,
            {"restricted": True, "update_mask": "restricted"},
            reads=_state("channel", restricted=True),
        ),
        Row("GET", _CHANNELS, _CHANNEL, reads=_state(_LISTED, restricted=True)),
        Row(
            "PATCH",
            f"{_CHANNELS}/production",
            _CHANNEL,
            {"update_mask": "restricted"},
            reads={"channel.restricted": False},
        ),
        Row("DELETE", f"{_CHANNELS}/production", f"{_CLIENT}/channel.go DeletePackerChannel"),
        Row("DELETE", f"{_CHANNELS}/production", f"{_CLIENT}/channel.go DeletePackerChannel", answer=(404, 5)),
    ),
)
MANAGED_CHANNEL = Replay(
    "resource hcp_packer_channel for latest, which is there: it is adopted, and its restriction set",
    (
        Row("POST", _CHANNELS, _CHANNEL, {"name": "latest"}, answer=(409, 6)),
        Row("GET", _CHANNELS, _CHANNEL, reads=_state("channels[name=latest]", restricted=True, managed=True)),
        Row(
            "PATCH",
            _LATEST,
            _CHANNEL,
            {"update_mask": "restricted"},
            reads=_state("channel", restricted=False, managed=True),
        ),
    ),
)

_ASSIGNMENT = f"{_SDK}/resource_packer_channel_assignment.go"
_ASSIGN = {"version_fingerprint": FINGERPRINT, "update_mask": "versionFingerprint"}

CHANNEL_ASSIGNMENT = Replay(
    "resource hcp_packer_channel_assignment: create where nothing is assigned, read, update, delete",
    (
        Row("POST", _CHANNELS, _CHANNEL, {"name": "production", "restricted": True}),
        Row(
            "GET",
            _CHANNELS,
            _ASSIGNMENT,
            reads={f"{_LISTED}.name": "production", f"{_LISTED}.managed": False, f"{_LISTED}.version": None},
        ),
        Row(
            "PATCH",
            f"{_CHANNELS}/production",
            _ASSIGNMENT,
            _ASSIGN,
            reads={"channel.id": ID, "channel.version.fingerprint": FINGERPRINT},
        ),
        Row("GET", _CHANNELS, _ASSIGNMENT, reads={f"{_LISTED}.version.fingerprint": FINGERPRINT}),
        Row(
            "PATCH",
            f"{_CHANNELS}/production",
            _ASSIGNMENT,
            {**_ASSIGN, "version_fingerprint": "nowhere"},
            answer=(404, 5),
            reads={"message": "version with fingerprint (fingerprint: nowhere) does not exist."},
        ),
        # An empty fingerprint is left out: under the mask that unassigns.
        Row(
            "PATCH",
            f"{_CHANNELS}/production",
            _ASSIGNMENT,
            {"update_mask": "versionFingerprint"},
            reads={"channel.version": None},
        ),
        Row("GET", _CHANNELS, _ASSIGNMENT, reads={f"{_LISTED}.version": None}),
    ),
)

_RESOURCE = "provider internal/provider/packer/resources/bucket/resource_packer_bucket.go"
_STATE = {
    "bucket.name": "terraforms",
    "bucket.resource_name": "packer/project/{project}/bucket/terraforms",
    "bucket.created_at": TIME,
    "bucket.location.project_id": "{project}",
    "bucket.location.organization_id": "{organization}",
}

BUCKET_RESOURCE = Replay(
    "resource hcp_packer_bucket: create, read, delete, and read what somebody else has deleted",
    (
        CONFIGURE,
        Row("PUT", f"{BASE}/buckets", f"{_CLIENT}/bucket.go CreateBucket", {"name": "terraforms"}, reads=_STATE),
        Row("GET", f"{BASE}/buckets/terraforms", _RESOURCE, reads=_STATE),
        Row("DELETE", f"{BASE}/buckets/terraforms", _RESOURCE),
        Row("GET", f"{BASE}/buckets/terraforms", _RESOURCE, answer=(404, 5)),
        Row("DELETE", f"{BASE}/buckets/terraforms", _RESOURCE, answer=(404, 5)),
    ),
)
RESOURCE_REPLAYS = (CHANNEL, MANAGED_CHANNEL, CHANNEL_ASSIGNMENT, BUCKET_RESOURCE)

_HELPER = "provider internal/provider/packer/testutils/testclient"
_OTHER_VERSION = f"{BUCKET_PATH}/versions/1"

TEST_CLIENT = Replay(
    "the helpers of the provider's own tests: a build RUNNING with its platform at once, another run's update, revoked",
    (
        Row("POST", f"{BUCKET_PATH}/versions", f"{_HELPER}/version.go", {"fingerprint": "1"}),
        Row(
            "POST",
            f"{_OTHER_VERSION}/builds",
            f"{_HELPER}/build.go",
            {
                "component_type": "amazon-ebs.example",
                "labels": {"a": "b"},
                "packer_run_uuid": "6f3c1d9e-0000-4000-8000-000000000003",
                "platform": "aws",
                "status": "BUILD_RUNNING",
            },
            keeps={"build": "build.id"},
        ),
        Row(
            "PATCH",
            f"{_OTHER_VERSION}/builds/{{build}}",
            f"{_HELPER}/build.go",
            {
                "artifacts": [{"external_identifier": "ami-42", "region": "us-east-1"}, {"region": "us-east-2"}],
                "labels": {"a": "b"},
                "packer_run_uuid": "6f3c1d9e-0000-4000-8000-000000000004",
                "status": "BUILD_DONE",
            },
        ),
        Row(
            "GET",
            _OTHER_VERSION,
            f"{_HELPER}/version.go",
            reads={"version.name": "v2", "version.builds.0.labels": {"a": "b"}},
        ),
        Row(
            "PATCH",
            _OTHER_VERSION,
            f"{_HELPER}/version.go",
            {"revoke_in": "0s", "revoke_at": "0001-01-01T00:00:00.000Z"},
            reads={"version.status": "VERSION_REVOKED"},
            keeps={"operation": "operation.id"},
        ),
        Row(
            "GET",
            "/operation/2020-05-05/organizations/{organization}/projects/{project}/operations/{operation}/wait?timeout=5s",
            f"{_HELPER}/operation.go",
            reads={"operation.state": "DONE"},
        ),
        Row("DELETE", _OTHER_VERSION, f"{_HELPER}/version.go"),
    ),
)
