"""The identity that a cloud gives to its own functions, as a source of a workload identity: no secret, no file.

Lambda's role signs a request (``subject_token``). A managed identity of Azure gives a token at the address in
``IDENTITY_ENDPOINT``, or, on a virtual machine, at the instance metadata service; its user-assigned one is named by
``AZURE_CLIENT_ID`` (Microsoft's page "Managed identities for App Service and Azure Functions"; azure-identity
``_credentials/app_service.py`` and ``imds.py``). Google's metadata server gives an identity token of the service
account; ``GCE_METADATA_HOST`` moves it, as in google-auth (``compute_engine/_metadata.py``). Only HTTP is spoken here,
no cloud's SDK.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from packer_publisher.credential_settings import AUDIENCE, PROVIDER, Workload
from packer_publisher.errors import ConfigurationError
from packer_publisher.image import Platform
from packer_publisher.registry.principals import FromAWS, FromURL, Pick, WorkloadIdentity

SECONDS, TRIES = 4.0, 3
"""The time that one question may take, and how often it is put: a new instance's endpoint may still be starting."""

_AZURE_MACHINE = "http://169.254.169.254"
_GOOGLE = "metadata.google.internal"


def own_identity(workload: Workload, environ: Mapping[str, str]) -> WorkloadIdentity:
    """Return how this process shows its own identity to HCP; ConfigurationError where its cloud says it badly."""
    if workload.cloud is Platform.AWS:
        return WorkloadIdentity(
            workload.provider,
            FromAWS(),
            f"{PROVIDER} (the AWS role)",
            environ,
            "Run it with AWS credentials of a role, and AWS_REGION set, as Lambda does.",
        )
    if workload.cloud is Platform.AZURE:
        return WorkloadIdentity(
            workload.provider,
            _managed_identity(workload.audience, environ),
            f"{PROVIDER} (the managed identity of Azure)",
            environ,
            f"Assign the managed identity, name a user-assigned one by its client id in AZURE_CLIENT_ID, and see that "
            f"{AUDIENCE} names an application of the tenant.",
        )
    return WorkloadIdentity(
        workload.provider,
        _service_account(workload.audience, environ),
        f"{PROVIDER} (the service account of Google Cloud)",
        environ,
        "Run it with a service account, as infra/gcp does.",
    )


def _managed_identity(audience: str, environ: Mapping[str, str]) -> FromURL:
    query = {"resource": audience}
    if environ.get("AZURE_CLIENT_ID"):
        query["client_id"] = environ["AZURE_CLIENT_ID"]
    endpoint, header = environ.get("IDENTITY_ENDPOINT", ""), environ.get("IDENTITY_HEADER", "")
    if not endpoint:
        base = environ.get("AZURE_POD_IDENTITY_AUTHORITY_HOST", "").rstrip("/") or _AZURE_MACHINE
        url = f"{base}/metadata/identity/oauth2/token?{urlencode({'api-version': '2018-02-01', **query})}"
        return _ask(url, "AZURE_POD_IDENTITY_AUTHORITY_HOST", (("Metadata", "true"),), Pick("/access_token"))
    if not header:
        raise ConfigurationError(
            "IDENTITY_ENDPOINT is set, but IDENTITY_HEADER is not: Azure Functions sets both, or neither.",
            remedy="Assign a managed identity to the Function App, and set neither of the two yourself.",
        )
    url = f"{endpoint}?{urlencode({'api-version': '2019-08-01', **query})}"
    return _ask(url, "IDENTITY_ENDPOINT", (("X-IDENTITY-HEADER", header),), Pick("/access_token"))


def _service_account(audience: str, environ: Mapping[str, str]) -> FromURL:
    host = environ.get("GCE_METADATA_HOST", "") or _GOOGLE
    path = "/computeMetadata/v1/instance/service-accounts/default/identity"
    url = f"http://{host}{path}?{urlencode({'audience': audience, 'format': 'full'})}"
    return _ask(url, "GCE_METADATA_HOST", (("Metadata-Flavor", "Google"),), Pick())


def _ask(url: str, variable: str, headers: tuple[tuple[str, str], ...], pick: Pick) -> FromURL:
    if not url.startswith(("http://", "https://")) or any(c.isspace() or not c.isprintable() for c in url):
        raise ConfigurationError(
            f"{variable} is no http address of an identity's endpoint.",
            remedy=f"Leave {variable} to the cloud, which sets it.",
        )
    return FromURL(url, headers, pick, SECONDS, TRIES, direct=True)
