"""Key Vault's REST API: the client secret of HCP, read with the managed identity (azure-identity, azure-core)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from packer_publisher.clouds.azure_credentials import found_credential, loopback, require_authorities
from packer_publisher.deadline import Deadline
from packer_publisher.errors import CloudTrouble, CredentialsTrouble, Trouble
from packer_publisher.secret_reference import KeyVaultSecret

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

ENDPOINT_VARIABLE = "PUBLISHER_VAULT_ENDPOINT"
"""Where a stand-in of every vault is: plain http on loopback."""

_API = "7.4"
_LONGEST = 10.0
_LEAST_SECONDS = 0.5
_TRIES = 3
_PAUSE = 0.5


def read_azure_secret(
    reference: KeyVaultSecret,
    environ: Mapping[str, str],
    deadline: Deadline,
    credential: TokenCredential | None = None,
) -> str:
    """Return the text of a secret.

    Raises as :class:`packer_publisher.protocols.ReadSecret`, and ConfigurationError where no credential can be made.
    """
    from azure.core.exceptions import AzureError, ClientAuthenticationError

    stand_in = loopback(environ.get(ENDPOINT_VARIABLE, ""), ENDPOINT_VARIABLE)
    credential = credential or found_credential(environ)
    for tries in range(1, _TRIES + 1):
        if deadline.remaining() < _LEAST_SECONDS:
            raise CloudTrouble(f"No time was left to ask for the secret {reference}.")
        try:
            return _ask(reference, stand_in, credential, min(_LONGEST, deadline.remaining()))
        except ClientAuthenticationError as error:  # no token to send at all
            raise CredentialsTrouble(
                f"No token to ask for the secret {reference} ({type(error).__name__}).",
                remedy="Assign a managed identity to the function, and name a user-assigned one in AZURE_CLIENT_ID.",
            ) from None
        except AzureError as error:
            trouble: Trouble = CloudTrouble(f"The vault of {reference} did not answer ({type(error).__name__}).")
        except CloudTrouble as error:
            trouble = error
        except OSError as error:  # what requests says, unwrapped, of a bundle of authorities that is not there
            require_authorities()
            trouble = CloudTrouble(f"The vault of {reference} did not answer ({type(error).__name__}).")
        if tries == _TRIES or not deadline.pause(max(_PAUSE * 2.0 ** (tries - 1), trouble.retry_after or 0.0)):
            raise trouble
    raise AssertionError("unreachable: the last try returns or raises")


def _ask(reference: KeyVaultSecret, stand_in: str, credential: TokenCredential, seconds: float) -> str:
    from azure.core import PipelineClient
    from azure.core.pipeline import policies
    from azure.core.rest import HttpRequest

    # The vault's own domain is what its tokens are for: vault.azure.net, vault.azure.cn, vault.usgovcloudapi.net.
    scope = f"https://{(urlsplit(reference.vault).hostname or '').partition('.')[2]}/.default"
    chain = [
        policies.RequestIdPolicy(),
        policies.UserAgentPolicy(base_user_agent="packer-publisher"),
        policies.ProxyPolicy(),
        policies.BearerTokenCredentialPolicy(credential, scope, enforce_https=not stand_in),
    ]
    base = stand_in or reference.vault
    path = f"/secrets/{reference.name}{f'/{reference.version}' if reference.version else ''}"
    opened: Any = PipelineClient(base, policies=chain, use_env_settings=not stand_in)
    with opened as client:
        request = HttpRequest("GET", f"{base}{path}", params={"api-version": _API})
        response = client.send_request(
            request, connection_timeout=min(5.0, seconds), read_timeout=seconds, enforce_https=not stand_in
        )
        return _text(reference, response)


def _text(reference: KeyVaultSecret, response: Any) -> str:
    status = response.status_code
    if status == 200:
        try:
            value = response.json()["value"]
        except (ValueError, KeyError, TypeError):
            value = None
        if isinstance(value, str):
            return value
        raise CloudTrouble(f"The vault gave no readable answer to a question for the secret {reference}.")
    if status in (401, 403):
        raise CredentialsTrouble(
            f"The vault refuses the secret {reference} (HTTP {status}).",
            remedy="Give the function's identity the role Key Vault Secrets User on it, let the vault's firewall admit "
            "the function, and see that the secret is enabled.",
        )
    if status == 404:
        raise CredentialsTrouble(
            f"There is no secret {reference} (HTTP 404).", remedy="Check the address in PUBLISHER_CLIENT_SECRET."
        )
    raise CloudTrouble(f"The vault did not give the secret {reference} (HTTP {status}).", retry_after=_after(response))


def _after(response: Any) -> float | None:
    try:
        return max(0.0, float(response.headers.get("Retry-After", "")))
    except ValueError:
        return None
