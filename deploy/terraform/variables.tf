# What is asked of whoever deploys. Only `project` and `region` have no default.

variable "project" {
  type        = string
  description = "Project whose failed Vertex AI jobs are handled, and in which everything here is made."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "Must be a project's id (not its number, not its name)."
  }
}

variable "region" {
  type        = string
  description = "Region of the functions, the scheduler and, unless told otherwise, of all that is stored."

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "Must be a region such as us-central1."
  }
}

variable "name" {
  type        = string
  default     = "vertex-remediator"
  description = "Beginning of every name here, so that two deployments can stand in one project."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,16}[a-z0-9]$", var.name))
    error_message = "Must be 4 to 18 characters of a-z, 0-9 and -, and not end in -: a database's id has at least 4, a service account's at most 30."
  }
}

variable "locations" {
  type        = list(string)
  default     = []
  description = "Regions that are served and swept; empty: `region` alone."

  validation {
    condition     = alltrue([for place in var.locations : can(regex("^[a-z]+-[a-z]+[0-9]+$", place))])
    error_message = "Each must be a region such as us-central1."
  }
}

variable "max_mode" {
  type        = string
  default     = "observe"
  description = "Ceiling over the policy file's mode. The default changes nothing whatever the file says."

  validation {
    condition     = contains(["observe", "approve", "enforce"], var.max_mode)
    error_message = "Must be observe, approve or enforce."
  }
}

variable "max_usd_per_day" {
  type        = number
  default     = 500
  description = "Ceiling in USD for all resubmissions of a UTC day, whatever the policy file says."

  validation {
    condition     = var.max_usd_per_day >= 0
    error_message = "Must not be negative."
  }
}

variable "max_usd_per_job" {
  type        = number
  default     = 100
  description = "Ceiling in USD for all resubmissions of one root job, whatever the policy file says."

  validation {
    condition     = var.max_usd_per_job >= 0
    error_message = "Must not be negative."
  }
}

variable "channel_hosts" {
  type        = list(string)
  default     = ["hooks.slack.com", "slack.com"]
  description = "Hosts that alerts may be sent to, whatever the policy file says."

  validation {
    condition     = length(var.channel_hosts) > 0
    error_message = "Name at least one host."
  }
}

variable "policies" {
  type        = string
  default     = ""
  description = "Empty: the file `policies.yaml` is deployed with the code. Else gs://BUCKET/OBJECT or secret:NAME, read at run time: then no deployment is needed to change it."

  validation {
    condition     = can(regex("^(|gs://[a-z0-9._-]+/.+|secret:[A-Za-z0-9_-]+)$", var.policies))
    error_message = "Must be empty, gs://BUCKET/OBJECT or secret:NAME."
  }
}

variable "policies_file" {
  type        = string
  default     = ""
  description = "Path of the policy file that is deployed with the code; empty: the one that ships."

  validation {
    condition     = var.policies_file == "" ? true : fileexists(var.policies_file)
    error_message = "There is no such file (a path that is not absolute is one from the root module)."
  }
}

variable "act_as" {
  type        = set(string)
  default     = []
  description = "Service accounts whose jobs may be resubmitted. Each gets one grant: to create a job that runs as an account is to run code as it. Jobs that name no account need none. Empty: those alone can be resubmitted."

  validation {
    condition     = alltrue([for account in var.act_as : can(regex("^[a-z0-9-]+@[a-z0-9.-]+\\.gserviceaccount\\.com$", account))])
    error_message = "Each must be the e-mail of a service account."
  }
}

variable "evidence_buckets" {
  type        = set(string)
  default     = null
  description = "Buckets whose location and error files may be read; null: all of the project."
}

variable "resume_bucket" {
  type        = string
  default     = ""
  description = "`gs://BUCKET/PREFIX` of yours, in the location of the jobs, to which the rows that are left of a batch are written and from which they are run again (`rows: remaining`). The functions may read and write its objects; empty: such steps are passed over."

  validation {
    condition     = var.resume_bucket == "" || can(regex("^gs://[a-z0-9][a-z0-9._-]+(/[^*?#[:space:]]*)?$", var.resume_bucket))
    error_message = "It must be gs://BUCKET or gs://BUCKET/PREFIX."
  }
}

