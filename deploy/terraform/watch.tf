# Who watches the watcher: Cloud Monitoring, which does not depend on anything here being alive.

resource "google_monitoring_notification_channel" "email" {
  count = var.alert_email != "" ? 1 : 0

  project      = var.project
  display_name = "${var.name}: e-mail"
  type         = "email"
  labels       = { email_address = var.alert_email }

  depends_on = [google_project_service.needed]
}

locals {
  told = concat(var.notification_channels, google_monitoring_notification_channel.email[*].name)
}

resource "google_monitoring_alert_policy" "silent" {
  project      = var.project
  display_name = "${var.name}: reconcile is silent"
  combiner     = "OR"
  severity     = "CRITICAL"
  user_labels  = local.labels

  notification_channels = local.told

  conditions {
    display_name = "no successful round for 15 minutes"

    condition_absent {
      filter   = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name}-reconcile\" AND metric.type=\"run.googleapis.com/request_count\" AND metric.labels.response_code_class=\"2xx\""
      duration = "900s"

      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "Failed batch predictions are not found, waits and approvals are not carried out, undelivered alerts are not sent. Look at the Scheduler job `${var.name}-reconcile`, then at the log of the service of that name; `python -m remediator doctor` says what is missing."
  }

  depends_on = [google_project_service.needed]
}

resource "google_monitoring_alert_policy" "dead_letters" {
  project      = var.project
  display_name = "${var.name}: events could not be handled"
  combiner     = "OR"
  severity     = "ERROR"
  user_labels  = local.labels

  notification_channels = local.told

  conditions {
    display_name = "a dead letter"

    condition_threshold {
      filter          = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${google_pubsub_subscription.dead_letters.name}\" AND metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }

      trigger {
        count = 1
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "`python -m remediator dead-letters list` shows them; when the cause is fixed, `dead-letters replay` hands them in again."
  }
}

resource "google_monitoring_alert_policy" "backlog" {
  project      = var.project
  display_name = "${var.name}: events wait"
  combiner     = "OR"
  severity     = "WARNING"
  user_labels  = local.labels

  notification_channels = local.told

  conditions {
    display_name = "the oldest event is half an hour old"

    condition_threshold {
      filter          = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${google_pubsub_subscription.remediate.name}\" AND metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
      comparison      = "COMPARISON_GT"
      threshold_value = 1800
      duration        = "300s"

      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }

      trigger {
        count = 1
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "`remediate` answers 5xx or is too slow: see the log of `${var.name}-remediate`."
  }
}

resource "google_monitoring_alert_policy" "faults" {
  project      = var.project
  display_name = "${var.name}: faults of its own"
  combiner     = "OR"
  severity     = "WARNING"
  user_labels  = local.labels

  notification_channels = local.told

  conditions {
    display_name = "errors in its log"

    condition_threshold {
      # Cloud Logging's own count: a metric of ours would not be known yet when this policy is made.
      filter          = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=monitoring.regex.full_match(\"${var.name}-(remediate|reconcile|approve)\") AND metric.type=\"logging.googleapis.com/log_entry_count\" AND metric.labels.severity=one_of(\"ERROR\", \"CRITICAL\", \"ALERT\", \"EMERGENCY\")"
      comparison      = "COMPARISON_GT"
      threshold_value = 5
      duration        = "0s"

      aggregations {
        alignment_period     = "600s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }

      trigger {
        count = 1
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "Each line names what was refused or went wrong, and where; `python -m remediator doctor` checks permissions and secrets."
  }

  depends_on = [google_project_service.needed]
}

resource "google_monitoring_alert_policy" "sink" {
  project      = var.project
  display_name = "${var.name}: the log sink does not deliver"
  combiner     = "OR"
  severity     = "ERROR"
  user_labels  = local.labels

  notification_channels = local.told

  conditions {
    display_name = "export errors"

    condition_threshold {
      filter          = "resource.type=\"logging_sink\" AND resource.labels.name=\"${google_logging_project_sink.failures.name}\" AND metric.type=\"logging.googleapis.com/exports/error_count\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_DELTA"
      }

      trigger {
        count = 1
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "The sink's writer identity must be a publisher of the topic `${google_pubsub_topic.failures.name}`."
  }
}

resource "google_monitoring_dashboard" "this" {
  project        = var.project
  dashboard_json = templatefile("${path.module}/dashboard.json.tftpl", { name = var.name })

  depends_on = [google_project_service.needed]
}
