#!/usr/bin/env bash
# Deploys vertex-remediator to one project, or removes it.
#
#   deploy/deploy.sh PROJECT REGION [--dry-run] [--yes] [--destroy] [--var NAME=VALUE ...]
#   deploy/deploy.sh PROJECT REGION --cost JOBS
#
# Idempotent: a second run changes what has changed. It asks before it spends or destroys.
# --dry-run prints every command, one a line, and runs none. --var sets a variable of
# deploy/terraform/variables.tf (locations, max_mode, act_as, secrets, alert_email), as in
# --var 'secrets=["slack-webhook"]'; it is remembered for later runs, whoever makes them.
# --cost says what a month costs in which JOBS jobs fail, and does nothing. --new-region takes a
# region that deploy/regions.txt does not list yet.
set -euo pipefail
export CLOUDSDK_CORE_DISABLE_PROMPTS=1 # it is this script that asks

usage() {
  sed -n '2,12p' "$0" | sed 's/^# \{0,1\}//'
  exit "${1:-2}"
}

fail() {
  printf 'deploy: %s\n' "$1" >&2
  exit 1
}

say() {
  printf 'deploy: %s\n' "$1" >&2
}

# `${a[@]+"${a[@]}"}`: an empty array is an unset one to the bash that macOS has.
dry_run='' yes='' destroy='' cost='' new_region='' positional=() given=()
while (($#)); do
  case "$1" in
    --dry-run) dry_run=1 ;;
    --yes) yes=1 ;;
    --destroy) destroy=1 ;;
    --var)
      [[ ${2-} =~ ^[a-z_]+= ]] || fail '--var takes NAME=VALUE'
      [[ $2 != *$'\n'* ]] || fail '--var takes one line'
      [[ ! $2 =~ ^(project|region)= ]] || fail "${2%%=*} is given as an argument, not by --var"
      given+=("$2")
      # Terraform reads paths from its own folder: a path is made whole here.
      [[ $2 != policies_file=[!/]* ]] ||
        given[${#given[@]} - 1]=policies_file=$PWD/${2#policies_file=}
      shift
      ;;
    --cost)
      [[ ${2-} =~ ^[0-9]{1,7}$ ]] || fail '--cost takes the number of jobs that fail in a month'
      cost=$2
      shift
      ;;
    --new-region) new_region=1 ;;
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

