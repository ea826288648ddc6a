"""What is sent again, when, and what never is."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from packer_publisher.deadline import Deadline
from packer_publisher.errors import OutcomeUnknown, PublisherError, RegistryTrouble
from packer_publisher.image import Artifact
from packer_publisher.registry import HCPPacker
from packer_publisher.registry.wire import BODY_LIMIT
from packer_publisher.snapshot import BuildStatus
from packer_publisher.steps import CreateBuild, FillBuild, SetStatus
from tests.registry.peer import (
    Drips,
    Peer,
    Resets,
    Says,
    Stalls,
    Time,
    Truncates,
    Turn,
    refusal,
    version_body,
)

OPEN = Says({"version": version_body()})
Write = Callable[[HCPPacker, Deadline], object]

FILL = FillBuild(
    "web", "abc", "b1", "amazon-ebs", BuildStatus.DONE, "aws", (Artifact("eu-west-1", "ami-1"),), (("a", "b"),)
)
WRITES: list[tuple[str, Write]] = [
    ("CreateBucket", lambda hcp, deadline: hcp.create_bucket("web", "", (), deadline)),
    ("UpdateBucket", lambda hcp, deadline: hcp.update_bucket("web", "", (), deadline)),
    ("CreateVersion", lambda hcp, deadline: hcp.create_version("web", "abc", "HCL2", deadline)),
    ("CreateBuild", lambda hcp, deadline: hcp.create_build(CreateBuild("web", "abc", "amazon-ebs", ()), deadline)),
    ("UpdateBuild", lambda hcp, deadline: hcp.update_build(FILL, deadline)),
    (
        "UpdateBuild",
        lambda hcp, deadline: hcp.update_build(SetStatus("web", "abc", "b1", "amazon-ebs", BuildStatus.DONE), deadline),
    ),
    ("DeleteBuild", lambda hcp, deadline: hcp.delete_build("web", "abc", "b1", deadline)),
    (
        "UpdateChannel",
        lambda hcp, deadline: hcp.update_channel("web", "prod", deadline, version_fingerprint="abc"),
    ),
]
AMBIGUOUS: list[Turn] = [
    Resets(),
    Truncates(),
    Says(status=500, text=""),
    refusal(502, 14, "upstream"),
    Says(status=503, text="busy", headers={"Retry-After": "1"}),
    Says(status=504, text="Gateway Timeout"),
    Says(status=302, text="", headers={"Location": "/elsewhere"}),
]


class ClosedPort:
    """A peer whose API port is closed while its token endpoint lives."""

    def __enter__(self) -> ClosedPort:
        self.peer = Peer()
        other = Peer()
        self.address = other.address
        other.close()
        return self

    def __exit__(self, *_: object) -> None:
        self.peer.close()

    def client(self) -> HCPPacker:
        """Return a client that is sent to the closed port."""
        return self.peer.client(HCP_API_ADDRESS=self.address)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_read_is_repeated_on_passing_trouble(peer: Peer, hcp: HCPPacker, clock: Time, status: int) -> None:
    """Reads are repeated on 429, 500, 502, 503 and 504, and each request counts."""
    peer.says(Says(status=status, text="busy"), OPEN)

    assert hcp.get_version("web", "abc", clock.deadline()).exists
    assert 2 == hcp.calls


@pytest.mark.parametrize("turn", [Resets(), Truncates(), Says(text='{"version": {')])
def test_a_read_is_repeated_when_its_answer_is_lost(peer: Peer, hcp: HCPPacker, clock: Time, turn: Turn) -> None:
    """A reset, a truncated body and a body that is no JSON are answers lost on the way."""
    peer.says(turn, OPEN)

    assert hcp.get_version("web", "abc", clock.deadline()).exists
    assert 2 == hcp.calls


@pytest.mark.parametrize(("operation", "write"), WRITES)
@pytest.mark.parametrize("turn", AMBIGUOUS, ids=repr)
def test_a_write_is_never_repeated_blindly(
    peer: Peer, hcp: HCPPacker, clock: Time, operation: str, write: Write, turn: Turn
) -> None:
    """After anything that leaves a write's outcome open there is one request, and OutcomeUnknown."""
    peer.says(turn)

    with pytest.raises(OutcomeUnknown) as caught:
        write(hcp, clock.deadline())

    assert 1 == len(peer.api)
    assert 1 == hcp.calls
    assert str(caught.value).startswith(f"{operation} of bucket 'web'")
    assert str(caught.value).endswith(". The write may have happened or not.")
    assert [] == clock.pauses


