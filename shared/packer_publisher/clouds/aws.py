"""Amazon EC2: describe one image, gather the regions of its build, list what an account has; nothing is ever changed.

Needs ec2:DescribeImages and ec2:DescribeRegions, and uses ec2:GetImageAncestry where it is allowed. What is gone is
judged for the credentials' own account alone, and a survey lists that one: STS tells it to everybody (GetCallerIdentity
takes no permission).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from packer_publisher.clouds.aws_calls import Clients, within
from packer_publisher.clouds.aws_errors import Absent, Denied, Unsupported
from packer_publisher.clouds.aws_events import read_event as read_event
from packer_publisher.clouds.aws_gather import View, assemble, is_intermediary
from packer_publisher.clouds.aws_images import Found, is_ami_id, read_image, read_parent
from packer_publisher.clouds.aws_regions import Regions
from packer_publisher.clouds.aws_survey import PAGE, SURVEY_PAGE, creation_filter, pages, read, tag_filter
from packer_publisher.deadline import Deadline
from packer_publisher.errors import CloudTrouble, ConfigurationError, Rejected, Trouble
from packer_publisher.image import Image, ImageRef, ImageState, Platform, Scope, Unread
from packer_publisher.patience import SURVEY, Patience
from packer_publisher.placement import Placement
from packer_publisher.policy import Policy
from packer_publisher.wording import listed, shown

if TYPE_CHECKING:
    from boto3 import Session
    from mypy_boto3_ec2.type_defs import DescribeImagesResultTypeDef, FilterTypeDef, ImageTypeDef

WORKERS = 8
"""Regions asked at the same time; an account has 17 by default."""


class AWS:
    """One account's images in all its regions, seen with one set of credentials; fit to be shared by threads.

    ``policy.regions`` are the regions to gather, scan and survey; empty: those that are enabled. ``session_factory``
    gives other credentials than boto3 finds by itself. The endpoint is AWS_ENDPOINT_URL where set (botocore reads it).
    ``patience`` is that of a survey.
    ``denied`` tells, per region, the last refusal that was not an error: such a region is not ours. ``broken`` holds
    what is wrong with the images that the last scan passed over, by their ids.
    """

    platform = Platform.AWS

    def __init__(
        self,
        policy: Policy,
        *,
        session_factory: Callable[[], Session] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        patience: Patience = SURVEY,
    ) -> None:
        self.policy = policy
        self.denied: dict[str, str] = {}
        self.broken: dict[str, Rejected | Trouble] = {}
        self._clients = Clients(session_factory)
        self._regions = Regions(self._clients)
        self._now = now
        self._patience = patience

    def describe(self, ref: ImageRef, deadline: Deadline) -> Image | None:
        """Return the image, disabled ones too, with its real owner in ``ref``; None when EC2 knows no such image.

        With an owner in ``ref`` the image's may be another account that shares it: its tags are invisible then, and
        the caller compares. Without one (a person gave the id alone) it must be the account of the credentials.

        Raises Rejected for an identifier that is no AMI id, for a region that AWS does not have, and for a stranger's
        image where ``ref`` names no owner; CredentialsTrouble where the credentials or the permission are missing,
        CloudTrouble where EC2 does not answer in time.
        """
        if not is_ami_id(ref.identifier):
            raise Rejected(f"{shown(ref.identifier)} is no AMI id", remedy="write it as in ami-0123456789abcdef0")
        if ref.owner_id:
            return self._one(ref, deadline)
        own = self._one(ref, deadline, Owners=["self"])
        if own is not None:
            return own
        foreign = self._one(ref, deadline)
        if foreign is None:
            return None
        raise Rejected(
            f"{foreign.at} belongs to another account, and only its own account can record it",
            remedy=f"run it with credentials of account {foreign.ref.owner_id}",
        )

    def gather(self, image: Image, placement: Placement, deadline: Deadline) -> Image:
        """Return the image with all regions of its build, ``whole`` decided, as ``aws_gather.assemble`` says.

        Asked are the regions that the image's tag names; else the configured ones and the image's own; else those that
        are enabled. One that denies access is left out (``denied``), unless the tag names it: then the build lacks it.

        Raises Rejected where the tag names a region that AWS does not have, or not the image's own; CredentialsTrouble
        where the image's own region denies access; CloudTrouble where any region does not answer in time.
        """
        view = self._look(image, placement, deadline)
        gathered = assemble(image, placement, view, self.policy, self._now())
        if gathered.whole and not gathered.rival and not (gathered.source or placement.source_image):
            own = next((found for found in view.found if found.image.ref == image.ref), None)
            if own is not None and own.copied_from:
                return replace(gathered, source=self._parent(image.ref, deadline))
        return gathered

    def together(
        self, image: Image, others: Sequence[Image], placement: Placement, closed: Mapping[str, str], /
    ) -> Image:
        """Return the image with the regions of its build that surveys have found, as ``aws_gather.assemble`` says."""
        view = View(tuple(Found(other) for other in others), closed)
        return assemble(image, placement, view, self.policy, self._now())

    def speaks_for(self, owner_id: str, deadline: Deadline) -> bool:
        """Return whether the credentials are the account's own: an AMI id does not tell to which one it belongs."""
        return self._clients.account(self._clients.home(), deadline) == owner_id

    def scan(self, since: datetime | None, until: datetime | None, deadline: Deadline) -> Iterator[Image]:
        """Yield the account's own images that carry a fingerprint tag and were created in ``[since, until)``.

        None leaves that end open. Region by region, page by page, in no other order; ``whole`` is not decided. A region
        that denies access is entered in ``denied`` and passed over, an image that EC2 describes without what every AMI
        has in ``broken``. Raises CredentialsTrouble where all regions deny access, else as ``gather``.
        """
        fingerprints = [tag_filter(self.policy.contract, "fingerprint")]
        regions = sorted(self.policy.regions or self._regions.enabled(self._clients.home(), deadline))
        open_regions = 0
        self.broken.clear()
        for region in regions:
            try:
                for found in read(self._pages(region, fingerprints, deadline), region, since, until):
                    if isinstance(found, Image):
                        yield found
                    else:
                        identifier, problem = found
                        self.broken[identifier] = problem
                open_regions += 1
            except Denied as denied:
                self.denied[region] = denied.code
                last = denied
        if regions and not open_regions:
            raise last.as_trouble() from last

    def scopes(self, deadline: Deadline, only: Sequence[str] = ()) -> tuple[Scope, ...]:
        """Return the regions of the credentials' account that ``only`` names, else the configured ones, sorted.

        Where none are configured, it is those that are enabled. Raises ConfigurationError where ``only`` names one
        that AWS does not have or that is not enabled, or no region can be asked; else as :meth:`describe`.
        """
        named = frozenset(only)
        ask = self._clients.home(default=min(named or self.policy.regions, default=""))
        account = self._clients.account(ask, deadline)
        if not named <= set(self.policy.regions) or not (named or self.policy.regions):
            ask = self._regions.teller(ask, deadline)
        if not named <= set(self.policy.regions):
            unknown, closed = self._regions.closed(named, ask, deadline)
            if unknown or closed:
                names = listed(sorted(unknown or closed))
                raise ConfigurationError(
                    f"AWS has no region {names}." if unknown else f"AWS account {account} has not enabled {names}.",
                    remedy="`aws ec2 describe-regions` lists those that are enabled",
                )
        regions = named or self.policy.regions or self._regions.enabled(ask, deadline)
        return tuple(sorted(Scope(Platform.AWS, account, region) for region in set(regions)))

    def survey(
        self, scope: Scope, since: datetime | None, until: datetime | None, *, tagged: bool
    ) -> Iterator[Image | Unread]:
        """Yield a region's images, deprecated ones as available, ``whole`` None.

        A deregistered one, which EC2 may show for a while, is left out. The filters of EC2 know upper from lower case:
        what carries a contract key in another spelling only is left out with ``tagged``. A region that is not enabled
        says AuthFailure, as EC2 does for keys that were deleted meanwhile: Forbidden, both.
        The rest is as in :class:`~packer_publisher.protocols.Survey`.
        """
        try:
            for found in read(self._everything(scope.region, since, until, tagged=tagged), scope.region, since, until):
                if not isinstance(found, Image):
                    identifier, problem = found
                    yield Unread(scope, identifier, str(problem), problem.remedy)
                elif found.state is not ImageState.GONE:
                    yield found
        except Denied as denied:
            raise denied.as_trouble() from denied

    def _look(self, image: Image, placement: Placement, deadline: Deadline) -> View:
        own = image.ref.region
        named = set(placement.regions)
        if named and own not in named:
            raise Rejected(
                f"{image.at} is in a region that its tag does not name: {listed(sorted(named))}",
                remedy=f"name {own} in {self.policy.contract.keys['regions'][0]}, or leave the tag out",
            )
        closed: dict[str, str] = {}
        if named:
            closed = dict.fromkeys(self._not_enabled(image, named, deadline), "is not enabled in this account")
            regions = named - closed.keys()
        else:
            regions = {own, *(self.policy.regions or self._regions.enabled(own, deadline))}
        found: list[Found] = []
        with ThreadPoolExecutor(min(WORKERS, len(regions)), thread_name_prefix="ec2") as pool:
            futures = {
                region: pool.submit(self._siblings, region, image, placement, deadline) for region in sorted(regions)
            }
            for region, future in futures.items():
                try:
                    found += future.result()
                except Denied as denied:
                    if region == own:
                        raise denied.as_trouble() from denied
                    self.denied[region] = denied.code
                    closed[region] = f"denies access ({denied.code})"
        return View(tuple(found), closed)

    def _siblings(self, region: str, image: Image, placement: Placement, deadline: Deadline) -> list[Found]:
        """Return a region's images of the same fingerprint, and, where nothing names the regions, of the same name.

        Of an image that is named like Packer's intermediary also the copies.
        """
        fingerprints = {placement.fingerprint, placement.fingerprint.lower(), placement.fingerprint.upper()}
        queries: list[FilterTypeDef] = []
        for key in self.policy.contract.keys["fingerprint"]:
            spelled = fingerprints | ({image.tags[key]} if key in image.tags else set())
            queries.append({"Name": f"tag:{key}", "Values": sorted(spelled)})
        if not placement.regions and image.name:
            queries.append({"Name": "name", "Values": [image.name]})
        if is_intermediary(image):
            queries.append({"Name": "source-image-id", "Values": [image.ref.identifier]})
        described = (entry for query in queries for entry in self._pages(region, [query], deadline))
        found = {f.image.ref: f for f in (read_image(entry, region) for entry in described)}
        return list(found.values())

    def _one(self, ref: ImageRef, deadline: Deadline, **owned: Any) -> Image | None:
        """Return one image, None when EC2 shows none."""
        try:
            with within(deadline, ref.region):
                client = self._clients.client(ref.region, deadline)
                answer = client.describe_images(ImageIds=[ref.identifier], IncludeDisabled=True, **owned)
        except Absent:
            return None
        except Denied as denied:
            self._regions.require(ref.region, deadline)
            raise denied.as_trouble() from denied
        except CloudTrouble:
            self._regions.require(ref.region, deadline)
            raise
        # A deregistered image gives an empty list for a while, before EC2 forgets it (API reference, DescribeImages).
        return next((read_image(found, ref.region).image for found in answer["Images"]), None)

    def _pages(self, region: str, filters: list[FilterTypeDef], deadline: Deadline) -> Iterator[ImageTypeDef]:
        """Yield the account's own images that match; the deadline holds all pages."""

        def ask(token: dict[str, Any]) -> DescribeImagesResultTypeDef:
            with within(deadline, region):
                client = self._clients.client(region, deadline)
                return client.describe_images(Owners=["self"], Filters=filters, MaxResults=PAGE, **token)

        return pages(ask)

    def _everything(
        self, region: str, since: datetime | None, until: datetime | None, *, tagged: bool
    ) -> Iterator[ImageTypeDef]:
        """Yield the account's own images, disabled ones too; each page is asked for with patience."""
        filters = [*creation_filter(since, until, self._now())]
        if tagged:
            filters.append(tag_filter(self.policy.contract, *self.policy.contract.keys))

        def ask(token: dict[str, Any]) -> DescribeImagesResultTypeDef:
            return self._clients.ask(
                region,
                self._patience,
                lambda client: client.describe_images(
                    Owners=["self"], Filters=filters, MaxResults=SURVEY_PAGE, IncludeDisabled=True, **token
                ),
            )

        return pages(ask)

    def _not_enabled(self, image: Image, named: set[str], deadline: Deadline) -> frozenset[str]:
        """Return the named regions that are known but not enabled; Rejected for those that AWS does not have."""
        unknown, closed = self._regions.closed(named, image.ref.region, deadline)
        if unknown:
            raise Rejected(
                f"{image.at}: {self.policy.contract.keys['regions'][0]} names {listed(sorted(unknown))}, "
                "unknown to AWS",
                remedy="correct the tag on the images; `aws ec2 describe-regions --all-regions` lists the names",
            )
        return closed

    def _parent(self, copy: ImageRef, deadline: Deadline) -> str | None:
        """Return the image that a copy was built from, where EC2 may tell; the build is complete without it."""
        try:
            with within(deadline, copy.region):
                client = self._clients.client(copy.region, deadline)
                answer = client.get_image_ancestry(ImageId=copy.identifier)
        except (Denied, Unsupported) as refused:
            self.denied[f"{copy.region} GetImageAncestry"] = refused.code
            return None
        except Absent:
            return None
        return read_parent(answer.get("ImageAncestryEntries", []), copy)
