"""A client secret that lies in a store: read when it is needed, again when HCP refuses it, never in a loop."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from packer_publisher.deadline import Deadline
from packer_publisher.errors import CloudTrouble, ConfigurationError, CredentialsTrouble, Trouble
from packer_publisher.registry import HCPPacker, read_environment
from packer_publisher.registry.principals import StoredKey
from packer_publisher.secret_reference import SecretReference
from tests.registry.peer import Peer, Says, Time, refusal, version_body

REFERENCE = "projects/p/secrets/hcp/versions/latest"
OPEN = Says({"version": version_body()})
REFUSED = Says({"error": "invalid_client"}, 401)


@dataclass
class Store:
    """A store that holds one secret and counts who asks."""

    text: str = field(default="first-secret", repr=False)
    reads: int = 0
    trouble: list[Trouble] = field(default_factory=list)

    def __call__(self, reference: SecretReference, deadline: Deadline, /) -> str:
        assert REFERENCE == str(reference)
        self.reads += 1
        if self.trouble:
            raise self.trouble.pop()
        return self.text


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def wall() -> Time:
    return Time()


@pytest.fixture
def hcp(peer: Peer, store: Store, wall: Time) -> Iterator[HCPPacker]:
    with client(peer, store, wall) as opened:
        yield opened


def client(peer: Peer, store: Store, wall: Time, client_id: str | None = "made-up-client") -> HCPPacker:
    environ = peer.environ(HCP_CLIENT_ID=client_id, HCP_CLIENT_SECRET=None, PUBLISHER_CLIENT_SECRET=REFERENCE)
    return HCPPacker(read_environment(environ), draw=lambda: 0.5, now=wall, read_secret=store)


def keys(peer: Peer) -> list[tuple[str, str]]:
    """Return the keys that tokens were asked for with."""
    pairs = [b64decode(request.headers["authorization"].removeprefix("Basic ")).decode() for request in peer.auth]
    return [(pair.partition(":")[0], pair.partition(":")[2]) for pair in pairs]


def read(client: HCPPacker, clock: Time) -> None:
    client.get_version("web", "abc", clock.deadline())


def test_the_store_is_asked_once(peer: Peer, hcp: HCPPacker, store: Store, clock: Time, wall: Time) -> None:
    """Not at start, but with the first call; a later token costs no second look."""
    peer.says(OPEN, OPEN)
    assert 0 == store.reads

    read(hcp, clock)
    wall.now += 3600
    read(hcp, clock)

    assert 1 == store.reads
    assert [("made-up-client", "first-secret")] * 2 == keys(peer)


def test_a_rotated_secret_is_read_again(peer: Peer, hcp: HCPPacker, store: Store, clock: Time, wall: Time) -> None:
    """HCP refuses the token, then the old key; the new one is tried at once, and kept."""
    peer.says(OPEN, refusal(401, 16, "token is revoked"), OPEN, OPEN)
    read(hcp, clock)
    store.text = "second-secret"
    peer.auth_script.append(REFUSED)

    read(hcp, clock)
    wall.now += 3600
    read(hcp, clock)

    assert ["first-secret", "first-secret", "second-secret", "second-secret"] == [secret for _, secret in keys(peer)]
    assert 2 == store.reads


def test_a_secret_that_is_no_good_is_not_read_in_a_loop(
    peer: Peer, hcp: HCPPacker, store: Store, clock: Time, wall: Time
) -> None:
    """One that was read just now is not read again; later ones at most once a minute, however many events come."""
    peer.auth_script.extend([REFUSED] * 24)
    with pytest.raises(CredentialsTrouble):
        read(hcp, clock)
    assert (1, 1) == (store.reads, len(peer.auth))

    for _ in range(20):  # within a minute
        wall.now += 2.9
        with pytest.raises(CredentialsTrouble) as caught:
            read(hcp, clock)
    assert (2, 21) == (store.reads, len(peer.auth))

    for _ in range(3):
        wall.now += 60
        with pytest.raises(CredentialsTrouble):
            read(hcp, clock)
    assert (5, 24) == (store.reads, len(peer.auth))
    assert f"HCP refused PUBLISHER_CLIENT_SECRET ({REFERENCE}): 401: invalid_client." in str(caught.value)
    assert "first-secret" not in f"{caught.value}{caught.value.remedy}"


def test_a_new_secret_that_is_refused_too_is_the_end(peer: Peer, hcp: HCPPacker, store: Store, clock: Time) -> None:
    """Each key is tried once in a call."""
    peer.says(OPEN, refusal(401, 16, "token is revoked"))
    read(hcp, clock)
    store.text = "second-secret"
    peer.auth_script.extend([REFUSED, REFUSED])

    with pytest.raises(CredentialsTrouble):
        read(hcp, clock)

    assert (2, 3) == (store.reads, len(peer.auth))


def test_a_busy_token_endpoint_says_nothing_about_the_secret(
    peer: Peer, hcp: HCPPacker, store: Store, clock: Time
) -> None:
    """Only a refusal makes it read again."""
    peer.says(OPEN)
    peer.auth_script.append(Says(status=503, text="busy"))

    read(hcp, clock)

    assert 1 == store.reads


@pytest.mark.parametrize("trouble", [CredentialsTrouble("denied"), CloudTrouble("unreachable")])
def test_trouble_with_the_store_is_trouble(
    peer: Peer, hcp: HCPPacker, store: Store, clock: Time, trouble: Trouble
) -> None:
    """The event is kept, HCP is not asked, and the next one asks the store anew."""
    store.trouble.append(trouble)
    with pytest.raises(type(trouble)):
        read(hcp, clock)
    assert [] == peer.auth

    peer.says(OPEN)
    read(hcp, clock)
    assert 2 == store.reads


@pytest.mark.parametrize(
    ("text", "client_id", "expected"),
    [
        ("secret\n", "outside", ("outside", "secret")),
        (json.dumps({"client_id": "inside", "client_secret": "secret"}), None, ("inside", "secret")),
        (json.dumps({"client_id": "inside", "client_secret": "secret"}), "outside", ("inside", "secret")),
        (json.dumps({"client_secret": " secret "}), "outside", ("outside", "secret")),
    ],
)
def test_what_a_secret_may_be(
    peer: Peer, store: Store, clock: Time, wall: Time, text: str, client_id: str | None, expected: tuple[str, str]
) -> None:
    """Plain text, or JSON with its own client id, which wins: a rotation changes both."""
    peer.says(OPEN)
    store.text = text
    with client(peer, store, wall, client_id) as hcp:
        read(hcp, clock)
    assert [expected] == keys(peer)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (" \n", "it is empty"),
        ('{"client_secret": "made-up', "it begins like JSON and is none"),
        ('{"secret": "made-up"}', "its JSON has no text 'client_secret', or a 'client_id' that is none"),
        ('{"client_secret": {"made-up": 1}}', "its JSON has no text 'client_secret', or a 'client_id' that is none"),
        ("made-up\nmade-up", "it holds control characters"),
    ],
)
def test_a_secret_that_is_none(peer: Peer, hcp: HCPPacker, store: Store, clock: Time, text: str, what: str) -> None:
    """The error says what is wrong with it and nothing of it."""
    store.text = text
    with pytest.raises(CredentialsTrouble) as caught:
        read(hcp, clock)
    assert f"The secret of PUBLISHER_CLIENT_SECRET ({REFERENCE}) is not usable: {what}." == str(caught.value)
    assert "made-up" not in f"{caught.value.remedy}{caught.value.__cause__!r}{caught.value.__context__!r}"


def test_a_secret_without_its_client_id(peer: Peer, store: Store, clock: Time, wall: Time) -> None:
    """Nobody can say whose it is: a setting is missing, and named."""
    with client(peer, store, wall, None) as hcp, pytest.raises(ConfigurationError) as caught:
        read(hcp, clock)
    assert str(caught.value).startswith("HCP_CLIENT_ID is not set, and the secret of PUBLISHER_CLIENT_SECRET")


def test_an_empty_secret_of_a_deployment_tool(peer: Peer) -> None:
    """Tools that cannot leave a variable out set HCP_CLIENT_SECRET to nothing: the reference counts."""
    environ = peer.environ(HCP_CLIENT_SECRET="", PUBLISHER_CLIENT_SECRET=REFERENCE)
    credentials = read_environment(environ).credentials
    assert isinstance(credentials, StoredKey)
    assert ("made-up-client", REFERENCE) == (credentials.client_id, str(credentials.reference))


def test_nothing_shows_the_secret(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """Neither the client nor what it keeps."""
    peer.says(OPEN)
    read(hcp, clock)
    tokens = hcp._transport._tokens
    assert tokens._stored is not None
    assert "first-secret" not in repr((hcp, vars(hcp), vars(tokens), vars(tokens._stored)))
