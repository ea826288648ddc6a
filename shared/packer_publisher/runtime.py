"""Putting the parts together from the environment, once per process: what the functions and the command line call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, cast

from packer_publisher.errors import Rejected
from packer_publisher.image import Platform
from packer_publisher.patience import SURVEY, Patience
from packer_publisher.placement import place, policy_for
from packer_publisher.publish import Publisher
from packer_publisher.settings import Settings
from packer_publisher.sweep import Memory, Sweep, sweep
from packer_publisher.versions import Versions

if TYPE_CHECKING:
    from packer_publisher.backfill.asked import Asked, Place
    from packer_publisher.backfill.journal import Journal
    from packer_publisher.backfill.run import Backfill
    from packer_publisher.deadline import Deadline
    from packer_publisher.drift.run import Drift, Question, Surveyed
    from packer_publisher.messages import Queue
    from packer_publisher.policy import Policy
    from packer_publisher.protocols import Cloud, Survey
    from packer_publisher.registry import HCPPacker
    from packer_publisher.sweep import Scanned

BESIDE = Path(__file__).parents[1]
"""In an archive the function's own folder, where its document lies; Azure starts its worker in another one."""

_opened: dict[tuple[Platform, tuple[tuple[str, str], ...]], Publisher] = {}
_memories: dict[int, Memory] = {}


def open_publisher(platform: Platform, environ: Mapping[str, str]) -> Publisher:
    """Return the process's publisher for one entry point (its cloud) and one environment.

    Reads and checks the settings; opens neither the registry nor the cloud's SDK, which wait until an image is ours.
    Raises ConfigurationError that names the variable where a setting is wrong.
    """
    own = sorted((key, value) for key, value in environ.items() if key.startswith(("PUBLISHER_", "HCP_")))
    key = (platform, tuple(own))
    if key not in _opened:  # one each: a publisher is not for several threads at once
        _opened[key] = _open(dict(environ))
    return _opened[key]


def _open(environ: Mapping[str, str]) -> Publisher:
    """Return a new publisher. It gets the whole environment: the home directory holds the default credential file,
    and a workload's token may be in any variable.
    """
    settings = Settings.from_environment(environ, BESIDE)
    return Publisher(
        settings.policy,
        lambda: _open_registry(environ),
        lambda wanted: open_cloud(wanted, settings.policy),
        off=settings.registry_off,
    )


