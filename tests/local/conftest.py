"""Fixtures of the stand-ins' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.local.http_registry import RegistryClient, served
from tests.local.worlds import World, store_of


@pytest.fixture(params=["memory", "sqlite"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A registry with one bucket: the same rules over both stores."""
    world = World(store_of(request.param))
    yield world
    world.model.close()


@pytest.fixture
def client() -> Iterator[RegistryClient]:
    """A registry over HTTP with one bucket, and a client that is logged in."""
    world = World()
    with served(world.model) as client:
        client.log_in()
        client.requests.clear()
        yield client
