"""The second writer is Packer as the table of its calls has it, and in what it does badly."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, cast

import pytest

from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_routes import ROUTES
from packer_publisher.local.registry_store import MemoryStore
from tests.local import replays, replays_packer
from tests.local.replays import AWS, AZURE, BUCKET, FINGERPRINT
from tests.local.replays_packer import RUN
from tests.proof.packer import PackerRun, Phase, Source
from tests.simulation.registry import Clock
from tests.switches import setting

# What Packer does to a version is seen after each of its calls.
pytestmark = pytest.mark.switches(
    completion_lag=0.0,
    read_after_write="fresh",
    silent_build_becomes="BUILD_CANCELLED",
    updates_after_done="refuse",
    platform_resent_same="refuse",
    platform_resent_after_create="refuse",
    default_page_size=50,
    max_page_size=100,
)


class Recorded:
    """The model, with the names of the operations that were asked for, and their bodies."""

    def __init__(self, model: RegistryModel) -> None:
        self.model = model
        self.calls: list[str] = []
        self.bodies: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self.model, name)

        def call(*arguments: Any) -> Any:
            body = arguments[-1] if isinstance(arguments[-1], dict) else {}
            self.bodies.append(body or None)
            self.calls.append(" ".join(filter(None, (name, body.get("status", "")))))
            return operation(*arguments)

        return call


class Shop:
    """A registry, a clock, and runs of Packer."""

    def __init__(self, **switches: Any) -> None:
        self.clock = Clock()
        store, chosen = MemoryStore(), setting(**switches)
        self.model = RegistryModel(store=store, clock=self.clock, switches=chosen, seed=1)
        self.recorded = Recorded(self.model)
        self.down = False

    def run(self, *names: str, uuid: str = "run-1") -> PackerRun:
        """Return a run that has not begun."""
        sources = {}
        for name in names:
            platform, [(identifier, region), *_] = replays.IMAGES[name]
            sources[name] = Source(platform, region, identifier)
        model = cast("RegistryModel", self.recorded)
        return PackerRun(model, self.clock, BUCKET, FINGERPRINT, uuid, sources, lambda: self.down)

    def set_up(self, *names: str, uuid: str = "run-1") -> PackerRun:
        """Return a run whose set-up is over."""
        run = self.run(*names, uuid=uuid)
        while not run.is_set_up and not run.over:
            run.set_up_step()
        return run

    def statuses(self) -> dict[str, str]:
        """Return the builds' statuses by component type."""
        builds = self.model.get_version(BUCKET, FINGERPRINT)["version"]["builds"]
        return {build["component_type"]: build["status"] for build in builds}

    @property
    def version(self) -> str:
        """Return the version's name."""
        return str(self.model.get_version(BUCKET, FINGERPRINT)["version"]["name"])


SETUP = ["get_bucket", "create_bucket", "get_version", "create_version", "list_builds"]
CREATE, BLOCKS = "create_build BUILD_UNSET", "get_enforced_blocks_by_bucket"
RUNNING, DONE, FAILED = (f"update_build BUILD_{status}" for status in ("RUNNING", "DONE", "FAILED"))


def test_a_run_sends_what_the_table_of_the_replays_has() -> None:
    """Operation by operation, with the same bodies: the histories have the very Packer of the replays in them."""
    table = (
        *replays_packer.FRESH,
        replays_packer.create(AZURE),
        replays_packer.NO_BLOCKS,
        replays_packer.status(AZURE, "RUNNING"),
        replays_packer.beat(AZURE, after=120),
        replays_packer.done(AZURE),
    )
    shop = Shop()
    run = shop.set_up(AZURE, uuid=RUN)
    run.start(AZURE)
    shop.clock.forward(seconds=120)
    run.beat()
    run.finish(AZURE)

    assert [operation(row) for row in table] == [call.partition(" ")[0] for call in shop.recorded.calls]
    assert [row.body for row in table] == shop.recorded.bodies


def operation(row: replays.Row) -> str:
    """Return the operation that a row calls, as the model names it."""
    path = re.sub(r"{.*?}", "x", row.path)
    [name] = [
        route.operation
        for route in ROUTES
        if route.method == row.method and re.fullmatch(re.sub(r"{.*?}", "[^/]+", route.path), path)
    ]
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def test_one_run_makes_its_calls_in_their_order() -> None:
    """Five of set-up, a create for each source, enforced blocks, then RUNNING, heartbeats and DONE: 6 + 3N + H."""
    shop = Shop()
    run = shop.set_up(AWS, AZURE)
    for name in (AWS, AZURE):
        run.start(name)
    shop.clock.forward(minutes=2)
    run.beat()
    run.beat()  # not due again
    for name in (AWS, AZURE):
        run.finish(name)
    expected = [*SETUP, CREATE, CREATE, BLOCKS, RUNNING, RUNNING, RUNNING, RUNNING, DONE, DONE]
    assert expected == shop.recorded.calls
    assert 6 + 3 * 2 + 2 == len(shop.recorded.calls)
    assert ("v1", True, "") == (shop.version, run.over, run.problem)