def sweep_window(
    platform: Platform,
    environ: Mapping[str, str],
    deadline: Deadline,
    *,
    window: timedelta | None = None,
    queue: Queue | None = None,
    bucket: str = "",
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Sweep:
    """Sweep a cloud's images of a window (None: PUBLISHER_SWEEP_WINDOW), but those younger than the settle time.

    What was seen complete is remembered for as long as the process lives. Raises ConfigurationError and, where the
    cloud cannot be listed, Trouble. The rest is as in :func:`packer_publisher.sweep.sweep`.
    """
    publisher = open_publisher(platform, environ)
    cloud = cast("Scanned", publisher.cloud(platform))
    now = datetime.now(UTC)
    since, until = now - (window or window_of(environ)), now - publisher.policy.settle
    memory = _memories.setdefault(id(publisher), Memory())
    return sweep(
        publisher, cloud, since, until, deadline, memory, queue, bucket=bucket, dry_run=dry_run, progress=progress
    )


def window_of(environ: Mapping[str, str]) -> timedelta:
    """Return how far back a sweep looks (PUBLISHER_SWEEP_WINDOW); ConfigurationError where a setting is wrong."""
    return Settings.from_environment(environ, BESIDE).sweep_window


def close_publishers() -> None:
    """Close every publisher of this process and forget them; the next call opens new ones."""
    _memories.clear()
    while _opened:
        _opened.popitem()[1].close()


def open_cloud(platform: Platform, policy: Policy, patience: Patience = SURVEY) -> Cloud:
    """Return the cloud behind a platform; only its own module, and later its SDK, is imported.

    ``patience`` is that of a survey.
    """
    match platform:
        case Platform.AWS:
            from packer_publisher.clouds.aws import AWS

            return AWS(policy, patience=patience)
        case Platform.AZURE:
            from packer_publisher.clouds.azure import Azure

            return Azure(policy, patience=patience)
        case Platform.GCE:
            from packer_publisher.clouds.gcp import GoogleCloud

            return GoogleCloud(policy, patience=patience)


def _open_registry(environ: Mapping[str, str], rate: float | None = None) -> HCPPacker:
    from packer_publisher.registry import HCPPacker
    from packer_publisher.secret_stores import SecretStores

    return HCPPacker.from_environment(environ, rate=rate, read_secret=SecretStores(environ))


@contextmanager
def open_backfill(
    journal: Journal, asked: Asked, environ: Mapping[str, str], place: Place, *, workers: int, rate: float | None
) -> Iterator[Backfill]:
    """Yield a backfill of the clouds that were asked for; all its workers share one registry client and its rate.

    Once it is to stop, nothing that waits for a cloud goes on waiting. Raises ConfigurationError.
    """
    from packer_publisher.backfill.listing import sleeping_until
    from packer_publisher.backfill.run import Backfill

    settings = Settings.from_environment(environ)
    stop = Event()
    patience = replace(SURVEY, sleep=sleeping_until(stop))
    clouds = {Platform(word): open_cloud(Platform(word), settings.policy, patience) for word in asked.clouds}
    registry = _open_registry(environ, rate)
    run = Backfill(
        journal,
        asked,
        settings.policy,
        place,
        cast("dict[Platform, Survey]", clouds),
        registry,
        lambda: Publisher(settings.policy, lambda: registry, clouds.__getitem__, off=settings.registry_off),
        workers,
        stop=stop,
    )
    try:
        yield run
    finally:
        registry.close()
        for cloud in clouds.values():
            if hasattr(cloud, "close"):
                cloud.close()


@contextmanager
def open_queues(addresses: Mapping[Platform, str], environ: Mapping[str, str]) -> Iterator[dict[Platform, Queue]]:
    """Yield the queues of deployed functions, to which a backfill hands its versions over.

    Raises ConfigurationError for an address that is none, CredentialsTrouble where there are no credentials.
    """
    queues = {platform: _open_queue(platform, address, environ) for platform, address in addresses.items()}
    try:
        yield queues
    finally:
        for queue in queues.values():
            if hasattr(queue, "close"):
                queue.close()


def _open_queue(platform: Platform, address: str, environ: Mapping[str, str]) -> Queue:
    match platform:
        case Platform.AWS:
            from packer_publisher.clouds import aws_handover

            return aws_handover.DeployedQueue(address)
        case Platform.AZURE:
            from packer_publisher.clouds import azure_handover

            return azure_handover.DeployedQueue(address, environ)
        case Platform.GCE:
            from packer_publisher.clouds.gcp_queue import deployed_topic

            return deployed_topic(address, environ)


@contextmanager
def open_drift(
    question: Question, environ: Mapping[str, str], folder: Path, *, mapping: Path | None, workers: int,
    rate: float | None,
) -> Iterator[Drift]:  # fmt: skip
    """Yield a drift of the clouds that were asked for; what it finds lies in ``folder``. Raises ConfigurationError."""
    from packer_publisher.backfill.listing import sleeping_until
    from packer_publisher.drift.census import Census
    from packer_publisher.drift.findings import Findings
    from packer_publisher.drift.run import Drift, everything

    policy = Settings.from_environment(environ).policy
    place = _placer(mapping, everything(policy))
    stop = Event()
    patience = replace(SURVEY, sleep=sleeping_until(stop))
    clouds = {platform: open_cloud(platform, policy, patience) for platform in question.clouds}
    registry = _open_registry(environ, rate)
    census, findings = Census(folder / "census.sqlite", place, policy), Findings(folder / "findings.sqlite")
    try:
        surveyed = cast("dict[Platform, Surveyed]", clouds)
        told = str(mapping or "")
        yield Drift(question, policy, place, surveyed, registry, census, findings, told, workers, stop=stop)
    finally:
        for opened in (registry, census, findings, *clouds.values()):
            if hasattr(opened, "close"):
                opened.close()


def _placer(mapping: Path | None, policy: Policy) -> Place:
    if mapping is None:
        return lambda image: place(image, policy)
    from packer_publisher.mapping import placer
    from packer_publisher.mapping_file import read_mapping

    return placer(read_mapping(mapping), policy, datetime.now(UTC))


@contextmanager
def open_versions(environ: Mapping[str, str], bucket: str, deadline: Deadline) -> Iterator[Versions]:
    """Yield the versions of the HCP project that the bucket belongs to, for decisions of a person.

    The bucket's project comes from the configuration where that names the bucket; a bucket that it does not allow to
    the functions may still be decided about by a person. Raises ConfigurationError.
    """
    policy = Settings.from_environment(environ).policy
    try:
        project = policy_for(bucket, policy).project
    except Rejected:
        project = None
    registry = _open_registry(environ)
    try:
        yield Versions(registry, deadline, project)
    finally:
        registry.close()
