#!/usr/bin/env bash
# Guess: the `luigi` command ends with an exit code other than 0 when a task has failed.
# Seen: exit code 0, after a summary that begins "This progress looks :(". Only a `[retcode]` section in its
#   configuration (`task_failed: 30`) makes a failure one for whoever started it.
# Versions: luigi 3.8.1, Python 3.11; 2026-11-30.
# So: a custom job whose command is `luigi` succeeds while its tasks fail, and nothing announces it; the
#   summary line in the log is the only trace.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  luigi==3.8.1 || exit 2
cd "$folder"

cat >work.py <<'PYTHON'
import luigi


class Align(luigi.Task):
    def output(self):
        return luigi.LocalTarget("aligned.bam")

    def run(self):
        raise ValueError("no reads")
PYTHON
start() { PYTHONPATH=. "$folder/venv/bin/luigi" --module work Align --local-scheduler >out 2>&1; }
usual=0
start || usual=$?
grep "This progress looks" out
printf '[retcode]\ntask_failed = 30\n' >luigi.cfg
set_up=0
start || set_up=$?
echo "a task failed: exit code $usual; with [retcode] $set_up"
[ "$usual" = 0 ] && [ "$set_up" = 30 ]
