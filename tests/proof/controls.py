"""Nine ways to get it wrong: each is the product's logic with one decision replaced, for the search to find out.

They are mistakes that other writers to HCP Packer make, or that a simplification of ours would. Each names the
scenario in which it shows and the invariant that it breaks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from packer_publisher.converge import Progress, Reply
from packer_publisher.errors import OutcomeUnknown, RegistryRefused, Rejected
from packer_publisher.expectation import declared
from packer_publisher.labels import OWNER, is_our_build, is_whole, placeholder_labels
from packer_publisher.placement import Item
from packer_publisher.snapshot import Build, BuildStatus, Version
from packer_publisher.standing import Standing, standings
from packer_publisher.steps import Call, CreateBuild, DeleteBuild, FillBuild, SetStatus
from packer_publisher.tag_values import is_platform
from tests.proof.players import Logic, Scenario
from tests.proof.scenarios import late_region, three_clouds

Request = tuple[Progress, Call | DeleteBuild | None]


class OwnBuildOnly(Logic):
    """Register only the own build: nobody sees that others were declared."""

    def next_request(self, progress: Progress) -> Request:
        """Go on as if the placeholders were there."""
        pretended = progress
        while True:
            after, call = super().next_request(pretended)
            version = pretended.version
            if version is None or not (isinstance(call, CreateBuild) and call.labels == placeholder_labels()):
                return replace(after, version=progress.version), call
            missing = Build(f"nobody-{call.component_type}", call.component_type, labels=call.labels)
            pretended = replace(pretended, version=version.with_build(missing))


class ConflictIsAnError(Logic):
    """Treat 409 as an error: whoever is second gives up."""

    def received(self, progress: Progress, call: Call | DeleteBuild, reply: Reply | None) -> Progress:
        """Give up on 409."""
        if isinstance(reply, RegistryRefused) and reply.status == 409:
            raise Rejected(str(reply))
        return super().received(progress, call, reply)


@dataclass(frozen=True, slots=True)
class Failing(Progress):
    """A handler that is about to write FAILED."""

    failed: SetStatus | None = None


class FailedAfterTimeout(Logic):
    """Write FAILED after a time-out, as Packer does after a DONE whose reply was lost."""

    def start(self, items: tuple[Item, ...]) -> Progress:
        """Begin with nothing failed."""
        return Failing(items)

    def next_request(self, progress: Progress) -> Request:
        """Write FAILED first."""
        if isinstance(progress, Failing) and progress.failed is not None:
            return progress, progress.failed
        return super().next_request(progress)

    def received(self, progress: Progress, call: Call | DeleteBuild, reply: Reply | None) -> Progress:
        """Take a lost reply for a failure."""
        if isinstance(progress, Failing) and progress.failed is not None:
            raise Rejected("the build has failed")
        if isinstance(reply, OutcomeUnknown) and isinstance(call, FillBuild) and isinstance(progress, Failing):
            address = (call.bucket, call.fingerprint, call.build_id, call.component_type)
            return replace(progress, failed=SetStatus(*address, BuildStatus.FAILED))
        return super().received(progress, call, reply)


class ReplyTrusted(Logic):
    """Trust the reply instead of a fresh read: two last writers miss each other."""

    def next_request(self, progress: Progress) -> Request:
        """Take what is known for fresh."""
        if progress.version is None:
            return super().next_request(progress)
        return super().next_request(replace(progress, version=replace(progress.version, fresh=True)))


class PlatformTooEarly(Logic):
    """Send the platform before the build is whole, with the regions that are there."""

    def next_request(self, progress: Progress) -> Request:
        """Take an image for whole whatever its cloud says."""
        items = tuple(
            replace(item, image=replace(item.image, whole=True)) if item.image.whole is False else item
            for item in progress.items
        )
        return super().next_request(replace(progress, items=items))


class PlatformAsPlaceholder(Logic):
    """Create a placeholder for a platform name: no image will ever fill it."""

    def next_request(self, progress: Progress) -> Request:
        """Create what is missing by any name."""
        after, call = super().next_request(progress)
        version = progress.version
        if version is not None and isinstance(call, FillBuild):
            for name in sorted(declared(progress.items, version)):
                if is_platform(name) and version.build(name) is None:
                    return after, CreateBuild(version.bucket, version.fingerprint, name, placeholder_labels())
        return after, call


class RebuiltByDeletion(Logic):
    """Delete a placeholder and create the build anew, instead of filling it in place."""

    def next_request(self, progress: Progress) -> Request:
        """Delete instead of filling what somebody else has created."""
        after, call = super().next_request(progress)
        if isinstance(call, FillBuild) and progress.version is not None:
            build = progress.version.build(call.component_type)
            if build is not None and not build.label(OWNER):
                return after, DeleteBuild(call.bucket, call.fingerprint, call.build_id, call.component_type)
        return after, call

    def received(self, progress: Progress, call: Call | DeleteBuild, reply: Reply | None) -> Progress:
        """Forget a build that was deleted; after anything else, read again."""
        return _without(progress, call, reply) or super().received(progress, call, reply)


class StopsWhenListed(Logic):
    """Stop when the image is listed already: whoever crashed before the end is not replaced."""

    def next_request(self, progress: Progress) -> Request:
        """End at once where the first read lists every image."""
        version = progress.version
        listed = version is not None and all(
            standing is Standing.LISTED for standing in standings(progress.items, version)
        )
        if version is not None and version.fresh and listed:
            return progress, None
        return super().next_request(progress)


class PlaceholderDeleted(Logic):
    """Delete a placeholder of an open version, as if nobody would come for it."""

    def next_request(self, progress: Progress) -> Request:
        """Tidy up when the own work is done."""
        after, call = super().next_request(progress)
        version = progress.version
        if call is not None or version is None or version.complete:
            return after, call
        for build in version.builds:
            if is_our_build(build) and not is_whole(build) and not build.label(OWNER):
                return after, DeleteBuild(version.bucket, version.fingerprint, build.id, build.component_type)
        return after, None

    def received(self, progress: Progress, call: Call | DeleteBuild, reply: Reply | None) -> Progress:
        """Forget a build that was deleted; after anything else, read again."""
        return _without(progress, call, reply) or super().received(progress, call, reply)


def _without(progress: Progress, call: Call | DeleteBuild, reply: Reply | None) -> Progress | None:
    if not isinstance(call, DeleteBuild):
        return None
    version: Version | None = progress.version
    if reply is not None or version is None:
        return replace(progress, version=None)
    builds = tuple(build for build in version.builds if build.id != call.build_id)
    return replace(progress, version=replace(version, builds=builds, fresh=False))


@dataclass(frozen=True)
class Control:
    """One mistake: where it shows, and as what."""

    name: str
    logic: type[Logic]
    scenario: Callable[[str], Scenario]
    style: str
    breaks: str


CONTROLS = (
    Control("register only the own build", OwnBuildOnly, three_clouds, "component types on all", "early completion"),
    Control("treat 409 as an error", ConflictIsAnError, three_clouds, "component types on all", "version stuck"),
    Control("write FAILED after a time-out", FailedAfterTimeout, three_clouds, "platforms on all", "build given up"),
    Control(
        "trust the reply instead of a fresh read",
        ReplyTrusted,
        three_clouds,
        "component types on one image only",
        "version stuck",
    ),
    Control(
        "send platform before the build is whole", PlatformTooEarly, late_region, "platforms on all", "lost region"
    ),
    Control(
        "a placeholder for a platform name", PlatformAsPlaceholder, three_clouds, "platforms on all", "version stuck"
    ),
    Control(
        "rebuild by delete and create", RebuiltByDeletion, three_clouds, "component types on all", "early completion"
    ),
    Control(
        "stop when the image is listed already", StopsWhenListed, three_clouds, "platforms on all", "version stuck"
    ),
    Control(
        "delete a placeholder of an open version",
        PlaceholderDeleted,
        three_clouds,
        "component types on all",
        "stranger's build touched",  # its image has come meanwhile
    ),
)
"""Every mistake that the proof must be able to see."""
