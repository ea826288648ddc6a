"""The way to HCP: proxies, redirects, and what importing the client costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from packer_publisher.errors import RegistryTrouble
from packer_publisher.registry import HCPPacker
from tests.registry.peer import BASE, Peer, Says, Time, version_body

OPEN = Says({"version": version_body()})


def test_a_proxy_is_never_asked_for_this_machine(
    peer: Peer, hcp: HCPPacker, clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loopback goes past any proxy of the environment: the proxy's localhost is another one."""
    for variable in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    peer.says(OPEN)

    assert hcp.get_version("web", "abc", clock.deadline()).exists


def test_a_proxy_is_asked_for_everything_else(peer: Peer, clock: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other hosts go through the proxy that the environment names; here the peer plays it."""
    monkeypatch.setenv("http_proxy", f"http://{peer.address}")
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    peer.says(OPEN)

    with peer.client(HCP_API_ADDRESS="hcp.invalid:8080") as client:
        client.get_version("web", "abc", clock.deadline())

    assert [f"http://hcp.invalid:8080{BASE}/buckets/web/versions/abc"] == [request.target for request in peer.api]


def test_a_redirect_is_not_followed(peer: Peer, hcp: HCPPacker, clock: Time) -> None:
    """A redirect would carry the token to whoever it names."""
    peer.says(*[Says(status=307, text="", headers={"Location": "http://127.0.0.1:9/"})] * 6)

    with pytest.raises(RegistryTrouble, match="HCP answered 307, without a word; given up after 6 tries"):
        hcp.get_version("web", "abc", clock.deadline())


def test_importing_the_client_imports_no_library() -> None:
    """An event that is not ours never pays for httpx, let alone for a cloud's SDK."""
    script = (
        "import sys, packer_publisher.registry as registry\n"
        "registry.HCPPacker.from_environment({'HCP_CLIENT_ID': 'a', 'HCP_CLIENT_SECRET': 'b'})\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)"
        " - {'__main__', 'packer_publisher', 'sitecustomize', 'usercustomize'}))"
    )

    done = subprocess.run(
        [sys.executable, "-S", "-c", "import site; " + script],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )

    assert ("[]\n", "") == (done.stdout, done.stderr)
