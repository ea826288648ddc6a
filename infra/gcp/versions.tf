terraform {
  required_version = ">= 1.9" # validation of one variable by another

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.50, < 8.0"
    }
  }
}
