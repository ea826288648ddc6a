"""Azure Resource Manager: the only module that imports Azure's SDK, and only once a call is made.

Everything here reads. The SDK's own pipeline is not used as it comes: its retry policy obeys a Retry-After however
long it is, its redirect policy follows other hosts, and ``ARMAutoResourceProviderRegistrationPolicy`` answers a 409
by registering a resource provider in the subscription, which would be a write (azure-core ``RetryPolicyBase``,
azure-mgmt-core ``policies/_base.py``). So the policies are listed one by one, and retries are counted here, within
the patience of whoever asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

from packer_publisher.clouds.azure_credentials import (
    ENDPOINT_VARIABLE,
    NOBODY,
    found_credential,
    loopback,
    require_authorities,
)
from packer_publisher.clouds.azure_ids import GalleryVersionId, ManagedImageId
from packer_publisher.errors import CloudTrouble, CredentialsTrouble, Forbidden, Trouble
from packer_publisher.wording import shown

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.core.exceptions import HttpResponseError
    from azure.mgmt.compute import ComputeManagementClient
    from azure.mgmt.compute.models import GalleryImage, GalleryImageVersion, Image

    from packer_publisher.patience import Patience


T = TypeVar("T")
R = TypeVar("R", bound="Mapping[str, Any]")

_PUBLIC_ENDPOINT = "https://management.azure.com"
_SCOPE = "https://management.azure.com/.default"
_RESOURCES_API = "2021-04-01"
_SUBSCRIPTIONS_API = "2022-12-01"
_NO_SUBSCRIPTION = "none"  # the SDK insists on one; the list of subscriptions lies in none
_CONNECT_SECONDS = 5.0
_READ_SECONDS = 20.0
_MOST_CLIENTS = 32  # more than threads use at a time; whoever sends events can make up any number of subscriptions
_LEAST_SECONDS = 0.5  # with less time left nothing is begun
_NOT_SHOWN = ("SubscriptionNotFound", "InvalidAuthenticationTokenTenant")  # not to this identity, or its tenant
_ROLE = "give the function's identity the role that infra/azure defines (read images, galleries and resources)"


class Unavailable(CloudTrouble):
    """Azure throttles, is silent, or there was no time to ask: that is not about the one image asked for."""


class Arm:
    """A reader of Azure Resource Manager, shared by all calls and threads of a process.

    ``credential`` None means: the managed identity inside Azure (the platform sets ``IDENTITY_ENDPOINT``), else
    whatever ``DefaultAzureCredential`` finds. ``environ`` may name a stand-in in ``PUBLISHER_ARM_ENDPOINT``: plain
    http on loopback, which no token is ever sent to; ConfigurationError for any other address.
    """

    def __init__(self, credential: TokenCredential | None, environ: Mapping[str, str]) -> None:
        self._credential = credential
        self._environ = environ
        self._stand_in = loopback(environ.get(ENDPOINT_VARIABLE, ""))
        self._clients: dict[str, ComputeManagementClient] = {}
        self._lock = Lock()  # a client, once open, is for all threads; two of them must not open one

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        with self._lock:
            while self._clients:
                self._clients.popitem()[1].close()

    def managed_image(self, image: ManagedImageId, patience: Patience) -> Image | None:
        """Return a managed image, None when Azure says that there is none; Trouble as :meth:`_answer`."""
        return self._answer(
            image.spelled,
            patience,
            lambda limits: _checked(self._client(image.subscription).images.get(image.group, image.name, **limits)),
        )

    def gallery_version(self, image: GalleryVersionId, patience: Patience) -> GalleryImageVersion | None:
        """Return a gallery image version with its replication status (which is left out unless asked for)."""
        return self._answer(
            image.spelled,
            patience,
            lambda limits: _checked(
                self._client(image.subscription).gallery_image_versions.get(
                    image.group, image.gallery, image.definition, image.version, expand="ReplicationStatus", **limits
                )
            ),
        )

    def image_definition(self, image: GalleryVersionId, patience: Patience) -> GalleryImage | None:
        """Return the image definition that a gallery image version belongs to."""
        return self._answer(
            f"the image definition of {image.spelled}",
            patience,
            lambda limits: _checked(
                self._client(image.subscription).gallery_images.get(
                    image.group, image.gallery, image.definition, **limits
                )
            ),
        )

    def resources(
        self, subscription: str, resource_type: str, patience: Patience, *, group: str = "", name: str = ""
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the subscription's resources of one type (in one group, of one name) with tags and ``createdTime``.

        Filtered by type, not by ``tagName``: Azure leaves tags and expanded properties out of what a tag filter
        finds (Microsoft's page of ``Resources - List``), and without createdTime every tagged image that ever was
        would have to be fetched. An entry may lack either field all the same.
        """
        within = f"/resourceGroups/{quote(group, safe='')}" if group else ""
        filters = f"resourceType eq '{resource_type}'" + (f" and name eq '{name}'" if name else "")
        return self._entries(
            subscription,
            f"/subscriptions/{subscription}{within}/resources",
            {"api-version": _RESOURCES_API, "$filter": filters, "$expand": "createdTime"},
            f"the list of {resource_type} in subscription {subscription}",
            patience,
        )

    def subscriptions(self, patience: Patience) -> Iterator[Mapping[str, Any]]:
        """Yield the subscriptions of the credentials' tenant in which they have any role at all."""
        parameters = {"api-version": _SUBSCRIPTIONS_API}
        return self._entries("", "/subscriptions", parameters, "the list of subscriptions", patience)

    def _entries(
        self, subscription: str, path: str, parameters: Mapping[str, str], what: str, patience: Patience
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the entries of a list, page after page; none is kept."""
        from azure.core.rest import HttpRequest

        # send_request only fills in the endpoint of a relative address: "{endpoint}" is the client's own placeholder
        request = HttpRequest("GET", path, params=dict(parameters))
        seen: set[str] = set()
        while True:
            page = self._page(request, subscription, what, patience)
            entries = page.get("value")
            if not isinstance(entries, list):
                raise CloudTrouble(f"Azure's answer to {what} holds no list.")
            yield from (entry for entry in entries if isinstance(entry, Mapping))
            link = page.get("nextLink")
            if not link:
                return
            if not isinstance(link, str) or not self._own(link) or link in seen:
                raise CloudTrouble(f"Azure's answer to {what} continues at an address that leads nowhere.")
            seen.add(link)
            request = HttpRequest("GET", link)

    def _page(self, request: Any, subscription: str, what: str, patience: Patience) -> Mapping[str, Any]:
        def ask(limits: Mapping[str, Any]) -> Any:
            response = self._client(subscription).send_request(request, **limits)
            response.raise_for_status()
            return response.json()

        page = self._answer(what, patience, ask)
        if not isinstance(page, Mapping):
            raise CloudTrouble(f"Azure gave no readable answer to {what}.")
        return page

    def _own(self, link: str) -> bool:
        """Return whether a link leads to the host that it came from: the token goes nowhere else."""
        return _origin(link) == _origin(self._stand_in or _PUBLIC_ENDPOINT)

    def _answer(self, what: str, patience: Patience, ask: Callable[[Mapping[str, Any]], T]) -> T | None:
        """Return the answer of one read, None for a definite "there is none".

        ``ask`` is called with the time-outs of one request, again after a pause where that may help. Raises
        Forbidden (403), CredentialsTrouble (no token, 401) or CloudTrouble (anything else), never an error of the
        SDK, and never with Azure's own error text: that quotes the caller's identity. ConfigurationError names the
        variables of which the SDK can make nothing.
        """
        from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

        deadline = patience.begin()
        for attempt in count(1):
            remaining = deadline.remaining()
            if remaining < _LEAST_SECONDS:
                raise Unavailable(f"No time was left to ask Azure for {what}.")
            limits: dict[str, Any] = {
                "connection_timeout": min(_CONNECT_SECONDS, remaining),
                "read_timeout": min(_READ_SECONDS, remaining),
            }
            doubted = False
            try:
                return ask(limits)
            except ClientAuthenticationError as error:  # ARM's 401, or no token to send at all
                raise (_trouble(what, error) if error.status_code == 401 else _no_token(what, error)) from None
            except HttpResponseError as error:
                if _says_none(error):
                    return None
                trouble = _trouble(what, error)
                doubted = 400 <= (error.status_code or 0) < 500 and error.status_code not in (408, 409, 429)
            except AzureError as error:
                trouble = Unavailable(f"Azure did not answer to a question for {what} ({type(error).__name__}).")
            except ValueError:
                trouble = CloudTrouble(f"Azure gave no readable answer to a question for {what}.")
                doubted = True
            except OSError as error:  # what requests says, unwrapped, of a bundle of authorities that is not there
                require_authorities()
                trouble = Unavailable(f"Azure did not answer to a question for {what} ({type(error).__name__}).")
            wait = patience.pause(attempt, trouble.retry_after, doubted=doubted)
            if isinstance(trouble, CredentialsTrouble) or wait is None or not deadline.pause(wait):
                raise trouble
        raise AssertionError("unreachable: the last try returns or raises")

    def _client(self, subscription: str) -> ComputeManagementClient:
        with self._lock:
            client = self._clients.pop(subscription, None) or self._open(subscription)
            self._clients[subscription] = client  # as the last, being the one used last
            if len(self._clients) > _MOST_CLIENTS:
                self._clients.pop(next(iter(self._clients))).close()
            return client

    def _open(self, subscription: str) -> ComputeManagementClient:
        from azure.core.pipeline import policies
        from azure.mgmt.compute import ComputeManagementClient
        from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

        chain: list[Any] = [
            policies.RequestIdPolicy(),
            policies.UserAgentPolicy(base_user_agent="packer-publisher"),
            policies.ProxyPolicy(),
            policies.ContentDecodePolicy(),
        ]
        if self._stand_in:
            credential: Any = NOBODY
        else:
            credential = self._credential = self._credential or found_credential(self._environ)
            chain.append(ARMChallengeAuthenticationPolicy(credential, _SCOPE))
        client = ComputeManagementClient(
            credential,
            subscription or _NO_SUBSCRIPTION,
            base_url=self._stand_in or _PUBLIC_ENDPOINT,
            policies=chain,
            use_env_settings=not self._stand_in,  # a proxy never gets to see what is meant for loopback
        )
        # Else the first request opens the session, and a second thread may meet it half made, with a proxy and
        # retries of its own (azure-core, pipeline/transport/_requests_basic.py, RequestsTransport.open).
        return client.__enter__()


def _checked(resource: R) -> R:
    """Return a resource that has a location and properties, raise ValueError for anything else.

    The SDK's models take whatever JSON came and fail when a field is touched.
    """
    if isinstance(resource, Mapping):
        location, properties = resource.get("location"), resource.get("properties")
        if isinstance(location, str) and isinstance(properties, Mapping):
            return resource
    raise ValueError("no resource")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _says_none(error: HttpResponseError) -> bool:
    """Return whether Azure itself says that the resource, or what it lies in, does not exist.

    A 404 without one of ARM's codes is a proxy's or a wrong address; an unknown subscription is one that the
    identity may not see.
    """
    code = _code(error)
    return error.status_code == 404 and code.endswith("NotFound") and code != "SubscriptionNotFound"


def _trouble(what: str, error: HttpResponseError) -> Trouble:
    status, code = error.status_code, _code(error)
    said = " ".join(filter(None, (f"HTTP {status}", shown(code, 64))))
    if status == 403 or code in _NOT_SHOWN:
        return Forbidden(f"Azure refused to show {what} ({said}).", remedy=_ROLE)
    if status == 401:
        return CredentialsTrouble(f"Azure refused to show {what} ({said}).", remedy=_ROLE)
    if status == 429:
        after = _retry_after(error)
        return Unavailable(f"Azure throttles; it did not show {what} ({said}).", retry_after=after)
    return CloudTrouble(f"Azure did not show {what} ({said}).", retry_after=_retry_after(error))


def _no_token(what: str, error: Exception) -> CredentialsTrouble:
    return CredentialsTrouble(
        f"No token to ask Azure for {what} ({type(error).__name__}).",
        remedy="assign a managed identity to the function, or run `az login` on a laptop",
    )


def _code(error: HttpResponseError) -> str:
    """Return ARM's error code, "" where the body is not ARM's."""
    return str(getattr(error.error, "code", None) or "") if error.error is not None else ""


def _retry_after(error: HttpResponseError) -> float | None:
    headers: Mapping[str, str] = getattr(error.response, "headers", None) or {}
    try:
        return max(0.0, float(headers.get("Retry-After", "")))
    except ValueError:
        return None
