"""Azure: managed images and gallery image versions of the subscriptions that the credentials reach."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from packer_publisher.clouds.azure_arm import Arm
from packer_publisher.clouds.azure_events import read_event
from packer_publisher.clouds.azure_images import Images, Look
from packer_publisher.clouds.azure_survey import READERS, Listing, Window
from packer_publisher.errors import ConfigurationError, Forbidden, Rejected, Trouble
from packer_publisher.image import Image, ImageRef, Platform, Scope, Unread
from packer_publisher.patience import SURVEY, Patience
from packer_publisher.placement import Placement
from packer_publisher.wording import listed

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from packer_publisher.deadline import Deadline
    from packer_publisher.policy import Policy

__all__ = ["Azure", "read_event"]

SUBSCRIPTION_VARIABLE = "AZURE_SUBSCRIPTION_ID"


class Azure:
    """Azure's images, read through Azure Resource Manager; fit to be shared by threads.

    ``environ`` (default: the process's) is looked at for ``PUBLISHER_ARM_ENDPOINT``, ``IDENTITY_ENDPOINT``,
    ``AZURE_CLIENT_ID`` and ``AZURE_SUBSCRIPTION_ID``. ``now`` is asked only for an image whose time of creation
    Azure does not tell. ``patience`` is that of a survey. ``broken`` holds what is wrong with the images that the last
    scan passed over, by their ids; ``denied`` is for clouds that are asked region by region, and stays empty.
    """

    platform = Platform.AZURE

    def __init__(
        self,
        policy: Policy,
        credential: TokenCredential | None = None,
        environ: Mapping[str, str] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        patience: Patience = SURVEY,
    ) -> None:
        self._policy = policy
        self._environ = os.environ if environ is None else environ
        self._arm = Arm(credential, self._environ)
        self._images = Images(self._arm, policy, now)
        self._now = now
        self._patience = patience
        self.denied: dict[str, str] = {}
        self.broken: dict[str, Rejected | Trouble] = {}

    def close(self) -> None:
        """Close the connections to Azure."""
        self._arm.close()

    def describe(self, ref: ImageRef, deadline: Deadline) -> Image | None:
        """Return the image, or None when Azure says that it does not exist.

        The artifact's identifier is the id with its names as ``ref`` spells them. Raises Rejected for an id of
        anything else, CredentialsTrouble and CloudTrouble.
        """
        return self._images.described(ref, Look(Patience.until(deadline)))

    def gather(self, image: Image, placement: Placement, deadline: Deadline) -> Image:  # noqa: ARG002 - the protocol's
        """Return the image unchanged: an Azure image says itself where it is, so ``whole`` is decided."""
        return image

    def together(self, image: Image, *_: object) -> Image:
        """Return the image unchanged: it says itself where it is."""
        return image

    def speaks_for(self, owner_id: str, deadline: Deadline) -> bool:  # noqa: ARG002 - the protocol's
        """Return True: an id names its subscription, and whoever may not look there is refused, not told "none"."""
        return True

    def scan(self, since: datetime | None, until: datetime | None, deadline: Deadline) -> Iterator[Image]:
        """Yield the tagged images of ``AZURE_SUBSCRIPTION_ID`` that were created in ``[since, until)``, each once.

        None leaves that end open; an image whose time of creation Azure does not tell is always within. With
        ``gallery`` a managed image is left out where the version made from it is found; with ``managed`` a version
        within the window brings the image that it was made from. Ids are spelled as Azure lists them. A single image
        that Azure refuses or fails to show, or that breaks a rule, is entered in ``broken`` and passed over. Raises
        ConfigurationError where no subscription is set, and as :meth:`describe` where the list fails, Azure throttles,
        or no time is left.
        """
        subscription = self._environ.get(SUBSCRIPTION_VARIABLE, "").lower()
        if not subscription:
            raise ConfigurationError(
                "Azure cannot be scanned: no subscription is named.", remedy=f"set {SUBSCRIPTION_VARIABLE}"
            )
        self.broken.clear()
        for found in self._listing(subscription).read(Window(since, until), Look(Patience.until(deadline))):
            if isinstance(found, Image):
                yield found
            else:
                identifier, problem = found
                self.broken[identifier] = problem

    def scopes(self, deadline: Deadline, only: Sequence[str] = ()) -> tuple[Scope, ...]:
        """Return the subscriptions that the credentials reach, or those of them that ``only`` names, sorted.

        Without ``only`` and with ``AZURE_SUBSCRIPTION_ID`` set it is that one, and nobody is asked. Azure names the
        subscriptions of one tenant, the credentials' own. Raises ConfigurationError where ``only`` names another one,
        Forbidden where they reach none at all, and as :meth:`describe`.
        """
        wanted = {name.lower() for name in only}
        default = self._environ.get(SUBSCRIPTION_VARIABLE, "").lower()
        if default and not wanted:
            return (Scope(Platform.AZURE, default),)
        entries = self._arm.subscriptions(Patience.until(deadline))
        reached = {str(entry.get("subscriptionId", "")).lower() for entry in entries if entry.get("state") != "Deleted"}
        if missing := sorted(wanted - reached):
            raise ConfigurationError(
                f"These credentials reach no Azure subscription {listed(missing)}.",
                remedy="`az account list --refresh` names those they reach; a subscription is named by its id",
            )
        if not reached:
            raise Forbidden(
                "These credentials reach no Azure subscription.",
                remedy="assign them a role that reads images, galleries and resources, as docs/backfill.md lists",
            )
        return tuple(sorted(Scope(Platform.AZURE, subscription) for subscription in wanted or reached))

    def survey(
        self, scope: Scope, since: datetime | None, until: datetime | None, *, tagged: bool
    ) -> Iterator[Image | Unread]:
        """Yield a subscription's images, several of them read at the same time.

        A version is left out where the managed image that it was made from is the artifact: that one is listed by
        itself, with its own time of creation. An image whose time Azure does not tell counts as new. What is being
        deleted, or gone when it is read, is left out. The rest is as in :class:`~packer_publisher.protocols.Survey`;
        Forbidden is also an unknown subscription and one of another tenant.
        """
        look = Look(self._patience, follows=False)
        listing = self._listing(scope.owner_id)
        for found in listing.read(Window(since, until), look, tagged=tagged, readers=READERS):
            if isinstance(found, Image):
                yield found
            else:
                identifier, problem = found
                yield Unread(scope, identifier, str(problem), problem.remedy)

    def _listing(self, subscription: str) -> Listing:
        return Listing(subscription, self._arm, self._images, self._policy, self._now)
