"""What a workload shows to HCP to prove who it is: its own platform's token, or a signed AWS request.

Limits and shapes as hashicorp/hcp-sdk-go ``auth/workload`` has them: a URL of a credential file is asked once within
one second, at most 1 MiB is read, and AWS gets a GetCallerIdentity request that names the HCP provider in a signed
header. One deviation: the SDK signs for ``sts.REGION.amazonaws.com`` everywhere; here the host is that of the region's
partition, because China has no other (whether HCP takes it there is not known).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packer_publisher.deadline import Deadline
from packer_publisher.errors import CredentialsTrouble
from packer_publisher.registry.principals import (
    FromAWS,
    FromFile,
    FromText,
    FromURL,
    FromVariable,
    Pick,
    WorkloadIdentity,
)
from packer_publisher.registry.wire import Answer, Lost, Message, NotSent, Wire

if TYPE_CHECKING:
    from botocore.session import Session

SUBJECT_LIMIT = 1024 * 1024
_PAUSE = 0.3  # seconds, before an endpoint of a cloud's own is asked again; doubled in between
_AWS_SECONDS = 1
_PASSING = frozenset({404, 410, 429, 500, 502, 503, 504})
"""Statuses of an endpoint that may be still starting (Microsoft's page on the instance metadata service, "Errors")."""

_ENTRA_CODE = re.compile(rb"AADSTS\d{4,8}")


def exchange_body(identity: WorkloadIdentity, wire: Wire, deadline: Deadline) -> dict[str, Any]:
    """Return the body of the token exchange for a workload.

    Raises CredentialsTrouble when the workload's own credential cannot be had; it never shows that credential.
    """
    source = identity.source
    if isinstance(source, FromAWS):
        return {"aws_get_caller_id_token": _signed_identity_request(identity)}
    if isinstance(source, FromText):
        return {"jwt_token": source.token}
    if isinstance(source, FromVariable):
        value = identity.environ.get(source.variable, "")
        if not value:
            raise _missing(identity, f"the environment variable {source.variable} is not set or empty")
        return {"jwt_token": _picked(value.encode(), source.pick, identity)}
    if isinstance(source, FromFile):
        return {"jwt_token": _picked(_read(source, identity), source.pick, identity)}
    return {"jwt_token": _picked(_ask(source, identity, wire, deadline), source.pick, identity)}


def _read(source: FromFile, identity: WorkloadIdentity) -> bytes:
    try:
        with Path(source.path).open("rb") as file:
            content = file.read(SUBJECT_LIMIT).strip()
    except OSError as error:
        raise _missing(identity, f"the file {source.path!r} cannot be read ({error.strerror})") from error
    if not content:
        raise _missing(identity, f"the file {source.path!r} is empty")
    return content


def _ask(source: FromURL, identity: WorkloadIdentity, wire: Wire, deadline: Deadline) -> bytes:
    where = source.url.partition("?")[0]  # the query may name a client
    message = Message("GET", source.url, dict(source.headers), direct=source.direct)
    for tries in range(1, source.tries + 1):
        if deadline.remaining() <= 0:
            raise _missing(identity, f"no time was left to ask {where}")
        cause: Exception | None = None
        try:
            answer = wire.send(message, deadline, source.seconds)
        except (NotSent, Lost) as error:
            reason, cause = f"{where} did not answer ({error})", error
        else:
            if answer.ok and answer.content:
                return answer.content[:SUBJECT_LIMIT]
            if answer.ok:
                raise _missing(identity, f"{where} answered with an empty body")
            reason = f"{where} answered {answer.status}{_entra(answer)}"
            if answer.status not in _PASSING:
                raise _missing(identity, reason)
        if tries == source.tries or not deadline.pause(_PAUSE * 2.0 ** (tries - 1)):
            raise _missing(identity, reason) from cause
    raise AssertionError("unreachable: the last try returns or raises")


def _entra(answer: Answer) -> str:
    """Return Entra's code for a refusal, the one thing worth telling of a body that may hold a token."""
    found = _ENTRA_CODE.search(answer.content)
    return f" ({found[0].decode()})" if found else ""


def _picked(content: bytes, pick: Pick, identity: WorkloadIdentity) -> str:
    if not pick.pointer:
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            raise _missing(identity, "its credential is not UTF-8 text") from None  # the error carries the credential
    try:
        value: Any = json.loads(content)
    except ValueError:
        raise _missing(identity, "its credential is not JSON, as 'format_type' says") from None  # as above
    for step in pick.pointer.split("/")[1:]:  # RFC 6901
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isascii() and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            raise _missing(identity, f"there is nothing at {pick.pointer!r} ('subject_cred_pointer')")
    if not isinstance(value, str) or not value:
        raise _missing(identity, f"what is at {pick.pointer!r} ('subject_cred_pointer') is not a text")
    return value


def _signed_identity_request(identity: WorkloadIdentity) -> dict[str, Any]:
    """Return a signed GetCallerIdentity request that HCP sends on to AWS to learn who signed it."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session
    from botocore.utils import InstanceMetadataRegionFetcher

    session = Session()
    try:
        region = _region(identity.environ) or session.get_config_variable("region")
        region = region or InstanceMetadataRegionFetcher(timeout=_AWS_SECONDS).retrieve_region()
        credentials = session.get_credentials()
        frozen = credentials.get_frozen_credentials() if credentials is not None else None
    except BotoCoreError as error:
        raise _missing(identity, f"AWS credentials cannot be had ({error})") from error
    if frozen is None or not frozen.access_key:
        raise _missing(identity, "there are no AWS credentials here")
    if not region:
        raise _missing(identity, "the AWS region is not known; set AWS_REGION")
    host = f"sts.{region}.{_suffix(session, region)}"
    request = AWSRequest(
        method="POST",
        url=f"https://{host}?Action=GetCallerIdentity&Version=2011-06-15",
        # HCP requires its header among the signed ones: it binds the signature to this one provider.
        headers={"Host": host, "X-Hcp-Workload-Identity-Provider": identity.provider},
    )
    SigV4Auth(frozen, "sts", region).add_auth(request)
    return {"method": "POST", "url": request.url, "headers": dict(request.headers.items())}


def _suffix(session: Session, region: str) -> str:
    """Return the domain of a region's partition, as botocore's own data has it; its first partition is the public one.

    An unknown region is taken for one of the public partition, as botocore does.
    """
    partitions = session.get_component("data_loader").load_data("partitions")["partitions"]
    home = next((each for each in partitions if re.match(each["regionRegex"], region)), partitions[0])
    return str(home["outputs"]["dnsSuffix"])


def _region(environ: Mapping[str, str]) -> str:
    return environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or ""


def _missing(identity: WorkloadIdentity, reason: str) -> CredentialsTrouble:
    return CredentialsTrouble(
        f"The workload identity of the {identity.origin} has no credential to show: {reason}.",
        remedy=identity.remedy,
    )
