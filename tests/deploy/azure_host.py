"""The Azure Functions host as far as our function meets it: a worker process, and a Storage queue that feeds it.

The worker is Azure's own library in a process of its own; the queue is Azurite's. What the host itself does between
them (WebJobs SDK, QueueProcessor) is played here, by the settings in host.json: it takes a message with the visibility
time-out, decodes it, deletes it after success, leaves it after a failure, and moves it to ``<queue>-poison`` when it
was taken as often as is allowed.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.deploy.azurite import Message, StorageQueue

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / ".venv-deploy" / "runtimes" / "azure"
PYTHON = Path(sys._base_executable)  # type: ignore[attr-defined]  # the interpreter itself, not that of .venv-deploy
PACKAGES = ".python_packages/lib/site-packages"


@dataclass(frozen=True, slots=True)
class Ended:
    """How one invocation ended, and what was logged during it."""

    succeeded: bool
    exception: str
    outputs: Mapping[str, Any]
    logs: tuple[Mapping[str, str], ...]
    modules: frozenset[str] = field(default_factory=frozenset, repr=False)

    def reports(self) -> list[dict[str, Any]]:
        """Return what our function logged."""
        return [json.loads(line["message"]) for line in self.logs if line["logger"] == "packer_publisher"]


class Worker:
    """A worker process with the functions of an unpacked archive indexed, as a context manager.

    ``started`` is how the start ended; ``functions`` are name, bindings and retries, as the host learns them.
    """

    def __init__(self, app: Path, environment: Mapping[str, str]) -> None:
        self._app = app
        self._environment = environment

    def __enter__(self) -> Self:
        path = [str(self._app / PACKAGES), str(self._app), str(RUNTIME)]
        self._process = subprocess.Popen(
            # -S: no site-packages; what the archive lacks is missing here, too. -P: nor the driver's folder.
            [str(PYTHON), "-S", "-P", str(Path(__file__).with_name("azure_host_driver.py"))],
            # Not the app's own folder: a worker that is made out of a placeholder starts elsewhere.
            cwd="/",
            env={
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "PYTHONPATH": ":".join(path),
                "PYTHONDONTWRITEBYTECODE": "1",
                "FUNCTIONS_WORKER_RUNTIME": "python",
                "FUNCTIONS_EXTENSION_VERSION": "~4",
                **self._environment,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        answer = self._ask({"start": str(self._app)})
        self.functions: dict[str, Any] = answer.pop("functions", {})
        self.started = self._ended(answer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.communicate()

    def invoke(
        self,
        function: str,
        inputs: Mapping[str, Mapping[str, str]],
        metadata: Mapping[str, Mapping[str, str]] | None = None,
        *,
        modules: bool = False,
    ) -> Ended:
        """Call a function; values and metadata are typed as in the host's protocol: ``{"string": "..."}``."""
        return self._ended(
            self._ask(
                {
                    "invocation": str(uuid.uuid4()),
                    "function": self.functions[function]["id"],
                    "inputs": inputs,
                    "metadata": metadata or {},
                    "modules": modules,
                }
            )
        )

    def tick(self, function: str) -> Ended:
        """Call a function as its timer does."""
        timer = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False}
        return self.invoke(function, {"timer": {"json": json.dumps(timer)}})

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the worker has ended"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _ended(self, answer: Mapping[str, Any]) -> Ended:
        return Ended(
            answer["succeeded"],
            answer["exception"],
            answer.get("outputs", {}),
            tuple(answer["logs"]),
            frozenset(answer["modules"]),
        )


class Host:
    """The queue trigger of one function app; ``hurried`` lets no message rest after a failure."""

    def __init__(
        self, worker: Worker, app: Path, events: StorageQueue, poison: StorageQueue, *, hurried: bool = False
    ) -> None:
        settings = json.loads((app / "host.json").read_text("utf-8"))["extensions"]["queues"]
        hours, minutes, seconds = (int(part) for part in settings["visibilityTimeout"].split(":"))
        self.rest = hours * 3600 + minutes * 60 + seconds
        self.most = int(settings["maxDequeueCount"])
        self.encoded = settings["messageEncoding"] == "base64"
        self._hurried = hurried
        self._worker = worker
        self._events = events
        self._poison = poison

    def take(self) -> tuple[Message, Ended] | None:
        """Take the next message that can be seen and let the function handle it; None where there is none."""
        message = self._events.get(self.rest)
        return None if message is None else (message, self.handle(message))

    def handle(self, message: Message) -> Ended:
        """Let the function handle a message that was taken, and do with it what its end asks for."""
        text = base64.b64decode(message.text).decode() if self.encoded else message.text
        metadata = {
            "Id": message.identifier,
            "DequeueCount": str(message.taken),
            "PopReceipt": message.receipt,
            "InsertionTime": parsedate_to_datetime(message.inserted).isoformat(),
            "ExpirationTime": parsedate_to_datetime(message.expires).isoformat(),
            "NextVisibleTime": parsedate_to_datetime(message.visible).isoformat(),
        }
        typed = {name: {"json": json.dumps(value)} for name, value in metadata.items()}
        ended = self._worker.invoke("publish_image", {"message": {"string": text}}, typed)
        if ended.succeeded:
            for text in json.loads(ended.outputs["work"]["json"]) if "work" in ended.outputs else ():
                self._events.put(base64.b64encode(text.encode()).decode())
            self._events.delete(message)
        elif message.taken >= self.most:
            self._poison.put(message.text)
            self._events.delete(message)
        else:
            self._events.rest(message, 0 if self._hurried else self.rest)
        return ended
