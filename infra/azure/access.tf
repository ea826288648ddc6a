# Who may do what. docs/azure.md has this as a table, generated from here.

# Spelled out, because what the provider calls a queue's id depends on its version.
locals {
  queue_scopes = {
    events = "${azurerm_storage_account.publisher.id}/queueServices/default/queues/${azurerm_storage_queue.events.name}"
    poison = "${azurerm_storage_account.publisher.id}/queueServices/default/queues/${azurerm_storage_queue.poison.name}"
  }
}

resource "azurerm_user_assigned_identity" "publisher" {
  count               = var.identity == null ? 1 : 0
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
}

# All that is read of images. Nothing in the subscription is ever changed.
resource "azurerm_role_definition" "image_reader" {
  count       = var.image_reader_role_definition_id == null ? 1 : 0
  name        = "${var.name} image reader (${data.azurerm_subscription.current.subscription_id})" # unique in the tenant
  scope       = data.azurerm_subscription.current.id
  description = "Reads managed images and gallery image versions, for HCP Packer"

  permissions {
    actions = [
      "Microsoft.Compute/galleries/images/read",
      "Microsoft.Compute/galleries/images/versions/read",
      "Microsoft.Compute/images/read",
      "Microsoft.Resources/subscriptions/resources/read",
    ]
  }

  assignable_scopes = [data.azurerm_subscription.current.id]
}

# The queue's messages, but neither the queue itself nor any other: the host shows a message again after a while (write),
# deletes it when it is done, and puts it on the poison queue when it gives up (add).
resource "azurerm_role_definition" "queue_worker" {
  name        = "${var.name} queue worker (${var.storage_account_name})"
  scope       = data.azurerm_subscription.current.id
  description = "Takes, keeps and puts messages of packer-publisher's queues"

  permissions {
    actions = ["Microsoft.Storage/storageAccounts/queueServices/queues/read"]
    data_actions = [
      "Microsoft.Storage/storageAccounts/queueServices/queues/messages/add/action",
      "Microsoft.Storage/storageAccounts/queueServices/queues/messages/delete",
      "Microsoft.Storage/storageAccounts/queueServices/queues/messages/process/action",
      "Microsoft.Storage/storageAccounts/queueServices/queues/messages/read",
      "Microsoft.Storage/storageAccounts/queueServices/queues/messages/write",
    ]
  }

  assignable_scopes = [data.azurerm_subscription.current.id]
}

# Describing the image of an event, and listing those of a sweep.
resource "azurerm_role_assignment" "images" {
  for_each           = length(var.image_scopes) == 0 ? toset([data.azurerm_subscription.current.id]) : var.image_scopes
  scope              = each.value
  role_definition_id = var.image_reader_role_definition_id == null ? azurerm_role_definition.image_reader[0].role_definition_resource_id : var.image_reader_role_definition_id
  principal_id       = local.identity.principal_id
  principal_type     = "ServicePrincipal"
  condition          = var.role_assignment_condition
  condition_version  = var.role_assignment_condition == null ? null : "2.0"
}

# Taking events, keeping those that are in trouble, putting what is to be done later, giving up.
resource "azurerm_role_assignment" "queues" {
  for_each           = local.queue_scopes
  scope              = each.value
  role_definition_id = azurerm_role_definition.queue_worker.role_definition_resource_id
  principal_id       = local.identity.principal_id
  principal_type     = "ServicePrincipal"
}

# What the Functions host itself asks of its storage account: locks, timers' state, the package.
resource "azurerm_role_assignment" "host_storage" {
  scope                = azurerm_storage_account.publisher.id
  role_definition_name = "Storage Blob Data Owner"
  principal_id         = local.identity.principal_id
  principal_type       = "ServicePrincipal"
}

# What the host tells of its own troubles, for "Diagnose and solve problems"; refused, it warns of that with every start.
resource "azurerm_role_assignment" "host_tables" {
  scope                = azurerm_storage_account.publisher.id
  role_definition_name = "Storage Table Data Contributor"
  principal_id         = local.identity.principal_id
  principal_type       = "ServicePrincipal"
}

# Logs and metrics, sent with the identity in place of a key.
resource "azurerm_role_assignment" "telemetry" {
  scope                = azurerm_application_insights.publisher.id
  role_definition_name = "Monitoring Metrics Publisher"
  principal_id         = local.identity.principal_id
  principal_type       = "ServicePrincipal"
}

# HCP's client secret, where there is no federation.
resource "azurerm_role_assignment" "secret" {
  count                = var.key_vault_secret_scope == null ? 0 : 1
  scope                = var.key_vault_secret_scope
  role_definition_name = "Key Vault Secrets User"
  principal_id         = local.identity.principal_id
  principal_type       = "ServicePrincipal"
}

# Delivering events.
resource "azurerm_role_assignment" "event_grid_queue" {
  scope                = local.queue_scopes.events
  role_definition_name = "Storage Queue Data Message Sender"
  principal_id         = local.topic.principal_id
  principal_type       = "ServicePrincipal"
}

# Keeping what could not be delivered.
resource "azurerm_role_assignment" "event_grid_dead_letters" {
  scope                = "${azurerm_storage_account.publisher.id}/blobServices/default/containers/${azurerm_storage_container.dead_letters.name}"
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = local.topic.principal_id
  principal_type       = "ServicePrincipal"
}
