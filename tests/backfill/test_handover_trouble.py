"""A backfill that is handed over loses nothing: whoever dies, whatever is refused, and what stays open is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from packer_publisher.backfill.handover import PATIENCE, Handover
from packer_publisher.errors import CloudTrouble, Forbidden
from packer_publisher.image import Platform
from tests.backfill.account import Estate, problems
from tests.backfill.functions import Functions, Killed, Line, begin, estate, functions, hand_over, history
from tests.switches import catch_up

__all__ = ["estate", "functions"]


@pytest.mark.parametrize("delivered", [False, True], ids=["before it is on the queue", "after"])
@pytest.mark.parametrize("number", range(1, 10))
def test_a_run_that_is_killed_while_it_sends_loses_nothing(
    estate: Estate, functions: Functions, number: int, delivered: bool
) -> None:
    """Only what was being sent at that very moment is sent again, unless HCP shows it done by then."""
    numbers = history(estate)
    taken = 0

    def dying(queue: Line) -> Callable[[], None]:
        def count() -> None:
            nonlocal taken
            taken += 1
            if taken == number:
                if not delivered:
                    raise Killed
                queue.dies = True

        return count

    for queue in functions.queues.values():
        queue.fails = dying(queue)
    run = begin(estate)
    with pytest.raises(Killed):
        hand_over(run, functions)
    run.journal.close()
    run = begin(estate, estate.journal())
    assert "" == hand_over(run, functions)
    assert numbers == {entry.fingerprint: entry.name for entry in run.journal.versions()}
    sent = [text for queue in functions.queues.values() for text in queue.everything]
    assert len(sent) <= 9 + delivered
    assert 9 == len(set(sent))


@pytest.mark.switches(read_after_write="fresh")
def test_what_was_done_after_a_run_was_killed_is_not_sent_again(estate: Estate, functions: Functions) -> None:
    """Whether the message was put nobody noted; HCP shows that it was."""
    estate.add("a1")
    functions.queues[Platform.AWS].dies = True
    run = begin(estate)
    with pytest.raises(Killed):
        hand_over(run, functions)
    assert ["sending"] == [entry.stage for entry in run.journal.versions()]
    functions.work()
    assert "" == hand_over(begin(estate, run.journal), functions)
    assert ["done"] == [entry.stage for entry in run.journal.versions()]
    assert 1 == len(functions.queues[Platform.AWS].everything)


def test_what_was_sent_is_not_sent_again(estate: Estate, functions: Functions) -> None:
    """The functions are slow; a resumed run waits for them, and tells what is open and why."""
    estate.add("a1")
    estate.add("b2", days=5)
    functions.off = True
    run = begin(estate)
    reason = "version a1 of bucket web was sent and is not finished: nothing of it is in HCP Packer yet"
    assert reason == hand_over(run, functions)
    assert ["sent", "looked"] == [entry.stage for entry in run.journal.versions()]
    run = begin(estate, run.journal)
    assert reason == hand_over(run, functions)
    assert 1 == len(functions.queues[Platform.AWS].everything)
    functions.off = False
    functions.work()
    assert "" == hand_over(begin(estate, run.journal), functions)
    assert 2 == len(functions.queues[Platform.AWS].everything)
    assert ["v1", "v2"] == [estate.version(name).name for name in ("a1", "b2")]


@pytest.mark.parametrize("done", [False, True], ids=["lost", "done meanwhile"])
def test_what_was_rejected_or_lost_is_sent_again_where_a_person_says_so(
    estate: Estate, functions: Functions, done: bool
) -> None:
    """A function tells of it in its own log alone; what HCP shows done by then is not sent again."""
    estate.add("a1")
    estate.add("b2", days=5)
    queue = functions.queues[Platform.AWS]
    functions.off = True
    run = begin(estate)
    assert "version a1 of bucket web was sent and is not finished" in hand_over(run, functions)
    functions.off = False
    if done:
        functions.work()
        catch_up(estate.registry.model, "web", "a1")
    queue.messages.clear()
    run = begin(estate, run.journal)
    assert "" == Handover(run, functions.queues, pause=functions.work, again=True).run()
    assert ["a1", *([] if done else ["a1"]), "b2"] == [order.fingerprint for order in functions.orders(Platform.AWS)]
    assert ["v1", "v2"] == [entry.name for entry in run.journal.versions()]


def test_a_version_that_is_not_finished_holds_its_bucket_and_what_was_built_from_it(
    estate: Estate, functions: Functions
) -> None:
    """Their numbers and parents depend on it; other buckets go on, and a resumed run goes on with these."""
    (base,) = estate.add("a1", days=30)
    estate.add("b2", days=20)
    estate.add("c3", bucket="database")
    estate.add("d4", bucket="aaa-app", days=10, source_image=base.identifier)
    run = begin(estate)
    gone = estate.world.images.pop(base)  # the function does not find it
    assert "version a1 of bucket web was sent and is not finished" in hand_over(run, functions)
    assert "v1" == estate.version("c3", "database").name
    assert [False, False] == [estate.version(*at).exists for at in (("b2", "web"), ("d4", "aaa-app"))]
    estate.world.images[base] = gone
    (late,) = [text for text in functions.queues[Platform.AWS].everything if '"a1"' in text]
    functions.deliver(Platform.AWS, late)
    assert "" == hand_over(begin(estate, run.journal), functions)
    assert ["v1", "v2", "v1"] == [estate.version(*at).name for at in (("a1", "web"), ("b2", "web"), ("d4", "aaa-app"))]


def test_a_queue_that_denies_access_loses_nothing(estate: Estate, functions: Functions) -> None:
    """The refusal ends the run; once it is mended, a resumed one sends everything."""

    def deny() -> None:
        raise Forbidden("SQS denied access")

    estate.add("a1")
    functions.queues[Platform.AWS].fails = deny
    run = begin(estate)
    with pytest.raises(Forbidden):
        hand_over(run, functions)
    assert ["looked"] == [entry.stage for entry in run.journal.versions()]
    functions.queues[Platform.AWS].fails = lambda: None
    assert "" == hand_over(begin(estate, run.journal), functions)
    assert "v1" == estate.version("a1").name


def test_the_second_queue_of_a_version_that_denies_access_is_sent_alone_later(
    estate: Estate, functions: Functions
) -> None:
    """What the first one has is not sent again."""

    def deny() -> None:
        raise Forbidden("Azure denied access")

    estate.add("a1")
    estate.add("a1", platform=Platform.AZURE, regions=["westeurope"], owner="sub-1")
    functions.queues[Platform.AZURE].fails = deny
    run = begin(estate)
    with pytest.raises(Forbidden):
        hand_over(run, functions)
    functions.queues[Platform.AZURE].fails = lambda: None
    assert "" == hand_over(begin(estate, run.journal), functions)
    assert [1, 1] == [len(functions.queues[p].everything) for p in (Platform.AWS, Platform.AZURE)]


def test_a_queue_that_stumbles_is_tried_again(estate: Estate, functions: Functions) -> None:
    """A message may come twice that way, which is harmless."""
    tries = iter([CloudTrouble("the queue is busy"), None])

    def stumble() -> None:
        if (trouble := next(tries)) is not None:
            raise trouble

    estate.add("a1")
    functions.queues[Platform.AWS].fails = stumble
    run = begin(estate)
    run.stop.wait = lambda _=None: False  # type: ignore[method-assign,assignment]  # time passes at once
    assert "" == hand_over(run, functions)


def test_more_parts_than_a_message_may_declare_are_told(estate: Estate, functions: Functions) -> None:
    """Each image's tags are within their limit, and together they declare too much; the next version goes on."""
    for name in ("one", "two", "three", "four", "five"):
        parts = " ".join(f"amazon-ebs.{name}-{number}" for number in range(13))
        estate.add(f"a1-{name}", fingerprint="a1", component_type=f"amazon-ebs.{name}-0", days=20, expects=parts)
    estate.add("b2", days=10)
    run = begin(estate)
    assert "" == hand_over(run, functions)
    first, second = run.journal.versions()
    assert ("rejected", "completed") == (first.outcome, second.outcome)
    assert ["it consists of 65 parts, more than 64"] == problems(first)


def test_patience_outlives_the_longest_rest_of_a_message() -> None:
    """Else a version would be called open although its next try is due."""
    from packer_publisher.clouds.aws_queue import CAP

    assert timedelta(seconds=2 * CAP) <= PATIENCE
