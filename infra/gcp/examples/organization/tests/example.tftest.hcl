# The module's own checks are asked by a plan only: `terraform validate` does not look at what an example gives it. The
# package is any file that is there.

mock_provider "google" {
  source = "../../tests"
}

variables {
  package = "main.tf"
}

run "it_can_be_applied" {
  command = apply

  assert {
    condition     = module.publisher.service_account.email == "packer-publisher@central-identities.iam.gserviceaccount.com"
    error_message = "The service account that was made beforehand is not used."
  }
  assert {
    condition     = module.publisher.sink_writer_identity == "serviceAccount:service-org-7@gcp-sa-logging.iam.gserviceaccount.com"
    error_message = "The sink is not the organization's."
  }
}
