"""One artifact of the registry beside what its cloud shows. Pure.

Only a build of ours is judged: of a stranger's, or one that Packer made, nothing is known and nothing is ever changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from packer_publisher.drift.mending import enable, retire, tag
from packer_publisher.drift.row import How, Row
from packer_publisher.drift.sighting import Reach, Sighting
from packer_publisher.expectation import missing, quiet_since
from packer_publisher.image import DEFAULT_COMPONENT_TYPE, Artifact, Image, ImageState, Platform
from packer_publisher.labels import IMAGE_ID, OWNER, is_our_build, is_whole
from packer_publisher.overdue import PATIENCE
from packer_publisher.policy import Contract
from packer_publisher.snapshot import Build, BuildStatus, Version
from packer_publisher.verdict import by_hand
from packer_publisher.wording import listed, shown

REVOKED = "VERSION_REVOKED"
"""The status of a version that nobody may use any more: its images may be gone."""

NOT_OURS = "Packer or somebody else made this build"
Wrong = tuple[How, str, str]
HANDS_OFF = "nothing: packer-publisher does not touch it"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a comparison goes by: what could be seen, the tag contract, the bucket's quiet time, the mapping's file."""

    reach: Reach
    contract: Contract
    quiet: timedelta = timedelta()
    mapping: str = ""


def platform_of(build: Build) -> Platform | None:
    """Return the cloud that a build's images are in, None for any other platform."""
    return Platform(build.platform) if build.platform in set(Platform) else None


def artifact_row(
    version: Version, build: Build, artifact: Artifact, sightings: Sequence[Sighting], terms: Terms
) -> Row:
    """Return what is to be said of one artifact; ``sightings`` are the images of its platform by this identifier."""
    owner = build.label(OWNER)
    row = Row(
        version.bucket, version.fingerprint, version.name, build.component_type, build.platform,
        owner, artifact.region, artifact.external_identifier,
    )  # fmt: skip
    platform = platform_of(build)
    if not is_our_build(build) or platform is None:
        return row.found(How.FOREIGN, NOT_OURS, HANDS_OFF)
    if not owner:
        return row.found(How.FOREIGN, "no label of the build says whose image it is", HANDS_OFF)
    seen = _choose(sightings, build, artifact, platform)
    if seen is None:
        return _unseen(row, platform, version, terms.reach)
    row = replace(row, image=seen.number or None)
    if seen.image is None:
        return row.found(How.UNREAD, f"it could not be read: {seen.problem}", seen.remedy)
    wrong = (
        _other_image(seen, seen.image, build, artifact, version)
        or _unusable(seen.image, version)
        or _misplaced(seen, seen.image, build, version, terms)
        or _twice(seen, build, artifact, version)
        or _unfinished(build, version, terms.quiet)
    )
    return row.found(*wrong) if wrong else row


def _choose(sightings: Sequence[Sighting], build: Build, artifact: Artifact, platform: Platform) -> Sighting | None:
    """Return the image that the artifact means: the owner's own, in the same region, before any other.

    A name of Google's says nothing without its project: another project's image of that name is the same one only
    by its number.
    """
    owner, number = build.label(OWNER), build.label(IMAGE_ID)
    meant = [
        seen
        for seen in sightings
        if seen.owner == owner or platform is not Platform.GCE or (number and _number(seen.image) == number)
    ]
    return min(meant, key=lambda seen: (seen.owner != owner, artifact.region not in seen.regions), default=None)


def _unseen(row: Row, platform: Platform, version: Version, reach: Reach) -> Row:
    barrier = reach.barrier(platform, row.owner, row.region)
    if barrier is not None:
        return row.found(*barrier)
    if version.status == REVOKED:
        return row.found(How.FINE, "the version is revoked, and its image is gone")
    at = f" in {row.region}" if platform is Platform.AWS else ""
    return row.found(How.GONE, f"{row.owner} has no such image{at}", retire(version))


