# From a log entry to `remediate`: sink, topic, push subscription, dead letters. And the outcomes.

resource "google_pubsub_topic" "failures" {
  project                    = var.project
  name                       = "${var.name}-failures"
  labels                     = local.labels
  kms_key_name               = local.kms_key
  message_retention_duration = "604800s" # a week, so that it can be played again

  dynamic "message_storage_policy" {
    for_each = length(var.storage_regions) > 0 ? [var.storage_regions] : []

    content {
      allowed_persistence_regions = message_storage_policy.value
    }
  }

  depends_on = [google_project_service.needed]
}

# The filter is what `python -m remediator sink-filter` prints; a test holds the file equal to it.
resource "google_logging_project_sink" "failures" {
  project                = var.project
  name                   = "${var.name}-failures"
  description            = "Log entries that announce a failed Vertex AI job."
  destination            = "pubsub.googleapis.com/${google_pubsub_topic.failures.id}"
  filter                 = chomp(templatefile("${path.module}/sink-filter.tftpl", { account = google_service_account.worker.email }))
  unique_writer_identity = true
}

resource "google_pubsub_topic_iam_member" "sink" {
  project = var.project
  topic   = google_pubsub_topic.failures.name
  role    = "roles/pubsub.publisher"
  member  = google_logging_project_sink.failures.writer_identity
}

resource "google_pubsub_subscription" "remediate" {
  project                    = var.project
  name                       = "${var.name}-remediate"
  topic                      = google_pubsub_topic.failures.id
  labels                     = local.labels
  ack_deadline_seconds       = min(600, var.timeout_seconds + 10)
  message_retention_duration = "604800s"

  push_config {
    push_endpoint = google_cloudfunctions2_function.remediate.service_config[0].uri

    oidc_token {
      service_account_email = google_service_account.caller["events"].email
      audience              = google_cloudfunctions2_function.remediate.service_config[0].uri
    }
  }

  retry_policy {
    minimum_backoff = "30s"
    maximum_backoff = "600s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letters.id
    max_delivery_attempts = var.delivery_attempts
  }

  expiration_policy {
    ttl = "" # never, however long nothing fails
  }

  lifecycle {
    precondition {
      condition     = 30 * (var.delivery_attempts - 1) > 60 * var.lease_minutes
      error_message = "An event would be a dead letter before the lease of a killed holder has ended: raise delivery_attempts or lower lease_minutes."
    }
  }

  depends_on = [google_cloud_run_v2_service_iam_member.events]
}

resource "google_pubsub_topic" "dead_letters" {
  project      = var.project
  name         = "${var.name}-dead-letters"
  labels       = local.labels
  kms_key_name = local.kms_key

  dynamic "message_storage_policy" {
    for_each = length(var.storage_regions) > 0 ? [var.storage_regions] : []

    content {
      allowed_persistence_regions = message_storage_policy.value
    }
  }

  depends_on = [google_project_service.needed]
}

resource "google_pubsub_subscription" "dead_letters" {
  project                    = var.project
  name                       = "${var.name}-dead-letters"
  topic                      = google_pubsub_topic.dead_letters.id
  labels                     = local.labels
  ack_deadline_seconds       = 60
  message_retention_duration = "2678400s" # 31 days, the longest

  expiration_policy {
    ttl = ""
  }
}

locals {
  pubsub_agent = "serviceAccount:service-${local.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

# Dead-lettering is done by Pub/Sub's own agent, which must be allowed to.
resource "google_pubsub_topic_iam_member" "dead_letters" {
  project = var.project
  topic   = google_pubsub_topic.dead_letters.name
  role    = "roles/pubsub.publisher"
  member  = local.pubsub_agent

  depends_on = [time_sleep.known]
}

resource "google_pubsub_subscription_iam_member" "dead_letters" {
  project      = var.project
  subscription = google_pubsub_subscription.remediate.name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent

  depends_on = [time_sleep.known]
}

# In projects made before April 2021 the agent may not yet make tokens for the push account.
resource "google_service_account_iam_member" "push_token" {
  service_account_id = google_service_account.caller["events"].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.pubsub_agent

  depends_on = [time_sleep.known]
}

resource "google_pubsub_topic" "outcomes" {
  count = var.outcomes_topic ? 1 : 0

  project      = var.project
  name         = "${var.name}-outcomes"
  labels       = local.labels
  kms_key_name = local.kms_key

  dynamic "message_storage_policy" {
    for_each = length(var.storage_regions) > 0 ? [var.storage_regions] : []

    content {
      allowed_persistence_regions = message_storage_policy.value
    }
  }

  depends_on = [google_project_service.needed]
}

resource "google_pubsub_topic_iam_member" "outcomes" {
  count = var.outcomes_topic ? 1 : 0

  project = var.project
  topic   = google_pubsub_topic.outcomes[0].name
  role    = "roles/pubsub.publisher"
  member  = google_service_account.worker.member
}
