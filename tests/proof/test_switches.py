"""The main path under every setting of the local registry's switches; tests.proof.switches plays the whole suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from packer_publisher.local.registry_switches import Switches
from tests.proof.switches import Row, covering, play
from tests.switches import survivable, words

MAIN_PATH = (
    "tests/registry/test_against_local_registry.py",
    "tests/test_channels.py",
    "tests/test_versions.py",
)
TOGETHER = list(covering(0))


def test_the_combinations_hold_every_setting_of_every_switch() -> None:
    met = {word for switches in TOGETHER for word in words(switches)}
    assert {word for single in Switches.variations() for word in words(single)} == met
    assert TOGETHER == [survivable(switches) for switches in TOGETHER]


@pytest.mark.parametrize("number", range(len(TOGETHER)))
def test_the_main_path_holds_under_many_settings_at_once(number: int) -> None:
    played = play(TOGETHER[number], MAIN_PATH, jobs="0")
    row = Row(" ".join(words(TOGETHER[number])), TOGETHER[number], played, 0.0)
    assert (len(played) > 100, row.failed) == (True, []), str(row)


def test_a_failure_under_a_setting_is_told(tmp_path: Path) -> None:
    """The control: a test that names nothing and relies on a default is found, with its reason."""
    test = tmp_path / "test_relying.py"
    test.write_text(
        "from tests.switches import setting\n\n\ndef test_relying():\n    assert setting().unset_to_done == 'accept'\n",
        encoding="utf-8",
    )
    under = play(Switches(unset_to_done="refuse"), [str(test)], jobs="0")
    assert ["failed"] == [found.outcome for found in under]
    assert "unset_to_done" in under[0].asked
    assert "refuse" in under[0].why
    assert [found.outcome for found in play(Switches(), [str(test)], jobs="0")] == ["passed"]
