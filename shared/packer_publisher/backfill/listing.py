"""Listing the clouds: every scope once, several at a time, each image placed and spooled into the journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, wait
from threading import Event

from packer_publisher.backfill.asked import Asked, Place, unfit
from packer_publisher.backfill.journal import Journal, Listing
from packer_publisher.backfill.workers import workers
from packer_publisher.errors import CredentialsTrouble, Rejected
from packer_publisher.image import Image, Platform, Scope, Unread
from packer_publisher.protocols import Survey
from packer_publisher.report import Outcome

Tell = Callable[[Scope, int], None]
"""Told from any thread how many images of a scope were seen."""


def list_scopes(
    journal: Journal,
    clouds: Mapping[Platform, Survey],
    asked: Asked,
    place: Place,
    threads: int,
    tell: Tell,
    stop: Event,
) -> None:
    """List every scope of the journal that is still open; the others were listed before.

    A scope that denies access is noted with its reason, and the others go on. Raises what else goes wrong first
    (expired credentials, a cloud that does not answer), after the scopes under way have ended; what was listed stays.
    ``stop`` ends the listing early, and leaves the scopes under way open.
    """
    todo = [scope for scope, (state, _, _) in journal.scopes().items() if state != "listed"]
    if not todo:
        return
    with workers(min(threads, len(todo)), "survey") as pool:
        futures = [
            pool.submit(_list_scope, journal, clouds[scope.platform], scope, asked, place, tell, stop) for scope in todo
        ]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        if any(future.exception() for future in done):
            stop.set()
    for future in futures:
        if not future.cancelled():
            future.result()


class _Stopped(Exception):
    """The run ends before its list did."""


def _list_scope(
    journal: Journal, cloud: Survey, scope: Scope, asked: Asked, place: Place, tell: Tell, stop: Event
) -> None:
    try:
        with journal.listing(scope) as listing:
            for image in cloud.survey(scope, asked.since, asked.until, tagged=asked.tagged):
                if stop.is_set():
                    raise _Stopped  # noqa: TRY301 (leaves the block, so that the scope stays open)
                if isinstance(image, Unread):
                    listing.add_other(image.identifier, Outcome.REJECTED, image.problem, image.remedy)
                else:
                    _add(listing, image, asked, place)
                tell(scope, listing.images)
    except _Stopped:
        return
    except CredentialsTrouble as denied:
        if getattr(denied, "expired", False):
            raise
        journal.deny(scope, str(denied))


def _add(listing: Listing, image: Image, asked: Asked, place: Place) -> None:
    try:
        placement = place(image)
    except Rejected as problem:
        listing.add_other(image.at, Outcome.REJECTED, str(problem), problem.remedy)
        return
    if placement is None or (asked.bucket and placement.bucket.casefold() != asked.bucket.casefold()):
        listing.pass_over()
        return
    problem_with = unfit(image)
    if problem_with is not None:
        listing.add_other(image.at, *problem_with)
        return
    listing.add(image, placement.bucket, placement.fingerprint)
