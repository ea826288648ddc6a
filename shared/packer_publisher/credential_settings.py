"""How a function comes by HCP's credentials without holding one: the variables of ours that say it, read and checked.

``PUBLISHER_WORKLOAD_PROVIDER`` names the workload identity provider of HCP that takes the function's own identity,
``PUBLISHER_WORKLOAD_AUDIENCE`` for whom the identity's token is made out, ``PUBLISHER_WORKLOAD_CLOUD`` whose identity
it is where the process cannot tell by its own environment. ``PUBLISHER_CLIENT_SECRET`` is where a client secret lies.
A key in ``HCP_CLIENT_ID`` and ``HCP_CLIENT_SECRET`` wins over all of them, as in HashiCorp's SDK
(hcp-sdk-go ``config/tokensource.go``), and they win over a credential file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from packer_publisher.errors import ConfigurationError
from packer_publisher.image import Platform
from packer_publisher.secret_reference import FORMS, SecretReference, parse_secret_reference
from packer_publisher.wording import shown

PROVIDER, AUDIENCE, CLOUD = "PUBLISHER_WORKLOAD_PROVIDER", "PUBLISHER_WORKLOAD_AUDIENCE", "PUBLISHER_WORKLOAD_CLOUD"
SECRET = "PUBLISHER_CLIENT_SECRET"  # noqa: S105 - the name of a variable that holds a reference
VARIABLES = (PROVIDER, AUDIENCE, CLOUD, SECRET)
"""The variables that are read here."""

_CLOUDS = {"aws": Platform.AWS, "azure": Platform.AZURE, "gcp": Platform.GCE, "gce": Platform.GCE}
_PROVIDER = re.compile(
    r"iam/project/[A-Za-z0-9-]+/service-principal/[A-Za-z0-9_-]+/workload-identity-provider/[A-Za-z0-9_-]+"
)
_TOLD_BY: Mapping[Platform, tuple[str, ...]] = {
    Platform.AWS: ("AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_RUNTIME_API"),
    Platform.AZURE: ("FUNCTIONS_WORKER_RUNTIME", "IDENTITY_ENDPOINT"),
    Platform.GCE: ("K_SERVICE",),
}
"""Variables that the clouds set in their functions: Lambda, App Service, Cloud Run."""

_NAMES = {Platform.AWS: "AWS", Platform.AZURE: "Azure", Platform.GCE: "Google Cloud"}


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload identity provider of HCP and the identity that is shown to it; ``audience`` is "" on AWS."""

    provider: str
    cloud: Platform
    audience: str = ""


def read_credential_settings(environ: Mapping[str, str]) -> Workload | SecretReference | None:
    """Return what the variables ask for, None where they are unset or empty, or where a key in ``HCP_*`` wins.

    Raises ConfigurationError that names the variable and never shows what may be a secret.
    """
    if environ.get("HCP_CLIENT_ID") and environ.get("HCP_CLIENT_SECRET"):
        return None
    given = {name: environ.get(name, "").strip() for name in VARIABLES}
    if given[SECRET] and given[PROVIDER]:
        raise ConfigurationError(
            f"{SECRET} and {PROVIDER} are both set, and only one of them can prove who this is.",
            remedy=f"Keep {PROVIDER}, which needs no secret, or {SECRET}; unset the other one.",
        )
    if given[SECRET]:
        return _reference(given[SECRET], environ)
    for name in (AUDIENCE, CLOUD):
        if given[name] and not given[PROVIDER]:
            raise ConfigurationError(
                f"{name} is set, but {PROVIDER} is not: it says nothing by itself.",
                remedy=f"Set {PROVIDER} to the resource name of HCP's workload identity provider, or unset {name}.",
            )
    return _workload(given, environ) if given[PROVIDER] else None


def _reference(text: str, environ: Mapping[str, str]) -> SecretReference:
    found = parse_secret_reference(text)
    if found is None:
        raise ConfigurationError(
            f"{SECRET} is no reference to a secret store (it is not shown: it may be the secret itself).",
            remedy=f"It takes {FORMS}; a secret itself belongs into such a store.",
        )
    own = next((cloud for cloud, (variable, *_) in _TOLD_BY.items() if environ.get(variable)), found.cloud)
    if own is not found.cloud:  # its archive holds no other cloud's SDK
        raise ConfigurationError(
            f"{SECRET} names a secret of {_NAMES[found.cloud]} ({found}), which a function of {_NAMES[own]} cannot "
            "read.",
            remedy="Keep the secret in a store of the function's own cloud.",
        )
    return found


def _workload(given: Mapping[str, str], environ: Mapping[str, str]) -> Workload:
    provider, audience = given[PROVIDER], given[AUDIENCE]
    if not _PROVIDER.fullmatch(provider):
        raise ConfigurationError(
            f"{PROVIDER} is '{shown(provider)}', which is no resource name of a workload identity provider.",
            remedy="It takes iam/project/PROJECT_ID/service-principal/NAME/workload-identity-provider/NAME, as "
            "`hcp iam workload-identity-providers list` prints it.",
        )
    cloud = _cloud(given[CLOUD], environ)
    if cloud is Platform.AWS:
        if audience:
            raise ConfigurationError(
                f"{AUDIENCE} is '{shown(audience)}', but a signature, which shows an AWS identity, has none.",
                remedy=f"Unset {AUDIENCE}.",
            )
        return Workload(provider, cloud)
    if cloud is Platform.AZURE and not audience:
        raise ConfigurationError(
            f"{AUDIENCE} is not set, and a managed identity of Azure gives tokens for a named application only.",
            remedy=f"Set {AUDIENCE} to the App ID URI (api://...) that is among the provider's allowed audiences.",
        )
    if any(letter.isspace() or not letter.isprintable() for letter in audience) or audience.endswith("/.default"):
        raise ConfigurationError(
            f"{AUDIENCE} is '{shown(audience)}', which is no audience.",
            remedy="It takes one word, such as api://packer-publisher, without white space and without /.default.",
        )
    return Workload(provider, cloud, audience or provider)


def _cloud(text: str, environ: Mapping[str, str]) -> Platform:
    if text:
        if text.lower() not in _CLOUDS:
            raise ConfigurationError(
                f"{CLOUD} is '{shown(text)}', which is no cloud.", remedy="It takes aws, azure or gcp."
            )
        return _CLOUDS[text.lower()]
    told = [cloud for cloud, names in _TOLD_BY.items() if any(environ.get(name) for name in names)]
    if len(told) != 1:
        raise ConfigurationError(
            f"{PROVIDER} is set, but this process runs in no function of a cloud whose identity could be shown.",
            remedy=f"Set {CLOUD} to aws, azure or gcp where a machine has such an identity; elsewhere unset {PROVIDER} "
            "and set HCP_CLIENT_ID and HCP_CLIENT_SECRET, or HCP_CRED_FILE.",
        )
    return told[0]
