"""Google's messages without the packages around them; and, where the layout moved, with them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_USED = (
    ("google.cloud.aiplatform_v1", "custom_job", "CustomJob"),
    ("google.cloud.aiplatform_v1", "batch_prediction_job", "BatchPredictionJob"),
    ("google.cloud.aiplatform_v1", "hyperparameter_tuning_job", "HyperparameterTuningJob"),
    ("google.cloud.aiplatform_v1", "training_pipeline", "TrainingPipeline"),
    ("google.cloud.aiplatform_v1", "pipeline_job", "PipelineJob"),
    ("google.cloud.aiplatform_v1", "model", "Model"),
    ("google.cloud.aiplatform_v1", "job_service", "GetCustomJobRequest"),
    ("google.cloud.aiplatform_v1", "pipeline_service", "GetPipelineJobRequest"),
    ("google.cloud.aiplatform_v1", "model_service", "GetModelRequest"),
    ("google.cloud.logging_v2", "logging", "ListLogEntriesRequest"),
    ("google.cloud.logging_v2", "log_entry", "LogEntry"),
    ("google.cloud.monitoring_v3", "metric_service", "ListTimeSeriesRequest"),
    ("google.cloud.monitoring_v3", "common", "Aggregation"),
)
_ASK = """
import json, sys
from remediator.cloud.grpc_methods import message
found = message(*json.loads(sys.argv[1]))
print(json.dumps([found.__name__, sys.argv[2] in sys.modules]))
"""
_ASK_ALL = """
import json, sys
from remediator.cloud.grpc_methods import message
told = []
for package, file, name in json.loads(sys.argv[1]):
    told.append([message(package, file, name).__name__, package in sys.modules])
print(json.dumps(told))
"""


def _alone(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def found() -> list[tuple[str, bool]]:
    """Each message's name, and whether its package was loaded by then: all in one process."""
    told = _alone(_ASK_ALL, json.dumps(_USED))
    return [(name, package_too) for name, package_too in json.loads(told)]


@pytest.mark.parametrize("number", range(len(_USED)), ids=[f"{one[0]} {one[2]}" for one in _USED])
def test_a_message_comes_without_its_package(number: int, found: list[tuple[str, bool]]) -> None:
    """Fails where Google moved its files: all still works, and a cold start takes a second more."""
    used = _USED[number]
    name, package_too = found[number]
    assert name == used[2]
    assert not package_too, (
        f"{used[0]}/types/{used[1]}.py has moved: look at remediator/cloud/grpc_methods"
    )


@pytest.mark.parametrize(
    "leaf", ["no_such_file", "job_service"], ids=["no such file", "not in that file"]
)
def test_where_the_layout_moved_the_public_package_gives_the_message(leaf: str) -> None:
    used = ("google.cloud.aiplatform_v1", leaf, "PipelineJob")
    assert json.loads(_alone(_ASK, json.dumps(used), used[0])) == ["PipelineJob", True]


def test_the_package_itself_is_whole_afterwards_and_its_types_are_the_same() -> None:
    code = """
from remediator.cloud.grpc_methods import message
light = message("google.cloud.aiplatform_v1", "custom_job", "CustomJob")
from google.cloud import aiplatform_v1
assert aiplatform_v1.CustomJob is light and aiplatform_v1.types.CustomJob is light
assert aiplatform_v1.JobServiceClient.__name__ == "JobServiceClient"
assert message("google.cloud.aiplatform_v1", "model", "Model") is aiplatform_v1.Model
"""
    _alone(code)
