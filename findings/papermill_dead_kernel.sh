#!/usr/bin/env bash
# Guess: when a notebook's kernel is killed (SIGKILL, as for memory), papermill ends with 1, as for a cell that
#   raises, or with 137, as a shell does.
# Seen: it ends with 138, which no signal caused (128 + 10 would be SIGUSR1); the log says only
#   `DeadKernelError: Kernel died`. A cell that raises ends with 1.
# Versions: papermill 2.7.0, nbclient 0.11.0, ipykernel 7.3.0, Python 3.11; 2026-11-30.
# So: 138 from a job that runs notebooks is papermill's own word for a dead kernel: look at the container's
#   memory first, and do not read it as a signal.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  papermill==2.7.0 nbclient==0.11.0 ipykernel==7.3.0 || exit 2
cd "$folder"
export HOME="$folder" IPYTHONDIR="$folder/ipython" JUPYTER_PREFER_ENV_PATH=1
venv/bin/python -m ipykernel install --prefix "$folder/venv" --name python3 >/dev/null 2>&1 || exit 2

notebook() {
  printf '{"cells": [{"cell_type": "code", "id": "a1", "execution_count": null, "metadata": {}, "outputs": [],
    "source": ["%s"]}], "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python",
    "name": "python3"}}, "nbformat": 4, "nbformat_minor": 5}' "$1"
}
notebook 'import os, signal; os.kill(os.getpid(), signal.SIGKILL)' >killed.ipynb
notebook 'rows = 1 / 0' >raises.ipynb
notebook 'rows = 1' >works.ipynb
declare -A ended
for run in works raises killed; do
  code=0
  venv/bin/papermill --no-progress-bar "$run.ipynb" "$run.out.ipynb" >"$run.log" 2>&1 || code=$?
  ended[$run]=$code
  echo "$run: exit code $code: $(tail -n 2 "$run.log" | tr '\n' ' ')"
done
[ "${ended[works]}" = 0 ] || exit 2
[ "${ended[raises]} ${ended[killed]}" = "1 138" ] && grep -q "DeadKernelError" killed.log
