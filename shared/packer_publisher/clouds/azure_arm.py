"""Azure Resource Manager: the only module that imports Azure's SDK, and only once a call is made.

Everything here reads. The SDK's own pipeline is not used as it comes: its retry policy obeys a Retry-After however
long it is, its redirect policy follows other hosts, and ``ARMAutoResourceProviderRegistrationPolicy`` answers a 409
by registering a resource provider in the subscription, which would be a write (azure-core ``RetryPolicyBase``,
azure-mgmt-core ``policies/_base.py``). So the policies are listed one by one, and retries are counted here, within
the invocation's deadline.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

from packer_publisher.clouds.azure_ids import GalleryVersionId, ManagedImageId
from packer_publisher.errors import CloudTrouble, ConfigurationError, CredentialsTrouble, Trouble
from packer_publisher.wording import listed, shown

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.core.exceptions import HttpResponseError
    from azure.mgmt.compute import ComputeManagementClient
    from azure.mgmt.compute.models import GalleryImage, GalleryImageVersion, Image

    from packer_publisher.deadline import Deadline

T = TypeVar("T")
R = TypeVar("R", bound="Mapping[str, Any]")

ENDPOINT_VARIABLE = "PUBLISHER_ARM_ENDPOINT"
_PUBLIC_ENDPOINT = "https://management.azure.com"
_SCOPE = "https://management.azure.com/.default"
_RESOURCES_API = "2021-04-01"
_TRIES = 3  # a read may be repeated without harm; the platform repeats the whole event later
_PAUSE = 1.0  # seconds before the second try, doubled for each further one
_LONGEST_PAUSE = 10.0  # a longer Retry-After is the platform's business, not this invocation's
_CONNECT_SECONDS = 5.0
_READ_SECONDS = 20.0
LEAST_SECONDS = 0.5  # with less time left nothing is begun
_CREDENTIALS = ("AZURE_AUTHORITY_HOST", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_TENANT_ID", "AZURE_TOKEN_CREDENTIALS")
_ROLE = "give the function's identity the role that infra/azure defines (read images, galleries and resources)"


class Arm:
    """A reader of Azure Resource Manager, shared by all calls of a process.

    ``credential`` None means: the managed identity inside Azure (the platform sets ``IDENTITY_ENDPOINT``), else
    whatever ``DefaultAzureCredential`` finds. ``environ`` may name a stand-in in ``PUBLISHER_ARM_ENDPOINT``: plain
    http on loopback, which no token is ever sent to; ConfigurationError for any other address.
    """

    def __init__(self, credential: TokenCredential | None, environ: Mapping[str, str]) -> None:
        self._credential = credential
        self._environ = environ
        self._stand_in = _loopback(environ.get(ENDPOINT_VARIABLE, ""))
        self._clients: dict[str, ComputeManagementClient] = {}

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        while self._clients:
            self._clients.popitem()[1].close()

    def managed_image(self, image: ManagedImageId, deadline: Deadline) -> Image | None:
        """Return a managed image, None when Azure says that there is none; Trouble as :meth:`_answer`."""
        return self._answer(
            image.spelled,
            deadline,
            lambda limits: _checked(self._client(image.subscription).images.get(image.group, image.name, **limits)),
        )

    def gallery_version(self, image: GalleryVersionId, deadline: Deadline) -> GalleryImageVersion | None:
        """Return a gallery image version with its replication status (which is left out unless asked for)."""
        return self._answer(
            image.spelled,
            deadline,
            lambda limits: _checked(
                self._client(image.subscription).gallery_image_versions.get(
                    image.group, image.gallery, image.definition, image.version, expand="ReplicationStatus", **limits
                )
            ),
        )

    def image_definition(self, image: GalleryVersionId, deadline: Deadline) -> GalleryImage | None:
        """Return the image definition that a gallery image version belongs to."""
        return self._answer(
            f"the image definition of {image.spelled}",
            deadline,
            lambda limits: _checked(
                self._client(image.subscription).gallery_images.get(
                    image.group, image.gallery, image.definition, **limits
                )
            ),
        )

    def resources(
        self, subscription: str, resource_type: str, deadline: Deadline, *, group: str = "", name: str = ""
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the subscription's resources of one type (in one group, of one name) with tags and ``createdTime``.

        Filtered by type, not by ``tagName``: Azure leaves tags and expanded properties out of what a tag filter
        finds (Microsoft's page of ``Resources - List``), and without createdTime every tagged image that ever was
        would have to be fetched. An entry may lack either field all the same.
        """
        from azure.core.rest import HttpRequest

        within = f"/resourceGroups/{quote(group, safe='')}" if group else ""
        filters = f"resourceType eq '{resource_type}'" + (f" and name eq '{name}'" if name else "")
        path = f"/subscriptions/{subscription}{within}/resources"
        what = f"the list of {resource_type} in subscription {subscription}"
        # send_request only fills in the endpoint of a relative address: "{endpoint}" is the client's own placeholder
        request = HttpRequest(
            "GET",
            path,
            params={"api-version": _RESOURCES_API, "$filter": filters, "$expand": "createdTime"},
        )
        seen: set[str] = set()
        while True:
            page = self._page(request, subscription, what, deadline)
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

    def _page(self, request: Any, subscription: str, what: str, deadline: Deadline) -> Mapping[str, Any]:
        def ask(limits: Mapping[str, Any]) -> Any:
            response = self._client(subscription).send_request(request, **limits)
            response.raise_for_status()
            return response.json()

        page = self._answer(what, deadline, ask)
        if not isinstance(page, Mapping):
            raise CloudTrouble(f"Azure gave no readable answer to {what}.")
        return page

    def _own(self, link: str) -> bool:
        """Return whether a link leads to the host that it came from: the token goes nowhere else."""
        return _origin(link) == _origin(self._stand_in or _PUBLIC_ENDPOINT)

    def _answer(self, what: str, deadline: Deadline, ask: Callable[[Mapping[str, Any]], T]) -> T | None:
        """Return the answer of one read, None for a definite "there is none".

        ``ask`` is called with the time-outs of one request, again after a pause where that may help. Raises
        CredentialsTrouble (no token, 401, 403) or CloudTrouble (anything else), never an error of the SDK, and never
        with Azure's own error text: that quotes the caller's identity. ConfigurationError names the variables of
        which the SDK can make nothing.
        """
        from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

        for attempt in range(1, _TRIES + 1):
            remaining = deadline.remaining()
            if remaining < LEAST_SECONDS:
                raise CloudTrouble(f"No time was left to ask Azure for {what}.")
            limits: dict[str, Any] = {
                "connection_timeout": min(_CONNECT_SECONDS, remaining),
                "read_timeout": min(_READ_SECONDS, remaining),
            }
            try:
                return ask(limits)
            except ClientAuthenticationError as error:  # ARM's 401, or no token to send at all
                raise (_trouble(what, error) if error.status_code == 401 else _no_token(what, error)) from None
            except HttpResponseError as error:
                if _says_none(error):
                    return None
                trouble = _trouble(what, error)
            except AzureError as error:
                trouble = CloudTrouble(f"Azure did not answer to a question for {what} ({type(error).__name__}).")
            except ValueError:
                trouble = CloudTrouble(f"Azure gave no readable answer to a question for {what}.")
            except OSError as error:  # what requests says, unwrapped, of a bundle of authorities that is not there
                _require_authorities()
                trouble = CloudTrouble(f"Azure did not answer to a question for {what} ({type(error).__name__}).")
            wait = trouble.retry_after if trouble.retry_after is not None else _PAUSE * 2 ** (attempt - 1)
            if attempt == _TRIES or isinstance(trouble, CredentialsTrouble) or wait > _LONGEST_PAUSE:
                break
            if not deadline.pause(wait):
                break
        raise trouble

    def _client(self, subscription: str) -> ComputeManagementClient:
        if subscription not in self._clients:
            self._clients[subscription] = self._open(subscription)
        return self._clients[subscription]

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
            credential: Any = _NOBODY
        else:
            credential = self._credential = self._credential or _found_credential(self._environ)
            chain.append(ARMChallengeAuthenticationPolicy(credential, _SCOPE))
        return ComputeManagementClient(
            credential,
            subscription,
            base_url=self._stand_in or _PUBLIC_ENDPOINT,
            policies=chain,
            use_env_settings=not self._stand_in,  # a proxy never gets to see what is meant for loopback
        )


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
    if status in (401, 403) or code == "SubscriptionNotFound":
        return CredentialsTrouble(f"Azure refused to show {what} ({said}).", remedy=_ROLE)
    if status == 429:
        after = _retry_after(error)
        return CloudTrouble(f"Azure throttles; it did not show {what} ({said}).", retry_after=after)
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


