"""Carrying out what a person decides about a version: read, next call, write, until none is left."""

from __future__ import annotations

from dataclasses import dataclass, replace

from packer_publisher.deadline import Deadline
from packer_publisher.decision import (
    Completion,
    Decision,
    abandon_calls,
    next_completion_call,
)
from packer_publisher.errors import OutcomeUnknown, RegistryRefused, RegistryTrouble
from packer_publisher.labels import MARKER
from packer_publisher.plan import fold
from packer_publisher.protocols import Registry
from packer_publisher.snapshot import Build, BuildStatus, Latest, Version
from packer_publisher.steps import CreateBuild, DeleteBuild, ReadVersion, SetLabels, SetStatus
from packer_publisher.wording import shown

MOST_CALLS = 200
MOST_SETBACKS = 5


@dataclass(frozen=True, slots=True)
class Prospect:
    """What completing a version would do: the writes in order, and where the channel ``latest`` points now."""

    version: Version
    steps: tuple[Decision, ...]
    latest: Latest

    @property
    def pulls_latest_back(self) -> bool:
        """Return whether ``latest`` points to a version that was created after this one."""
        newest, own = self.latest.created_at, self.version.created_at
        return newest is not None and own is not None and newest > own


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of one HCP project, for decisions of a person."""

    registry: Registry
    deadline: Deadline
    project: str | None = None

    def read(self, bucket: str, fingerprint: str) -> Version:
        """Return the version as it stands."""
        return self.registry.get_version(bucket, fingerprint, self.deadline, self.project)

    def prospect(self, bucket: str, fingerprint: str, asked: Completion) -> Prospect:
        """Return what completing would do; writes nothing. Raises Rejected where it cannot be done."""
        version = self.read(bucket, fingerprint)
        asked.check(version)
        latest = self.registry.get_bucket(bucket, self.deadline, self.project).latest
        return Prospect(version, _predicted(version, asked), latest)

    def complete(self, bucket: str, fingerprint: str, asked: Completion) -> tuple[Version, tuple[Decision, ...]]:
        """Complete the version; return it as last read, and the writes made.

        Where HCP has not completed it on the last read, it may lag; running this again ten minutes later mends it.
        Raises Rejected where it cannot be done, RegistryTrouble where HCP keeps refusing.
        """
        address = (bucket, fingerprint)
        version: Version | None = self.read(*address)
        assert version is not None  # noqa: S101  # for the type checker: read never returns None
        asked.check(version)
        written: list[Decision] = []
        setbacks = 0
        running_first = False
        for _ in range(MOST_CALLS):
            finished = any(isinstance(step, SetStatus) for step in written)
            step = next_completion_call(version, asked, address, finished=finished, running_first=running_first)
            if step is None:
                assert version is not None  # noqa: S101  # None asks for a read
                return version, tuple(written)
            try:
                version = self._carry_out(step, version)
            except (RegistryRefused, OutcomeUnknown) as setback:
                if isinstance(step, DeleteBuild) and isinstance(setback, RegistryRefused):
                    return self.read(*address), tuple(written)  # it is complete; what stays in it is empty
                setbacks += 1
                # The documentation does not tell whether a build may go DONE from UNSET; two refusals do.
                running_first = running_first or (isinstance(setback, RegistryRefused) and setbacks > 1)
                if setbacks > MOST_SETBACKS:
                    raise RegistryTrouble(
                        f"HCP Packer keeps refusing to complete version {shown(fingerprint)}: {setback}"
                    ) from setback
                version = None  # read again, never write blindly again
                continue
            if not isinstance(step, ReadVersion):
                written.append(step)
        raise RegistryTrouble(f"completing {shown(fingerprint)} of bucket {shown(bucket)} does not come to an end")

    def abandonment(self, bucket: str, fingerprint: str, note: str) -> tuple[Version, tuple[SetLabels, ...]]:
        """Return the version as it stands, and what abandoning it ("": taking that back) would write; writes nothing.

        Raises Rejected where there is nothing to mark.
        """
        version = self.read(bucket, fingerprint)
        return version, abandon_calls(version, note)

    def abandon(self, bucket: str, fingerprint: str, note: str) -> tuple[SetLabels, ...]:
        """Mark every open build of ours as abandoned ("" takes it back); return the writes made."""
        _, steps = self.abandonment(bucket, fingerprint, note)
        for step in steps:
            self.registry.update_build(step, self.deadline, self.project)
        return steps

    def _carry_out(self, step: Decision, version: Version | None) -> Version | None:
        match step:
            case ReadVersion():
                return self.read(step.bucket, step.fingerprint)
            case DeleteBuild():
                self.registry.delete_build(step.bucket, step.fingerprint, step.build_id, self.deadline, self.project)
                return None
            case CreateBuild():
                build = self.registry.create_build(step, self.deadline, self.project)
            case SetStatus() | SetLabels():
                build = self.registry.update_build(step, self.deadline, self.project)
        return None if version is None else fold(version, ReadVersion(*_address(version)), build)


def _address(version: Version) -> tuple[str, str]:
    return version.bucket, version.fingerprint


def _predicted(version: Version, asked: Completion) -> tuple[Decision, ...]:
    """Return the writes that completing would make, if nothing came in between."""
    steps: list[Decision] = []
    while len(steps) < MOST_CALLS:
        finished = any(isinstance(step, SetStatus) for step in steps)
        step = next_completion_call(version, asked, _address(version), finished=finished)
        match step:
            case None:
                break
            case ReadVersion():
                done = all(build.status is BuildStatus.DONE for build in version.builds)
                version = replace(version, fresh=True, name="v+" if done else version.name)
                continue
            case CreateBuild():
                guard = Build("(new)", step.component_type, labels=((MARKER, "1"),))
                version = version.with_build(guard)
            case SetStatus():
                (build,) = (build for build in version.builds if build.id == step.build_id)
                version = version.with_build(replace(build, status=step.status))
            case DeleteBuild():
                left = tuple(build for build in version.builds if build.id != step.build_id)
                version = replace(version, builds=left)
            case SetLabels():
                break
        steps.append(step)
    return tuple(steps)
