"""What HCP refuses is told apart by what the caller does next."""

from __future__ import annotations

import pytest

from packer_publisher.errors import CredentialsTrouble, RegistryRefused, RegistryTrouble, Rejected
from packer_publisher.registry import HCPPacker
from packer_publisher.registry.wire import Answer
from packer_publisher.registry.wording import EXCERPT, grpc_code, words_of
from packer_publisher.snapshot import Bucket, BuildStatus, Version
from packer_publisher.steps import CreateBuild, SetStatus
from tests.registry.peer import Peer, Says, Time, refusal

STEP = CreateBuild("web", "abc", "amazon-ebs", ())


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (400, 9, "This version is complete."),
        (409, 6, "The build already exists."),
        (409, 10, "Version with fingerprint abc not found."),
        (404, 5, "Error: The bucket with identifier web does not exist."),
        (501, 12, "Not Implemented."),
    ],
)
def test_a_refusal_carries_its_code(
    peer: Peer, hcp: HCPPacker, clock: Time, status: int, code: int, message: str
) -> None:
    """A definite refusal of a write is RegistryRefused with HTTP status and gRPC code, after one request."""
    peer.says(refusal(status, code, message))

    with pytest.raises(RegistryRefused) as caught:
        hcp.create_build(STEP, clock.deadline())

    assert (status, code) == (caught.value.status, caught.value.code)
    what = "CreateBuild of bucket 'web', version 'abc', build 'amazon-ebs'"
    assert f"{what}: HCP answered {status} (code {code}): {message}" == str(caught.value)
    assert 1 == len(peer.api)


@pytest.mark.parametrize(("status", "code"), [(409, 10), (404, 5)])
def test_an_unknown_version_is_a_value(peer: Peer, hcp: HCPPacker, clock: Time, status: int, code: int) -> None:
    """GetVersion answers 409 with code 10 for an unknown fingerprint, 404 with code 5 for a missing bucket."""
    peer.says(refusal(status, code, "none"))

    version = hcp.get_version("web", "abc", clock.deadline())

    assert Version("web", "abc", exists=False, read_at=version.read_at) == version


