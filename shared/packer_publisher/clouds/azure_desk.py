"""Questions to Azure about a deployment: REST through azure-core, and refusals that become findings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from packer_publisher.clouds.azure_credentials import ENDPOINT_VARIABLE, found_credential, loopback
from packer_publisher.deadline import Deadline
from packer_publisher.errors import CloudTrouble, ConfigurationError, CredentialsTrouble, Forbidden, PublisherError
from packer_publisher.finding import Finding, Trouble, unknown, wrong
from packer_publisher.wording import shown

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

ARM = "management.azure.com"
SCOPES = {
    ARM: "https://management.azure.com/.default",
    "api.applicationinsights.io": "https://api.applicationinsights.io/.default",
}
STORAGE = "https://storage.azure.com/.default"
_SECONDS = 15.0


class Desk:
    """Azure's management API and its neighbours, asked with a person's credentials.

    With a stand-in in ``PUBLISHER_ARM_ENDPOINT`` every host is a path of it, and no token is sent.
    """

    def __init__(self, environ: Mapping[str, str], deadline: Deadline) -> None:
        self._environ = environ
        self._stand_in = loopback(environ.get(ENDPOINT_VARIABLE, ""))
        self._deadline = deadline
        self._credential: TokenCredential | None = None

    def get(self, path: str, version: str, **query: str) -> Mapping[str, Any] | None:
        """Return a resource or a list, None where Azure says that there is none; raises Trouble."""
        return self.ask("GET", ARM, path, params={"api-version": version, **query})

    def entries(self, path: str, version: str, **query: str) -> Iterator[Mapping[str, Any]]:
        """Yield the entries of a list, page after page; nothing where Azure knows no such list."""
        page = self.get(path, version, **query)
        while page is not None:
            yield from page.get("value", ())
            link = str(page.get("nextLink") or "")
            if not link:
                return
            if not link.startswith(f"{self._base(ARM)}/"):
                raise CloudTrouble("A list of Azure goes on at another host.")
            page = self.ask("GET", ARM, link.removeprefix(self._base(ARM)))

    def ask(
        self, method: str, host: str, path: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Mapping[str, Any] | None:
        """Return the JSON object of an answer ({} where it has none), None for 404; raises Trouble."""
        from azure.core import PipelineClient
        from azure.core.exceptions import AzureError, ClientAuthenticationError
        from azure.core.pipeline import policies
        from azure.core.rest import HttpRequest

        seconds = min(_SECONDS, self._deadline.remaining())
        if seconds < 1:
            raise CloudTrouble(f"No time was left to ask {host}.", remedy="give it longer with --timeout")
        chain: list[Any] = [policies.UserAgentPolicy(base_user_agent="packer-publisher"), policies.ProxyPolicy()]
        if not self._stand_in:
            self._credential = self._credential or found_credential(self._environ)
            chain.append(policies.BearerTokenCredentialPolicy(self._credential, SCOPES.get(host, STORAGE)))
        base = self._base(host)
        opened: Any = PipelineClient(base, policies=chain, use_env_settings=not self._stand_in)
        try:
            with opened as client:
                request = HttpRequest(method, f"{base}{path}", headers=dict(headers or {}), **more)
                response = client.send_request(request, connection_timeout=5.0, read_timeout=seconds)
                document = _document(response.read()) if host in SCOPES else {}  # a queue answers in XML
        except ClientAuthenticationError as error:
            raise CredentialsTrouble(
                f"There are no usable credentials for Azure ({type(error).__name__}).", remedy="run `az login`"
            ) from None
        except AzureError as error:
            raise CloudTrouble(f"{host} gave no usable answer ({type(error).__name__}).") from None
        status = response.status_code
        if status == 404:
            return None
        if status in (401, 403):
            kind = Forbidden if status == 403 else CredentialsTrouble
            raise kind(
                f"{host} refuses it (HTTP {status}{_code(document)}).", remedy="run `az login`, or ask for the role"
            )
        if not 200 <= status < 300:
            raise CloudTrouble(f"{host} answered HTTP {status}{_code(document)}.")
        if not isinstance(document, Mapping):  # a proxy's page, most likely: nothing of it is taken for an empty list
            raise CloudTrouble(f"{host} gave no usable answer (HTTP {status}).")
        return document

    def _base(self, host: str) -> str:
        return f"{self._stand_in}/{host}" if self._stand_in else f"https://{host}"


def looked_at(about: str, permission: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield what a look finds; what Azure refuses or does not answer is unknown, with what would allow it."""
    try:
        yield from look()
    except Forbidden as denied:
        yield unknown(about, str(denied), f"run the doctor with {permission}", Trouble.CREDENTIALS)
    except CredentialsTrouble as trouble:
        yield wrong(about, str(trouble), trouble.remedy, Trouble.CREDENTIALS)
    except ConfigurationError:
        raise
    except PublisherError as trouble:
        yield unknown(about, str(trouble), trouble.remedy or "run the doctor again")


def _document(body: bytes) -> Any:
    """Return what an answer says, {} where it says nothing, None where that is no JSON."""
    try:
        return json.loads(body) if body else {}
    except ValueError:
        return None


def _code(document: Any) -> str:
    """Return Azure's one word for a refusal: its sentences name the caller."""
    error = document.get("error") if isinstance(document, Mapping) else None
    code = error.get("code") if isinstance(error, Mapping) else None
    return f", {shown(code, 64)}" if isinstance(code, str) else ""
