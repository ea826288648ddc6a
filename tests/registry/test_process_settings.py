"""Settings of the process that httpx obeys and can make nothing of: the person is told which one."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from packer_publisher.errors import ConfigurationError
from packer_publisher.registry.wire import Message, NotSent, Wire
from tests.registry.peer import Time

REMEDY = "correct it, or leave it unset"
PROXY = "http://me:hidden-word@127.0.0.1:9"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"):
        monkeypatch.delenv(name, raising=False)


def refused(clock: Time) -> ConfigurationError:
    """Return the error of a request that is never sent."""
    with pytest.raises(ConfigurationError) as caught:
        Wire().send(Message("GET", "https://127.0.0.1:9/"), clock.deadline())
    return caught.value


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSLKEYLOGFILE"])
def test_a_file_that_is_not_there_names_its_variable(
    variable: str, clock: Time, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL says no more than that there is no such file."""
    monkeypatch.setenv(variable, str(tmp_path / "nowhere" / "file.pem"))

    error = refused(clock)

    assert f"{variable} names a file that cannot be used (FileNotFoundError), so HCP cannot be asked." == str(error)
    assert REMEDY == error.remedy


def test_a_file_without_certificates_names_its_variable(
    clock: Time, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any file can be named; what is in it is OpenSSL's to judge."""
    (tmp_path / "empty.pem").write_text("nothing\n")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "empty.pem"))

    assert "SSL_CERT_FILE names a file that cannot be used (SSLError), so HCP cannot be asked." == str(refused(clock))


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "all_proxy"])
def test_a_socks_proxy_names_its_variable(variable: str, clock: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    """httpx wants a package more for it; a proxy for http beside it is none of the matter."""
    monkeypatch.setenv(variable, "socks5://me:hidden-word@127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    error = refused(clock)

    assert f"{variable} names a SOCKS proxy, which is not supported, so HCP cannot be asked." == str(error)
    assert REMEDY == error.remedy


@pytest.mark.parametrize("value", ["ftp://me:hidden-word@127.0.0.1:9", "http://me:hidden-word@127.0.0.1:port"])
def test_a_proxy_that_is_no_address_names_its_variable(
    value: str, clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The value may hold a password, and is not repeated."""
    monkeypatch.setenv("HTTPS_PROXY", value)

    error = refused(clock)

    assert "HTTPS_PROXY is no address of an http proxy, so HCP cannot be asked." == str(error)
    assert None is error.__cause__


def test_an_exception_to_the_proxies_that_is_no_address_names_its_variable(
    clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_PROXY is read with the others."""
    monkeypatch.setenv("NO_PROXY", "one.example.com,two:::")

    assert "NO_PROXY is no address of an http proxy, so HCP cannot be asked." == str(refused(clock))


@pytest.mark.parametrize(
    ("variables", "url", "way"),
    [
        ({"HTTPS_PROXY": PROXY}, "https://hcp.invalid/", ", through the proxy in HTTPS_PROXY"),
        ({"all_proxy": PROXY}, "https://hcp.invalid/", ", through the proxy in all_proxy"),
        ({"all_proxy": PROXY, "https_proxy": PROXY}, "https://hcp.invalid/", ", through the proxy in https_proxy"),
        ({"HTTP_PROXY": PROXY}, "https://127.0.0.1:9/", ""),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "127.0.0.0"}, "https://127.0.0.1:9/", ""),
    ],
)
def test_a_proxy_that_is_not_there_names_its_variable(
    variables: dict[str, str], url: str, way: str, clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a refused connection looks like one of HCP's; the proxy's password is not told."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(NotSent) as caught:
        Wire().send(Message("GET", url), clock.deadline())
    assert str(caught.value).startswith("no connection: ")
    assert way == "".join(re.findall(", through.*", str(caught.value)))
    assert "hidden-word" not in str(caught.value)
