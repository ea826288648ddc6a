variable "location" {
  description = "Azure region of everything; one that offers Flex Consumption."
  type        = string
  default     = "westeurope"
}

variable "function_app_name" {
  description = "Name of the function app, unique in all of Azure."
  type        = string
}

variable "storage_account_name" {
  description = "Name of the storage account, unique in all of Azure."
  type        = string
}

variable "package" {
  description = "Path of azure.zip, as `make package` leaves it."
  type        = string
  default     = null
}

variable "hcp_project_id" {
  description = "Id of the HCP project."
  type        = string
}

variable "hcp_organization_id" {
  description = "Id of the HCP organization."
  type        = string
}

variable "hcp_workload_provider" {
  description = "Resource name of the workload identity provider, an output of infra/hcp."
  type        = string
}

variable "hcp_workload_audience" {
  description = "Audience that the provider allows, an output of infra/hcp."
  type        = string
}
