"""The archives of ``make package`` in clean places; these tests run in .venv-deploy, on Python 3.13, only."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.archives import CLOUDS, MissingArchive, find_archive, unpack

ROOT = Path(__file__).parents[2]

# `make test` runs on another Python, without the runtimes: `make test-deploy` is the way to these.
if Path(sys.prefix).name != ".venv-deploy":
    collect_ignore_glob = ["*"]


@pytest.fixture(scope="session")
def archives() -> dict[str, Path]:
    """Return the archive of each cloud's function, as `make package` has built it from this very checkout."""
    try:
        return {cloud: find_archive(ROOT, cloud) for cloud in CLOUDS}
    except MissingArchive as problem:
        pytest.fail(str(problem), pytrace=False)


@pytest.fixture(scope="session")
def unpacked(archives: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that unpacks a cloud's archive into a new folder, on a path that knows nothing of ours."""

    def to_clean_place(cloud: str) -> Path:
        folder = tmp_path_factory.mktemp(cloud)
        unpack(archives[cloud], folder)
        return folder

    return to_clean_place
