"""Who we are to HCP, as values: a service principal's key, where such a key lies, or a workload's own identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from packer_publisher.secret_reference import SecretReference

SUBJECT_SECONDS = 1.0
"""The time that a URL of a credential file has, asked once (hcp-sdk-go ``auth/workload/url.go``)."""


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """A service principal's key; ``origin`` says for messages where it came from."""

    client_id: str
    client_secret: str = field(repr=False)
    origin: str


@dataclass(frozen=True, slots=True)
class Pick:
    """How the credential is taken out of what a source holds: all of it, or a JSON pointer into it."""

    pointer: str = ""  # "" means the text itself is the credential


@dataclass(frozen=True, slots=True)
class FromURL:
    """The credential is the answer to a GET; the headers may be secret."""

    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    pick: Pick
    seconds: float = SUBJECT_SECONDS
    tries: int = 1
    direct: bool = False  # never through a proxy: only this very machine answers there


@dataclass(frozen=True, slots=True)
class FromFile:
    """The credential is in a file, which is read anew each time: such tokens are short-lived."""

    path: str
    pick: Pick


@dataclass(frozen=True, slots=True)
class FromVariable:
    """The credential is in an environment variable."""

    variable: str
    pick: Pick


@dataclass(frozen=True, slots=True)
class FromText:
    """The credential is written in the credential file itself."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FromAWS:
    """The credential is a signed GetCallerIdentity request of the AWS identity at hand."""


Source = FromURL | FromFile | FromVariable | FromText | FromAWS


@dataclass(frozen=True, slots=True)
class WorkloadIdentity:
    """A workload identity provider of HCP and the source of the credential that it accepts."""

    provider: str  # iam/project/<id>/service-principal/<name>/workload-identity-provider/<name>
    source: Source
    origin: str
    environ: Mapping[str, str] = field(repr=False, compare=False, default_factory=dict)
    remedy: str = "See that the function or machine has its identity, and that the credential file describes it."


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A service principal's key that lies in a secret store; ``client_id`` is "" where the secret holds it, too."""

    reference: SecretReference
    client_id: str
    origin: str


Credentials = ClientCredentials | StoredKey | WorkloadIdentity
