"""Our own messages on a function's own queue: what a schedule asks for, and what is handed over to be done later.

    {"packer-publisher": {"sweep": {"window": "14d"}}}
    {"packer-publisher": {"converge": {"bucket": "web", "fingerprint": "a1", "images": [
        {"owner": "111122223333", "region": "eu-west-1", "image": "ami-..."}]}}}
    {"packer-publisher": {"look-again": {"bucket": "web", "fingerprint": "a1", "first": "2026-11-21T08:00:00Z",
        "images": [{"owner": "111122223333", "region": "eu-west-1", "image": "ami-..."}]}}}
    {"packer-publisher": {"probe": {"id": "3f2a9c1b7d04"}}}

Nothing in them is trusted but addresses: images are described by their own cloud, and their tags say where they
belong. So whoever can put a message there can cause work, bounded by the limits below, and nothing else; but for two
things that are taken at the message's word. A second look at images that are not to be found believes that there was a
first one. And what a backfill hands over (``--enqueue``) says what the version consists of, because it has seen other
clouds' images, too:

    {"packer-publisher": {"converge": {..., "expects": ["amazon-ebs", "azure-arm"]}}}

That is a claim which any image's tag could make as well; it counts for the version that the message names, and for
images that are older than the quiet time: what is in motion is left to the events.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from packer_publisher.departure import MOST_LISTED, Listed
from packer_publisher.durations import EXAMPLES, format_duration, parse_duration
from packer_publisher.errors import Rejected
from packer_publisher.image import ImageRef, Platform
from packer_publisher.standing import MOST_DECLARED
from packer_publisher.tag_values import parse_bucket, parse_expected, parse_fingerprint
from packer_publisher.wording import shown

KEY = "packer-publisher"
MOST_IMAGES = 16
"""Images per message: a version with more of them takes several; one stays far below every limit (Azure's 64 KiB,
which base64 makes 48)."""
MOST_MESSAGES = 500
"""Messages that one sweep hands over; the sweep after it takes what is left."""
SHORTEST, LONGEST = timedelta(hours=1), timedelta(days=14)
"""How far back a sweep that a message asks for looks."""

_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,99}")
_REGION = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?)?")
_NUMBER = re.compile(r"[0-9]{0,20}")
_PROBE = re.compile(r"[a-z0-9]{8,32}")
_MOST_TEXT = 2048
_REMEDY = f'send {{"{KEY}": {{"sweep": {{"window": "14d"}}}}}}, or what a sweep hands over, unchanged'


@dataclass(frozen=True, slots=True)
class SweepOrder:
    """Sweep the images of a window; None is the configured one (PUBLISHER_SWEEP_WINDOW)."""

    window: timedelta | None = None


@dataclass(frozen=True, slots=True)
class ConvergeOrder:
    """Converge a version from some of its images.

    ``bucket`` and ``fingerprint`` are for people who read the queue; the images' tags count. ``expects`` is what a
    backfill has found the version of this name to consist of, besides what tags and configuration say.
    """

    bucket: str
    fingerprint: str
    images: tuple[ImageRef, ...]
    expects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LookAgainOrder:
    """Ask for images of one owner again, which their cloud did not know at ``first``, and act on their version."""

    bucket: str
    fingerprint: str
    first: datetime
    images: tuple[Listed, ...]


@dataclass(frozen=True, slots=True)
class ProbeOrder:
    """Ask the function to say in its log how it is; ``identifier`` finds the line."""

    identifier: str


Order = SweepOrder | ConvergeOrder | LookAgainOrder | ProbeOrder


class Queue(Protocol):
    """A function's own queue, as far as the function itself writes to it."""

    def put(self, messages: Sequence[str]) -> None:
        """Put messages on the queue; raises Trouble where some, or all, could not be put."""


def orders_for(
    bucket: str, fingerprint: str, images: Sequence[ImageRef], expects: Sequence[str] = ()
) -> Iterator[ConvergeOrder]:
    """Yield the orders that converge a version from its images, each with at most MOST_IMAGES of them."""
    for first in range(0, len(images), MOST_IMAGES):
        yield ConvergeOrder(bucket, fingerprint, tuple(images[first : first + MOST_IMAGES]), tuple(expects))


def write_order(order: Order) -> str:
    """Return an order as the text of a message."""
    match order:
        case SweepOrder():
            asked: Mapping[str, object] = {"window": format_duration(order.window)} if order.window else {}
            return json.dumps({KEY: {"sweep": asked}})
        case ConvergeOrder():
            images = [{"owner": ref.owner_id, "region": ref.region, "image": ref.identifier} for ref in order.images]
            asked = {"bucket": order.bucket, "fingerprint": order.fingerprint, "images": images}
            if order.expects:
                asked["expects"] = list(order.expects)
            return json.dumps({KEY: {"converge": asked}})
        case LookAgainOrder():
            asked = {
                "bucket": order.bucket,
                "fingerprint": order.fingerprint,
                "first": order.first.astimezone(UTC).isoformat(timespec="seconds"),
                "images": [
                    {
                        "owner": found.ref.owner_id,
                        "region": found.ref.region,
                        "image": found.ref.identifier,
                        **({"number": found.number} if found.number else {}),
                    }
                    for found in order.images
                ],
            }
            return json.dumps({KEY: {"look-again": asked}})
        case ProbeOrder():
            return json.dumps({KEY: {"probe": {"id": order.identifier}}})


