"""Google Secret Manager's REST API: the client secret of HCP, read through google-auth; its own library costs gRPC."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from packer_publisher.clouds.gcp_compute import loopback, require_authorities
from packer_publisher.deadline import Deadline
from packer_publisher.errors import CloudTrouble, CredentialsTrouble, Trouble
from packer_publisher.secret_reference import SecretManagerVersion

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

ENDPOINT_VARIABLE = "PUBLISHER_SECRET_MANAGER_ENDPOINT"
"""Where a stand-in is: plain http on loopback."""

_HOST = "https://secretmanager.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"  # the only one that Secret Manager takes
_LONGEST = 10.0
_LEAST_SECONDS = 0.5
_TRIES = 3
_PAUSE = 0.5


def read_google_secret(
    reference: SecretManagerVersion,
    environ: Mapping[str, str],
    deadline: Deadline,
    credentials: Credentials | None = None,
) -> str:
    """Return the text of a secret's version; raises as :class:`packer_publisher.protocols.ReadSecret`."""
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import RequestException

    stand_in = loopback(environ.get(ENDPOINT_VARIABLE, ""), ENDPOINT_VARIABLE)
    for tries in range(1, _TRIES + 1):
        if deadline.remaining() < _LEAST_SECONDS:
            raise CloudTrouble(f"No time was left to ask for the secret {reference}.")
        try:
            return _ask(reference, stand_in, credentials, min(_LONGEST, deadline.remaining()))
        except GoogleAuthError as error:
            if not getattr(error, "retryable", False):
                raise CredentialsTrouble(
                    f"No token to ask for the secret {reference} ({type(error).__name__}).",
                    remedy="Give the function a service account.",
                ) from None
            trouble: Trouble = CloudTrouble(f"No token to ask for the secret {reference} ({type(error).__name__}).")
        except CloudTrouble as error:
            trouble = error
        except RequestException as error:
            trouble = CloudTrouble(f"Secret Manager did not answer for {reference} ({type(error).__name__}).")
        except OSError as error:  # what requests says, unwrapped, of a bundle of authorities that is not there
            require_authorities()
            trouble = CloudTrouble(f"Secret Manager did not answer for {reference} ({type(error).__name__}).")
        if tries == _TRIES or not deadline.pause(max(_PAUSE * 2.0 ** (tries - 1), trouble.retry_after or 0.0)):
            raise trouble
    raise AssertionError("unreachable: the last try returns or raises")


def _ask(reference: SecretManagerVersion, stand_in: str, credentials: Credentials | None, seconds: float) -> str:
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    credentials = credentials or google.auth.default(scopes=[_SCOPE])[0]
    opened: Any = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]  # of google-auth
    with opened as session:
        session.trust_env = not stand_in  # a proxy never gets to see what is meant for loopback
        address = f"{stand_in or _HOST}/v1/{reference}:access"
        answer = session.get(address, timeout=seconds, max_allowed_time=seconds, allow_redirects=False)
        return _text(reference, answer)


def _text(reference: SecretManagerVersion, answer: Any) -> str:
    status = answer.status_code
    if status == 200:
        try:
            return base64.b64decode(answer.json()["payload"]["data"], validate=True).decode()
        except (ValueError, KeyError, TypeError, binascii.Error):  # UnicodeDecodeError is a ValueError, and tells it
            raise CloudTrouble(f"Secret Manager gave no readable answer to a question for {reference}.") from None
    if status in (401, 403):
        raise CredentialsTrouble(
            f"Secret Manager refuses the secret {reference} (HTTP {status}).",
            remedy="Grant roles/secretmanager.secretAccessor on it to the function's service account, and enable "
            "secretmanager.googleapis.com in its project.",
        )
    if status in (400, 404):  # 400 is a version that is disabled or destroyed
        raise CredentialsTrouble(
            f"There is no secret {reference} to read (HTTP {status}).",
            remedy="Check the name in PUBLISHER_CLIENT_SECRET, and that the version is enabled.",
        )
    raise CloudTrouble(
        f"Secret Manager did not give the secret {reference} (HTTP {status}).", retry_after=_after(answer)
    )


def _after(answer: Any) -> float | None:
    try:
        return max(0.0, float(answer.headers.get("Retry-After", "")))
    except ValueError:
        return None
