output "function_app_id" {
  description = "Resource id of the function app."
  value       = azurerm_function_app_flex_consumption.publisher.id
}

output "identity" {
  description = "The identity that the function runs as: HCP's conditional access names its principal_id (the token's oid and sub)."
  value       = local.identity
}

output "token_issuer" {
  description = "Issuer of the identity's tokens, for HCP's workload identity provider."
  value       = "https://sts.windows.net/${data.azurerm_subscription.current.tenant_id}/"
}

output "storage_account_id" {
  description = "Resource id of the storage account."
  value       = azurerm_storage_account.publisher.id
}

output "queue_name" {
  description = "Name of the queue of events; given up ones are in the queue of the same name with -poison."
  value       = azurerm_storage_queue.events.name
}

output "dead_letter_container" {
  description = "Name of the container that Event Grid writes dead letters to."
  value       = azurerm_storage_container.dead_letters.name
}

output "system_topic_id" {
  description = "Resource id of the subscription's system topic."
  value       = local.topic.id
}

output "log_analytics_workspace_id" {
  description = "Resource id of the workspace that holds the logs."
  value       = local.workspace_id
}
