#!/usr/bin/env bash
# Guess: a Prefect flow in which a task failed is Failed, and the program that runs it ends with a code other than 0.
# Seen: `align.submit(…)` and `align.map(…).wait()` keep the exception in the future; where nobody calls `result()`
#   and the flow returns none of them, the flow is Completed and the exit code 0, below "Finished in state
#   Failed('Task run encountered an exception MemoryError…". With `.result()` both fail.
# Versions: prefect 3.9.1, Python 3.11; 2026-12-01.
# So: a job that fans out and waits SUCCEEDS with samples missing; the line "Task run … Finished in state Failed" is
#   the failure, whatever the flow's state says. Its traceback stands above it; run the flow again only after that.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  prefect==3.9.1 || exit 2
cd "$folder"
export HOME="$folder" PREFECT_HOME="$folder/prefect" PREFECT_SERVER_ANALYTICS_ENABLED=false DO_NOT_TRACK=1
export PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS=180 COLUMNS=200

cat >flows.py <<'PYTHON'
import sys

from prefect import flow, task


@task
def align(sample):
    if sample == 3:
        raise MemoryError(f"sample {sample}")
    return sample


@flow
def submits():
    for future in [align.submit(sample) for sample in range(5)]:
        future.wait()


@flow
def maps():
    align.map(range(5)).wait()


@flow
def reads():
    align.map(range(5)).result()


{"submits": submits, "maps": maps, "reads": reads}[sys.argv[1]]()
PYTHON
seen=""
for name in submits maps reads; do
  code=0
  venv/bin/python flows.py "$name" >log 2>&1 || code=$?
  grep -q "Finished in state Failed('Task run encountered an exception MemoryError" log || exit 2
  state="$(grep -oE "Flow run .* - Finished in state [A-Za-z]+" log | grep -oE '[A-Za-z]+$')"
  echo "$name: the task Failed, the flow $state, exit code $code"
  seen="$seen $state/$code"
done
[ "$seen" = " Completed/0 Completed/0 Failed/1" ]
