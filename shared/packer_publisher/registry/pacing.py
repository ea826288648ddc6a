"""No more requests a second than a person allowed."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from packer_publisher.deadline import Deadline
from packer_publisher.errors import RegistryTrouble


@dataclass
class Pace:
    """Spaces requests evenly, over all threads that share it; ``rate`` is in requests per second."""

    rate: float
    _free_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self, deadline: Deadline) -> None:
        """Wait for the next place; raises RegistryTrouble where it lies behind the deadline."""
        with self._lock:
            now = deadline.clock()
            begin = max(now, self._free_at)
            self._free_at = begin + 1 / self.rate
        if begin > now and not deadline.pause(begin - now):
            raise RegistryTrouble(
                f"no time is left to keep to {self.rate:g} requests a second", remedy="allow more with --rate"
            )
