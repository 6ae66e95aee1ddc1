# A deployment as it stands: observing, with an e-mail when it is unwell. `deploy/deploy.sh` runs
# this; to change something, copy it beside your own Terraform and edit the module's arguments.

terraform {
  required_version = ">= 1.5"

  backend "gcs" {
    prefix = "vertex-remediator"
  }

  required_providers {
    google = { source = "hashicorp/google", version = ">= 6.10, < 8" }
  }
}

variable "project" {
  type        = string
  description = "Project whose failed Vertex AI jobs are handled."
}

variable "region" {
  type        = string
  description = "Region of the functions."
}

variable "locations" {
  type        = list(string)
  default     = []
  description = "Regions that are served; empty: `region` alone."
}

variable "max_mode" {
  type        = string
  default     = "observe"
  description = "observe, approve or enforce: the ceiling over the policy file's own mode."
}

variable "act_as" {
  type        = set(string)
  default     = []
  description = "Service accounts whose jobs may be resubmitted."
}

variable "secrets" {
  type        = set(string)
  default     = []
  description = "Secrets that the policy file names."
}

variable "alert_email" {
  type        = string
  default     = ""
  description = "Who is told when the remediator itself is unwell."
}

provider "google" {
  project = var.project
  region  = var.region
}

module "vertex_remediator" {
  source = "../"

  project     = var.project
  region      = var.region
  locations   = var.locations
  max_mode    = var.max_mode
  act_as      = var.act_as
  secrets     = var.secrets
  alert_email = var.alert_email
}

output "vertex_remediator" {
  description = "Names, and the settings for `python -m remediator doctor`."
  value       = module.vertex_remediator
}
