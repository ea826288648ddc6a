terraform {
  required_version = ">= 1.9" # validation of one variable by another

  required_providers {
    hcp = {
      source  = "hashicorp/hcp"
      version = ">= 0.100, < 1.0"
    }
  }
}
