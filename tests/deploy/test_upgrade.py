"""An upgrade with events in the queue and one under way: whatever the old version leaves, the new one finishes.

The old version is the code before the form of our own messages changed last, from the history of this checkout (where
there is none that is said, and skipped), and the same code under another number. It handles some of the events and is
killed in the middle of one, which is more than any of the platforms does to it.
"""

from __future__ import annotations

import io
import json
import logging
import queue
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest
from infra.package.sources import PACKAGE

from packer_publisher import __version__
from packer_publisher.local.arm import Arm
from packer_publisher.local.aws import LocalAWS
from packer_publisher.local.aws_delivery import LocalDelivery
from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.local.server import serving
from tests.clouds.aws_stand_in import fresh_account_id
from tests.clouds.azure_stand_in import SUBSCRIPTION
from tests.deploy.azure_host import Host, Worker
from tests.deploy.azurite import StorageQueue, azurite
from tests.deploy.google_framework import GoogleFunction
from tests.deploy.lambda_runtime import PYTHON, LambdaProcess

BUILDS = 6
CONFIG = json.dumps({"buckets": {"base": {"create_buckets": True}}, "regions": ["us-east-1"]})
EARLIER = datetime.now(UTC) - timedelta(hours=1)
OLDER = "0.0.1"
ROOT = Path(__file__).parents[2]
FORM = f"shared/{PACKAGE}/messages.py"


@pytest.fixture
def registry() -> Iterator[LocalRegistry]:
    """A registry that takes its time, so that an invocation can be met in its middle."""
    with closing(RegistryModel()) as model, local_registry(model, latency=0.05) as running:
        yield running


class NoHistory(Exception):
    """There is no earlier revision to upgrade from; the message says why."""


def earlier_revision(cloud: str) -> str:
    """Return the revision before the form of our own messages changed last; raises NoHistory.

    Azure's worker could not load the function before its entry point was mended: there it is the mended one, if later.
    """
    before = git("rev-parse", "--verify", f"{last_change(FORM)}^").decode().strip()
    if cloud != "azure":
        return before
    mended = last_change("functions/azure/function_app.py")
    return mended if before in git("rev-list", mended).decode().split() else before


def last_change(path: str) -> str:
    """Return the revision that changed a file last; raises NoHistory."""
    changed = git("rev-list", "-1", "HEAD", "--", path).decode().strip()
    if not changed:
        raise NoHistory("git knows nothing of this checkout's revisions")
    return changed


def git(*arguments: str) -> bytes:
    """Return what git prints; raises NoHistory where it does not know."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoHistory(f"git does not tell the earlier revision ({type(error).__name__})") from error
    return done.stdout


def put_earlier(cloud: str, folder: Path) -> None:
    """Replace our own part of an unpacked archive by that of the earlier revision, beside today's dependencies."""
    shutil.rmtree(folder / PACKAGE)
    shutil.rmtree(folder / "__pycache__")  # of today's entry point, and taken without a look at its source
    revision = earlier_revision(cloud)
    with tarfile.open(fileobj=io.BytesIO(git("archive", revision, "shared", f"functions/{cloud}"))) as files:
        for member in files.getmembers():
            if member.isfile():
                _, _, name = member.name.partition("shared/" if member.name.startswith("shared/") else f"{cloud}/")
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                content = files.extractfile(member)
                assert content is not None
                target.write_bytes(content.read())


def renumber(_cloud: str, folder: Path) -> None:
    """Give our own part of an unpacked archive another version number."""
    source = folder / PACKAGE / "__init__.py"
    source.write_text(source.read_text("utf-8").replace(__version__, OLDER), "utf-8")
    (folder / PACKAGE / "__pycache__" / "__init__.cpython-313.pyc").unlink()
    assert (OLDER, __version__) == (version_of(folder), __version__)


