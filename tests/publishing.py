"""The real publisher and registry client over HTTP to the local registry, on a world of clouds in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from packer_publisher.deadline import Deadline
from packer_publisher.image import ImageRef
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.policy import BucketPolicy, BucketRule, Policy
from packer_publisher.publish import Publisher
from packer_publisher.registry import HCPPacker
from packer_publisher.report import Report
from tests.simulation.registry import Clock
from tests.simulation.world import World, cloud_of, event
from tests.switches import setting


@dataclass
class Service:
    """A local registry, a world, and functions that publish from it; each function is a process of its own."""

    registry: LocalRegistry
    clock: Clock
    world: World = field(default_factory=World)
    clients: list[HCPPacker] = field(default_factory=list)

    def function(self, rules: BucketPolicy | None = None, **environment: str) -> Publisher:
        """Return a new process's publisher, which allows every bucket under the given rules."""
        policy = Policy(rules=(BucketRule("*", rules or BucketPolicy()),))
        environ = {**self.registry.environment(), **environment}
        wanted: Mapping[str, str] = {key: value for key, value in environ.items() if value}
        return Publisher(policy, lambda: self._client(wanted), cloud_of(self.world), now=self.clock)

    def _client(self, environ: Mapping[str, str]) -> HCPPacker:
        self.clients.append(HCPPacker.from_environment(environ))
        return self.clients[-1]

    def deliver(self, function: Publisher, ref: ImageRef) -> tuple[Report, int]:
        """Deliver an image's event; return the report and the requests that the registry counted."""
        before = self.registry.requests.count()
        report = function.on_event(event(ref, at=self.clock()), Deadline.after(30))
        return report, self.registry.requests.count() - before

    def lag(self) -> None:
        """Let the time pass by which completion lags behind the last DONE."""
        self.clock.forward(seconds=self.registry.model.switches.completion_lag)

    def bucket(self, name: str = "web", **fields: object) -> None:
        """Create a bucket beforehand."""
        self.registry.model.create_bucket({"name": name, **fields})


@contextmanager
def service(**switches: Any) -> Iterator[Service]:
    """Serve a registry whose clock the test owns; ``switches`` are those that the test relies on."""
    clock = Clock()
    model = RegistryModel(clock=clock, switches=setting(**switches), seed=1)
    try:
        with local_registry(model) as registry:
            found = Service(registry, clock)
            try:
                yield found
            finally:
                for client in found.clients:
                    client.close()
    finally:
        model.close()
