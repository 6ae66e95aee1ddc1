# The names that the other files share, the APIs, and the code that is deployed.

data "google_project" "this" {
  project_id = var.project

  depends_on = [google_project_service.needed]
}

locals {
  number          = data.google_project.this.number
  labels          = merge(var.labels, { app = var.name })
  locations       = length(var.locations) > 0 ? var.locations : [var.region]
  ledger_location = var.ledger_location != "" ? var.ledger_location : var.region
  kms_key         = var.kms_key != "" ? var.kms_key : null

  ledger_collection = "remediator"
  policy_bucket     = startswith(var.policies, "gs://") ? split("/", var.policies)[2] : ""
  resume_bucket     = var.resume_bucket != "" ? split("/", var.resume_bucket)[2] : ""

  settings = merge(
    {
      GOOGLE_CLOUD_PROJECT        = var.project
      GOOGLE_CLOUD_PROJECT_NUMBER = local.number
      REMEDIATOR_LEDGER           = "firestore://${google_firestore_database.ledger.name}/${local.ledger_collection}"
      REMEDIATOR_LOCATIONS        = join(",", local.locations)
      REMEDIATOR_LEASE            = "${var.lease_minutes}m"
      REMEDIATOR_MAX_MODE         = var.max_mode
      REMEDIATOR_MAX_USD_PER_DAY  = tostring(var.max_usd_per_day)
      REMEDIATOR_MAX_USD_PER_JOB  = tostring(var.max_usd_per_job)
      REMEDIATOR_CHANNEL_HOSTS    = join(",", var.channel_hosts)
      REMEDIATOR_SERVICE_ACCOUNTS = join(",", concat(["default"], sort(var.act_as)))
    },
    var.policies != "" ? { REMEDIATOR_POLICIES = var.policies } : {},
    { for name, secret in var.secret_environment : name => "secret:${secret}" if contains(var.secrets, secret) },
    var.resume_bucket != "" ? { REMEDIATOR_RESUME_BUCKET = var.resume_bucket } : {},
    var.resume_dataset != "" ? { REMEDIATOR_RESUME_DATASET = var.resume_dataset } : {},
    var.outcomes_topic ? { REMEDIATOR_OUTCOMES_TOPIC = google_pubsub_topic.outcomes[0].name } : {},
    var.environment,
  )
}

# BigQuery's alone is asked for where rows in tables are to be run again; with "" they are not.
locals {
  resume_dataset = var.resume_dataset != "" ? var.resume_dataset : lookup(var.environment, "REMEDIATOR_RESUME_DATASET", "")
  dataset_roles = var.resume_dataset == "" ? {} : merge(
    { for one in var.evidence_datasets : one => "roles/bigquery.dataViewer" },
    { (var.resume_dataset) = "roles/bigquery.dataEditor" },
  )
  apis = concat([
    "aiplatform.googleapis.com",
    "artifactregistry.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudfunctions.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "cloudscheduler.googleapis.com",
    "firestore.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "serviceusage.googleapis.com",
    "storage.googleapis.com",
  ], local.resume_dataset == "" ? [] : ["bigquery.googleapis.com"])
}

resource "google_project_service" "needed" {
  for_each = toset(local.apis)

  project            = var.project
  service            = each.value
  disable_on_destroy = false # others may use it by then
}

# What the policy file refers to, where it is deployed with the code; its comments are not read.
locals {
  policies_path   = var.policies_file != "" ? var.policies_file : "${local.root}/policies.yaml"
  compiled_path   = "${trimsuffix(trimsuffix(local.policies_path, ".yaml"), ".yml")}.compiled.json"
  references      = var.policies != "" ? "" : jsonencode(yamldecode(file(local.policies_path)))
  named_secrets   = toset(flatten(regexall("\"secret:([A-Za-z0-9_-]+)\"", local.references)))
  named_variables = toset(flatten(regexall("\"env:([A-Za-z_][A-Za-z0-9_]*)\"", local.references)))
}

# Exactly what runs, file by file: no test, no twin, no virtual environment can slip in, nor the text
# files of the signatures, of which compiled.json is made.
locals {
  root     = abspath("${path.module}/../..")
  kinds    = [".css", ".jinja", ".js", ".json", ".py", ".tsv"]
  packaged = [for file in fileset(local.root, "remediator/**") : file if anytrue([for kind in local.kinds : endswith(file, kind)])]
  files = merge(
    { for file in local.packaged : file => "${local.root}/${file}" },
    {
      "main.py"          = "${local.root}/main.py"
      "requirements.txt" = "${local.root}/deploy/requirements.lock"
      "policies.yaml"    = local.policies_path
    },
    # What `validate --compile` wrote. It is taken for exactly the text that it was made of, so an old one is only slow.
    fileexists(local.compiled_path) ? { "policies.compiled.json" = local.compiled_path } : {},
  )
}

data "archive_file" "source" {
  type        = "zip"
  output_path = "${path.root}/.terraform/${var.name}-source.zip"

  dynamic "source" {
    for_each = local.files

    content {
      filename = source.key
      content  = file(source.value)
    }
  }
}

resource "google_storage_bucket" "source" {
  # checkov:skip=CKV_GCP_62: holds the functions' own public source, written by Terraform alone
  project                     = var.project
  name                        = "${var.project}-${var.name}-source"
  location                    = var.region
  labels                      = local.labels
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true

  versioning {
    enabled = true
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      num_newer_versions = 10
    }
  }

  dynamic "encryption" {
    for_each = local.kms_key[*]

    content {
      default_kms_key_name = encryption.value
    }
  }

  depends_on = [google_project_service.needed]
}

# Of its own, so that the builder may write nowhere else and nothing stays behind.
resource "google_artifact_registry_repository" "images" {
  project       = var.project
  location      = var.region
  repository_id = "${var.name}-images"
  description   = "Vertex remediator: what Cloud Build makes of the functions."
  format        = "DOCKER"
  labels        = local.labels
  kms_key_name  = local.kms_key

  depends_on = [google_project_service.needed]
}

resource "google_storage_bucket_object" "source" {
  bucket = google_storage_bucket.source.name
  name   = "source-${data.archive_file.source.output_md5}.zip"
  source = data.archive_file.source.output_path
}