@pytest.fixture(params=[put_earlier, renumber], ids=["from an earlier revision", "from another number"])
def versions(
    request: pytest.FixtureRequest, unpacked: Callable[[str], Path], tmp_path: Path
) -> Callable[[str], tuple[Path, Path]]:
    """Return a function that unpacks the old and the new version of a cloud's function."""

    def both(cloud: str) -> tuple[Path, Path]:
        new, old = unpacked(cloud), tmp_path / "old"
        shutil.copytree(new, old)
        try:
            request.param(cloud, old)
        except NoHistory as problem:
            pytest.skip(f"an upgrade from an earlier revision is not tried: {problem}")
        return old, new

    return both


def version_of(folder: Path) -> str:
    """Return the version of our package that an unpacked archive runs with."""
    return printed(folder, "import packer_publisher; print(packer_publisher.__version__)")


def handed_over(folder: Path, account: str, region: str, image: str) -> str:
    """Return the message by which the code of an unpacked archive hands over the version of an image."""
    code = f"""
from packer_publisher.image import ImageRef, Platform
from packer_publisher.messages import ConvergeOrder, write_order
order = ConvergeOrder("base", "build-{BUILDS}", (ImageRef(Platform.AWS, {account!r}, {region!r}, {image!r}),))
print(write_order(order))
"""
    return printed(folder, code)


def printed(folder: Path, code: str) -> str:
    """Return what a program prints that sees nothing but an unpacked archive."""
    command = [str(PYTHON), "-S", "-B", "-c", code]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def tags(number: int, platform: str) -> dict[str, str]:
    """Return the tags of a build that is a version of its own."""
    return {
        "hcp-packer-bucket": "base",
        "hcp-packer-fingerprint": f"build-{number}",
        "hcp-packer-expects": platform,
    }


def in_its_middle(registry: LocalRegistry, kill: Callable[[], object]) -> None:
    """Kill a process once it has begun to talk to the registry about an event."""
    seen, until = len(registry.requests.all()), monotonic() + 60
    while len(registry.requests.all()) < seen + 2:
        assert monotonic() < until, "the function does not ask the registry"
        sleep(0.005)
    kill()


def recorded(registry: LocalRegistry, builds: int = BUILDS) -> set[str]:
    """Return the images of so many complete versions."""
    found: set[str] = set()
    for number in range(builds):
        version = registry.model.get_version("base", f"build-{number}")["version"]
        assert version["name"] != "v0", version["fingerprint"]
        found |= {artifact["external_identifier"] for build in version["builds"] for artifact in build["artifacts"]}
    return found


