# Images' audit log entries come through a sink and a topic, and are pushed to the function.

locals {
  # Exactly what packer_publisher.clouds.gcp_events makes something of. A long operation is logged twice, and the image is
  # there with the last entry; a short one has both marks or no operation at all (a setLabels, for one).
  filter = <<-EOT
    log_id("cloudaudit.googleapis.com/activity")
    protoPayload.serviceName="compute.googleapis.com"
    protoPayload.methodName=~"^(v1|beta|alpha)[.]compute[.]images[.](insert|setLabels|patch|update|deprecate|delete)$"
    severity<ERROR
    NOT (operation.first=true AND NOT operation.last=true)
  EOT

  writer_identity = one(concat(
    google_logging_project_sink.images[*].writer_identity,
    google_logging_folder_sink.images[*].writer_identity,
    google_logging_organization_sink.images[*].writer_identity,
  ))
}

resource "google_pubsub_topic" "events" {
  project      = var.project_id
  name         = var.name
  labels       = var.labels
  kms_key_name = var.kms_key

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  depends_on = [google_project_service.needed, google_kms_crypto_key_iam_member.agents]
}

# What the function could not read. A subscription keeps it, for somebody to look at.
resource "google_pubsub_topic" "poison" {
  project      = var.project_id
  name         = "${var.name}-poison"
  labels       = var.labels
  kms_key_name = var.kms_key

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  depends_on = [google_project_service.needed, google_kms_crypto_key_iam_member.agents]
}

resource "google_pubsub_subscription" "poison" {
  project                    = var.project_id
  name                       = "${var.name}-poison"
  topic                      = google_pubsub_topic.poison.id
  labels                     = var.labels
  message_retention_duration = "604800s"

  expiration_policy {
    ttl = ""
  }
}

resource "google_logging_project_sink" "images" {
  count                  = var.scope.folder == null && var.scope.organization == null ? 1 : 0
  project                = coalesce(var.scope.project, var.project_id)
  name                   = var.name
  description            = "Images, to be recorded in HCP Packer"
  destination            = "pubsub.googleapis.com/${google_pubsub_topic.events.id}"
  filter                 = local.filter
  unique_writer_identity = true
}

resource "google_logging_folder_sink" "images" {
  count            = var.scope.folder == null ? 0 : 1
  folder           = var.scope.folder
  name             = var.name
  description      = "Images, to be recorded in HCP Packer"
  destination      = "pubsub.googleapis.com/${google_pubsub_topic.events.id}"
  filter           = local.filter
  include_children = true
}

resource "google_logging_organization_sink" "images" {
  count            = var.scope.organization == null ? 0 : 1
  org_id           = var.scope.organization
  name             = var.name
  description      = "Images, to be recorded in HCP Packer"
  destination      = "pubsub.googleapis.com/${google_pubsub_topic.events.id}"
  filter           = local.filter
  include_children = true
}

# Tried for seven days, from every ten seconds to every ten minutes. No dead-letter policy: its hundred tries at most do not
# outlast a day's outage. What nobody can read the function acknowledges itself, and puts on the poison topic.
resource "google_pubsub_subscription" "function" {
  project                    = var.project_id
  name                       = var.name
  topic                      = google_pubsub_topic.events.id
  labels                     = var.labels
  ack_deadline_seconds       = 90 # the function's 60 and its start
  message_retention_duration = "604800s"

  expiration_policy {
    ttl = ""
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  # Without it the subscription keeps what comes, until somebody asks for it or switches the push on again.
  dynamic "push_config" {
    for_each = var.enabled ? [google_cloudfunctions2_function.publisher.service_config[0].uri] : []
    content {
      push_endpoint = push_config.value

      oidc_token {
        service_account_email = google_service_account.pusher.email
        audience              = push_config.value
      }
    }
  }

  depends_on = [google_cloud_run_v2_service_iam_member.pusher, google_service_account_iam_member.push_tokens]
}

resource "google_cloud_scheduler_job" "sweep" {
  for_each = {
    often = { schedule = "*/15 * * * *", order = {}, description = "Sweep the images of the last two days" }
    daily = { schedule = "7 3 * * *", order = { window = "14d" }, description = "Sweep the images of the last two weeks" }
  }
  project     = var.project_id
  region      = var.region
  name        = "${var.name}-sweep-${each.key}"
  description = each.value.description
  schedule    = each.value.schedule
  time_zone   = "Etc/UTC"
  paused      = !var.enabled

  pubsub_target {
    topic_name = google_pubsub_topic.events.id
    data       = base64encode(jsonencode({ packer-publisher = { sweep = each.value.order } }))
  }

  depends_on = [google_project_service.needed]
}
