"""A function that is killed at any call, and run again, leaves what one leaves that was never killed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from packer_publisher.local.aws import LocalAccount, LocalAWS
from packer_publisher.local.aws_delivery import LocalDelivery
from packer_publisher.local.registry_faults import ANY, LostReply, Stall
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.publish import Publisher
from packer_publisher.report import Outcome
from tests.clouds.aws_stand_in import fresh_account_id
from tests.proof.contents import Contents, contents
from tests.proof.fault_play import Play, clean
from tests.proof.fault_rows import BY_PLATFORM, BY_TYPE, UNDECLARED, Story
from tests.proof.victim import Death, Errand, Killed, finish, kill, start
from tests.publishing import Service, service
from tests.simulation.registry import Clock, ModelRegistry
from tests.simulation.world import cloud_of, event
from tests.switches import setting

STORIES = {"declared by component type": BY_TYPE, "by platform": BY_PLATFORM, "undeclared": UNDECLARED}
STALL = 60.0


@pytest.fixture(scope="module")
def at() -> Iterator[Service]:
    """Serve one registry; each run has a bucket of its own."""
    with service() as found:
        yield found
        found.registry.faults.assert_consumed()


def doom(registry: LocalRegistry, death: Death) -> None:
    """Let the registry keep a process waiting at the call at which it is to be killed."""
    registry.faults.add(ANY, LostReply(STALL) if death.after else Stall(STALL), on=death.call)


def die(at: Service, play: Play, number: int, death: Death) -> None:
    """Deliver an event to a process that is killed at one of its calls."""
    if number == play.story.quiet_before:
        at.clock.forward(hours=7)
    errand = Errand(
        at.registry.environment(),
        play.publisher.policy,
        play.world,
        event(play.images[play.story.events[number]], number, at.clock()),
    )
    doom(at.registry, death)
    with pytest.raises(Killed):
        kill(start("world", errand), at.registry, after=death.after)


def calls_of(at: Service, story: Story, number: int) -> list[str]:
    """Return the requests that a new process makes for one event of a story."""
    play = Play(at, story)
    for earlier in range(number):
        play.deliver(earlier)
    play.new_process()
    before = len(play.network.log)
    play.deliver(number)
    play.close()
    return [sent.operation for sent in play.network.log[before:]]


def deaths() -> list[Any]:
    """Return every event of every story, with each side of a call on which a process can die."""
    return [
        pytest.param(name, number, after, id=f"{name}, event {number + 1}, {'after' if after else 'before'}")
        for name, story in STORIES.items()
        for number in range(len(story.events))
        for after in (False, True)
    ]


@pytest.mark.switches(completion_lag=0.0)  # what there is in the end is looked at without waiting
@pytest.mark.parametrize(("name", "number", "after"), deaths())
def test_a_killed_process_that_is_run_again_changes_nothing_in_the_end(
    at: Service, name: str, number: int, after: bool
) -> None:
    """Killed after every call and before every write; run again at once, or after everybody else, as a queue does."""
    story = STORIES[name]
    exact = clean(at, story)
    calls = calls_of(at, story, number)
    assert "UpdateBuild" in calls
    for call, operation in enumerate(calls, 1):
        if not after and operation.startswith(("Token", "Get")):
            continue  # nothing is carried out: the same as after the call before
        play = Play(at, story)
        for earlier in range(number):
            play.deliver(earlier)
        die(at, play, number, Death(call, after=after))
        clock = Clock(at.clock())
        later = ModelRegistry(clock=clock)
        later.model = at.registry.model.fork(clock)
        assert exact == at_once(at, play, number), f"killed at call {call}, {operation}"
        assert exact == at_last(play, number, later), f"killed at call {call}, {operation}, delivered again as the last"


def at_once(at: Service, play: Play, number: int) -> Contents:
    """Deliver the killed event again, then the others, and sweep when all is quiet; return what there is."""
    play.new_process()
    order = [number, *range(number + 1, len(play.story.events))]
    outcomes = [play.deliver(each, again=each == number).outcome for each in order]
    at.clock.forward(hours=7)
    play.new_process()
    outcomes += [play.deliver(each, again=True).outcome for each in order]
    play.close()
    assert Outcome.DEFERRED not in outcomes
    return play.contents()


def at_last(play: Play, number: int, registry: ModelRegistry) -> Contents:
    """Deliver the others first, then the killed event, and sweep when all is quiet; return what there is."""
    function = Publisher(play.publisher.policy, lambda: registry, cloud_of(play.world), now=registry.clock)
    order = [*range(number + 1, len(play.story.events)), number]
    outcomes = []
    for round_of in (order, order):
        for each in round_of:
            ref = play.images[play.story.events[each]]
            outcomes.append(function.on_event(event(ref, each, registry.clock()), play.time.deadline(60)).outcome)
        registry.clock.forward(hours=7)
    assert Outcome.DEFERRED not in outcomes
    return contents(registry.model, play.bucket)


CONFIG = json.dumps({"buckets": {"base": {"create_buckets": True}}})
TAGS = {"hcp-packer-bucket": "base", "hcp-packer-fingerprint": "killed-1"}


@pytest.fixture(scope="module")
def account() -> Iterator[LocalAccount]:
    """Run moto with one account."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # moto's server tells each request
    with LocalAWS(("eu-west-1", "us-east-1"), ()) as local:
        yield local.account(fresh_account_id())


