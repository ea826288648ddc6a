"""What a census knows of one image, and what it could see at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from packer_publisher.drift.row import How
from packer_publisher.image import Image, Platform, Scope
from packer_publisher.wording import shown


@dataclass(frozen=True, slots=True)
class Sighting:
    """One image as its cloud shows it.

    ``bucket``, ``fingerprint`` and ``component_type`` are where its tags place it, "" where they do not. ``problem``
    says why an image of ours cannot be registered as it is tagged, or (``image`` is None) why it could not be read.
    """

    number: int
    owner: str
    identifier: str
    image: Image | None = None
    bucket: str = ""
    fingerprint: str = ""
    component_type: str = ""
    problem: str = ""
    remedy: str = ""

    @property
    def regions(self) -> frozenset[str]:
        """Return the regions that the image is in."""
        return frozenset(artifact.region for artifact in self.image.artifacts) if self.image else frozenset()


Barrier = tuple[How, str, str]
"""Why something cannot be seen, as a word and in words, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What was listed, and what was not and why: parts of a cloud, and whole clouds."""

    listed: frozenset[Scope] = frozenset()
    closed: Mapping[Scope, Barrier] = field(default_factory=dict)
    shut: Mapping[Platform, Barrier] = field(default_factory=dict)

    def barrier(self, platform: Platform, owner: str, region: str) -> Barrier | None:
        """Return why images of an owner (``aws:123456789012``) in a region cannot be seen, None where they can."""
        if platform in self.shut:
            return self.shut[platform]
        prefix, _, owner_id = owner.partition(":")
        scope = Scope(platform, owner_id, region if platform is Platform.AWS else "")
        if scope in self.listed and prefix == platform:
            return None
        if scope in self.closed:
            return self.closed[scope]
        if any(known.owner_id == owner_id for known in (*self.listed, *self.closed) if known.platform is platform):
            told = f"region {shown(region)} of {shown(owner)} is not enabled"
            return How.ELSEWHERE, told, "enable it, or run drift without it"
        return How.ELSEWHERE, f"no credentials for {shown(owner)}", f"run drift with credentials for {shown(owner)}"

    @property
    def barriers(self) -> dict[str, Barrier]:
        """Return what could not be listed, by its name, sorted."""
        clouds = {f"all of {platform}": barrier for platform, barrier in sorted(self.shut.items())}
        return clouds | {scope.at: barrier for scope, barrier in sorted(self.closed.items())}

    def closed_regions(self) -> dict[str, str]:
        """Return the regions that could not be listed, with the reasons."""
        return {scope.region: why for scope, (_, why, _) in self.closed.items()}
