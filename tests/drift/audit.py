"""An estate that is backfilled, spoiled and compared: what the tests of drift begin with."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packer_publisher.deadline import Deadline
from packer_publisher.drift.census import Census
from packer_publisher.drift.findings import Findings
from packer_publisher.drift.row import Row
from packer_publisher.drift.run import Drift, Question, everything
from packer_publisher.image import ImageRef, ImageState
from packer_publisher.placement import place
from tests.backfill.account import Estate


@dataclass
class Audit(Estate):
    """All images of all clouds, and the registry; ``drift`` compares them."""

    workers: int = 1

    @contextmanager
    def run(self, **question: Any) -> Iterator[Drift]:
        """Yield a drift that is over."""
        known = everything(self.policy)
        with tempfile.TemporaryDirectory() as folder:
            census = Census(Path(folder) / "census.sqlite", lambda image: place(image, known), self.policy)
            findings = Findings(Path(folder) / "findings.sqlite")
            run = Drift(
                Question(**question), self.policy, lambda image: place(image, known), self.surveys, self.registry,
                census, findings, self.workers, now=self.registry.clock, deadline=lambda: Deadline.after(1e9),
            )  # fmt: skip
            try:
                run.list_clouds(lambda *_: None)
                run.compare()
                yield run
            finally:
                census.close()
                findings.close()

    def rows(self, **question: Any) -> list[Row]:
        """Return every row."""
        with self.run(**question) as run:
            return list(run.findings.rows())

    def differing(self, **question: Any) -> list[Row]:
        """Return every row that is not correct."""
        return [row for row in self.rows(**question) if row.how]

    def delete(self, ref: ImageRef) -> None:
        """Delete an image; its account stays in sight."""
        del self.world.images[ref]

    def change(self, ref: ImageRef, **fields: Any) -> None:
        """Change an image."""
        self.world.images[ref] = replace(self.world.images[ref], **fields)

    def disable(self, ref: ImageRef) -> None:
        """Disable an image."""
        self.change(ref, state=ImageState.DISABLED)

    def retag(self, ref: ImageRef, **tags: str) -> None:
        """Change some tags of an image."""
        given = {f"hcp-packer-{key.replace('_', '-')}": value for key, value in tags.items()}
        self.world.tag(ref, {**self.world.images[ref].tags, **given})
