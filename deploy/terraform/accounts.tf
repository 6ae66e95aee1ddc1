# Who runs, who calls, and what each may do. docs/permissions.md says for each permission which call
# needs it; a test holds the two equal.

# `remediate` and `reconcile` are one worker in two shifts: what the first began the second carries
# on, with the same calls. One account also lets the sink and the loop guard know what is ours.
resource "google_service_account" "worker" {
  project      = var.project
  account_id   = "${var.name}-worker"
  display_name = "Vertex remediator: diagnoses and resubmits"

  depends_on = [google_project_service.needed]
}

resource "google_service_account" "approver" {
  count = var.approvals ? 1 : 0

  project      = var.project
  account_id   = "${var.name}-approver"
  display_name = "Vertex remediator: writes a person's answer to the ledger"

  depends_on = [google_project_service.needed]
}

resource "google_service_account" "caller" {
  for_each = {
    events = "delivers log entries to remediate"
    clock  = "calls reconcile every minute"
  }

  project      = var.project
  account_id   = "${var.name}-${each.key}"
  display_name = "Vertex remediator: ${each.value}"

  depends_on = [google_project_service.needed]
}

resource "google_service_account" "builder" {
  project      = var.project
  account_id   = "${var.name}-builder"
  display_name = "Vertex remediator: builds the functions"

  depends_on = [google_project_service.needed]
}

resource "google_project_iam_custom_role" "worker" {
  project     = var.project
  role_id     = replace("${var.name}_worker", "-", "_")
  title       = "Vertex remediator worker"
  description = "Reads failed jobs and their evidence, and resubmits them."

  permissions = [
    "aiplatform.batchPredictionJobs.cancel",
    "aiplatform.batchPredictionJobs.create",
    "aiplatform.batchPredictionJobs.get",
    "aiplatform.batchPredictionJobs.list",
    "aiplatform.customJobs.cancel",
    "aiplatform.customJobs.create",
    "aiplatform.customJobs.get",
    "aiplatform.customJobs.list",
    "aiplatform.hyperparameterTuningJobs.cancel",
    "aiplatform.hyperparameterTuningJobs.create",
    "aiplatform.hyperparameterTuningJobs.get",
    "aiplatform.hyperparameterTuningJobs.list",
    "aiplatform.models.get",
    "aiplatform.pipelineJobs.cancel",
    "aiplatform.pipelineJobs.create",
    "aiplatform.pipelineJobs.get",
    "aiplatform.pipelineJobs.list",
    "aiplatform.trainingPipelines.cancel",
    "aiplatform.trainingPipelines.create",
    "aiplatform.trainingPipelines.get",
    "aiplatform.trainingPipelines.list",
    "logging.logEntries.create",
    "logging.logEntries.list",
    "monitoring.timeSeries.list",
  ]
}

resource "google_project_iam_custom_role" "evidence" {
  project     = var.project
  role_id     = replace("${var.name}_evidence", "-", "_")
  title       = "Vertex remediator evidence"
  description = "Reads where a bucket lies and the error files of batch predictions."

  permissions = [
    "storage.buckets.get",
    "storage.objects.get",
    "storage.objects.list",
  ]
}

resource "google_project_iam_custom_role" "ledger" {
  project     = var.project
  role_id     = replace("${var.name}_ledger", "-", "_")
  title       = "Vertex remediator ledger"
  description = "Reads and writes the ledger's documents."

  permissions = [
    "datastore.entities.create",
    "datastore.entities.delete",
    "datastore.entities.get",
    "datastore.entities.list",
    "datastore.entities.update",
  ]
}

# A click is a change of one document: no list, and above all no deletion.
resource "google_project_iam_custom_role" "answers" {
  count = var.approvals ? 1 : 0

  project     = var.project
  role_id     = replace("${var.name}_answers", "-", "_")
  title       = "Vertex remediator answers"
  description = "Writes a person's answer into the ledger."

  permissions = [
    "datastore.entities.create",
    "datastore.entities.get",
    "datastore.entities.update",
  ]
}

resource "google_project_iam_member" "worker" {
  project = var.project
  role    = google_project_iam_custom_role.worker.name
  member  = google_service_account.worker.member
}

resource "google_project_iam_member" "evidence" {
  count = var.evidence_buckets == null ? 1 : 0

  project = var.project
  role    = google_project_iam_custom_role.evidence.name
  member  = google_service_account.worker.member
}

resource "google_storage_bucket_iam_member" "evidence" {
  for_each = setunion(
    var.evidence_buckets == null ? toset([]) : var.evidence_buckets,
    local.policy_bucket == "" ? toset([]) : toset([local.policy_bucket]),
    local.resume_bucket == "" ? toset([]) : toset([local.resume_bucket]),
  )

  bucket = each.value
  role   = google_project_iam_custom_role.evidence.name
  member = google_service_account.worker.member
}

# The rows that are left of a batch are written there, and a manifest that is written again.
resource "google_storage_bucket_iam_member" "resume" {
  count = local.resume_bucket == "" ? 0 : 1

  bucket = local.resume_bucket
  role   = "roles/storage.objectUser"
  member = google_service_account.worker.member
}

# Of rows in BigQuery: queries run in this project, tables are written to one dataset and read from those named.
resource "google_project_iam_member" "queries" {
  count = var.resume_dataset == "" ? 0 : 1

  project = var.project
  role    = "roles/bigquery.jobUser"
  member  = google_service_account.worker.member
}

resource "google_bigquery_dataset_iam_member" "resume" {
  for_each = local.dataset_roles

  project    = split(".", each.key)[0]
  dataset_id = split(".", each.key)[1]
  role       = each.value
  member     = google_service_account.worker.member
}

resource "google_project_iam_member" "ledger" {
  for_each = merge(
    {
      worker = {
        member = google_service_account.worker.member
        role   = google_project_iam_custom_role.ledger.name
      }
    },
    var.approvals ? {
      approver = {
        member = google_service_account.approver[0].member
        role   = google_project_iam_custom_role.answers[0].name
      }
    } : {},
  )

  project = var.project
  role    = each.value.role
  member  = each.value.member

  condition {
    title      = "the ledger alone"
    expression = "resource.name == \"projects/${var.project}/databases/${google_firestore_database.ledger.name}\""
  }
}

# Never project-wide: to act as an account is to run code as it.
resource "google_service_account_iam_member" "act_as" {
  for_each = var.act_as

  service_account_id = "projects/${var.project}/serviceAccounts/${each.value}"
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.worker.member
}

resource "google_project_iam_member" "builder" {
  project = var.project
  role    = "roles/logging.logWriter"
  member  = google_service_account.builder.member
}

resource "google_artifact_registry_repository_iam_member" "builder" {
  project    = var.project
  location   = var.region
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.builder.member
}

resource "google_storage_bucket_iam_member" "builder" {
  bucket = google_storage_bucket.source.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.builder.member
}

# A new account, a new agent and a new grant are known everywhere only after a while; the first build
# and the first push would come too early.
resource "time_sleep" "known" {
  create_duration = "60s"

  depends_on = [
    google_artifact_registry_repository_iam_member.builder,
    google_project_iam_member.builder,
    google_storage_bucket_iam_member.builder,
    google_pubsub_topic.dead_letters,
    google_pubsub_topic.failures,
    google_service_account.caller,
  ]
}
