# The module's own checks are asked by a plan only: `terraform validate` does not look at what an example gives it.

mock_provider "azurerm" {
  source = "../../tests"
}

variables {
  function_app_name     = "contoso-packer-publisher"
  storage_account_name  = "contosopackerpublisher"
  hcp_project_id        = "11111111-1111-1111-1111-111111111111"
  hcp_organization_id   = "22222222-2222-2222-2222-222222222222"
  hcp_workload_provider = "iam/project/11111111-1111-1111-1111-111111111111/service-principal/packer-publisher/workload-identity-provider/azure-images"
  hcp_workload_audience = "api://packer-publisher"
}

run "it_can_be_applied" {
  command = apply

  assert {
    condition     = output.identity.principal_id == "44444444-4444-4444-4444-444444444444"
    error_message = "HCP's conditional access cannot be set up."
  }
}
