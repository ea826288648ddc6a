"""infra/hcp lets in the functions' own identities and nobody else's, and gives them no more than they need."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from packer_publisher.credential_settings import Workload, read_credential_settings
from tests.infra.hcl import Block, literal, members, read_module

ROOT = Path(__file__).parents[2]
HCP = read_module(ROOT / "infra" / "hcp")
PAGE = (ROOT / "docs" / "credentials.md").read_text("utf-8")
PRINCIPAL = "hcp_service_principal.publisher"


def provider(cloud: str) -> Block:
    """Return the workload identity provider of a cloud."""
    return HCP.one("resource", "hcp_iam_workload_identity_provider", cloud)


def condition(cloud: str, **known: str) -> str:
    """Return the condition of a cloud's provider; ``known`` stands for the members of its variable."""
    values = {f"each.value.{name}": value for name, value in known.items()}
    escaped = 'replace(replace(each.value.role_name, ".", "\\\\."), "+", "\\\\+")'
    values[escaped] = re.sub(r"([.+])", r"\\\1", known.get("role_name", ""))
    return str(literal(provider(cloud).attributes["conditional_access"], values))


@pytest.mark.parametrize(
    ("passes", "arn"),
    [
        (True, "arn:aws:sts::111122223333:assumed-role/packer.publisher+1/function"),
        (False, "arn:aws:sts::111122223333:assumed-role/packer-publisher+1/function"),
        (False, "arn:aws:sts::111122223333:assumed-role/packer.publisher+1-other/function"),
        (False, "arn:aws:sts::111122223333:assumed-role/other/packer.publisher+1/"),
        (False, "arn:aws:sts::444455556666:assumed-role/packer.publisher+1/function"),
        (False, "arn:aws-cn:sts::111122223333:assumed-role/packer.publisher+1/function"),
        (False, "arn:aws:iam::111122223333:user/arn:aws:sts::111122223333:assumed-role/packer.publisher+1/x"),
    ],
)
def test_of_an_aws_account_one_role_is_let_in(passes: bool, arn: str) -> None:
    """HCP sees the ARN of a session, and the expression anywhere in it, unless it says where it begins."""
    text = condition("aws", partition="aws", account_id="111122223333", role_name="packer.publisher+1")
    found = re.fullmatch(r"aws\.arn matches `([^`]+)`", text)
    assert found is not None
    assert passes == (re.search(found[1], arn) is not None)


def test_of_a_tenant_and_of_google_one_identity_is_let_in() -> None:
    """By the id that no other one ever gets, in the claims that the page names, too."""
    assert "jwt_claims.oid == `4444`" == condition("azure", principal_id="4444")
    assert "jwt_claims.sub == `1075`" == condition("gcp", service_account_unique_id="1075")
    for claim in ("oid", "sub"):
        assert f'--conditional-access "jwt_claims.{claim} == ' in PAGE


def test_tokens_are_made_out_for_what_the_function_asks_for() -> None:
    """On Azure what is configured on both sides; on Google the provider itself, which is HCP's default."""
    assert {"allowed_audiences": "[each.value.audience]"}.items() <= members(
        provider("azure").attributes["oidc"]
    ).items()
    assert {"allowed_audiences": "null"}.items() <= members(provider("gcp").attributes["oidc"]).items()
    assert {"account_id": "each.value.account_id"} == members(provider("aws").attributes["aws"])


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_the_names_of_providers_are_what_a_function_takes(cloud: str) -> None:
    """Known before HCP knows them, so that either side can be first."""
    assert f"{PRINCIPAL}.resource_name" == provider(cloud).attributes["service_principal"]
    name = literal(provider(cloud).attributes["name"], {"each.key": "images_1-x"})
    resource = f"iam/project/1111/service-principal/packer-publisher/workload-identity-provider/{name}"
    environ = {"PUBLISHER_WORKLOAD_PROVIDER": resource, "PUBLISHER_WORKLOAD_CLOUD": cloud}
    if cloud == "azure":
        environ["PUBLISHER_WORKLOAD_AUDIENCE"] = "api://packer-publisher"
    settings = read_credential_settings(environ)
    assert isinstance(settings, Workload)
    assert resource == settings.provider


def test_the_least_role_that_suffices() -> None:
    """Contributor where it writes, on the whole project only while no buckets are named."""
    project = HCP.one("resource", "hcp_project_iam_binding", "publisher").attributes
    assert 'length(var.buckets) == 0 ? "roles/contributor" : "roles/viewer"' == project["role"]
    bucket = HCP.one("resource", "hcp_packer_bucket_iam_binding", "publisher").attributes
    assert ("var.buckets", "roles/contributor") == (bucket["for_each"], literal(bucket["role"]))
    known = {"var.project_id": "1111", "each.value": "web"}
    assert "packer/project/1111/bucket/web" == literal(bucket["resource_name"], known)
    assert {f"{PRINCIPAL}.resource_id"} == {project["principal_id"], bucket["principal_id"]}
    principal = HCP.one("resource", "hcp_service_principal", "publisher").attributes
    assert "project/1111" == literal(principal["parent"], known), "HCP federates service principals of projects alone"


def test_no_key_is_made() -> None:
    """There is none to leak."""
    assert [] == [block.labels for block in HCP.all("resource") if "key" in block.labels[0]]
