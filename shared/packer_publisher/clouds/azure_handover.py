"""A deployed function's Storage queue, seen from outside: where a backfill hands its versions over.

One REST method (Queue service, Put Message) through azure-core; the library for queues would bring nothing else that
is needed. Needs the role Storage Queue Data Message Sender on the queue, of whoever runs the backfill. The text is
base64, which the host undoes where the function's host.json says ``"messageEncoding": "base64"``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from threading import Lock
from typing import TYPE_CHECKING, Any

from packer_publisher.clouds.azure_credentials import found_credential, require_authorities
from packer_publisher.errors import CloudTrouble, ConfigurationError, CredentialsTrouble, Forbidden
from packer_publisher.wording import shown

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.core.rest import HttpResponse

_SCOPE = "https://storage.azure.com/.default"
_API = "2021-12-02"  # any since 2017-11-09 takes tokens of Entra ID
_NAME = r"[a-z0-9](?:-?[a-z0-9]){2,62}"
_URL = re.compile(
    r"(?P<service>https://[a-z0-9]{3,24}\.(?:z[0-9]{2}\.)?queue\.core\.(?:windows\.net|usgovcloudapi\.net|chinacloudapi\.cn)"
    rf"|https?://(?:127\.0\.0\.1|localhost):[0-9]{{1,5}}(?:/[a-z0-9]{{3,24}})?)/(?P<queue>{_NAME})"
)
_LIMITS: Mapping[str, Any] = {"connection_timeout": 5.0, "read_timeout": 20.0}
_ROLE = "assign the role Storage Queue Data Message Sender on the queue to whoever runs this"


class DeployedQueue:
    """The queue of one function, by its URL; ConfigurationError for what is no URL of a queue.

    A stand-in at plain http on loopback is sent no token.
    """

    def __init__(self, url: str, environ: Mapping[str, str], credential: TokenCredential | None = None) -> None:
        found = _URL.fullmatch(url)
        if found is None:
            raise ConfigurationError(
                f"{shown(url)} is no URL of a Storage queue",
                remedy="write it as https://ACCOUNT.queue.core.windows.net/QUEUE",
            )
        self._url = url
        self._service = found["service"]
        self._environ = environ
        self._credential = credential
        self._client: Any = None
        self._lock = Lock()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None

    def put(self, messages: Sequence[str]) -> None:
        """Put messages on the queue, one per request.

        Raises CredentialsTrouble (Forbidden: no permission), ConfigurationError where there is no such queue, and
        CloudTrouble where the queue service does not take one.
        """
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        for text in messages:
            try:
                response = self._send(base64.b64encode(text.encode()).decode())
            except ClientAuthenticationError as error:
                raise CredentialsTrouble(
                    f"No token for the queue {self._url} ({type(error).__name__}).",
                    remedy="run `az login`, or give the credentials in the environment",
                ) from None
            except AzureError as error:
                raise CloudTrouble(f"{self._url} did not take a message ({type(error).__name__}).") from None
            except OSError as error:  # what requests says of a bundle of authorities that is not there
                require_authorities()
                raise CloudTrouble(f"{self._url} did not take a message ({type(error).__name__}).") from None
            _check(self._url, response)

    def _send(self, text: str) -> HttpResponse:
        from azure.core.rest import HttpRequest

        request = HttpRequest(
            "POST",
            f"{self._url}/messages",
            headers={
                "Content-Type": "application/xml",
                "x-ms-version": _API,
                "x-ms-date": formatdate(usegmt=True),
            },
            content=f"<QueueMessage><MessageText>{text}</MessageText></QueueMessage>",
        )
        with self._lock:
            self._client = self._client or self._open()
            client = self._client
        response: HttpResponse = client.send_request(request, **_LIMITS)
        return response

    def _open(self) -> Any:
        from azure.core import PipelineClient
        from azure.core.pipeline import policies

        chain: list[Any] = [
            policies.RequestIdPolicy(),
            policies.UserAgentPolicy(base_user_agent="packer-publisher"),
            policies.ProxyPolicy(),
        ]
        stand_in = self._service.startswith("http:")  # on loopback, or it would be no URL of a queue
        if not stand_in:
            credential = self._credential or found_credential(self._environ)
            chain.append(policies.BearerTokenCredentialPolicy(credential, _SCOPE))
        client: Any = PipelineClient(self._service, policies=chain, use_env_settings=not stand_in)
        return client.__enter__()  # see azure_arm: else the first requests of two threads may meet it half made


def _check(url: str, response: HttpResponse) -> None:
    """Raise what a status other than 201 means; the queue service names the reason in a header."""
    status, code = response.status_code, shown(response.headers.get("x-ms-error-code", ""), 64)
    if status == 201:
        return
    said = " ".join(filter(None, (f"HTTP {status}", code)))
    if status == 403:
        raise Forbidden(f"Azure denied access to the queue {url} ({said}).", remedy=_ROLE)
    if status == 401:
        raise CredentialsTrouble(f"Azure refused the credentials for the queue {url} ({said}).", remedy=_ROLE)
    if status == 404 and code in ("QueueNotFound", "ResourceNotFound"):
        raise ConfigurationError(f"There is no queue {url}.", remedy="the deployment's output names it")
    raise CloudTrouble(f"{url} did not take a message ({said}).")
