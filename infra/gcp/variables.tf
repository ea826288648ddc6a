# What has no default here has none anywhere.

variable "project_id" {
  description = "Project that the function runs in."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be the id of a project, such as my-images; its number and its display name are none."
  }
}

variable "region" {
  description = "Region of the function and its schedules."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region must be a Google Cloud region, such as europe-west1."
  }
}

variable "scope" {
  description = <<-EOT
    Whose images are recorded: those of one `project` (null: the function's own), of all projects in a `folder`, or of
    the whole `organization` (both by number). Only one of the three.
  EOT
  type = object({
    project      = optional(string)
    folder       = optional(string)
    organization = optional(string)
  })
  default = {}

  validation {
    condition     = length(compact([var.scope.project, var.scope.folder, var.scope.organization])) <= 1
    error_message = "scope names more than one of project, folder and organization: each deployment has one."
  }

  validation {
    condition     = alltrue([for number in compact([var.scope.folder, var.scope.organization]) : can(regex("^[0-9]{1,19}$", number))])
    error_message = "scope.folder and scope.organization are numbers, without folders/ or organizations/ before them."
  }

  validation {
    condition     = var.scope.project == null || can(regex("^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.scope.project))
    error_message = "scope.project must be the id of a project; its number and its display name are none."
  }
}

variable "sweep_projects" {
  description = "Projects that the sweep looks through, where scope is a folder or an organization: Compute Engine does not list projects. Empty: the function's own, or scope.project; images elsewhere are then recorded by their events alone."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.sweep_projects : can(regex("^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$", id))])
    error_message = "sweep_projects holds something that is no project's id; numbers and display names are none."
  }
}

variable "name" {
  description = "Name of the service account and the function, and beginning of all other names. The default is fixed, so that HCP's side can be set up first."
  type        = string
  default     = "packer-publisher"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,21}[a-z0-9]$", var.name))
    error_message = "name must have 6 to 23 lower-case letters, digits and '-', beginning with a letter: service accounts' names are short."
  }
}

variable "hcp" {
  description = <<-EOT
    HCP's side. `project_id` and `organization_id` as HashiCorp's tools take them. Either federation, without any secret:
    `workload_provider` (`iam/project/ID/service-principal/NAME/workload-identity-provider/NAME`), and
    `workload_audience` only where the provider allows another one than its own name; or `client_secret_reference`,
    the name of a version in Secret Manager, never the secret, and `client_id` where the secret does not hold it, too.
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
    condition     = (var.hcp.workload_audience == null || var.hcp.workload_provider != null) && (var.hcp.client_id == null || var.hcp.client_secret_reference != null)
    error_message = "hcp.workload_audience goes with hcp.workload_provider, and hcp.client_id with hcp.client_secret_reference."
  }

  validation {
    condition     = var.hcp.workload_provider == null || can(regex("^iam/project/[A-Za-z0-9-]+/service-principal/[A-Za-z0-9_-]+/workload-identity-provider/[A-Za-z0-9_-]+$", var.hcp.workload_provider))
    error_message = "hcp.workload_provider must be a resource name: iam/project/ID/service-principal/NAME/workload-identity-provider/NAME."
  }

  validation {
    condition     = var.hcp.client_secret_reference == null || can(regex("^projects/[^/]+/secrets/[A-Za-z0-9_-]{1,255}/versions/([0-9]+|latest)$", var.hcp.client_secret_reference))
    error_message = "hcp.client_secret_reference must name a version in Secret Manager, projects/P/secrets/S/versions/V, never hold the secret itself."
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
  description = "Further settings of the README's table, such as { PUBLISHER_EXPECTS = \"gce\" }."
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
  description = "Path of gcp.zip, as `make package` leaves it, or as a release has it."
  type        = string

  validation {
    condition     = can(filesha256(var.package))
    error_message = "package names a file that is not there: run `make package`, or download gcp.zip of a release."
  }
}

variable "enabled" {
  description = "Whether events are pushed to the function and sweeps are sent. While false, events wait in the subscription for seven days."
  type        = bool
  default     = true
}

variable "manage_services" {
  description = "Whether the APIs that are needed are switched on in the project. They are never switched off again."
  type        = bool
  default     = true
}

variable "service_account_email" {
  description = "An existing service account to run as, where somebody else makes them; null: one is created."
  type        = string
  default     = null

  validation {
    condition     = var.service_account_email == null || can(regex("^[a-z0-9-]+@[a-z0-9.-]+\\.gserviceaccount\\.com$", var.service_account_email))
    error_message = "service_account_email must be the address of a service account."
  }
}

variable "image_reader_role" {
  description = "An existing role with compute.images.get and compute.images.list; null: a custom role is created, in the project or in the organization (a folder has none of its own: give organization_id)."
  type        = string
  default     = null

  validation {
    condition     = var.image_reader_role == null || can(regex("^((projects|organizations)/[^/]+/)?roles/[A-Za-z0-9_.]+$", var.image_reader_role))
    error_message = "image_reader_role must be the name of a role, such as roles/compute.viewer or organizations/123/roles/imageReader."
  }
}

