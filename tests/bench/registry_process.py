"""A local registry in a process of its own, with latency: what a benchmark talks to, and asks what it was asked.

``python -m tests.bench.registry_process SECONDS`` serves it; each line on stdin is answered with the counts since the
last one, by operation.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import local_registry
from tests.switches import setting


@dataclass
class Remote:
    """A registry in another process."""

    environment: dict[str, str]
    process: subprocess.Popen[str]

    def counts(self) -> Counter[str]:
        """Return what it was asked since this was called last, by operation."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return Counter(json.loads(self.process.stdout.readline()))


@contextmanager
def remote_registry(latency: float) -> Iterator[Remote]:
    """Serve a registry in another process until the block ends."""
    command = [sys.executable, "-m", "tests.bench.registry_process", str(latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Remote(json.loads(process.stdout.readline()), process)
        finally:
            process.kill()


def main() -> None:
    """Serve until stdin ends."""
    with (
        closing(RegistryModel(switches=setting())) as model,
        local_registry(model, latency=float(sys.argv[1])) as registry,
    ):
        sys.stdout.write(json.dumps(registry.environment()) + "\n")
        sys.stdout.flush()
        for _ in sys.stdin:
            sys.stdout.write(json.dumps(Counter(registry.requests.operations())) + "\n")
            sys.stdout.flush()
            registry.requests.clear()


if __name__ == "__main__":
    main()
