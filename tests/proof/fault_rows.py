"""The rows of the fault matrix: every call to HCP that publishing makes, each in an event that makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from packer_publisher.image import Platform
from packer_publisher.policy import BucketPolicy
from packer_publisher.report import Outcome

TYPES = "azure-arm googlecompute"
PLATFORMS = "azure gce"
SUBSCRIPTION, PROJECT = "00000000-0000-4000-8000-000000000001", "project-1"
CLOUDS = {"azure": (Platform.AZURE, SUBSCRIPTION, "westeurope"), "gce": (Platform.GCE, PROJECT, "europe-west1-b")}


@dataclass(frozen=True, slots=True)
class Story:
    """Events in their order, by cloud (``-azure``: its image is deleted); ``expects`` is what both images declare.

    The event at ``quiet_before`` comes seven hours after the others, in a new process. ``bucket`` is what the bucket
    holds beforehand, None where there is none, ``channel`` a channel that it has. ``discovers`` leaves the organization
    and the project to be found out. ``parent`` says that the images were built from registered ones.
    """

    events: tuple[str, ...]
    expects: str
    policy: BucketPolicy = field(default_factory=BucketPolicy)
    bucket: Mapping[str, Any] | None = field(default_factory=dict)
    channel: str = ""
    quiet_before: int | None = None
    discovers: bool = False
    parent: bool = False

    def tags(self, platform: Platform) -> dict[str, str]:
        """Return the tags of an image, without the bucket."""
        expects = self.expects.replace(" ", "_") if platform is Platform.GCE else self.expects
        return {"hcp-packer-fingerprint": "a1"} | ({"hcp-packer-expects": expects} if expects else {})


KEPT = BucketPolicy(create_bucket=True, description="Web", labels=(("team", "a"),))
BY_TYPE = Story(("azure", "gce"), TYPES, KEPT, bucket=None)
BY_PLATFORM = Story(("azure", "gce"), PLATFORMS)
BY_PLATFORM_CREATING = Story(("azure", "gce"), PLATFORMS, BucketPolicy(create_bucket=True))
UNDECLARED = Story(
    ("azure", "gce", "azure"), "", KEPT, {"description": "old", "labels": {"other": "b"}}, quiet_before=2
)
NO_BUCKET = Story(("azure",), TYPES, bucket=None)
ASSIGNED = BucketPolicy(assign_channels=("staging",), create_channels=True)
NEW_CHANNEL = Story(("azure", "gce"), TYPES, ASSIGNED)
OLD_CHANNEL = Story(("azure", "gce"), TYPES, ASSIGNED, channel="staging")
ANCESTRY = Story(("azure", "gce"), TYPES, parent=True)
REVOKING = BucketPolicy(on_delete="revoke")
GONE = Story(("azure", "-azure"), "azure-arm", REVOKING)
GONE_FROM_OPEN = Story(("azure", "-azure"), PLATFORMS, REVOKING)
DISCOVERED = Story(("azure", "gce"), TYPES, discovers=True)


@dataclass(frozen=True, slots=True)
class Row:
    """One call: its operation, what tells it from others of that operation, and the event that makes it.

    ``nth`` counts the matching requests of the event; ``clean`` is the event's outcome where nothing breaks. ``last``
    is set on the event's last write, ``aside`` on what only keeps the bucket's description true, ``channels`` on what
    points channels to a version that is complete, ``done`` on what comes after the last write, ``parents`` on what only
    tells or records what an image was built from, ``departs`` on what follows from an image's deletion.
    """

    name: str
    operation: str
    story: Story
    event: int
    clean: Outcome
    nth: int = 1
    body: Mapping[str, Any] = field(default_factory=dict)
    writes: bool = True
    last: bool = False
    aside: bool = False
    channels: bool = False
    done: bool = False
    parents: bool = False
    departs: bool = False

    @property
    def fills_and_ends(self) -> bool:
        """Return whether the call is the one update that makes a build whole and DONE."""
        return self.body.get("platform") is not None and "status" in self.body

    def matches(self, operation: str, body: Mapping[str, Any]) -> bool:
        """Return whether a request is such a call.

        In ``body`` None stands for a key that must be missing, ``...`` for one that must be there.
        """
        return operation == self.operation and all(
            (key in body) if value is ... else body.get(key) == value for key, value in self.body.items()
        )


DONE = {"status": "BUILD_DONE", "platform": None}

ROWS = (
    Row("Token", "Token", BY_TYPE, 0, Outcome.REGISTERED, writes=False),
    Row("ListOrganizations", "ListOrganizations", DISCOVERED, 0, Outcome.REGISTERED, writes=False),
    Row("ListProjects", "ListProjects", DISCOVERED, 0, Outcome.REGISTERED, writes=False),
    Row("GetRegistry", "GetRegistry", NO_BUCKET, 0, Outcome.REJECTED, writes=False),
    Row("GetVersion, the first look", "GetVersion", BY_PLATFORM, 1, Outcome.COMPLETED, writes=False),
    Row("GetVersion, the look before DONE", "GetVersion", BY_PLATFORM, 1, Outcome.COMPLETED, nth=2, writes=False),
    Row(
        "GetVersion, the look after DONE",
        "GetVersion",
        BY_PLATFORM,
        1,
        Outcome.COMPLETED,
        nth=3,
        writes=False,
        done=True,
    ),
    Row("GetBucket, the look at latest", "GetBucket", UNDECLARED, 2, Outcome.COMPLETED, writes=False),
    Row("GetBucket, its description", "GetBucket", UNDECLARED, 0, Outcome.WAITING, writes=False, aside=True),
    Row("UpdateBucket", "UpdateBucket", UNDECLARED, 0, Outcome.WAITING, aside=True),
    Row("CreateBucket", "CreateBucket", BY_TYPE, 0, Outcome.REGISTERED),
    Row("CreateVersion", "CreateVersion", BY_PLATFORM, 0, Outcome.REGISTERED),
    Row("CreateVersion, buckets may be created", "CreateVersion", BY_PLATFORM_CREATING, 0, Outcome.REGISTERED),
    Row("CreateBuild", "CreateBuild", BY_PLATFORM, 0, Outcome.REGISTERED),
    Row(
        "CreateBuild, a placeholder",
        "CreateBuild",
        BY_TYPE,
        0,
        Outcome.REGISTERED,
        body={"component_type": "googlecompute"},
    ),
    Row(
        "UpdateBuild, filled", "UpdateBuild", BY_PLATFORM, 0, Outcome.REGISTERED, body={"platform": "azure"}, last=True
    ),
    Row(
        "UpdateBuild, filled and DONE",
        "UpdateBuild",
        BY_TYPE,
        1,
        Outcome.COMPLETED,
        body={"status": "BUILD_DONE", "platform": "gce"},
        last=True,
    ),
    Row("UpdateBuild, DONE", "UpdateBuild", UNDECLARED, 2, Outcome.COMPLETED, body=DONE),
    Row("UpdateBuild, the last DONE", "UpdateBuild", UNDECLARED, 2, Outcome.COMPLETED, nth=2, body=DONE, last=True),
    Row("SearchExternalArtifact", "SearchExternalArtifact", ANCESTRY, 1, Outcome.COMPLETED, writes=False, parents=True),
    Row("ListChannels", "ListChannels", ANCESTRY, 1, Outcome.COMPLETED, writes=False, parents=True),
    Row(
        "UpdateBuild, filled and DONE, with a parent",
        "UpdateBuild",
        ANCESTRY,
        1,
        Outcome.COMPLETED,
        body={"status": "BUILD_DONE", "platform": "gce", "parent_version_id": ...},
        last=True,
        parents=True,
    ),
    Row("GetChannel", "GetChannel", OLD_CHANNEL, 1, Outcome.COMPLETED, writes=False, channels=True),
    Row("GetChannel, once set", "GetChannel", OLD_CHANNEL, 1, Outcome.COMPLETED, nth=2, writes=False, channels=True),
    Row("CreateChannel", "CreateChannel", NEW_CHANNEL, 1, Outcome.COMPLETED, channels=True),
    Row("UpdateChannel", "UpdateChannel", OLD_CHANNEL, 1, Outcome.COMPLETED, channels=True),
    Row(
        "SearchExternalArtifact, of a deletion",
        "SearchExternalArtifact",
        GONE,
        1,
        Outcome.REVOKED,
        writes=False,
        departs=True,
    ),
    Row("GetVersion, of a deletion", "GetVersion", GONE, 1, Outcome.REVOKED, writes=False, departs=True),
    Row("UpdateVersion, revoked", "UpdateVersion", GONE, 1, Outcome.REVOKED, last=True, departs=True),
    Row("UpdateBuild, noted gone", "UpdateBuild", GONE_FROM_OPEN, 1, Outcome.WAITING, departs=True),
)
