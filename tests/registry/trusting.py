"""A local registry that trusts the identities of three clouds, and the stand-ins of where these are had."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from packer_publisher.deadline import Deadline
from packer_publisher.local.aws_signatures import AccessKey, Identity, SecurityTokenService
from packer_publisher.local.identity_sources import APPLICATION, IdentitySources, identity_sources
from packer_publisher.local.registry_ledger import Caller, system_clock
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.local.registry_tokens import Tokens
from packer_publisher.local.workload_trust import AWSProvider, OIDCProvider, WorkloadTrust
from packer_publisher.registry import HCPPacker
from tests.switches import setting

_NAMED = "iam/project/22222222-2222-4222-8222-222222222222/service-principal/publisher/workload-identity-provider/{}"
AWS, OTHER_AWS, LOOSE_AWS, AZURE, GOOGLE = (
    _NAMED.format(name) for name in ("aws", "other", "loose", "azure", "google")
)
ACCOUNT = "111122223333"
ROLE = f"arn:aws:sts::{ACCOUNT}:assumed-role/packer-publisher/packer-publisher"
KEY = AccessKey(
    "ASIAMADEUP", "made-up-aws-secret", Identity(ACCOUNT, ROLE, "AROAX:packer-publisher"), "made-up-session"
)
FOREIGN = AccessKey(
    "ASIAFOREIGN",
    "made-up-foreign-secret",
    Identity("444455556666", ROLE.replace(ACCOUNT, "444455556666"), "AROAY:packer-publisher"),
    "made-up-foreign-session",
)
"""A role of the same name in somebody else's account."""


@dataclass
class Shift:
    """A clock that is off by as much as a test says."""

    by: timedelta = timedelta()

    def __call__(self) -> datetime:
        return system_clock() + self.by


@dataclass
class Trusting:
    """The registry, the sources, and the clocks of both."""

    registry: LocalRegistry
    sources: IdentitySources
    clock: Shift = field(default_factory=Shift)

    @property
    def caller(self) -> str:
        """Return whom the registry took the last one to ask for."""
        return self.registry.requests.all()[-1].caller

    def environ(self, provider: str, **more: str) -> dict[str, str]:
        """Return the variables of a deployment that federates, without those that its cloud sets."""
        environ = self.registry.environment()
        del environ["HCP_CLIENT_ID"], environ["HCP_CLIENT_SECRET"]
        return {**environ, "PUBLISHER_WORKLOAD_PROVIDER": provider, **more}

    def azure(self, **more: str) -> dict[str, str]:
        """Return the variables of an Azure Function."""
        audience = {"PUBLISHER_WORKLOAD_AUDIENCE": APPLICATION}
        return self.environ(
            AZURE, **{**audience, "FUNCTIONS_WORKER_RUNTIME": "python", **self.sources.app_service()} | more
        )

    def google(self, **more: str) -> dict[str, str]:
        """Return the variables of a Cloud Run function."""
        return self.environ(GOOGLE, **self.sources.cloud_run() | more)

    def aws(self, **more: str) -> dict[str, str]:
        """Return the variables of a Lambda, without its credentials, which botocore reads from the process."""
        return self.environ(AWS, **{"AWS_LAMBDA_FUNCTION_NAME": "packer-publisher", "AWS_REGION": "eu-west-1"} | more)


@contextmanager
def trusting(domain: str = "amazonaws.com") -> Iterator[Trusting]:
    """Serve it all; ``domain`` is that of the AWS partition that HCP's AWS provider is for."""
    shift = Shift()
    with identity_sources() as sources:
        trust = WorkloadTrust(
            {
                AWS: AWSProvider(
                    ACCOUNT,
                    f"aws.arn matches `^arn:aws:sts::{ACCOUNT}:assumed-role/packer-publisher/`",
                    Caller("from-aws"),
                ),
                OTHER_AWS: AWSProvider(ACCOUNT, f'aws.account_id == "{ACCOUNT}"', Caller("from-other")),
                LOOSE_AWS: AWSProvider(
                    ACCOUNT, "aws.arn matches `:assumed-role/packer-publisher/`", Caller("from-loose")
                ),
                AZURE: OIDCProvider(
                    sources.azure.url,
                    f'jwt_claims.oid == "{sources.identity.object_id}"',
                    (APPLICATION,),
                    Caller("from-azure"),
                ),
                GOOGLE: OIDCProvider(
                    sources.google.url, f'jwt_claims.sub == "{sources.account.unique_id}"', (), Caller("from-google")
                ),
            },
            SecurityTokenService((KEY, FOREIGN), domain),
            shift,
        )
        model = RegistryModel(seed=1, switches=setting())
        with local_registry(model, tokens=Tokens(model.clock, verifier=trust)) as registry:
            yield Trusting(registry, sources, shift)


def ask(environ: dict[str, str], seconds: float = 20) -> None:
    """Let a client of this environment ask for a bucket; its pauses take no time."""
    with HCPPacker.from_environment(environ) as hcp:
        hcp.get_bucket("web", Deadline.after(seconds, sleep=lambda _: None))