def test_a_second_run_with_the_fingerprint_resumes_what_is_not_done() -> None:
    """What is DONE or lists artifacts is skipped; a FAILED or CANCELLED build goes on under the new run's UUID."""
    shop = Shop()
    first = shop.set_up(AWS, AZURE)
    first.start(AWS)
    first.start(AZURE)
    first.finish(AWS)
    first.kill()
    shop.clock.forward(minutes=11)
    assert {AWS: "BUILD_DONE", AZURE: "BUILD_CANCELLED"} == shop.statuses()
    del shop.recorded.calls[:]
    second = shop.set_up(AWS, AZURE, uuid="run-2")
    assert ["get_bucket", "get_version", "list_builds", BLOCKS] == shop.recorded.calls
    assert {AWS: Phase.SKIPPED, AZURE: Phase.REGISTERED} == {n: s.phase for n, s in second.sources.items()}
    second.start(AZURE)
    second.finish(AZURE)
    assert "v1" == shop.version


def test_a_build_that_another_creates_an_instant_before_is_skipped_without_a_word() -> None:
    """The list did not show it, the create is answered 409/6: Packer takes it for done. It is the weakest spot."""
    shop = Shop()
    run = shop.run(AWS)
    for _ in range(len(SETUP)):
        run.set_up_step()
    shop.model.create_build(BUCKET, FINGERPRINT, {"component_type": AWS})
    while not run.over:
        run.set_up_step()
    assert ([AWS], Phase.SKIPPED, "") == (run.taken, run.sources[AWS].phase, run.problem)


def test_a_running_that_fails_skips_the_build_and_the_run_goes_on() -> None:
    """No image is built, nothing says so, and the version stays open."""
    shop = Shop()
    run = shop.set_up(AWS, AZURE)
    shop.down = True
    run.start(AWS)
    shop.down = False
    run.start(AZURE)
    run.finish(AZURE)
    assert (Phase.SKIPPED, Phase.DONE, "") == (run.sources[AWS].phase, run.sources[AZURE].phase, run.problem)
    assert ("v0", {AWS: "BUILD_UNSET", AZURE: "BUILD_DONE"}) == (shop.version, shop.statuses())


def test_a_done_that_is_refused_leaves_the_build_failed() -> None:
    """So it ends where somebody else has set the platform: the promise that nobody of ours does is what this hurts."""
    shop = Shop()
    run = shop.set_up(AWS)
    run.start(AWS)
    shop.model.update_build(BUCKET, FINGERPRINT, run.sources[AWS].build_id, {"platform": "aws"})
    run.finish(AWS)
    assert [DONE, FAILED] == shop.recorded.calls[-2:]
    refusal = f"{AWS} BUILD_DONE: You cannot override a build's Platform if it has already been set."
    assert ([refusal], {AWS: "BUILD_FAILED"}) == (run.refusals, shop.statuses())


@pytest.mark.parametrize(("after_done", "status"), [("refuse", "BUILD_DONE"), ("accept", "BUILD_FAILED")])
def test_a_done_whose_reply_is_lost_is_followed_by_a_blind_failed(after_done: str, status: str) -> None:
    """What becomes of the build then is the registry's choice."""
    shop = Shop(updates_after_done=after_done)
    run = shop.set_up(AWS, AZURE)
    run.start(AWS)
    run.finish(AWS, lose_reply=True)
    assert [DONE, FAILED] == shop.recorded.calls[-2:]
    assert ({AWS: status, AZURE: "BUILD_UNSET"}, []) == (shop.statuses(), run.refusals)


def test_an_answer_to_get_version_that_is_not_code_10_stops_the_run() -> None:
    """Packer creates a version on ABORTED alone; an inactive registry, say, ends it before anything is built."""
    shop = Shop()
    run = shop.run(AWS)
    run.set_up_step()
    run.set_up_step()
    shop.model.delete_registry()
    run.set_up_step()
    assert "set-up failed: The registry of this project is not active." == run.problem
    assert run.over


def test_a_complete_version_or_another_template_type_stops_the_run() -> None:
    """Packer says so before it builds anything."""
    shop = Shop()
    first = shop.set_up(AWS)
    first.start(AWS)
    first.finish(AWS)
    assert "the version is complete" == shop.set_up(AWS, uuid="run-2").problem
    other = Shop()
    other.model.create_bucket({"name": BUCKET})
    other.model.create_version(BUCKET, {"fingerprint": FINGERPRINT, "template_type": "JSON"})
    assert "the version was begun with a JSON template" == other.set_up(AWS).problem


def test_heartbeats_keep_a_build_running_and_a_late_one_revives_it() -> None:
    """Ten minutes of silence cancel a build; a run that was only slow goes on with the next heartbeat."""
    shop = Shop()
    run = shop.set_up(AWS)
    run.start(AWS)
    for _ in range(30):
        shop.clock.forward(minutes=2)
        run.beat()
    assert {AWS: "BUILD_RUNNING"} == shop.statuses()
    shop.clock.now += timedelta(minutes=11)
    assert {AWS: "BUILD_CANCELLED"} == shop.statuses()
    run.beat()
    assert {AWS: "BUILD_RUNNING"} == shop.statuses()
    run.finish(AWS)
    assert "v1" == shop.version
