"""Compute Engine's API: the only module that imports Google's SDK, and only once a call is made (it takes a second).

Everything here reads, with a scope that allows nothing else. The SDK's own retries are switched off: they would go on
for ten minutes (google-cloud-compute, ``services/images/transports/base.py``); they are counted here instead, with the
patience of whoever asks.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from threading import Lock, local
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from packer_publisher.errors import CloudTrouble, ConfigurationError, CredentialsTrouble, Forbidden, Trouble
from packer_publisher.wording import listed, shown

if TYPE_CHECKING:
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.credentials import Credentials
    from google.cloud.compute_v1 import Image, ImagesClient

    from packer_publisher.patience import Patience

T = TypeVar("T")

ENDPOINT_VARIABLE = "PUBLISHER_COMPUTE_ENDPOINT"
_SCOPE = "https://www.googleapis.com/auth/compute.readonly"
_READ_SECONDS = 20.0
_LEAST_SECONDS = 0.5  # with less time left nothing is begun
_THROTTLED = ("rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded")  # Compute Engine says so with 403, too
_ROLE = "grant compute.images.get and compute.images.list in project {} to this identity, as infra/gcp does"


class Compute:
    """A reader of Compute Engine's images, shared by all calls and threads of a process.

    ``credentials`` None means: whatever Application Default Credentials are. ``environ`` may name a stand-in in
    ``PUBLISHER_COMPUTE_ENDPOINT``: plain http on loopback, which no token is ever sent to; ConfigurationError for
    any other address.
    """

    def __init__(self, credentials: Credentials | None, environ: Mapping[str, str]) -> None:
        self._credentials = credentials
        self._stand_in = loopback(environ.get(ENDPOINT_VARIABLE, ""))
        # requests, under the client, promises nothing about a session that threads share: each has its own client.
        self._own = local()
        self._opened: list[ImagesClient] = []
        self._lock = Lock()

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        with self._lock:
            self._own = local()
            while self._opened:
                self._opened.pop().transport.close()  # type: ignore[no-untyped-call]  # of the SDK

    def image(self, project: str, image: str, patience: Patience) -> Image | None:
        """Return an image by name or numeric id, None when Google says that there is none; Trouble as _answer."""

        def ask(client: ImagesClient, limits: Mapping[str, Any]) -> Image:
            return client.get(request={"project": project, "image": image}, **limits)

        return self._answer(f"projects/{project}/global/images/{image}", project, patience, ask)

    def images(self, project: str, expression: str, patience: Patience) -> Iterator[Image]:
        """Yield a project's images that a filter expression selects, page after page (an empty one is not the end).

        Raises Forbidden also where Google knows no such project: it tells a stranger no more than that.
        """
        what = f"the images of project {project}"
        token = ""
        seen = {token}
        while True:
            request = {"project": project, "filter": expression, "page_token": token}

            def ask(client: ImagesClient, limits: Mapping[str, Any], request: Mapping[str, str] = request) -> Any:
                return next(client.list(request=dict(request), **limits).pages)

            page = self._answer(what, project, patience, ask)
            if page is None:
                raise Forbidden(
                    f"Google Cloud knows no project {project}, or does not show it to this identity.",
                    remedy=_ROLE.format(project),
                )
            yield from page.items
            token = page.next_page_token
            if not token:
                return
            if token in seen:
                raise CloudTrouble(f"Google Cloud's list of {what} goes round in circles.")
            seen.add(token)

    def _answer(
        self, what: str, project: str, patience: Patience, ask: Callable[[ImagesClient, Mapping[str, Any]], T]
    ) -> T | None:
        """Return the answer of one read, None for a definite "there is none".

        ``ask`` is called with the client and the limits of one request, again after a pause where that may help.
        Raises Forbidden (403), CredentialsTrouble (no token, 401) or CloudTrouble (anything else), never an error of
        the SDK. ConfigurationError names the variables of which the SDK can make nothing.
        """
        from google.api_core.exceptions import GoogleAPICallError
        from google.auth.exceptions import GoogleAuthError, TransportError
        from google.protobuf.json_format import ParseError  # type: ignore[import-untyped]  # ships no types
        from requests.exceptions import RequestException

        deadline = patience.begin()
        for attempt in count(1):
            doubted = False
            remaining = deadline.remaining()
            if remaining < _LEAST_SECONDS:
                raise CloudTrouble(f"No time was left to ask Google Cloud for {what}.")
            try:
                return ask(self._client(), {"timeout": min(_READ_SECONDS, remaining), "retry": None})
            except GoogleAPICallError as error:
                if _says_none(error):
                    return None
                trouble = _trouble(what, project, error)
                doubted = 400 <= int(error.code or 0) < 500 and error.code != 408 and not _throttles(error)
            except (RequestException, TransportError) as error:
                trouble = CloudTrouble(f"Google Cloud did not answer to a question for {what} ({_kind(error)}).")
            except GoogleAuthError as error:
                trouble = _no_token(what, error)
            except OSError as error:  # what requests says, unwrapped, of a bundle of authorities that is not there
                require_authorities()
                trouble = CloudTrouble(f"Google Cloud did not answer to a question for {what} ({_kind(error)}).")
            except (ParseError, ValueError):  # a body that is no image: a proxy's page, half an answer
                trouble = CloudTrouble(f"Google Cloud gave no readable answer to a question for {what}.")
                doubted = True
            wait = patience.pause(attempt, trouble.retry_after, doubted=doubted)
            if isinstance(trouble, CredentialsTrouble) or wait is None or not deadline.pause(wait):
                raise trouble
        raise AssertionError("unreachable: the last try returns or raises")

    def _client(self) -> ImagesClient:
        mine: ImagesClient | None = getattr(self._own, "client", None)
        if mine is None:
            with self._lock:
                mine = self._own.client = self._open()
                self._opened.append(mine)
        return mine

    def _open(self) -> ImagesClient:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.compute_v1 import ImagesClient

        if not self._stand_in:
            try:
                return ImagesClient(credentials=self._credentials, client_options={"scopes": [_SCOPE]})
            except ValueError as error:  # a universe domain that is none; GoogleAuthError is what the caller knows
                named = listed([name for name in sorted(os.environ) if name.startswith("GOOGLE_")]) or "the settings"
                raise ConfigurationError(
                    f"No client for Google Cloud can be made of {named} ({_kind(error)}).",
                    remedy="correct it, or leave it unset",
                ) from None
        nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]  # of google-auth
        client = ImagesClient(credentials=nobody, client_options={"api_endpoint": self._stand_in})
        # A proxy never gets to see what is meant for loopback; the SDK has no option for that.
        client.transport._session.trust_env = False  # type: ignore[attr-defined]  # the REST transport's session
        return client


def require_authorities() -> None:
    """Raise ConfigurationError where a variable that requests obeys names a bundle that is not there."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if os.environ.get(name) and not os.path.exists(os.environ[name]):
            raise ConfigurationError(
                f"{name} names a bundle of certificate authorities that is not there.",
                remedy="name a file in PEM format, or leave it unset",
            )


