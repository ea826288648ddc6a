"""Images that are gone, and what follows for the versions that list them. Pure; events, looks and sweeps share it.

Absence is never evidence: EC2 is eventually consistent, permissions change, lists are cut. An image is gone when an
event of its own account says so and its cloud does not show it any more, or when its own account was asked for it
twice, LOOKS_APART, and knew it neither time, for an image that has been registered for OLD_ENOUGH.

In an open version such an image is noted on its build, which then counts as empty: nobody sets it DONE. A complete
version is revoked where the configuration says so (``on_delete: revoke``), and only when everything that it lists
belongs to one owner and is gone. :func:`next_move` names the one thing to do next, given what was read and seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from packer_publisher.image import Image, ImageRef, Platform
from packer_publisher.labels import (
    IMAGE_ID,
    MARKER,
    OWNER,
    gone_from,
    is_our_build,
    is_whole,
    labels_with_gone,
    noted,
)
from packer_publisher.listing import same_identifier
from packer_publisher.plan import abandoned
from packer_publisher.report import Outcome
from packer_publisher.snapshot import Build, BuildStatus, Version
from packer_publisher.steps import RevokeVersion, SetLabels
from packer_publisher.verdict import NEW_FINGERPRINT, RESTORE, gone_from_version
from packer_publisher.wording import listed, shown

LOOKS_APART = timedelta(minutes=10)
"""How long after the first look in vain the second one is made."""
OLD_ENOUGH = timedelta(hours=1)
"""How long an image must have been registered before it can be missed: clouds take a while to show what is new."""
MOST_LISTED = 64
"""Images of one version that are looked for: each costs a question, and all of them fit into one message."""

_LONGEST_MESSAGE = 800
_REVOKE = "revoke it in HCP Packer, if it should not be used any more"


class Sight(StrEnum):
    """What is known of one listed image."""

    GONE = "gone"  # an event of its own account says so, and it is not there
    ABSENT = "absent"  # asked for now, and its cloud does not know it
    ABSENT_AGAIN = "absent again"  # the same, as LOOKS_APART before
    THERE = "there"
    HIDDEN = "hidden"  # its cloud refuses to tell


@dataclass(frozen=True, slots=True)
class Listed:
    """One image as a build lists it: where its cloud would show it and, on Google Cloud, its number ("": any)."""

    ref: ImageRef
    number: str = ""

    def is_same(self, other: Listed) -> bool:
        """Return whether both are the same image."""
        one, two = self.ref, other.ref
        return (
            (one.platform, one.owner_id.casefold(), one.region) == (two.platform, two.owner_id.casefold(), two.region)
            and same_identifier(one.identifier, two.identifier)
            and (not self.number or not other.number or self.number == other.number)
        )

    @property
    def at(self) -> str:
        """Return the image as a person would name it: ``ami-0abc (eu-west-1)``."""
        name = shown(self.ref.identifier, 300)
        return f"{name} ({self.ref.region})" if self.ref.region else name


@dataclass(frozen=True, slots=True)
class Case:
    """What is known about images of one owner that may be gone; frozen, so that a test can branch from any point.

    ``images`` are those that the event or the message names, ``sights`` what was found out about these and others.
    ``revoke`` is what the configuration says of the bucket. ``searched`` says that HCP's search has just found the
    version. ``sent`` is set once a revocation was sent.
    """

    owner: str
    images: tuple[Listed, ...]
    revoke: bool
    sights: tuple[tuple[Listed, Sight], ...] = ()
    searched: bool = False
    sent: bool = False

    def names(self, image: Listed) -> bool:
        """Return whether the event or the message names the image."""
        return any(image.is_same(other) for other in self.images)

    def sight(self, image: Listed) -> Sight | None:
        """Return what is known of an image, None where nothing is."""
        return next((sight for other, sight in self.sights if image.is_same(other)), None)

    def seen(self, image: Listed, sight: Sight) -> Case:
        """Return the case with one look more."""
        return replace(self, sights=(*self.sights, (image, sight)))


@dataclass(frozen=True, slots=True)
class Look:
    """Ask the image's own cloud for it."""

    image: Listed


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Ask for all of these once more, LOOKS_APART from now."""

    images: tuple[Listed, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Finding:
    """The end: what became of it, why, and what a person may do. ``waits_for`` is set where a build is noted."""

    outcome: Outcome
    reason: str
    remedy: str = ""
    waits_for: tuple[str, ...] = ()
    retry_after: float | None = None


Move = Look | LookAgain | SetLabels | RevokeVersion | Finding


def is_own(build: Build, owner: str) -> bool:
    """Return whether a build holds the owner's images, written by a function of ours and by nobody else."""
    return build.label(MARKER) != "" and not build.packer_run_uuid and build.label(OWNER) == owner


