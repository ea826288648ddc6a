"""The secret stores of the clouds, opened when a secret is read: what the registry's client gets to know of clouds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from packer_publisher.deadline import Deadline
from packer_publisher.errors import ConfigurationError
from packer_publisher.secret_reference import (
    KeyVaultSecret,
    SecretManagerVersion,
    SecretReference,
    SecretsManagerSecret,
    SystemsManagerParameter,
)


@dataclass(frozen=True, slots=True)
class SecretStores:
    """Reads secrets, as :class:`packer_publisher.protocols.ReadSecret` says; imports the SDK of one cloud only."""

    environ: Mapping[str, str] = field(repr=False)

    def __call__(self, reference: SecretReference, deadline: Deadline, /) -> str:
        """Return the text of a secret; nothing stays open.

        Raises ConfigurationError, too, where the secret is in a cloud whose SDK is not here: a function has its own.
        """
        try:
            return self._read(reference, deadline)
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"PUBLISHER_CLIENT_SECRET names a secret that cannot be read here: {error.name} is not installed.",
                remedy="Keep the secret in a store of the function's own cloud.",
            ) from error

    def _read(self, reference: SecretReference, deadline: Deadline) -> str:
        match reference:
            case SecretsManagerSecret() | SystemsManagerParameter():
                from packer_publisher.clouds.aws_secrets import read_aws_secret

                return read_aws_secret(reference, deadline)
            case KeyVaultSecret():
                from packer_publisher.clouds.azure_secrets import read_azure_secret

                return read_azure_secret(reference, self.environ, deadline)
            case SecretManagerVersion():
                from packer_publisher.clouds.gcp_secrets import read_google_secret

                return read_google_secret(reference, self.environ, deadline)
