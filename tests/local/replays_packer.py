"""What a stock ``packer build`` with an ``hcp_packer_registry`` block sends, from a fresh bucket to its bad days."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.local.replays import (
    AWS,
    AZURE,
    BASE,
    BUCKET,
    BUCKET_PATH,
    FINGERPRINT,
    ID,
    IMAGES,
    OK,
    RESOURCES,
    SOME,
    TIME,
    UUID,
    VERSION_PATH,
    Document,
    Replay,
    Row,
)

RUN, NEXT_RUN = "6f3c1d9e-0000-4000-8000-000000000001", "6f3c1d9e-0000-4000-8000-000000000002"

_BUCKET = "packer internal/hcp/api/service_bucket.go"
_VERSION = "packer internal/hcp/registry/types.bucket.go initializeVersion"
_BUILDS = "packer internal/hcp/registry/types.bucket.go populateVersion"
_STATUS = "packer internal/hcp/registry/types.bucket.go UpdateBuildStatus"
NO_BUCKET = Row("GET", BUCKET_PATH, _BUCKET, answer=(404, 5))
PUT_BUCKET = Row("PUT", f"{BASE}/buckets", _BUCKET, {"name": BUCKET})
NO_VERSION = Row("GET", VERSION_PATH, _VERSION, answer=(409, 10))
POST_VERSION = Row(
    "POST",
    f"{BUCKET_PATH}/versions",
    _VERSION,
    {"fingerprint": FINGERPRINT, "template_type": "HCL2"},
    reads={"version.id": ID, "version.name": "v0", "version.template_type": "HCL2", "version.status": SOME},
)
NO_BUILDS = Row("GET", f"{VERSION_PATH}/builds", _BUILDS, reads={"builds": []})
NO_BLOCKS = Row(
    "GET",
    f"{BASE}/enforced_blocks/bucket/{BUCKET}",
    "packer internal/hcp/registry/types.bucket.go FetchEnforcedBlocks",
    reads={"enforced_block_detail": []},
)


def same_bucket(description: str = "") -> Row:
    """Return the look at a bucket that is there and needs no update."""
    return Row("GET", BUCKET_PATH, _BUCKET, reads={"bucket.description": description, "bucket.labels": {}})


def same_version(name: str = "v0", template_type: str = "HCL2") -> Row:
    """Return the look at a version that is there; the run stops unless it is ``v0`` and of the run's own template."""
    reads = {"version.id": ID, "version.name": name, "version.template_type": template_type, "version.status": SOME}
    return Row("GET", VERSION_PATH, _VERSION, reads=reads)


def create(source: str, run: str = RUN) -> Row:
    """Return the registration of a source, whose build's id is kept under the source's name."""
    body = {"artifacts": None, "component_type": source, "packer_run_uuid": run, "status": "BUILD_UNSET"}
    reads = {"build.id": ID, "build.status": "BUILD_UNSET", "build.component_type": source}
    return Row("POST", f"{VERSION_PATH}/builds", _BUILDS, body, reads=reads, keeps={source: "build.id"})


def listed(**statuses: str) -> Row:
    """Return the list of builds that a resumed run reads: keyword arguments are the statuses of AWS and AZURE."""
    reads: dict[str, object] = {}
    keeps = {}
    for source, status in ((AWS, statuses["aws"]), (AZURE, statuses["azure"])):
        build = f"builds[component_type={source}]"
        platform, artifacts = IMAGES[source] if status == "BUILD_DONE" else ("", ())
        reads |= {f"{build}.status": status, f"{build}.platform": platform, f"{build}.packer_run_uuid": RUN}
        reads |= {f"{build}.artifacts[region={region}].external_identifier": image for image, region in artifacts}
        reads |= {} if artifacts else {f"{build}.artifacts": []}
        reads |= {f"{build}.labels": {"git_sha": "abc"} if artifacts else {}}
        keeps[source] = f"{build}.id"
    return Row("GET", f"{VERSION_PATH}/builds", _BUILDS, reads=reads, keeps=keeps)


def _update(source: str, body: Document, where: str, **fields: Any) -> Row:
    path = f"{VERSION_PATH}/builds/{{{source}}}"
    reads = {"build.id": ID, "build.status": body["status"]} if fields.get("answer", OK) == OK else {}
    return Row("PATCH", path, where, body, **{"reads": reads, **fields})


def status(source: str, word: str, run: str = RUN, **fields: Any) -> Row:
    """Return an update to a status that is not DONE; RUNNING is the heartbeat, too."""
    return _update(source, {"artifacts": None, "packer_run_uuid": run, "status": f"BUILD_{word}"}, _STATUS, **fields)


def beat(source: str, after: float = 0.0, run: str = RUN) -> Row:
    """Return a heartbeat: what RUNNING is, every two minutes."""
    heartbeat = status(source, "RUNNING", run, after=after)
    return replace(heartbeat, source="packer internal/hcp/registry/types.bucket.go HeartbeatBuild")


