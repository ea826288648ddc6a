"""What holds for every test: the setting of the local registry's switches."""

from __future__ import annotations

import signal
from collections.abc import Generator
from typing import Any

import pytest

from tests.switches import asked, relied_on


def pytest_configure(config: pytest.Config) -> None:
    # A run in the background of a script was told to ignore it, and so would be each command that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "switches(**settings): the settings of the local registry that a test relies on")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Set what the test's markers name, before the first fixture starts a registry; the closest marker wins."""
    asked.clear()
    named: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers("switches"))):
        named |= marker.kwargs
    with relied_on(named):
        return (yield)
