"""Certificates are checked unless somebody says ``insecure``, each server by its own setting."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from packer_publisher.errors import RegistryTrouble
from tests.registry.peer import Peer, Says, Time, running_peer, version_body

OPEN = Says({"version": version_body()})


@pytest.fixture
def tls_peer(tmp_path: Path) -> Iterator[Peer]:
    """Give a peer that speaks TLS with a certificate that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "made up")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with running_peer() as peer:
        # The handshake is left to the handler's thread, so that a client that hangs up does not end the server.
        peer.server.socket = context.wrap_socket(
            peer.server.socket, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
        )
        peer.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # hanging up is the point here
        yield peer


def test_insecure_skips_the_check(tls_peer: Peer, clock: Time) -> None:
    """HCP_API_TLS and HCP_AUTH_TLS ``insecure`` accept any certificate, over TLS all the same."""
    tls_peer.says(OPEN)

    with tls_peer.client(
        HCP_AUTH_URL=f"https://{tls_peer.address}", HCP_AUTH_TLS="insecure", HCP_API_TLS="insecure"
    ) as client:
        assert client.get_version("web", "abc", clock.deadline()).exists


def test_a_strangers_certificate_gets_no_secret(tls_peer: Peer, clock: Time) -> None:
    """Without ``insecure`` the key is never sent to a server that nobody vouches for."""
    with (
        tls_peer.client(HCP_AUTH_URL=f"https://{tls_peer.address}", HCP_API_TLS="insecure") as client,
        pytest.raises(RegistryTrouble, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.get_version("web", "abc", clock.deadline())

    assert [] == tls_peer.auth + tls_peer.api


def test_each_server_has_its_own_setting(peer: Peer, tls_peer: Peer, clock: Time) -> None:
    """``insecure`` for the token endpoint says nothing about the API: the write is not sent."""
    with (
        peer.client(HCP_API_ADDRESS=tls_peer.address, HCP_API_TLS=None, HCP_AUTH_TLS="insecure") as client,
        pytest.raises(RegistryTrouble, match=r"HCP cannot be reached \(no connection: .*CERTIFICATE_VERIFY_FAILED"),
    ):
        client.create_version("web", "abc", "HCL2", clock.deadline())

    assert [] == tls_peer.api
    assert 0 == client.calls
