"""A scripted HCP over real HTTP on loopback: it records every request and answers what a test tells it to."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from packer_publisher.deadline import Deadline
from packer_publisher.registry import HCPPacker, read_environment

ORGANIZATION = "11111111-1111-4111-8111-111111111111"
PROJECT = "22222222-2222-4222-8222-222222222222"
BASE = f"/packer/2023-01-01/organizations/{ORGANIZATION}/projects/{PROJECT}"
SECRET = "made-up-secret"
DATE = "Sat, 21 Nov 2026 10:00:00 GMT"


@dataclass(frozen=True)
class Says:
    """An answer: a JSON body, or ``text`` as it is."""

    body: Any = None
    status: int = 200
    text: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Resets:
    """The request is read, then the connection is reset."""


@dataclass(frozen=True)
class Stalls:
    """The request is read, then nothing comes until the peer is closed."""


@dataclass(frozen=True)
class Truncates:
    """A 200 whose body ends before the length it announced."""


@dataclass(frozen=True)
class Drips:
    """A 200 whose body comes one byte every ``pause`` seconds."""

    pause: float
    before: Callable[[], object] = lambda: None  # done before the headers are sent


Turn = Says | Resets | Stalls | Truncates | Drips


@dataclass(frozen=True)
class Request:
    """What the peer saw."""

    method: str
    target: str  # path and query
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.content)


class Peer:
    """The server: tokens are answered by themselves (``token-1``, ``token-2``, ...) unless a test scripts them."""

    def __init__(self) -> None:
        self.api: list[Request] = []  # what was asked of the API
        self.auth: list[Request] = []  # what was asked of the token endpoint
        self.script: deque[Turn] = deque()
        self.auth_script: deque[Turn] = deque()
        self.expires_in: float = 3600
        self.closing = threading.Event()
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # headers and body are two writes: without this each answer waits 40 ms

            def _serve(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, content)
                peer.answer(self, request)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - http.server looks these names up

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

            def date_time_string(self, timestamp: float | None = None) -> str:
                """Return the fixed time of this HCP."""
                return DATE

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def answer(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        """Record the request and take the next turn of the script."""
        if request.target.startswith("/oauth2/token"):
            self.auth.append(request)
            token = {"access_token": f"token-{len(self.auth)}", "expires_in": self.expires_in}
            turn = self.auth_script.popleft() if self.auth_script else Says({**token, "token_type": "Bearer"})
        else:
            self.api.append(request)
            turn = self.script.popleft() if self.script else Says({"code": 2, "message": "not scripted"}, 418)
        if isinstance(turn, Resets):
            linger = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            handler.connection.close()
            handler.close_connection = True
        elif isinstance(turn, Stalls):
            self.closing.wait(30)
            handler.close_connection = True
        elif isinstance(turn, Truncates):
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            handler.wfile.write(b'{"version": {')
            handler.close_connection = True
        elif isinstance(turn, Drips):
            turn.before()
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            while not self.closing.wait(turn.pause):
                handler.wfile.write(b" ")
                handler.wfile.flush()
        else:
            content = (json.dumps(turn.body) if turn.text is None else turn.text).encode()
            handler.send_response(turn.status)
            for name, value in turn.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)

    def says(self, *turns: Turn) -> None:
        """Put answers of the API into the script."""
        self.script.extend(turns)

    def environ(self, **changes: str | None) -> dict[str, str]:
        """Return the environment that points a client here; None leaves a variable out."""
        environ: dict[str, str | None] = {
            "HCP_CLIENT_ID": "made-up-client",
            "HCP_CLIENT_SECRET": SECRET,
            "HCP_API_ADDRESS": self.address,
            "HCP_API_TLS": "disabled",
            "HCP_AUTH_URL": f"http://{self.address}",
            "HCP_ORGANIZATION_ID": ORGANIZATION,
            "HCP_PROJECT_ID": PROJECT,
            **changes,
        }
        return {name: value for name, value in environ.items() if value is not None}

    def client(self, now: Callable[[], float] = lambda: 1_795_255_200.0, /, **changes: str | None) -> HCPPacker:
        """Return a client of this peer whose jitter is half of what it may be."""
        return HCPPacker(read_environment(self.environ(**changes)), draw=lambda: 0.5, now=now)

    def close(self) -> None:
        """End the server and the turns that still wait."""
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@contextmanager
def running_peer() -> Iterator[Peer]:
    """Give a peer for one test; an answer that was scripted and never asked for fails the test."""
    peer = Peer()
    try:
        yield peer
    finally:
        peer.close()
    assert not peer.script, "answers were scripted that nobody asked for"
    assert not peer.auth_script, "tokens were scripted that nobody asked for"


class Time:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.pauses.append(seconds)
        self.now += seconds

    def deadline(self, seconds: float = 60.0) -> Deadline:
        """Return a deadline on this clock."""
        return Deadline.after(seconds, self, self.sleep)


def version_body(name: object = "v0", **more: Any) -> dict[str, Any]:
    """Return a version as HCP writes it."""
    return {
        "id": "01J00000000000000000000001",
        "bucket_name": "web",
        "name": name,
        "status": "VERSION_RUNNING",
        "fingerprint": "abc",
        "template_type": "HCL2",
        "builds": [],
        "created_at": "2026-11-21T09:00:00Z",
        **more,
    }


def build_body(**more: Any) -> dict[str, Any]:
    """Return a build as HCP writes it."""
    return {
        "id": "01J00000000000000000000002",
        "component_type": "amazon-ebs",
        "status": "BUILD_UNSET",
        "platform": "",
        "artifacts": None,
        "labels": None,
        "metadata": None,
        "created_at": "2026-11-21T09:00:00Z",
        **more,
    }


def refusal(status: int, code: int, message: str) -> Says:
    """Return an error as HCP writes it (google.rpc.Status)."""
    return Says({"code": code, "message": message, "details": []}, status)


def sent(peer: Peer) -> list[tuple[str, str, object]]:
    """Return method, path below the project, and body of each request."""
    return [(r.method, r.target.removeprefix(BASE), r.json if r.content else None) for r in peer.api]
