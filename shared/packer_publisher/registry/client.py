"""The HCP Packer registry as one object: what everything else of this package talks to."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from packer_publisher.protocols import ReadSecret
from packer_publisher.registry.buckets import BucketOperations
from packer_publisher.registry.channels import ChannelOperations
from packer_publisher.registry.environment import Environment, read_environment
from packer_publisher.registry.pacing import Pace
from packer_publisher.registry.retries import Patience
from packer_publisher.registry.stored_key import no_store
from packer_publisher.registry.tenant import Tenant
from packer_publisher.registry.tokens import AccessTokens
from packer_publisher.registry.transport import Transport
from packer_publisher.registry.versions import VersionOperations
from packer_publisher.registry.wire import Wire

if TYPE_CHECKING:
    from types import TracebackType

    import httpx


class HCPPacker(BucketOperations, VersionOperations, ChannelOperations):
    """A client of one HCP Packer registry (more with ``project``), to be shared by all threads of a process.

    Nothing is sent before the first operation. Every operation takes the invocation's deadline and raises
    CredentialsTrouble, RegistryTrouble (nothing was written), OutcomeUnknown (a write whose answer is lost) or
    RegistryRefused (a definite answer, with its gRPC code). ``transport`` (the network), ``draw`` (the jitter, in
    [0, 1)) and ``now`` (seconds since 1970) are replaceable for tests.
    """

    def __init__(
        self,
        environment: Environment,
        *,
        transport: httpx.BaseTransport | None = None,
        draw: Callable[[], float] = random.random,
        now: Callable[[], float] = time.time,
        pace: Pace | None = None,
        read_secret: ReadSecret = no_store,
    ) -> None:
        self._wire = Wire(transport)
        patience = Patience(draw, now)
        tokens = AccessTokens(environment, self._wire, patience, read_secret)
        calls = Transport(environment.api, tokens, self._wire, patience, pace)
        super().__init__(calls, Tenant(calls, environment.organization_id, environment.project_id))

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        rate: float | None = None,
        read_secret: ReadSecret = no_store,
    ) -> HCPPacker:
        """Return a client for what the ``HCP_*`` variables describe; ConfigurationError where they are wrong.

        ``rate`` is the most requests that it makes in a second, None for any number; ``read_secret`` reads the client
        secret where that lies in a store.
        """
        environment = read_environment(os.environ if environ is None else environ)
        return cls(environment, pace=Pace(rate) if rate else None, read_secret=read_secret)

    @property
    def calls(self) -> int:
        """Return the number of requests sent to the registry's API so far, repetitions included.

        Tokens are not counted, nor is finding out organization and project.
        """
        return self._transport.calls

    def close(self) -> None:
        """Close the connections; a later operation opens new ones."""
        self._wire.close()

    def __enter__(self) -> HCPPacker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
