# Who may do what. docs/google.md has this as a table, generated from here.

locals {
  permissions = ["compute.images.get", "compute.images.list"]
  role_id     = replace(title(replace(var.name, "-", " ")), " ", "")

  custom_role_organization = var.image_reader_role != null ? null : (
    var.scope.organization != null ? var.scope.organization : (var.scope.folder != null ? var.organization_id : null)
  )
  image_reader_role = var.image_reader_role != null ? var.image_reader_role : one(concat(
    google_project_iam_custom_role.image_reader[*].name,
    google_organization_iam_custom_role.image_reader[*].name,
  ))
}

resource "google_service_account" "publisher" {
  count        = var.service_account_email == null ? 1 : 0
  project      = var.project_id
  account_id   = var.name
  display_name = "packer-publisher"
  description  = "Reads images and records them in HCP Packer"
  depends_on   = [google_project_service.needed]
}

resource "google_service_account" "pusher" {
  project      = var.project_id
  account_id   = "${var.name}-push"
  display_name = "packer-publisher's events"
  description  = "Pub/Sub pushes with its tokens; it may call the function, and nothing else"
  depends_on   = [google_project_service.needed]
}

resource "google_service_account" "builder" {
  project      = var.project_id
  account_id   = "${var.name}-build"
  display_name = "packer-publisher's build"
  description  = "Builds the function from its archive"
  depends_on   = [google_project_service.needed]
}

# All that is read of images. Nothing in any project is ever changed.
resource "google_project_iam_custom_role" "image_reader" {
  count       = var.image_reader_role == null && var.scope.folder == null && var.scope.organization == null ? 1 : 0
  project     = coalesce(var.scope.project, var.project_id)
  role_id     = local.role_id
  title       = "packer-publisher image reader"
  description = "Reads images, for HCP Packer"
  permissions = local.permissions
}

resource "google_organization_iam_custom_role" "image_reader" {
  count       = local.custom_role_organization == null ? 0 : 1
  org_id      = local.custom_role_organization
  role_id     = local.role_id
  title       = "packer-publisher image reader"
  description = "Reads images, for HCP Packer"
  permissions = local.permissions
}

resource "google_project_iam_member" "images" {
  count   = var.scope.folder == null && var.scope.organization == null ? 1 : 0
  project = coalesce(var.scope.project, var.project_id)
  role    = local.image_reader_role
  member  = "serviceAccount:${local.service_account}"

  dynamic "condition" {
    for_each = var.iam_condition[*]
    content {
      title       = condition.value.title
      expression  = condition.value.expression
      description = condition.value.description
    }
  }
}

resource "google_folder_iam_member" "images" {
  count  = var.scope.folder == null ? 0 : 1
  folder = "folders/${var.scope.folder}"
  role   = local.image_reader_role
  member = "serviceAccount:${local.service_account}"

  dynamic "condition" {
    for_each = var.iam_condition[*]
    content {
      title       = condition.value.title
      expression  = condition.value.expression
      description = condition.value.description
    }
  }
}

resource "google_organization_iam_member" "images" {
  count  = var.scope.organization == null ? 0 : 1
  org_id = var.scope.organization
  role   = local.image_reader_role
  member = "serviceAccount:${local.service_account}"

  dynamic "condition" {
    for_each = var.iam_condition[*]
    content {
      title       = condition.value.title
      expression  = condition.value.expression
      description = condition.value.description
    }
  }
}

# What a sweep has no time for, second looks, and what nobody can read.
resource "google_pubsub_topic_iam_member" "own" {
  for_each = {
    events = google_pubsub_topic.events.name
    poison = google_pubsub_topic.poison.name
  }
  project = var.project_id
  topic   = each.value
  role    = "roles/pubsub.publisher"
  member  = "serviceAccount:${local.service_account}"
}

# Delivering log entries.
resource "google_pubsub_topic_iam_member" "sink" {
  project = var.project_id
  topic   = google_pubsub_topic.events.name
  role    = "roles/pubsub.publisher"
  member  = local.writer_identity
}

# Calling the function, and nothing else.
resource "google_cloud_run_v2_service_iam_member" "pusher" {
  project  = var.project_id
  location = var.region
  name     = google_cloudfunctions2_function.publisher.name
  role     = "roles/run.invoker"
  member   = google_service_account.pusher.member
}

# Pub/Sub makes the pusher's tokens. Projects made since April 2021 let it do so for all service accounts; this one needs one.
resource "google_service_account_iam_member" "push_tokens" {
  service_account_id = google_service_account.pusher.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = "serviceAccount:service-${local.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

# The build: from the archive, by way of the bucket that Cloud Functions copies it to, into an image.
resource "google_storage_bucket_iam_member" "builder" {
  bucket = google_storage_bucket.package.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.builder.member
}

# The image that is built, and the log of that.
resource "google_project_iam_member" "builder" {
  for_each = toset(["roles/artifactregistry.writer", "roles/logging.logWriter"])
  project  = var.project_id
  role     = each.value
  member   = google_service_account.builder.member
}

# That bucket is made by Cloud Functions with the first function of the region, so it cannot be named before.
resource "google_project_iam_member" "sources" {
  project = var.project_id
  role    = "roles/storage.objectViewer"
  member  = google_service_account.builder.member

  condition {
    title      = "sources of functions"
    expression = "resource.name.startsWith(\"projects/_/buckets/gcf-v2-sources-${local.number}-${var.region}\")"
  }
}

# HCP's client secret, where there is no federation.
resource "google_secret_manager_secret_iam_member" "client_secret" {
  count     = var.hcp.client_secret_reference == null ? 0 : 1
  project   = split("/", var.hcp.client_secret_reference)[1]
  secret_id = split("/", var.hcp.client_secret_reference)[3]
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${local.service_account}"
}

# Certificate authorities, which Cloud Run mounts as a file.
resource "google_secret_manager_secret_iam_member" "authorities" {
  count     = var.ca_bundle_secret == null ? 0 : 1
  project   = var.project_id
  secret_id = var.ca_bundle_secret
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${local.service_account}"
}

# The services that encrypt with the key, each for itself.
resource "google_kms_crypto_key_iam_member" "agents" {
  for_each = var.kms_key == null ? {} : {
    artifacts = "service-${local.number}@gcp-sa-artifactregistry.iam.gserviceaccount.com"
    functions = "service-${local.number}@gcf-admin-robot.iam.gserviceaccount.com"
    pubsub    = "service-${local.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
    run       = "service-${local.number}@serverless-robot-prod.iam.gserviceaccount.com"
    storage   = "service-${local.number}@gs-project-accounts.iam.gserviceaccount.com"
  }
  crypto_key_id = var.kms_key
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:${each.value}"
  depends_on    = [google_project_service.needed]
}
