"""An estate that is backfilled, spoiled and compared: what the tests of drift begin with."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packer_publisher.backfill.asked import Place
from packer_publisher.deadline import Deadline
from packer_publisher.drift.census import Census
from packer_publisher.drift.findings import Findings
from packer_publisher.drift.row import Row
from packer_publisher.drift.run import Drift, Question, everything
from packer_publisher.image import ImageRef, ImageState
from packer_publisher.labels import MARKER, OWNER
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_requests import RequestLog
from packer_publisher.local.registry_serve import local_registry
from packer_publisher.mapping import placer
from packer_publisher.mapping_file import read_mapping
from packer_publisher.placement import place
from packer_publisher.registry import HCPPacker
from tests.backfill.account import Estate
from tests.simulation.registry import Clock
from tests.switches import catch_up, fresh, setting


class Served(HCPPacker):
    """The real client of a local registry, with that registry's rules, clock and request log."""

    model: RegistryModel
    clock: Clock
    requests: RequestLog


@contextmanager
def served() -> Iterator[Served]:
    """Serve a registry over HTTP and yield a client of it."""
    clock = Clock()
    model = RegistryModel(clock=clock, switches=setting(), seed=1)
    try:
        with local_registry(model) as registry:
            environ = {key: value for key, value in registry.environment().items() if value}
            with Served.from_environment(environ) as client:
                assert isinstance(client, Served)
                client.model, client.clock, client.requests = model, clock, registry.requests
                yield client
    finally:
        model.close()


@dataclass
class Audit(Estate):
    """All images of all clouds, and the registry; ``rows`` compares them."""

    workers: int = 1
    mapping: Path | None = None

    @contextmanager
    def drift(self, **question: Any) -> Iterator[Drift]:
        """Yield a drift that is still to be carried out."""
        known = everything(self.policy)
        rule = placer(read_mapping(self.mapping), known, self.registry.clock()) if self.mapping else None
        placed: Place = rule or (lambda image: place(image, known))
        with tempfile.TemporaryDirectory() as folder:
            census = Census(Path(folder) / "census.sqlite", placed, self.policy)
            findings = Findings(Path(folder) / "findings.sqlite")
            try:
                yield Drift(
                    Question(**question), self.policy, placed, self.surveys, self.registry, census, findings,
                    str(self.mapping or ""), workers=self.workers, now=self.registry.clock,
                    deadline=lambda: Deadline.after(30),
                )  # fmt: skip
            finally:
                census.close()
                findings.close()

    def rows(self, **question: Any) -> list[Row]:
        """Return every row."""
        with self.drift(**question) as run:
            run.list_clouds(lambda *_: None)
            run.compare()
            return list(run.findings.rows())

    def differing(self, **question: Any) -> dict[str, Row]:
        """Return every row that is not correct, by its image."""
        found = [row for row in self.rows(**question) if row.how]
        assert len(found) == len({row.identifier for row in found})
        return {row.identifier: row for row in found}

    def delete(self, ref: ImageRef) -> None:
        """Delete an image; another one, which is not ours, keeps its account in sight."""
        image = self.world.images.pop(ref)
        left = replace(ref, identifier=f"{ref.identifier}-other")
        self.world.images[left] = replace(
            image, ref=left, tags={}, artifacts=tuple(replace(a, external_identifier="other") for a in image.artifacts)
        )

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

    def register(
        self, fingerprint: str, component_type: str, artifact: tuple[str, str], platform: str = "aws", owner: str = "",
        *, bucket: str = "web", status: str = "BUILD_DONE",
    ) -> None:  # fmt: skip
        """Write a build into the registry by itself: Packer's own, or (with ``owner``) one of another account's."""
        versions = fresh(self.registry.model).list_versions(bucket)["versions"]
        if fingerprint not in [version["fingerprint"] for version in versions]:
            self.registry.model.create_version(bucket, {"fingerprint": fingerprint})
        labels = {MARKER: "1", OWNER: owner} if owner else {}
        region, identifier = artifact
        self.registry.model.create_build(
            bucket,
            fingerprint,
            {
                "component_type": component_type, "status": status, "platform": platform, "labels": labels,
                "artifacts": [{"region": region, "external_identifier": identifier}],
            },
        )  # fmt: skip
        catch_up(self.registry.model, bucket, fingerprint)
