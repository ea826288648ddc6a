output "service_principal" {
  description = "Resource name of the service principal."
  value       = hcp_service_principal.publisher.resource_name
}

output "workload_providers" {
  description = "Resource names of the providers, each for PUBLISHER_WORKLOAD_PROVIDER of its deployment."
  value = merge(
    { for key, provider in hcp_iam_workload_identity_provider.aws : provider.name => provider.resource_name },
    { for key, provider in hcp_iam_workload_identity_provider.azure : provider.name => provider.resource_name },
    { for key, provider in hcp_iam_workload_identity_provider.gcp : provider.name => provider.resource_name },
  )
}