@pytest.mark.parametrize("text", ["<html>hello</html>", "[]", '"yes"', '{"build": '])
def test_a_written_200_without_json_is_unknown(peer: Peer, hcp: HCPPacker, clock: Time, text: str) -> None:
    """A 200 that is no JSON object may come from a proxy: the write may have happened."""
    peer.says(Says(text=text))

    with pytest.raises(OutcomeUnknown) as caught:
        hcp.update_build(FILL, clock.deadline())

    assert (
        "UpdateBuild of bucket 'web', version 'abc', build 'amazon-ebs': HCP answered 200 with a body that is no JSON "
        "object. The write may have happened or not." == str(caught.value)
    )
    assert 1 == len(peer.api)


@pytest.mark.parametrize("body", [{}, {"build": None}, {"build": []}, {"build": {"id": ""}}, {"build": {"id": 7}}])
def test_a_written_200_of_the_wrong_shape_is_unknown(peer: Peer, hcp: HCPPacker, clock: Time, body: object) -> None:
    """A write that was answered with something else than its build is read again, not trusted."""
    peer.says(Says(body))

    with pytest.raises(OutcomeUnknown):
        hcp.update_build(FILL, clock.deadline())

    assert 1 == len(peer.api)


def test_a_write_that_times_out_is_unknown(peer: Peer, hcp: HCPPacker) -> None:
    """A write without an answer in time is not sent again."""
    peer.says(Stalls())

    with pytest.raises(OutcomeUnknown) as caught:
        hcp.update_build(FILL, Deadline.after(0.8))

    assert "build 'amazon-ebs': no answer within 0." in str(caught.value)
    assert 1 == len(peer.api)


@pytest.mark.parametrize(("operation", "write"), WRITES)
def test_a_write_is_repeated_on_429(peer: Peer, hcp: HCPPacker, clock: Time, operation: str, write: Write) -> None:
    """429 says that nothing was done, so the write is sent again, after the pause that was asked for."""
    peer.says(Says(status=429, text="slow down", headers={"Retry-After": "3"}), refusal(400, 3, "stop here"))

    with pytest.raises(PublisherError, match="stop here"):
        write(hcp, clock.deadline())

    assert [peer.api[0].content] * 2 == [request.content for request in peer.api]
    assert [3.25] == clock.pauses


def test_a_write_is_repeated_where_nothing_was_sent(clock: Time) -> None:
    """A connection that was never established carried no write; it is tried again, and no call is counted."""
    with ClosedPort() as closed, closed.client() as client, pytest.raises(RegistryTrouble) as caught:
        client.create_version("web", "abc", "HCL2", clock.deadline())

    assert not isinstance(caught.value, OutcomeUnknown)
    assert "given up after 6 tries" in str(caught.value)
    assert 0 == client.calls
    assert [0.25, 0.5, 1.0, 2.0, 4.0] == clock.pauses


def test_a_read_tells_that_nobody_answers(clock: Time) -> None:
    """A closed port is said in words that a person can act on."""
    with ClosedPort() as closed, closed.client() as client, pytest.raises(RegistryTrouble) as caught:
        client.get_version("web", "abc", clock.deadline(0.2))

    assert str(caught.value).startswith(
        "GetVersion of bucket 'web', version 'abc': HCP cannot be reached (no connection: "
    )
    assert str(caught.value).endswith("; no time was left for another try after 1 try.")


@pytest.mark.parametrize(
    ("value", "pause"),
    [
        ("7", 7.25),
        ("0", 0.25),
        ("Sat, 21 Nov 2026 10:00:20 GMT", 20.25),  # by the server's own Date, 10:00:00
        ("Sat, 21 Nov 2026 09:00:00 GMT", 0.25),
        ("soon", 0.25),
        ("-5", 0.25),
        ("", 0.25),
    ],
)
def test_retry_after_is_honoured(peer: Peer, hcp: HCPPacker, clock: Time, value: str, pause: float) -> None:
    """Retry-After counts in seconds and as a date by the server's clock; nonsense counts as none."""
    peer.says(Says(status=503, text="busy", headers={"Retry-After": value}), OPEN)

    hcp.get_version("web", "abc", clock.deadline())

    assert [pause] == clock.pauses


def test_a_retry_after_date_is_the_servers(peer: Peer, clock: Time) -> None:
    """A date counts from the answer's own Date header: this machine's clock may be wrong by hours."""
    peer.says(Says(status=503, text="busy", headers={"Retry-After": "Sat, 21 Nov 2026 10:00:20 GMT"}), OPEN)

    with peer.client(lambda: 0.0) as client:
        client.get_version("web", "abc", clock.deadline())

    assert [20.25] == clock.pauses


