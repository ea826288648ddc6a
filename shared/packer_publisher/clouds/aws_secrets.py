"""Secrets Manager and Parameter Store: the client secret of HCP, read through boto3, which is imported then."""

from __future__ import annotations

from typing import Any

from packer_publisher.clouds.aws_calls import Clients, within
from packer_publisher.clouds.aws_errors import Denied
from packer_publisher.deadline import Deadline
from packer_publisher.errors import CredentialsTrouble
from packer_publisher.secret_reference import SecretsManagerSecret, SystemsManagerParameter

ABSENT = frozenset({"ResourceNotFoundException", "ParameterNotFound", "ParameterVersionNotFound"})
LOCKED = frozenset({"DecryptionFailure", "InvalidKeyId", "KMSAccessDeniedException", "AccessDeniedException.KMS"})
"""Codes by which a store has the secret and may not decrypt it for us."""


def read_aws_secret(
    reference: SecretsManagerSecret | SystemsManagerParameter, deadline: Deadline, clients: Clients | None = None
) -> str:
    """Return the text of a secret, in the region of its ARN.

    Raises as :class:`packer_publisher.protocols.ReadSecret`, never with what AWS said: it may quote the policy.
    """
    from botocore.exceptions import ClientError

    region, what = reference.region, f"the secret {reference}"
    service, action = _needed(reference)
    try:
        with within(deadline, region):
            client = (clients or Clients()).service(service, region, deadline)
            try:
                return _text(client, reference)
            except ClientError as error:
                code = error.response.get("Error", {}).get("Code", "")
                if code in ABSENT:
                    raise CredentialsTrouble(
                        f"AWS has no {what.removeprefix('the ')} ({code}).",
                        remedy="Check the ARN in PUBLISHER_CLIENT_SECRET, and that the secret is not being deleted.",
                    ) from None
                if code in LOCKED:
                    raise CredentialsTrouble(
                        f"AWS cannot decrypt {what} for this role ({code}).",
                        remedy="Allow kms:Decrypt on the secret's key in the function's role and in the key's policy.",
                    ) from None
                raise
    except Denied as denied:
        raise CredentialsTrouble(
            f"AWS denies this role {what} ({denied.code}).",
            remedy=f"Allow {action} on it in the function's role, and kms:Decrypt where it has a key of your own.",
        ) from None


def _needed(reference: SecretsManagerSecret | SystemsManagerParameter) -> tuple[str, str]:
    if isinstance(reference, SecretsManagerSecret):
        return "secretsmanager", "secretsmanager:GetSecretValue"
    return "ssm", "ssm:GetParameter"


def _text(client: Any, reference: SecretsManagerSecret | SystemsManagerParameter) -> str:
    if isinstance(reference, SystemsManagerParameter):
        # By its ARN, which the API takes as a name: from it alone nobody can tell the names "x" and "/x" apart.
        return str(client.get_parameter(Name=reference.arn, WithDecryption=True)["Parameter"]["Value"])
    answer = client.get_secret_value(SecretId=reference.arn)
    if "SecretString" in answer:
        return str(answer["SecretString"])
    try:
        return bytes(answer["SecretBinary"]).decode()
    except UnicodeDecodeError:
        raise CredentialsTrouble(
            f"The secret {reference} is binary, and no text.", remedy="Store it as text."
        ) from None
