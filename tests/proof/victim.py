"""One delivery in a process of its own, made to be killed: ``python -m tests.proof.victim world`` or ``lambda``.

What to deliver comes pickled on standard input, and what became of it goes to standard output. ``world`` is the real
publisher and client on a world of clouds in memory, which starts fast; ``lambda`` is functions/aws/handler.py itself.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from packer_publisher.deadline import Deadline
from packer_publisher.image import ImageEvent
from packer_publisher.policy import Policy
from packer_publisher.publish import Publisher
from packer_publisher.registry import HCPPacker
from tests.simulation.world import World, cloud_of

if TYPE_CHECKING:
    from packer_publisher.local.registry_serve import LocalRegistry

ROOT = Path(__file__).parents[2]
HANDLER = ROOT / "functions" / "aws" / "handler.py"
SECONDS = 60.0


class Killed(Exception):
    """The process was killed where it was to be."""


@dataclass(frozen=True, slots=True)
class Errand:
    """What a process is to deliver: one event on a world of clouds."""

    environ: Mapping[str, str]
    policy: Policy
    world: World
    event: ImageEvent


@dataclass(frozen=True, slots=True)
class Death:
    """Where a process is killed: at its ``call``-th request (1 is the first), before or after it was carried out."""

    call: int
    after: bool


def start(kind: str, errand: object, environ: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a process with its errand."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.proof.victim", kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, **(environ or {})},
    )
    assert process.stdin is not None
    process.stdin.write(pickle.dumps(errand))
    process.stdin.close()
    process.stdin = None
    return process


def finish(process: subprocess.Popen[bytes]) -> str:
    """Return what a process that nobody kills has said."""
    said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, f"the process ended with {process.returncode}"
    return said.decode()


def kill(process: subprocess.Popen[bytes], registry: LocalRegistry, *, after: bool) -> None:
    """Kill a process once the registry has met the fault that makes it wait, and raise Killed.

    It returns when the registry is done with the request: one that it had not carried out never will be.
    """
    struck = len(_struck(registry))

    def met() -> bool:
        return len(_struck(registry)) > struck if after else not registry.faults.left()

    _wait(lambda: met() or process.poll() is not None)
    process.kill()
    said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == -9, f"the process ended with {process.returncode} before it was killed: {said!r}"
    _wait(lambda: len(_struck(registry)) > struck)
    raise Killed


def _struck(registry: LocalRegistry) -> list[str]:
    return [request.operation for request in registry.requests.all() if request.fault]


def _wait(until: Callable[[], bool]) -> None:
    end = monotonic() + SECONDS
    while not until():
        if monotonic() > end:
            raise AssertionError("nothing has happened for a minute")
        sleep(0.002)


def _world(errand: Errand) -> str:
    client = HCPPacker.from_environment(errand.environ)
    now = errand.event.time
    publisher = Publisher(errand.policy, lambda: client, cloud_of(errand.world), now=lambda: now)
    report = publisher.on_event(errand.event, Deadline.after(SECONDS))
    client.close()
    return str(report.outcome)


def _lambda(event: dict[str, Any]) -> str:
    from packer_publisher.local.aws_delivery import LocalContext

    spec = importlib.util.spec_from_file_location("handler", HANDLER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return "\n" + json.dumps(module.handler(event, LocalContext(SECONDS)))  # the last line: others are the log


if __name__ == "__main__":
    work: Any = {"world": _world, "lambda": _lambda}[sys.argv[1]]
    sys.stdout.write(work(pickle.load(sys.stdin.buffer)))  # noqa: S301  # from the test that started it
