"""Ancestry: the version that an image was built from, as far as the registry knows it for certain.

HCP Packer takes the parents of a build once. So nothing is guessed: an image that two versions list has no parent, and
neither has one whose version is still open or is revoked (HCP revokes the child of a revoked version at once, also one
that other clouds are still filling). The report says why, and the build keeps its source image all the same.

A refusal of the search or of the channels holds no image back; trouble does, because a parent that is lost is lost.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace

from packer_publisher.errors import Forbidden, RegistryInactive, RegistryRefused
from packer_publisher.labels import IMAGE_ID
from packer_publisher.listing import canonical_identifier, same_identifier
from packer_publisher.placement import Item
from packer_publisher.snapshot import Channel, FoundArtifact, Parent, Version
from packer_publisher.steps import FindParent
from packer_publisher.wording import listed, shown

MOST_HITS = 50
"""How many hits of one search are looked at: an image that is registered so often has no certain parent."""
REMEMBERED = 256
"""How many answers a process keeps at most."""
SECONDS = 60.0
"""How long an answer is kept: a burst of builds from one base image searches once."""

NONE = "no parent is recorded"

Search = Callable[[FindParent], Sequence[FoundArtifact]]
Channels = Callable[[str], Sequence[Channel]]

_REFUSALS = (RegistryRefused, Forbidden, RegistryInactive)
# An inactive registry would have refused the read of the version, long before: what else may hide behind a failed
# precondition (a feature that this registry does not have, say) is not documented.


def source_of(item: Item) -> str:
    """Return what an image was built from: what its tag says, else what its cloud knows for certain, else ""."""
    return item.placement.source_image or item.image.source or ""


def lookup(item: Item) -> FindParent | None:
    """Return the question whose answer is the item's parent, None where nobody knows what it was built from."""
    source = source_of(item)
    if not source:
        return None
    placement = item.placement
    platform = str(item.image.platform)
    return FindParent(placement.bucket, placement.fingerprint, platform, source, placement.source_number)


def find_parent(asked: FindParent, search: Search, channels: Channels) -> Parent:
    """Return the parent, asking the registry once or twice: refusals become its note, trouble is raised.

    A source whose tag spells it otherwise than we register it is searched for in both spellings: Packer registers an
    image of Azure as its template spells the resource group.
    """
    spellings = dict.fromkeys((canonical_identifier(asked.identifier), asked.identifier))
    try:
        hits = [hit for spelled in spellings for hit in search(replace(asked, identifier=spelled))]
    except _REFUSALS as refusal:
        return Parent(note=f"the parent was not looked up: {refusal}")
    parent = parent_version(asked, hits)
    if not parent.version_id:
        return parent
    try:
        return with_channel(parent, channels(parent.bucket))
    except _REFUSALS as refusal:
        return replace(parent, note=f"the channel of the parent was not looked up: {refusal}")


def parent_version(asked: FindParent, hits: Sequence[FoundArtifact]) -> Parent:
    """Return the one complete version whose build lists the source image, without its channel."""
    listing = {hit.version_id: hit for hit in hits if hit.version_id and hit.bucket and _lists(hit, asked)}
    listing = {key: hit for key, hit in listing.items() if not _is(asked, hit.bucket, hit.fingerprint)}
    complete = [hit for hit in listing.values() if hit.version_name not in ("", "v0")]
    source = shown(asked.identifier, 300)
    if len(complete) > 1:
        names = sorted(_name(hit) for hit in complete)
        return Parent(note=f"{NONE}: {len(names)} versions list {source}, {listed(names[:4])} among them")
    for hit in complete or listing.values():
        found = Parent("", "", hit.bucket, hit.fingerprint, hit.version_name)
        if not complete:
            return replace(found, note=f"{NONE}: {_name(hit)}, which lists {source}, is not complete yet")
        if hit.version_status == "VERSION_REVOKED":
            # One whose revocation is only scheduled is still in use, and what is built from it is to follow it.
            return replace(found, note=f"{NONE}: {_name(hit)}, which lists {source}, is revoked")
        return replace(found, version_id=hit.version_id)
    return Parent()


def with_channel(parent: Parent, channels: Sequence[Channel]) -> Parent:
    """Return the parent with the one channel of its bucket that points to it now; none where several do.

    A channel that HCP manages (``latest``) is nobody's choice.
    """
    pointing = [
        channel
        for channel in channels
        if channel.id and not channel.managed and channel.version_fingerprint == parent.fingerprint
    ]
    if len(pointing) != 1:
        return parent
    return replace(parent, channel_id=pointing[0].id, channel=pointing[0].name)


class Ancestors:
    """What one process has found out lately, so that a burst of builds from one base image does not search again.

    Also that an image is not registered; but a version that is found and cannot be recorded yet may be complete, or
    restored, the next moment. A version that is seen complete here makes all forgotten that it lists.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str | None, FindParent], tuple[float, Parent]] = OrderedDict()

    def find(self, asked: FindParent, project: str | None, now: float, search: Search, channels: Channels) -> Parent:
        """Return the parent as :func:`find_parent` does; ``now`` is in seconds of any one clock."""
        key = (project, replace(asked, bucket="", fingerprint=""))
        then, parent = self._known.get(key, (now - SECONDS, Parent()))
        if now - then < SECONDS and not _is(asked, parent.bucket, parent.fingerprint):
            return parent
        parent = find_parent(asked, search, channels)
        self._known.pop(key, None)
        if parent.version_id or not parent.fingerprint:
            self._known[key] = (now, parent)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return parent

    def forget(self, version: Version) -> None:
        """Forget what was found out about the images that a version lists."""
        now_listed = {artifact.external_identifier.casefold() for b in version.builds for artifact in b.artifacts}
        for key in [key for key in self._known if key[1].identifier.casefold() in now_listed]:
            del self._known[key]


def _lists(hit: FoundArtifact, asked: FindParent) -> bool:
    """Return whether a hit is the source image: HCP may compare more generously than the clouds mean it.

    On Google a build that carries no number (Packer's own) is taken at its word.
    """
    if hit.build.platform != asked.platform or (asked.number and hit.build.label(IMAGE_ID) not in ("", asked.number)):
        return False
    return any(same_identifier(artifact.external_identifier, asked.identifier) for artifact in hit.build.artifacts)


def _is(asked: FindParent, bucket: str, fingerprint: str) -> bool:
    return (bucket.casefold(), fingerprint) == (asked.bucket.casefold(), asked.fingerprint)


def _name(hit: FoundArtifact) -> str:
    complete = hit.version_name not in ("", "v0")
    return f"{hit.bucket} {hit.version_name if complete else hit.fingerprint}"
