"""What every examination needs: a registry that takes its credentials."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from tests.switches import setting


@pytest.fixture(scope="module")
def registry() -> Iterator[LocalRegistry]:
    """A local registry, one for all tests of a file."""
    with local_registry(RegistryModel(seed=1, switches=setting())) as registry:
        yield registry
