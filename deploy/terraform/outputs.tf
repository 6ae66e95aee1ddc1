output "remediate" {
  description = "Name of the function that handles events."
  value       = google_cloudfunctions2_function.remediate.name
}

output "worker" {
  description = "Account that reads and resubmits; to let it resubmit the jobs of another account, add that one to act_as."
  value       = google_service_account.worker.email
}

output "failures_topic" {
  description = "Topic that the log sink feeds."
  value       = google_pubsub_topic.failures.id
}

output "dead_letters" {
  description = "Subscription that holds the events that could not be handled."
  value       = google_pubsub_subscription.dead_letters.id
}

output "outcomes_topic" {
  description = "Topic on which what becomes of each chain is published; empty where there is none."
  value       = one(google_pubsub_topic.outcomes[*].id)
}

output "approve_url" {
  description = "Request URL for Slack's interactivity settings; empty without approvals."
  value       = one(google_cloudfunctions2_function.approve[*].service_config[0].uri)
}

output "settings" {
  description = "The environment of the functions, for `python -m remediator doctor`."
  value       = local.settings
}
