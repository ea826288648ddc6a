"""AWS's errors in our words: whose fault they are, and what the person or the next try can do about them.

botocore is imported with the first call, because most events are not ours and need none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from packer_publisher.errors import CloudTrouble, CredentialsTrouble, Forbidden
from packer_publisher.wording import shown

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

NOT_FOUND = frozenset({"InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"})

"""Codes that say: no such image. ``Unavailable`` is a deregistered one (Amazon EC2 API reference, error codes)."""

DENIALS = frozenset({"UnauthorizedOperation", "AuthFailure", "OptInRequired", "AccessDenied", "AccessDeniedException"})

"""Codes by which one region is closed to us while others are open: IAM, a service control policy, not opted in.

A region that is not enabled answers AuthFailure, because it does not know the account's credentials.
"""

_CREDENTIALS = frozenset(
    {
        "Blocked",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "InvalidToken",
        "MissingAuthenticationToken",
        "PendingVerification",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)

_THROTTLES = ("RequestLimitExceeded", "Throttl", "SlowDown", "TooManyRequests")

_PERMISSIONS = "allow ec2:DescribeImages and ec2:DescribeRegions in the function's role"

_MEND = "renew the AWS credentials of this function or command, and check the clock"


class Denied(Exception):
    """One region refuses this account or role; ``code`` is AWS's word for it. Never leaves ``clouds``."""

    def __init__(self, region: str, code: str) -> None:
        super().__init__(f"{region} denies access ({code})")
        self.region = region
        self.code = code

    def as_trouble(self) -> Forbidden:
        """Return the same where no other region can stand in for it."""
        return Forbidden(f"AWS region {self.region} denied access ({self.code})", remedy=_PERMISSIONS)


class Absent(Exception):
    """EC2 says that there is no such image. Never leaves ``clouds``."""


class Unsupported(CloudTrouble):
    """An operation that this endpoint does not have; ``code`` is AWS's word for it."""

    def __init__(self, region: str, code: str) -> None:
        super().__init__(
            f"AWS region {shown(region)} does not support the call ({shown(code)})",
            remedy="check that AWS_ENDPOINT_URL, where it is set, is an endpoint of EC2",
        )
        self.code = code


class Busy(CloudTrouble):
    """AWS throttles, fails or is silent: the next try may succeed.

    ``doubted`` is what hardly passes by itself, such as a name that DNS does not know.
    """

    def __init__(
        self, message: str, *, remedy: str = "", retry_after: float | None = None, doubted: bool = False
    ) -> None:
        super().__init__(message, remedy=remedy, retry_after=retry_after)
        self.doubted = doubted


@contextmanager
def translated(region: str) -> Iterator[None]:
    """Turn botocore's errors into ours.

    Raises CredentialsTrouble (expired, invalid or missing credentials), CloudTrouble (anything unexpected;
    :class:`Busy` and :class:`Unsupported` are), and for the caller to judge :class:`Denied` and :class:`Absent`.
    """
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectTimeoutError,
        CredentialRetrievalError,
        EndpointConnectionError,
        HTTPClientError,
        NoCredentialsError,
        PartialCredentialsError,
        ProfileNotFound,
        ProxyConnectionError,
        SSOError,
        TokenRetrievalError,
    )
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        raise _translate(region, error) from error
    except (
        CredentialRetrievalError,
        NoCredentialsError,
        PartialCredentialsError,
        ProfileNotFound,
        SSOError,
        TokenRetrievalError,
    ) as error:
        name = type(error).__name__
        raise CredentialsTrouble(f"AWS credentials were not found or not usable ({name})", remedy=_MEND) from error
    except EndpointConnectionError as error:
        raise Busy(
            f"AWS region {shown(region)} could not be reached",
            remedy="check the region's name, DNS and the way out",
            doubted=True,
        ) from error
    except ProxyConnectionError as error:
        raise Busy(
            f"AWS region {shown(region)} could not be reached through the proxy",
            remedy="check HTTPS_PROXY",
            doubted=True,
        ) from error
    except (BotoCoreError, ResponseParserError) as error:
        # The texts of these errors may hold a URL or a header; the type says enough and is safe to log.
        raise Busy(
            f"AWS region {shown(region)} did not answer usefully ({type(error).__name__})",
            doubted=not isinstance(error, ConnectTimeoutError | HTTPClientError),
        ) from error


def _translate(region: str, error: ClientError) -> Exception:
    where = f"AWS region {shown(region)}"
    code = error.response.get("Error", {}).get("Code", "")
    about: Mapping[str, Any] = error.response.get("ResponseMetadata", {})
    if code in NOT_FOUND:
        return Absent(code)
    if code in DENIALS:
        return Denied(region, code)
    if code in _CREDENTIALS:
        return CredentialsTrouble(f"{where} refused the credentials ({code})", remedy=_MEND)
    if code in ("InvalidAction", "UnknownOperation", "UnsupportedOperation"):
        return Unsupported(region, code)
    after = _seconds(about.get("HTTPHeaders", {}).get("retry-after", ""))
    if any(word in code for word in _THROTTLES):
        tries = f", {about['RetryAttempts'] + 1} tries" if about.get("RetryAttempts") else ""
        remedy = "nothing to do, it is tried again"
        return Busy(f"{where} throttles ({code}){tries}", remedy=remedy, retry_after=after)
    text = f"{where} answered {shown(code or type(error).__name__)}"
    return Busy(text, retry_after=after) if about.get("HTTPStatusCode", 0) >= 500 else CloudTrouble(text)


def _seconds(text: str) -> float | None:
    try:
        return max(0.0, float(text))
    except ValueError:
        return None