def _says_none(error: GoogleAPICallError) -> bool:
    """Return whether Google itself says that it does not exist; any other 404 is a proxy's or a wrong address."""
    return error.code == 404 and _reason(error) == "notFound"


def _throttles(error: GoogleAPICallError) -> bool:
    return error.code == 429 or _reason(error) in _THROTTLED


def _trouble(what: str, project: str, error: GoogleAPICallError) -> Trouble:
    reason = _reason(error)
    said = " ".join(filter(None, (f"HTTP {int(error.code or 0)}", shown(reason, 64))))
    if _throttles(error):
        return CloudTrouble(f"Google Cloud throttles; it did not show {what} ({said}).", retry_after=_after(error))
    if reason == "accessNotConfigured":
        remedy = f"enable the Compute Engine API (compute.googleapis.com) in project {project}"
        return Forbidden(f"Google Cloud refused to show {what} ({said}).", remedy=remedy)
    if error.code == 403:
        return Forbidden(f"Google Cloud refused to show {what} ({said}).", remedy=_ROLE.format(project))
    if error.code == 401:
        return CredentialsTrouble(f"Google Cloud refused to show {what} ({said}).", remedy=_ROLE.format(project))
    return CloudTrouble(f"Google Cloud did not show {what} ({said}).", retry_after=_after(error))


def _no_token(what: str, error: Exception) -> Trouble:
    if getattr(error, "retryable", False):
        return CloudTrouble(f"Google Cloud gave no token to ask for {what} with ({_kind(error)}).")
    return CredentialsTrouble(
        f"No token to ask Google Cloud for {what} ({_kind(error)}).",
        remedy="give the function a service account, or run `gcloud auth application-default login` on a laptop",
    )


def _kind(error: Exception) -> str:
    return type(error).__name__


def _reason(error: GoogleAPICallError) -> str:
    """Return Google's own word for a refusal, "" where the body is not Google's."""
    first = error.errors[0] if error.errors else None
    return str(first.get("reason", "")) if isinstance(first, Mapping) else ""


def _after(error: GoogleAPICallError) -> float | None:
    headers: Mapping[str, str] = getattr(error.response, "headers", None) or {}
    try:
        return max(0.0, float(headers.get("Retry-After", "")))
    except ValueError:
        return None


def loopback(endpoint: str, variable: str = ENDPOINT_VARIABLE) -> str:
    """Return the address of a stand-in without a slash at its end, "" if none is set."""
    if not endpoint:
        return ""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if parts.scheme != "http" or not local or parts.username or parts.path.strip("/") or parts.query:
        raise ConfigurationError(
            f"{variable}={shown(endpoint)} is no stand-in: it must be http on loopback, such as http://127.0.0.1:8080.",
            remedy=f"unset {variable} to talk to Google Cloud itself",
        )
    return endpoint.rstrip("/")
