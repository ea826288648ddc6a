"""Questions to an account about a deployment: read-only calls of any service, and refusals that become findings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from packer_publisher.clouds.aws_calls import Clients, within
from packer_publisher.clouds.aws_errors import Denied
from packer_publisher.deadline import Deadline
from packer_publisher.errors import CredentialsTrouble, Forbidden, PublisherError
from packer_publisher.finding import Finding, Trouble, unknown, wrong


class Desk:
    """One account, seen from its function's region with a person's credentials."""

    def __init__(self, clients: Clients, home: str, deadline: Deadline) -> None:
        self.home = home
        self._clients = clients
        self._deadline = deadline

    def account(self) -> str:
        """Return the account's number; raises Trouble."""
        return self._clients.account(self.home, self._deadline)

    def ask(
        self, service: str, operation: str, *, region: str = "", absent: Collection[str] = (), **parameters: Any
    ) -> Any:
        """Return the answer of one call, None for one of the ``absent`` codes.

        Raises Denied, and Trouble as :func:`packer_publisher.clouds.aws_errors.translated` does.
        """
        from botocore.exceptions import ClientError

        where = region or self.home
        with within(self._deadline, where):
            client = self._clients.service(service, where, self._deadline)
            try:
                return getattr(client, operation)(**parameters)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code", "") in absent:
                    return None
                raise

    def pages(self, service: str, operation: str, key: str, *, region: str = "", **parameters: Any) -> Iterator[Any]:
        """Yield the entries of a list that goes on with ``NextToken`` or ``NextMarker``."""
        more: dict[str, Any] = {}
        while True:
            page = self.ask(service, operation, region=region, **parameters, **more)
            yield from page.get(key, ())
            if token := page.get("NextToken"):
                more = {"NextToken": token}
            elif token := page.get("NextMarker"):
                more = {"Marker": token}
            else:
                return


@contextmanager
def as_trouble() -> Iterator[None]:
    """Turn a region's denial into trouble with credentials."""
    try:
        yield
    except Denied as denied:
        raise Forbidden(
            f"AWS denies it in {denied.region} ({denied.code})", remedy="run the doctor with credentials that may"
        ) from denied


def looked_at(about: str, permission: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield what a look finds; what AWS denies or does not answer is unknown, with what would allow it."""
    try:
        yield from look()
    except Denied as denied:
        yield unknown(
            about,
            f"AWS denies these credentials to look at it in {denied.region} ({denied.code})",
            f"run the doctor with credentials that may {permission}",
            Trouble.CREDENTIALS,
        )
    except CredentialsTrouble as trouble:
        yield wrong(about, str(trouble), trouble.remedy, Trouble.CREDENTIALS)
    except PublisherError as trouble:
        yield unknown(about, str(trouble), trouble.remedy or "run the doctor again")
