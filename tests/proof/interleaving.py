"""Every interleaving of handlers on one version, with a crash and a lost reply anywhere: an exhaustive search.

A state is the registry's contents, the stage of the world, what each handler knows (its :class:`Progress`, merged on
its last read) and which mishaps are left. In each state every handler that is not done may make its next call; the
reply to one write may be lost, whether it happened or not; one handler may crash, and its event is delivered again.
Handlers run the real logic, the registry the real model; both are asked once for each pair and remembered, so the
search itself moves numbers only.

What is merged or left out, and why nothing is lost by it:

- Progress without ``lost``, which stops a handler after seven lost replies, and here there is one; of ``written`` only
  what the logic looks at before it writes again.
- A refusal is forgotten once the last read shows that what was refused has happened: builds are never deleted, a
  platform and DONE stay, so that write is never asked for again. So is a parent, once the build is filled.
- Handlers of the same items are alike, so their states are kept in order (symmetry).
- A look at the cloud whose answer cannot change any more happens with the call before it: nobody else can tell. So
  does the search for a parent: it looks at another bucket, to which nobody writes here.
- The lost reply to a read equals a crash: nothing is known, and the handler begins again.
- Time stands still but between stages. Ids of builds sort by component type, or, in the longer run, by creation.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from packer_publisher.converge import Progress, Reply
from packer_publisher.errors import OutcomeUnknown, RegistryRefused, Rejected, Trouble
from packer_publisher.placement import Item
from packer_publisher.snapshot import BuildStatus, Version
from packer_publisher.steps import (
    AssignChannel,
    Call,
    CreateBucket,
    CreateBuild,
    CreateVersion,
    DeleteBuild,
    FillBuild,
    FindParent,
    Gather,
    Read,
    SetLabels,
    SetStatus,
    Write,
)
from tests.proof.invariants import Broken, BuildWrite
from tests.proof.players import CRASH, LOSS, Actor, Figures, Logic, Scenario
from tests.proof.registry_states import RegistryStates
from tests.switches import setting

ENDED = 0  # the number of a handler that is done: what it knew matters no more
LOST = OutcomeUnknown("the reply is lost")

State = tuple[int, ...]  # registry, stage, mishaps left, then a number for what each handler knows


class Violation(AssertionError):
    """An invariant is broken: ``kind`` names it, ``trace`` is how it came to that."""

    def __init__(self, scenario: str, broken: Broken, trace: list[str]) -> None:
        self.kind = broken.kind
        self.trace = trace
        steps = "".join(f"\n  {number:>3}. {line}" for number, line in enumerate(trace, 1))
        super().__init__(f"{scenario}: {broken.kind}: {broken}{steps}")


@dataclass(frozen=True, slots=True)
class _Moves:
    """What one handler can do: pairs of the registry and the handler afterwards."""

    plain: tuple[int, int]
    lost: tuple[tuple[int, int], ...]
    call: Call | DeleteBuild


class Exploration:
    """The search through one scenario."""

    def __init__(self, scenario: Scenario, logic: Logic | None = None) -> None:
        self.scenario = scenario
        self._logic = logic or Logic()
        self._rules = scenario.rules
        self.registries = RegistryStates(
            scenario.bucket,
            scenario.fingerprint,
            bucket_exists=scenario.bucket_exists,
            naming=scenario.naming,
            switches=scenario.switches or setting(),
            base=scenario.base,
        )
        self._numbers: dict[tuple[int, Progress | None], int] = {(-1, None): ENDED}
        self._known: list[Progress | None] = [None]
        self._calls: list[Call | DeleteBuild | None] = [None]
        self._moves: dict[tuple[int, int, int], _Moves] = {}
        self._checked: set[tuple[int, int]] = set()
        self._actors = sorted(scenario.actors, key=lambda actor: (actor.since, scenario.actors.index(actor)))
        # Alike handlers stand side by side, so that their numbers can be kept in order.
        groups: dict[tuple[tuple[Item, ...], int], list[Actor]] = {}
        for actor in self._actors:
            groups.setdefault((actor.items, actor.since), []).append(actor)
        self._actors = [actor for group in groups.values() for actor in group]
        self._group = [number for number, group in enumerate(groups.values()) for _ in group]
        self._alike = self._spans()
        self._fixed = all(stage.gathered == scenario.stages[0].gathered for stage in scenario.stages)
        self._first = [self._begin(place) for place in range(len(self._actors))]
        self._owners = [frozenset(item.image.owner for item in actor.items) for actor in self._actors]

    def run(self) -> Figures:
        """Visit every state; raise Violation, with the shortest way to it, where an invariant is broken."""
        began = time.perf_counter()
        visited, transitions = 0, 0
        try:
            visited, transitions = self._search()
        except Broken as broken:
            raise self.shortest() or Violation(self.scenario.name, broken, []) from broken
        seconds = time.perf_counter() - began
        return Figures(self.scenario.name, visited, transitions, len(self.registries), len(self._known), seconds)

    def shortest(self) -> Violation | None:
        """Return the violation that takes the fewest steps, None if there is none."""
        self._checked.clear()
        first = self._start()
        before: dict[State, State | None] = {first: None}
        waiting = deque([first])
        while waiting:
            state = waiting.popleft()
            lines: list[str] = []
            try:
                reached = self._after(state, lines)
            except Broken as broken:
                return Violation(self.scenario.name, broken, [*self._trace(state, before), *lines])
            for successor in reached:
                if successor not in before:
                    before[successor] = state
                    waiting.append(successor)
        return None

    def _search(self) -> tuple[int, int]:
        """Go depth first, so that a way that leads back to itself is seen; return states and transitions."""
        first = self._start()
        visited = {first}
        on_the_way = {first}
        transitions = 0
        path: list[tuple[State, Iterator[State]]] = [(first, iter(self._after(first)))]
        while path:
            state, successors = path[-1]
            for successor in successors:
                transitions += 1
                if successor not in visited:
                    visited.add(successor)
                    on_the_way.add(successor)
                    path.append((successor, iter(self._after(successor))))
                    break
                if successor in on_the_way:
                    states = [earlier for earlier, _ in path]
                    around = [*states[states.index(successor) :], successor]
                    ways = dict(zip(around[1:], around, strict=False))
                    raise Broken("goes round for ever", "; ".join(self._label(ways[s], s) for s in around[1:]))
            else:
                path.pop()
                on_the_way.discard(state)
        return len(visited), transitions

    def _start(self) -> State:
        return (0, 0, self.scenario.mishaps, *self._first)

    def _after(self, state: State, lines: list[str] | None = None) -> list[State]:
        """Return every state that may come next; with ``lines`` say what leads there, one line for each."""
        registry, stage, mishaps = state[:3]
        knows = state[3:]
        found: list[State] = []
        for place, known in enumerate(knows):
            if known == ENDED or self._actors[place].since > stage:
                continue
            moves = self._moves.get((known, registry, stage))
            if moves is None:
                if lines is not None:
                    lines[:] = [f"{self._actors[place].name}: {_words(self._calls[known])}"]
                moves = self._moves[known, registry, stage] = self._make(place, known, registry, stage)
            head, tail = knows[:place], knows[place + 1 :]
            after, knowing = moves.plain
            found.append((after, stage, mishaps, *head, knowing, *tail))
            if mishaps & LOSS:
                found += [(after, stage, mishaps & ~LOSS, *head, knowing, *tail) for after, knowing in moves.lost]
            if mishaps & CRASH and known != self._first[place]:
                found.append((registry, stage, mishaps & ~CRASH, *head, self._first[place], *tail))
        if lines is not None:
            lines.clear()
        if not found and (registry, stage) not in self._checked:
            self._checked.add((registry, stage))
            self._rules.check_end(stage, self.registries.contents(registry))
        if stage + 1 < len(self.scenario.stages) and self._may_come(stage + 1, knows, done=not found):
            found.append((registry, stage + 1, mishaps, *knows))
        return [self._ordered(successor) for successor in found] if self._alike else found

    def _may_come(self, stage: int, knows: State, *, done: bool) -> bool:
        match self.scenario.stages[stage].comes:
            case "any time":
                return True
            case "over":
                return done
            case "idle":
                return all(known in (ENDED, first) for known, first in zip(knows, self._first, strict=True))

    def _make(self, place: int, known: int, registry: int, stage: int) -> _Moves:
        """Ask the logic and the model what one handler's next call does, and hold it against the rules."""
        progress, call = self._known[known], self._calls[known]
        if progress is None or call is None:
            raise TypeError("a handler that is done makes no call")
        world = self.scenario.stages[stage]
        if isinstance(call, Gather):
            reply: Reply | None = world.gathered[call.identifier]
            return _Moves((registry, self._heard(place, progress, call, reply, registry, stage)), (), call)
        after, reply = self.registries.ask(registry, call, world.now)
        before, now = self.registries.contents(registry), self.registries.contents(after)
        if isinstance(call, BuildWrite) and after != registry:
            self._rules.check_write(self._owners[place], call, stage, before, now)
        plain = (after, self._heard(place, progress, call, reply, after, stage))
        if isinstance(call, Read):
            return _Moves(plain, (), call)
        happened = self._heard(place, progress, call, LOST, after, stage)
        lost = {(after, happened), (registry, self._heard(place, progress, call, LOST, registry, stage))}
        return _Moves(plain, tuple(sorted(lost)), call)

    def _heard(
        self, place: int, progress: Progress, call: Call | DeleteBuild, reply: Reply | None, registry: int, stage: int
    ) -> int:
        """Return the number of what a handler knows after a reply: ENDED where nothing is left to do."""
        try:
            progress = self._logic.received(progress, call, reply)
            while True:
                progress, wanted = self._logic.next_request(progress)
                world = self.scenario.stages[stage]
                if isinstance(wanted, Gather) and self._fixed:
                    found: Reply | None = world.gathered[wanted.identifier]
                elif isinstance(wanted, FindParent):
                    _, found = self.registries.ask(registry, wanted, world.now)
                else:
                    break
                progress = self._logic.received(progress, wanted, found)
            if wanted is None:
                settled = self._logic.settle(progress)
                self._rules.check_verdicts(settled, stage, self.registries.contents(registry))
                return ENDED
        except Trouble:
            return self._first[place]  # the platform delivers the event again
        except (Rejected, RegistryRefused):
            return ENDED  # told to somebody, and never tried again
        return self._number(self._group[place], progress, wanted)

    def _begin(self, place: int) -> int:
        progress, call = self._logic.next_request(self._logic.start(self._actors[place].items))
        if call is None:
            raise TypeError("a handler begins with a call")
        return self._number(self._group[place], progress, call)

    def _number(self, group: int, progress: Progress, call: Call | DeleteBuild) -> int:
        version, refused, items = progress.version, progress.refused, progress.items
        if version is not None:
            items = tuple(replace(item, parent=None) if _is_filled(item, version) else item for item in items)
            version = replace(version, builds=tuple(sorted(version.builds, key=lambda build: build.id)))
            refused = tuple(entry for entry in refused if not _is_past(entry[0], version))
        refused = tuple(sorted(refused, key=repr))
        kept = {
            call for call in progress.written if isinstance(call, SetLabels | AssignChannel) and progress.answered(call)
        }
        written = tuple(sorted(kept, key=repr))
        progress = replace(progress, items=items, version=version, written=written, refused=refused)
        progress = replace(progress, lost=0, unanswered=())
        number = self._numbers.setdefault((group, progress), len(self._known))
        if number == len(self._known):
            self._known.append(progress)
            self._calls.append(call)
        return number

    def _spans(self) -> list[tuple[int, int]]:
        places: dict[int, list[int]] = {}
        for place, group in enumerate(self._group):
            places.setdefault(group, []).append(place)
        return [(3 + found[0], 3 + found[-1] + 1) for found in places.values() if len(found) > 1]

    def _ordered(self, state: State) -> State:
        for begin, end in self._alike:
            state = (*state[:begin], *sorted(state[begin:end]), *state[end:])
        return state

    # What happened, for a person

    def _trace(self, state: State, before: Mapping[State, State | None]) -> list[str]:
        lines = []
        earlier = before[state]
        while earlier is not None:
            lines.append(self._label(earlier, state))
            state, earlier = earlier, before[earlier]
        return lines[::-1]

    def _label(self, earlier: State, state: State) -> str:
        if state[1] != earlier[1]:
            return f"-- {self.scenario.stages[state[1]].name}"
        for place, known in enumerate(earlier[3:]):
            if known == ENDED or self._actors[place].since > earlier[1]:
                continue
            moves = self._moves[known, earlier[0], earlier[1]]
            head, tail = earlier[3 : 3 + place], earlier[4 + place :]
            name, call = self._actors[place].name, _words(moves.call)
            crashed = (earlier[0], earlier[1], earlier[2] & ~CRASH, *head, self._first[place], *tail)
            for (after, knowing), mishap in [(moves.plain, 0), *((lost, LOSS) for lost in moves.lost)]:
                if self._ordered((after, earlier[1], earlier[2] & ~mishap, *head, knowing, *tail)) == state:
                    happened = "" if not mishap else f", reply lost, {'not ' if after == earlier[0] else ''}written"
                    return f"{name}: {call}{happened}{' (done)' if knowing == ENDED else ''}"
            if state[2] != earlier[2] and self._ordered(crashed) == state:
                return f"{name} crashes"
        return "?"


def _is_past(call: Write, version: Version) -> bool:
    """Return whether a write that was refused can never be asked for again, because what it is for has happened."""
    match call:
        case CreateBucket() | CreateVersion():
            return version.exists
        case CreateBuild(component_type=component_type):
            return version.build(component_type) is not None
        case FillBuild(component_type=component_type) | SetStatus(component_type=component_type):
            build = version.build(component_type)
            filled = isinstance(call, FillBuild) and build is not None and build.platform != ""
            return filled or (build is not None and build.status is BuildStatus.DONE)
        case _:
            return False


def _is_filled(item: Item, version: Version) -> bool:
    build = version.build(item.placement.component_type)
    return build is not None and build.platform != ""


def _words(call: Call | DeleteBuild | None) -> str:
    match call:
        case FillBuild() | SetStatus():
            return f"{type(call).__name__} {call.component_type} {call.status.value}"
        case CreateBuild() | DeleteBuild() | SetLabels():
            return f"{type(call).__name__} {call.component_type}"
        case _:
            return type(call).__name__