def images_of(build: Build) -> tuple[Listed, ...]:
    """Return the images that a build of ours lists, each once, sorted; () for one whose owner is not known."""
    platform, _, owner_id = build.label(OWNER).partition(":")
    if platform not in tuple(Platform) or not owner_id:
        return ()
    found: list[Listed] = []
    for artifact in sorted(build.artifacts):
        region = artifact.region if platform == Platform.AWS else ""
        ref = ImageRef(Platform(platform), owner_id, region, artifact.external_identifier)
        image = Listed(ref, build.label(IMAGE_ID) if platform == Platform.GCE else "")
        if not any(image.is_same(other) for other in found):
            found.append(image)
    return tuple(found)


def next_move(case: Case, version: Version) -> Move:
    """Return the one thing to do next about a version as it was last read, or how it ends."""
    if not version.exists:
        # What the search has found and a read does not show is no version that somebody has deleted, not yet at least.
        outcome = Outcome.DEFERRED if case.searched else Outcome.IGNORED
        return Finding(outcome, f"{version.at} does not exist (any more)")
    if version.revoked:
        state = "is revoked" if version.status == "VERSION_REVOKED" else "is going to be revoked"
        if case.sent:
            return Finding(Outcome.REVOKED, f"{version.at} {state}: every image of it is gone", RESTORE)
        return Finding(Outcome.UNCHANGED, f"{version.at} {state} already")
    builds = [
        build
        for build in version.builds
        if is_own(build, case.owner) and any(case.names(image) for image in images_of(build))
    ]
    if not builds:
        return Finding(Outcome.IGNORED, f"{version.at} lists no such image of {shown(case.owner)}")
    if version.complete:
        return _about_complete(case, version)
    return _about_open(case, version, builds)


def suspects(version: Version, owner: str, seen: Iterable[Image]) -> tuple[Listed, ...]:
    """Return what the owner's open builds list although a scan of the version's images has not seen it.

    Each is to be looked for, because a scan has a window, and leaves out regions that deny access and images that are
    disabled or tagged otherwise now. Left out are images that are noted already, or are too young to be missed, and an
    abandoned version.
    """
    if not version.exists or version.complete or abandoned(version):
        return ()
    there = [Listed(image.ref, dict(image.identity).get(IMAGE_ID, "")) for image in seen]
    return tuple(
        image
        for build in version.builds
        if is_own(build, owner) and is_our_build(build) and is_whole(build)
        if build.status is not BuildStatus.DONE and _is_old(version, build)
        for image in images_of(build)
        if not _is_noted(build, image) and not any(image.is_same(other) for other in there)
    )


def _about_open(case: Case, version: Version, builds: Sequence[Build]) -> Move:
    """Note what is gone on its build; a build that is DONE cannot be changed any more, and one abandoned is not."""
    if abandoned(version):
        return Finding(Outcome.UNCHANGED, f"{version.at} was abandoned, so nothing is noted in it")
    done: list[Listed] = []
    for build in builds:
        named = [image for image in images_of(build) if case.names(image)]
        for image in named:
            if case.sight(image) is None:
                return Look(image)
        gone = [image for image in named if _is_gone(case, version, build, image)]
        if build.status is BuildStatus.DONE:
            done += gone
            continue
        fresh = [image.ref.identifier for image in gone if not _is_noted(build, image)]
        if fresh and is_our_build(build):
            labels = labels_with_gone(build, (*gone_from(build), *fresh))
            return SetLabels(version.bucket, version.fingerprint, build.id, build.component_type, labels)
    if told := gone_from_version(version):
        names = tuple(sorted(build.component_type for build in builds if gone_from(build)))
        return Finding(Outcome.WAITING, *told, waits_for=names)
    if done:
        reason = f"{version.at} lists what is gone, in a build that is DONE already: {_names(done)}"
        remedy = f"{NEW_FINGERPRINT}, and abandon this one: packer-publisher versions abandon {shown(version.bucket)} "
        return Finding(Outcome.WAITING, reason, remedy + shown(version.fingerprint))
    return Finding(Outcome.UNCHANGED, f"{version.at} lists images that are there, or that nobody can tell of")


