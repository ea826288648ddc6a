# What somebody should look at. Each is explained in docs/azure.md, with what to do. The function writes one JSON object
# per line (functions/azure/function_app.py); a name that is used here and that no line has is found by the tests.

locals {
  lines = "AppTraces | where AppRoleName =~ '${var.function_app_name}' | where Message startswith '{' | extend line = parse_json(Message)"

  # The message is kept by raising RetryLater, which the log told as "deferred" already: that is no error of ours. Nor is
  # what the host itself only warns of: it sends the exception along, and that is a row of AppExceptions, too.
  alerts = {
    rejected-images = {
      title       = "An image was rejected"
      severity    = 3
      window      = "PT1H"
      frequency   = "PT15M"
      query       = "${local.lines} | where tostring(line.outcome) in ('rejected', 'conflict', 'late') | project TimeGenerated, line"
      measure     = null
      aggregation = "Count"
      operator    = "GreaterThan"
      threshold   = 0
    }
    oldest-waiting-version = {
      title       = "A version waits for something that does not come"
      severity    = 3
      window      = "P1D"
      frequency   = "PT1H"
      query       = "${local.lines} | where isnotnull(line.oldest_waiting_version) | extend seconds = todouble(line.oldest_waiting_version) | project TimeGenerated, seconds"
      measure     = "seconds"
      aggregation = "Maximum"
      operator    = "GreaterThan"
      threshold   = var.alert_thresholds.oldest_waiting_version_hours * 3600
    }
    oldest-message = {
      title       = "A message is tried again and again"
      severity    = 2
      window      = "PT1H"
      frequency   = "PT15M"
      query       = "AppTraces | where AppRoleName =~ '${var.function_app_name}' | where Message startswith 'Trigger Details:' | extend seconds = datetime_diff('second', TimeGenerated, todatetime(extract('(?:InsertedOn|InsertionTime): ([^,]+)', 1, Message))) | where isnotnull(seconds) | project TimeGenerated, seconds"
      measure     = "seconds"
      aggregation = "Maximum"
      operator    = "GreaterThan"
      threshold   = var.alert_thresholds.oldest_message_hours * 3600
    }
    poison-messages = {
      title       = "A message was given up after all tries"
      severity    = 1
      window      = "PT1H"
      frequency   = "PT15M"
      query       = "AppTraces | where AppRoleName =~ '${var.function_app_name}' | where Message startswith 'Message has reached MaxDequeueCount' | project TimeGenerated, Message"
      measure     = null
      aggregation = "Count"
      operator    = "GreaterThan"
      threshold   = 0
    }
    errors = {
      title       = "The function failed"
      severity    = 2
      window      = "PT1H"
      frequency   = "PT15M"
      query       = "union (AppExceptions | where AppRoleName =~ '${var.function_app_name}' | where isnull(SeverityLevel) or SeverityLevel >= 3 | where not(OuterMessage has 'RetryLater' or InnermostMessage has 'RetryLater' or tostring(Details) has 'RetryLater') | project TimeGenerated, told = OuterMessage), (${local.lines} | where SeverityLevel >= 3 | project TimeGenerated, told = Message)"
      measure     = null
      aggregation = "Count"
      operator    = "GreaterThan"
      threshold   = var.alert_thresholds.errors
    }
    no-sweep = {
      title       = "The function has not swept for an hour"
      severity    = 2
      window      = "PT1H"
      frequency   = "PT15M"
      query       = "${local.lines} | where isnotnull(line.window) and isnotnull(line.images) | project TimeGenerated, line"
      measure     = null
      aggregation = "Count"
      operator    = "LessThan"
      threshold   = 1
    }
  }
}

resource "azurerm_monitor_scheduled_query_rules_alert_v2" "log" {
  for_each             = { for key, alert in local.alerts : key => alert if var.alerts_enabled && (var.enabled || key != "no-sweep") }
  name                 = "${var.name}-${each.key}"
  display_name         = "packer-publisher: ${each.value.title}"
  description          = "docs/azure.md, \"Alerts\": ${each.key}"
  resource_group_name  = var.resource_group_name
  location             = var.location
  scopes               = [local.workspace_id]
  severity             = each.value.severity
  evaluation_frequency = each.value.frequency
  window_duration      = each.value.window
  # The tables come with the first line that is logged; until then the query names what is not there.
  skip_query_validation   = true
  auto_mitigation_enabled = true
  tags                    = var.tags

  criteria {
    query                   = each.value.query
    time_aggregation_method = each.value.aggregation
    metric_measure_column   = each.value.measure
    operator                = each.value.operator
    threshold               = each.value.threshold

    failing_periods {
      number_of_evaluation_periods             = 1
      minimum_failing_periods_to_trigger_alert = 1
    }
  }

  dynamic "action" {
    for_each = length(var.action_group_ids) == 0 ? [] : [var.action_group_ids]
    content {
      action_groups = action.value
    }
  }
}

# What Event Grid could not put into the queue within a day.
resource "azurerm_monitor_metric_alert" "dead_letters" {
  count               = var.alerts_enabled ? 1 : 0
  name                = "${var.name}-dead-letters"
  description         = "docs/azure.md, \"Alerts\": dead-letters"
  resource_group_name = var.resource_group_name
  scopes              = [local.topic.id]
  severity            = 1
  frequency           = "PT15M"
  window_size         = "PT1H"
  tags                = var.tags

  criteria {
    metric_namespace = "Microsoft.EventGrid/systemTopics"
    metric_name      = "DeadLetteredCount"
    aggregation      = "Total"
    operator         = "GreaterThan"
    threshold        = 0

    dimension {
      name     = "EventSubscriptionName"
      operator = "Include"
      values   = [azurerm_eventgrid_system_topic_event_subscription.images.name]
    }
  }

  dynamic "action" {
    for_each = var.action_group_ids
    content {
      action_group_id = action.value
    }
  }
}
