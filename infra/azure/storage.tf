# One storage account: the queue of events, the queue of those given up, dead letters of Event Grid, the code, the
# host's locks. It has no keys; the function's identity and Event Grid's have roles, and nobody else has.

resource "azurerm_storage_account" "publisher" {
  name                = var.storage_account_name
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags

  account_kind             = "StorageV2"
  account_tier             = "Standard"
  account_replication_type = var.storage_replication

  shared_access_key_enabled         = false
  default_to_oauth_authentication   = true
  local_user_enabled                = false
  allow_nested_items_to_be_public   = false
  cross_tenant_replication_enabled  = false
  https_traffic_only_enabled        = true
  min_tls_version                   = "TLS1_2"
  infrastructure_encryption_enabled = true
  allowed_copy_scope                = "AAD"
  public_network_access_enabled     = true # for Event Grid, whose trusted access the rules below leave open
  # Queues and tables are encrypted with the account's key, so that a customer-managed one holds for them, too.
  queue_encryption_key_type = var.encryption_key == null ? "Service" : "Account"
  table_encryption_key_type = var.encryption_key == null ? "Service" : "Account"

  blob_properties {
    delete_retention_policy {
      days = 7
    }
    container_delete_retention_policy {
      days = 7
    }
  }

  # Event Grid comes in as a trusted service, with its identity; a private endpoint it could not use.
  network_rules {
    default_action = var.private_endpoints != null || length(var.allowed_ip_ranges) > 0 ? "Deny" : "Allow"
    bypass         = ["AzureServices"]
    # Storage takes a single address without its /32.
    ip_rules                   = [for range in var.allowed_ip_ranges : trimsuffix(range, "/32")]
    virtual_network_subnet_ids = var.private_endpoints == null && var.subnet_id != null && length(var.allowed_ip_ranges) > 0 ? [var.subnet_id] : []
  }

  dynamic "identity" {
    for_each = var.encryption_key[*]
    content {
      type         = "UserAssigned"
      identity_ids = [identity.value.identity_id]
    }
  }

  dynamic "customer_managed_key" {
    for_each = var.encryption_key[*]
    content {
      key_vault_key_id          = customer_managed_key.value.key_id
      user_assigned_identity_id = customer_managed_key.value.identity_id
    }
  }
}

resource "azurerm_storage_queue" "events" {
  name               = "images"
  storage_account_id = azurerm_storage_account.publisher.id
}

# The host would create it with its first message; then nobody would have a role there.
resource "azurerm_storage_queue" "poison" {
  name               = "images-poison"
  storage_account_id = azurerm_storage_account.publisher.id
}

resource "azurerm_storage_container" "dead_letters" {
  name                  = "dead-letters"
  storage_account_id    = azurerm_storage_account.publisher.id
  container_access_type = "private"
}

resource "azurerm_storage_container" "package" {
  name                  = "package"
  storage_account_id    = azurerm_storage_account.publisher.id
  container_access_type = "private"
}

# Dead letters carry the caller's token claims: they are kept for as long as somebody may still act on them.
resource "azurerm_storage_management_policy" "publisher" {
  storage_account_id = azurerm_storage_account.publisher.id

  rule {
    name    = "dead-letters"
    enabled = true

    filters {
      blob_types   = ["blockBlob"]
      prefix_match = ["${azurerm_storage_container.dead_letters.name}/"]
    }

    actions {
      base_blob {
        delete_after_days_since_modification_greater_than = 30
      }
    }
  }
}

resource "azurerm_private_endpoint" "storage" {
  for_each            = toset(var.private_endpoints == null ? [] : ["blob", "queue", "table"])
  name                = "${var.name}-${each.key}"
  resource_group_name = var.resource_group_name
  location            = var.location
  subnet_id           = var.private_endpoints.subnet_id
  tags                = var.tags

  private_service_connection {
    name                           = "${var.name}-${each.key}"
    private_connection_resource_id = azurerm_storage_account.publisher.id
    subresource_names              = [each.key]
    is_manual_connection           = false
  }

  dynamic "private_dns_zone_group" {
    for_each = compact([contains(keys(var.private_endpoints.dns_zones), each.key) ? each.key : ""])
    content {
      name                 = "default"
      private_dns_zone_ids = var.private_endpoints.dns_zones[private_dns_zone_group.value]
    }
  }
}

# Who took which message off the queue.
resource "azurerm_monitor_diagnostic_setting" "queue" {
  name                       = var.name
  target_resource_id         = "${azurerm_storage_account.publisher.id}/queueServices/default"
  log_analytics_workspace_id = local.workspace_id

  enabled_log {
    category = "StorageDelete"
  }
}
