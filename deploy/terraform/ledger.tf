# The ledger, which every claim rests on, and the secrets that the policy file names.

resource "google_firestore_database" "ledger" {
  project                           = var.project
  name                              = var.name
  location_id                       = local.ledger_location
  type                              = "FIRESTORE_NATIVE"
  concurrency_mode                  = "OPTIMISTIC"
  app_engine_integration_mode       = "DISABLED"
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_ENABLED"
  delete_protection_state           = var.protect_ledger ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED"
  deletion_policy                   = var.protect_ledger ? "ABANDON" : "DELETE"

  dynamic "cmek_config" {
    for_each = local.kms_key[*]

    content {
      kms_key_name = cmek_config.value
    }
  }

  depends_on = [google_project_service.needed]
}

# Documents that carry `expires` are removed by Firestore itself, within a day after.
resource "google_firestore_field" "expires" {
  project    = var.project
  database   = google_firestore_database.ledger.name
  collection = local.ledger_collection
  field      = "expires"

  ttl_config {}
}

# A body is one JSON text that nobody queries: an index of it would cost, and refuse long ones.
resource "google_firestore_field" "body" {
  project    = var.project
  database   = google_firestore_database.ledger.name
  collection = local.ledger_collection
  field      = "body"

  index_config {}
}

# Empty: a value is added with `gcloud secrets versions add`, and never stands in Terraform's state.
resource "google_secret_manager_secret" "named" {
  for_each = var.secrets

  project   = var.project
  secret_id = each.value
  labels    = local.labels

  replication {
    user_managed {
      replicas {
        location = var.region

        dynamic "customer_managed_encryption" {
          for_each = local.kms_key[*]

          content {
            kms_key_name = customer_managed_encryption.value
          }
        }
      }
    }
  }

  depends_on = [google_project_service.needed]
}

resource "google_secret_manager_secret_iam_member" "worker" {
  for_each = google_secret_manager_secret.named

  project   = var.project
  secret_id = each.value.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.worker.member
}

# It verifies signatures, and reads in the policy file who may approve: nothing else is its business.
resource "google_secret_manager_secret_iam_member" "approver" {
  for_each = var.approvals ? setintersection(
    var.secrets,
    toset([var.approve_secret, trimprefix(var.policies, "secret:")]),
  ) : toset([])

  project   = var.project
  secret_id = google_secret_manager_secret.named[each.value].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.approver[0].member
}

resource "google_storage_bucket_iam_member" "approver" {
  count = var.approvals && local.policy_bucket != "" ? 1 : 0

  bucket = local.policy_bucket
  role   = google_project_iam_custom_role.evidence.name
  member = google_service_account.approver[0].member
}
