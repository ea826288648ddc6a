variable "project_id" {
  description = "HCP project that the images are recorded in; federation works for service principals of a project only."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", var.project_id))
    error_message = "project_id must be a UUID, as the settings page of the HCP portal shows it."
  }
}

variable "name" {
  description = "Name of the service principal. The fixed default lets the functions be deployed first, with the provider names that follow from it."
  type        = string
  default     = "packer-publisher"

  validation {
    condition     = can(regex("^[a-zA-Z0-9][a-zA-Z0-9_-]{1,34}[a-zA-Z0-9]$", var.name))
    error_message = "name must have 3 to 36 letters, digits, '-' and '_', with a letter or digit at both ends."
  }
}

variable "buckets" {
  description = "Buckets that may be written, where that is not to be all of the project; they must exist already. Empty: the whole project, which create_buckets needs."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.buckets : can(regex("^[a-zA-Z0-9-]{3,36}$", name))])
    error_message = "buckets holds something that is no bucket's name: 3 to 36 letters, digits and '-'."
  }
}

variable "aws" {
  description = "AWS accounts, by any short name: `account_id`, the name of the function's role (its path left out), and the partition."
  type = map(object({
    account_id = string
    role_name  = optional(string, "packer-publisher")
    partition  = optional(string, "aws")
  }))
  default = {}

  validation {
    condition     = alltrue([for key in keys(var.aws) : can(regex("^[a-zA-Z0-9_-]{1,32}$", key))])
    error_message = "aws: a short name has 1 to 32 letters, digits, '-' and '_': the provider is named aws-NAME."
  }

  validation {
    condition     = alltrue([for key, account in var.aws : can(regex("^[0-9]{12}$", account.account_id)) && can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", account.role_name)) && can(regex("^aws(-[a-z]+)*$", account.partition))])
    error_message = "aws: account_id has twelve digits, role_name is the name of a role without its path, partition is aws, aws-us-gov or aws-cn."
  }
}

variable "azure" {
  description = "Azure subscriptions, by any short name: the tenant, the principal (object) id of the function's identity, and the App ID URI that its token is asked for. Both ids are outputs of infra/azure."
  type = map(object({
    tenant_id    = string
    principal_id = string
    audience     = string
  }))
  default = {}

  validation {
    condition     = alltrue([for key in keys(var.azure) : can(regex("^[a-zA-Z0-9_-]{1,30}$", key))])
    error_message = "azure: a short name has 1 to 30 letters, digits, '-' and '_': the provider is named azure-NAME."
  }

  validation {
    condition     = alltrue(flatten([for key, subscription in var.azure : [for id in [subscription.tenant_id, subscription.principal_id] : can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", id))]]))
    error_message = "azure: tenant_id and principal_id must be UUIDs in lower case, as tokens have them."
  }

  validation {
    condition     = alltrue([for key, subscription in var.azure : can(regex("^(api://[^\\s\"`]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$", subscription.audience))])
    error_message = "azure: audience must be an App ID URI, api://..., or the client id of an application."
  }
}

variable "gcp" {
  description = "Google Cloud deployments, by any short name: the unique id (a number) of the function's service account, an output of infra/gcp."
  type = map(object({
    service_account_unique_id = string
  }))
  default = {}

  validation {
    condition     = alltrue([for key in keys(var.gcp) : can(regex("^[a-zA-Z0-9_-]{1,32}$", key))])
    error_message = "gcp: a short name has 1 to 32 letters, digits, '-' and '_': the provider is named gcp-NAME."
  }

  validation {
    condition     = alltrue([for key, deployment in var.gcp : can(regex("^[0-9]{15,25}$", deployment.service_account_unique_id))])
    error_message = "gcp: service_account_unique_id is a number of about 21 digits, not the account's address."
  }
}
