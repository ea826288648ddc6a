"""The function's Pub/Sub topics: its own, for what later invocations are to do, and that of what nobody can read.

One REST method (projects.topics.publish) through google-auth, which the SDK for Compute Engine brings; Pub/Sub's own
library would cost gRPC.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from packer_publisher.errors import CloudTrouble, ConfigurationError, CredentialsTrouble
from packer_publisher.wording import shown

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

VARIABLE = "PUBLISHER_QUEUE"
EMULATOR = "PUBSUB_EMULATOR_HOST"
"""Google's own variable for an emulator (cloud.google.com/pubsub/docs/emulator): plain http, and no token is sent."""
POISON = "PUBLISHER_POISON_TOPIC"
"""Where unreadable requests go: the subscription has no dead-letter policy, whose 100 tries would not outlast a day."""
BATCH = 100
MOST_BYTES = 4 * 1024 * 1024
"""What is kept of an unreadable request; base64 and all of it stays below Pub/Sub's 10 MB."""
_SECONDS = 5.0
_SCOPE = "https://www.googleapis.com/auth/pubsub"
_TOPIC = re.compile(r"projects/[a-z0-9.:-]{1,100}/topics/[A-Za-z][A-Za-z0-9._~+%-]{2,254}")


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic that ``variable`` names; ``emulator`` is its host and port in place of Google's.

    ``what`` is put there, in the words of an error.
    """

    name: str
    emulator: str = ""
    credentials: Credentials | None = None
    variable: str = VARIABLE
    what: str = "what is to be done later"

    def put(self, messages: Sequence[str]) -> None:
        """Publish messages; raises CredentialsTrouble or CloudTrouble with the first call that Pub/Sub refuses.

        A name that is none is trouble, too: events are handled all the same.
        """
        self._publish([{"data": _encoded(text.encode())} for text in messages])

    def set_aside(self, body: bytes) -> None:
        """Publish a request as it came, cut where it is longer than MOST_BYTES; raises as :meth:`put`."""
        attributes = {"bytes": str(len(body))}  # a message must hold something, and the request may hold nothing
        self._publish([{"data": _encoded(body[:MOST_BYTES]), "attributes": attributes}])

    def _publish(self, messages: Sequence[Mapping[str, Any]]) -> None:
        if not _TOPIC.fullmatch(self.name):
            raise CloudTrouble(
                f"{self.variable} is {shown(self.name)}, which is no topic.",
                remedy="write it as projects/PROJECT/topics/NAME",
            )
        from google.auth.exceptions import GoogleAuthError, RefreshError
        from google.auth.transport.requests import AuthorizedSession
        from requests.exceptions import RequestException

        host = f"http://{self.emulator}" if self.emulator else "https://pubsub.googleapis.com"
        try:
            with AuthorizedSession(self.found()) as session:  # type: ignore[no-untyped-call]  # of google-auth
                session.trust_env = not self.emulator  # a proxy never gets to see what is meant for loopback
                for first in range(0, len(messages), BATCH):
                    body: dict[str, Any] = {"messages": list(messages[first : first + BATCH])}
                    status = session.post(f"{host}/v1/{self.name}:publish", json=body, timeout=_SECONDS).status_code
                    if status in (401, 403):
                        raise CredentialsTrouble(
                            f"Pub/Sub refused {self.what} (HTTP {status}).",
                            remedy=f"grant roles/pubsub.publisher on {self.name} to this identity",
                        )
                    if status != 200:
                        raise CloudTrouble(f"Pub/Sub did not take {self.what} (HTTP {status}).")
        except RefreshError as error:
            raise CredentialsTrouble(
                f"Pub/Sub was not given {self.what}: there is no token for it (RefreshError).",
                remedy="renew the credentials; on a laptop: gcloud auth application-default login",
            ) from error
        except (RequestException, GoogleAuthError) as error:
            raise CloudTrouble(f"Pub/Sub did not take {self.what} ({type(error).__name__}).") from error

    def found(self) -> Credentials:
        """Return the credentials that messages are published with."""
        from google.auth.credentials import AnonymousCredentials

        if self.emulator:
            return AnonymousCredentials()  # type: ignore[no-untyped-call]  # of google-auth
        if self.credentials is not None:
            return self.credentials
        import google.auth

        found: Credentials = google.auth.default(scopes=[_SCOPE])[0]
        return found


def deployed_topic(name: str, environ: Mapping[str, str]) -> Topic:
    """Return a deployed function's topic, seen from outside, with the credentials of whoever runs this.

    Raises ConfigurationError for a name that is none, CredentialsTrouble where there are no credentials.
    """
    if not _TOPIC.fullmatch(name):
        remedy = "write it as projects/PROJECT/topics/NAME"
        raise ConfigurationError(f"{shown(name)} is no Pub/Sub topic", remedy=remedy)
    topic = Topic(name, environ.get(EMULATOR, ""), what="a version that is handed over")
    from google.auth.exceptions import GoogleAuthError

    try:
        return replace(topic, credentials=topic.found())
    except GoogleAuthError as error:
        raise CredentialsTrouble(
            f"no credentials for Pub/Sub were found ({type(error).__name__})",
            remedy="run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
        ) from error


def own_topic(environ: Mapping[str, str]) -> Topic | None:
    """Return the topic that PUBLISHER_QUEUE names, None where it names none: a sweep then does what it can itself."""
    name = environ.get(VARIABLE, "")
    return Topic(name, environ.get(EMULATOR, "")) if name else None


def set_aside(body: bytes, environ: Mapping[str, str]) -> None:
    """Put a request that nobody can read on the topic that PUBLISHER_POISON_TOPIC names; nothing where it names none.

    Raises as :meth:`Topic.put`.
    """
    if name := environ.get(POISON, ""):
        Topic(name, environ.get(EMULATOR, ""), variable=POISON, what="what nobody can read").set_aside(body)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
