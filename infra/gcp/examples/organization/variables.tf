variable "package" {
  description = "Path of gcp.zip, as `make package` leaves it."
  type        = string
}
