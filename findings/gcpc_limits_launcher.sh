#!/usr/bin/env bash
# Guess: `set_accelerator_type`, `set_memory_limit` and `set_env_variable` on a step that was made by
#   `create_custom_training_job_from_component` reach the training, as they do on the plain step.
# Seen: they go to the launcher, the small container that only creates the custom job and waits for it: that one gets
#   the GPU, the 64 GB and the variable. The custom job's `worker_pool_specs` keep `n1-standard-8`, no accelerator and
#   an empty `env`. The compiler says nothing.
# Versions: google-cloud-pipeline-components 2.22.0, kfp 2.17.3, Python 3.11; 2026-12-01.
# So: a training that ran out of memory, or without its GPU, shows limits in its spec that it never had, and to raise
#   them pays for a bigger launcher: the same failure again. What the training has stands in the step's default input
#   `worker_pool_specs`, where this product reads it (job/launchers.py); it is set by the arguments of
#   `create_custom_training_job_from_component`.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  google-cloud-pipeline-components==2.22.0 kfp==2.17.3 pyyaml || exit 2
cd "$folder"

cat >steps.py <<'PYTHON'
import sys
from pathlib import Path

import yaml
from google_cloud_pipeline_components.v1.custom_job import create_custom_training_job_from_component
from kfp import compiler, dsl


@dsl.component
def train(epochs: int):
    print(epochs)


@dsl.pipeline
def training():
    on_vertex = create_custom_training_job_from_component(train, machine_type="n1-standard-8")
    step = on_vertex(epochs=1, project="lab", location="us-central1")
    step.set_accelerator_type("NVIDIA_TESLA_T4").set_accelerator_limit(1).set_memory_limit("64G")
    step.set_env_variable("BATCH_SIZE", "8")


compiler.Compiler().compile(training, "spec.yaml")
spec = yaml.safe_load(Path("spec.yaml").read_text())
launcher = spec["deploymentSpec"]["executors"]["exec-train"]["container"]
inputs = spec["components"]["comp-train"]["inputDefinitions"]["parameters"]
(pool,) = inputs["worker_pool_specs"]["defaultValue"]
resources = launcher["resources"]
print("launcher:", launcher["command"][-1], resources["accelerator"]["type"], resources["memoryLimit"], launcher["env"])
print("training:", pool["machine_spec"], pool["container_spec"]["env"])
launched = "custom_job.launcher" in launcher["command"][-1] and "worker_pool_specs" in str(launcher["args"])
changed = (
    not launched
    or resources["accelerator"]["type"] != "NVIDIA_TESLA_T4"
    or resources["memoryLimit"] != 64.0
    or launcher["env"] != [{"name": "BATCH_SIZE", "value": "8"}]
    or pool["machine_spec"] != {"machine_type": "n1-standard-8"}
    or pool["container_spec"]["env"]
)
sys.exit(bool(changed))
PYTHON
"$folder/venv/bin/python" -W ignore steps.py
