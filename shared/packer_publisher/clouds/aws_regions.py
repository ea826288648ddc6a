"""Which regions an account has, and which of them are enabled."""

from __future__ import annotations

import time
from collections.abc import Iterable

from packer_publisher.clouds.aws_calls import Clients, within
from packer_publisher.clouds.aws_errors import Denied
from packer_publisher.deadline import Deadline
from packer_publisher.errors import CloudTrouble, ConfigurationError, Forbidden, Rejected, Trouble
from packer_publisher.wording import shown

REGIONS_KEPT = 3600.0
"""Seconds for which the list of regions is believed: a region that is enabled later must show up without a restart."""


class Regions:
    """The regions of one account, asked of any of them once an hour; fit to be shared by threads."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._regions: dict[str, bool] = {}  # name -> enabled for this account
        self._read_at = 0.0

    def enabled(self, ask: str, deadline: Deadline) -> frozenset[str]:
        """Return the regions that are enabled."""
        return frozenset(name for name, enabled in self._read(ask, deadline).items() if enabled)

    def teller(self, ask: str, deadline: Deadline) -> str:
        """Return a region that tells them: the one to ask, or where that one denies access any that does not.

        A policy may close the region of the environment and leave others open; whoever may not ask anywhere is denied
        by the first. Raises as :meth:`enabled`.
        """
        denied: Forbidden | None = None
        for region in (ask, *(known for known in self._clients.known(ask) if known != ask)):
            try:
                self._read(region, deadline)
            except Forbidden as refusal:
                denied = denied or refusal
            except CloudTrouble:
                if denied is None:
                    raise
                break  # where other regions cannot be reached, the first one's word stands
            else:
                return region
        raise denied or AssertionError("unreachable: the first region told, or denied access")

    def closed(self, names: Iterable[str], ask: str, deadline: Deadline) -> tuple[frozenset[str], frozenset[str]]:
        """Return those of the named regions that AWS does not have, and those that the account has not enabled.

        Before one counts as either the list is read again.
        """
        named = frozenset(names)
        regions = self._read(ask, deadline)
        if not all(regions.get(name) for name in named):
            regions = self._read(ask, deadline, again=True)
        return named - regions.keys(), frozenset(name for name in named if not regions.get(name, True))

    def require(self, region: str, deadline: Deadline) -> None:
        """Raise Rejected for a region that AWS does not have; it is asked in the region of the environment.

        For one that did not answer or denied access: its address may lead nowhere, or to another partition. Where AWS
        does not tell, nothing is raised, and the trouble stays what it was.
        """
        try:
            home = self._clients.home()
            unknown = region != home and self.closed([region], home, deadline)[0]
        except (Trouble, ConfigurationError):
            return
        if unknown:
            self._clients.forget(region)
            remedy = "`aws ec2 describe-regions --all-regions` lists the names"
            raise Rejected(f"AWS has no region {shown(region)}", remedy=remedy)

    def _read(self, ask: str, deadline: Deadline, *, again: bool = False) -> dict[str, bool]:
        if self._regions and not again and time.monotonic() - self._read_at < REGIONS_KEPT:
            return self._regions
        try:
            with within(deadline, ask):
                answer = self._clients.client(ask, deadline).describe_regions(AllRegions=True)
        except Denied as denied:
            raise Forbidden(
                f"AWS region {ask} denied access to the list of regions ({denied.code})",
                remedy="allow ec2:DescribeRegions, or name the regions in PUBLISHER_REGIONS",
            ) from denied
        # Named by AWS's own words; a status that is new counts as enabled, and the region itself then tells.
        self._regions = {
            region["RegionName"]: region.get("OptInStatus") != "not-opted-in"
            for region in answer["Regions"]
            if "RegionName" in region
        }
        self._read_at = time.monotonic()
        return self._regions
