#!/usr/bin/env bash
# Guess: snakemake hands SIGTERM on to the jobs that it runs and ends within a second or two, or ends at once.
# Seen: it says "Will exit after finishing currently running jobs", leaves the running job alone, waits for its end
#   (20 seconds here), and only then ends with 1. The job itself never hears of the signal.
# Versions: snakemake 9.27.1, Python 3.11; 2026-12-01.
# So: where a machine is taken back or a job is cancelled, the time of grace passes over an aligner that works on,
#   then SIGKILL ends both: no step gets to save anything, and the next run needs `--rerun-incomplete`, as
#   snakemake documents. The line "Will exit after finishing" is a signal from outside, no failed rule.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  snakemake==9.27.1 || exit 2
cd "$folder"

cat >Snakefile <<'RULES'
rule all:
    input: "sorted.txt"

rule align:
    output: "aligned.txt"
    shell: "trap 'echo signal >heard; exit 1' TERM; touch started; for i in `seq 20`; do sleep 1; done; touch {output}"

rule sort:
    input: "aligned.txt"
    output: "sorted.txt"
    shell: "cp {input} {output}"
RULES
PATH="$folder/venv/bin:$PATH" venv/bin/snakemake --cores 1 >log 2>&1 &
snakemake=$! code=0
for _ in $(seq 240); do [ -e started ] || sleep 0.25; done
[ -e started ] || { kill "$snakemake"; exit 2; }
kill -TERM "$snakemake"
wait "$snakemake" || code=$?
echo "exit code $code: $(grep -m1 -o 'Will exit after finishing currently running jobs' log)"
echo "the running job: $([ -e heard ] && echo 'heard the signal' || echo 'heard nothing')"
echo "its output: $([ -e aligned.txt ] && echo 'is there' || echo 'is not there')"
echo "the job behind it: $([ -e sorted.txt ] && echo 'was started' || echo 'was not started')"
[ "$code" = 1 ] && [ ! -e heard ] && [ -e aligned.txt ] && [ ! -e sorted.txt ] && grep -q "Will exit after finishing" log
