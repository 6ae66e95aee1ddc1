"""Jobs as Google's Python SDK prints them, brought into the shape of the REST API.

`CustomJob.to_json(job)` writes enums as numbers and empty fields as `""`, `[]` and `0`;
`CustomJob.to_dict(job)` keeps the field names of the protos (`job_spec`) besides. Owns the numbers
of those enums (google-cloud-aiplatform 2.7.0, `aiplatform_v1.types`). What is opaque to Vertex itself
(training inputs, pipeline specs, labels, environment) stays as it is. Pure; called by `documents`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from remediator.domain import Json
from remediator.job.validation import OPAQUE

_STATES = {
    number: f"STATE_{name}"
    for number, name in enumerate(
        (
            "UNSPECIFIED", "QUEUED", "PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLING",
            "CANCELLED", "PAUSED", "EXPIRED", "UPDATING", "PARTIALLY_SUCCEEDED",
        )
    )
}  # fmt: skip
_ACCELERATORS = {
    0: "ACCELERATOR_TYPE_UNSPECIFIED", 1: "NVIDIA_TESLA_K80", 2: "NVIDIA_TESLA_P100",
    3: "NVIDIA_TESLA_V100", 4: "NVIDIA_TESLA_P4", 5: "NVIDIA_TESLA_T4", 6: "TPU_V2", 7: "TPU_V3",
    8: "NVIDIA_TESLA_A100", 9: "NVIDIA_A100_80GB", 10: "TPU_V4_POD", 11: "NVIDIA_L4",
    12: "TPU_V5_LITEPOD", 13: "NVIDIA_H100_80GB", 14: "NVIDIA_H100_MEGA_80GB",
    15: "NVIDIA_H200_141GB", 16: "NVIDIA_B200", 17: "NVIDIA_GB200", 18: "NVIDIA_RTX_PRO_6000",
}  # fmt: skip
_STRATEGIES = {
    0: "STRATEGY_UNSPECIFIED", 1: "ON_DEMAND", 2: "LOW_COST", 3: "STANDARD", 4: "SPOT",
    6: "FLEX_START",
}  # fmt: skip


def rest_shaped(job: Json) -> Json:
    """The job in REST's shape; one that is in it already comes back as it is."""
    by_proto = any("_" in key for key in job)
    by_number = isinstance(job.get("state"), int)
    return _object(job) if by_proto or by_number else job


def _object(value: Json) -> dict[str, Any]:
    found = {}
    for key, item in value.items():
        name = re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), key)
        read = item if name in OPAQUE else _value(name, item)
        if read not in (None, "", [], {}):  # the SDK prints what is not set
            found[name] = read
    return found


def _value(name: str, item: Any) -> Any:
    if isinstance(item, Mapping):
        return _object(item)
    if isinstance(item, list):
        return [_object(one) if isinstance(one, Mapping) else one for one in item]
    if isinstance(item, int) and not isinstance(item, bool):
        if name == "state":
            return f"JOB_{_STATES.get(item, _STATES[0])}"
        if name == "acceleratorType":
            return _ACCELERATORS.get(item, _ACCELERATORS[0])
        if name == "strategy":
            return _STRATEGIES.get(item, _STRATEGIES[0])
    return item
