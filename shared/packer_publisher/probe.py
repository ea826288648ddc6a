"""The harmless question that a person puts to a function through its own queue, and the line that it answers with.

The function says which version and configuration it is, whether HCP takes it for somebody and the registry is active,
and whether it may read its cloud's images. Nothing is written, neither in HCP nor in the cloud.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

from packer_publisher import __version__
from packer_publisher.deadline import Deadline
from packer_publisher.errors import PublisherError
from packer_publisher.image import Platform
from packer_publisher.protocols import Scan
from packer_publisher.publish import Publisher
from packer_publisher.sweep_log import Entry
from packer_publisher.wording import listed, shown

ACTIVE, READABLE, OFF = "active", "readable", "off"
"""The words for what is as it should be, and for a registry that HCP_PACKER_REGISTRY switches off."""

_GLANCE = timedelta(minutes=1)
"""How far back images are looked for: whether they may be listed matters, not what they are."""


def answer_probe(
    identifier: str, publisher: Publisher, platform: Platform, configuration: str, deadline: Deadline, *, off: bool
) -> Entry:
    """Return the answer; ``configuration`` is the digest of the document, the same in all functions that share it."""
    registry = OFF if off else _registry(publisher, deadline)
    images, denied = _images(publisher, platform, deadline)
    good = registry in (ACTIVE, OFF) and images == READABLE and not denied
    line = f"probe {identifier}: packer-publisher {__version__}, configuration {configuration}, "
    line += f"registry {registry}, images {images}"
    line += f", no access to {listed(denied)}" if denied else ""
    fields: dict[str, object] = {
        "probe": identifier,
        "version": __version__,
        "configuration": configuration,
        "registry": registry,
        "images": images,
        "denied": denied,
    }
    return Entry("INFO" if good else "WARNING", "probe", line, fields)


def unanswerable(identifier: str, problem: PublisherError) -> Entry:
    """Return the answer of a function whose settings are wrong."""
    reason = shown(f"{problem} {problem.remedy}".strip(), 1000)
    fields: dict[str, object] = {"probe": identifier, "version": __version__, "problem": reason}
    return Entry("ERROR", "probe", f"probe {identifier}: packer-publisher {__version__}: {reason}", fields)


def _registry(publisher: Publisher, deadline: Deadline) -> str:
    projects = sorted({rule.policy.project for rule in publisher.policy.rules}, key=lambda project: project or "")
    try:
        for project in projects or [None]:
            if not publisher.registry.is_active(deadline, project):
                return f"not active in {f'project {project}' if project else 'its project'}"
    except PublisherError as problem:
        return shown(f"refused: {problem} {problem.remedy}".strip(), 1000)
    return ACTIVE


def _images(publisher: Publisher, platform: Platform, deadline: Deadline) -> tuple[str, list[str]]:
    """Return whether images can be listed, and the regions that deny it."""
    now = datetime.now(UTC)
    try:
        cloud = publisher.cloud(platform)
        for _image in cast("Scan", cloud).scan(now - _GLANCE, now, deadline):
            pass  # it is read, and that is all
    except PublisherError as problem:
        return shown(f"not readable: {problem} {problem.remedy}".strip(), 1000), []
    return READABLE, sorted(getattr(cloud, "denied", ()))
