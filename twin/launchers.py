"""Google's pipeline components: a launcher task that begins a custom job of its own.

As `google_cloud_pipeline_components/container/v1/gcp_launcher/job_remote_runner.py` of the 2.22.0 wheel
does it: `create_job` (line 126) drops empty fields from the payload, begins the job and writes
`gcp_resources`; `poll_job` (line 147) ends with "Job failed with value error in error state" or "Job
failed with error state", whatever the job's own error says. The launcher's own machine is not
simulated. Only root tasks and their parameters are resolved.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from twin.rpc import Body

_PARAMETER = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")
_VALUE_ERRORS = (3, 5, 6, 7, 9, 11, 12)  # _JOB_USER_ERROR_CODES of the wheel: codes of google.rpc


def launched_job(run: Mapping[str, Any], task: str, container: Mapping[str, Any]) -> Body | None:
    """The custom job that a launcher would begin; None for any other container."""
    args = [str(word) for word in container.get("args") or []]
    if "--payload" not in args or "CustomJob" not in args:
        return None
    payload = args[args.index("--payload") + 1]
    values = _inputs(run, task)
    filled = _PARAMETER.sub(lambda found: _as_json(values.get(found[1]), found, payload), payload)
    request = _without_empty(json.loads(filled))
    spec = _camel(request.get("job_spec") or {})
    return {"displayName": str(request.get("display_name") or task), "jobSpec": spec}


def gcp_resources(endpoint: str, name: str) -> str:
    """What the launcher writes when the job has begun."""
    told = {"resourceType": "CustomJob", "resourceUri": f"https://{endpoint}/v1/{name}"}
    return json.dumps({"resources": [told]}, indent=2)


def failure(code: int) -> str:
    """The launcher's own words for a job that failed."""
    kind = "value error in error state" if code in _VALUE_ERRORS else "error state"
    return f"Job failed with {kind}: JobState.JOB_STATE_FAILED."


def _inputs(run: Mapping[str, Any], task: str) -> dict[str, Any]:
    spec = run.get("pipelineSpec") or {}
    held = (((spec.get("root") or {}).get("dag") or {}).get("tasks") or {}).get(task) or {}
    component = (held.get("componentRef") or {}).get("name")
    declared = (spec.get("components") or {}).get(component) or {}
    found = {
        name: definition.get("defaultValue") for name, definition in _definitions(declared).items()
    }
    given = (held.get("inputs") or {}).get("parameters") or {}
    values = (run.get("runtimeConfig") or {}).get("parameterValues") or {}
    defaults = _definitions(spec.get("root") or {})
    for name, source in given.items():
        upper = source.get("componentInputParameter")
        if upper is not None:
            default = (defaults.get(upper) or {}).get("defaultValue")
            found[name] = values.get(upper, default)
        else:
            found[name] = (source.get("runtimeValue") or {}).get("constant")
    text = json.dumps(found)
    inner = _PARAMETER.sub(lambda match: str(found.get(match[1]) or ""), text)
    return dict(json.loads(inner))


def _definitions(holder: Mapping[str, Any]) -> dict[str, Any]:
    return dict((holder.get("inputDefinitions") or {}).get("parameters") or {})


def _as_json(value: Any, found: re.Match[str], payload: str) -> str:
    """The value as it stands in the payload: bare text between quotes, JSON elsewhere."""
    quoted = payload[found.start() - 1] == '"'
    if isinstance(value, str) and value.startswith("{{$."):
        value = ""
    if quoted:
        return "" if value is None else str(value)
    return json.dumps(value if value != "" else None)


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, "", {}, [])}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value


def _camel(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            re.sub(r"_([a-z])", lambda found: found[1].upper(), key): _camel(item)
            for key, item in value.items()
        }
    return [_camel(item) for item in value] if isinstance(value, list) else value
