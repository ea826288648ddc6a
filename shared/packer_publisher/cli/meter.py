"""How far a long run is, on a terminal: what it does, how much of it, how fast, how long still, what went wrong."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from packer_publisher.report import Outcome
from packer_publisher.wording import counted

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

    from packer_publisher.image import Scope

_ERRORS = (Outcome.REJECTED, Outcome.CONFLICT, Outcome.LATE, Outcome.DEFERRED)


class Meter:
    """A line on stderr while a stage lasts; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._lock = threading.Lock()
        self._images: dict[Scope, int] = {}
        self._calls = self._errors = 0
        self._began = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @contextmanager
    def stage(self, text: str) -> Iterator[None]:
        """Show a stage while the block lasts."""
        self._calls = self._errors = 0
        self._began = time.monotonic()
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[told]}"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(text, total=None, told="")
            self._bar.start()
        try:
            yield
        finally:
            self._end()

    def image(self, scope: Scope, number: int) -> None:
        """Take in how many images of a scope were listed."""
        with self._lock:
            self._images[scope] = number
            if number % 100 == 0:
                self._show(sum(self._images.values()), None, f"images in {len(self._images)} scopes")

    def version(self, stage: str, done: int, of: int, calls: int, outcome: str) -> None:  # noqa: ARG002 (told by the text)
        """Take in one version: how many of how many are done, what it cost and came to."""
        with self._lock:
            self._calls += calls
            self._errors += outcome in _ERRORS
            seconds = max(time.monotonic() - self._began, 1e-3)
            errors = f", {counted(self._errors, 'error')}" if self._errors else ""
            self._show(done, of, f"{done / seconds:.0f}/s, {counted(self._calls, 'call')}{errors}")

    def compared(self, done: int) -> None:
        """Take in how many versions were compared with the clouds; how many there are nobody knows beforehand."""
        with self._lock:
            seconds = max(time.monotonic() - self._began, 1e-3)
            self._show(done, None, f"versions, {done / seconds:.0f}/s")

    def _show(self, done: int, of: int | None, told: str) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=of, told=told)

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._task = None