def test_a_duplicate_is_no_unknown_version(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """409 is ambiguous: only code 10 means that there is no such version."""
    peer.says(refusal(409, 6, "already exists"))

    with pytest.raises(RegistryRefused):
        hcp.get_version("web", "abc", clock.deadline())


def test_an_unknown_bucket_is_a_value(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """GetBucket answers 404 with code 5 for a missing bucket."""
    peer.says(refusal(404, 5, "none"))

    assert Bucket("web", exists=False) == hcp.get_bucket("web", clock.deadline())


@pytest.mark.parametrize("text", ["<html><body>404</body></html>", "", '{"code": "5"}', '{"code": true}', "null"])
def test_a_404_without_a_code_is_no_missing_bucket(peer: Peer, hcp: HCPPacker, clock: Time, text: str) -> None:
    """A proxy's 404 says nothing about the bucket: its code is 0."""
    peer.says(Says(status=404, text=text))

    with pytest.raises(RegistryRefused) as caught:
        hcp.get_bucket("web", clock.deadline())

    assert (404, 0) == (caught.value.status, caught.value.code)


def test_a_403_names_the_role(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """A missing role is mended by people, so it is trouble; a write needs more than a read."""
    peer.says(refusal(403, 7, "permission denied"), refusal(403, 7, "permission denied"))

    with pytest.raises(CredentialsTrouble) as caught:
        hcp.get_version("web", "abc", clock.deadline())
    assert "GetVersion of bucket 'web', version 'abc': HCP answered 403 (code 7): permission denied." == str(
        caught.value
    )
    assert "Give the service principal the Viewer role on the HCP project (or on the bucket)." == caught.value.remedy

    with pytest.raises(CredentialsTrouble) as caught:
        hcp.create_build(STEP, clock.deadline())
    assert (
        "Give the service principal the Contributor role on the HCP project (or on the bucket, if it exists)."
        == caught.value.remedy
    )


@pytest.mark.parametrize(("status", "code"), [(404, 5), (400, 9)])
def test_an_inactive_registry_is_trouble(peer: Peer, hcp: HCPPacker, clock: Time, status: int, code: int) -> None:
    """A bucket that cannot be created because something is missing can only miss the registry itself."""
    peer.says(refusal(status, code, "Registry is not active"))

    with pytest.raises(RegistryTrouble) as caught:
        hcp.create_bucket("web", "", (), clock.deadline())

    assert (
        f"CreateBucket of bucket 'web': HCP answered {status} (code {code}): Registry is not active. "
        "So the project has no active HCP Packer registry." == str(caught.value)
    )


def test_a_failed_precondition_of_a_read_is_the_registrys(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """Nothing about a version or a bucket forbids reading them, so a registry that is not active is meant."""
    peer.says(*[refusal(400, 9, "Registry is not active")] * 2)

    with pytest.raises(RegistryTrouble, match="So the project has no active HCP Packer registry"):
        hcp.get_version("web", "abc", clock.deadline())
    with pytest.raises(RegistryTrouble, match="So the project has no active HCP Packer registry"):
        hcp.list_buckets(clock.deadline())


def test_a_second_bucket_is_refused(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """Another writer's bucket is code 6, for the caller to read again."""
    peer.says(refusal(409, 6, "Error: The bucket with identifier web already exists."))

    with pytest.raises(RegistryRefused) as caught:
        hcp.create_bucket("web", "", (), clock.deadline())

    assert 6 == caught.value.code


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_would_be_another_path_is_rejected(peer: Peer, hcp: HCPPacker, clock: Time, name: str) -> None:
    """An empty name or dots would turn an operation on one bucket into one on another place."""
    with pytest.raises(Rejected, match="is no name in HCP Packer"):
        hcp.delete_bucket(name, clock.deadline())

    assert [] == peer.api


def test_names_are_quoted_in_paths(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """What comes from tags cannot leave its place in the path."""
    peer.says(refusal(404, 5, "none"))

    hcp.get_version("we b/../x", "a?b#c%", clock.deadline())

    assert peer.api[0].target.endswith("/buckets/we%20b%2F..%2Fx/versions/a%3Fb%23c%25")


def test_control_characters_of_a_server_are_escaped(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """What a server says can neither break a log line nor paint a terminal, and is cut."""
    peer.says(refusal(400, 3, "one\ntwo\x1b[31m\u202e" + "x" * 400))

    with pytest.raises(RegistryRefused) as caught:
        hcp.update_build(SetStatus("web", "abc", "b1", "amazon-ebs", BuildStatus.DONE), clock.deadline())

    said = str(caught.value).split("(code 3): ")[1]
    assert said.startswith("one\\ntwo\\x1b[31m\\u202exxx")
    assert EXCERPT + 1 == len(said)
    assert said.endswith("….")


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b'{"code": 3, "message": "bad"}', "application/json", "bad"),
        (b'{"error": "invalid_client", "error_description": "no"}', "application/json", "invalid_client: no"),
        (b"Gateway Timeout", "text/plain", "Gateway Timeout"),
        (
            b"<html><head><title>504</title></head><body><h1>504 Gateway</h1>\n<hr>awselb</body></html>",
            "text/html",
            "504 Gateway awselb",
        ),
        (b"", "text/plain", ""),
        (b"\xff\xfe", "application/octet-stream", "\ufffd\ufffd"),
        (b'["a"]', "application/json", '["a"]'),
    ],
)
def test_any_body_has_words(content: bytes, kind: str, words: str) -> None:
    """Load balancers answer in HTML and text; nothing is assumed of an error's body."""
    assert words == words_of(Answer(504, {"content-type": kind}, content))


@pytest.mark.parametrize("content", [b"", b"[]", b'{"code": null}', b'{"code": "5"}', b"<html>", b"\xff"])
def test_a_body_without_a_code_has_code_zero(content: bytes) -> None:
    """A code is an integer of a JSON object, else 0."""
    assert 0 == grpc_code(Answer(404, {}, content))