def _credential(environ: Mapping[str, str]) -> TokenCredential:
    """Return the credential of the place this runs in; both kinds cost the same to import."""
    from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

    limits: dict[str, Any] = {"retry_total": 1, "connection_timeout": _CONNECT_SECONDS, "read_timeout": 10.0}
    if "IDENTITY_ENDPOINT" in environ:
        return ManagedIdentityCredential(client_id=environ.get("AZURE_CLIENT_ID") or None, **limits)
    return DefaultAzureCredential(**limits)


def _found_credential(environ: Mapping[str, str]) -> TokenCredential:
    """Return the credential; ConfigurationError where the SDK refuses to make one of what the environment says."""
    try:
        return _credential(environ)
    except (ValueError, OSError) as error:  # an address that is not https, an unknown word, a missing certificate
        named = listed([name for name in _CREDENTIALS if os.environ.get(name)]) or "the settings"
        raise ConfigurationError(
            f"No credential for Azure can be made of {named} ({type(error).__name__}).",
            remedy="correct it, or leave it unset",
        ) from None


def _require_authorities() -> None:
    """Raise ConfigurationError where a variable that requests obeys names a bundle that is not there."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if os.environ.get(name) and not os.path.exists(os.environ[name]):
            raise ConfigurationError(
                f"{name} names a bundle of certificate authorities that is not there.",
                remedy="name a file in PEM format, or leave it unset",
            )


class _Nobody:
    """The credential of the stand-in: the SDK insists on one, and it is never asked."""

    def get_token(self, *scopes: str, **options: Any) -> Any:  # noqa: ARG002 - the protocol of azure-core
        raise ConfigurationError(f"A token for {scopes} was asked for although {ENDPOINT_VARIABLE} names a stand-in.")


_NOBODY = _Nobody()


def _loopback(endpoint: str) -> str:
    """Return the stand-in's address without a slash at its end, "" if none is set."""
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
            f"{ENDPOINT_VARIABLE}={shown(endpoint)} is no stand-in: it must be http on loopback, "
            "such as http://127.0.0.1:8080.",
            remedy=f"unset {ENDPOINT_VARIABLE} to talk to Azure itself",
        )
    return endpoint.rstrip("/")
