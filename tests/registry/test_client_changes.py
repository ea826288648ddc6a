"""A version is completed, revoked or restored, and a change that takes its time is waited for."""

from __future__ import annotations

import pytest

from packer_publisher.errors import OutcomeUnknown, RegistryRefused
from packer_publisher.registry import Complete, HCPPacker, Restore, Revoke, VersionChange
from tests.registry.peer import ORGANIZATION, PROJECT, Peer, Says, Time, sent, version_body


@pytest.mark.parametrize(
    ("change", "body"),
    [
        (Complete(), {"complete": True}),
        (Restore(), {"restore": True}),
        (
            Revoke("CVE", descendants=False),
            {
                "revoke_in": "0s",
                "revocation_message": "CVE",
                "skip_descendants_revocation": True,
                "disable_rollback_channels": False,
            },
        ),
    ],
)
def test_a_version_is_changed(peer: Peer, hcp: HCPPacker, clock: Time, change: VersionChange, body: object) -> None:
    """Complete, revoke and restore are one PATCH; an operation that is done needs no waiting."""
    peer.says(Says({"version": version_body("v1"), "operation": {"id": "o", "state": "DONE"}}))

    version = hcp.update_version("web", "abc", change, clock.deadline())

    assert [("PATCH", "/buckets/web/versions/abc", body)] == sent(peer)
    assert ("v1", False) == (version.name, version.fresh)


def test_a_version_of_which_everything_is_gone_is_revoked_alone(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """At once, without its descendants, and with the channels of users where they are."""
    peer.says(
        Says({"version": version_body("v1", status="VERSION_REVOKED"), "operation": {"id": "o", "state": "DONE"}})
    )

    version = hcp.revoke_version("web", "abc", "ami-1 is gone", clock.deadline())

    body = {
        "revoke_in": "0s",
        "revocation_message": "ami-1 is gone",
        "skip_descendants_revocation": True,
        "disable_rollback_channels": True,
    }
    assert [("PATCH", "/buckets/web/versions/abc", body)] == sent(peer)
    assert version.revoked


WAITING = Says({"version": version_body("v1"), "operation": {"id": "o", "state": "PENDING"}})
WAIT = f"/operation/2020-05-05/organizations/{ORGANIZATION}/projects/{PROJECT}/operations/o/wait?timeout=5s"


def test_a_revocation_is_waited_for(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """An immediate revocation is an operation; the version is read when it is done."""
    peer.says(
        WAITING,
        Says({"operation": {"id": "o", "state": "RUNNING"}}),
        Says({"operation": {"id": "o", "state": "DONE", "error": None}}),
        Says({"version": version_body("v1", status="VERSION_REVOKED")}),
    )

    version = hcp.update_version("web", "abc", Revoke("CVE"), clock.deadline())

    assert "VERSION_REVOKED" == version.status
    assert [WAIT, WAIT] == [request.target for request in peer.api[1:3]]


def test_a_revocation_that_fails_is_refused(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """What the operation says is what the caller gets."""
    peer.says(WAITING, Says({"operation": {"state": "DONE", "error": {"code": 9, "message": "not now\n"}}}))

    with pytest.raises(RegistryRefused) as caught:
        hcp.update_version("web", "abc", Revoke("CVE"), clock.deadline())

    assert "UpdateVersion of bucket 'web', version 'abc': HCP could not do it (code 9): not now." == str(caught.value)
    assert 9 == caught.value.code


def test_a_revocation_that_does_not_end_in_time_is_unknown(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """The change was accepted; whether it is done is for a read to tell."""
    running = Says({"operation": {"id": "o", "state": "RUNNING"}})
    peer.says(WAITING, running, running)

    with pytest.raises(OutcomeUnknown) as caught:
        hcp.update_version("web", "abc", Revoke("CVE"), clock.deadline(1.9))

    assert (
        "UpdateVersion of bucket 'web', version 'abc': HCP has begun the change, but had not finished it when the "
        "time was over." == str(caught.value)
    )
