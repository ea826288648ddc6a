"""What a version waits for, and when it is due: names, empty builds, the quiet time. Pure, a part of the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from packer_publisher.image import Image
from packer_publisher.labels import MARKER, OWNER, expects_of, gone_from, is_our_build, is_whole
from packer_publisher.listing import lists
from packer_publisher.placement import Item, Placement
from packer_publisher.snapshot import Build, BuildStatus, Version
from packer_publisher.tag_values import is_platform, platform_of

LAG = timedelta(minutes=10)
"""How long the registry may take to complete a version all of whose builds are DONE; it takes seconds."""


@dataclass(frozen=True, slots=True)
class Quirks:
    """What this process has learned about the registry it talks to; the documentation does not tell.

    ``running_first``: the registry refuses UNSET -> DONE, so RUNNING is sent just before. ``single_region``: it
    refuses the same identifier twice in one build, so a gallery version is listed in Packer's single region only.
    """

    running_first: bool = False
    single_region: bool = False


def declared(items: Sequence[Item], version: Version) -> frozenset[str]:
    """Return every name that the version is known to consist of, as declared; empty where nothing was.

    The union of what the items say now, as far as it can still be told (see :func:`told_too_late`), and of what builds
    of ours have carried since their images were seen.
    """
    by_fold = {name.casefold(): name for name in sorted(_carried(version))}
    for item in items:
        late = told_too_late(item, version)
        for name in item.placement.expects:
            if name not in late:
                by_fold.setdefault(name.casefold(), name)
    return frozenset(by_fold.values())


def told_too_late(item: Item, version: Version) -> tuple[str, ...]:
    """Return the platforms that an image declares although no build can carry the declaration any more, sorted.

    Its own build is DONE already (the tags were changed since), or belongs to a run of Packer. Who else works on the
    version would not know of such a name and complete without it, so it counts for nobody. A component type is never
    too late while the version is open: it becomes a build, which everybody sees.
    """
    listing = [build for build in version.builds if lists(build, item.image)]
    if not listing or any(may_declare(build, item.image) for build in listing):
        return ()
    known = {name.casefold() for name in _carried(version)}
    for build in version.builds:  # one of that platform holds the version open until it is whole, or is whole
        known |= {build.platform, str(platform_of(build.component_type))}
    return tuple(sorted(name for name in item.placement.expects if is_platform(name) and name not in known))


def may_declare(build: Build, image: Image) -> bool:
    """Return whether the image's own function may still write into the build what the version consists of."""
    return is_our_build(build) and build.label(OWNER) == image.owner and build.status is not BuildStatus.DONE


def _carried(version: Version) -> frozenset[str]:
    """Return the names that builds of ours carry."""
    return frozenset(name for build in version.builds if build.label(MARKER) for name in expects_of(build))


def missing(items: Sequence[Item], version: Version) -> tuple[str, ...]:
    """Return the names that still lack a whole build, sorted: declared ones, and every empty build of ours.

    A build that lists an image which is gone is not whole any more, and lacks like an empty one.
    """
    whole = [build for build in version.builds if is_whole(build) and not gone_from(build)]
    platforms = {build.platform for build in whole}
    types = {build.component_type.casefold() for build in whole}
    lacking = {
        name.casefold(): name
        for name in declared(items, version)
        if (name not in platforms if is_platform(name) else name.casefold() not in types)
    }
    lacking |= {
        build.component_type.casefold(): build.component_type
        for build in version.builds
        if gone_from(build)
        or (is_our_build(build) and not is_whole(build) and build.component_type.casefold() not in types)
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
