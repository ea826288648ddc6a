"""Questions to Google Cloud about a deployment: REST through google-auth, and refusals that become findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from packer_publisher.clouds.gcp_compute import loopback
from packer_publisher.deadline import Deadline
from packer_publisher.errors import (
    CloudTrouble,
    ConfigurationError,
    CredentialsTrouble,
    Forbidden,
    PublisherError,
)
from packer_publisher.finding import Finding, Trouble, unknown, wrong
from packer_publisher.wording import shown

ENDPOINT_VARIABLE = "PUBLISHER_GOOGLE_ENDPOINT"
"""Where a stand-in of all of Google's APIs is, each under its host's name: plain http on loopback."""

WITH_CONDITIONS = 3
"""The version of an IAM policy that has conditions; below it Google gives their roles names of their own."""

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_SECONDS = 15.0


class Desk:
    """Google's APIs, asked with a person's Application Default Credentials."""

    def __init__(self, environ: Mapping[str, str], deadline: Deadline) -> None:
        self._stand_in = loopback(environ.get(ENDPOINT_VARIABLE, ""), ENDPOINT_VARIABLE)
        self._deadline = deadline
        self._session: Any = None
        self.default_project = ""

    def get(self, host: str, path: str, **query: str) -> Mapping[str, Any] | None:
        """Return the object at an address, None where Google says that there is none; raises Trouble."""
        return self._ask("GET", host, path, params=query)

    def post(self, host: str, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the answer to a POST; raises Trouble, also where there is nothing at the address."""
        found = self._ask("POST", host, path, json=body)
        if found is None:
            raise CloudTrouble(f"Google Cloud knows no {path}.", remedy="check the names")
        return found

    def pages(self, host: str, path: str, key: str, **query: str) -> Iterator[Mapping[str, Any]]:
        """Yield the entries of a list, page after page."""
        token = ""
        while True:
            page = self.get(host, path, **query, **({"pageToken": token} if token else {})) or {}
            yield from page.get(key, ())
            token = str(page.get("nextPageToken", ""))
            if not token:
                return

    def open(self) -> None:
        """Find the credentials; raises CredentialsTrouble where there are none."""
        from google.auth.credentials import AnonymousCredentials
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import AuthorizedSession

        if self._session is not None:
            return
        if self._stand_in:
            credentials: Any = AnonymousCredentials()  # type: ignore[no-untyped-call]  # of google-auth
        else:
            import google.auth

            try:
                credentials, project = google.auth.default(scopes=[_SCOPE])
            except GoogleAuthError as error:
                raise _no_token(error) from None
            self.default_project = project or ""
        self._session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]  # of google-auth
        self._session.trust_env = not self._stand_in

    def _ask(self, method: str, host: str, path: str, **more: Any) -> Mapping[str, Any] | None:
        from google.auth.exceptions import GoogleAuthError
        from requests.exceptions import RequestException

        self.open()
        seconds = min(_SECONDS, self._deadline.remaining())
        if seconds < 1:
            raise CloudTrouble(f"No time was left to ask {host}.", remedy="give it longer with --timeout")
        base = f"{self._stand_in}/{host}" if self._stand_in else f"https://{host}"
        try:
            answer = self._session.request(method, f"{base}/{path}", timeout=seconds, allow_redirects=False, **more)
            document = answer.json() if answer.content else {}
        except GoogleAuthError as error:
            raise _no_token(error) from None
        except (RequestException, ValueError) as error:
            raise CloudTrouble(f"{host} gave no usable answer ({type(error).__name__}).") from None
        if answer.status_code == 404:
            return None
        if answer.status_code in (401, 403):
            kind = Forbidden if answer.status_code == 403 else CredentialsTrouble
            raise kind(f"{host} refuses it (HTTP {answer.status_code}{_reason(document)}).")
        if answer.status_code != 200 or not isinstance(document, Mapping):
            raise CloudTrouble(f"{host} answered HTTP {answer.status_code}{_reason(document)}.")
        return document


def looked_at(about: str, permission: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield what a look finds; what Google refuses or does not answer is unknown, with what would allow it."""
    try:
        yield from look()
    except Forbidden as denied:
        yield unknown(
            about, str(denied), f"run the doctor with credentials that have {permission}", Trouble.CREDENTIALS
        )
    except CredentialsTrouble as trouble:
        yield wrong(about, str(trouble), trouble.remedy, Trouble.CREDENTIALS)
    except ConfigurationError:
        raise
    except PublisherError as trouble:
        yield unknown(about, str(trouble), trouble.remedy or "run the doctor again")


def _no_token(error: Exception) -> CredentialsTrouble:
    return CredentialsTrouble(
        f"There are no usable credentials for Google Cloud ({type(error).__name__}).",
        remedy="run `gcloud auth application-default login`",
    )


def _reason(document: Any) -> str:
    """Return Google's one word for a refusal: its sentences name the caller."""
    error = document.get("error") if isinstance(document, Mapping) else None
    status = error.get("status") if isinstance(error, Mapping) else None
    return f", {shown(status, 64)}" if isinstance(status, str) else ""
