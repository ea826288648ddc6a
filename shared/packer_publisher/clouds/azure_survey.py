"""The images of an Azure subscription: found in Resource Manager's list, page by page, and read one by one.

A list tells tags and the time of creation, and what is not asked for by them costs no request.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from packer_publisher.clouds.azure_arm import Arm, Unavailable
from packer_publisher.clouds.azure_images import IMAGES, VERSIONS, Images, Look, time_of
from packer_publisher.errors import CredentialsTrouble, Forbidden, Rejected, Trouble
from packer_publisher.image import Image, ImageRef, ImageState, Platform
from packer_publisher.placement import is_ours
from packer_publisher.wording import shown

if TYPE_CHECKING:
    from packer_publisher.policy import Policy

READERS = 8
"""Images of one subscription that a survey reads at the same time."""

_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

Flaw = tuple[str, Rejected | Trouble]
"""An image that cannot be read, by its id, and why."""

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when images were created; None leaves an end open."""

    since: datetime | None
    until: datetime | None

    def holds(self, moment: datetime) -> bool:
        """Return whether a moment lies within."""
        return (self.since or _FIRST) <= moment < (self.until or _LAST)

    def nearest(self, moment: datetime) -> datetime:
        """Return the moment, or the end of the window next to it."""
        return min(max(moment, self.since or _FIRST), (self.until or _LAST) - timedelta.resolution)


class Listing:
    """The images of one subscription, each at most once. ``now`` is the age of one of which Azure does not tell it."""

    def __init__(
        self, subscription: str, arm: Arm, images: Images, policy: Policy, now: Callable[[], datetime]
    ) -> None:
        self._subscription = subscription
        self._arm = arm
        self._images = images
        self._policy = policy
        self._now = now

    def read(self, window: Window, look: Look, *, tagged: bool = True, readers: int = 1) -> Iterator[Image | Flaw]:
        """Yield the images created within the window, and those that cannot be read.

        An image whose time of creation Azure does not tell is always within. ``tagged`` leaves out those without any
        contract tag. With ``gallery`` a managed image is left out where the version made from it is found. Left out
        are, too, what is of another subscription, and what is being deleted or gone when it is read. Remembered are
        only the managed images that versions were made from. Up to ``readers`` images are read at the same time, in
        the order of the list. Raises as ``arm`` where Azure does not show the list or does not answer at all.
        """
        done: set[str] = set()

        def read(entry: Entry) -> Image | Flaw | None:
            return self._read(entry, window, look, tagged=tagged)

        for kind in (VERSIONS, IMAGES):  # the versions first: they know their managed images
            entries = (
                entry
                for entry in self._arm.resources(self._subscription, kind, look.patience)
                if _id(entry) not in done
                and not self._stands_behind(entry, look)
                and not self._is_outside(entry, window, tagged=tagged)
            )
            for found in _each(entries, read, readers):
                if found is None:
                    continue
                if isinstance(found, Image):
                    identifier = found.ref.identifier.lower()
                    if identifier in done:
                        continue
                    if identifier in look.sources:
                        done.add(identifier)
                yield found

    def _stands_behind(self, entry: Entry, look: Look) -> bool:
        """Return whether an entry is a managed image, and the version that was made from it is the artifact."""
        return self._policy.azure_artifact == "gallery" and _id(entry) in look.sources

    def _is_outside(self, entry: Entry, window: Window, *, tagged: bool) -> bool:
        """Return whether the list itself tells that an image is not asked for; what it is silent about is read."""
        tags = entry.get("tags")
        if tagged and isinstance(tags, Mapping) and not is_ours(tags, self._policy):
            return True
        try:
            created = time_of(entry.get("createdTime"))
        except Trouble:
            return False
        return created is not None and not window.holds(created)

    def _read(self, entry: Entry, window: Window, look: Look, *, tagged: bool) -> Image | Flaw | None:
        """Return the image of one entry of the list, None when it is not asked for or gone."""
        ref = ImageRef(Platform.AZURE, self._subscription, "", str(entry.get("id", "")))
        try:
            listed = time_of(entry.get("createdTime"))
            created = listed or window.nearest(self._now())
            image = self._images.described(ref, replace(look, created=lambda: created))
        except (Rejected, Trouble) as problem:
            if _stops(problem):
                raise
            return shown(ref.identifier, 300), problem
        if image is None or image.state is ImageState.GONE or image.ref.owner_id != self._subscription:
            return None
        if tagged and not is_ours(image.tags, self._policy):
            return None
        return image if listed is not None or window.holds(image.created_at) else None


def _id(entry: Entry) -> str:
    return str(entry.get("id", "")).lower()


def _each(
    entries: Iterable[Entry], read: Callable[[Entry], Image | Flaw | None], readers: int
) -> Iterator[Image | Flaw | None]:
    """Yield what is read of each entry, in order, a few entries ahead of whoever takes it."""
    if readers == 1:
        yield from map(read, entries)
        return
    pool = ThreadPoolExecutor(readers, thread_name_prefix="arm")
    ahead: deque[Future[Image | Flaw | None]] = deque()
    try:
        for entry in entries:
            ahead.append(pool.submit(read, entry))
            if len(ahead) >= 2 * readers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _stops(problem: Rejected | Trouble) -> bool:
    """Return whether trouble with one image is trouble with all of them: Azure asks to wait, is silent, or refuses.

    That a single image is denied is about that image.
    """
    return (
        isinstance(problem, Unavailable)
        or (isinstance(problem, CredentialsTrouble) and not isinstance(problem, Forbidden))
        or (isinstance(problem, Trouble) and problem.retry_after is not None)
    )
