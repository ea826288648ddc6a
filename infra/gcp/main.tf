# The function. Events are in events.tf, roles in access.tf, what somebody should look at in alerts.tf.

data "google_project" "own" {
  project_id = var.project_id
}

locals {
  number = data.google_project.own.number

  service_account = var.service_account_email == null ? google_service_account.publisher[0].email : var.service_account_email

  credentials = var.hcp.workload_provider != null ? merge(
    { PUBLISHER_WORKLOAD_PROVIDER = var.hcp.workload_provider },
    var.hcp.workload_audience == null ? {} : { PUBLISHER_WORKLOAD_AUDIENCE = var.hcp.workload_audience },
    ) : merge(
    { PUBLISHER_CLIENT_SECRET = var.hcp.client_secret_reference },
    var.hcp.client_id == null ? {} : { HCP_CLIENT_ID = var.hcp.client_id },
  )

  # The metadata server hands out the function's own tokens: no proxy may ever see it.
  proxy = var.proxy == null ? {} : {
    HTTPS_PROXY = var.proxy.https_proxy
    NO_PROXY    = join(",", concat(["localhost", "127.0.0.1", "169.254.169.254", "metadata.google.internal"], var.proxy.no_proxy))
  }

  # httpx reads the first, requests (under Google's SDK) the second.
  authorities = var.ca_bundle_secret == null ? {} : {
    SSL_CERT_FILE      = "/etc/packer-publisher/authorities.pem"
    REQUESTS_CA_BUNDLE = "/etc/packer-publisher/authorities.pem"
  }
}

resource "google_project_service" "needed" {
  for_each = toset(var.manage_services ? [
    "artifactregistry.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudfunctions.googleapis.com",
    "cloudscheduler.googleapis.com",
    "compute.googleapis.com",
    "iam.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "storage.googleapis.com",
  ] : [])
  project            = var.project_id
  service            = each.value
  disable_on_destroy = false
}

resource "google_storage_bucket" "package" {
  project                     = var.project_id
  name                        = "${var.project_id}-${var.name}-package"
  location                    = var.region
  labels                      = var.labels
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # it holds nothing but archives that a release holds, too

  versioning {
    enabled = true
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      num_newer_versions = 3
      with_state         = "ARCHIVED"
    }
  }

  dynamic "encryption" {
    for_each = var.kms_key[*]
    content {
      default_kms_key_name = encryption.value
    }
  }

  depends_on = [google_project_service.needed, google_kms_crypto_key_iam_member.agents]
}

# Its name tells its content: a new archive is a new object, and a new revision of the function.
resource "google_storage_bucket_object" "package" {
  bucket = google_storage_bucket.package.name
  name   = "gcp-${filesha256(var.package)}.zip"
  source = var.package
}

# Google asks for a repository of one's own where the function is encrypted with one's own key.
resource "google_artifact_registry_repository" "function" {
  count         = var.kms_key == null ? 0 : 1
  project       = var.project_id
  location      = var.region
  repository_id = var.name
  format        = "DOCKER"
  kms_key_name  = var.kms_key
  labels        = var.labels
  depends_on    = [google_project_service.needed, google_kms_crypto_key_iam_member.agents]
}

resource "google_cloudfunctions2_function" "publisher" {
  project      = var.project_id
  name         = var.name
  location     = var.region
  description  = "Records machine images in HCP Packer from their labels"
  labels       = var.labels
  kms_key_name = var.kms_key

  build_config {
    runtime           = "python313"
    entry_point       = "publish_image"
    docker_repository = var.kms_key == null ? null : google_artifact_registry_repository.function[0].id
    service_account   = google_service_account.builder.id

    source {
      storage_source {
        bucket = google_storage_bucket.package.name
        object = google_storage_bucket_object.package.name
      }
    }
  }

  service_config {
    available_memory                 = "512Mi" # the SDK for Compute Engine takes 160 MiB
    available_cpu                    = "1"
    timeout_seconds                  = 60 # functions/gcp/main.py ends within 50
    max_instance_count               = 2  # images are few, and every one of them is written to one registry
    max_instance_request_concurrency = 1
    service_account_email            = local.service_account
    ingress_settings                 = var.ingress
    all_traffic_on_latest_revision   = true
    vpc_connector                    = var.vpc_connector
    vpc_connector_egress_settings    = var.vpc_connector == null ? null : "ALL_TRAFFIC"

    environment_variables = merge(
      local.credentials,
      local.proxy,
      local.authorities,
      var.settings,
      {
        HCP_PROJECT_ID         = var.hcp.project_id
        HCP_ORGANIZATION_ID    = var.hcp.organization_id
        PUBLISHER_CONFIG       = var.publisher_config
        PUBLISHER_QUEUE        = google_pubsub_topic.events.id
        PUBLISHER_POISON_TOPIC = google_pubsub_topic.poison.id
        GOOGLE_CLOUD_PROJECT   = coalesce(var.scope.project, var.project_id)
      },
      length(var.sweep_projects) == 0 ? {} : { PUBLISHER_PROJECTS = join(" ", var.sweep_projects) },
    )

    dynamic "secret_volumes" {
      for_each = var.ca_bundle_secret[*]
      content {
        mount_path = "/etc/packer-publisher"
        project_id = var.project_id
        secret     = secret_volumes.value

        versions {
          version = "latest"
          path    = "authorities.pem"
        }
      }
    }
  }

  depends_on = [
    google_project_service.needed,
    google_kms_crypto_key_iam_member.agents,
    google_project_iam_member.builder,
    google_project_iam_member.sources,
    google_storage_bucket_iam_member.builder,
    google_secret_manager_secret_iam_member.client_secret,
    google_secret_manager_secret_iam_member.authorities,
  ]
}

resource "google_tags_location_tag_binding" "function" {
  for_each  = var.resource_tags
  parent    = "//run.googleapis.com/projects/${local.number}/locations/${var.region}/services/${google_cloudfunctions2_function.publisher.name}"
  tag_value = each.value
  location  = var.region
}
