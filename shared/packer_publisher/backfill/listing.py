"""Listing the clouds: every scope once, several at a time, each image placed and spooled into the journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from threading import Event
from typing import Generic, Protocol, TypeVar

from packer_publisher.backfill.asked import Asked, Place, unfit
from packer_publisher.backfill.journal import Listing
from packer_publisher.backfill.workers import workers
from packer_publisher.errors import Forbidden, Rejected, Trouble
from packer_publisher.image import Image, Platform, Scope, Unread
from packer_publisher.protocols import Survey
from packer_publisher.report import Outcome

Tell = Callable[[Scope, int], None]
"""Told from any thread how many images of a scope were seen."""


class Counted(Protocol):
    """The list of one scope as it is written down."""

    @property
    def images(self) -> int:
        """Return how many images were seen."""


L = TypeVar("L", bound=Counted)
L_co = TypeVar("L_co", bound=Counted, covariant=True)


class Book(Protocol[L_co]):
    """Where what was listed is written down."""

    def scopes(self) -> Mapping[Scope, tuple[str, str, int]]:
        """Return every scope with its state (``listed`` needs no list any more), the problem and its images."""

    def listing(self, scope: Scope) -> AbstractContextManager[L_co]:
        """Begin a scope's list, which counts once the block ends."""

    def deny(self, scope: Scope, problem: Trouble) -> None:
        """Note that a scope could not be listed, and why."""


@dataclass(frozen=True, slots=True)
class Errand(Generic[L]):
    """What is listed, and what is done with each image.

    ``passes`` are the troubles with one scope that do not end the listing of the others; credentials that are good for
    nothing, because they have expired, say, always do.
    """

    take: Callable[[L, Image | Unread], None]
    since: datetime | None = None
    until: datetime | None = None
    tagged: bool = True
    passes: tuple[type[Trouble], ...] = (Forbidden,)


def list_scopes(
    book: Book[L], clouds: Mapping[Platform, Survey], errand: Errand[L], threads: int, tell: Tell, stop: Event
) -> None:
    """List every scope of the book that is still open; the others were listed before.

    A scope that denies access is noted with its reason, and the others go on. Raises what else goes wrong first
    (expired credentials, a cloud that does not answer), after the scopes under way have ended; what was listed stays.
    ``stop`` ends the listing early, and leaves the scopes under way open.
    """
    todo = [scope for scope, (state, _, _) in book.scopes().items() if state != "listed"]
    if not todo:
        return
    with workers(min(threads, len(todo)), "survey") as pool:
        try:
            futures = [
                pool.submit(_list_scope, book, clouds[scope.platform], scope, errand, tell, stop) for scope in todo
            ]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:
            stop.set()  # before the pool is waited for
            raise
        if any(future.exception() for future in done):
            stop.set()
    for future in futures:
        if not future.cancelled():
            future.result()


class Stopped(Exception):
    """The run ends before its list did."""


def sleeping_until(stop: Event) -> Callable[[float], None]:
    """Return a sleep that ends early, with Stopped, once the run is to stop: a cloud may ask for minutes."""

    def sleep(seconds: float) -> None:
        if stop.wait(seconds):
            raise Stopped

    return sleep


def _list_scope(book: Book[L], cloud: Survey, scope: Scope, errand: Errand[L], tell: Tell, stop: Event) -> None:
    try:
        with book.listing(scope) as listing:
            for image in cloud.survey(scope, errand.since, errand.until, tagged=errand.tagged):
                if stop.is_set():
                    raise Stopped  # noqa: TRY301 (leaves the block, so that the scope stays open)
                errand.take(listing, image)
                tell(scope, listing.images)
    except Stopped:
        return
    except errand.passes as denied:
        book.deny(scope, denied)


def spooling(asked: Asked, place: Place) -> Errand[Listing]:
    """Return the errand of a backfill: images that belong to a version are spooled, of the others the reason."""

    def take(listing: Listing, image: Image | Unread) -> None:
        if isinstance(image, Unread):
            listing.add_other(image.identifier, Outcome.REJECTED, image.problem, image.remedy)
        else:
            _add(listing, image, asked, place)

    return Errand(take, asked.since, asked.until, asked.tagged)


def _add(listing: Listing, image: Image, asked: Asked, place: Place) -> None:
    try:
        placement = place(image)
    except Rejected as problem:
        if asked.bucket and problem.bucket and problem.bucket.casefold() != asked.bucket.casefold():
            listing.pass_over()
            return
        reason = str(problem).removeprefix(f"{image.at}: ")
        listing.add_other(image.at, Outcome.REJECTED, reason, problem.remedy)
        return
    if placement is None or (asked.bucket and placement.bucket.casefold() != asked.bucket.casefold()):
        listing.pass_over()
        return
    problem_with = unfit(image)
    if problem_with is not None:
        listing.add_other(image.at, *problem_with)
        return
    listing.add(image, placement)
