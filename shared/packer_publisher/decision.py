"""What a person decides about a version that does not complete by itself: finish it without a part, or abandon it.

Pure, like the plan: each function looks at the last read and names the next call, or says why not. A build that holds
images is never deleted, and no open build is: deleting the last open one might complete the version, or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from packer_publisher.errors import Rejected
from packer_publisher.expectation import LAG, missing, quiet_since
from packer_publisher.labels import ABANDONED, MARKER, gone_from, is_our_build, is_whole, placeholder_labels
from packer_publisher.snapshot import Build, BuildStatus, Version, label_pairs
from packer_publisher.steps import CreateBuild, DeleteBuild, ReadVersion, SetLabels, SetStatus
from packer_publisher.tag_values import is_platform
from packer_publisher.wording import listed, shown

GUARD = "packer-publisher-guard"
"""The component type of the empty build that mends a version whose builds are all DONE while it is still v0."""

Decision = ReadVersion | CreateBuild | SetStatus | SetLabels | DeleteBuild


@dataclass(frozen=True, slots=True)
class Completion:
    """What a person asked for: to complete a version without the named parts."""

    without: tuple[str, ...] = ()

    def check(self, version: Version) -> None:
        """Raise Rejected, with what to do, where the version cannot be completed so."""
        where = f"version {shown(version.fingerprint)} of bucket {shown(version.bucket)}"
        if not version.exists:
            raise Rejected(f"{where} does not exist", remedy="see `packer-publisher explain IMAGE`")
        if version.complete:
            raise Rejected(f"{where} is complete already: {shown(version.name)}")
        lacking = {name.casefold(): name for name in missing((), version)}
        named = {name.casefold() for name in self.without}
        unknown = sorted(named - set(lacking))
        if unknown:
            raise Rejected(
                f"{where} does not wait for {listed(unknown)}",
                remedy=f"it waits for {listed(sorted(lacking.values()))}" if lacking else "leave --without out",
            )
        rest = sorted(lacking[fold] for fold in set(lacking) - named)
        if rest:
            flags = " ".join(f"--without {shown(name)}" for name in rest)
            raise Rejected(f"{where} still waits for {listed(rest)}", remedy=f"let them come, or add {flags}")
        open_strangers = [
            build.component_type
            for build in version.builds
            if not is_our_build(build) and build.status is not BuildStatus.DONE
        ]
        if open_strangers:
            raise Rejected(
                f"{where} holds open builds of a run of Packer: {listed(open_strangers)}",
                remedy="let that run finish, or run it again with HCP_PACKER_BUILD_FINGERPRINT set to this fingerprint",
            )
        if not any(is_whole(build) and not gone_from(build) for build in version.builds):
            raise Rejected(f"{where} holds no image at all", remedy="abandon it instead")


def next_completion_call(
    version: Version | None,
    asked: Completion,
    address: tuple[str, str],
    *,
    finished: bool,
    running_first: bool = False,
) -> Decision | None:
    """Return the next call of a completion, None when the version is complete and tidy, or lags.

    ``finished`` says that this run has set a build DONE: the registry may then need a moment, and the guard waits for
    another run. ``running_first``: the registry was found to refuse UNSET -> DONE.

    Whole builds go DONE first, then the empty ones that are done without; the last of them completes the version. One
    that holds images is never deleted, so one whose image is gone and is done without is set DONE as it is, last.
    Where all are DONE and the version stays open, the guard is one more build whose DONE completes it. What is still
    empty in the complete version is deleted.
    """
    if version is None:
        return ReadVersion(*address)
    ours = [build for build in version.builds if build.label(MARKER) and not build.packer_run_uuid]
    if version.complete:
        tidy = [build for build in ours if not build.artifacts and not build.platform and _done_without(build, asked)]
        return DeleteBuild(*address, tidy[0].id, tidy[0].component_type) if tidy else None
    todo = [build for build in ours if build.status is not BuildStatus.DONE]
    todo = [build for build in todo if not gone_from(build) or _done_without(build, asked)]
    todo.sort(key=lambda b: (bool(gone_from(b)), not is_whole(b), b.component_type == GUARD, b.id))
    if todo:
        build = todo[0]
        held = running_first and build.status is not BuildStatus.RUNNING
        status = BuildStatus.RUNNING if held else BuildStatus.DONE
        return SetStatus(*address, build.id, build.component_type, status)
    if not version.fresh:
        return ReadVersion(*address)
    if not finished and version.build(GUARD) is None and is_stuck(version):
        return CreateBuild(*address, GUARD, placeholder_labels())
    return None


def abandon_calls(version: Version, note: str) -> tuple[SetLabels, ...]:
    """Return the writes that mark every open build of ours as abandoned; "" takes it back.

    The label is emptied rather than removed, because whether labels of an update replace or merge is not documented.
    Raises Rejected where there is nothing to mark.
    """
    where = f"version {shown(version.fingerprint)} of bucket {shown(version.bucket)}"
    if not version.exists:
        raise Rejected(f"{where} does not exist")
    if version.complete:
        raise Rejected(f"{where} is complete: {shown(version.name)}", remedy="revoke it in HCP Packer instead")
    marked = [
        build
        for build in version.builds
        if build.label(MARKER)
        and is_our_build(build)
        and build.status is not BuildStatus.DONE
        and build.label(ABANDONED) != note
    ]
    if not marked:
        state = "holds no open build of ours" if note else "is not abandoned"
        raise Rejected(f"{where} {state}")
    return tuple(
        SetLabels(
            version.bucket,
            version.fingerprint,
            build.id,
            build.component_type,
            label_pairs({**dict(build.labels), ABANDONED: note}),
        )
        for build in marked
    )


def platforms_left_out(without: Sequence[str]) -> tuple[str, ...]:
    """Return the names that are platforms: no build stands for them, they are simply no longer waited for."""
    return tuple(name for name in without if is_platform(name))


def _done_without(build: Build, asked: Completion) -> bool:
    return build.component_type == GUARD or build.component_type.casefold() in {n.casefold() for n in asked.without}


def is_stuck(version: Version) -> bool:
    """Return whether every build is DONE, and was there ten minutes ago, and the version is open all the same."""
    since = quiet_since(version)
    return (
        version.exists
        and not version.complete
        and bool(version.builds)
        and all(build.status is BuildStatus.DONE for build in version.builds)
        and since is not None
        and version.read_at is not None
        and version.read_at - since >= LAG
    )
