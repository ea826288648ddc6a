"""The demo's events, in any order and doubled, through the three real functions and SDKs: always the same contents."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from packer_publisher.local.demo import play
from packer_publisher.local.demo_stage import BUCKET, Appearance, Stage
from packer_publisher.runtime import close_publishers
from tests.switches import EXPECTED, fresh, setting

# The last row that the demo prints is the completed version, with all regions of one image.
pytestmark = pytest.mark.switches(completion_lag=0.0, same_identifier_twice="accept")

SEEDS = 500 if EXPECTED else 20
CHUNKS = 10  # several, so that the tests spread over processes


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Set up the stand-ins once; each order then starts with an empty registry."""
    with Stage(run=1, switches=setting(), on_leaving=close_publishers) as found:
        yield found


@pytest.fixture(scope="module")
def appeared(stage: Stage) -> Appearance:
    """Let the images appear once."""
    return stage.appear()


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_any_order_of_the_demos_events_ends_in_the_same_contents(
    stage: Stage, appeared: Appearance, chunk: int
) -> None:
    """Complete, and exactly what the clouds hold: the artifacts of every build, no more and no less."""
    orders = set()
    for seed in range(chunk, SEEDS, CHUNKS):
        if any(bucket["name"] == BUCKET for bucket in fresh(stage.model).list_buckets()["buckets"]):
            stage.model.delete_bucket(BUCKET)
        result = play(stage, seed, lambda *_: None, appeared)
        assert result.exact, f"seed {seed}: {result}"
        assert "v1" == result.latest_after
        assert not any(told.again for told in result.told), f"seed {seed}"
        outcomes = {told.outcome for told in result.told}
        assert outcomes <= OUTCOMES, f"seed {seed}"
        # Behind a stale read the handler that completes the version may find it open yet.
        assert "completed" in outcomes or stage.model.switches.read_after_write == "stale", f"seed {seed}"
        orders.add(tuple(told.what for told in result.told))
    assert SEEDS // CHUNKS == len(orders)


OUTCOMES = {"completed", "registered", "unchanged", "waiting", "ignored", "filtered"}
