# The least that a subscription needs: federation set up by infra/hcp, everything else as it comes.

terraform {
  required_version = ">= 1.9"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.55, < 5.0"
    }
  }
}

provider "azurerm" {
  storage_use_azuread = true # the storage account has no keys

  features {
    storage {
      data_plane_available = false # nor is it asked for anything that its firewall may keep back
    }
  }
}

resource "azurerm_resource_group" "publisher" {
  name     = "packer-publisher"
  location = var.location
}

module "publisher" {
  source = "../.."

  resource_group_name  = azurerm_resource_group.publisher.name
  location             = azurerm_resource_group.publisher.location
  function_app_name    = var.function_app_name
  storage_account_name = var.storage_account_name
  package              = var.package

  hcp = {
    project_id        = var.hcp_project_id
    organization_id   = var.hcp_organization_id
    workload_provider = var.hcp_workload_provider
    workload_audience = var.hcp_workload_audience
  }

  publisher_config = "publisher.json" # beside the function: `make package CONFIG=publisher.yaml` puts it there
  settings = {
    PUBLISHER_EXPECTS = "azure"
  }
}

output "identity" {
  description = "The function's identity, for HCP's conditional access."
  value       = module.publisher.identity
}
