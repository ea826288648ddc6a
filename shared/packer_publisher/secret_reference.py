"""The name of a secret in a store, as ``PUBLISHER_CLIENT_SECRET`` has it; never the secret itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from packer_publisher.image import Platform


@dataclass(frozen=True, slots=True)
class SecretsManagerSecret:
    """A secret of AWS Secrets Manager: ``arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME``."""

    cloud: ClassVar[Platform] = Platform.AWS
    arn: str
    region: str

    def __str__(self) -> str:
        return self.arn


@dataclass(frozen=True, slots=True)
class SystemsManagerParameter:
    """A parameter of AWS Systems Manager: ``arn:PARTITION:ssm:REGION:ACCOUNT:parameter/NAME``."""

    cloud: ClassVar[Platform] = Platform.AWS
    arn: str
    region: str

    def __str__(self) -> str:
        return self.arn


@dataclass(frozen=True, slots=True)
class KeyVaultSecret:
    """A secret of Azure Key Vault: ``https://NAME.vault.azure.net/secrets/NAME[/VERSION]``."""

    cloud: ClassVar[Platform] = Platform.AZURE
    vault: str  # https://NAME.vault.azure.net
    name: str
    version: str = ""  # "" is the newest one

    def __str__(self) -> str:
        return f"{self.vault}/secrets/{self.name}{f'/{self.version}' if self.version else ''}"


@dataclass(frozen=True, slots=True)
class SecretManagerVersion:
    """A version of a secret of Google Secret Manager: ``projects/P/secrets/S/versions/V``."""

    cloud: ClassVar[Platform] = Platform.GCE
    name: str

    def __str__(self) -> str:
        return self.name


SecretReference = SecretsManagerSecret | SystemsManagerParameter | KeyVaultSecret | SecretManagerVersion

FORMS = (
    "arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME, arn:PARTITION:ssm:REGION:ACCOUNT:parameter/NAME, "
    "https://VAULT.vault.azure.net/secrets/NAME or projects/PROJECT/secrets/NAME/versions/latest"
)
"""What a reference may look like, for messages."""

_ARN = re.compile(
    r"arn:aws[a-z-]*:(?:"
    r"secretsmanager:(?P<manager>[a-z]{2,}(?:-[a-z]+)+-\d+):\d{12}:secret:[\w/+=.@!-]+"
    r"|ssm:(?P<ssm>[a-z]{2,}(?:-[a-z]+)+-\d+):\d{12}:parameter/[\w.:/-]+)",
    re.ASCII,
)
# Of the public cloud, China and the US government: a token for a vault goes to no other host.
_VAULT = re.compile(
    r"(?P<vault>https://[a-z0-9][a-z0-9-]{1,22}[a-z0-9]\.vault\.(?:azure\.net|azure\.cn|usgovcloudapi\.net))"
    r"/secrets/(?P<name>[a-z0-9-]{1,127})(?:/(?P<version>[0-9a-f]{32}))?/?",
    re.ASCII | re.IGNORECASE,
)
_VERSION = re.compile(
    r"projects/[a-z0-9:.-]+/secrets/[\w-]{1,255}/versions/(?:latest|[1-9]\d*|[A-Za-z][\w-]*)", re.ASCII
)


def parse_secret_reference(text: str) -> SecretReference | None:
    """Return the reference that a text is, None for any other (never show that: it may be the secret)."""
    if found := _ARN.fullmatch(text):
        if found["manager"]:
            return SecretsManagerSecret(text, found["manager"])
        return SystemsManagerParameter(text, found["ssm"])
    if found := _VAULT.fullmatch(text):
        return KeyVaultSecret(found["vault"].lower(), found["name"], (found["version"] or "").lower())
    return SecretManagerVersion(text) if _VERSION.fullmatch(text) else None
