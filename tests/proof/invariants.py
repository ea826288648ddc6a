"""The promises that an interleaving may not break, judged from the registry's contents and the clouds alone.

Nothing here asks the product what it thinks: which names were declared is read off the labels and the images' tags,
which images belong to a build off the world.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from packer_publisher.converge import Settled
from packer_publisher.placement import Item
from packer_publisher.report import Outcome
from packer_publisher.steps import CreateBuild, DeleteBuild, FillBuild, SetLabels, SetStatus
from tests.proof.registry_states import Contents, Held

BuildWrite = CreateBuild | FillBuild | SetStatus | SetLabels | DeleteBuild
RUNNING, DONE = "BUILD_RUNNING", "BUILD_DONE"


class Broken(Exception):
    """An invariant does not hold; ``kind`` is its name."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(what)
        self.kind = kind


@dataclass(frozen=True)
class Rules:
    """What must hold in one scenario.

    ``images`` are those of all its teams, each with the component type it belongs to; ``reference`` is what the
    version must hold in the end: for each component type the builds of which one must stand there. ``complete_by``
    is the first stage at whose end the version must be complete; ``open_until`` the first in which a version that
    declares nothing may complete. ``allowed`` are outcomes that tell somebody of an image that is not in.
    """

    images: tuple[Item, ...]
    reference: Mapping[str, tuple[Held, ...]]
    complete_by: int
    open_until: int = 0
    allowed: frozenset[Outcome] = frozenset()
    late: bool = False  # an image may come after a version that declared nothing was complete

    def check_write(
        self,
        owners: frozenset[str],
        call: BuildWrite,
        stage: int,
        before: Contents,
        after: Contents,
    ) -> None:
        """Check one write that changed something."""
        self._check_stranger(owners, call, before)
        if isinstance(call, FillBuild | SetStatus) and call.status.value in ("BUILD_FAILED", "BUILD_CANCELLED"):
            raise Broken("build given up", f"{call.component_type} was set {call.status.value}")
        if isinstance(call, FillBuild):
            self._check_regions((after.builds or {})[call.component_type], "when it gets its platform")
        if before.complete:
            raise Broken("sealed version written", f"{call.component_type} was written after completion")
        if after.complete:
            self._check_completion(stage, before, after)

    def check_end(self, stage: int, now: Contents) -> None:
        """Check the registry when every handler of a stage is done."""
        if stage >= self.complete_by and not now.complete:
            raise Broken("version stuck", f"everybody is done, and the version holds {_shown(now)}")
        if not now.complete:
            return
        builds = now.builds or {}
        for component_type, wanted in self.reference.items():
            held = builds.get(component_type)
            if held is None and self.late:
                continue
            if held not in wanted:
                raise Broken("contents differ", f"{component_type} is {held}, not {' or '.join(map(str, wanted))}")
        strange = sorted(set(builds) - set(self.reference))
        if strange:
            raise Broken("contents differ", f"nobody has an image for {', '.join(strange)}")

    def check_verdicts(self, settled: Settled, stage: int, now: Contents) -> None:
        """Check that what a handler says at its end is true: an image is in, or somebody is told why it is not."""
        for item, verdict in zip(settled.items, settled.verdicts, strict=True):
            what = f"{item.image.at} is said to be {verdict.outcome}"
            if verdict.outcome in (Outcome.REGISTERED, Outcome.COMPLETED, Outcome.UNCHANGED):
                identifiers = {name for build in (now.builds or {}).values() for _, name in build.artifacts}
                if item.image.ref.identifier not in identifiers:
                    raise Broken("image lost", f"{what}, and no build lists it")
            elif verdict.outcome is not Outcome.WAITING and verdict.outcome not in self.allowed:
                raise Broken("image turned away", f"{what}: {verdict.reason}")
            elif not verdict.reason:
                raise Broken("no reason given", what)

    def _check_stranger(self, owners: frozenset[str], call: BuildWrite, before: Contents) -> None:
        if isinstance(call, CreateBuild):
            return
        held = (before.builds or {})[call.component_type]
        whole = held.ours and bool(held.platform)
        if isinstance(call, SetStatus) and call.status.value in (RUNNING, DONE) and whole:
            return  # a whole build may be finished by any of our functions; some registries want RUNNING just before
        if not held.ours or held.owner not in {"", *owners}:
            raise Broken(
                "stranger's build touched",
                f"{type(call).__name__} by {', '.join(sorted(owners))} on {call.component_type} of {held.owner}",
            )

    def _check_completion(self, stage: int, before: Contents, after: Contents) -> None:
        """Check the moment of completion: nothing that was declared by images seen before is missing."""
        builds = dict(after.builds or {})
        names = {name for held in builds.values() if held.ours for name in _declared(held)}
        for item in self.images:
            own = (before.builds or {}).get(item.placement.component_type)
            if own is not None and own.owner == item.image.owner:
                names |= set(item.placement.expects)
        if not names and stage < self.open_until:
            raise Broken("early completion", f"nothing was declared and no quiet time has passed: {_shown(after)}")
        whole = [held for held in builds.values() if held.platform and held.artifacts]
        there = {held.platform for held in whole} | {held.component_type.casefold() for held in whole}
        missing = sorted(name for name in names if name.casefold() not in there)
        if missing:
            raise Broken("early completion", f"{', '.join(missing)} was declared and is not there: {_shown(after)}")
        for held in builds.values():
            self._check_regions(held, "at completion")

    def _check_regions(self, held: Held, when: str) -> None:
        wanted = [reference.artifacts for reference in self.reference.get(held.component_type, ())]
        if held.artifacts not in wanted:
            raise Broken("lost region", f"{held.component_type} holds {sorted(held.artifacts)} {when}")


def _declared(held: Held) -> list[str]:
    return [name for key, value in held.labels if key.split("-")[0] == "expects" for name in value.split()]


def _shown(contents: Contents) -> str:
    if contents.builds is None:
        return "nothing: it does not exist"
    return ", ".join(
        f"{held.component_type} ({held.status.removeprefix('BUILD_')}, {len(held.artifacts)} artifacts)"
        for held in contents.builds.values()
    )
