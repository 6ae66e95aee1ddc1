#!/usr/bin/env bash
# Guess: `set_memory_limit("16")` is refused by the compiler of Kubeflow Pipelines, or means 16 GB.
# Seen: it compiles, to `resourceMemoryLimit: '16'` and `memoryLimit: 1.6e-08`: 16 bytes. "16GB" and "0.5G", which say
#   what they mean, are refused; "16G" is 16.
# Versions: kfp 2.17.3, Python 3.11; 2026-12-01.
# So: whoever reads or enlarges a step's memory from the spec must expect a limit of a few bytes: doubled it is still
#   none, and to call such a step short of memory is right only by its words, not by its machine. The unit is the cure.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  kfp==2.17.3 || exit 2
cd "$folder"

cat >steps.py <<'PYTHON'
import re
import sys
from pathlib import Path

from kfp import compiler, dsl


@dsl.component
def train(epochs: int):
    print(epochs)


def compile_with(memory):
    try:

        @dsl.pipeline
        def training():
            train(epochs=1).set_memory_limit(memory)

        compiler.Compiler().compile(training, "spec.yaml")
    except ValueError as error:
        return str(error).split(".")[0]
    return re.findall(r"\w*emoryLimit: \S+", Path("spec.yaml").read_text())


seen = {memory: compile_with(memory) for memory in ("16", "16G", "16GB", "0.5G")}
for memory, answer in seen.items():
    print(f"{memory!r}: {answer}")
sys.exit(
    seen["16"] != ["memoryLimit: 1.6e-08", "resourceMemoryLimit: '16'"]
    or seen["16G"] != ["memoryLimit: 16.0", "resourceMemoryLimit: 16G"]
    or not all(str(seen[memory]).startswith("Invalid memory string") for memory in ("16GB", "0.5G"))
)
PYTHON
"$folder/venv/bin/python" -W ignore steps.py