variable "resume_dataset" {
  type        = string
  default     = ""
  description = "`PROJECT.DATASET` of yours in BigQuery, in the location of the tables, to which the rows that are left of a batch are written where its input is a table (`rows: remaining`). The functions may run queries in this project and write tables there; empty: such steps are passed over."

  validation {
    condition     = var.resume_dataset == "" || can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]\\.[A-Za-z0-9_]+$", var.resume_dataset))
    error_message = "It must be PROJECT.DATASET."
  }
}

variable "evidence_datasets" {
  type        = set(string)
  default     = []
  description = "`PROJECT.DATASET` of the tables that batches take their rows from and write their results to, each of which may be read; for `resume_dataset`."

  validation {
    condition     = alltrue([for one in var.evidence_datasets : can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]\\.[A-Za-z0-9_]+$", one))])
    error_message = "Each must be PROJECT.DATASET."
  }
}

variable "secrets" {
  type        = set(string)
  default     = ["vertex-remediator-slack-webhook"]
  description = "Secret Manager secrets that the policy file names as `secret:NAME`, or that `secret_environment` names (webhook, SMTP URL, signing secret). They are made empty here; their values never pass through Terraform."

  validation {
    condition     = alltrue([for name in var.secrets : can(regex("^[A-Za-z0-9_-]{1,255}$", name))])
    error_message = "Each must be a secret's id."
  }
}

variable "secret_environment" {
  type = map(string)
  default = {
    SLACK_WEBHOOK_URL = "vertex-remediator-slack-webhook"
    SMTP_URL          = "vertex-remediator-smtp-url"
  }
  description = "Names that the policy file uses as `env:NAME`, each with the secret that holds its value; those whose secret is one of `secrets` are set. The value is read when it is needed: a new version needs no deployment."

  validation {
    condition     = alltrue([for name in keys(var.secret_environment) : can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name)) && !startswith(name, "REMEDIATOR_")])
    error_message = "Each must be the name of an environment variable, and none a REMEDIATOR_ setting."
  }
}

variable "environment" {
  type        = map(string)
  default     = {}
  description = "More REMEDIATOR_… settings (LOOKBACK, SETTLE, CONSISTENCY_WAIT, STOP, RESUME_DATASET: with the last BigQuery's API is enabled too)."

  validation {
    condition     = alltrue([for key in keys(var.environment) : startswith(key, "REMEDIATOR_")])
    error_message = "Only REMEDIATOR_… settings; secrets belong in `secrets`."
  }
}

variable "outcomes_topic" {
  type        = bool
  default     = true
  description = "Make a topic on which what becomes of each chain is published."
}

variable "approvals" {
  type        = bool
  default     = false
  description = "Deploy `approve`, which Slack calls when a person clicks. The only door open to the internet; it writes an answer to the ledger and can do nothing else."
}

variable "approve_secret" {
  type        = string
  default     = ""
  description = "The one of `secrets` that holds Slack's signing secret; the only one that `approve` may read."
}

variable "timeout_seconds" {
  type        = number
  default     = 120
  description = "How long one event or one round may take."

  validation {
    condition     = var.timeout_seconds >= 100 && var.timeout_seconds <= 540
    error_message = "Must be from 100 to 540: an event is worked on for up to 90 seconds and then answered, and Pub/Sub waits for no more than 600."
  }
}

variable "lease_minutes" {
  type        = number
  default     = 10
  description = "How long a claim protects a creation (REMEDIATOR_LEASE); longer than the time-out."

  validation {
    condition     = var.lease_minutes >= 2 && var.lease_minutes <= 60
    error_message = "Must be from 2 to 60."
  }
}

