mock_provider "hcp" {
  mock_resource "hcp_service_principal" {
    defaults = {
      resource_id   = "packer-publisher-123456@11111111-1111-1111-1111-111111111111"
      resource_name = "iam/project/11111111-1111-1111-1111-111111111111/service-principal/packer-publisher"
    }
  }
}

variables {
  project_id = "11111111-1111-1111-1111-111111111111"
  aws        = { images = { account_id = "111122223333", role_name = "packer.publisher" } }
  azure = { images = {
    tenant_id    = "99999999-9999-9999-9999-999999999999"
    principal_id = "44444444-4444-4444-4444-444444444444"
    audience     = "api://packer-publisher"
  } }
  gcp = { images = { service_account_unique_id = "107517467455664443766" } }
}

run "three_clouds" {
  command = apply

  assert {
    condition     = hcp_iam_workload_identity_provider.aws["images"].conditional_access == "aws.arn matches `^arn:aws:sts::111122223333:assumed-role/packer\\.publisher/`"
    error_message = "Another role would be let in, or the function's own would not."
  }
  assert {
    condition     = hcp_iam_workload_identity_provider.azure["images"].oidc.issuer_uri == "https://sts.windows.net/99999999-9999-9999-9999-999999999999/" && hcp_iam_workload_identity_provider.azure["images"].conditional_access == "jwt_claims.oid == `44444444-4444-4444-4444-444444444444`"
    error_message = "Another identity of the tenant would be let in, or the function's own would not."
  }
  assert {
    condition     = hcp_iam_workload_identity_provider.gcp["images"].conditional_access == "jwt_claims.sub == `107517467455664443766`"
    error_message = "Another service account would be let in, or the function's own would not."
  }
  assert {
    condition     = hcp_project_iam_binding.publisher.role == "roles/contributor" && length(hcp_packer_bucket_iam_binding.publisher) == 0
    error_message = "The function may not write."
  }
  assert {
    condition     = sort(keys(output.workload_providers)) == tolist(["aws-images", "azure-images", "gcp-images"])
    error_message = "A deployment does not learn its provider's name."
  }
}

run "some_buckets_only" {
  command = apply

  variables {
    buckets = ["golden-ubuntu"]
  }

  assert {
    condition     = hcp_project_iam_binding.publisher.role == "roles/viewer" && hcp_packer_bucket_iam_binding.publisher["golden-ubuntu"].resource_name == "packer/project/11111111-1111-1111-1111-111111111111/bucket/golden-ubuntu" && hcp_packer_bucket_iam_binding.publisher["golden-ubuntu"].role == "roles/contributor"
    error_message = "It may write elsewhere, or not where it should."
  }
}

run "bad_values_are_refused" {
  command = plan

  variables {
    project_id = "my-project"
    name       = "p"
    buckets    = ["no_underscores"]
    aws        = { images = { account_id = "1111", role_name = "service-role/images" } }
    azure      = { images = { tenant_id = "contoso", principal_id = "x", audience = "api://x" } }
    gcp        = { images = { service_account_unique_id = "images@p.iam.gserviceaccount.com" } }
  }

  expect_failures = [var.project_id, var.name, var.buckets, var.aws, var.azure, var.gcp]
}

run "short_names_that_make_no_providers_name_are_refused" {
  command = plan

  variables {
    aws = { "our images" = { account_id = "111122223333" } }
    azure = { "our.images" = {
      tenant_id    = "99999999-9999-9999-9999-999999999999"
      principal_id = "44444444-4444-4444-4444-444444444444"
      audience     = "api://packer-publisher"
    } }
    gcp = { "" = { service_account_unique_id = "107517467455664443766" } }
  }

  expect_failures = [var.aws, var.azure, var.gcp]
}

run "an_audience_that_ends_the_expression_is_refused" {
  command = plan

  variables {
    azure = { images = {
      tenant_id    = "99999999-9999-9999-9999-999999999999"
      principal_id = "44444444-4444-4444-4444-444444444444"
      audience     = "https://example.com"
    } }
  }

  expect_failures = [var.azure]
}
