"""A registry that may be down, refuse, or lose replies; and the book of what was written by whom.

The errors are those that the real client raises for each fault (registry/retries.py): a write that got an HTTP error
or no answer has an unknown outcome, a 429 means that nothing happened, a read is given up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from packer_publisher.errors import CredentialsTrouble, OutcomeUnknown, RegistryRefused, RegistryTrouble
from packer_publisher.registry import decoding
from packer_publisher.snapshot import Build, Version
from packer_publisher.steps import RevokeVersion
from tests.simulation.registry import ModelRegistry

READS = ("get_", "is_", "list_", "find_", "search_")


class Fault(StrEnum):
    """What may happen to one call."""

    LOST = "lost"  # done, but the reply never comes
    BROKEN = "broken"  # 503 or a reset, and nothing was done
    BUSY = "busy"  # 429 until patience ends
    EXPIRED = "expired"  # 401 or 403 for the credentials
    PROXY = "proxy"  # a refusal that carries no code: something in between


@dataclass
class Weather:
    """What is wrong at the moment: an outage, and the faults that the next calls meet, one each."""

    outage: bool = False
    faults: list[Fault] = field(default_factory=list)
    met: Counter[str] = field(default_factory=Counter)

    def clear(self) -> None:
        """End every trouble."""
        self.outage = False
        self.faults.clear()


@dataclass(frozen=True)
class Written:
    """One committed write of ours: the writer's owner, the step, and the build and version as they were before."""

    writer: str
    step: Any
    before: Build | None
    version: Version


def as_it_is(registry: ModelRegistry, bucket: str, fingerprint: str) -> Version:
    """Return a version without asking for it: no call, no time, no stale read used up."""
    record = registry.model.find_version(bucket, fingerprint)
    if record is None:
        return Version(bucket, fingerprint)
    document = registry.model.version_document(record, metadata=True)
    return decoding.version(document, bucket, fingerprint, registry.clock(), fresh=True)


class Line:
    """One account's line to the registry; every method is the registry's own, under the weather."""

    def __init__(self, registry: ModelRegistry, weather: Weather, writer: str, book: list[Written]) -> None:
        self._registry = registry
        self._weather = weather
        self._writer = writer
        self._book = book

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._registry, name)
        if not callable(operation):
            return operation

        def call(*arguments: Any, **options: Any) -> Any:
            return self._call(name, operation, *arguments, **options)

        return call

    def _call(self, name: str, operation: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        reads = name.startswith(READS)
        fault = self._fault()
        if fault is Fault.EXPIRED:
            raise CredentialsTrouble("HCP refused the credentials")
        if fault is Fault.BUSY or (reads and fault is not None):
            raise RegistryTrouble(f"{name}: HCP is in trouble ({fault})")
        if fault is Fault.PROXY:
            raise RegistryRefused("Forbidden", code=0, status=403)
        if fault is Fault.BROKEN:
            raise OutcomeUnknown(f"{name}: no answer")
        result = self._noted(operation, *arguments, **options) if not reads else operation(*arguments, **options)
        if fault is Fault.LOST:
            raise OutcomeUnknown(f"{name}: the reply is lost")
        return result

    def _fault(self) -> Fault | None:
        if self._weather.outage:
            self._weather.met["outage"] += 1
            return Fault.BROKEN
        if not self._weather.faults:
            return None
        fault = self._weather.faults.pop(0)
        self._weather.met[fault] += 1
        return fault

    def _noted(self, operation: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Write in the book what a call changed, with what it found before."""
        step = arguments[0]
        if operation == self._registry.revoke_version:
            step = RevokeVersion(*arguments[:3])
        build_id = getattr(step, "build_id", "")
        version = before = None
        if hasattr(step, "fingerprint"):
            version = as_it_is(self._registry, step.bucket, step.fingerprint)
            before = next((build for build in version.builds if build.id == build_id), None)
        result = operation(*arguments, **options)
        if version is not None:
            self._book.append(Written(self._writer, step, before, version))
        return result