def read_order(message: object, platform: Platform) -> Order | None:
    """Return what a decoded message asks for, None when it is no message of ours (an event, most likely).

    Raises Rejected for a message of ours that breaks the form above or its limits.
    """
    if not isinstance(message, Mapping) or KEY not in message:
        return None
    asked = message[KEY]
    if not isinstance(asked, Mapping) or len(asked) != 1:
        raise Rejected(f"The message to {KEY} does not ask for one thing.", remedy=_REMEDY)
    ((verb, details),) = asked.items()
    if isinstance(details, Mapping):
        match verb:
            case "sweep":
                return _sweep_order(details)
            case "converge":
                return _converge_order(details, platform)
            case "look-again":
                return _look_again_order(details, platform)
            case "probe":
                return _probe_order(details)
    raise Rejected(f"The message to {KEY} asks for {shown(verb)}, which is nothing that it does.", remedy=_REMEDY)


def _sweep_order(details: Mapping[str, object]) -> SweepOrder:
    if unknown := sorted(str(key) for key in details if key != "window"):
        raise Rejected(f"The message to sweep has the unknown field {shown(unknown[0])}.", remedy=_REMEDY)
    if "window" not in details:
        return SweepOrder()
    window = details["window"]
    found = parse_duration(window) if isinstance(window, str) else None
    if found is None or not SHORTEST <= found <= LONGEST:
        raise Rejected(
            f"The message to sweep has the window {shown(window)}, which is none between "
            f"{format_duration(SHORTEST)} and {format_duration(LONGEST)}.",
            remedy=f"write a duration {EXAMPLES}",
        )
    return SweepOrder(found)


def _converge_order(details: Mapping[str, object], platform: Platform) -> ConvergeOrder:
    images = details.get("images")
    if not isinstance(images, list) or not 1 <= len(images) <= MOST_IMAGES:
        raise Rejected(f"The message to converge does not name 1 to {MOST_IMAGES} images.", remedy=_REMEDY)
    names = {key: shown(details.get(key, "")) for key in ("bucket", "fingerprint")}
    refs = tuple(_image(image, platform, "converge") for image in images)
    return ConvergeOrder(**names, images=refs, expects=_expects(details.get("expects", [])))


def _expects(names: object) -> tuple[str, ...]:
    """Return what a version is said to consist of, each name checked as those of tags are."""
    if not isinstance(names, list) or len(names) > MOST_DECLARED or not all(isinstance(name, str) for name in names):
        raise Rejected(
            f"The message to converge does not declare at most {MOST_DECLARED} parts by their names.", remedy=_REMEDY
        )
    return tuple(dict.fromkeys(parse_expected("expects", name) for name in names))


def _look_again_order(details: Mapping[str, object], platform: Platform) -> LookAgainOrder:
    """Read what names a version to be acted on: its names are checked as those of tags are."""
    texts = [details.get(key) for key in ("bucket", "fingerprint", "first")]
    bucket, fingerprint, first = (text if isinstance(text, str) else "" for text in texts)
    images = details.get("images")
    if not isinstance(images, list) or not 1 <= len(images) <= MOST_LISTED:
        raise Rejected(f"The message to look again does not name 1 to {MOST_LISTED} images.", remedy=_REMEDY)
    found = tuple(Listed(_image(image, platform, "look again"), _number(image)) for image in images)
    if len({image.ref.owner_id for image in found}) > 1:
        raise Rejected("The message to look again names images of several owners.", remedy=_REMEDY)
    return LookAgainOrder(
        parse_bucket("bucket", bucket),
        parse_fingerprint("fingerprint", fingerprint, fold=False),
        _moment(first),
        found,
    )


def _probe_order(details: Mapping[str, object]) -> ProbeOrder:
    identifier = details.get("id")
    if set(details) != {"id"} or not isinstance(identifier, str) or not _PROBE.fullmatch(identifier):
        raise Rejected(
            "The message to probe has no id of 8 to 32 letters and digits, or more than an id.", remedy=_REMEDY
        )
    return ProbeOrder(identifier)


def _moment(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise Rejected(f"The message to look again has no readable time: {shown(text)}.", remedy=_REMEDY)
    return time


def _number(image: Mapping[str, object]) -> str:
    number = image.get("number", "")
    if not isinstance(number, str) or not _NUMBER.fullmatch(number):
        raise Rejected("The message to look again names an image by what is no number.", remedy=_REMEDY)
    return number


def _image(image: object, platform: Platform, verb: str) -> ImageRef:
    fields = [image.get(key) for key in ("owner", "region", "image")] if isinstance(image, Mapping) else []
    texts = [text for text in fields if isinstance(text, str)]
    if len(texts) != 3 or not texts[2] or len(texts[2]) > _MOST_TEXT:
        raise Rejected(f"The message to {verb} names an image without its owner, region or id.", remedy=_REMEDY)
    owner, region, identifier = texts
    nowhere = platform is Platform.AWS and not region  # the other clouds' images say themselves where they are
    if nowhere or not _OWNER.fullmatch(owner) or not _REGION.fullmatch(region):
        where = f"{shown(owner)} in {shown(region) or 'no region'}"
        raise Rejected(f"The message to {verb} names an image of {where}, which is no place.", remedy=_REMEDY)
    return ImageRef(platform, owner, region, identifier)
