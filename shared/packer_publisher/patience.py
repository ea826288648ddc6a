"""How often a question to a cloud is put again that found no answer, and how long that may take."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from packer_publisher.deadline import Deadline

FIRST_PAUSE = 1.0
"""The seconds before the second try; doubled for each further one."""

FEW = 3
"""The tries of a function, and for an answer that is definite, but may be a proxy's."""


@dataclass(frozen=True, slots=True)
class Patience:
    """The tries of one question, the pauses between them, and the deadline of all of them together.

    A wait that the other side asks for is kept, unless it is longer than ``longest``. Other pauses double up to
    ``bound``. Where many ask at once, ``draw`` ([0, 1)) gives each its own pause, on top of what was asked for; None
    keeps them exact. ``deadline`` is shared by all questions; with None each has ``seconds`` of its own, counted by
    ``clock`` and spent by ``sleep``, which may raise to end the waiting.
    """

    tries: int = FEW
    longest: float = 10.0
    bound: float = 10.0
    draw: Callable[[], float] | None = None
    deadline: Deadline | None = None
    seconds: float = 60.0
    clock: Callable[[], float] = field(default=time.monotonic, compare=False)
    sleep: Callable[[float], None] = field(default=time.sleep, compare=False)

    @classmethod
    def until(cls, deadline: Deadline) -> Patience:
        """Return that of a function: few tries and short pauses, because the platform repeats the whole event."""
        return cls(deadline=deadline)

    def begin(self) -> Deadline:
        """Return the deadline of a question that is put now."""
        return self.deadline or Deadline.after(self.seconds, self.clock, self.sleep)

    def pause(self, tries: int, asked: float | None = None, *, doubted: bool = False) -> float | None:
        """Return the seconds to wait after that many tries, ``asked`` by the other side; None: give up.

        ``doubted`` is a definite answer that is not believed at once: it is not worth a long wait.
        """
        if tries >= (min(self.tries, FEW) if doubted else self.tries) or (asked or 0.0) > self.longest:
            return None
        bound = min(FIRST_PAUSE * 2.0 ** (tries - 1), self.bound)
        if self.draw is None:
            return bound if asked is None else asked
        return (asked or 0.0) + self.draw() * bound


SURVEY = Patience(tries=10, longest=600.0, bound=32.0, draw=random.random, seconds=1800.0)
"""That of a backfill: nobody but itself repeats its calls.

EC2 and Compute Engine, throttling, are ready again after seconds; Azure counts in windows of minutes.
"""
