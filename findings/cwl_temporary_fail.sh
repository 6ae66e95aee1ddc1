#!/usr/bin/env bash
# Guess: cwltool tries a step anew whose exit code stands among its `temporaryFailCodes`, or at least ends
#   with an exit code of its own for it.
# Seen: the step runs once, "Final process status is temporaryFail", and the exit code is 1, the same as for
#   a permanent failure.
# Versions: cwltool 3.3.20260925135507, Python 3.11; 2026-11-30.
# So: what a tool's author declared as worth another try reaches nobody but the log: exit code 1 beside
#   "temporaryFail" is a retry, exit code 1 beside "permanentFail" is not.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  cwltool==3.3.20260925135507 || exit 2
cd "$folder"

cat >step.cwl <<'CWL'
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, "echo again >> $TRIES; exit $0"]
requirements: {EnvVarRequirement: {envDef: {TRIES: $(inputs.tries)}}}
temporaryFailCodes: [75]
inputs:
  tries: string
  code: {type: int, inputBinding: {position: 1}}
outputs: []
CWL
seen=""
for code in 75 3; do
  ended=0
  "$folder/venv/bin/cwltool" --no-container step.cwl --tries "$folder/tries.$code" --code $code >out 2>&1 || ended=$?
  status="$(grep -o 'Final process status is [A-Za-z]*' out)"
  line="$code: exit code $ended, ${status##* }, run $(wc -l <"tries.$code") time"
  echo "$line"
  seen="$seen$line;"
done
[ "$seen" = "75: exit code 1, temporaryFail, run 1 time;3: exit code 1, permanentFail, run 1 time;" ]
