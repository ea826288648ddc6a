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
from dataclasses import replace

from packer_publisher.ancestry import lookup, source_of
from packer_publisher.channels import next_channel_call, wanted_channels
from packer_publisher.expectation import (
    Quirks,
    declared,
    declares_alike,
    goes_one_by_one,
    is_quiet,
    is_superseded,
    may_declare,
    missing,
)
from packer_publisher.labels import (
    ABANDONED,
    expects_of,
    gone_from,
    is_our_build,
    is_whole,
    labels_with_gone,
    noted,
    own_labels,
    placeholder_labels,
)
from packer_publisher.listing import lists, own_identifier, repeats_identifier, same_identifier
from packer_publisher.placement import Item, Placement
from packer_publisher.provenance import read_metadata
from packer_publisher.snapshot import Build, BuildStatus, Parent, Version
from packer_publisher.standing import ACTIVE, Standing, seniority, standings
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
from packer_publisher.tag_values import is_platform


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
        or _take_back(taking_part, version)
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
    for item in sorted(active, key=seniority):
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
            said = {name.casefold() for name in expects_of(build)}
            new = [name for name in item.placement.expects if name.casefold() not in said]
            if new and lists(build, item.image) and may_declare(build, item.image):
                expects = tuple(sorted({*expects_of(build), *new}, key=str.casefold))
                labels = own_labels(item.image.owner, expects, build.labels)
                return SetLabels(version.bucket, version.fingerprint, build.id, build.component_type, labels)
    return None


def _take_back(taking_part: Sequence[Item], version: Version) -> Call | None:
    """Take back that an image is gone: its own cloud shows it again (it was restored), and its build can go on."""
    for item in taking_part:
        own = noted(own_identifier(item.image))
        for build in version.builds:
            gone = gone_from(build)
            left = {name for name in gone if not same_identifier(name, own)}
            if left != gone and lists(build, item.image) and may_declare(build, item.image):
                labels = labels_with_gone(build, left)
                return SetLabels(version.bucket, version.fingerprint, build.id, build.component_type, labels)
    return None


def _fill_builds(active: Sequence[Item], taking_part: Sequence[Item], version: Version, quirks: Quirks) -> Call | None:
    names = declared(taking_part, version)
    done = goes_one_by_one(names, version, quirks)
    for item in sorted(active, key=seniority):
        build = version.build(item.placement.component_type)
        if build is None or item.image.whole is not True:
            continue
        asked = lookup(item)
        if asked is not None and item.parent is None:
            return asked
        image, parent = item.image, item.parent or Parent()
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
            source_of(item),
            parent.version_id,
            parent.channel_id,
            read_metadata(item.placement.labels),
        )
    return None


def _finish(taking_part: Sequence[Item], version: Version, quirks: Quirks) -> Call | None:
    """Set whole builds DONE, once everything that was declared is there (or all has been quiet)."""
    held = [
        build
        for build in version.builds
        if is_our_build(build) and build.status is not BuildStatus.DONE and not gone_from(build)
    ]
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


def fold(version: Version, call: Call, build: Build) -> Version:
    """Return the last read with the reply to one write folded in; it is no longer fresh.

    ``settled`` stays set while only statuses are written after a fresh read that found everything there: whoever
    adds a build meanwhile holds the version open by that very build.
    """
    settled = isinstance(call, SetStatus) and (version.fresh or version.settled)
    return replace(version.with_build(build), settled=settled)
