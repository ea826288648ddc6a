"""What a person asked a backfill for, as frozen values, and how an image is placed by it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime

from packer_publisher.image import Image, ImageState
from packer_publisher.placement import Placement
from packer_publisher.report import Outcome

Place = Callable[[Image], Placement | None]
"""Says where an image belongs, by its tags or by a mapping; None: not ours. Raises Rejected: ours, but broken."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run is about: it may only be resumed when asked for the same.

    ``clouds`` are the platforms' words; ``only`` names regions, subscriptions or projects; ``since`` and ``until``
    bound when an image was created; ``limit`` is the most versions. ``rules`` is a digest of settings and mapping.
    ``queues`` are the functions' own, by platform, where these are to write in place of the run itself.
    """

    clouds: tuple[str, ...]
    only: tuple[str, ...] = ()
    bucket: str = ""
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None
    expects: tuple[str, ...] = ()
    allow_latest_back: bool = False
    tagged: bool = True
    rules: str = ""
    queues: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """Return it as one line of JSON, to be noted in a journal and compared."""
        return json.dumps(asdict(self), sort_keys=True, default=lambda value: value.isoformat())

    @property
    def digest(self) -> str:
        """Return twelve hex digits, the same for the same question."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]


def unfit(image: Image) -> tuple[Outcome, str, str] | None:
    """Return outcome, reason and remedy of an image that cannot be registered as it is, None for one that can."""
    match image.state:
        case ImageState.PENDING:
            return Outcome.WAITING, "the image is not available yet", "its own event or the sweep goes on"
        case ImageState.FAILED:
            return Outcome.REJECTED, "its cloud says that creating it failed", "build it again"
        case ImageState.DISABLED:
            return Outcome.REJECTED, "the image is disabled", "enable it"
        case ImageState.GONE:
            return Outcome.IGNORED, "the image is gone", ""
        case ImageState.AVAILABLE:
            return None
