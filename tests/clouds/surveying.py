"""What the surveys of the three clouds are asked, and a patience whose pauses take no time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Lock

from packer_publisher.image import Image, Scope, Unread
from packer_publisher.patience import SURVEY, Patience
from packer_publisher.protocols import Survey


@dataclass(slots=True)
class Waits:
    """The patience of a survey on a clock of its own; ``seconds`` lists the pauses, of all threads.

    Half of what the dice could say is drawn each time, so that texts and pauses are exact.
    """

    seconds: list[float] = field(default_factory=list)
    time: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    def patience(self, draw: Callable[[], float] = lambda: 0.5) -> Patience:
        """Return the patience to hand to a cloud."""
        return replace(SURVEY, draw=draw, clock=lambda: self.time, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        with self._lock:
            self.seconds.append(seconds)
            self.time += seconds


def surveyed(
    cloud: Survey, scope: Scope, since: datetime | None = None, until: datetime | None = None, *, tagged: bool = True
) -> list[Image | Unread]:
    """Return everything that a scope yields."""
    return list(cloud.survey(scope, since, until, tagged=tagged))


def names(
    cloud: Survey, scope: Scope, since: datetime | None = None, until: datetime | None = None, *, tagged: bool = True
) -> list[str]:
    """Return the names of a scope's images, sorted; there must be no unread one."""
    found = surveyed(cloud, scope, since, until, tagged=tagged)
    assert [] == [entry for entry in found if isinstance(entry, Unread)]
    return sorted(image.name for image in found if isinstance(image, Image))


def at_the_same_time(cloud: Survey, scopes: tuple[Scope, ...]) -> dict[Scope, list[str]]:
    """Return the names of all scopes' images, each surveyed by its own thread."""
    with ThreadPoolExecutor(len(scopes)) as pool:
        return dict(zip(scopes, pool.map(lambda scope: names(cloud, scope), scopes), strict=True))