class Lambda:
    """The real handler, each invocation in a process of its own."""

    def __init__(self, registry: LocalRegistry, queue: LocalDelivery) -> None:
        self.registry = registry
        self.queue = queue

    def run(self, event: dict[str, Any], _context: object) -> Mapping[str, Any]:
        """Let a process handle a batch."""
        said = finish(start("lambda", event, self.queue.environment))
        answer: Mapping[str, Any] = json.loads(said.splitlines()[-1])
        return answer

    def killed(self, death: Death) -> None:
        """Let a process handle a batch and kill it at a call; the batch stays in the queue."""

        def handle(event: dict[str, Any], _context: object) -> Mapping[str, Any]:
            doom(self.registry, death)
            kill(start("lambda", event, self.queue.environment), self.registry, after=death.after)
            raise AssertionError("it was to be killed")

        with pytest.raises(Killed):
            self.queue.deliver(handle)


@pytest.mark.switches(completion_lag=0.0, read_after_write="fresh")  # calls are counted, and there is no sweep
def test_the_lambda_function_killed_and_run_again_leaves_one_whole_version(account: LocalAccount) -> None:
    """Killed at its writes, one after the other; SQS brings the message again, until one run comes to its end."""
    ten_minutes_ago = datetime.now(UTC) - timedelta(minutes=10)
    build = account.build("base-1", TAGS, copies=["eu-west-1"], created=ten_minutes_ago)

    def lives(*dead: Death) -> tuple[Contents, list[str]]:
        with closing(RegistryModel(switches=setting())) as model, local_registry(model) as registry:
            settings = {**registry.environment(), "PUBLISHER_CONFIG": CONFIG, "PUBLISHER_EXPECTS": "amazon-ebs"}
            queue = LocalDelivery(account, settings)
            queue.emit(build.events[-1])
            function = Lambda(registry, queue)
            for death in dead:
                function.killed(death)
                assert 1 == queue.wake()
            delivery = queue.deliver(function.run)
            assert delivery is not None
            assert frozenset() == delivery.failed
            assert queue.deliver(function.run) is None
            registry.faults.assert_consumed()
            account.session().client("sqs", endpoint_url=account.endpoint).delete_queue(QueueUrl=queue.queue_url)
            return contents(model, "base"), [request.operation for request in registry.requests.all()]

    exact, calls = lives()
    assert "v1" == exact["versions"][0]["name"]
    assert 2 == len(exact["versions"][0]["builds"][0]["artifacts"])

    # Each run does what the one before it had left: the version is created, then its build, then all is there.
    created = Death(len(calls) - calls[::-1].index("CreateVersion"), after=True)
    found, lived = lives(created, Death(3, after=True), Death(4, after=False), Death(4, after=True))
    assert exact == found
    assert ["CreateVersion", "CreateBuild", "UpdateBuild", "UpdateBuild", "GetVersion"] == [
        lived[created.call - 1],
        lived[created.call + 2],
        lived[created.call + 6],  # the parent is looked up before the build is written
        lived[created.call + 10],
        lived[created.call + 12],
    ]
