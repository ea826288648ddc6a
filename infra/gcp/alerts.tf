# What somebody should look at. Each is explained in docs/google.md, with what to do. The function writes one JSON object
# per line (functions/gcp/main.py); the tests show the filters to such lines.

locals {
  function_log = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name}\""

  # One notification an hour, or a day for what stays as it is from sweep to sweep.
  log_alerts = {
    rejected-images = {
      title    = "An image was rejected"
      severity = "WARNING"
      filter   = "jsonPayload.outcome=~\"^(rejected|conflict|late)$\""
      period   = "3600s"
    }
    oldest-waiting-version = {
      title    = "A version waits for something that does not come"
      severity = "WARNING"
      filter   = "jsonPayload.waiting_seconds>${var.alert_thresholds.oldest_waiting_version_hours * 3600}"
      period   = "86400s"
    }
    errors = {
      title    = "The function failed"
      severity = "ERROR"
      # Cloud Run logs every 503 as an error; the function's own is how it has a message delivered again.
      filter = "severity>=ERROR AND NOT (log_id(\"run.googleapis.com/requests\") AND httpRequest.status=503)"
      period = "3600s"
    }
  }

  metric_alerts = {
    oldest-message = {
      title      = "A message is tried again and again"
      filter     = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${google_pubsub_subscription.function.name}\" AND metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
      comparison = "COMPARISON_GT"
      threshold  = var.alert_thresholds.oldest_message_hours * 3600
      window     = "300s"
      aligner    = "ALIGN_MAX"
      no_data    = null
    }
    poison-messages = {
      title      = "A message that nobody can read"
      filter     = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${google_pubsub_subscription.poison.name}\" AND metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\""
      comparison = "COMPARISON_GT"
      threshold  = 0
      window     = "300s"
      aligner    = "ALIGN_MAX"
      no_data    = null
    }
    # Less than one an hour, or none at all: whether a metric of lines is 0 or absent without a line is Google's affair.
    no-sweep = {
      title      = "The function has not swept for an hour"
      filter     = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name}\" AND metric.type=\"logging.googleapis.com/user/${google_logging_metric.sweeps.name}\""
      comparison = "COMPARISON_LT"
      threshold  = 1
      window     = "3600s"
      aligner    = "ALIGN_SUM"
      no_data    = "EVALUATION_MISSING_DATA_ACTIVE"
    }
  }
}

resource "google_monitoring_alert_policy" "log" {
  for_each              = { for key, alert in local.log_alerts : key => alert if var.alerts_enabled }
  project               = var.project_id
  display_name          = "packer-publisher: ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = each.value.title

    condition_matched_log {
      filter = "${local.function_log} AND ${each.value.filter}"
    }
  }

  alert_strategy {
    auto_close = "604800s"

    notification_rate_limit {
      period = each.value.period
    }
  }

  documentation {
    content = "docs/google.md, \"Alerts\": ${each.key}"
  }

  depends_on = [google_project_service.needed]
}

resource "google_monitoring_alert_policy" "metric" {
  for_each              = { for key, alert in local.metric_alerts : key => alert if var.alerts_enabled && (var.enabled || key != "no-sweep") }
  project               = var.project_id
  display_name          = "packer-publisher: ${each.value.title}"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = each.value.title

    condition_threshold {
      filter                  = each.value.filter
      comparison              = each.value.comparison
      threshold_value         = each.value.threshold
      duration                = "600s"
      evaluation_missing_data = each.value.no_data

      # A new revision of the function is a new series.
      aggregations {
        alignment_period     = each.value.window
        per_series_aligner   = each.value.aligner
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    content = "docs/google.md, \"Alerts\": ${each.key}"
  }

  depends_on = [google_project_service.needed]
}

# Sweeps, counted: an alert can tell that a number is too small, but not that a line is missing.
resource "google_logging_metric" "sweeps" {
  project     = var.project_id
  name        = "${var.name}/sweeps"
  description = "Sweeps that came to their end"
  filter      = "${local.function_log} AND jsonPayload.window:* AND jsonPayload.images:*"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }

  depends_on = [google_project_service.needed]
}

# The function's log in a bucket of its own, which keeps it for as long as it is told.
resource "google_logging_project_bucket_config" "function" {
  count          = var.log_retention_days == null ? 0 : 1
  project        = var.project_id
  location       = var.region
  bucket_id      = var.name
  retention_days = var.log_retention_days
  description    = "Log of the function ${var.name}"
  depends_on     = [google_project_service.needed]
}

resource "google_logging_project_sink" "function" {
  count                  = var.log_retention_days == null ? 0 : 1
  project                = var.project_id
  name                   = "${var.name}-log"
  description            = "Log of the function ${var.name}"
  destination            = "logging.googleapis.com/${google_logging_project_bucket_config.function[0].id}"
  filter                 = local.function_log
  unique_writer_identity = true # not needed within one project, and harmless
}