@pytest.mark.parametrize(("status", "error"), [(503, OutcomeUnknown), (500, OutcomeUnknown)])
def test_a_token_that_a_server_repeats_is_hidden(
    peer: Peer, hcp: HCPPacker, clock: Time, status: int, error: type[RegistryTrouble]
) -> None:
    """A proxy that prints the request it could not deliver does not bring the token into a log."""
    peer.says(Says(status=status, text="upstream failed: Authorization: Bearer token-1"))

    with pytest.raises(error) as caught:
        hcp.update_build(FILL, clock.deadline())

    assert f"HCP answered {status}: upstream failed: Authorization: Bearer [secret]." in str(caught.value)


def test_a_retry_after_beyond_the_deadline_is_handed_on(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """What cannot be waited for within the invocation is told to whoever retries the event."""
    peer.says(Says(status=429, text="slow down", headers={"Retry-After": "300"}))

    with pytest.raises(RegistryTrouble) as caught:
        hcp.get_version("web", "abc", clock.deadline(60))

    assert (
        "GetVersion of bucket 'web', version 'abc': HCP answered 429: slow down; no time was left for another try "
        "after 1 try." == str(caught.value)
    )
    assert 300.0 == caught.value.retry_after
    assert [] == clock.pauses


def test_pauses_grow_and_end(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """Full jitter on a bound that doubles from half a second; after six tries it is trouble."""
    peer.says(*[Says(status=503, text="busy")] * 6)

    with pytest.raises(RegistryTrouble) as caught:
        hcp.get_version("web", "abc", clock.deadline())

    assert "GetVersion of bucket 'web', version 'abc': HCP answered 503: busy; given up after 6 tries." == str(
        caught.value
    )
    assert [0.25, 0.5, 1.0, 2.0, 4.0] == clock.pauses
    assert 6 == hcp.calls


def test_no_pause_passes_the_deadline(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """The last pause that would pass the deadline is not begun."""
    peer.says(*[Says(status=503, text="busy")] * 3)

    with pytest.raises(RegistryTrouble):
        hcp.get_version("web", "abc", clock.deadline(1.5))

    assert [0.25, 0.5] == clock.pauses
    assert 1000.75 == clock.now


def test_nothing_is_begun_after_the_deadline(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """With no time left nothing is sent, so nothing was written."""
    with pytest.raises(RegistryTrouble) as caught:
        hcp.create_version("web", "abc", "HCL2", clock.deadline(0))

    assert not isinstance(caught.value, OutcomeUnknown)
    assert [] == peer.api + peer.auth


@pytest.mark.parametrize("turn", [Stalls(), Drips(0.02)])
def test_one_call_ends_with_the_deadline(peer: Peer, hcp: HCPPacker, turn: Turn) -> None:
    """Silence and a body that only drips both end when the invocation's time does."""
    peer.says(turn)
    begin = time.monotonic()

    with pytest.raises(RegistryTrouble, match=r"within 0\.\d+ s"):
        hcp.get_version("web", "abc", Deadline.after(0.8))

    assert time.monotonic() - begin < 2.5


def test_each_phase_has_only_what_is_left(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """A body that begins after the call's ten seconds are used up is not waited for another ten."""
    peer.says(Drips(3.0, before=lambda: clock.sleep(10.5)))
    begin = time.monotonic()

    with pytest.raises(OutcomeUnknown, match="no answer within 10 s"):
        hcp.update_build(FILL, clock.deadline())

    assert time.monotonic() - begin < 2.5


def test_an_endless_body_is_not_read_to_its_end(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """An answer larger than any of HCP's is lost, not kept in memory."""
    peer.says(Says(text=" " * (BODY_LIMIT + 1)))

    with pytest.raises(OutcomeUnknown, match="the answer is larger than 32 MiB"):
        hcp.update_build(FILL, clock.deadline())


def test_the_registrys_clock_is_its_date_header(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """``read_at`` is the Date header of the answer, also of one that says there is no version."""
    peer.says(OPEN, refusal(409, 10, "Version with fingerprint abc not found"))

    assert datetime(2026, 11, 21, 10, tzinfo=UTC) == hcp.get_version("web", "abc", clock.deadline()).read_at
    assert datetime(2026, 11, 21, 10, tzinfo=UTC) == hcp.get_version("web", "abc", clock.deadline()).read_at
