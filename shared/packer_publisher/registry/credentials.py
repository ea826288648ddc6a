"""Who we are to HCP: a service principal's key, or a workload identity that is exchanged for a token.

Order, as hashicorp/hcp-sdk-go has it (``config/tokensource.go``): ``HCP_CLIENT_ID`` and ``HCP_CLIENT_SECRET``, then
what was asked for explicitly (``PUBLISHER_CLIENT_SECRET`` or ``PUBLISHER_WORKLOAD_PROVIDER``), then the credential
file (``HCP_CRED_FILE``, else ``~/.config/hcp/cred_file.json``). The SDK's last resort, a browser, is not ours: nobody
sits in front of a function.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packer_publisher.credential_settings import SECRET, Workload, read_credential_settings
from packer_publisher.errors import ConfigurationError, CredentialsTrouble
from packer_publisher.registry.ambient import own_identity
from packer_publisher.registry.principals import (
    ClientCredentials,
    Credentials,
    FromAWS,
    FromFile,
    FromText,
    FromURL,
    FromVariable,
    Pick,
    Source,
    StoredKey,
    WorkloadIdentity,
)

SOURCES = ("aws", "url", "file", "env", "token")
"""The places a workload's own credential can come from, as the credential file names them."""


def read_credentials(environ: Mapping[str, str]) -> Credentials:
    """Return the credentials that the environment describes.

    Raises CredentialsTrouble when there are none, ConfigurationError when they are incomplete; it never shows a secret.
    """
    client_id, client_secret = environ.get("HCP_CLIENT_ID"), environ.get("HCP_CLIENT_SECRET")
    stored = client_id and environ.get(SECRET, "").strip()  # deployment tools may set HCP_CLIENT_SECRET to nothing
    if client_id and client_secret:
        return ClientCredentials(client_id, client_secret, "HCP_CLIENT_ID and HCP_CLIENT_SECRET")
    if client_id is not None and client_secret is not None and (client_id or client_secret) and not stored:
        empty = "HCP_CLIENT_SECRET" if client_id else "HCP_CLIENT_ID"  # the SDK refuses exactly this
        raise ConfigurationError(
            f"{empty} is empty: HCP_CLIENT_ID and HCP_CLIENT_SECRET belong together.",
            remedy="Set both to a service principal's key, or unset both and use a credential file.",
        )
    asked = read_credential_settings(environ)
    if isinstance(asked, Workload):
        return own_identity(asked, environ)
    if asked is not None:
        return StoredKey(asked, (client_id or "").strip(), f"{SECRET} ({asked})")
    path = _credential_file(environ)
    if path is not None and path.exists():
        return _read_file(path, environ)
    half = ""
    if client_id or client_secret:
        half = f" {'HCP_CLIENT_SECRET' if client_id else 'HCP_CLIENT_ID'} is not set, the other one is."
    if environ.get("HCP_CRED_FILE"):
        raise ConfigurationError(
            f"HCP_CRED_FILE is {str(path)!r}, but there is no such file.{half}",
            remedy="Point HCP_CRED_FILE at a credential file, or set HCP_CLIENT_ID and HCP_CLIENT_SECRET.",
        )
    raise CredentialsTrouble(
        f"There are no credentials for HCP.{half}",
        remedy="Set HCP_CLIENT_ID and HCP_CLIENT_SECRET to a service principal's key, or HCP_CRED_FILE to the path of "
        "a credential file; a function needs no secret with PUBLISHER_WORKLOAD_PROVIDER.",
    )


def _credential_file(environ: Mapping[str, str]) -> Path | None:
    if "HCP_CRED_FILE" in environ:  # set but empty names no file, and the default one is not read (auth/cred_file.go)
        return Path(environ["HCP_CRED_FILE"]) if environ["HCP_CRED_FILE"] else None
    home = environ.get("USERPROFILE" if os.name == "nt" else "HOME", "")
    return Path(home, ".config", "hcp", "cred_file.json") if home else None


