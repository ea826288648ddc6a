"""A world with a registry, and backfills of it: what the tests of the backfill begin with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from packer_publisher.backfill.asked import Asked
from packer_publisher.backfill.journal import Entry, Journal
from packer_publisher.backfill.run import Backfill
from packer_publisher.deadline import Deadline
from packer_publisher.image import ImageRef, Platform
from packer_publisher.placement import place
from packer_publisher.policy import BucketPolicy, BucketRule, Policy
from packer_publisher.publish import Publisher
from packer_publisher.snapshot import Version
from tests.simulation.registry import ModelRegistry, look
from tests.simulation.world import World, WorldSurvey, cloud_of

OWNER = "111111111111"
DEADLINE = Deadline(1e9, clock=lambda: 0.0, sleep=lambda _: None)


def problems(entry: Entry) -> list[str]:
    """Return the reasons that the journal holds of a version."""
    found = (entry.details or {})["problems"]
    assert isinstance(found, list)
    return [reason for reason, _ in found]


@dataclass
class Estate:
    """All images of all clouds, the registry, and where journals lie."""

    folder: Path
    world: World = field(default_factory=World)
    registry: Any = field(default_factory=ModelRegistry)
    policy: Policy = field(
        default_factory=lambda: Policy(rules=(BucketRule("*", BucketPolicy(create_bucket=True, channels=("prod",))),))
    )
    surveys: dict[Platform, WorldSurvey] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for platform in Platform:
            self.surveys[platform] = WorldSurvey(self.world, platform, self.policy, self.registry.clock)

    def add(
        self, name: str, bucket: str = "web", fingerprint: str = "", platform: Platform = Platform.AWS, *,
        regions: Iterable[str] = ("eu-west-1",), days: float = 10, owner: str = OWNER, **tags: str,
    ) -> list[ImageRef]:  # fmt: skip
        """Add a tagged image, ``days`` old, in one or more regions."""
        own = {"hcp-packer-bucket": bucket, "hcp-packer-fingerprint": fingerprint or name}
        given = {f"hcp-packer-{key.replace('_', '-')}": value for key, value in tags.items()}
        return self.world.add(platform, owner, name, regions, own | given, age=int(days * 24 * 60))

    def journal(self, name: str = "journal.sqlite") -> Journal:
        """Open a journal in the folder."""
        return Journal(self.folder / name)

    def backfill(self, journal: Journal | None = None, **asked: Any) -> Backfill:
        """Return a run over all clouds, on one thread: the model is not for several."""
        run = Backfill(
            journal or self.journal(),
            Asked(tuple(str(platform) for platform in Platform), **asked),
            self.policy,
            lambda image: place(image, self.policy),
            self.surveys,
            self.registry,
            lambda: Publisher(self.policy, lambda: self.registry, cloud_of(self.world), now=self.registry.clock),
            workers=1,
            now=self.registry.clock,
            deadline=lambda: Deadline(1e9, clock=lambda: 0.0, sleep=lambda seconds: self.forward(seconds=seconds)),
        )
        run.journal.plan_scopes(scope for survey in self.surveys.values() for scope in survey.scopes(DEADLINE))
        return run

    def done(self, **asked: Any) -> list[Entry]:
        """Run a backfill from beginning to end; return its versions."""
        run = self.backfill(self.journal(f"{len(list(self.folder.iterdir()))}.sqlite"), **asked)
        run.list_clouds(lambda *_: None)
        run.look()
        assert "" == run.write()
        return list(run.journal.versions())

    def version(self, fingerprint: str, bucket: str = "web") -> Version:
        """Return a version as it is in the registry."""
        return look(self.registry.model, bucket, fingerprint)

    def forward(self, **by: float) -> None:
        """Let time pass."""
        self.registry.clock.now += timedelta(**by)
