# A deployment as it stands: observing. `deploy/deploy.sh` runs this, with its --var's; every variable
# of the module may be given (variables.tf is the module's own). In your own Terraform the same module
# needs two arguments: `project` and `region`.

terraform {
  required_version = ">= 1.5"

  backend "gcs" {
    prefix = "vertex-remediator"
  }

  required_providers {
    google = { source = "hashicorp/google", version = ">= 6.10, < 8" }
  }
}

# With a person's own credentials some APIs ask which project the calls count against: this one.
provider "google" {
  project               = var.project
  region                = var.region
  billing_project       = var.project
  user_project_override = true
}

module "vertex_remediator" {
  source = "../"

  project               = var.project
  region                = var.region
  name                  = var.name
  locations             = var.locations
  max_mode              = var.max_mode
  max_usd_per_day       = var.max_usd_per_day
  max_usd_per_job       = var.max_usd_per_job
  channel_hosts         = var.channel_hosts
  policies              = var.policies
  policies_file         = var.policies_file
  act_as                = var.act_as
  evidence_buckets      = var.evidence_buckets
  resume_bucket         = var.resume_bucket
  resume_dataset        = var.resume_dataset
  evidence_datasets     = var.evidence_datasets
  secrets               = var.secrets
  secret_environment    = var.secret_environment
  environment           = var.environment
  outcomes_topic        = var.outcomes_topic
  approvals             = var.approvals
  approve_secret        = var.approve_secret
  timeout_seconds       = var.timeout_seconds
  lease_minutes         = var.lease_minutes
  delivery_attempts     = var.delivery_attempts
  max_instances         = var.max_instances
  memory                = var.memory
  runtime               = var.runtime
  storage_regions       = var.storage_regions
  ledger_location       = var.ledger_location
  protect_ledger        = var.protect_ledger
  kms_key               = var.kms_key
  vpc_connector         = var.vpc_connector
  vpc_egress            = var.vpc_egress
  alert_email           = var.alert_email
  notification_channels = var.notification_channels
  labels                = var.labels
}

output "vertex_remediator" {
  description = "Names, and the settings of the functions."
  value       = module.vertex_remediator
}