def test_aws(versions: Callable[[str], tuple[Path, Path]], registry: LocalRegistry) -> None:
    """SQS keeps what an environment was killed over, and what the old version handed over to be done later.

    All images of both versions are in the registry, and that of the order, whose event was lost.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # moto's server tells each request
    old, new = versions("aws")
    with LocalAWS(("us-east-1",), ()) as local:
        account = local.account(fresh_account_id())
        delivery = LocalDelivery(account, {**registry.environment(), "PUBLISHER_CONFIG": CONFIG})
        builds = [account.build(f"base-{number}", tags(number, "aws"), created=EARLIER) for number in range(BUILDS + 1)]
        for build in builds[:BUILDS]:
            delivery.emit(build.events[-1])
        with LambdaProcess(old, delivery.environment) as function:
            first = delivery.deliver(function.handler, most=2)

            def die(event: dict[str, Any], _context: object) -> Mapping[str, Any]:
                under_way = function.start(event)
                in_its_middle(registry, function.kill)
                with pytest.raises(queue.Empty):  # there is no answer
                    function.finish(under_way, seconds=0.5)
                raise Killed

            with pytest.raises(Killed):
                delivery.deliver(die, most=2)
        order = handed_over(old, account.account_id, "us-east-1", builds[-1].images["us-east-1"])
        sqs: Any = account.session().client("sqs", endpoint_url=account.endpoint)
        sqs.send_message(QueueUrl=delivery.queue_url, MessageBody=order)
        with LambdaProcess(new, delivery.environment) as function:
            rest = delivery.drain(function.handler)
            killed = delivery.wake()
            again = delivery.drain(function.handler)
        assert first is not None
        assert (2, BUILDS - 4 + 1, 2, 2) == (
            len(first.records),
            sum(len(found.records) for found in rest),
            killed,
            sum(len(found.records) for found in again),
        )
        assert {frozenset()} == {found.failed for found in (first, *rest, *again)}
        assert (0, []) == (delivery.wake(), delivery.receive())
        assert {build.images["us-east-1"] for build in builds} == recorded(registry, BUILDS + 1)


class Killed(Exception):
    """Raised where a platform would notice that an invocation has no answer."""


def test_azure(versions: Callable[[str], tuple[Path, Path]], registry: LocalRegistry) -> None:
    """The queue shows a message again whose worker was killed; all images are in the registry, none is poison."""
    old, new = versions("azure")
    arm = Arm()
    with (
        azurite() as storage,
        serving(arm.app) as address,
        closing(StorageQueue(storage, "events")) as events,
        closing(StorageQueue(storage, "events-poison")) as poison,
    ):
        settings = {
            **registry.environment(),
            "PUBLISHER_ARM_ENDPOINT": address,
            "PUBLISHER_CONFIG": CONFIG,
            "PUBLISHER_QUEUE": "events",
            "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
        }
        for number in range(BUILDS):
            events.put_event(
                arm.put_managed_image("images", f"base-{number}", tags=tags(number, "azure"), created=EARLIER)
            )
        with Worker(old, settings) as worker:
            host = Host(worker, old, events, poison)
            done = [host.take() for _ in range(2)]
            under_way = events.get(host.rest)
            assert under_way is not None
            ends: list[BaseException] = []
            calling = threading.Thread(target=lambda: ends.append(raised(lambda: host.handle(under_way))))
            calling.start()
            in_its_middle(registry, worker.kill)
            calling.join(30)
        assert [AssertionError] == [type(end) for end in ends]
        with Worker(new, settings) as worker:
            host = Host(worker, new, events, poison)
            while (taken := host.take()) is not None:
                done.append(taken)
            assert 1 == events.count()  # it rests until its time is over, which is now
            events.rest(under_way, 0)
            done.append(host.take())
        assert [True] * BUILDS == [taken is not None and taken[1].succeeded for taken in done]
        assert (0, 0) == (events.count(), poison.count())
        assert {arm.image_id("images", f"base-{number}") for number in range(BUILDS)} == recorded(registry)


def raised(call: Callable[[], object]) -> BaseException:
    """Return what a call raises."""
    try:
        call()
    except BaseException as error:  # noqa: BLE001  # it is looked at by the caller
        return error
    raise RuntimeError("nothing was raised")


def test_google(versions: Callable[[str], tuple[Path, Path]], registry: LocalRegistry) -> None:
    """A push without an answer is repeated, to the new version; all images are in the registry."""
    old, new = versions("gcp")
    compute = ComputeEngine(now=lambda: EARLIER)
    entries = [
        compute.insert_image(
            f"base-{number}", labels={**tags(number, "gce"), "hcp-packer-expects": "gce"}, project="img-proj"
        )[-1]
        for number in range(BUILDS)
    ]
    with serving(compute.app) as address:
        settings = {**registry.environment(), "PUBLISHER_COMPUTE_ENDPOINT": address, "PUBLISHER_CONFIG": CONFIG}
        waiting = list(entries)
        with GoogleFunction(old, settings) as function:
            statuses = [function.push(waiting.pop(0)) for _ in range(2)]
            ends: list[BaseException] = []
            calling = threading.Thread(target=lambda: ends.append(raised(lambda: function.push(waiting[0]))))
            calling.start()
            in_its_middle(registry, function.kill)
            calling.join(30)
        assert [True] == [isinstance(end, httpx.TransportError) for end in ends]
        with GoogleFunction(new, settings) as function:
            statuses += [function.push(entry) for entry in waiting]
    assert [200] * BUILDS == statuses
    assert {f"base-{number}" for number in range(BUILDS)} == recorded(registry)
