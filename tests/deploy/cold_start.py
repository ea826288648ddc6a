"""``make bench-cold-start``: the Lambda's cold start under its real runtime, against default packaging.

Default packaging is what a plugin makes of the same function: all of botocore's data, all of our package, and bytecode
that the runtime cannot use, because it was written beside sources of another time. Both run side by side, turn by turn,
against the same stand-ins; each turn is a new process and an image that nobody has seen.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import monotonic

from infra.package.artefact import ARTEFACTS
from infra.package.dependencies import install
from infra.package.sources import PACKAGE

from packer_publisher.local.aws import LocalAccount, LocalAWS
from packer_publisher.local.aws_events import Event
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import local_registry
from tests.deploy.archives import MissingArchive, find_archive, unpack
from tests.deploy.lambda_runtime import PROBE, RUNTIME, LambdaProcess, sqs_event

ROOT = Path(__file__).parents[2]
TURNS = int(os.environ.get("TURNS", "15"))
MOST = 0.5
REGION = "us-east-1"
CONFIG = json.dumps({"buckets": {"base": {"create_buckets": True}}, "regions": [REGION]})
NOT_OURS = ROOT / "tests" / "events" / "aws" / "instance_state.json"
SDKS = ("boto3", "botocore.", "s3transfer", "httpx", "urllib3")


@dataclass(slots=True)
class Times:
    """What was measured of one archive, in seconds, turn by turn."""

    ready: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)

    @property
    def both(self) -> list[float]:
        """Return the whole cold starts."""
        return [ready + first for ready, first in zip(self.ready, self.first, strict=True)]


def package_by_default(folder: Path) -> None:
    """Fill a folder as a packaging plugin does, and give its files the times that they have in a zip file."""
    install(ROOT / "functions" / "aws" / "requirements.txt", folder, ARTEFACTS["aws"].platforms)
    shutil.copyfile(ROOT / "functions" / "aws" / "handler.py", folder / "handler.py")
    shutil.copytree(ROOT / "shared" / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(folder)], check=True)
    then = datetime(1980, 1, 1, tzinfo=UTC).timestamp()
    for file in folder.rglob("*"):
        os.utime(file, (then, then))


def turn(task: Path, environment: dict[str, str], event: Event) -> tuple[float, float]:
    """Return the seconds from the spawn to the first question for an event, and those that the first image took."""
    with LambdaProcess(task, environment) as function:
        ready = function.wait_until_ready()
        began = monotonic()
        answer = function.invoke(sqs_event(event))
        took = monotonic() - began
    outcomes = [line["outcome"] for line in function.lines() if "outcome" in line]
    if (answer, outcomes) != ({"batchItemFailures": []}, ["completed"]):
        raise RuntimeError(f"the image was not recorded: {function.log}")
    return ready, took


def sdk_modules(task: Path, environment: dict[str, str]) -> list[str]:
    """Return the modules of an SDK that are loaded after an event that is not ours; the runtime loads none itself."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "probe.py").write_text(PROBE, "utf-8")
        looking = {**environment, "PYTHONPATH": f"{RUNTIME}:{folder}"}
        with LambdaProcess(task, looking, "probe.handler") as function:
            answer = function.invoke(sqs_event(json.loads(NOT_OURS.read_text("utf-8"))))
    if answer["answer"] != {"batchItemFailures": []}:
        raise RuntimeError(f"an event that is not ours was kept: {answer['answer']}")
    return [name for name in answer["modules"] if name.startswith(SDKS)]


def measure(ours: Path, default: Path, account: LocalAccount, environment: dict[str, str]) -> tuple[Times, Times]:
    """Return the times of both, taken in turns, so that a busy machine slows both down."""
    times = Times(), Times()
    for number in range(-1, TURNS):
        for task, into in zip((ours, default), times, strict=True):
            name = f"{task.name}-{number}"
            tags = {"hcp-packer-bucket": "base", "hcp-packer-fingerprint": name, "hcp-packer-expects": "aws"}
            created = datetime.now(UTC) - timedelta(minutes=10)
            ready, first = turn(task, environment, account.build(name, tags, created=created).events[-1])
            if number >= 0:  # the one before only warms the disk
                into.ready.append(ready)
                into.first.append(first)
    return times


def report(ours: Times, default: Times, say: Callable[[str], object]) -> float:
    """Say medians and ratios; return the ratio of the whole."""
    say(f"median of {TURNS} turns      make package    by default    ratio\n")
    ratio = 0.0
    for what, mine, other in (
        ("spawn to ready", ours.ready, default.ready),
        ("first image", ours.first, default.first),
        ("both", ours.both, default.both),
    ):
        ratio = median(mine) / median(other)
        say(f"{what:22} {median(mine) * 1000:8.0f} ms {median(other) * 1000:11.0f} ms {ratio:8.2f}\n")
    return ratio


def size(folder: Path) -> float:
    """Return the megabytes of a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1_000_000


def main() -> int:
    """Measure and print; return 1 where a cold start takes more than half of the other, or an SDK is loaded."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # moto's server tells each request
    try:
        archive = find_archive(ROOT, "aws")
    except MissingArchive as problem:
        sys.stderr.write(f"make bench-cold-start: {problem}\n")
        return 2
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(RegistryModel()) as model,
        local_registry(model) as registry,
        LocalAWS((REGION,), ()) as local,
    ):
        ours, default = Path(folder, "ours"), Path(folder, "default")
        unpack(archive, ours)
        package_by_default(default)
        account = local.account("123456789012")
        environment = {**account.environment, **registry.environment(), "PUBLISHER_CONFIG": CONFIG}
        ratio = report(*measure(ours, default, account, environment), sys.stdout.write)
        loaded = sdk_modules(ours, environment)
        sys.stdout.write(f"unpacked {size(ours):.0f} MB, by default {size(default):.0f} MB; ")
        sys.stdout.write(f"an event that is not ours loads {len(loaded)} modules of an SDK\n")
    missed = [text for text, bad in ((f"more than {MOST}", ratio > MOST), (f"loads {loaded[:3]}", loaded)) if bad]
    sys.stdout.write(f"missed: {', '.join(missed)}\n" if missed else f"promised: at most {MOST}, and none\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