def done(source: str, run: str = RUN, **fields: Any) -> Row:
    """Return the update with everything that a build is; empty texts are left out."""
    platform, artifacts = IMAGES[source]
    body = {
        "artifacts": [{"external_identifier": image, "region": region} for image, region in artifacts],
        "labels": {"git_sha": "abc"},
        "metadata": {"packer": {"version": "1.16.0"}, "vcs": None, "cicd": None},
        "packer_run_uuid": run,
        "platform": platform,
        "source_external_identifier": "ami-base",
        "status": "BUILD_DONE",
    }
    return _update(source, body, "packer internal/hcp/registry/types.bucket.go markBuildComplete", **fields)


def sbom(source: str) -> Row:
    """Return the upload of a bill of materials, between RUNNING and DONE."""
    body = {"compressed_sbom": "KLUv/SAA", "format": "SPDX", "name": "packages"}
    return Row("PUT", f"{VERSION_PATH}/builds/{{{source}}}/sboms", "packer internal/hcp/api/service_build.go", body)


def assign(channel: str, **fields: Any) -> Row:
    """Return the assignment of one of the template's channels, after each build."""
    body = {"version_fingerprint": FINGERPRINT, "update_mask": "versionFingerprint"}
    where = "packer internal/hcp/registry/types.bucket.go updateChannels"
    return Row("PATCH", f"{BUCKET_PATH}/channels/{channel}", where, body, **fields)


FRESH = (NO_BUCKET, PUT_BUCKET, NO_VERSION, POST_VERSION, NO_BUILDS)
RESUMED = (same_bucket(), same_version())

ONE_SOURCE = Replay(
    "a fresh bucket and one source",
    (*FRESH, create(AWS), NO_BLOCKS, status(AWS, "RUNNING"), done(AWS)),
)
TWO_SOURCES = Replay(
    "two sources at once, with heartbeats and a bill of materials, for twelve minutes",
    (
        *(*FRESH, create(AWS), create(AZURE), NO_BLOCKS),
        *(status(AWS, "RUNNING"), status(AZURE, "RUNNING")),
        *(row for _ in range(5) for row in (beat(AWS, after=120), beat(AZURE))),
        *(sbom(AWS), done(AWS), beat(AZURE, after=120), done(AZURE)),
    ),
)
OTHER_DESCRIPTION = Replay(
    "a bucket with another description, which is updated",
    (
        same_bucket("Made by hand"),
        Row("PATCH", BUCKET_PATH, _BUCKET, {"description": "Ubuntu", "platforms": None}),
        *(NO_VERSION, POST_VERSION, NO_BUILDS, create(AWS), NO_BLOCKS, status(AWS, "RUNNING"), done(AWS)),
    ),
)
CHANNELS = Replay(
    "the template's channel, which is assigned after each build: before the last one that is refused, and logged",
    (
        *(same_bucket(), NO_VERSION, POST_VERSION, NO_BUILDS, create(AWS), create(AZURE), NO_BLOCKS),
        *(status(AWS, "RUNNING"), status(AZURE, "RUNNING"), done(AWS), assign("production", answer=(400, 9))),
        *(done(AZURE), assign("production", reads={"channel.version.fingerprint": FINGERPRINT})),
    ),
)
FAILED = Replay(
    "one of two sources fails",
    (
        *(*FRESH, create(AWS), create(AZURE), NO_BLOCKS, status(AWS, "RUNNING"), status(AZURE, "RUNNING")),
        *(status(AZURE, "FAILED"), done(AWS)),
    ),
)
INTERRUPTED = Replay(
    "a run is interrupted: the end of the heartbeats and the end of the build both say so",
    (
        *(*FRESH, create(AWS), create(AZURE), NO_BLOCKS, status(AWS, "RUNNING"), status(AZURE, "RUNNING"), done(AWS)),
        *(status(AZURE, "CANCELLED"), status(AZURE, "CANCELLED")),
    ),
)
KILLED = Replay(
    "a run is killed: its heartbeats stop, and the service gives the build up after ten minutes",
    (
        *(*FRESH, create(AWS), create(AZURE), NO_BLOCKS, status(AWS, "RUNNING"), status(AZURE, "RUNNING"), done(AWS)),
        *(
            beat(AZURE, after=120),
            Row("GET", VERSION_PATH, "packer pull 11913", after=601),
        ),
    ),
)


def resume(word: str) -> Replay:
    """Return the next run with the same fingerprint: DONE is skipped, the other source goes on under the new run."""
    return Replay(
        f"a run with the fingerprint of one that was {word.lower()}",
        (
            *(*RESUMED, listed(aws="BUILD_DONE", azure=f"BUILD_{word}"), NO_BLOCKS),
            *(status(AZURE, "RUNNING", NEXT_RUN), beat(AZURE, 120, NEXT_RUN), done(AZURE, NEXT_RUN)),
        ),
    )