def _read_file(path: Path, environ: Mapping[str, str]) -> Credentials:
    origin = f"credential file {str(path)!r}"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(
            f"The {origin} cannot be read: {reason}.", remedy="Make it a file that this program may read."
        ) from error
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        # "from None": the decoder's error carries the whole document, secrets included.
        raise ConfigurationError(
            f"The {origin} is not JSON (line {error.lineno}, column {error.colno}).",
            remedy="Write it anew, for example with: hcp iam workload-identity-providers create-cred-file",
        ) from None
    if not isinstance(document, dict):
        raise _wrong(origin, "it must be a JSON object")
    scheme = document.get("scheme")
    oauth, workload = document.get("oauth"), document.get("workload")
    if scheme not in ("service_principal_creds", "workload"):
        raise _wrong(origin, "'scheme' must be 'service_principal_creds' or 'workload'")
    if oauth is not None and workload is not None:
        raise _wrong(origin, "it holds both 'oauth' and 'workload', only one is allowed")
    if scheme == "service_principal_creds":
        if not isinstance(oauth, dict):
            raise _wrong(origin, "scheme 'service_principal_creds' needs the object 'oauth'")
        client_id, client_secret = _text(oauth, "client_id", origin), _text(oauth, "client_secret", origin)
        if not client_id or not client_secret:
            raise _wrong(origin, "'oauth' needs both 'client_id' and 'client_secret'")
        return ClientCredentials(client_id, client_secret, origin)
    if not isinstance(workload, dict):
        raise _wrong(origin, "scheme 'workload' needs the object 'workload'")
    return _workload(workload, origin, environ)


def _workload(workload: Mapping[str, Any], origin: str, environ: Mapping[str, str]) -> WorkloadIdentity:
    provider = _text(workload, "provider_resource_name", origin)
    if not provider:
        raise _wrong(origin, "'workload' needs 'provider_resource_name'")
    given = [name for name in SOURCES if workload.get(name) is not None]
    if len(given) != 1:
        what = f"it has {' and '.join(repr(name) for name in given)}" if given else "it has none"
        raise _wrong(origin, f"'workload' takes exactly one of {', '.join(repr(name) for name in SOURCES)}; {what}")
    details = workload[given[0]]
    if not isinstance(details, dict):
        raise _wrong(origin, f"'{given[0]}' must be an object")
    return WorkloadIdentity(provider, _source(given[0], details, origin), origin, environ)


def _source(name: str, details: Mapping[str, Any], origin: str) -> Source:
    if name == "aws":
        if importlib.util.find_spec("botocore") is None:
            raise ConfigurationError(
                f"The {origin} asks for an AWS identity, but botocore is not installed.",
                remedy="Install packer-publisher[aws], or use another source of the workload identity.",
            )
        return FromAWS()
    if name == "token":
        return FromText(_needed(details, "token", name, origin))
    if name == "env":
        return FromVariable(_needed(details, "var", name, origin), _pick(details, name, origin))
    if name == "file":
        return FromFile(_needed(details, "path", name, origin), _pick(details, name, origin))
    url = _needed(details, "url", name, origin)
    if not url.startswith(("http://", "https://")):
        raise _wrong(origin, "'url' needs an http or https URL in its 'url'")
    headers = details.get("headers") or {}
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise _wrong(origin, "'headers' of 'url' must be an object of texts")
    return FromURL(url, tuple(headers.items()), _pick(details, name, origin))


def _pick(details: Mapping[str, Any], name: str, origin: str) -> Pick:
    kind = _text(details, "format_type", origin) or "value"
    pointer = _text(details, "subject_cred_pointer", origin)
    if kind not in ("value", "json"):
        raise _wrong(origin, f"'format_type' of '{name}' must be 'value' or 'json', it is {kind!r}")
    if kind == "value" and pointer:
        raise _wrong(origin, f"'subject_cred_pointer' of '{name}' needs 'format_type' 'json'")
    if kind == "json" and not pointer.startswith("/"):
        raise _wrong(origin, f"'{name}' needs 'subject_cred_pointer', a JSON pointer such as '/access_token'")
    return Pick(pointer)


def _needed(details: Mapping[str, Any], key: str, name: str, origin: str) -> str:
    value = _text(details, key, origin)
    if not value:
        raise _wrong(origin, f"'{name}' needs '{key}'")
    return value


def _text(document: Mapping[str, Any], key: str, origin: str) -> str:
    value = document.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(origin, f"'{key}' must be a text")
    return value


def _wrong(origin: str, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"The {origin} is not usable: {what}.",
        remedy="Mend the file; HashiCorp documents it under 'HCP credential files' (hcp-sdk-go auth/cred_file.go).",
    )