def _other_image(seen: Sighting, image: Image, build: Build, artifact: Artifact, version: Version) -> Wrong | None:
    """Say where the image is another one than the build means."""
    owner, number = build.label(OWNER), build.label(IMAGE_ID)
    if seen.owner != owner:
        return How.OWNER, f"the image belongs to {seen.owner}, and the build says {shown(owner)}", retire(version)
    if number and _number(image) not in ("", number):
        return (
            How.NUMBER,
            f"the name belongs to another image now, number {_number(image)}, not {shown(number)}",
            retire(version),
        )
    if artifact.region not in seen.regions:
        return (
            How.REGION,
            f"the image is in {listed(sorted(seen.regions))}, not in {shown(artifact.region)}",
            retire(version),
        )
    return None


def _unusable(image: Image, version: Version) -> Wrong | None:
    """Say where nobody can use the image, unless nobody is meant to any more."""
    if version.status == REVOKED:
        return None
    if image.state is ImageState.DISABLED:
        return How.DISABLED, "the image is disabled", f"{enable(image)}; or {retire(version)}"
    if image.state is ImageState.FAILED:
        return How.FAILED, "its cloud says that creating the image failed", retire(version)
    return None


def _misplaced(seen: Sighting, image: Image, build: Build, version: Version, terms: Terms) -> Wrong | None:
    """Say where the tags mean another version or component type; an image without tags was published by a person."""
    if not seen.bucket:
        return (How.TAGS, seen.problem, seen.remedy) if seen.problem else None
    told = ""
    if (seen.bucket.casefold(), seen.fingerprint) != (version.bucket.casefold(), version.fingerprint):
        told = f"version {shown(seen.fingerprint)} of bucket {shown(seen.bucket)}"
    elif _names_another_type(seen, build, image):
        told = f"component type {shown(seen.component_type)}"
    if not told:
        return None
    who = "its tags or the mapping name" if terms.mapping else "its tags name"
    right = tag(image, version.bucket, version.fingerprint, build.component_type, terms.contract)
    return How.TAGS, f"{who} {told}", f"if the version is right: {right}; if the tags are: {retire(version)}"


def _names_another_type(seen: Sighting, build: Build, image: Image) -> bool:
    """Return whether a tag names another component type; the builder's name is what an image without the tag has."""
    default = DEFAULT_COMPONENT_TYPE[image.platform]
    tagged = seen.component_type.casefold()
    return tagged not in (build.component_type.casefold(), default, f"{default}.arm64")


def _twice(seen: Sighting, build: Build, artifact: Artifact, version: Version) -> Wrong | None:
    """Say where another build of ours lists the image, too, and the tags do not tell which of them is right."""
    others = [
        other.component_type
        for other in version.builds
        if other.id != build.id and other.platform == build.platform and artifact in other.artifacts
        and is_our_build(other) and other.label(IMAGE_ID) == build.label(IMAGE_ID)
    ]  # fmt: skip
    if not others or seen.component_type.casefold() == build.component_type.casefold():
        return None
    return How.TWICE, f"the version lists it twice, in build {listed(sorted(others))}, too", retire(version)


def _unfinished(build: Build, version: Version, quiet: timedelta) -> Wrong | None:
    """Say where a build is whole and has been open for so long that nobody will finish it."""
    since = quiet_since(version)
    if version.complete or build.status is BuildStatus.DONE or not is_whole(build):
        return None
    if since is None or version.read_at is None or version.read_at - since < max(quiet, PATIENCE):
        return None
    lacking = missing((), version)
    waits = f"; the version waits for {listed(list(lacking))}" if lacking else ""
    return (
        How.UNFINISHED,
        f"the build is whole, and has not been DONE since {since:%Y-%m-%d}{waits}",
        by_hand(version, lacking),
    )


def _number(image: Image | None) -> str:
    return dict(image.identity).get(IMAGE_ID, "") if image is not None else ""
