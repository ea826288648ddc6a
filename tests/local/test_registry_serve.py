"""The local registry as a program, and the server under all stand-ins."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from packer_publisher.errors import ConfigurationError
from packer_publisher.local.registry_app import build_app
from packer_publisher.local.registry_faults import Faults
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import serve
from packer_publisher.local.registry_tokens import AUDIENCE
from packer_publisher.local.server import serving
from tests.switches import setting, words


def environment_of(lines: list[str]) -> dict[str, str]:
    """Return what the printed lines export."""
    pairs = (line.removeprefix("export ").partition("=") for line in lines if line.startswith("export "))
    return {name: value for name, _, value in pairs}


def test_the_printed_environment_leads_to_the_registry(tmp_path: Path) -> None:
    """With nothing but those variables a bucket is created; it outlives the program."""
    database = tmp_path / "registry.sqlite"
    for status in (200, 409):
        lines: list[str] = []
        ready, stop = threading.Event(), threading.Event()

        def echo(line: str, lines: list[str] = lines, ready: threading.Event = ready) -> None:
            lines.append(line)
            if "HCP_PROJECT_ID" in line:
                ready.set()

        options = {"database": database, "switches": words(setting()), "echo": echo, "stop": stop}
        program = threading.Thread(target=serve, kwargs={"port": 0, **options})
        program.start()
        try:
            assert ready.wait(10)
            env = environment_of(lines)
            assert [
                "HCP_API_ADDRESS",
                "HCP_API_TLS",
                "HCP_AUTH_URL",
                "HCP_CLIENT_ID",
                "HCP_CLIENT_SECRET",
                "HCP_ORGANIZATION_ID",
                "HCP_PROJECT_ID",
            ] == list(env)
            assert "disabled" == env["HCP_API_TLS"]
            with httpx.Client(trust_env=False) as http:
                token = http.post(
                    f"{env['HCP_AUTH_URL']}/oauth2/token",
                    data={"grant_type": "client_credentials", "audience": AUDIENCE},
                    auth=(env["HCP_CLIENT_ID"], env["HCP_CLIENT_SECRET"]),
                ).json()["access_token"]
                answer = http.put(
                    f"http://{env['HCP_API_ADDRESS']}/packer/2023-01-01/organizations/"
                    f"{env['HCP_ORGANIZATION_ID']}/projects/{env['HCP_PROJECT_ID']}/buckets",
                    json={"name": "abc"},
                    headers={"authorization": f"Bearer {token}"},
                )
        finally:
            stop.set()
            program.join(10)
        assert status == answer.status_code


@pytest.mark.parametrize("host", ["0.0.0.0", "example.com", "192.168.0.1", ""])
def test_only_loopback_is_served(host: str) -> None:
    """The credentials are made up, so nobody else may reach it."""
    with pytest.raises(ConfigurationError, match=f"serves loopback only, not {host}: it has"):
        serve(host, 0)


def test_a_taken_port_is_a_configuration_error() -> None:
    """The sentence names port and host."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(ConfigurationError, match=f"Port {port} of 127.0.0.1 cannot be used: Address already"):
            serve("127.0.0.1", port, echo=list[str]().append)


def test_a_wrong_switch_or_database_is_a_configuration_error(tmp_path: Path) -> None:
    """Nothing is served then."""
    text = tmp_path / "notes.txt"
    text.write_text("no database" * 100)

    with pytest.raises(ConfigurationError, match="'x=y' is no switch"):
        serve(port=0, switches=["x=y"])
    with pytest.raises(ConfigurationError, match="cannot be opened: file is not a database"):
        serve(port=0, database=text)


def test_any_app_is_served_on_a_free_port() -> None:
    """Two at once, each under its own address, both gone afterwards."""

    def hello(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    app = Starlette(routes=[Route("/", hello)])
    with serving(app) as one, serving(app) as other, httpx.Client(trust_env=False) as http:
        assert one != other
        assert ["hello", "hello"] == [http.get(url).text for url in (one, other)]

    with httpx.Client(trust_env=False) as http, pytest.raises(httpx.ConnectError):
        http.get(one)


def test_a_server_stops_although_a_request_hangs() -> None:
    """A client that waits for a stalled answer does not hold the end of the test."""
    faults = Faults()
    faults.stall("Token", 60)

    def wait(url: str) -> None:
        answer = httpx.post(f"{url}/oauth2/token", trust_env=False, timeout=30)
        statuses.append(answer.status_code)

    statuses: list[int] = []
    with serving(build_app(RegistryModel(switches=setting()), faults)) as url:
        client = threading.Thread(target=wait, args=(url,))
        client.start()
        while faults.left():
            time.sleep(0.01)
    client.join(10)

    assert [500] == statuses


def test_connections_are_broken_only_where_there_is_one() -> None:
    """Without the server a reset is a plain error of the test, not a silent answer."""
    faults = Faults()
    faults.reset("Token")

    async def call() -> None:
        transport = httpx.ASGITransport(build_app(RegistryModel(switches=setting()), faults))
        async with httpx.AsyncClient(transport=transport, base_url="http://registry") as http:
            await http.post("/oauth2/token")

    with pytest.raises(RuntimeError, match="can only be broken behind"):
        asyncio.run(call())