def _about_complete(case: Case, version: Version) -> Move:
    """Revoke the version where all that it lists is this owner's and gone; else leave it as it is."""
    if not case.revoke:
        return Finding(Outcome.IGNORED, f"{version.at} is complete, and on_delete: ignore leaves it as it is")
    stays = f"{version.at} stays as it is, although it lists what is gone"
    others = [build for build in version.builds if build.artifacts and not is_own(build, case.owner)]
    others += [build for build in version.builds if not build.artifacts and not build.label(MARKER)]
    if others:
        names = [f"{build.component_type} of {build.label(OWNER) or 'a run of Packer'}" for build in others]
        return Finding(Outcome.UNCHANGED, f"{stays}: it also holds {listed(sorted(names))}", _REVOKE)
    held = [(build, image) for build in version.builds for image in images_of(build)]
    if len(held) > MOST_LISTED:
        return Finding(Outcome.UNCHANGED, f"{stays}: it lists more than {MOST_LISTED} images", _REVOKE)
    for sight, why in ((Sight.THERE, "is there"), (Sight.HIDDEN, "cannot be looked for")):
        if found := [image for _, image in held if case.sight(image) is sight]:
            return Finding(Outcome.UNCHANGED, f"{stays}: {found[0].at} {why}", _REVOKE)
    for _, image in held:
        if case.sight(image) is None:
            return Look(image)
    missed = [(build, image) for build, image in held if case.sight(image) is not Sight.GONE]
    if young := [(build, image) for build, image in missed if not _is_old(version, build)]:
        build, image = young[0]
        reason = f"{image.at} is not to be found, but was registered in {version.at} less than an hour ago"
        return Finding(Outcome.DEFERRED, reason, retry_after=_until_old(version, build))
    images = tuple(image for _, image in held)
    if any(case.sight(image) is Sight.ABSENT for _, image in missed):
        reason = f"nothing that {version.at} lists is to be found; it is looked for again before it is revoked"
        return LookAgain(images, reason)
    return RevokeVersion(version.bucket, version.fingerprint, _message(images))


def _is_gone(case: Case, version: Version, build: Build, image: Listed) -> bool:
    sight = case.sight(image)
    return sight is Sight.GONE or (sight is Sight.ABSENT_AGAIN and _is_old(version, build))


def _is_noted(build: Build, image: Listed) -> bool:
    return any(same_identifier(name, noted(image.ref.identifier)) for name in gone_from(build))


def _is_old(version: Version, build: Build) -> bool:
    """Return whether a build's images have been registered for long, by the registry's clock; False if not known."""
    return _until_old(version, build) == 0.0


def _until_old(version: Version, build: Build) -> float:
    """Return the seconds until a build's images are old enough; where no time is known, all of them."""
    since = build.artifacts_created_at or build.created_at
    if since is None or version.read_at is None:
        return OLD_ENOUGH.total_seconds()
    return max(0.0, (OLD_ENOUGH - (version.read_at - since)).total_seconds())


def _message(images: Sequence[Listed]) -> str:
    """Return what HCP shows with the revocation; it names as many images as fit."""
    text = "packer-publisher: every image of this version is gone: "
    names: list[str] = []
    for image in images:
        if len(text) + sum(len(name) + 2 for name in (*names, image.at)) > _LONGEST_MESSAGE:
            break
        names.append(image.at)
    more = f", and {len(images) - len(names)} more" if len(names) < len(images) else ""
    return f"{text}{', '.join(names)}{more}"


def _names(images: Sequence[Listed]) -> str:
    return ", ".join(image.at for image in images)
