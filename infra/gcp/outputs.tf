output "function_uri" {
  description = "Address of the function, which only the pushing service account may call."
  value       = google_cloudfunctions2_function.publisher.service_config[0].uri
}

output "service_account" {
  description = "The service account that the function runs as: HCP's conditional access names its unique_id (the token's sub)."
  value = {
    email     = local.service_account
    unique_id = one(google_service_account.publisher[*].unique_id)
  }
}

output "token_issuer" {
  description = "Issuer of the service account's tokens, for HCP's workload identity provider."
  value       = "https://accounts.google.com"
}

output "topic" {
  description = "The function's own topic: events, and what is to be done later."
  value       = google_pubsub_topic.events.id
}

output "subscription" {
  description = "The subscription that pushes to the function."
  value       = google_pubsub_subscription.function.id
}

output "poison_subscription" {
  description = "The subscription that keeps what the function could not read."
  value       = google_pubsub_subscription.poison.id
}

output "sink_filter" {
  description = "The filter of the log sink, for `gcloud logging read`."
  value       = local.filter
}

output "sink_writer_identity" {
  description = "The identity that the log sink writes with."
  value       = local.writer_identity
}
