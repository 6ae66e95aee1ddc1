"""Compiles pipelines with KFP and Google's components, each with a task that died and what is right.

Writes `compiled.jsonl` beside this script: one case a line, with the versions it was compiled with and
the places that a remedy must change, which this script knows from how it built the pipeline and not
from the product. `--check FILE` parses specs (one JSON object a line) with KFP's own protobuf.

Runs in an environment of its own, which cannot be the product's:

    python -m venv v && v/bin/pip install kfp==2.17.3 google-cloud-pipeline-components==2.22.0
    v/bin/python tests/data/pipelines/generate.py
"""

import importlib.metadata
import itertools
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google_cloud_pipeline_components.types.artifact_types import VertexDataset
from google_cloud_pipeline_components.v1.automl.training_job import AutoMLTabularTrainingJobRunOp
from google_cloud_pipeline_components.v1.batch_predict_job import ModelBatchPredictOp
from google_cloud_pipeline_components.v1.custom_job import (
    CustomTrainingJobOp,
    create_custom_training_job_from_component,
)
from google_cloud_pipeline_components.v1.hyperparameter_tuning_job import (
    HyperparameterTuningJobRunOp,
)
from google_cloud_pipeline_components.v1.model import ModelGetOp
from kfp import compiler, dsl
from kfp.pipeline_spec import pipeline_spec_pb2

HERE = Path(__file__).parent
VERSIONS = {
    name: importlib.metadata.version(name) for name in ("kfp", "google-cloud-pipeline-components")
}
RUN = "projects/123456789012/locations/us-central1"
DIED = (
    "The replica workerpool0-0 ran out of memory and exited with a non-zero status of 137(SIGKILL)."
)


@dsl.component(base_image="img/x:1")
def prep(n: int = 3) -> int:
    return n


@dsl.component(base_image="img/x:1")
def train(n: int = 3) -> int:
    return n


@dsl.component(base_image="img/x:1")
def train_with(n: int = 3, size: str = "") -> int:  # noqa: ARG001
    return n


def pool(machine: Any) -> list[dict[str, Any]]:
    return [
        {
            "machine_spec": {"machine_type": machine},
            "replica_count": 1,
            "container_spec": {"image_uri": "img/x:1"},
        }
    ]


# --- the task that dies: (component kind, how its size is given) -> task, and where the size stands


def sized(task: Any, what: str, memory: Any) -> Any:
    task = task.set_memory_limit(memory)
    if what == "both":
        task = task.set_cpu_limit("8")
    if what == "requests":
        task = task.set_memory_request("4G")
    if what == "gpu":
        task = task.set_accelerator_type("NVIDIA_TESLA_T4").set_accelerator_limit(1)
    return task


def dying(kind: str, given: Any) -> Any:
    """A task of the kind whose size is `given`: a constant or a parameter of the pipeline."""
    if kind.startswith("container"):
        return sized(train(n=1), kind.partition("-")[2], given)
    if kind == "program":  # the program is told the size too
        return train_with(n=1, size=given).set_memory_limit(given)
    if kind == "custom":
        return CustomTrainingJobOp(display_name="t", worker_pool_specs=pool(given))
    if kind == "custom-specs":
        return CustomTrainingJobOp(display_name="t", worker_pool_specs=given)
    if kind == "tuning":
        return HyperparameterTuningJobRunOp(
            display_name="h",
            base_output_directory="gs://b",
            study_spec_metrics=[{"metric_id": "a", "goal": "MAXIMIZE"}],
            study_spec_parameters=[],
            max_trial_count=4,
            parallel_trial_count=2,
            worker_pool_specs=pool(given),
        )
    if kind == "batch":
        model = ModelGetOp(model_name="m")
        return ModelBatchPredictOp(
            job_display_name="b", model=model.outputs["model"], machine_type=given
        )
    if kind == "from-component":
        op = create_custom_training_job_from_component(train, machine_type=given)
        return op(n=1)
    msg = f"no such kind: {kind}"
    raise ValueError(msg)


CONTAINERS = ("container", "container-both", "container-requests", "container-gpu", "program")
COMPONENTS = ("custom", "custom-specs", "tuning", "batch")
GIVEN = ("constant", "parameter", "default")
NESTED = (0, 1, 2)