variable "organization_id" {
  description = "Number of the organization that the custom role is created in where scope is a folder."
  type        = string
  default     = null

  validation {
    condition     = var.organization_id == null || can(regex("^[0-9]{1,19}$", var.organization_id))
    error_message = "organization_id is a number, without organizations/ before it."
  }

  validation {
    condition     = var.scope.folder == null || var.image_reader_role != null || var.organization_id != null
    error_message = "scope.folder needs organization_id, because custom roles belong to organizations, or an existing image_reader_role."
  }
}

variable "iam_condition" {
  description = "A condition on the binding of the image reader role, where a policy asks for one."
  type = object({
    title       = string
    expression  = string
    description = optional(string)
  })
  default = null
}

variable "resource_tags" {
  description = "Tag values (`tagValues/123`) that the function is bound to, for organization policies that go by tags."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for tag in var.resource_tags : can(regex("^tagValues/[0-9]+$", tag))])
    error_message = "resource_tags holds something that is no tag value: tagValues/NUMBER."
  }
}

variable "ingress" {
  description = "Who reaches the function's address: ALLOW_INTERNAL_ONLY lets the project's own Pub/Sub in, ALLOW_ALL everybody, who then needs a token of the pushing service account."
  type        = string
  default     = "ALLOW_INTERNAL_ONLY"

  validation {
    condition     = contains(["ALLOW_INTERNAL_ONLY", "ALLOW_INTERNAL_AND_GCLB", "ALLOW_ALL"], var.ingress)
    error_message = "ingress must be ALLOW_INTERNAL_ONLY, ALLOW_INTERNAL_AND_GCLB or ALLOW_ALL."
  }
}

variable "vpc_connector" {
  description = "Serverless VPC Access connector for the function's outbound traffic, all of it. Null: none."
  type        = string
  default     = null

  validation {
    condition     = var.vpc_connector == null || can(regex("^projects/[^/]+/locations/[^/]+/connectors/[^/]+$", var.vpc_connector))
    error_message = "vpc_connector must be projects/P/locations/L/connectors/C."
  }
}

variable "proxy" {
  description = "Proxy for calls to HCP and Google's APIs: `https_proxy`, and hosts besides the metadata server that need none."
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

variable "ca_bundle_secret" {
  description = "Secret (in the function's project) whose latest version is a PEM file of all certificate authorities to trust, private ones among them. Null: the public ones."
  type        = string
  default     = null

  validation {
    condition     = var.ca_bundle_secret == null || can(regex("^[A-Za-z0-9_-]{1,255}$", var.ca_bundle_secret))
    error_message = "ca_bundle_secret must be the name of a secret, without projects/ before it."
  }
}

variable "kms_key" {
  description = "Customer-managed key for topics, code and images of the function, in the function's region. Null: Google's keys."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key == null || can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", var.kms_key))
    error_message = "kms_key must be projects/P/locations/L/keyRings/R/cryptoKeys/K, without a version."
  }

  validation {
    condition     = var.kms_key == null || try(split("/", var.kms_key)[3], "") == var.region
    error_message = "kms_key must lie in the region of the function."
  }
}

variable "log_retention_days" {
  description = "How many days the function's logs are kept, in a log bucket of their own. Null: as long as the project's default bucket keeps them."
  type        = number
  default     = 90

  validation {
    condition     = var.log_retention_days == null || try(var.log_retention_days >= 1 && var.log_retention_days <= 3650 && floor(var.log_retention_days) == var.log_retention_days, false)
    error_message = "log_retention_days must be a whole number from 1 to 3650, or null."
  }
}

variable "notification_channels" {
  description = "Monitoring notification channels that alerts go to. Empty: alerts are only listed in the console."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for channel in var.notification_channels : can(regex("^projects/[^/]+/notificationChannels/[0-9]+$", channel))])
    error_message = "notification_channels holds something that is not projects/P/notificationChannels/NUMBER."
  }
}

variable "alerts_enabled" {
  description = "Whether the alert policies are created."
  type        = bool
  default     = true
}

variable "alert_thresholds" {
  description = "When alerts fire: hours that the oldest message may have been tried (`oldest_message_hours`), hours that a version may wait for something (`oldest_waiting_version_hours`)."
  type = object({
    oldest_message_hours         = optional(number, 6)
    oldest_waiting_version_hours = optional(number, 48)
  })
  default = {}

  validation {
    condition     = var.alert_thresholds.oldest_message_hours > 0 && var.alert_thresholds.oldest_message_hours < 168 && var.alert_thresholds.oldest_waiting_version_hours > 24
    error_message = "alert_thresholds: oldest_message_hours must be more than 0 and less than the 168 that a message is kept, oldest_waiting_version_hours more than 24 (younger versions are not reported)."
  }
}

variable "labels" {
  description = "Labels of every resource that takes them."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key, value in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))])
    error_message = "labels: keys and values have lower-case letters, digits, '_' and '-', at most 63, and keys begin with a letter."
  }
}
