"""A run of stock Packer against the registry's model: its calls in their order, its heartbeats, its weak spots.

The order and the bodies are those of hashicorp/packer 1.16, as the table in tests/local/replays_packer.py has them:
look up the bucket, the version and its builds, create what is missing, then RUNNING, heartbeats and DONE for each
source. It never repeats a call. What it does badly is done here as badly: a create that somebody else was an instant
ahead of makes it skip that source without a word, a RUNNING that fails skips the build, a DONE that fails leaves FAILED
behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_refusals import ABORTED, EXISTS, NOT_FOUND, Refusal

HEARTBEAT = timedelta(minutes=2)
Document = dict[str, Any]


class Unanswered(Exception):
    """A call of Packer's that got no answer; ``committed`` says whether it happened."""

    def __init__(self, *, committed: bool) -> None:
        super().__init__("no answer")
        self.committed = committed


class Phase(Enum):
    """How far one source is."""

    WAITING = auto()  # to be registered
    SKIPPED = auto()  # Packer takes it for done, and does not build it
    REGISTERED = auto()
    RUNNING = auto()
    DONE = auto()
    FAILED = auto()


@dataclass
class Source:
    """One source of the template and its build; ``created`` says that this run's own call made the build."""

    platform: str
    region: str
    identifier: str
    phase: Phase = Phase.WAITING
    created: bool = False
    tagged: bool = False  # its image carries the contract's tags
    build_id: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    beat: datetime | None = None


