# The module's own checks are asked by a plan only: `terraform validate` does not look at what an example gives it.

mock_provider "azurerm" {
  source = "../../tests"
}

run "it_can_be_applied" {
  command = apply

  assert {
    condition     = module.publisher.identity.principal_id == "44444444-4444-4444-4444-444444444444"
    error_message = "The identity that was made beforehand is not used."
  }
}