name=vertex-remediator
for one in ${given[@]+"${given[@]}"}; do
  [[ $one != name=* ]] || name=${one#name=}
done
[[ $name =~ ^[a-z][a-z0-9-]{2,16}[a-z0-9]$ ]] || fail "not a name of 4 to 18 characters of a-z, 0-9 and -: $name"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# What is misspelt is told before anything is enabled or made.

# The known word that differs from $1 in the fewest letters, if it is at most three.
nearest() {
  local word=$1 best='' least=4 known i j above left row
  shift
  for known in "$@"; do
    row=()
    for ((j = 0; j <= ${#known}; j++)); do row[j]=$j; done
    for ((i = 1; i <= ${#word}; i++)); do
      above=${row[0]} row[0]=$i
      for ((j = 1; j <= ${#known}; j++)); do
        left=${row[j]}
        [[ ${word:i-1:1} == "${known:j-1:1}" ]] || ((above++)) || true
        ((row[j] + 1 < above)) && above=$((row[j] + 1))
        ((row[j - 1] + 1 < above)) && above=$((row[j - 1] + 1))
        row[j]=$above above=$left
      done
    done
    ((row[${#known}] >= least)) || { least=${row[${#known}]} best=$known; }
  done
  [[ ! $best ]] || printf '; did you mean %s?' "$best"
}

regions=()
while IFS= read -r line; do
  [[ $line == '#'* || ! $line ]] || regions+=("$line")
done <"$here/regions.txt"

check_region() {
  local known
  [[ ! $new_region ]] || return 0
  for known in "${regions[@]}"; do
    [[ $known != "$1" ]] || return 0
  done
  fail "unknown region $1$(nearest "$1" "${regions[@]}") (--new-region takes it all the same)"
}

# The module's variables and their types, and whether a value can be of that type.
names=() types=()
while IFS= read -r line; do
  if [[ $line =~ ^variable\ \"([a-z_]+)\" ]]; then
    names+=("${BASH_REMATCH[1]}")
  elif [[ $line =~ ^\ \ type\ *=\ *([a-z]+) ]]; then
    types+=("${BASH_REMATCH[1]}")
  fi
done <"$here/terraform/variables.tf"

check_variable() {
  local word=${1%%=*} value=${1#*=} i type='' element
  for ((i = 0; i < ${#names[@]}; i++)); do
    [[ ${names[i]} != "$word" ]] || type=${types[i]}
  done
  [[ $type ]] || fail "unknown variable $word$(nearest "$word" "${names[@]}") (deploy/terraform/variables.tf has them all)"
  case $type in
    list | set) [[ $value == '['*']' || $value == null ]] || fail "$word is a list: --var '$word=[\"$value\"]'" ;;
    map | object) [[ $value == '{'*'}' || $value == null ]] || fail "$word is a map: --var '$word={NAME = \"VALUE\"}'" ;;
    bool) [[ $value == true || $value == false ]] || fail "$word is true or false, not $value" ;;
    number) [[ $value =~ ^-?[0-9]+(\.[0-9]+)?$ ]] || fail "$word is a number, not $value" ;;
  esac
  if [[ $word == locations ]]; then
    while [[ $value =~ \"([^\"]*)\"(.*)$ ]]; do
      element=${BASH_REMATCH[1]} value=${BASH_REMATCH[2]}
      check_region "$element"
    done
  fi
}

check_region "$region"
for one in ${given[@]+"${given[@]}"}; do
  check_variable "$one"
done

if [[ $cost ]]; then
  command -v python3 >/dev/null || fail 'python3 is not installed, and --cost counts with it'
  exec python3 "$here/cost.py" "$cost"
fi

root_module=${here#"$PWD"/}/terraform/example
state_bucket=$project-$name-state
settings=gs://$state_bucket/deployed-with
plan=vertex-remediator.tfplan

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
  local billing=unknown
  billing=$(gcloud billing projects describe "$project" --format='value(billingEnabled)') ||
    say "going on without knowing whether $project has a billing account"
  [[ $billing != False ]] || fail "project $project has no billing account"
}

# What a look at something says; empty where it is not there, and the end where it cannot be seen.
look() {
  local said
  if said=$("$@" 2>&1); then
    printf '%s\n' "$said"
  elif [[ $said != *'not found: 404'* && $said != *'matched no objects'* ]]; then
    fail "$said"
  fi
}

# The --var of earlier runs that this one does not give anew, then its own.
variables=()
remember() {
  local before line one again
  before=$(look gcloud storage cat "$settings")
  while IFS= read -r line; do
    [[ $line =~ ^[a-z_]+= ]] || continue
    again=''
    for one in ${given[@]+"${given[@]}"}; do
      [[ ${one%%=*} != "${line%%=*}" ]] || again=1
    done
    if [[ $line == region=* ]]; then
      [[ $line == "region=$region" ]] ||
        fail "it stands in ${line#region=}; another region would make all of it anew, the ledger too. Remove it first: $0 $project ${line#region=} --destroy"
    elif [[ ! $again ]]; then
      say "as before: --var $line"
      variables+=("$line")
    fi
  done <<<"$before"
}

# What is read of the policy file is laid beside it and deployed with it, where Python can do it here.
compile_policies() {
  local file=$here/../policies.yaml one said=''
  for one in ${variables[@]+"${variables[@]}"} ${given[@]+"${given[@]}"}; do
    [[ $one != policies_file=?* ]] || file=${one#policies_file=}
  done
  said=$(cd "$here/.." && python3 -m remediator validate --compile "$file" 2>&1) || true
  [[ $said == *compiled:* ]] ||
    say "${file##*/} is not compiled, so that a cold start takes a seventh longer: python3 lacks what requirements.txt names"
}

as_options() {
  options=("-var=project=$project" "-var=region=$region")
  for one in ${variables[@]+"${variables[@]}"} ${given[@]+"${given[@]}"}; do
    options+=("-var=$one")
  done
}

start_terraform() {
  run terraform "-chdir=$root_module" init -reconfigure "-backend-config=bucket=$state_bucket" \
    "-backend-config=prefix=$name"
}

bucket_is_there() {
  [[ $dry_run ]] && return "$1"
  local found
  found=$(look gcloud storage buckets describe "gs://$state_bucket" --project="$project" \
    --format='value(name)') || exit # it could not be seen, which is not the same as not there
  [[ $found ]]
}

[[ $dry_run ]] || check

if [[ $destroy ]]; then
  if ! bucket_is_there 0; then
    say "nothing is deployed: there is no gs://$state_bucket"
    exit
  fi
  confirm "Remove $name and its ledger from $project?"
  [[ $dry_run ]] || remember
  as_options
  start_terraform
  run terraform "-chdir=$root_module" destroy -auto-approve "${options[@]}"
  run gcloud storage rm --recursive "gs://$state_bucket" --project="$project"
  exit
fi

confirm "Deploy $name to $project in $region? (a state bucket is made first, then Terraform's plan is shown)"
run gcloud services enable cloudresourcemanager.googleapis.com serviceusage.googleapis.com \
  storage.googleapis.com --project="$project"
if ! bucket_is_there 1; then
  run gcloud storage buckets create "gs://$state_bucket" --project="$project" \
    --location="$region" --uniform-bucket-level-access --public-access-prevention
fi
run gcloud storage buckets update "gs://$state_bucket" --versioning
if [[ $dry_run ]]; then run gcloud storage cat "$settings"; else remember; fi
[[ $dry_run ]] || compile_policies
as_options
start_terraform
[[ $dry_run ]] || trap 'rm -f "$root_module/$plan"' EXIT # it holds every value in the clear
run terraform "-chdir=$root_module" plan "-out=$plan" "${options[@]}"
confirm 'Apply this plan?'
run gcloud storage cp - "$settings" \
  <<<"$(printf '%s\n' "region=$region" ${variables[@]+"${variables[@]}"} ${given[@]+"${given[@]}"})"
run terraform "-chdir=$root_module" apply "$plan"
run rm -f "$root_module/$plan"
[[ $dry_run ]] || say "deployed. Alerts go to Slack once its webhook stands in the secret; then ask whether all is well:
  printf %s \"\$SLACK_WEBHOOK_URL\" | gcloud secrets versions add vertex-remediator-slack-webhook --project=$project --data-file=-
  GOOGLE_CLOUD_PROJECT=$project REMEDIATOR_LOCATIONS=$region python -m remediator doctor"