def build(kind: str, given: str, depth: int, *, loop: bool, off: bool) -> Any:  # noqa: C901
    """The pipeline, compiled: the dying task `depth` pipelines deep, in a loop, caching switched off."""
    value = "32G" if kind in CONTAINERS else "n1-standard-8"
    literal: Any = pool(value) if kind == "custom-specs" else value
    typed = list if kind == "custom-specs" else str

    def body(size: Any) -> None:
        if loop:
            with dsl.ParallelFor([1, 2, 3]) as _:
                task = dying(kind, size)
        else:
            task = dying(kind, size)
        if off:
            task.set_caching_options(False)

    if given == "constant":

        def inner() -> None:
            body(literal)

        for level in range(depth):
            inner = nest_bare(inner, level)

        @dsl.pipeline(name="case")
        def whole() -> None:
            prep()
            inner()

    else:

        def inner(size) -> None:  # type: ignore[no-untyped-def,misc]
            body(size)

        inner.__annotations__ = {"size": typed}
        for level in range(depth):
            inner = nest(inner, level, typed)

        def whole(size=literal) -> None:  # type: ignore[no-untyped-def,misc]
            prep()
            inner(size=size)

        whole.__annotations__ = {"size": typed}
        whole = dsl.pipeline(name="case")(whole)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "case.json")
        compiler.Compiler().compile(whole, path)
        return json.loads(Path(path).read_text()), literal


def nest_bare(below: Any, level: int) -> Any:
    def wrapper() -> None:
        below()

    wrapper.__name__ = f"level_{level}"
    return dsl.pipeline(name=f"level-{level}")(wrapper)


def nest(below: Any, level: int, typed: type) -> Any:
    def wrapper(size) -> None:  # type: ignore[no-untyped-def]
        below(size=size)

    wrapper.__name__ = f"level_{level}"
    wrapper.__annotations__ = {"size": typed}
    return dsl.pipeline(name=f"level-{level}")(wrapper)


# --- the run: every task done but the one that died ------------------------------------------------


def details(spec: dict[str, Any], *, loop_rounds: int = 3) -> tuple[list[dict[str, Any]], str]:
    """`taskDetails` of a run in which one task died, and the path of that task in the spec."""
    found: list[dict[str, Any]] = []
    ids = itertools.count(101)
    died = ""

    def add(name: str, parent: str, state: str, error: str = "") -> str:
        own = str(next(ids))
        one = {
            "taskId": own,
            "parentTaskId": parent,
            "taskName": name,
            "state": state,
            "startTime": "2026-11-28T10:00:00Z",
            "endTime": "2026-11-28T11:00:00Z",
        }
        if error:
            one["error"] = {"code": 8, "message": error}
        found.append(one)
        return own

    def walk(dag: str, holder: dict[str, Any], parent: str) -> bool:
        nonlocal died
        failed = False
        for key, task in holder["dag"]["tasks"].items():
            name = task["componentRef"]["name"]
            component = spec["components"][name]
            if "dag" in component:
                own = add(key, parent, "FAILED")
                rounds = range(loop_rounds) if "parameterIterator" in task else range(1)
                for _ in rounds:
                    walk(f"pipelineSpec.components.{name}", component, own)
                failed = True
            elif key.startswith(("prep", "model-get")):
                add(key, parent, "SUCCEEDED")
            else:
                add(key, parent, "FAILED", DIED)
                died = f"{dag}.dag.tasks.{key}"
                failed = True
        return failed

    root = add("case-20261128100000", "", "FAILED")
    walk("pipelineSpec.root", spec["root"], root)
    return found, died


def expected(spec: dict[str, Any], kind: str, given: str, died: str) -> list[list[Any]]:
    """[path, value] of every change that is right, by how the pipeline was built."""
    task: Any = {"pipelineSpec": spec}
    for step in died.split("."):
        task = task[step]
    component = task["componentRef"]["name"]
    label = spec["components"][component]["executorLabel"]
    resources = f"pipelineSpec.deploymentSpec.executors.{label}.container.resources"
    run = {"parameter": "runtimeConfig.parameterValues.size"}.get(
        given, "pipelineSpec.root.inputDefinitions.parameters.size.defaultValue"
    )
    if kind in CONTAINERS:
        literal = [[f"{resources}.memoryLimit", 64.0], [f"{resources}.resourceMemoryLimit", "64G"]]
        changes = literal if given == "constant" or kind == "program" else [[run, "64G"]]
        if kind == "container-requests":
            changes = [
                *changes,
                [f"{resources}.memoryRequest", 8.0],
                [f"{resources}.resourceMemoryRequest", "8G"],
            ]
        return changes
    if kind == "from-component":
        path = f"pipelineSpec.components.{component}.inputDefinitions.parameters.worker_pool_specs"
        return [[f"{path}.defaultValue[0].machine_spec.machine_type", "n1-standard-16"]]
    if given != "constant":
        tail = "[0].machine_spec.machine_type" if kind == "custom-specs" else ""
        return [[run + tail, "n1-standard-16"]]
    name = "machine_type" if kind == "batch" else "worker_pool_specs"
    tail = "" if kind == "batch" else "[0].machine_spec.machine_type"
    return [[f"{died}.inputs.parameters.{name}.runtimeValue.constant{tail}", "n1-standard-16"]]


