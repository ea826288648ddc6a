"""Runs an ASGI app on a loopback port in a thread, and lets it break connections for real.

Every stand-in is served by this: the code under test speaks HTTP over TCP to it, so a reset is a reset.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTION = "packer_publisher.connection"


class Connection:
    """One TCP connection as an app may break it."""

    def __init__(self, protocol: H11Protocol) -> None:
        self._protocol = protocol

    def reset(self) -> None:
        """Send a TCP reset instead of an answer."""
        transport = self._protocol.transport
        raw: socket.socket = transport.get_extra_info("socket")
        # Lingering for zero seconds is what turns a close into a reset.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    def close(self) -> None:
        """Close the connection after what was written is sent, however little of the answer that is."""
        self._protocol.transport.close()


class _BreakableProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol; it hands its connection to the app in the scope's extensions."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        inner: ASGIApp = self.app
        connection = Connection(self)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[CONNECTION] = connection
            await inner(scope, receive, send)

        self.app = app


class _Server(uvicorn.Server):
    """A server that says when it is ready, and stops when it is told to instead of at its next tick."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()

    async def main_loop(self) -> None:
        """Wait for :meth:`stop`; uvicorn's own loop only adds a Date header and looks every 100 ms."""
        self._loop = asyncio.get_running_loop()
        self.ready.set()
        await self._stopped.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close idle connections, give requests under way a second, then cancel them.

        uvicorn's own shutdown waits 100 ms even where there is nothing to wait for; tests start many servers.
        """
        for listening in self.servers:
            listening.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        tasks = set(self.server_state.tasks)
        if tasks:
            _, hanging = await asyncio.wait(tasks, timeout=1)
            for task in hanging:
                task.cancel()
            await asyncio.wait(tasks)
        await asyncio.sleep(0)

    def stop(self) -> None:
        """Stop, asked from another thread."""
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)


@contextmanager
def serving(app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve ``app`` and yield its base URL; raises OSError where the port is taken. Port 0 takes a free one.

    The app sends its own Date header: a stand-in's time is its clock's.
    """
    # asyncio switches Nagle's algorithm off only on sockets that name their protocol; with it on, every answer
    # would wait 40 ms for the client's delayed acknowledgement.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(256)
    except OSError:
        listener.close()
        raise
    config = uvicorn.Config(
        app,
        http=_BreakableProtocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        date_header=False,
        server_header=False,
    )
    server = _Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="stand-in", daemon=True)
    thread.start()
    if not server.ready.wait(10):
        listener.close()
        raise RuntimeError("The stand-in's server did not start within ten seconds.")
    try:
        yield f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
    finally:
        server.stop()
        thread.join(10)
        if thread.is_alive():
            raise RuntimeError("The stand-in's server did not stop within ten seconds.")


def connection_of(scope: Scope) -> Connection:
    """Return the request's connection; raises RuntimeError where the app is not served by :func:`serving`."""
    found = scope.get("extensions", {}).get(CONNECTION)
    if not isinstance(found, Connection):
        raise RuntimeError("Connections can only be broken behind packer_publisher.local.server.serving.")  # noqa: TRY004 (not about a type)
    return found


async def disconnected(receive: Receive, seconds: float | None = None) -> bool:
    """Wait until the client is gone, at most ``seconds``; return whether it is."""

    async def gone() -> None:
        message: Message = {}
        while message.get("type") != "http.disconnect":
            message = await receive()

    try:
        await asyncio.wait_for(gone(), seconds)
    except TimeoutError:
        return False
    return True
