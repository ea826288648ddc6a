terraform {
  required_version = ">= 1.9" # validation of one variable by another

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.55, < 5.0"
    }
  }
}
