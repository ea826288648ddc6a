"""Putting the parts together from the environment, once per process: what the functions and the command line call."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from packer_publisher.image import Platform
from packer_publisher.publish import Publisher
from packer_publisher.settings import Settings
from packer_publisher.sweep import Memory, Sweep, sweep

if TYPE_CHECKING:
    from packer_publisher.deadline import Deadline
    from packer_publisher.policy import Policy
    from packer_publisher.protocols import Cloud, Registry, Scan


_opened: list[Publisher] = []
_memories: dict[int, Memory] = {}


def open_publisher(platform: Platform, environ: Mapping[str, str]) -> Publisher:
    """Return the process's publisher for one entry point (its cloud) and one environment.

    Reads and checks the settings; opens neither the registry nor the cloud's SDK, which wait until an image is ours.
    Raises ConfigurationError that names the variable where a setting is wrong.
    """
    relevant = tuple(sorted((key, value) for key, value in environ.items() if key.startswith(("PUBLISHER_", "HCP_"))))
    return _open(platform, relevant)  # one each: a publisher is not for several threads at once


@lru_cache(maxsize=8)
def _open(_platform: Platform, environment: tuple[tuple[str, str], ...]) -> Publisher:
    environ = dict(environment)
    settings = Settings.from_environment(environ)
    publisher = Publisher(
        settings.policy,
        lambda: _open_registry(environ),
        lambda wanted: open_cloud(wanted, settings.policy),
        off=settings.registry_off,
    )
    _opened.append(publisher)
    return publisher


def sweep_window(platform: Platform, environ: Mapping[str, str], deadline: Deadline) -> Sweep:
    """Sweep a cloud's images of the window (PUBLISHER_SWEEP_WINDOW), but those younger than the settle time.

    What was seen complete is remembered for as long as the process lives. Raises ConfigurationError and, where the
    cloud cannot be listed, Trouble.
    """
    publisher = open_publisher(platform, environ)
    settings = Settings.from_environment(environ)
    cloud = cast("Scan", publisher.cloud(platform))
    now = datetime.now(UTC)
    since, until = now - settings.sweep_window, now - publisher.policy.settle
    return sweep(publisher, cloud, since, until, deadline, _memories.setdefault(id(publisher), Memory()))


def close_publishers() -> None:
    """Close every publisher of this process and forget them; the next call opens new ones."""
    _open.cache_clear()
    _memories.clear()
    while _opened:
        _opened.pop().close()


def open_cloud(platform: Platform, policy: Policy) -> Cloud:
    """Return the cloud behind a platform; only its own module, and later its SDK, is imported."""
    match platform:
        case Platform.AWS:
            from packer_publisher.clouds.aws import AWS

            return AWS(policy)
        case Platform.AZURE:
            from packer_publisher.clouds.azure import Azure

            return Azure(policy)
        case Platform.GCE:
            from packer_publisher.clouds.gcp import GoogleCloud

            return GoogleCloud(policy)


def _open_registry(environ: Mapping[str, str]) -> Registry:
    from packer_publisher.registry import HCPPacker

    return HCPPacker.from_environment(environ)
