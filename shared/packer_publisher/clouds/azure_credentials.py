"""Who asks Azure Resource Manager, and where it is: credentials, a stand-in's address, certificate authorities."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from packer_publisher.errors import ConfigurationError
from packer_publisher.wording import listed, shown

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

ENDPOINT_VARIABLE = "PUBLISHER_ARM_ENDPOINT"
_CONNECT_SECONDS = 5.0
_CREDENTIALS = ("AZURE_AUTHORITY_HOST", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_TENANT_ID", "AZURE_TOKEN_CREDENTIALS")


def found_credential(environ: Mapping[str, str]) -> TokenCredential:
    """Return the credential; ConfigurationError where the SDK refuses to make one of what the environment says."""
    try:
        return _credential(environ)
    except (ValueError, OSError) as error:  # an address that is not https, an unknown word, a missing certificate
        named = listed([name for name in _CREDENTIALS if os.environ.get(name)]) or "the settings"
        raise ConfigurationError(
            f"No credential for Azure can be made of {named} ({type(error).__name__}).",
            remedy="correct it, or leave it unset",
        ) from None


def _credential(environ: Mapping[str, str]) -> TokenCredential:
    """Return the credential of the place this runs in; both kinds cost the same to import."""
    from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

    limits: dict[str, Any] = {"retry_total": 1, "connection_timeout": _CONNECT_SECONDS, "read_timeout": 10.0}
    if "IDENTITY_ENDPOINT" in environ:
        return ManagedIdentityCredential(client_id=environ.get("AZURE_CLIENT_ID") or None, **limits)
    return DefaultAzureCredential(**limits)


def require_authorities() -> None:
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


NOBODY = _Nobody()


def loopback(endpoint: str, variable: str = ENDPOINT_VARIABLE) -> str:
    """Return the address of a stand-in without a slash at its end, "" if none is set.

    Raises ConfigurationError for any other address than plain http on loopback: what is sent there stays here.
    """
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
            remedy=f"unset {variable} to talk to Azure itself",
        )
    return endpoint.rstrip("/")