@dataclass
class PackerRun:
    """One ``packer build``. ``down`` is asked before each call: while it is True nothing is answered or done.

    ``problem`` says why the run stopped, "" while it goes on; ``refusals`` are the answers to updates of its builds.
    """

    model: RegistryModel
    clock: Callable[[], datetime]
    bucket: str
    fingerprint: str
    run_uuid: str
    sources: Mapping[str, Source]
    down: Callable[[], bool] = lambda: False
    problem: str = ""
    refusals: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    killed: bool = False

    def __post_init__(self) -> None:
        self._setup: Iterator[None] | None = self._set_up()

    @property
    def is_set_up(self) -> bool:
        """Return whether all sources were registered, so that building begins."""
        return self._setup is None and not self.problem

    @property
    def alive(self) -> bool:
        """Return whether the process still runs."""
        return not self.killed and not self.problem

    @property
    def over(self) -> bool:
        """Return whether the process has nothing left to do, or is dead."""
        ended = (Phase.SKIPPED, Phase.DONE, Phase.FAILED)
        return not self.alive or (self.is_set_up and all(source.phase in ended for source in self.sources.values()))

    def kill(self) -> None:
        """End the process without a word: its heartbeats stop."""
        self.killed = True

    def set_up_step(self) -> None:
        """Make the next call of the set-up; any failure but the expected ones ends the run before it builds."""
        assert self._setup is not None
        try:
            next(self._setup)
        except StopIteration:
            self._setup = None
        except (Refusal, Unanswered) as error:
            self._setup, self.problem = None, f"set-up failed: {error}"

    def start(self, name: str) -> None:
        """Send RUNNING for a source; where that fails the source is skipped and the run goes on."""
        source = self.sources[name]
        source.phase = Phase.RUNNING if self._update(source, self._status("BUILD_RUNNING")) else Phase.SKIPPED
        source.beat = self.clock()

    def beat(self) -> None:
        """Send the heartbeats that are due; one that fails is logged, and the next one comes."""
        for source in self.sources.values():
            due = source.beat is not None and self.clock() - source.beat >= HEARTBEAT
            if self.alive and source.phase is Phase.RUNNING and due:
                self._update(source, self._status("BUILD_RUNNING"))
                source.beat = self.clock()

    def finish(self, name: str, *, lose_reply: bool = False) -> None:
        """Send DONE with all that the build is; where that fails the build is written FAILED, blindly."""
        source = self.sources[name]
        body = {
            "artifacts": [{"external_identifier": source.identifier, "region": source.region}],
            "labels": source.labels | {"git_sha": "abc"},
            "metadata": {"packer": {"version": "1.16.0"}, "vcs": None, "cicd": None},
            "packer_run_uuid": self.run_uuid,
            "platform": source.platform,
            "source_external_identifier": "ami-base",
            "status": "BUILD_DONE",
        }
        if self._update(source, body, lose_reply=lose_reply):
            source.phase = Phase.DONE
        else:
            self.fail(name, after_done=lose_reply)

    def fail(self, name: str, *, after_done: bool = False) -> None:
        """Write FAILED, as after a provisioner's error or (``after_done``) a DONE whose reply was lost."""
        source = self.sources[name]
        source.phase = Phase.FAILED
        self._update(source, self._status("BUILD_FAILED"), may_be_refused=after_done)

    def _set_up(self) -> Iterator[None]:
        try:
            self._ask(self.model.get_bucket, self.bucket)
        except Refusal as refusal:
            if refusal.code != NOT_FOUND:
                raise
            yield
            self._ask(self.model.create_bucket, {"name": self.bucket})
        yield
        try:
            version = self._ask(self.model.get_version, self.bucket, self.fingerprint)["version"]
        except Refusal as refusal:
            if refusal.code != ABORTED:
                raise
            yield
            body = {"fingerprint": self.fingerprint, "template_type": "HCL2"}
            version = self._ask(self.model.create_version, self.bucket, body)["version"]
        if version["template_type"] not in ("", "TEMPLATE_TYPE_UNSET", "HCL2"):
            self.problem = f"the version was begun with a {version['template_type']} template"
            return
        if version["name"] != "v0":
            self.problem = "the version is complete"
            return
        yield
        listed = self._ask(self.model.list_builds, self.bucket, self.fingerprint)["builds"]
        by_type = {build["component_type"]: build for build in listed}
        for name, source in self.sources.items():
            if name in by_type:
                self._take_up(source, by_type[name])
            else:
                yield
                self._register(name, source)
        yield
        self._ask(self.model.get_enforced_blocks_by_bucket, self.bucket)

    def _take_up(self, source: Source, build: Document) -> None:
        """Go on with a build that is there, unless it is DONE or lists artifacts."""
        source.build_id = build["id"]
        source.labels = dict(build["labels"] or {})
        ended = build["status"] == "BUILD_DONE" or build["artifacts"]
        source.phase = Phase.SKIPPED if ended else Phase.REGISTERED

    def _register(self, name: str, source: Source) -> None:
        body = {
            "artifacts": None,
            "component_type": name,
            "packer_run_uuid": self.run_uuid,
            "status": "BUILD_UNSET",
        }
        try:
            build = self._ask(self.model.create_build, self.bucket, self.fingerprint, body)["build"]
        except Refusal as refusal:
            if refusal.code != EXISTS:
                raise
            self.taken.append(name)
            source.phase = Phase.SKIPPED
            return
        source.build_id, source.created, source.phase = build["id"], True, Phase.REGISTERED

    def _status(self, status: str) -> Document:
        return {"artifacts": None, "packer_run_uuid": self.run_uuid, "status": status}

    def _update(
        self, source: Source, body: Document, *, lose_reply: bool = False, may_be_refused: bool = False
    ) -> bool:
        try:
            self._ask(self.model.update_build, self.bucket, self.fingerprint, source.build_id, body)
        except Refusal as refusal:
            if not may_be_refused:
                name = next(name for name, known in self.sources.items() if known is source)
                self.refusals.append(f"{name} {body['status']}: {refusal.message}")
            return False
        except Unanswered:
            return False
        return not lose_reply

    def _ask(self, operation: Callable[..., Document], *arguments: Any) -> Document:
        if self.down():
            raise Unanswered(committed=False)
        return operation(*arguments)
