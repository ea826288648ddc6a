"""The ``HCP_*`` variables, with the meaning and the order that HashiCorp's own SDK gives them.

Source: hashicorp/hcp-sdk-go ``config/env.go``, ``config/hcp.go`` (validate), ``config/geography``,
``auth/cred_file.go``; ``HCP_PACKER_REGISTRY``: hashicorp/packer ``internal/hcp/env/env.go``. One deviation:
``HCP_AUTH_URL`` may be plain http where its host is this machine, because the local registry serves it there; the
SDK insists on https. ``HCP_PORTAL_URL``, ``HCP_SCADA_*`` and ``HCP_OAUTH_CLIENT_ID`` concern browsers and tunnels and
are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from packer_publisher.errors import ConfigurationError
from packer_publisher.registry.credentials import read_credentials
from packer_publisher.registry.principals import Credentials

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
"""The names of this machine: plain http is harmless there, and a proxy cannot reach it."""

GEOGRAPHIES: Mapping[str, tuple[str, str]] = {
    "us": ("api.cloud.hashicorp.com:443", "https://auth.idp.hashicorp.com"),
    "eu": ("api.cloud.eu.hashicorp.com", "https://auth.idp.eu.hashicorp.com"),
}
"""API address and auth base per geography (hcp-sdk-go ``config/geography/us.go`` and ``eu.go``)."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server: its base URL without a trailing slash, and whether its certificate is checked."""

    url: str
    checked: bool = True


@dataclass(frozen=True, slots=True)
class Environment:
    """Where HCP is, who we are, and which tenant is meant; organization and project are "" where unknown."""

    api: Endpoint
    auth: Endpoint
    credentials: Credentials
    organization_id: str = ""
    project_id: str = ""


def read_environment(environ: Mapping[str, str]) -> Environment:
    """Return the settings that the variables (and the credential file, where it is needed) describe.

    Raises ConfigurationError naming the variable, its value (never a secret) and what would be right.
    """
    address, auth_url = _geography(environ)
    if "HCP_AUTH_URL" in environ:
        auth_url = _auth_base(environ["HCP_AUTH_URL"])
    variable = "HCP_API_ADDRESS"
    if variable in environ:
        address = environ[variable]
    if "HCP_API_HOST" in environ:  # the older name is read last and wins, as in the SDK
        variable = "HCP_API_HOST"
        address = environ[variable]
        if address.lower().startswith("https://"):
            address = address[len("https://") :]
    _check_address(variable, address)
    api_tls = _tls(environ, "HCP_API_TLS")
    auth_tls = _tls(environ, "HCP_AUTH_TLS")
    organization_id, project_id = _tenant(environ)
    return Environment(
        api=Endpoint(url=f"{'http' if api_tls == 'disabled' else 'https'}://{address}", checked=api_tls != "insecure"),
        # The SDK accepts "disabled" here and goes on checking certificates: TLS of the auth server stays on.
        auth=Endpoint(url=auth_url, checked=auth_tls != "insecure"),
        credentials=read_credentials(environ),
        organization_id=organization_id,
        project_id=project_id,
    )


def _geography(environ: Mapping[str, str]) -> tuple[str, str]:
    geography = environ.get("HCP_GEOGRAPHY", "us")
    if geography not in GEOGRAPHIES:
        raise ConfigurationError(
            f"HCP_GEOGRAPHY is {geography!r}: HCP has the geographies 'us' and 'eu'.",
            remedy="Set HCP_GEOGRAPHY to us or eu, in lower case, or leave it unset for us.",
        )
    return GEOGRAPHIES[geography]


def _auth_base(value: str) -> str:
    """Return scheme and host of ``HCP_AUTH_URL``; the SDK replaces its path, so it is dropped."""
    parts = _split(value)
    host = "" if parts is None else parts.hostname or ""
    if parts is not None and parts.username is not None:  # never print what may be a password
        raise ConfigurationError(
            "HCP_AUTH_URL contains a user name or password: it takes a plain URL.",
            remedy="Set HCP_AUTH_URL to https://<host>; the client id and secret have variables of their own.",
        )
    if parts is None or not host or parts.scheme not in ("http", "https"):
        raise ConfigurationError(
            f"HCP_AUTH_URL is {value!r}: it takes an https URL with a host.",
            remedy="Set it to a URL such as https://auth.idp.hashicorp.com, or leave it unset.",
        )
    if parts.scheme == "http" and host not in LOOPBACK_HOSTS:
        raise ConfigurationError(
            f"HCP_AUTH_URL is {value!r}: a secret is sent there, so it must be https unless the host is this machine.",
            remedy="Set it to an https URL; plain http is for 127.0.0.1, ::1 and localhost only.",
        )
    return f"{parts.scheme}://{parts.netloc}"


def _check_address(variable: str, address: str) -> None:
    parts = _split(f"//{address}")
    if parts is not None and parts.username is not None:  # never print what may be a password
        raise ConfigurationError(
            f"{variable} contains a user name or password: it takes host or host:port.",
            remedy=f"Set {variable} to an address such as api.cloud.hashicorp.com:443.",
        )
    if parts is None or not parts.hostname or parts.netloc != address:
        raise ConfigurationError(
            f"{variable} is {address!r}: it takes host or host:port, without scheme and path.",
            remedy="Set it to an address such as api.cloud.hashicorp.com:443, or leave it unset.",
        )


def _split(url: str) -> SplitResult | None:
    """Return the parts of a URL, or None where it is none: bad brackets, a bad port, white space."""
    if any(character.isspace() or not character.isprintable() for character in url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port  # reading it is what checks it
    except ValueError:
        return None
    return None if port == 0 else parts


def _tls(environ: Mapping[str, str], variable: str) -> str:
    if variable not in environ:
        return ""
    setting = environ[variable]
    if setting not in ("insecure", "disabled"):
        raise ConfigurationError(
            f"{variable} is {setting!r}: it takes 'insecure' (no certificate check) or 'disabled' (plain http).",
            remedy=f"Set {variable} to one of the two, or unset it for checked TLS.",
        )
    return setting


def _tenant(environ: Mapping[str, str]) -> tuple[str, str]:
    organization_id = environ.get("HCP_ORGANIZATION_ID", "")
    project_id = environ.get("HCP_PROJECT_ID", "")
    both_set = "HCP_ORGANIZATION_ID" in environ and "HCP_PROJECT_ID" in environ
    if both_set and bool(organization_id) != bool(project_id):  # the SDK refuses exactly this
        empty, other = (
            ("HCP_ORGANIZATION_ID", "HCP_PROJECT_ID")
            if not organization_id
            else ("HCP_PROJECT_ID", "HCP_ORGANIZATION_ID")
        )
        raise ConfigurationError(
            f"{empty} is '' although {other} has a value: HashiCorp's SDK takes both or neither.",
            remedy=f"Give {empty} a value, or unset it: then it is found out.",
        )
    for variable, value in (("HCP_ORGANIZATION_ID", organization_id), ("HCP_PROJECT_ID", project_id)):
        if any(not (character.isalnum() or character in "-_") for character in value):
            raise ConfigurationError(
                f"{variable} is {value!r}: it takes the id, a UUID, not a name or a path.",
                remedy=f"Copy the id from the HCP portal's settings page into {variable}.",
            )
    return organization_id, project_id
