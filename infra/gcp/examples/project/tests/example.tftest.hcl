# The module's own checks are asked by a plan only: `terraform validate` does not look at what an example gives it. The
# package is any file that is there.

mock_provider "google" {
  source = "../../tests"
}

variables {
  project_id            = "my-images"
  package               = "main.tf"
  hcp_project_id        = "11111111-1111-1111-1111-111111111111"
  hcp_organization_id   = "22222222-2222-2222-2222-222222222222"
  hcp_workload_provider = "iam/project/11111111-1111-1111-1111-111111111111/service-principal/packer-publisher/workload-identity-provider/gcp-images"
}

run "it_can_be_applied" {
  command = apply

  assert {
    condition     = output.service_account.unique_id == "107517467455664443766"
    error_message = "HCP's conditional access cannot be set up."
  }
}
