"""What the variables about credentials may say, and what is said where they say something else."""

from __future__ import annotations

import pytest

from packer_publisher.credential_settings import Workload, read_credential_settings
from packer_publisher.errors import ConfigurationError
from packer_publisher.image import Platform
from packer_publisher.secret_reference import (
    KeyVaultSecret,
    SecretManagerVersion,
    SecretsManagerSecret,
    SystemsManagerParameter,
    parse_secret_reference,
)

PROVIDER = "iam/project/22222222-2222-4222-8222-222222222222/service-principal/publisher/workload-identity-provider/aws"
FEDERATION = {"PUBLISHER_WORKLOAD_PROVIDER": PROVIDER}
AUDIENCE = {"PUBLISHER_WORKLOAD_AUDIENCE": "api://packer-publisher"}
LAMBDA = {"AWS_LAMBDA_FUNCTION_NAME": "publisher"}
FUNCTIONS = {"FUNCTIONS_WORKER_RUNTIME": "python"}
CLOUD_RUN = {"K_SERVICE": "publisher"}
STORED = {"PUBLISHER_CLIENT_SECRET": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hcp-AbCdEf"}


def refused(environ: dict[str, str]) -> tuple[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        read_credential_settings(environ)
    return str(caught.value), caught.value.remedy


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"PUBLISHER_WORKLOAD_PROVIDER": " ", "PUBLISHER_CLIENT_SECRET": ""}, None),
        ({**FEDERATION, **LAMBDA}, Workload(PROVIDER, Platform.AWS)),
        ({**FEDERATION, **FUNCTIONS, **AUDIENCE}, Workload(PROVIDER, Platform.AZURE, "api://packer-publisher")),
        ({**FEDERATION, **CLOUD_RUN}, Workload(PROVIDER, Platform.GCE, PROVIDER)),
        ({**FEDERATION, **CLOUD_RUN, **AUDIENCE}, Workload(PROVIDER, Platform.GCE, "api://packer-publisher")),
        ({**FEDERATION, "PUBLISHER_WORKLOAD_CLOUD": "GCP"}, Workload(PROVIDER, Platform.GCE, PROVIDER)),
        ({**FEDERATION, **LAMBDA, "PUBLISHER_WORKLOAD_CLOUD": "gcp"}, Workload(PROVIDER, Platform.GCE, PROVIDER)),
    ],
)
def test_what_is_asked_for(environ: dict[str, str], expected: object) -> None:
    """The cloud is the one whose function this is, unless it is named; Google's audience is the provider itself."""
    assert expected == read_credential_settings(environ)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"PUBLISHER_WORKLOAD_PROVIDER": "packer-publisher", **LAMBDA},
            "PUBLISHER_WORKLOAD_PROVIDER is 'packer-publisher', which is no resource name of a workload identity "
            "provider.",
        ),
        (
            {"PUBLISHER_WORKLOAD_PROVIDER": PROVIDER.replace("project", "organization", 1), **LAMBDA},
            f"PUBLISHER_WORKLOAD_PROVIDER is '{PROVIDER.replace('project', 'organization', 1)}', which is no resource "
            "name of a workload identity provider.",
        ),
        (
            {**FEDERATION, **FUNCTIONS},
            "PUBLISHER_WORKLOAD_AUDIENCE is not set, and a managed identity of Azure gives tokens for a named "
            "application only.",
        ),
        (
            {**FEDERATION, **LAMBDA, **AUDIENCE},
            "PUBLISHER_WORKLOAD_AUDIENCE is 'api://packer-publisher', but a signature, which shows an AWS "
            "identity, has none.",
        ),
        (
            {**FEDERATION, **FUNCTIONS, "PUBLISHER_WORKLOAD_AUDIENCE": "api://packer-publisher/.default"},
            "PUBLISHER_WORKLOAD_AUDIENCE is 'api://packer-publisher/.default', which is no audience.",
        ),
        (
            {**FEDERATION, **CLOUD_RUN, "PUBLISHER_WORKLOAD_AUDIENCE": "a b"},
            "PUBLISHER_WORKLOAD_AUDIENCE is 'a b', which is no audience.",
        ),
        (AUDIENCE, "PUBLISHER_WORKLOAD_AUDIENCE is set, but PUBLISHER_WORKLOAD_PROVIDER is not: it says nothing by "
         "itself."),
        (
            FEDERATION,
            "PUBLISHER_WORKLOAD_PROVIDER is set, but this process runs in no function of a cloud whose identity could "
            "be shown.",
        ),
        ({**FEDERATION, "PUBLISHER_WORKLOAD_CLOUD": "ibm"}, "PUBLISHER_WORKLOAD_CLOUD is 'ibm', which is no cloud."),
        (
            {**FEDERATION, **LAMBDA, **STORED},
            "PUBLISHER_CLIENT_SECRET and PUBLISHER_WORKLOAD_PROVIDER are both set, and only one of them can prove who "
            "this is.",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(environ: dict[str, str], message: str) -> None:
    """Each refusal names the variable, and says what to do."""
    text, remedy = refused(environ)
    assert message == text
    assert remedy.endswith(".")


KEPT = {
    Platform.AWS: (STORED["PUBLISHER_CLIENT_SECRET"], "arn:aws:ssm:eu-west-1:111122223333:parameter/hcp"),
    Platform.AZURE: ("https://team.vault.azure.net/secrets/hcp",),
    Platform.GCE: ("projects/p/secrets/hcp/versions/latest",),
}
NAMES = {Platform.AWS: "AWS", Platform.AZURE: "Azure", Platform.GCE: "Google Cloud"}


@pytest.mark.parametrize(
    ("own", "function"), [(Platform.AWS, LAMBDA), (Platform.AZURE, FUNCTIONS), (Platform.GCE, CLOUD_RUN)]
)
def test_a_function_reads_the_stores_of_its_own_cloud(own: Platform, function: dict[str, str]) -> None:
    """No archive holds another cloud's SDK, so it is said before the first image; elsewhere any store may be named."""
    for cloud, references in KEPT.items():
        for reference in references:
            stored = {"PUBLISHER_CLIENT_SECRET": reference}
            assert str(read_credential_settings(stored)) == reference
            if cloud is own:
                assert str(read_credential_settings({**stored, **function})) == reference
                continue
            assert refused({**stored, **function}) == (
                f"PUBLISHER_CLIENT_SECRET names a secret of {NAMES[cloud]} ({reference}), which a function of "
                f"{NAMES[own]} cannot read.",
                "Keep the secret in a store of the function's own cloud.",
            )


def test_a_key_of_hcps_own_wins() -> None:
    """With HCP_CLIENT_ID and HCP_CLIENT_SECRET nothing else is looked at, as in HashiCorp's SDK."""
    key = {"HCP_CLIENT_ID": "made-up", "HCP_CLIENT_SECRET": "made-up-secret"}
    assert None is read_credential_settings({**key, **FEDERATION})
    assert None is read_credential_settings({**key, **STORED})
    assert read_credential_settings({**key, "HCP_CLIENT_SECRET": "", **STORED}) is not None


def test_a_secret_in_place_of_its_reference_is_not_shown() -> None:
    """Who puts the secret itself into the variable is told so, without it."""
    text, remedy = refused({"PUBLISHER_CLIENT_SECRET": "made-up-secret"})
    assert (
        "PUBLISHER_CLIENT_SECRET is no reference to a secret store (it is not shown: it may be the secret itself)."
        == text
    )
    assert "made-up-secret" not in remedy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:team/hcp-AbCdEf",
            SecretsManagerSecret("arn:aws:secretsmanager:eu-west-1:111122223333:secret:team/hcp-AbCdEf", "eu-west-1"),
        ),
        (
            "arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:hcp",
            SecretsManagerSecret(
                "arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:hcp", "us-gov-west-1"
            ),
        ),
        (
            "arn:aws-cn:ssm:cn-north-1:111122223333:parameter/team/hcp",
            SystemsManagerParameter("arn:aws-cn:ssm:cn-north-1:111122223333:parameter/team/hcp", "cn-north-1"),
        ),
        (
            "https://Team-Vault.vault.azure.net/secrets/hcp",
            KeyVaultSecret("https://team-vault.vault.azure.net", "hcp"),
        ),
        (
            "https://team.vault.azure.cn/secrets/hcp/0123456789abcdef0123456789abcdef",
            KeyVaultSecret("https://team.vault.azure.cn", "hcp", "0123456789abcdef0123456789abcdef"),
        ),
        ("projects/p-1/secrets/hcp/versions/latest", SecretManagerVersion("projects/p-1/secrets/hcp/versions/latest")),
        ("projects/123/secrets/hcp/versions/7", SecretManagerVersion("projects/123/secrets/hcp/versions/7")),
        ("projects/p/secrets/hcp", None),
        ("http://team.vault.azure.net/secrets/hcp", None),
        ("https://team.vault.azure.net.evil.example/secrets/hcp", None),
        ("https://evil.example/team.vault.azure.net/secrets/hcp", None),
        ("https://team.vault.azure.net:8443/secrets/hcp", None),
        ("https://team.vault.azure.net/keys/hcp", None),
        ("arn:aws:secretsmanager:eu-west-1:111122223333:secret:", None),
        ("arn:aws:s3:::bucket/hcp", None),
        ("arn:aws:ssm:eu-west-1:111122223333:parameter/a/../b?x", None),
        ("projects/p/secrets/hcp/versions/latest/../../x", None),
        ("", None),
    ],
)
def test_references(text: str, expected: object) -> None:
    """A reference is told from everything else by its form; a vault's token goes to no host but Microsoft's."""
    assert expected == parse_secret_reference(text)
