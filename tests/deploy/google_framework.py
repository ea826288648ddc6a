"""Cloud Run functions on this machine: functions-framework, started as Google's buildpack starts it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Self

import httpx

from packer_publisher.local.compute_events import push_body

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv-deploy" / "runtimes" / "gcp"


class GoogleFunction:
    """One instance that serves a function over HTTP, as a context manager; ``log`` is everything that it wrote.

    ``workspace`` is the unpacked archive; its dependencies are in the environment that was made of its requirements.
    """

    def __init__(self, workspace: Path, environment: Mapping[str, str]) -> None:
        self._workspace = workspace
        self._environment = environment
        self._lines: list[str] = []
        self._home = TemporaryDirectory()

    def __enter__(self) -> Self:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [str(ENVIRONMENT / "bin" / "functions-framework")],
            cwd=self._workspace,
            env={
                "PATH": f"{ENVIRONMENT / 'bin'}:/usr/local/bin:/usr/bin:/bin",
                "HOME": self._home.name,  # gunicorn keeps a socket there
                "HOST": "127.0.0.1",
                "PORT": str(port),
                "FUNCTION_TARGET": "publish_image",
                "FUNCTION_SIGNATURE_TYPE": "cloudevent",
                "PYTHONDONTWRITEBYTECODE": "1",
                "K_SERVICE": "packer-publisher",
                "NO_PROXY": "127.0.0.1",
                **self._environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # the framework's server has worker processes: they are ended together
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._client = httpx.Client(timeout=90, trust_env=False)
        self._wait(port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        self.kill()
        self._home.cleanup()
        self._reader.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def log(self) -> str:
        """Return what the instance has written."""
        return "".join(self._lines)

    def lines(self) -> list[dict[str, Any]]:
        """Return the structured entries of the log."""
        return [json.loads(line) for line in self._lines if line.startswith("{")]

    def wait_for_lines(self, number: int) -> None:
        """Wait until so many structured entries are in the log: workers begin after the port is open."""
        until = monotonic() + 60
        while len(self.lines()) < number:
            assert monotonic() < until, f"the log has fewer entries:\n{self.log}"
            sleep(0.05)

    def kill(self) -> None:
        """End the instance in the middle of whatever it does."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def push(self, entry: Mapping[str, Any]) -> int:
        """Deliver an audit log entry as a push subscription does; return the status that it sees."""
        return self.post(push_body(entry))

    def post(self, body: object) -> int:
        """Deliver the body of a push request; return the status that the subscription sees."""
        headers = {"Authorization": "Bearer made-up-token", "User-Agent": "APIs-Google"}
        return self._client.post(self.address, json=body, headers=headers).status_code

    def _wait(self, port: int) -> None:
        until = monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                assert self._process.poll() is None, f"the framework has ended:\n{self.log}"
                assert monotonic() < until, "the framework does not listen after a minute"
                sleep(0.05)
            else:
                return

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)
