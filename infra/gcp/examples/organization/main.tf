# All projects of an organization, with everything that a security review may ask for: a service account made beforehand, a
# VPC connector, a proxy with a private certificate authority, a customer-managed key, a tag that organization policies go
# by, a client secret in Secret Manager in place of federation.

terraform {
  required_version = ">= 1.9"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.50, < 8.0"
    }
  }
}

provider "google" {
  project = "central-images"
}

module "publisher" {
  source = "../.."

  project_id     = "central-images"
  region         = "europe-west1"
  package        = var.package
  scope          = { organization = "123456789012" }
  sweep_projects = ["central-images", "team-a-images", "team-b-images"]

  hcp = {
    project_id              = "11111111-1111-1111-1111-111111111111"
    organization_id         = "22222222-2222-2222-2222-222222222222"
    client_id               = "made-up-client-id"
    client_secret_reference = "projects/central-images/secrets/hcp-packer-publisher/versions/latest"
  }
  publisher_config = "publisher.json" # a file in the package

  service_account_email = "packer-publisher@central-identities.iam.gserviceaccount.com"
  resource_tags         = ["tagValues/281476592621530"]

  vpc_connector = "projects/central-network/locations/europe-west1/connectors/functions"
  proxy = {
    https_proxy = "http://proxy.example.com:3128"
    no_proxy    = [".googleapis.com"]
  }
  ca_bundle_secret = "authorities"

  kms_key               = "projects/central-keys/locations/europe-west1/keyRings/images/cryptoKeys/packer-publisher"
  log_retention_days    = 365
  notification_channels = ["projects/central-images/notificationChannels/1234567890"]

  labels = {
    owner       = "platform"
    cost-center = "4711"
  }
}
