# One project that holds images and the function alike; federation set up by infra/hcp.

terraform {
  required_version = ">= 1.9"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.50, < 8.0"
    }
  }
}

provider "google" {
  project = var.project_id
}

module "publisher" {
  source = "../.."

  project_id = var.project_id
  region     = var.region
  package    = var.package

  hcp = {
    project_id        = var.hcp_project_id
    organization_id   = var.hcp_organization_id
    workload_provider = var.hcp_workload_provider
  }

  publisher_config = "publisher.json" # beside the function: `make package CONFIG=publisher.yaml` puts it there
  settings = {
    PUBLISHER_EXPECTS = "gce"
  }
}

output "service_account" {
  description = "The function's service account, for HCP's conditional access."
  value       = module.publisher.service_account
}
