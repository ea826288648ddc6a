"""A registry with a clock that tests own, and short names for what most tests do first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from packer_publisher.local.registry_model import Caller, RegistryModel, Tenancy
from packer_publisher.local.registry_refusals import Refusal
from packer_publisher.local.registry_store import MemoryStore, SqliteStore, Store
from tests.switches import setting

START = datetime(2026, 11, 21, 8, 0, 0, 123456, tzinfo=UTC)
BUCKET = "web-server"
PLAIN = pytest.mark.switches(unset_to_done="accept", completion_lag=0.0, read_after_write="fresh")
"""For tests of the registry's own rules: each write is taken, seen at once, and the last one completes its version."""


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


class World:
    """One bucket in one registry."""

    def __init__(self, store: Store | None = None, tenancy: Tenancy | None = None, **switches: Any) -> None:
        self.clock = Clock()
        self.model = RegistryModel(
            store=store or MemoryStore(),
            clock=self.clock,
            switches=setting(**switches),
            seed=7,
            tenancy=tenancy,
        )
        self.model.create_bucket({"name": BUCKET})

    def viewer(self) -> RegistryModel:
        """Return the registry as somebody sees it who may only read."""
        return self.model.seen_by(Caller("viewer", may_write=False))

    def version(self, fingerprint: str = "f1", *components: str) -> list[str]:
        """Create a version with one UNSET build per component type; return the builds' ids."""
        self.model.create_version(BUCKET, {"fingerprint": fingerprint})
        return [self.build(component, fingerprint) for component in components]

    def build(self, component: str, fingerprint: str = "f1", **fields: Any) -> str:
        """Create a build; return its id."""
        body = {"component_type": component, **fields}
        build_id: str = self.model.create_build(BUCKET, fingerprint, body)["build"]["id"]
        return build_id

    def update(self, build_id: str, fingerprint: str = "f1", **fields: Any) -> dict[str, Any]:
        """Update a build; return its document."""
        build: dict[str, Any] = self.model.update_build(BUCKET, fingerprint, build_id, fields)["build"]
        return build

    def done(self, build_id: str, fingerprint: str = "f1", identifier: str = "ami-1", **fields: Any) -> None:
        """Fill a build and set it DONE, as one update."""
        artifacts = [{"external_identifier": identifier, "region": "eu-west-1"}]
        body = {"status": "BUILD_DONE", "platform": "aws", "artifacts": artifacts, **fields}
        self.update(build_id, fingerprint, **body)

    def completed(self, fingerprint: str, component: str = "amazon-ebs", identifier: str = "ami-1") -> None:
        """Create a version and complete it."""
        self.clock.advance(1)
        [build_id] = self.version(fingerprint, component)
        self.done(build_id, fingerprint, identifier)

    def get(self, fingerprint: str = "f1") -> dict[str, Any]:
        """Return what GetVersion says."""
        version: dict[str, Any] = self.model.get_version(BUCKET, fingerprint)["version"]
        return version

    def latest(self) -> str | None:
        """Return the name of the version that ``latest`` points to."""
        return self.points("latest")

    def points(self, channel: str) -> str | None:
        """Return the name of the version that a channel points to."""
        version = self.model.get_channel(BUCKET, channel)["channel"]["version"]
        return None if version is None else version["name"]

    def statuses(self, fingerprint: str = "f1") -> list[str]:
        """Return the statuses of a version's builds."""
        return [build["status"] for build in self.get(fingerprint)["builds"]]


def refused(call: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[int, int, str]:
    """Return status, code and message of the refusal that the call raises."""
    with pytest.raises(Refusal) as caught:
        call(*args, **kwargs)
    return caught.value.status, caught.value.code, caught.value.message


def store_of(kind: str) -> Store:
    """Return an empty store."""
    return SqliteStore() if kind == "sqlite" else MemoryStore()