def compact(value: Any) -> Any:
    """Without descriptions, and with short programs: nothing that a change depends on."""
    if isinstance(value, dict):
        return {
            key: ["sh", "-c", "python -c pass"]
            if key == "command"
            and "launcher" not in json.dumps(item)
            and "runner" not in json.dumps(item)
            else compact(item)
            for key, item in value.items()
            if key != "description"
        }
    return [compact(item) for item in value] if isinstance(value, list) else value


def case(
    name: str, spec: dict[str, Any], values: dict[str, Any], right: Any, off: bool, loop: bool
) -> Any:
    told, died = details(spec)
    return {
        "name": name,
        "versions": VERSIONS,
        "job": {
            "name": f"{RUN}/pipelineJobs/case-20261128100000",
            "displayName": "case",
            "state": "PIPELINE_STATE_FAILED",
            "createTime": "2026-11-28T10:00:00Z",
            "startTime": "2026-11-28T10:00:01Z",
            "endTime": "2026-11-28T11:00:00Z",
            "pipelineSpec": compact(spec),
            "runtimeConfig": {"gcsOutputDirectory": "gs://out/root", "parameterValues": values},
            "jobDetail": {"taskDetails": told},
        },
        "died": died,
        "right": right,
        "times": 3 if loop else 1,
        "off": off,
    }


def all_cases() -> Any:
    shapes = [
        (0, False, False),
        (1, False, False),
        (2, False, False),
        (0, True, False),
        (1, True, True),
        (0, False, True),
    ]
    for kind, given in itertools.product((*CONTAINERS, *COMPONENTS), GIVEN):
        if kind == "program" and given == "constant":
            continue
        for depth, loop, off in (
            shapes if kind in {"container", "custom", "batch"} else shapes[:4:3]
        ):
            spec, literal = build(kind, given, depth, loop=loop, off=off)
            _, died = details(spec)
            values = {"size": literal} if given == "parameter" else {}
            name = f"{kind}-{given}-{depth}{'-loop' * loop}{'-off' * off}"
            yield case(name, spec, values, expected(spec, kind, given, died), off, loop)
    for loop in (False, True):
        spec, _ = build("from-component", "constant", 0, loop=loop, off=False)
        _, died = details(spec)
        right = expected(spec, "from-component", "constant", died)
        yield case(f"from-component{'-loop' * loop}", spec, {}, right, False, loop)

    @dsl.pipeline(name="case")
    def automl() -> None:
        data = dsl.importer(artifact_uri="gs://b/d", artifact_class=VertexDataset, reimport=False)
        AutoMLTabularTrainingJobRunOp(
            display_name="a", dataset=data.output, target_column="y",
            optimization_prediction_type="regression", project="p",
        )  # fmt: skip

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "case.json")
        try:
            compiler.Compiler().compile(automl, path)
        except Exception as err:  # noqa: BLE001  # of the components' own types; told, not recorded
            print(f"AutoML was not compiled: {err}", file=sys.stderr)
            return
        yield case("automl", json.loads(Path(path).read_text()), {}, None, False, False)


def check(path: str) -> None:
    """KFP's own protobuf accepts every spec."""
    lines = Path(path).read_text().splitlines()
    for line in lines:
        spec = json.loads(line)
        json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    print(f"{len(lines)} specs are accepted by kfp's protobuf")


def main() -> None:
    if sys.argv[1:2] == ["--check"]:
        check(sys.argv[2])
        return
    lines = [json.dumps(one, sort_keys=True, separators=(",", ":")) for one in all_cases()]
    (HERE / "compiled.jsonl").write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} cases, {sum(map(len, lines)) / 1024:.0f} KiB, {VERSIONS}")


if __name__ == "__main__":
    main()