ALREADY_COMPLETE = Replay(
    "a run with the fingerprint of a complete version, which stops", (same_bucket(), same_version("v1"))
)
OTHER_TEMPLATE = Replay(
    "a run with the fingerprint of a version of a JSON template, which stops",
    (same_bucket(), same_version(template_type="JSON")),
)
OVERTAKEN = Replay(
    "another run registers the source an instant before: it is skipped without a word",
    (*RESUMED, NO_BUILDS, replace(create(AWS), answer=(409, 6), reads={}, keeps={}), NO_BLOCKS),
)
PLATFORM_TAKEN = Replay(
    "somebody has set the platform: DONE is refused, and the build is written FAILED",
    (
        *(same_bucket(), NO_VERSION, POST_VERSION, NO_BUILDS, create(AWS), NO_BLOCKS, status(AWS, "RUNNING")),
        *(_update(AWS, {"platform": "aws", "status": "BUILD_RUNNING"}, "anybody"), done(AWS, answer=(409, 6))),
        status(AWS, "FAILED"),
    ),
)
LOST_REPLY = Replay(
    "the reply to DONE is lost: the build is written FAILED all the same, blindly",
    (*ONE_SOURCE.rows, status(AWS, "FAILED", answer=(400, 9))),
)

_CLIENT = "packer internal/hcp/api/client.go"
FINDS_ITS_PROJECT = Replay(
    "neither organization nor project is given: the one organization, and its oldest project",
    (
        Row(
            "GET", f"{RESOURCES}/organizations", f"{_CLIENT} loadOrganizationID", keeps={"found": "organizations.0.id"}
        ),
        Row(
            "GET",
            f"{RESOURCES}/projects?scope.id={{found}}&scope.type=ORGANIZATION",
            f"{_CLIENT} loadProjectID",
            reads={"projects.0.id": "{project}", "projects.0.created_at": TIME},
        ),
    ),
)
CHECKS_ITS_PROJECT = Replay(
    "only the project is given: its registry must be there",
    (
        Row("GET", f"{RESOURCES}/organizations", f"{_CLIENT} loadOrganizationID", reads={"organizations.0.id": UUID}),
        Row("GET", f"{BASE}/registry", f"{_CLIENT} ValidateRegistryForProject", reads={"registry.id": ID}),
    ),
)

_LATEST = f"{BUCKET_PATH}/channels/latest"
_DATA = "packer datasource/hcp-packer-{}/data.go Execute"
_AWS_IMAGES = {f"artifacts[region={region}].external_identifier": image for image, region in IMAGES[AWS][1]}
DATA_SOURCES = Replay(
    "the data sources hcp-packer-version and, by channel and by fingerprint, hcp-packer-artifact",
    (
        Row(
            "GET",
            _LATEST,
            _DATA.format("version"),
            reads={
                "channel.id": ID,
                "channel.version.id": ID,
                "channel.version.name": "v1",
                "channel.version.status": "VERSION_ACTIVE",
                "channel.version.fingerprint": FINGERPRINT,
                "channel.version.bucket_name": BUCKET,
                "channel.version.author_id": SOME,
                "channel.version.created_at": TIME,
                "channel.version.updated_at": TIME,
            },
        ),
        *(
            Row(
                "GET",
                path,
                _DATA.format("artifact"),
                reads={
                    f"{version}.status": "VERSION_ACTIVE",
                    **{f"{version}.builds[platform=aws].{place}": image for place, image in _AWS_IMAGES.items()},
                    f"{version}.builds[platform=aws].artifacts[region=eu-west-1].created_at": TIME,
                    f"{version}.builds[platform=aws].id": ID,
                    f"{version}.builds[platform=aws].version_id": ID,
                    f"{version}.builds[platform=aws].component_type": AWS,
                },
            )
            for path, version in ((_LATEST, "channel.version"), (VERSION_PATH, "version"))
        ),
    ),
)
CHILD = Replay(
    "an image built from another bucket's: what the data source found becomes its parent",
    (
        replace(DATA_SOURCES.rows[0], keeps={"channel": "channel.id", "parent": "channel.version.id"}),
        *(
            replace(row, path=row.path.replace(BUCKET, "web"), body=row.body and {**row.body, **more})
            for row, more in (
                (NO_BUCKET, {}),
                (PUT_BUCKET, {"name": "web"}),
                *((row, {}) for row in (NO_VERSION, POST_VERSION, NO_BUILDS, create(AWS), NO_BLOCKS)),
                (status(AWS, "RUNNING"), {}),
                (done(AWS), {"parent_version_id": "{parent}", "parent_channel_id": "{channel}"}),
            )
        ),
    ),
)
