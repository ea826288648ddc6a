"""Work that is done several at a time, or one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
Work = TypeVar("Work")


class _Here(Executor):
    """Does each piece of work at once, in the thread that submits it: what happens has one order."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 (a future hands it to whoever asks for the result)
            done.set_exception(error)
        return done


def workers(number: int, name: str) -> Executor:
    """Return an executor with so many threads, named after what they do; with one worker no thread is begun."""
    return ThreadPoolExecutor(number, thread_name_prefix=name) if number > 1 else _Here()


def several(number: int, name: str, work: Callable[[Work], T], pieces: Iterable[Work]) -> Iterator[T]:
    """Yield what the work on each piece comes to, in order, so many at a time; never more than a few are under way."""
    with workers(number, name) as pool:
        under_way: list[Future[T]] = []
        try:
            for piece in pieces:
                under_way.append(pool.submit(work, piece))
                if len(under_way) >= 4 * number:
                    yield under_way.pop(0).result()
            while under_way:
                yield under_way.pop(0).result()
        finally:
            for future in under_way:
                future.cancel()