variable "delivery_attempts" {
  type        = number
  default     = 30
  description = "Deliveries of one event before it is a dead letter."

  validation {
    condition     = var.delivery_attempts >= 5 && var.delivery_attempts <= 100
    error_message = "Pub/Sub takes from 5 to 100."
  }
}

variable "max_instances" {
  type        = number
  default     = 10
  description = "Instances of `remediate` at most; each handles four events at a time."

  validation {
    condition     = var.max_instances >= 1 && var.max_instances <= 100
    error_message = "Must be from 1 to 100."
  }
}

variable "memory" {
  type        = string
  default     = "512Mi"
  description = "Memory of each function."

  validation {
    condition     = can(regex("^([0-9]+Mi|[0-9]+Gi)$", var.memory))
    error_message = "Must be such as 512Mi or 1Gi."
  }
}

variable "runtime" {
  type        = string
  default     = "python311"
  description = "Runtime of the functions; Python 3.11 or later."

  validation {
    condition     = can(regex("^python3(1[1-9])$", var.runtime))
    error_message = "Must be python311 or later."
  }
}

variable "storage_regions" {
  type        = list(string)
  default     = []
  description = "Regions in which Pub/Sub may keep messages; empty: any."

  validation {
    condition     = alltrue([for place in var.storage_regions : can(regex("^[a-z]+-[a-z]+[0-9]+$", place))])
    error_message = "Each must be a region such as us-central1."
  }
}

variable "ledger_location" {
  type        = string
  default     = ""
  description = "Location of the Firestore database, a region or nam5 or eur3; empty: `region`. It can never be changed."

  validation {
    condition     = can(regex("^(|nam5|nam7|eur3|[a-z]+-[a-z]+[0-9]+)$", var.ledger_location))
    error_message = "Must be a region such as us-central1, or a multi-region: nam5, nam7, eur3."
  }
}

variable "protect_ledger" {
  type        = bool
  default     = false
  description = "Refuse to delete the ledger, also by Terraform."
}

variable "kms_key" {
  type        = string
  default     = ""
  description = "CMEK for topics, ledger, secrets, source and images. Empty: Google's keys. Pub/Sub's, Firestore's, Secret Manager's, Cloud Storage's and Artifact Registry's agents must be allowed to use it."

  validation {
    condition     = can(regex("^(|projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+)$", var.kms_key))
    error_message = "Must be projects/P/locations/L/keyRings/R/cryptoKeys/K."
  }
}

variable "vpc_connector" {
  type        = string
  default     = ""
  description = "Serverless VPC Access connector through which the functions go out; empty: none."

  validation {
    condition     = can(regex("^(|projects/[^/]+/locations/[^/]+/connectors/[^/]+)$", var.vpc_connector))
    error_message = "Must be projects/P/locations/L/connectors/C."
  }
}

variable "vpc_egress" {
  type        = string
  default     = "PRIVATE_RANGES_ONLY"
  description = "What goes through the connector."

  validation {
    condition     = contains(["PRIVATE_RANGES_ONLY", "ALL_TRAFFIC"], var.vpc_egress)
    error_message = "Must be PRIVATE_RANGES_ONLY or ALL_TRAFFIC."
  }
}

variable "alert_email" {
  type        = string
  default     = ""
  description = "Who is told when the remediator itself is unwell; empty: `notification_channels` alone."

  validation {
    condition     = can(regex("^(|[^@[:space:]]+@[^@[:space:]]+)$", var.alert_email))
    error_message = "Must be an e-mail address."
  }
}

variable "notification_channels" {
  type        = list(string)
  default     = []
  description = "Names of existing Cloud Monitoring notification channels for the same."

  validation {
    condition     = alltrue([for name in var.notification_channels : can(regex("^projects/[^/]+/notificationChannels/[^/]+$", name))])
    error_message = "Each must be projects/P/notificationChannels/N."
  }
}

variable "labels" {
  type        = map(string)
  default     = {}
  description = "Labels on everything that takes them."
}
