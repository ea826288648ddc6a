"""What the doctor needs of a cloud and of the registry; neither knows the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Protocol

from packer_publisher.deadline import Deadline
from packer_publisher.finding import Finding
from packer_publisher.policy import Policy
from packer_publisher.snapshot import Bucket


class Examiner(Protocol):
    """One deployment of one cloud; ``account`` and ``functions`` come first, they find what the rest looks at."""

    platform: str

    @property
    def where(self) -> str:
        """Return the deployment in words."""

    @property
    def variables(self) -> Mapping[str, str]:
        """Return the environment of the deployed function, {} where it is not known."""

    @property
    def queue(self) -> str:
        """Return what a probe is put on, "" where that is not known."""

    @property
    def log(self) -> str:
        """Return where the function's log is, for a person."""

    def account(self) -> Iterator[Finding]:
        """Yield whose account, subscription or project this is."""

    def functions(self) -> Iterator[Finding]:
        """Yield how the function is."""

    def examine(self, policy: Policy | None) -> Iterator[Finding]:
        """Yield how its role, queues, rules and the like are; ``policy`` is what its configuration says."""

    def send_probe(self, text: str) -> None:
        """Put a message on the function's own queue; raises Trouble."""

    def probe_answer(self, identifier: str, since: datetime) -> Mapping[str, Any] | None:
        """Return the answer that the function's log has, None while it has none; raises Trouble."""


class RegistryState(Protocol):
    """What HCP tells of a registry."""

    @property
    def activated(self) -> bool:
        """Return whether it is active."""

    @property
    def tier(self) -> str:
        """Return its tier."""

    @property
    def at(self) -> datetime | None:
        """Return HCP's own time of the answer."""


class Registry(Protocol):
    """What the doctor asks HCP; every call raises PublisherError as the client does."""

    def get_registry(self, deadline: Deadline, project: str | None = None) -> RegistryState | None:
        """Return the state of a project's registry, None where there is none."""

    def get_bucket(self, bucket: str, deadline: Deadline, project: str | None = None) -> Bucket:
        """Return a bucket; one that is not there does not exist."""
