# HCP's side: one service principal that the functions of all accounts act as, and for each of them a provider that lets
# its identity in, and no other. No key is made, so there is none to leak.

provider "hcp" {
  project_id = var.project_id
}

resource "hcp_service_principal" "publisher" {
  name   = var.name
  parent = "project/${var.project_id}"
}

# Contributor is the least of HCP's roles that creates versions, builds and channels.
resource "hcp_project_iam_binding" "publisher" {
  project_id   = var.project_id
  principal_id = hcp_service_principal.publisher.resource_id
  # With buckets of its own it reads the others: what an image was built from may be registered there.
  role = length(var.buckets) == 0 ? "roles/contributor" : "roles/viewer"
}

resource "hcp_packer_bucket_iam_binding" "publisher" {
  for_each      = var.buckets
  resource_name = "packer/project/${var.project_id}/bucket/${each.value}"
  principal_id  = hcp_service_principal.publisher.resource_id
  role          = "roles/contributor"
}

# A Lambda function's identity is assumed-role/ROLE/SESSION. The slash ends the role's name: no other begins with it.
resource "hcp_iam_workload_identity_provider" "aws" {
  for_each          = var.aws
  name              = "aws-${each.key}"
  service_principal = hcp_service_principal.publisher.resource_name
  description       = "packer-publisher in AWS account ${each.value.account_id}"

  aws = {
    account_id = each.value.account_id
  }

  conditional_access = "aws.arn matches `^arn:${each.value.partition}:sts::${each.value.account_id}:assumed-role/${replace(replace(each.value.role_name, ".", "\\."), "+", "\\+")}/`"
}

# Tokens of managed identities are version 1: their issuer ends with a slash.
resource "hcp_iam_workload_identity_provider" "azure" {
  for_each          = var.azure
  name              = "azure-${each.key}"
  service_principal = hcp_service_principal.publisher.resource_name
  description       = "packer-publisher in Azure tenant ${each.value.tenant_id}"

  oidc = {
    issuer_uri        = "https://sts.windows.net/${each.value.tenant_id}/"
    allowed_audiences = [each.value.audience]
  }

  conditional_access = "jwt_claims.oid == `${each.value.principal_id}`"
}

# Without an audience the provider's own name is the one that is allowed, and the function asks for it.
resource "hcp_iam_workload_identity_provider" "gcp" {
  for_each          = var.gcp
  name              = "gcp-${each.key}"
  service_principal = hcp_service_principal.publisher.resource_name
  description       = "packer-publisher in Google Cloud"

  oidc = {
    issuer_uri        = "https://accounts.google.com"
    allowed_audiences = null
  }

  conditional_access = "jwt_claims.sub == `${each.value.service_account_unique_id}`"
}
