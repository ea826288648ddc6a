"""The Pub/Sub topic that brings the function its events: what a sweep puts there, to be done by later invocations.

One REST method (projects.topics.publish) through google-auth, which the SDK for Compute Engine brings; Pub/Sub's own
library would cost gRPC.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packer_publisher.errors import CloudTrouble, CredentialsTrouble
from packer_publisher.wording import shown

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

VARIABLE = "PUBLISHER_QUEUE"
EMULATOR = "PUBSUB_EMULATOR_HOST"
"""Google's own variable for an emulator (cloud.google.com/pubsub/docs/emulator): plain http, and no token is sent."""
BATCH = 100
_SECONDS = 5.0
_SCOPE = "https://www.googleapis.com/auth/pubsub"
_TOPIC = re.compile(r"projects/[a-z0-9.:-]{1,100}/topics/[A-Za-z][A-Za-z0-9._~+%-]{2,254}")


@dataclass(frozen=True, slots=True)
class Topic:
    """The function's own topic; ``emulator`` is its host and port in place of Google's."""

    name: str
    emulator: str = ""
    credentials: Credentials | None = None

    def put(self, messages: Sequence[str]) -> None:
        """Publish messages; raises CredentialsTrouble or CloudTrouble with the first call that Pub/Sub refuses.

        A name that is none is trouble, too: events are handled all the same.
        """
        if not _TOPIC.fullmatch(self.name):
            raise CloudTrouble(
                f"{VARIABLE} is {shown(self.name)}, which is no topic.",
                remedy="write it as projects/PROJECT/topics/NAME",
            )
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import AuthorizedSession
        from requests.exceptions import RequestException

        host = f"http://{self.emulator}" if self.emulator else "https://pubsub.googleapis.com"
        try:
            with AuthorizedSession(self._credentials()) as session:  # type: ignore[no-untyped-call]  # of google-auth
                session.trust_env = not self.emulator  # a proxy never gets to see what is meant for loopback
                for first in range(0, len(messages), BATCH):
                    data = [base64.b64encode(text.encode()).decode() for text in messages[first : first + BATCH]]
                    body = {"messages": [{"data": text} for text in data]}
                    status = session.post(f"{host}/v1/{self.name}:publish", json=body, timeout=_SECONDS).status_code
                    if status in (401, 403):
                        raise CredentialsTrouble(
                            f"Pub/Sub refused what is to be done later (HTTP {status}).",
                            remedy=f"grant roles/pubsub.publisher on {self.name} to this identity",
                        )
                    if status != 200:
                        raise CloudTrouble(f"Pub/Sub did not take what is to be done later (HTTP {status}).")
        except (RequestException, GoogleAuthError) as error:
            raise CloudTrouble(f"Pub/Sub did not take what is to be done later ({type(error).__name__}).") from error

    def _credentials(self) -> Credentials:
        from google.auth.credentials import AnonymousCredentials

        if self.emulator:
            return AnonymousCredentials()  # type: ignore[no-untyped-call]  # of google-auth
        if self.credentials is not None:
            return self.credentials
        import google.auth

        found: Credentials = google.auth.default(scopes=[_SCOPE])[0]
        return found


def own_topic(environ: Mapping[str, str]) -> Topic | None:
    """Return the topic that PUBLISHER_QUEUE names, None where it names none: a sweep then does what it can itself."""
    name = environ.get(VARIABLE, "")
    return Topic(name, environ.get(EMULATOR, "")) if name else None
