variable "project_id" {
  description = "Project of images and function."
  type        = string
}

variable "region" {
  description = "Region of the function."
  type        = string
  default     = "europe-west1"
}

variable "package" {
  description = "Path of gcp.zip, as `make package` leaves it."
  type        = string
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
