"""The demo: three clouds' events, shuffled and doubled, complete one HCP Packer version on this machine alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from packer_publisher.image import Artifact
from packer_publisher.local.demo_base import parents
from packer_publisher.local.demo_stage import BUCKET, Appearance, CloudEvent, Stage
from packer_publisher.local.registry_model import Refusal

_NO_ARTIFACT: tuple[dict[str, str], ...] = ({},)
MOST_TRIES = 5
"""How often one event is delivered; what is still trouble then fails the demo."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the version: an artifact and the build that lists it."""

    platform: str
    region: str
    artifact: str
    component_type: str
    status: str


@dataclass(frozen=True, slots=True)
class Told:
    """One delivery of an event: what the function logged of it, and the calls to the registry that it cost."""

    number: int
    cloud: str
    what: str
    outcome: str  # an outcome word, or "filtered" where the cloud's own rule dropped the event
    reason: str
    calls: int
    again: bool
    version: str


@dataclass(frozen=True, slots=True)
class Play:
    """How the demo went.

    ``latest`` channels are version names, "" where there is none. ``parent`` is what the version was built from, in
    words, ``orphans`` are the builds that do not record it.
    """

    seed: int
    bucket: str
    fingerprint: str
    version: str
    rows: tuple[Row, ...]
    told: tuple[Told, ...]
    latest_before: str
    latest_after: str
    calls: int
    tokens: int
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    parent: str
    orphans: tuple[str, ...]

    @property
    def exact(self) -> bool:
        """Return whether the version is complete and lists what the clouds hold, nothing less and nothing more.

        And whether each of its builds records the base image that it was made from.
        """
        exact = not (self.missing or self.unexpected or self.orphans)
        return exact and self.version not in ("", "v0") and self.parent != ""


def play(
    stage: Stage, seed: int, tell: Callable[[Told, Sequence[Row]], object], appeared: Appearance | None = None
) -> Play:
    """Let images appear, deliver their events in an order that ``seed`` decides, and return how it went.

    Every event is delivered at least once and some twice; what a function wants to see again comes back at the end.
    ``tell`` is called after each delivery with it and the version as it then stands. ``appeared`` are images that
    are there already.
    """
    rng = random.Random(seed)  # noqa: S311  # an order that can be repeated, no secret
    latest_before = latest(stage)
    calls_before = stage.requests.count()
    events, wanted = appeared or stage.appear()
    queue = [(event, 1) for event in (*events, *rng.sample(events, k=max(1, len(events) // 3)))]
    rng.shuffle(queue)
    told: list[Told] = []
    while queue:
        event, tries = queue.pop(0)
        told.append(_deliver(stage, event, len(told) + 1))
        tell(told[-1], rows(stage))
        if told[-1].again and tries < MOST_TRIES:
            queue.append((event, tries + 1))
    held = rows(stage)
    listed = {(row.platform, Artifact(row.region, row.artifact)) for row in held if row.artifact}
    parent, orphans = parents(stage.model, BUCKET, stage.fingerprint)
    return Play(
        seed=seed,
        bucket=BUCKET,
        fingerprint=stage.fingerprint,
        version=version_name(stage),
        rows=held,
        told=tuple(told),
        latest_before=latest_before,
        latest_after=latest(stage),
        calls=stage.requests.count() - calls_before,
        tokens=stage.requests.count("Token"),
        missing=_names(wanted - listed),
        unexpected=_names(listed - wanted),
        parent=parent,
        orphans=orphans,
    )


def rows(stage: Stage) -> tuple[Row, ...]:
    """Return the version's builds and artifacts as they stand, sorted; a build that is still empty has one row."""
    version = _version(stage)
    found = [
        Row(
            build["platform"] or "",
            artifact.get("region") or "",
            artifact.get("external_identifier") or "",
            build["component_type"],
            build["status"].removeprefix("BUILD_"),
        )
        for build in version.get("builds") or ()
        for artifact in build["artifacts"] or _NO_ARTIFACT
    ]
    return tuple(sorted(found, key=lambda row: (row.component_type, row.region, row.artifact)))


def version_name(stage: Stage) -> str:
    """Return the version's name, "" as long as there is none."""
    return str(_version(stage).get("name", ""))


def latest(stage: Stage) -> str:
    """Return the name of the version that the managed channel ``latest`` points to, "" if there is none."""
    try:
        channel = stage.model.get_channel(BUCKET, "latest")["channel"]
    except Refusal:  # the bucket does not exist yet
        return ""
    return str((channel["version"] or {}).get("name", ""))


def _version(stage: Stage) -> dict[str, Any]:
    try:
        found: dict[str, Any] = stage.model.get_version(BUCKET, stage.fingerprint)["version"]
    except Refusal:  # nobody has created it yet
        return {}
    return found


def _deliver(stage: Stage, event: CloudEvent, number: int) -> Told:
    before = stage.requests.count()
    fields, again = event.deliver()
    return Told(
        number=number,
        cloud=event.cloud,
        what=event.what,
        outcome="filtered" if fields is None else str(fields["outcome"]),
        reason="" if fields is None else str(fields.get("reason", "")),
        calls=stage.requests.count() - before,
        again=again,
        version=version_name(stage),
    )


def _names(artifacts: set[tuple[str, Artifact]] | frozenset[tuple[str, Artifact]]) -> tuple[str, ...]:
    return tuple(sorted(f"{platform} {a.region} {a.external_identifier}" for platform, a in artifacts))
