# What Azure would answer, for the tests of the module and of its examples. Ids look real, because the provider checks
# their form.

mock_data "azurerm_subscription" {
  defaults = {
    id              = "/subscriptions/00000000-0000-0000-0000-000000000000"
    subscription_id = "00000000-0000-0000-0000-000000000000"
    tenant_id       = "99999999-9999-9999-9999-999999999999"
  }
}
mock_data "azurerm_eventgrid_system_topic" {
  defaults = {
    id       = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-platform/providers/Microsoft.EventGrid/systemTopics/events"
    identity = [{ type = "SystemAssigned", identity_ids = [], principal_id = "77777777-7777-7777-7777-777777777777", tenant_id = "" }]
  }
}
mock_resource "azurerm_user_assigned_identity" {
  defaults = {
    id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/packer-publisher"
    client_id    = "33333333-3333-3333-3333-333333333333"
    principal_id = "44444444-4444-4444-4444-444444444444"
  }
}
mock_resource "azurerm_storage_account" {
  defaults = {
    id                     = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/images"
    primary_blob_endpoint  = "https://images.blob.core.windows.net/"
    primary_queue_endpoint = "https://images.queue.core.windows.net/"
  }
}
mock_resource "azurerm_service_plan" {
  defaults = {
    id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Web/serverFarms/packer-publisher"
  }
}
mock_resource "azurerm_function_app_flex_consumption" {
  defaults = {
    id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Web/sites/images"
  }
}
mock_resource "azurerm_log_analytics_workspace" {
  defaults = {
    id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.OperationalInsights/workspaces/packer-publisher"
  }
}
mock_resource "azurerm_application_insights" {
  defaults = {
    id                = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Insights/components/packer-publisher"
    connection_string = "InstrumentationKey=00000000-0000-0000-0000-000000000000"
  }
}
mock_resource "azurerm_eventgrid_system_topic" {
  defaults = {
    id       = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.EventGrid/systemTopics/packer-publisher"
    identity = { principal_id = "77777777-7777-7777-7777-777777777777" }
  }
}
mock_resource "azurerm_role_definition" {
  defaults = {
    role_definition_resource_id = "/subscriptions/00000000-0000-0000-0000-000000000000/providers/Microsoft.Authorization/roleDefinitions/55555555-5555-5555-5555-555555555555"
  }
}
