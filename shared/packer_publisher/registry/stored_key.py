"""A service principal's key that lies in a secret store: read once, and once more when HCP refuses it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NoReturn

from packer_publisher.deadline import Deadline
from packer_publisher.errors import ConfigurationError, CredentialsTrouble
from packer_publisher.protocols import ReadSecret
from packer_publisher.registry.principals import ClientCredentials, StoredKey
from packer_publisher.secret_reference import SecretReference

REREAD_SECONDS = 60.0
"""The least time between two second looks: a key that is deleted for good must not cost one with every event."""

_FORM = 'Store the client secret as plain text, or {"client_id": "...", "client_secret": "..."}.'


class StoredCredentials:
    """The key of one process, not for several threads at once (its one caller, AccessTokens, holds a lock)."""

    def __init__(self, key: StoredKey, read: ReadSecret, now: Callable[[], float]) -> None:
        self._key = key
        self._read = read
        self._now = now
        self._kept: ClientCredentials | None = None
        self._looked_again = float("-inf")

    def get(self, deadline: Deadline) -> ClientCredentials:
        """Return the key as it was read first, or last when it had changed.

        Raises CredentialsTrouble or CloudTrouble where the store does not give it, ConfigurationError where nothing
        says whose secret it is.
        """
        if self._kept is None:
            self._kept = self._fetch(deadline)
        return self._kept

    def changed(self, refused: ClientCredentials, fresh: bool, deadline: Deadline) -> ClientCredentials | None:
        """Return the key that has taken the place of one that HCP refused, None where there is no other yet.

        ``fresh``: the refused key was read just now, and is not looked for again. Raises as :meth:`get`.
        """
        now = self._now()
        if fresh or now - self._looked_again < REREAD_SECONDS:
            return None
        self._looked_again = now
        self._kept = self._fetch(deadline)
        return None if self._kept == refused else self._kept

    @property
    def known(self) -> bool:
        """Return whether the store was asked already."""
        return self._kept is not None

    def _fetch(self, deadline: Deadline) -> ClientCredentials:
        text = self._read(self._key.reference, deadline).strip()  # a line break at the end is the classic
        client_id, secret = self._key.client_id, text
        if text.startswith("{"):
            client_id, secret = self._pair(text)
        if not secret or not secret.isprintable():
            self._unusable("it is empty" if not secret else "it holds control characters")
        if not client_id:
            raise ConfigurationError(
                f"HCP_CLIENT_ID is not set, and the secret of {self._key.origin} holds no client_id.",
                remedy="Set HCP_CLIENT_ID to the service principal's client id, or store both as JSON.",
            )
        return ClientCredentials(client_id, secret, self._key.origin)

    def _pair(self, text: str) -> tuple[str, str]:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = None  # nothing of it is told, nor of the error, which carries it
        if not isinstance(document, dict):
            self._unusable("it begins like JSON and is none")
        # Both are of one key: the client id beside the secret wins, because a rotation changes the two together.
        client_id, secret = document.get("client_id") or self._key.client_id, document.get("client_secret")
        if not isinstance(client_id, str) or not isinstance(secret, str):
            self._unusable("its JSON has no text 'client_secret', or a 'client_id' that is none")
        return client_id.strip(), secret.strip()

    def _unusable(self, what: str) -> NoReturn:
        raise CredentialsTrouble(f"The secret of {self._key.origin} is not usable: {what}.", remedy=_FORM)


def no_store(reference: SecretReference, _deadline: Deadline) -> str:
    """Refuse to read: what is opened without stores has none."""
    raise ConfigurationError(
        f"The secret {reference} cannot be read: this program was given no secret stores.",
        remedy="Set HCP_CLIENT_ID and HCP_CLIENT_SECRET here.",
    )
