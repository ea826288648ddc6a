# What has no default here has none anywhere: a name that must be unique in all of Azure, a place, and HCP's side.

variable "resource_group_name" {
  description = "Name of the existing resource group that everything but the role definition goes into."
  type        = string

  validation {
    condition     = can(regex("^[-\\w.()]{1,90}$", var.resource_group_name)) && !endswith(var.resource_group_name, ".")
    error_message = "resource_group_name must be the name of a resource group, not its id: 1 to 90 letters, digits, '-', '_', '.', '(' or ')', with no '.' at the end."
  }
}

variable "location" {
  description = "Azure region of the function, its storage and its logs; one that offers Flex Consumption."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9 ]{2,40}$", var.location))
    error_message = "location must be an Azure region, such as westeurope."
  }
}

variable "function_app_name" {
  description = "Name of the function app, unique in all of Azure; its address is https://NAME.azurewebsites.net."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])$", var.function_app_name))
    error_message = "function_app_name must have 2 to 32 lower-case letters, digits and '-', with a letter or digit at both ends: the Functions host cuts longer names, and two apps would share their locks."
  }
}

variable "storage_account_name" {
  description = "Name of the storage account for queue, dead letters and code, unique in all of Azure."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]{3,24}$", var.storage_account_name))
    error_message = "storage_account_name must have 3 to 24 lower-case letters and digits, and nothing else."
  }
}

variable "name" {
  description = "Name of the identity and beginning of all other names. The default is fixed, so that HCP's side can be set up first."
  type        = string
  default     = "packer-publisher"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,38}[a-z0-9]$", var.name))
    error_message = "name must have 3 to 40 lower-case letters, digits and '-', beginning with a letter."
  }
}

