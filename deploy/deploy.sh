#!/usr/bin/env bash
# Deploys vertex-remediator to one project, or takes it away.
#
#   deploy/deploy.sh PROJECT REGION [--dry-run] [--yes] [--destroy] [--var NAME=VALUE ...]
#
# Idempotent: a second run changes what has changed. It asks before it spends or destroys.
# --dry-run prints every command, one a line, and runs none. --var passes a variable to Terraform
# (locations, max_mode, act_as, secrets, alert_email), as in --var 'secrets=["slack-webhook"]'.
set -euo pipefail

usage() {
  sed -n '2,8p' "$0" | sed 's/^# \{0,1\}//'
  exit "${1:-2}"
}

fail() {
  printf 'deploy: %s\n' "$1" >&2
  exit 1
}

dry_run='' yes='' destroy='' positional=() variables=()
while (($#)); do
  case "$1" in
    --dry-run) dry_run=1 ;;
    --yes) yes=1 ;;
    --destroy) destroy=1 ;;
    --var)
      [[ ${2-} == *=* ]] || fail '--var takes NAME=VALUE'
      variables+=("-var=$2")
      shift
      ;;
    -h | --help) usage 0 ;;
    -*) fail "unknown option $1" ;;
    *) positional+=("$1") ;;
  esac
  shift
done
((${#positional[@]} == 2)) || usage 2
project=${positional[0]} region=${positional[1]}
[[ $project =~ ^[a-z][a-z0-9-]{4,28}[a-z0-9]$ ]] || fail "not a project id: $project"
[[ $region =~ ^[a-z]+-[a-z]+[0-9]+$ ]] || fail "not a region: $region"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root_module=${here#"$PWD"/}/terraform/example
state_bucket=$project-vertex-remediator-state
plan=vertex-remediator.tfplan
variables=("-var=project=$project" "-var=region=$region" "${variables[@]}")

run() {
  if [[ $dry_run ]]; then
    printf '%q ' "$@" | sed 's/ $//'
    printf '\n'
  else
    "$@"
  fi
}

confirm() {
  [[ $dry_run || $yes ]] && return
  [[ -t 0 ]] || fail 'standard input is no terminal: say --yes to go on without being asked'
  read -r -p "$1 [y/N] " answer
  [[ $answer == [yY] ]] || fail 'nothing was changed'
}

need() {
  command -v "$1" >/dev/null || fail "$1 is not installed: $2"
}

check() {
  need gcloud 'https://cloud.google.com/sdk/docs/install'
  need terraform 'https://developer.hashicorp.com/terraform/install'
  [[ $(gcloud auth list --filter=status:ACTIVE --format='value(account)') ]] ||
    fail 'no account is active: gcloud auth login && gcloud auth application-default login'
  gcloud auth application-default print-access-token >/dev/null 2>&1 ||
    fail 'Terraform has no credentials: gcloud auth application-default login'
  gcloud projects describe "$project" --format='value(projectId)' >/dev/null ||
    fail "project $project is not there, or you may not see it"
  [[ $(gcloud billing projects describe "$project" --format='value(billingEnabled)') == True ]] ||
    fail "project $project has no billing account"
}

make_state_bucket() {
  if [[ $dry_run ]] || ! gcloud storage buckets describe "gs://$state_bucket" \
    --project="$project" --format='value(name)' >/dev/null 2>&1; then
    run gcloud storage buckets create "gs://$state_bucket" --project="$project" \
      --location="$region" --uniform-bucket-level-access --public-access-prevention
  fi
  run gcloud storage buckets update "gs://$state_bucket" --versioning
}

[[ $dry_run ]] || check

if [[ $destroy ]]; then
  confirm "Remove vertex-remediator and its ledger from $project?"
  run terraform "-chdir=$root_module" init -reconfigure "-backend-config=bucket=$state_bucket"
  run terraform "-chdir=$root_module" destroy -auto-approve "${variables[@]}"
  run gcloud storage rm --recursive "gs://$state_bucket" --project="$project"
  exit
fi

confirm "Deploy vertex-remediator to $project in $region? (a state bucket is made first, then Terraform's plan is shown)"
run gcloud services enable cloudresourcemanager.googleapis.com serviceusage.googleapis.com \
  storage.googleapis.com --project="$project"
make_state_bucket
run terraform "-chdir=$root_module" init -reconfigure "-backend-config=bucket=$state_bucket"
run terraform "-chdir=$root_module" plan "-out=$plan" "${variables[@]}"
confirm 'Apply this plan?'
run terraform "-chdir=$root_module" apply "$plan"
run rm -f "$root_module/$plan"
