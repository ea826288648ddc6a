"""Which queue a backfill hands the versions of a cloud over to: an option, or a variable of the environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from packer_publisher.errors import ConfigurationError
from packer_publisher.image import CLOUDS, Platform
from packer_publisher.wording import listed, shown

VARIABLES = {
    Platform.AWS: "PUBLISHER_QUEUE_AWS", Platform.AZURE: "PUBLISHER_QUEUE_AZURE", Platform.GCE: "PUBLISHER_QUEUE_GCP",
}  # fmt: skip
"""Each names the queue of one deployed function; PUBLISHER_QUEUE is the function's own, and differs by cloud."""
_REMEDY = (
    "--queue aws=https://sqs.REGION.amazonaws.com/ACCOUNT/NAME, azure=https://ACCOUNT.queue.core.windows.net/NAME "
)
_REMEDY += "or gcp=projects/PROJECT/topics/NAME"


def queue_addresses(
    given: Sequence[str], clouds: Sequence[Platform], environ: Mapping[str, str]
) -> dict[Platform, str]:
    """Return the address of the queue of each cloud; an option wins over its variable.

    Raises ConfigurationError where one is missing, or named for a cloud that was not asked for.
    """
    named: dict[Platform, str] = {}
    for text in given:
        word, equals, address = text.partition("=")
        if not equals or not address.strip() or word not in CLOUDS:
            raise ConfigurationError(f"--queue {shown(text, 300)} names no cloud's queue", remedy=_REMEDY)
        if CLOUDS[word] in named:
            raise ConfigurationError(f"--queue names two queues for {word}", remedy="name one for each cloud")
        named[CLOUDS[word]] = address.strip()
    if others := [word for word, platform in CLOUDS.items() if platform in named and platform not in clouds]:
        raise ConfigurationError(
            f"--queue names a queue for {listed(others)}, which is not asked for", remedy="leave it out"
        )
    found = {platform: named.get(platform) or environ.get(VARIABLES[platform], "").strip() for platform in clouds}
    if missing := [word for word, platform in CLOUDS.items() if not found.get(platform, "missing")]:
        variables = listed([VARIABLES[CLOUDS[word]] for word in missing])
        raise ConfigurationError(
            f"--enqueue needs the queue of the function for {listed(missing)}", remedy=f"set {variables}, or {_REMEDY}"
        )
    return found
