#!/usr/bin/env bash
# Guess: a pipeline step that asks for two accelerators and names no type is refused by the compiler.
# Seen: it compiles, to `accelerator: {count: '2', resourceCount: '2'}` without any type; the step that names
#   a type and no count gets one.
# Versions: kfp 2.17.3, Python 3.11; 2026-11-30.
# So: whoever reads a compiled spec must expect a count of accelerators of no type: it says that a device
#   was wanted, not which, and nothing may be priced or resized by it.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  kfp==2.17.3 || exit 2
cd "$folder"

cat >pipeline.py <<'PYTHON'
from kfp import compiler, dsl


@dsl.component(base_image="python:3.11")
def train():
    print("training")


@dsl.pipeline(name="two-steps")
def two_steps():
    train().set_accelerator_limit(2)
    train().set_accelerator_type("NVIDIA_TESLA_T4")


compiler.Compiler().compile(two_steps, "two_steps.json")
PYTHON
"$folder/venv/bin/python" -W ignore pipeline.py
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys

executors = json.load(open("two_steps.json"))["deploymentSpec"]["executors"]
seen = [executors[name]["container"]["resources"]["accelerator"] for name in sorted(executors)]
print(*seen, sep="\n")
sys.exit([(one.get("type"), one["count"]) for one in seen] != [(None, "2"), ("NVIDIA_TESLA_T4", "1")])
PYTHON
