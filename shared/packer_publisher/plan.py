"""The rules: what to do next, given what was last read. Pure; events, sweep, backfill and dry run all use it.

:func:`next_call` looks at nothing but frozen values and names the next call, or None when there is nothing left to
do; :func:`packer_publisher.verdict.judge` then says in words how each image fared. A handler keeps no state but its
last read, into which the replies to its own writes are folded.

What the registry forces on the rules (its behaviour as Packer's own client shows it, hashicorp/packer,
internal/hcp/registry):

- A version completes by itself the moment every build it knows is DONE, and then refuses new builds. So nothing of
  ours goes DONE while a name that was declared has no whole build: either an open build holds the version (a
  placeholder, for a component type), or every build stays UNSET (for a platform, and where nothing was declared).
- The platform of a build is accepted once. So one update carries all that a build is, exactly one writer wins, and a
  set platform means *whole*.
- A write answers with one build, not with the version. So, unless all builds declare the same component types, only
  a fresh read that leaves nothing to do ends the work; else two last writers miss each other and nobody finishes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto

from packer_publisher.channels import next_channel_call, wanted_channels
from packer_publisher.image import Artifact, Image, ImageState
from packer_publisher.labels import (
    ABANDONED,
    MARKER,
    OWNER,
    expects_of,
    is_our_build,
    is_whole,
    own_labels,
    placeholder_labels,
)
from packer_publisher.placement import Placement
from packer_publisher.snapshot import Build, BuildStatus, Version
from packer_publisher.steps import (
    Call,
    CreateBucket,
    CreateBuild,
    CreateVersion,
    FillBuild,
    Gather,
    ReadBucket,
    ReadVersion,
    SetLabels,
    SetStatus,
)
from packer_publisher.tag_values import is_platform, platform_of


@dataclass(frozen=True, slots=True)
class Item:
    """One image and where it belongs. All items of one plan belong to the same bucket and fingerprint."""

    image: Image
    placement: Placement


@dataclass(frozen=True, slots=True)
class Quirks:
    """What this process has learned about the registry it talks to; the documentation does not tell.

    ``running_first``: the registry refuses UNSET -> DONE, so RUNNING is sent just before. ``single_region``: it
    refuses the same identifier twice in one build, so a gallery version is listed in Packer's single region only.
    """

    running_first: bool = False
    single_region: bool = False


class Standing(Enum):
    """How an image stands to its version."""

    LISTED = auto()  # a build lists it: nothing to add
    TO_CREATE = auto()  # its build does not exist yet
    TO_FILL = auto()  # its build exists and is empty
    RIVAL = auto()  # an older image takes precedence
    TAKEN = auto()  # its build holds other images, or belongs to another owner
    FOREIGN = auto()  # Packer's own run holds this component type and is not finished
    FLOODS = auto()  # with its names the version would wait for more than any version consists of
    GONE = auto()  # its cloud said, when asked for the other regions, that the image does not count


MOST_DECLARED = 64
"""How many names the images of one version may declare together: each becomes a build or is waited for, and whoever may
tag images could otherwise fill a version without end, sixteen names at a time."""

ACTIVE = (Standing.TO_CREATE, Standing.TO_FILL)


def next_call(items: Sequence[Item], version: Version | None, quirks: Quirks) -> Call | None:
    """Return the one call to make now, or None when there is nothing left to do.

    ``version`` is the last read with the replies since folded in, or None when the last read is not to be trusted
    (nothing read yet, a conflict, a lost reply).
    """
    placement = items[0].placement
    address = (placement.bucket, placement.fingerprint)
    if version is None:
        return ReadVersion(*address)
    if abandoned(version) or (template_differs(version, placement) and not version.complete):
        return None
    stands = list(zip(items, standings(items, version), strict=True))
    taking_part = [item for item, standing in stands if standing in (*ACTIVE, Standing.LISTED)]
    if not taking_part:
        return None
    if version.complete:
        listed = [item.placement for item, standing in stands if standing is Standing.LISTED]
        return next_channel_call(listed, version) if listed else None
    active = [item for item, standing in stands if standing in ACTIVE]
    for item in active:
        if item.image.whole is None:
            return Gather(item.image.ref.identifier)
    if not version.exists:
        return _create_version(version, placement)
    return (
        _create_builds(active, taking_part, version)
        or _declare(taking_part, version)
        or _fill_builds(active, taking_part, version, quirks)
        or _finish(taking_part, version, quirks)
        or (None if _may_end(items, taking_part, version, quirks) else ReadVersion(*address))
    )


def template_differs(version: Version, placement: Placement) -> bool:
    """Return whether the version was begun with another template type.

    Packer refuses to resume such a version, unless the stored type is unset; mixing would lock Packer's runs out.
    """
    return (
        version.exists
        and version.template_type not in ("", "TEMPLATE_TYPE_UNSET")
        and version.template_type != placement.policy.template_type
    )


def abandoned(version: Version) -> str:
    """Return what a person noted when abandoning the version, "" for one that was not; a complete one never is."""
    if version.complete:
        return ""
    return next((note for build in version.builds if is_our_build(build) and (note := build.label(ABANDONED))), "")


def standings(items: Sequence[Item], version: Version) -> tuple[Standing, ...]:
    """Return how each image stands, in the order of ``items``.

    Of two for one empty build the older one takes part, the other is a RIVAL.
    """
    stands = [_standing(item, version) for item in items]
    first: dict[str, int] = {}
    for index in sorted(range(len(items)), key=lambda index: _seniority(items[index])):
        component_type = items[index].placement.component_type.casefold()
        competes = stands[index] in ACTIVE and not items[index].image.stands_behind
        if competes and first.setdefault(component_type, index) != index:
            stands[index] = Standing.RIVAL
    return tuple(stands)


def lists(build: Build, image: Image) -> bool:
    """Return whether a build lists the image.

    Identifiers are compared without case on Azure (ARM changes the casing of resource groups). A Google image is its
    name and its number together, because a name can be given again; a build that carries no number (Packer's own)
    is taken at its word. An image that only stands behind another is listed with that one.
    """
    if image.stands_behind and build.label(OWNER) == image.owner and build.platform:
        return all(build.label(key).casefold() == value.casefold() for key, value in image.stands_behind)
    return any(artifact_matches(artifact, image) for artifact in build.artifacts) and all(
        build.label(key) in ("", value) for key, value in image.identity
    )


def artifact_matches(artifact: Artifact, image: Image) -> bool:
    """Return whether an artifact of a build carries the image's own identifier."""
    wanted = own_identifier(image)
    return artifact.external_identifier == wanted or (
        wanted.startswith("/subscriptions/") and artifact.external_identifier.casefold() == wanted.casefold()
    )


def own_identifier(image: Image) -> str:
    """Return what a build lists for this very image: its identifier, or where an address differs, its artifact's."""
    identifiers = {artifact.external_identifier for artifact in image.artifacts}
    if image.ref.identifier in identifiers or not identifiers:
        return image.ref.identifier
    return min(identifiers)


def declared(items: Sequence[Item], version: Version) -> frozenset[str]:
    """Return every name that the version is known to consist of, as declared; empty where nothing was.

    The union of what the items say now and what builds of ours have carried since their images were seen.
    """
    by_fold: dict[str, str] = {}
    for build in version.builds:
        if build.label(MARKER):
            by_fold |= {name.casefold(): name for name in sorted(expects_of(build))}
    for item in items:
        for name in item.placement.expects:
            by_fold.setdefault(name.casefold(), name)
    return frozenset(by_fold.values())


def missing(items: Sequence[Item], version: Version) -> tuple[str, ...]:
    """Return the names that still lack a whole build, sorted: declared ones, and every empty build of ours."""
    platforms = {build.platform for build in version.builds if is_whole(build)}
    types = {build.component_type.casefold() for build in version.builds if is_whole(build)}
    lacking = {
        name.casefold(): name
        for name in declared(items, version)
        if (name not in platforms if is_platform(name) else name.casefold() not in types)
    }
    lacking |= {
        build.component_type.casefold(): build.component_type
        for build in version.builds
        if is_our_build(build) and not is_whole(build) and build.component_type.casefold() not in types
    }
    return tuple(lacking[fold] for fold in sorted(lacking))


def platforms_without_build(names: frozenset[str], version: Version) -> tuple[str, ...]:
    """Return the expected platforms for which no build is sure to hold the version open.

    A component type that begins with a builder's name is of that builder's platform; once it is expected too, its
    build holds the version for both. So what one image declares by platform and another by component type still goes
    DONE one by one, and nobody needs to come back to finish it.
    """
    types = {name for name in names if not is_platform(name)}
    types |= {build.component_type for build in version.builds if is_our_build(build)}
    covered = {str(platform_of(name)) for name in types}
    return tuple(sorted(name for name in names if is_platform(name) and name not in covered))


def goes_one_by_one(names: frozenset[str], version: Version, quirks: Quirks) -> bool:
    """Return whether each whole build may go DONE on its own, because every declared name has its build by now.

    The open ones among them hold the version. A platform without a build holds nothing: then all wait UNSET.
    """
    return bool(names) and not platforms_without_build(names, version) and not quirks.running_first


def quiet_since(version: Version) -> datetime | None:
    """Return when something was last added, by the registry's own times: ``created_at``, never ``updated_at``."""
    times = [version.created_at]
    for build in version.builds:
        times += [build.created_at, build.artifacts_created_at]
    return max((time for time in times if time is not None), default=None)


def is_quiet(version: Version, placement: Placement) -> bool:
    """Return whether nothing was added for the quiet time; False where the registry's clock is not known."""
    since = quiet_since(version)
    return since is not None and version.read_at is not None and version.read_at - since >= placement.policy.quiet


def is_superseded(version: Version) -> bool:
    """Return whether a version that was created later is complete already (known after GetBucket only)."""
    latest = version.latest
    return (
        latest is not None
        and latest.created_at is not None
        and version.created_at is not None
        and latest.fingerprint != version.fingerprint
        and latest.created_at > version.created_at
    )


def _seniority(item: Item) -> tuple[datetime, str, str]:
    return (item.image.created_at, item.image.owner, item.image.ref.identifier)


def _standing(item: Item, version: Version) -> Standing:
    if not version.complete and len(declared((item,), version)) > MOST_DECLARED:
        return Standing.FLOODS
    if any(lists(build, item.image) for build in version.builds):
        return Standing.LISTED
    if item.image.state is ImageState.GONE:
        return Standing.GONE
    build = version.build(item.placement.component_type)
    if build is None:
        return Standing.RIVAL if item.image.rival else Standing.TO_CREATE
    if not is_our_build(build):
        return Standing.TAKEN if is_whole(build) else Standing.FOREIGN
    if is_whole(build) or build.label(OWNER) not in ("", item.image.owner):
        return Standing.TAKEN
    return Standing.RIVAL if item.image.rival else Standing.TO_FILL


def _create_version(version: Version, placement: Placement) -> Call | None:
    rules = placement.policy
    if not version.bucket_missing:
        return CreateVersion(placement.bucket, placement.fingerprint, rules.template_type)
    if rules.create_bucket:
        return CreateBucket(placement.bucket, rules.description or "", rules.labels)
    return None


def _create_builds(active: Sequence[Item], taking_part: Sequence[Item], version: Version) -> Call | None:
    """Create own builds first: they carry the declaration that everybody else must see."""
    address = (version.bucket, version.fingerprint)
    for item in sorted(active, key=_seniority):
        if version.build(item.placement.component_type) is None:
            labels = own_labels(item.image.owner, item.placement.expects)
            return CreateBuild(*address, item.placement.component_type, labels)
    for name in sorted(declared(taking_part, version), key=str.casefold):
        if not is_platform(name) and version.build(name) is None:
            return CreateBuild(*address, name, placeholder_labels())
    return None


def _declare(taking_part: Sequence[Item], version: Version) -> Call | None:
    """Write what an image declares into its own build where the build does not say so yet (its tags were changed).

    Else only this handler would know, and another would finish without what is declared. An empty build holds the
    version anyway and takes the declaration when it is filled; one that is DONE cannot be changed any more.
    """
    for item in taking_part:
        for build in version.builds:
            mine = is_our_build(build) and build.label(OWNER) == item.image.owner and lists(build, item.image)
            said = {name.casefold() for name in expects_of(build)}
            new = [name for name in item.placement.expects if name.casefold() not in said]
            if mine and new and build.status is not BuildStatus.DONE:
                expects = tuple(sorted({*expects_of(build), *new}, key=str.casefold))
                labels = own_labels(item.image.owner, expects, build.labels)
                return SetLabels(version.bucket, version.fingerprint, build.id, build.component_type, labels)
    return None


def _fill_builds(active: Sequence[Item], taking_part: Sequence[Item], version: Version, quirks: Quirks) -> Call | None:
    names = declared(taking_part, version)
    done = goes_one_by_one(names, version, quirks)
    for item in sorted(active, key=_seniority):
        build = version.build(item.placement.component_type)
        if build is None or item.image.whole is not True:
            continue
        image = item.image
        artifacts = image.artifacts[:1] if quirks.single_region and repeats_identifier(image) else image.artifacts
        expects = tuple(sorted({*expects_of(build), *item.placement.expects}, key=str.casefold))
        return FillBuild(
            version.bucket,
            version.fingerprint,
            build.id,
            build.component_type,
            BuildStatus.DONE if done else BuildStatus.UNSET,
            str(image.platform),
            artifacts,
            own_labels(image.owner, expects, (*image.labels, *item.placement.labels, *image.identity)),
            item.placement.source_image or image.source or "",
        )
    return None


def repeats_identifier(image: Image) -> bool:
    """Return whether the build would list one identifier in several regions (an Azure gallery version)."""
    return len({artifact.external_identifier for artifact in image.artifacts}) < len(image.artifacts)


def _finish(taking_part: Sequence[Item], version: Version, quirks: Quirks) -> Call | None:
    """Set whole builds DONE, once everything that was declared is there (or all has been quiet)."""
    held = [build for build in version.builds if is_our_build(build) and build.status is not BuildStatus.DONE]
    # Whatever is empty here is the double of a whole build, which a registry that compares more than component types
    # lets two writers make; it is set DONE last, for it is never filled and would hold the version for ever.
    held.sort(key=lambda build: (not is_whole(build), build.id))
    names = declared(taking_part, version)
    if missing(taking_part, version):
        # What was filled while a platform had no build yet; its writer may not come back, so whoever sees it goes on.
        held = [build for build in held if is_whole(build) and goes_one_by_one(names, version, quirks)]
    if not held:
        return None
    placement = taking_part[0].placement
    undeclared = not names
    if undeclared and not version.settled and not is_quiet(version, placement):
        return None
    if not version.fresh and not version.settled:
        return ReadVersion(version.bucket, version.fingerprint)
    if undeclared and version.latest is None:
        return ReadBucket(version.bucket)
    if undeclared and is_superseded(version):
        return None
    build = held[0]
    status = BuildStatus.DONE
    if quirks.running_first and build.status is not BuildStatus.RUNNING:
        status = BuildStatus.RUNNING
    return SetStatus(version.bucket, version.fingerprint, build.id, build.component_type, status)


def _may_end(items: Sequence[Item], taking_part: Sequence[Item], version: Version, quirks: Quirks) -> bool:
    """Return whether the work may end on what is known now, without another read.

    On a fresh read, always. After writes of our own: where our own build is empty (it holds the version, and its own
    next event goes on), or where every build declares the same component types and no channel is asked for (each
    build then goes DONE on its own, and nobody needs to see the others).
    """
    if version.fresh:
        return True
    if wanted_channels([item.placement for item in items]):
        return False
    own = [version.build(item.placement.component_type) for item in taking_part]
    if all(build is not None and is_our_build(build) and not is_whole(build) for build in own):
        return True
    return not quirks.running_first and declares_alike(version)


def declares_alike(version: Version) -> bool:
    """Return whether all builds declare the same component types and none waits whole for somebody to set it DONE.

    Placeholders say nothing themselves; they are among the names.
    """
    if any(is_our_build(b) and is_whole(b) and b.status is not BuildStatus.DONE for b in version.builds):
        return False
    names = {expects_of(build) for build in version.builds if build.label(OWNER)}
    if len(names) != 1:
        return False
    (only,) = names
    types = {name.casefold() for name in only}
    return (
        bool(only)
        and not any(is_platform(name) for name in only)
        and all(build.label(MARKER) != "" for build in version.builds)
        # One that is not among the names itself may be what another names as a platform, and must look again.
        and all(build.component_type.casefold() in types for build in version.builds)
    )


def fold(version: Version, call: Call, build: Build) -> Version:
    """Return the last read with the reply to one write folded in; it is no longer fresh.

    ``settled`` stays set while only statuses are written after a fresh read that found everything there: whoever
    adds a build meanwhile holds the version open by that very build.
    """
    settled = isinstance(call, SetStatus) and (version.fresh or version.settled)
    return replace(version.with_build(build), settled=settled)
