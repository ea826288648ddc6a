# Everything that a security review may ask for: an identity made beforehand, a virtual network with private endpoints,
# a proxy with a private certificate authority, a customer-managed key, an existing workspace and system topic, a client
# secret in Key Vault in place of federation.

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

module "publisher" {
  source = "../.."

  resource_group_name  = "rg-images"
  location             = "westeurope"
  function_app_name    = "contoso-packer-publisher"
  storage_account_name = "contosopackerpublisher"
  storage_replication  = "GZRS"

  hcp = {
    project_id              = "11111111-1111-1111-1111-111111111111"
    organization_id         = "22222222-2222-2222-2222-222222222222"
    client_id               = "made-up-client-id"
    client_secret_reference = "https://contoso.vault.azure.net/secrets/hcp-packer-publisher"
  }
  key_vault_secret_scope = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-security/providers/Microsoft.KeyVault/vaults/contoso/secrets/hcp-packer-publisher"

  publisher_config = "publisher.json" # a file in the package

  identity = {
    id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-security/providers/Microsoft.ManagedIdentity/userAssignedIdentities/packer-publisher"
    client_id    = "33333333-3333-3333-3333-333333333333"
    principal_id = "44444444-4444-4444-4444-444444444444"
  }
  image_scopes = [
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-images",
  ]

  existing_system_topic = {
    name                = "subscription-events"
    resource_group_name = "rg-platform"
  }

  subnet_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/spoke/subnets/functions"
  private_endpoints = {
    subnet_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/spoke/subnets/endpoints"
    dns_zones = {
      blob  = ["/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-network/providers/Microsoft.Network/privateDnsZones/privatelink.blob.core.windows.net"]
      queue = ["/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-network/providers/Microsoft.Network/privateDnsZones/privatelink.queue.core.windows.net"]
      table = ["/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-network/providers/Microsoft.Network/privateDnsZones/privatelink.table.core.windows.net"]
    }
  }
  allowed_ip_ranges = ["203.0.113.0/24"]

  proxy = {
    https_proxy = "http://proxy.contoso.example:3128"
    no_proxy    = [".contoso.example"]
  }
  ca_bundle = "authorities.pem"

  encryption_key = {
    key_id      = "https://contoso.vault.azure.net/keys/packer-publisher"
    identity_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-security/providers/Microsoft.ManagedIdentity/userAssignedIdentities/storage-keys"
  }

  log_analytics_workspace_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-platform/providers/Microsoft.OperationalInsights/workspaces/central"
  action_group_ids           = ["/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-platform/providers/Microsoft.Insights/actionGroups/on-call"]

  tags = {
    owner       = "platform"
    cost-center = "4711"
  }
}
