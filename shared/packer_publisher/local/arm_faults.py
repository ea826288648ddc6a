"""The failures that a test orders of the stand-in for Azure Resource Manager, by the path of a request."""

from __future__ import annotations

from dataclasses import dataclass, field

from packer_publisher.local.arm_resources import Refusal


@dataclass(slots=True)
class _Fault:
    refusal: Refusal | None  # None: the connection is reset
    times: int
    path: str
    after: int = 0


@dataclass(slots=True, kw_only=True)
class Failing:
    """A face that fails on order. A fault that was ordered and never met is in :attr:`unmet_faults`."""

    _faults: list[_Fault] = field(default_factory=list)

    @property
    def unmet_faults(self) -> int:
        """Return how many ordered failures no request has met."""
        return sum(fault.times for fault in self._faults)

    def fail(
        self,
        status: int,
        code: str,
        message: str = "made to fail",
        *,
        retry_after: float | None = None,
        times: int = 1,
        path: str = "",
        after: int = 0,
    ) -> None:
        """Let ``times`` requests whose path contains ``path`` (compared without case) fail, after ``after`` did not."""
        headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
        self._faults.append(_Fault(Refusal(status, code, message, headers), times, path.lower(), after))

    def reset(self, *, times: int = 1, path: str = "") -> None:
        """Break the connection of the next ``times`` such requests instead of answering."""
        self._faults.append(_Fault(None, times, path.lower()))

    def meets_reset(self, path: str) -> bool:
        """Use up the first fault that the path meets; raise its refusal, or return True for a reset."""
        for fault in self._faults:
            if not fault.times or fault.path not in path.lower():
                continue
            if fault.after:
                fault.after -= 1
                continue
            fault.times -= 1
            if fault.refusal:
                raise fault.refusal
            return True
        return False
