#!/usr/bin/env bash
# What the GitHub action runs: `check-policies.sh COMMAND`, with POLICIES and CASES in the environment.
# Each mistake becomes an annotation on its line of the pull request. Exit 1 on a mistake or a
# policy test that fails, 2 where a file cannot be read.
set -uo pipefail
command=$1
read -r -a files <<<"${POLICIES:-policies.yaml}"

# `FILE:LINE:COLUMN: error|warning: TEXT` as GitHub annotates it; its own marks are escaped.
annotate() {
  local line
  while IFS= read -r line; do
    printf '%s\n' "$line"
    if [[ $line =~ ^(.+):([0-9]+):([0-9]+):\ (error|warning):\ (.*)$ ]]; then
      local text=${BASH_REMATCH[5]//%/%25}
      printf '::%s file=%s,line=%s,col=%s::%s\n' "${BASH_REMATCH[4]}" "${BASH_REMATCH[1]}" \
        "${BASH_REMATCH[2]}" "${BASH_REMATCH[3]}" "$text"
    fi
  done
}

"$command" validate "${files[@]}" | annotate
worst=${PIPESTATUS[0]}
if [[ ${CASES:-} ]]; then
  "$command" test "$CASES" --policies "${files[0]}"
  code=$?
  ((code <= worst)) || worst=$code
fi
exit "$worst"
