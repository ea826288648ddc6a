"""What was handed over: one version, from the addresses of some of its images, as sweep and backfill ask for it.

The images are described anew, and their tags say where they belong; of the message's own words only one counts, what
the version consists of, and that only where an event of the same image might say so, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from packer_publisher.deadline import Deadline
from packer_publisher.errors import Rejected, Trouble
from packer_publisher.image import Image, ImageState
from packer_publisher.messages import ConvergeOrder
from packer_publisher.placement import Item, is_ours
from packer_publisher.publish import Publisher
from packer_publisher.report import Outcome, Report
from packer_publisher.sweep import Sweep, Turn, by_version, image_report

LATER = "its own event or the sweep goes on with it; run the backfill again later for the rest"


def converge_images(
    publisher: Publisher,
    order: ConvergeOrder,
    deadline: Deadline,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Sweep:
    """Do what a sweep or a backfill handed over: describe the images, converge the version that their tags name now.

    An image that is gone, or is not available any more, is ignored: whoever handed it over found it, and a sweep will
    look again. What the order declares counts for the version that it names, as far as no image of it is younger than
    the quiet time; else its images are rejected. Trouble is in the reports (DEFERRED), also where no time is left.
    """
    cloud = publisher.cloud(order.images[0].platform)
    images: list[Image] = []
    others: list[Report] = []
    for ref in order.images:
        try:
            image = cloud.describe(ref, deadline)
        except Trouble as trouble:
            others.append(image_report(Outcome.DEFERRED, ref, str(trouble), trouble.remedy, trouble.retry_after))
        except Rejected as problem:
            others.append(image_report(Outcome.REJECTED, ref, str(problem), problem.remedy))
        else:
            if image is None or image.state is not ImageState.AVAILABLE:
                others.append(image_report(Outcome.IGNORED, ref, "the image is gone, or not available any more"))
            elif image.ref.owner_id.casefold() != ref.owner_id.casefold():
                others.append(image_report(Outcome.IGNORED, ref, f"belongs to {image.owner}"))
            elif not is_ours(image.tags, publisher.policy):
                others.append(image_report(Outcome.IGNORED, ref, "carries no contract tag"))
            else:
                images.append(image)
    versions, rejected = by_version(publisher, images, "")
    turn = Turn(publisher, deadline, least=0.0, reserve=0.0)
    for version, items in versions.items():
        if not order.expects or version != (order.bucket, order.fingerprint):
            turn.take(version, items)
            continue
        young = next((item for item in items if now() - item.image.created_at < item.placement.policy.quiet), None)
        if young is None:
            turn.take(version, [_declaring(item, order.expects) for item in items])
            continue
        reason = f"{young.image.at} is younger than the quiet time: what its version consists of is for tags to say"
        rejected += [image_report(Outcome.REJECTED, item.image.ref, reason, LATER) for item in items]
    return Sweep(tuple(turn.publications), (*others, *rejected), tuple(turn.versions), images=len(images))


def _declaring(item: Item, names: Sequence[str]) -> Item:
    """Return an image that declares these names, too; a spelling of its own stays."""
    by_fold = {name.casefold(): name for name in (*names, *item.placement.expects)}
    return replace(item, placement=replace(item.placement, expects=tuple(by_fold[fold] for fold in sorted(by_fold))))
