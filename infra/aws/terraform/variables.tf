variable "archive" {
  description = "Path of the function's archive: aws.zip of a release, or build/aws.zip of `make package`."
  type        = string

  validation {
    condition     = endswith(var.archive, ".zip")
    error_message = "archive must be the path of a zip archive, as `make package` builds it."
  }
}

variable "bucket" {
  description = "Name of an S3 bucket of yours, in the home region, that the archive is put into."
  type        = string
}

variable "configuration" {
  description = "The configuration document in JSON, as `packer-publisher config json --one-line FILE` prints it, or the name of a file in the archive, like publisher.json."
  type        = string

  validation {
    condition     = can(jsondecode(var.configuration)) || can(regex("^[A-Za-z0-9_-]+\\.json$", var.configuration))
    error_message = "configuration must be a document in JSON, or the name of a file in the archive, like publisher.json."
  }
}

variable "hcp_workload_provider" {
  description = "The workload identity provider of HCP that trusts the role (infra/hcp); null where there is a client secret among the parameters."
  type        = string
  default     = null
}

variable "parameters" {
  description = "The template's other parameters, by their names in docs/aws.md."
  type        = map(string)
  default     = {}

  validation {
    condition = length(setintersection(
      ["CodeBucket", "CodeKey", "Configuration", "HcpWorkloadProvider"], keys(var.parameters)
    )) == 0
    error_message = "parameters must not repeat what has a variable of its own: the archive, bucket, configuration and hcp_workload_provider."
  }
}

variable "name" {
  description = "Name of the CloudFormation stack."
  type        = string
  default     = "packer-publisher"
}

variable "tags" {
  description = "Tags of the stack and of everything in it."
  type        = map(string)
  default     = {}
}
