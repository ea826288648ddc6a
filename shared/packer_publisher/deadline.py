"""One deadline per invocation, shared by all calls and all pauses."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point on the monotonic clock after which nothing new is begun.

    ``clock`` and ``sleep`` (seconds) are replaceable so that tests and simulations own the time.
    """

    at: float
    clock: Callable[[], float] = field(default=time.monotonic, compare=False)
    sleep: Callable[[float], None] = field(default=time.sleep, compare=False)

    @classmethod
    def after(
        cls,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Deadline:
        """Return the deadline that lies ``seconds`` ahead."""
        return cls(clock() + seconds, clock, sleep)

    def remaining(self) -> float:
        """Return the seconds left, never below zero."""
        return max(0.0, self.at - self.clock())

    def pause(self, seconds: float) -> bool:
        """Sleep for ``seconds`` and return True, or return False at once where that would pass the deadline."""
        if seconds >= self.remaining():
            return False
        self.sleep(seconds)
        return True
