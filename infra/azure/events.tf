# Azure raises an event for every write and delete in the subscription. Event Grid passes on those about images, in the
# schema that functions/azure reads, one per message, in base64, as functions/azure/host.json says.

data "azurerm_eventgrid_system_topic" "existing" {
  count               = var.existing_system_topic == null ? 0 : 1
  name                = var.existing_system_topic.name
  resource_group_name = var.existing_system_topic.resource_group_name

  lifecycle {
    postcondition {
      condition     = try(self.identity[0].principal_id, "") != ""
      error_message = "existing_system_topic has no system-assigned identity, so it cannot reach a queue without a key: `az eventgrid system-topic update --identity systemassigned`."
    }
  }
}

resource "azurerm_eventgrid_system_topic" "subscription" {
  count               = var.existing_system_topic == null ? 1 : 0
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = "Global"
  source_resource_id  = data.azurerm_subscription.current.id
  topic_type          = "Microsoft.Resources.Subscriptions"
  tags                = var.tags

  identity {
    type = "SystemAssigned"
  }
}

locals {
  topic = var.existing_system_topic == null ? {
    id                  = azurerm_eventgrid_system_topic.subscription[0].id
    name                = azurerm_eventgrid_system_topic.subscription[0].name
    resource_group_name = azurerm_eventgrid_system_topic.subscription[0].resource_group_name
    principal_id        = azurerm_eventgrid_system_topic.subscription[0].identity[0].principal_id
    } : {
    id                  = data.azurerm_eventgrid_system_topic.existing[0].id
    name                = data.azurerm_eventgrid_system_topic.existing[0].name
    resource_group_name = data.azurerm_eventgrid_system_topic.existing[0].resource_group_name
    principal_id        = try(data.azurerm_eventgrid_system_topic.existing[0].identity[0].principal_id, "")
  }
}

resource "azurerm_eventgrid_system_topic_event_subscription" "images" {
  name                  = var.name
  system_topic          = local.topic.name
  resource_group_name   = local.topic.resource_group_name
  event_delivery_schema = "EventGridSchema"
  included_event_types = [
    "Microsoft.Resources.ResourceWriteSuccess",
    "Microsoft.Resources.ResourceDeleteSuccess",
  ]

  # Tags that are edited later raise an event of the Tags API alone; whose tags they are is in the resource's id.
  advanced_filter {
    string_in {
      key = "data.operationName"
      values = [
        "Microsoft.Compute/images/write",
        "Microsoft.Compute/images/delete",
        "Microsoft.Compute/galleries/images/versions/write",
        "Microsoft.Compute/galleries/images/versions/delete",
        "Microsoft.Resources/tags/write",
        "Microsoft.Resources/tags/delete",
      ]
    }
    string_contains {
      key = "data.resourceUri"
      values = [
        "/providers/Microsoft.Compute/images/",
        "/providers/Microsoft.Compute/galleries/",
      ]
    }
  }

  storage_queue_endpoint {
    storage_account_id                    = azurerm_storage_account.publisher.id
    queue_name                            = azurerm_storage_queue.events.name
    queue_message_time_to_live_in_seconds = var.event_retention_days * 86400
  }

  delivery_identity {
    type = "SystemAssigned"
  }

  # Delivery into the queue itself: a day, the most there is. The function's own tries are host.json's.
  retry_policy {
    event_time_to_live    = 1440
    max_delivery_attempts = 30
  }

  storage_blob_dead_letter_destination {
    storage_account_id          = azurerm_storage_account.publisher.id
    storage_blob_container_name = azurerm_storage_container.dead_letters.name
  }

  dead_letter_identity {
    type = "SystemAssigned"
  }

  depends_on = [azurerm_role_assignment.event_grid_queue, azurerm_role_assignment.event_grid_dead_letters]
}