variable "hcp" {
  description = <<-EOT
    HCP's side. `project_id` and `organization_id` as HashiCorp's tools take them. Either federation, without any secret:
    `workload_provider` (`iam/project/ID/service-principal/NAME/workload-identity-provider/NAME`) and
    `workload_audience` (what the provider allows; the App ID URI or client id that the identity asks a token for);
    or `client_secret_reference`, the address of a Key Vault secret, never the secret, and `client_id` where the secret
    does not hold it, too.
  EOT
  type = object({
    project_id              = string
    organization_id         = string
    workload_provider       = optional(string)
    workload_audience       = optional(string)
    client_id               = optional(string)
    client_secret_reference = optional(string)
  })

  validation {
    condition     = alltrue([for id in [var.hcp.project_id, var.hcp.organization_id] : can(regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", id))])
    error_message = "hcp.project_id and hcp.organization_id must be UUIDs, as the settings page of the HCP portal shows them."
  }

  validation {
    condition     = (var.hcp.workload_provider == null) != (var.hcp.client_secret_reference == null)
    error_message = "hcp needs either workload_provider (federation) or client_secret_reference, and not both."
  }

  validation {
    condition     = (var.hcp.workload_provider == null) == (var.hcp.workload_audience == null) && (var.hcp.client_id == null || var.hcp.client_secret_reference != null)
    error_message = "hcp.workload_provider goes with hcp.workload_audience, and hcp.client_id with hcp.client_secret_reference."
  }

  validation {
    condition     = var.hcp.workload_provider == null || can(regex("^iam/project/[A-Za-z0-9-]+/service-principal/[A-Za-z0-9_-]+/workload-identity-provider/[A-Za-z0-9_-]+$", var.hcp.workload_provider))
    error_message = "hcp.workload_provider must be a resource name: iam/project/ID/service-principal/NAME/workload-identity-provider/NAME."
  }

  validation {
    condition     = var.hcp.client_secret_reference == null || can(regex("^https://[a-zA-Z0-9-]{3,24}\\.vault\\.azure\\.net/secrets/[a-zA-Z0-9-]{1,127}(/[0-9a-f]{32})?$", var.hcp.client_secret_reference))
    error_message = "hcp.client_secret_reference must be the address of a Key Vault secret, https://NAME.vault.azure.net/secrets/NAME, never the secret itself."
  }
}

variable "publisher_config" {
  description = "The configuration document (README, \"Settings\"): JSON text, or the name of a JSON file in the package."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._-]*\\.json$", var.publisher_config)) || can(jsondecode(var.publisher_config).buckets)
    error_message = "publisher_config must be JSON text with the key \"buckets\" (jsonencode({buckets = {...}})), or the name of a .json file in the package. `packer-publisher config validate FILE` checks the rest."
  }
}

variable "settings" {
  description = "Further settings of the README's table, such as { PUBLISHER_EXPECTS = \"azure\" }."
  type        = map(string)
  default     = {}

  validation {
    condition = alltrue([for key in keys(var.settings) : contains([
      "HCP_GEOGRAPHY", "HCP_PACKER_REGISTRY",
      "PUBLISHER_AZURE_ARTIFACT", "PUBLISHER_AZURE_GALLERY_REGIONS", "PUBLISHER_CREATE_BUCKETS", "PUBLISHER_EXPECTS",
      "PUBLISHER_LOG_LEVEL", "PUBLISHER_ON_DELETE", "PUBLISHER_QUIET", "PUBLISHER_REGIONS", "PUBLISHER_SETTLE",
      "PUBLISHER_SWEEP_RATE", "PUBLISHER_SWEEP_WINDOW",
    ], key)])
    error_message = "settings holds a name that is none of the README's settings; what else the function needs has a variable of its own here."
  }

  validation {
    condition     = !contains(["WARNING", "ERROR", "CRITICAL"], upper(lookup(var.settings, "PUBLISHER_LOG_LEVEL", "")))
    error_message = "PUBLISHER_LOG_LEVEL must let INFO through: the sweep's own line, which two alerts count, is at that level."
  }
}

variable "package" {
  description = "Path of azure.zip, which is deployed with the Azure CLI on this machine, again whenever its content changes. Null: the code is deployed by other means."
  type        = string
  default     = null

  validation {
    condition     = var.package == null || can(filesha256(var.package))
    error_message = "package names a file that is not there: run `make package`, or download azure.zip of a release."
  }
}

variable "enabled" {
  description = "Whether the function runs. While false, events wait in the queue, for as long as event_retention_days says."
  type        = bool
  default     = true
}

variable "existing_system_topic" {
  description = "The system topic of this subscription, where there is one already: Azure allows only one. It must have a system-assigned identity."
  type = object({
    name                = string
    resource_group_name = string
  })
  default = null
}

variable "event_retention_days" {
  description = "How many days an event waits in the queue."
  type        = number
  default     = 7

  validation {
    condition     = var.event_retention_days >= 2 && var.event_retention_days <= 14 && floor(var.event_retention_days) == var.event_retention_days
    error_message = "event_retention_days must be a whole number from 2 (a day's outage is retried for longer than a day) to 14 (older images no sweep would see)."
  }
}

variable "identity" {
  description = "An existing user-assigned identity to run as, where somebody else makes identities; null: one is created."
  type = object({
    id           = string
    client_id    = string
    principal_id = string
  })
  default = null

  validation {
    condition     = var.identity == null || can(regex("(?i)/providers/Microsoft\\.ManagedIdentity/userAssignedIdentities/[^/]+$", var.identity.id))
    error_message = "identity.id must be the resource id of a user-assigned identity."
  }
}

variable "image_reader_role_definition_id" {
  description = "An existing role definition that reads images (docs/azure.md lists the actions); null: a custom role is created."
  type        = string
  default     = null

  validation {
    condition     = var.image_reader_role_definition_id == null || can(regex("(?i)/providers/Microsoft\\.Authorization/roleDefinitions/[0-9a-f-]{36}$", var.image_reader_role_definition_id))
    error_message = "image_reader_role_definition_id must be the resource id of a role definition."
  }
}

variable "image_scopes" {
  description = "Where images are read: resource groups of this subscription. Empty: the whole subscription, which the sweep needs to see all of it."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for scope in var.image_scopes : can(regex("^/subscriptions/[0-9a-f-]{36}/resourceGroups/[^/]+$", scope))])
    error_message = "image_scopes holds something that is not the id of a resource group: /subscriptions/ID/resourceGroups/NAME."
  }
}

variable "role_assignment_condition" {
  description = "A condition (version 2.0) on the assignment of the image reader role, where a policy asks for one."
  type        = string
  default     = null
}

variable "key_vault_secret_scope" {
  description = "Resource id of the vault, or of the secret in it, that hcp.client_secret_reference names; the identity may then read it. Null: somebody else grants that."
  type        = string
  default     = null

  validation {
    condition     = var.key_vault_secret_scope == null || can(regex("(?i)/providers/Microsoft\\.KeyVault/vaults/[^/]+(/secrets/[^/]+)?$", var.key_vault_secret_scope))
    error_message = "key_vault_secret_scope must be the resource id of a vault or of one of its secrets."
  }
}

variable "subnet_id" {
  description = "Subnet for the function's outbound traffic, delegated to Microsoft.App/environments, and with the service endpoint Microsoft.Storage where there are allowed_ip_ranges and no private_endpoints. Null: no virtual network."
  type        = string
  default     = null

  validation {
    condition     = var.subnet_id == null || can(regex("(?i)/providers/Microsoft\\.Network/virtualNetworks/[^/]+/subnets/[^/_]+$", var.subnet_id))
    error_message = "subnet_id must be the resource id of a subnet, and Flex Consumption takes none with '_' in its name."
  }
}

