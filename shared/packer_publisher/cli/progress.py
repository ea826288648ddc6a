"""Progress on a terminal, for what takes longer than a person waits without asking."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Timer

PATIENCE = 2.0
"""Seconds after which something is shown."""


@contextmanager
def progress(text: str, seconds: float = PATIENCE) -> Iterator[Callable[[str], None]]:
    """Show a text on stderr once ``seconds`` have passed, until the block ends; yield what changes it.

    Nothing is ever shown where stderr is no terminal, so logs and pipes stay clean.
    """
    if not sys.stderr.isatty():
        yield lambda _text: None
        return
    from rich.console import Console

    status = Console(stderr=True).status(text)
    later = Timer(seconds, status.start)
    later.daemon = True
    later.start()
    try:
        yield lambda text: status.update(text)
    finally:
        later.cancel()
        later.join()
        status.stop()


class Spinner:
    """Progress of a command that prints in between: what it does now, shown while nothing else is printed."""

    def __init__(self) -> None:
        self._text = ""
        self._shown = ExitStack()

    def tell(self, text: str) -> None:
        """Show another text, as :func:`progress` does."""
        self.close()
        self._text = text
        self._shown.enter_context(progress(text))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Keep out of the way while the block prints or asks."""
        self.close()
        yield
        if self._text:
            self.tell(self._text)

    def close(self) -> None:
        """Show nothing any more."""
        self._shown.close()
