"""The setting of the local registry's switches under which the tests run: read here, and nowhere else.

``SWITCHES="unset_to_done=refuse completion_lag=20"`` in the environment is the setting of every registry that a test
starts. What a test relies on it names, and that wins: ``@pytest.mark.switches(completion_lag=0.0)`` for all registries
of the test (of a module: of all its tests), or arguments where it starts one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields, replace
from datetime import timedelta
from typing import Any

from packer_publisher.local.registry_model import Refusal, RegistryModel
from packer_publisher.local.registry_switches import Switches
from packer_publisher.report import Outcome

VARIABLE = "SWITCHES"
NAMES = frozenset(entry.name for entry in fields(Switches))

asked: set[str] = set()
"""The switches that registries asked for since this was cleared, but those that the test had named itself.

A test whose registries never ask for a switch goes the same way under each of its settings.
"""


class Watched(Switches):
    """Switches that write down which of them are asked for, but for those that are named."""

    __slots__ = ("named",)
    named: frozenset[str]

    def __init__(self, switches: Switches, named: frozenset[str]) -> None:
        object.__setattr__(self, "named", named)
        for name in NAMES:
            object.__setattr__(self, name, getattr(switches, name))

    def __getattribute__(self, name: str) -> Any:
        if name in NAMES and name not in object.__getattribute__(self, "named"):
            asked.add(name)
        return object.__getattribute__(self, name)


def survivable(switches: Switches) -> Switches:
    """Return the switches without the one pair under which nobody could finish a version.

    Where two writers can make doubles of one build, the empty one can only be ended by setting it DONE.
    """
    if switches.duplicate_build_key == "component_type_and_platform":
        return replace(switches, done_without_artifacts="accept")
    return switches


_all_tests = survivable(Switches.parse(os.environ.get(VARIABLE, "").split()))

EXPECTED = _all_tests == Switches()
"""Whether the tests run under the defaults; under any other setting the long proofs are played at their smallest."""

_one_test: dict[str, Any] = {}


def setting(**named: Any) -> Switches:
    """Return the switches for a registry of the test that runs now; ``named`` are those that it relies on there."""
    named = {**_one_test, **named}
    return Watched(replace(_all_tests, **named), frozenset(named))


def options(**named: Any) -> list[str]:
    """Return the same as options of a command line: what another process asks for nobody sees, so it counts as all."""
    return [word for switch in words(setting(**named)) for word in ("--switch", switch)]


def words(switches: Switches) -> list[str]:
    """Return what deviates from the defaults as ``name=setting`` words, as ``Switches.parse`` and SWITCHES take it."""
    found = switches.deviations().items()
    return [f"{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in found]


def fresh(model: RegistryModel) -> RegistryModel:
    """Return the registry for a test that looks at it: it sees all that is there, and takes no stale read of others."""
    seeing = {"read_after_write": "fresh", "default_page_size": 50, "max_page_size": 100}
    if all(getattr(model.switches, name) == value for name, value in seeing.items()):
        return model
    copy = model.fork()
    copy.switches = Switches(**{**asdict(model.switches), **seeing})
    return copy


def catch_up(model: RegistryModel, bucket: str, fingerprint: str) -> None:
    """Make the one read that may be behind the last write, so that the next one is not."""
    with suppress(Refusal):  # behind a version's creation that is the answer
        model.get_version(bucket, fingerprint)


def let_lags_pass(model: RegistryModel) -> None:
    """Set the clock of a registry forward by the time that completions and searches lag behind writes."""
    clock, lag = model.clock, timedelta(seconds=max(model.switches.completion_lag, model.switches.search_lag))
    if lag:
        model.clock = lambda: clock() + lag


def completing(switches: Switches | None = None) -> Outcome:
    """Return how the write that completes a version is told: where completion lags, a look finds it open yet."""
    return Outcome.REGISTERED if (switches or setting()).completion_lag else Outcome.COMPLETED


@contextmanager
def relied_on(named: Mapping[str, Any]) -> Iterator[None]:
    """Let every registry that is started meanwhile have the named settings."""
    replace(Switches(), **named)  # a misspelled one would be relied on by nobody
    before = dict(_one_test)
    _one_test.update(named)
    try:
        yield
    finally:
        _one_test.clear()
        _one_test.update(before)