variable "private_endpoints" {
  description = "Private endpoints of the storage account: the subnet they go into, and the private DNS zones of `blob`, `queue` and `table` (each may be left out where a policy registers names). Null: none."
  type = object({
    subnet_id = string
    dns_zones = optional(map(list(string)), {})
  })
  default = null

  validation {
    condition     = var.private_endpoints == null || var.subnet_id != null
    error_message = "private_endpoints needs subnet_id: without a virtual network the function could not reach its own storage."
  }

  validation {
    condition     = var.private_endpoints == null || length(setsubtract(keys(try(var.private_endpoints.dns_zones, {})), ["blob", "queue", "table"])) == 0
    error_message = "private_endpoints.dns_zones has the keys blob, queue and table, and no others."
  }
}

variable "allowed_ip_ranges" {
  description = "Public address ranges from which the storage account and the deployment endpoint are reached. Empty: from anywhere, with an Entra token; with private_endpoints: from nowhere. They need subnet_id."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for range in var.allowed_ip_ranges : can(cidrhost(range, 0))])
    error_message = "allowed_ip_ranges holds something that is no range in CIDR notation, such as 203.0.113.0/24."
  }

  validation {
    condition     = length(var.allowed_ip_ranges) == 0 || var.subnet_id != null
    error_message = "allowed_ip_ranges needs subnet_id: the storage account's firewall would shut out the function itself, whose addresses no range can name."
  }
}

variable "proxy" {
  description = "Proxy for calls to HCP and Azure Resource Manager: `https_proxy`, and hosts besides the identity endpoint that need none."
  type = object({
    https_proxy = string
    no_proxy    = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.proxy == null || can(regex("^https?://[^/@]+$", var.proxy.https_proxy))
    error_message = "proxy.https_proxy must be an address such as http://proxy.example.com:3128, without a user name or password."
  }
}

variable "ca_bundle" {
  description = "Name of a PEM file in the package that holds all certificate authorities to trust, private ones among them. Null: the public ones."
  type        = string
  default     = null

  validation {
    condition     = var.ca_bundle == null || can(regex("^[A-Za-z0-9][A-Za-z0-9._-]*\\.(pem|crt)$", var.ca_bundle))
    error_message = "ca_bundle must be the name of a .pem or .crt file at the top of the package, without a path."
  }
}

variable "encryption_key" {
  description = "Customer-managed key of the storage account: its Key Vault key id (without a version it rotates by itself) and the resource id of a user-assigned identity that may use it."
  type = object({
    key_id      = string
    identity_id = string
  })
  default = null

  validation {
    condition     = var.encryption_key == null || can(regex("^https://[^/]+/keys/[^/]+(/[0-9a-f]{32})?$", var.encryption_key.key_id))
    error_message = "encryption_key.key_id must be the address of a Key Vault key: https://NAME.vault.azure.net/keys/NAME."
  }
}

variable "storage_replication" {
  description = "Replication of the storage account."
  type        = string
  default     = "ZRS"

  validation {
    condition     = contains(["LRS", "ZRS", "GRS", "GZRS", "RAGRS", "RAGZRS"], var.storage_replication)
    error_message = "storage_replication must be LRS, ZRS, GRS, GZRS, RAGRS or RAGZRS."
  }
}

variable "log_analytics_workspace_id" {
  description = "An existing Log Analytics workspace; null: one is created."
  type        = string
  default     = null

  validation {
    condition     = var.log_analytics_workspace_id == null || can(regex("(?i)/providers/Microsoft\\.OperationalInsights/workspaces/[^/]+$", var.log_analytics_workspace_id))
    error_message = "log_analytics_workspace_id must be the resource id of a Log Analytics workspace."
  }
}

variable "log_retention_days" {
  description = "How many days logs are kept, in a workspace that is created here."
  type        = number
  default     = 90

  validation {
    condition     = var.log_retention_days >= 30 && var.log_retention_days <= 730 && floor(var.log_retention_days) == var.log_retention_days
    error_message = "log_retention_days must be a whole number from 30 to 730: that is what a workspace takes."
  }
}

variable "action_group_ids" {
  description = "Action groups that alerts go to. Empty: alerts are only listed in the portal."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.action_group_ids : can(regex("(?i)/providers/Microsoft\\.Insights/actionGroups/[^/]+$", id))])
    error_message = "action_group_ids holds something that is not the resource id of an action group."
  }
}

variable "alerts_enabled" {
  description = "Whether the alerts are created."
  type        = bool
  default     = true
}

variable "alert_thresholds" {
  description = "When alerts fire: hours that the oldest message may have been tried (`oldest_message_hours`), hours that a version may wait for something (`oldest_waiting_version_hours`), errors of our own code in an hour (`errors`)."
  type = object({
    oldest_message_hours         = optional(number, 6)
    oldest_waiting_version_hours = optional(number, 48)
    errors                       = optional(number, 0)
  })
  default = {}

  validation {
    condition     = var.alert_thresholds.oldest_message_hours > 0 && var.alert_thresholds.oldest_waiting_version_hours > 24 && var.alert_thresholds.errors >= 0
    error_message = "alert_thresholds: oldest_message_hours must be more than 0, oldest_waiting_version_hours more than 24 (younger versions are not reported), errors 0 or more."
  }
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}
