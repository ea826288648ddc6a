"""The scripted peer, the clock, and one client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from packer_publisher.registry import HCPPacker
from tests.registry.peer import Peer, Time, running_peer


@pytest.fixture
def peer() -> Iterator[Peer]:
    with running_peer() as peer:
        yield peer


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def hcp(peer: Peer) -> Iterator[HCPPacker]:
    with peer.client() as client:
        yield client
