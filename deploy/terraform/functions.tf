# The three doors. All are one code base; which function answers is the entry point's name.

locals {
  build = "projects/${var.project}/serviceAccounts/${google_service_account.builder.email}"

  # Google's builder compiles our files and then resets their times, so that bytecode that is known by
  # time is stale and every cold start compiles anew. With this variable Python makes bytecode that is
  # known by its source's hash.
  build_environment = { SOURCE_DATE_EPOCH = "315532800" }
}

resource "google_cloudfunctions2_function" "remediate" {
  project     = var.project
  location    = var.region
  name        = "${var.name}-remediate"
  description = "Diagnoses one failed Vertex AI job, applies the policies, alerts."
  labels      = local.labels

  build_config {
    docker_repository = google_artifact_registry_repository.images.id
    runtime           = var.runtime
    entry_point       = "remediate"
    service_account   = local.build

    environment_variables = local.build_environment

    source {
      storage_source {
        bucket = google_storage_bucket.source.name
        object = google_storage_bucket_object.source.name
      }
    }
  }

  service_config {
    service_account_email            = google_service_account.worker.email
    ingress_settings                 = "ALLOW_INTERNAL_ONLY"
    available_memory                 = var.memory
    available_cpu                    = "1"
    timeout_seconds                  = var.timeout_seconds
    min_instance_count               = 0
    max_instance_count               = var.max_instances
    max_instance_request_concurrency = 4
    all_traffic_on_latest_revision   = true
    environment_variables            = local.settings
    vpc_connector                    = var.vpc_connector != "" ? var.vpc_connector : null
    vpc_connector_egress_settings    = var.vpc_connector != "" ? var.vpc_egress : null
  }

  lifecycle {
    precondition {
      condition     = 60 * var.lease_minutes > var.timeout_seconds
      error_message = "The lease must be longer than the time-out: else a second execution may create while the first still does."
    }

    precondition {
      condition     = !startswith(var.policies, "secret:") || contains(var.secrets, trimprefix(var.policies, "secret:"))
      error_message = "The secret that holds the policies must be one of secrets, so that it may be read."
    }

    precondition {
      condition     = length(setsubtract(local.named_secrets, var.secrets)) == 0
      error_message = "The policy file names secrets that are not in secrets, so that they could not be read: ${join(", ", setsubtract(local.named_secrets, var.secrets))}."
    }

    precondition {
      condition     = length(setsubtract(local.named_variables, keys(local.settings))) == 0
      error_message = "The policy file names environment variables that the functions do not have: ${join(", ", setsubtract(local.named_variables, keys(local.settings)))}. Name their secrets in secret_environment and in secrets, or write secret:NAME in the policy file."
    }
  }

  depends_on = [time_sleep.known]
}

resource "google_cloudfunctions2_function" "reconcile" {
  project     = var.project
  location    = var.region
  name        = "${var.name}-reconcile"
  description = "Time passing: silent failures, outcomes, waits, approvals, undelivered alerts."
  labels      = local.labels

  build_config {
    docker_repository = google_artifact_registry_repository.images.id
    runtime           = var.runtime
    entry_point       = "reconcile"
    service_account   = local.build

    environment_variables = local.build_environment

    source {
      storage_source {
        bucket = google_storage_bucket.source.name
        object = google_storage_bucket_object.source.name
      }
    }
  }

  service_config {
    service_account_email            = google_service_account.worker.email
    ingress_settings                 = "ALLOW_INTERNAL_ONLY"
    available_memory                 = var.memory
    available_cpu                    = "1"
    timeout_seconds                  = var.timeout_seconds
    min_instance_count               = 0
    max_instance_count               = 2
    max_instance_request_concurrency = 1
    all_traffic_on_latest_revision   = true
    environment_variables            = local.settings
    vpc_connector                    = var.vpc_connector != "" ? var.vpc_connector : null
    vpc_connector_egress_settings    = var.vpc_connector != "" ? var.vpc_egress : null
  }

  depends_on = [time_sleep.known]
}

resource "google_cloudfunctions2_function" "approve" {
  count = var.approvals ? 1 : 0

  project     = var.project
  location    = var.region
  name        = "${var.name}-approve"
  description = "Takes a click in Slack, verified by its signature, and writes it to the ledger."
  labels      = local.labels

  build_config {
    docker_repository = google_artifact_registry_repository.images.id
    runtime           = var.runtime
    entry_point       = "approve"
    service_account   = local.build

    environment_variables = local.build_environment

    source {
      storage_source {
        bucket = google_storage_bucket.source.name
        object = google_storage_bucket_object.source.name
      }
    }
  }

  service_config {
    service_account_email            = google_service_account.approver[0].email
    ingress_settings                 = "ALLOW_ALL" # Slack calls from the internet
    available_memory                 = var.memory
    available_cpu                    = "1"
    timeout_seconds                  = var.timeout_seconds
    min_instance_count               = 0
    max_instance_count               = 2
    max_instance_request_concurrency = 8
    all_traffic_on_latest_revision   = true
    environment_variables            = local.settings
    vpc_connector                    = var.vpc_connector != "" ? var.vpc_connector : null
    vpc_connector_egress_settings    = var.vpc_connector != "" ? var.vpc_egress : null
  }

  lifecycle {
    precondition {
      condition     = contains(var.secrets, var.approve_secret)
      error_message = "With approvals, approve_secret must be one of secrets: without Slack's signing secret no click can be verified."
    }
  }

  depends_on = [time_sleep.known]
}

resource "google_cloud_run_v2_service_iam_member" "events" {
  project  = var.project
  location = var.region
  name     = google_cloudfunctions2_function.remediate.name
  role     = "roles/run.invoker"
  member   = google_service_account.caller["events"].member
}

resource "google_cloud_run_v2_service_iam_member" "clock" {
  project  = var.project
  location = var.region
  name     = google_cloudfunctions2_function.reconcile.name
  role     = "roles/run.invoker"
  member   = google_service_account.caller["clock"].member
}

# Slack has no Google identity; the function verifies its signature instead.
resource "google_cloud_run_v2_service_iam_member" "slack" {
  count = var.approvals ? 1 : 0

  project  = var.project
  location = var.region
  name     = google_cloudfunctions2_function.approve[0].name
  role     = "roles/run.invoker"
  member   = "allUsers"
}

resource "google_cloud_scheduler_job" "reconcile" {
  project          = var.project
  region           = var.region
  name             = "${var.name}-reconcile"
  description      = "Calls reconcile every minute."
  schedule         = "* * * * *"
  time_zone        = "Etc/UTC"
  attempt_deadline = "${var.timeout_seconds}s"

  retry_config {
    retry_count = 0 # the next minute is the retry
  }

  http_target {
    http_method = "POST"
    uri         = google_cloudfunctions2_function.reconcile.service_config[0].uri

    oidc_token {
      service_account_email = google_service_account.caller["clock"].email
      audience              = google_cloudfunctions2_function.reconcile.service_config[0].uri
    }
  }

  depends_on = [google_cloud_run_v2_service_iam_member.clock]
}
