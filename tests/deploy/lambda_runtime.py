"""Lambda on this machine: its Runtime API, served on loopback, and awslambdaric as the process behind it.

The process is as alone as in Lambda: the archive, the runtime's own folder, the standard library; no site-packages.
Its folder is not written to, as /var/task cannot be.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic, time
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / ".venv-deploy" / "runtimes" / "aws"
PYTHON = Path(sys._base_executable)  # type: ignore[attr-defined]  # the interpreter itself, not that of .venv-deploy
API = "/2018-06-01/runtime"
PROBE = """
import sys
import handler as function

def handler(event, context):
    return {"answer": function.handler(event, context), "modules": sorted(sys.modules)}
"""
"""A handler around the function's, in a module of its own: it tells what is loaded by the end of an invocation."""

ARN = "arn:aws:lambda:us-east-1:123456789012:function:packer-publisher"


class FunctionFailed(Exception):
    """What the runtime posted instead of an answer; ``kind`` is its errorType."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        super().__init__(f"{told.get('errorType')}: {told.get('errorMessage')}")
        self.kind = str(told.get("errorType"))


@dataclass(slots=True)
class _Invocation:
    identifier: str
    event: bytes
    deadline: float
    answers: queue.Queue[tuple[str, Any]]


class _Server(ThreadingHTTPServer):
    """A server to which it is no error that the process at the other end was killed."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class LambdaProcess:
    """One execution environment, as a context manager; ``environment`` are the function's own variables.

    ``began`` is when it was spawned, ``ready`` when it asked for its first event (None before); ``log`` is everything
    that it wrote, complete once the context is left.
    """

    def __init__(self, task: Path, environment: Mapping[str, str], handler: str = "handler.handler") -> None:
        self._task = task
        self._environment = environment
        self._handler = handler
        self._waiting: queue.Queue[_Invocation] = queue.Queue()
        self._under_way: dict[str, _Invocation] = {}
        self._is_ready = threading.Event()
        self._init_error: Mapping[str, Any] | None = None
        self.began = 0.0
        self.ready: float | None = None

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), self._face())
        self._serving = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._serving.start()
        self._lines: list[str] = []
        self.began = monotonic()
        self._process = subprocess.Popen(
            # -S: no site-packages; what the archive lacks is missing here, too.
            [str(PYTHON), "-S", "-m", "awslambdaric", self._handler],
            cwd=self._task,
            env=self._whole_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._server.shutdown()
        self._server.server_close()

    @property
    def log(self) -> str:
        """Return what the process has written."""
        return "".join(self._lines)

    def lines(self) -> list[dict[str, Any]]:
        """Return the JSON objects of the log, metrics left out."""
        found = [json.loads(line) for line in self._lines if line.startswith("{")]
        return [line for line in found if "_aws" not in line]

    def kill(self) -> None:
        """End the process in the middle of whatever it does, as Lambda does with an environment that is replaced."""
        self._process.kill()
        self._process.wait()

    def wait_until_ready(self, seconds: float = 30.0) -> float:
        """Return how long it took from the spawn to the first question for an event. Raises FunctionFailed."""
        if not self._is_ready.wait(seconds) or self.ready is None:
            raise FunctionFailed(self._init_error or {"errorType": "Silence", "errorMessage": self.log})
        return self.ready - self.began

    def start(self, event: object, seconds: float = 60.0) -> str:
        """Hand over an event without waiting for its answer; return the request's id."""
        invocation = _Invocation(str(uuid.uuid4()), json.dumps(event).encode(), time() + seconds, queue.Queue())
        self._under_way[invocation.identifier] = invocation
        self._waiting.put(invocation)
        return invocation.identifier

    def finish(self, identifier: str, seconds: float = 60.0) -> Any:
        """Return the answer to an event that was handed over. Raises FunctionFailed."""
        kind, told = self._under_way[identifier].answers.get(timeout=seconds)
        if kind == "error":
            raise FunctionFailed(told)
        return told

    def invoke(self, event: object, seconds: float = 60.0) -> Any:
        """Return the function's answer to an event. Raises FunctionFailed."""
        return self.finish(self.start(event, seconds), seconds + 5)

    def handler(self, event: dict[str, Any], _context: object) -> Mapping[str, Any]:
        """Return the same in the shape of a handler, for the stand-in of the event source."""
        answer: Mapping[str, Any] = self.invoke(event)
        return answer

    def _whole_environment(self) -> dict[str, str]:
        """Return what Lambda sets, the function's own variables on top of it, and nothing of this process."""
        own = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        return {
            **own,
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PYTHONPATH": str(RUNTIME),
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "AWS_LAMBDA_FUNCTION_NAME": "packer-publisher",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_address[1]}",
            "LAMBDA_TASK_ROOT": str(self._task),
            "LAMBDA_RUNTIME_DIR": str(RUNTIME),
            "_HANDLER": self._handler,
            **self._environment,
        }

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)
        self._is_ready.set()  # it has ended: nobody need wait any longer

    def _face(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Face(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                if self.path != f"{API}/invocation/next":
                    self._answer(404, b"")
                    return
                if owner.ready is None:
                    owner.ready = monotonic()
                    owner._is_ready.set()
                invocation = owner._waiting.get()
                headers = {
                    "Lambda-Runtime-Aws-Request-Id": invocation.identifier,
                    "Lambda-Runtime-Deadline-Ms": str(int(invocation.deadline * 1000)),
                    "Lambda-Runtime-Invoked-Function-Arn": ARN,
                    "Content-Type": "application/json",
                }
                self._answer(200, invocation.event, headers)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                told = json.loads(body)
                parts = self.path.removeprefix(API).strip("/").split("/")
                if parts == ["init", "error"]:
                    owner._init_error = told
                elif parts[0] == "invocation" and parts[2] in ("response", "error"):
                    owner._under_way[parts[1]].answers.put((parts[2], told))
                self._answer(202, b'{"status":"OK"}')

            def _answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that the base class gives
                """Keep the test output quiet."""

        return Face


def sqs_event(*bodies: object, region: str = "us-east-1") -> dict[str, Any]:
    """Return a batch as Lambda's poller hands it over; each body is an event or a text."""
    return {
        "Records": [
            {
                "messageId": str(uuid.uuid4()),
                "receiptHandle": f"handle-{number}",
                "body": body if isinstance(body, str) else json.dumps(body),
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{region}:123456789012:packer-publisher-events",
                "awsRegion": region,
            }
            for number, body in enumerate(bodies)
        ]
    }
