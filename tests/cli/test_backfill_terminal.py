"""``backfill`` at a terminal: the question, Ctrl-C at any moment, and the end of its time."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from tests.cli.terminal import CTRL_C, CTRL_D, Terminal, on_terminal
from tests.cli.test_backfill import Account, account, history

__all__ = ["account"]

# The time of the command is real, and a build is filled once: where a platform is accepted again, a stale read lets it
# be filled twice.
pytestmark = pytest.mark.switches(
    completion_lag=0.0, platform_resent_same="refuse", platform_resent_after_create="refuse"
)

QUESTION = "Write 12 versions? [y/N] "


def terminal(account: Account, *words: str) -> AbstractContextManager[Terminal]:
    """Run the command on a terminal of its own, by which Ctrl-C reaches it as a signal."""
    return on_terminal(("backfill", "aws", *words), account.environment, account.folder)


def waits_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is so."""
    ended = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ended
        time.sleep(0.01)


def writes(account: Account) -> int:
    """Return how many requests to the registry were not reads (one for a token is none)."""
    return sum(name.startswith(("Create", "Update")) for name in account.registry.requests.operations())


def lists(account: Account) -> int:
    """Return how many lists of images EC2 was asked for."""
    return sum(request.action == "DescribeImages" for request in account.ec2.requests)


def test_yes_writes_with_progress(account: Account) -> None:
    """The plan, the question, a bar while it lasts, the sums."""
    with terminal(account, "--rate", "50") as screen:
        screen.until(QUESTION)
        assert 0 == writes(account)
        screen.type("yes\n")
        assert 0 == screen.end()
    assert history(account) == account.versions()
    assert re.search(
        r"writing .*\d+/12.* \d+/s, \d+ calls.*[-0-9]:[-0-9]{2}:[-0-9]{2}", screen.seen
    )  # and the time left
    assert "Done: 2 buckets, 12 versions (12 completed), 24 artifacts," in screen.seen


@pytest.mark.parametrize("keys", ["n\n", "\n", CTRL_D, "maybe\nno\n"], ids=["no", "return", "ctrl-d", "then no"])
def test_anything_but_yes_writes_nothing(account: Account, keys: str) -> None:
    """The run is over: the next one begins anew."""
    with terminal(account) as screen:
        screen.until(QUESTION)
        screen.type(keys)
        assert 1 == screen.end()
    assert "Error: nothing was written" in screen.seen
    assert "maybe" not in keys or "Please answer y or n." in screen.seen
    assert 0 == writes(account)
    status, _, err = account.run("aws", "--yes", "--limit", "1")
    assert (0, "") == (status, err)


def test_one_version_is_asked_about_as_one(account: Account) -> None:
    """And no "1 versions"."""
    with terminal(account, "--limit", "1") as screen:
        screen.until("Write 1 version? [y/N] ")
        screen.type("n\n")
        assert 1 == screen.end()


def test_ctrl_c_at_the_question_is_130_and_what_was_listed_stays(account: Account) -> None:
    """The scan of a large account takes an hour; whoever resumes does not do it again."""
    with terminal(account) as screen:
        screen.until(QUESTION)
        screen.type(CTRL_C)
        assert 130 == screen.end()
    assert "Error: interrupted" in screen.seen
    assert 0 == writes(account)
    listed = lists(account)
    assert 0 == account.run("aws", "--yes", "--resume")[0]
    assert listed == lists(account)
    assert history(account) == account.versions()


@pytest.mark.parametrize("workers", ["1", "8"])
def test_ctrl_c_ends_the_wait_that_a_cloud_asks_for(account: Account, workers: str) -> None:
    """EC2 wants ten minutes; the region stays open in the journal, and is listed by a resumed run."""
    account.ec2.throttle("us-east-1", retry_after=500)
    with terminal(account, "--concurrency", workers) as screen:
        waits_for(lambda: any(r.action == "DescribeImages" and r.region == "us-east-1" for r in account.ec2.requests))
        time.sleep(0.3)
        began = time.monotonic()
        screen.type(CTRL_C)
        assert 130 == screen.end(20)
    assert time.monotonic() - began < 10
    assert "Traceback" not in screen.seen
    assert 0 == account.run("aws", "--yes", "--resume")[0]
    assert history(account) == account.versions()


def test_ctrl_c_while_it_writes_ends_what_is_under_way_and_begins_nothing(account: Account) -> None:
    """Status 130; the resumed run writes the rest."""
    with terminal(account, "--yes", "--rate", "30") as screen:
        waits_for(lambda: "UpdateBuild" in account.registry.requests.operations())
        screen.type(CTRL_C)
        assert 130 == screen.end(30)
    assert "go on with --resume" in screen.seen
    assert "Traceback" not in screen.seen
    assert 0 < sum(map(len, account.versions().values())) < 12
    assert 0 == account.run("aws", "--yes", "--resume", "--timeout", "5m")[0]
    assert history(account) == account.versions()


def test_the_end_of_its_time_ends_a_wait_too(account: Account) -> None:
    """Nothing is begun after it; the resumed run has its own time."""
    account.ec2.throttle("us-east-1", retry_after=500)
    began = time.monotonic()
    status, _, err = account.run("aws", "--yes", "--timeout", "3s")
    assert (1, True) == (status, time.monotonic() - began < 15)
    assert "Error: the time of --timeout is over\nWhat to do: what was done stays; go on with --resume" in err
    assert 0 == writes(account)


def test_the_end_of_its_time_while_it_writes(account: Account) -> None:
    """What is under way comes to its end, and the sums tell what was done."""
    status, out, err = account.run("aws", "--yes", "--rate", "10", "--timeout", "5s")
    assert (1, True) == (status, "the time of --timeout is over" in err)
    assert "Done: 2 buckets, " in out
    assert 0 < sum(map(len, account.versions().values())) < 12
    assert 0 == account.run("aws", "--yes", "--resume")[0]
    assert history(account) == account.versions()
