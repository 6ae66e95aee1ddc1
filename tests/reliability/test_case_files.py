"""Case files with something wrong in them, and jobs whose free fields hold anything at all.

A case file is pasted from commands and edited by hand; a pipeline's specification or a tuning job's
inputs are opaque to Vertex AI. Whatever stands there, it is judged or refused in a sentence.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remediator import policy
from remediator.catalog.catalog import Catalog
from remediator.cli.input_output import case_of
from remediator.cli.main import main
from remediator.domain import InvalidInput
from remediator.evidence.sources import reading_plan_of
from remediator.job import summary
from remediator.planning import costs
from remediator.report.curves import kept_curves
from remediator.workflow.preview import preview
from tests.stories.conftest import POLICIES, ROOT

CASES = [json.loads(path.read_text()) for path in sorted((ROOT / "tests/cases").glob("*.json"))]
LOADED = policy.load(POLICIES + 'probes: {hosts: ["data.partner.example"]}\n').policies
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1e308, 10**30, "", "x" * 1000, "9" * 5000, "-1", "nan", "1e999"),
    *("²", "٣", "\ud800", "\x00", "\u202e", [], {}, [[]], {"a": 1}, [1, "a", None]),
    *("http://[x", "gs://", "gs://x", "projects/x", "0s", "-5s", "999999999999999s"),
    *("2026-13-45T99:99:99Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999Z"),
    *(
        "JOB_STATE_FAILED",
        "<!channel>",
        '{"remediatorTelemetry": 1, "time": "0001-01-01T00:00:00Z"}',
    ),
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside, of lists only the first few."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:4])
    found = []
    for key, item in items:
        found.append((*at, key))
        if isinstance(item, dict | list):
            found += places(item, (*at, key))
    return found


@given(data=st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_stands_in_a_case_file_is_judged_or_refused_in_a_sentence(
    data: st.DataObject, tmp_path: Path
) -> None:
    body = copy.deepcopy(data.draw(st.sampled_from(CASES)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.sampled_from(places(body)))
        holder = body
        for key in at[:-1]:
            holder = holder[key]
        holder[at[-1]] = copy.deepcopy(data.draw(st.sampled_from(ODD)))
    path = tmp_path / "case.json"
    path.write_text(json.dumps(body))
    assert LOADED is not None
    catalog = Catalog.built_in()
    try:
        case = case_of(str(path))
        made = preview(case, LOADED, catalog)
    except InvalidInput:
        return
    assert made is None or json.dumps(made.message.to_json(), ensure_ascii=False).encode()
    reading_plan_of(case.job, LOADED, project="p", settled=False)
    kept_curves(case)
    summary.machine_words(case.job)
    costs.spent_usd(case.job, catalog)
    assert case.job.workload_digest


@pytest.mark.parametrize(
    ("attempts", "first_line"),
    [
        (0, "Resubmitted: x failed (CPUs full), now on n1-standard-16"),
        (1, "Attempt 2 started: x failed again (CPUs full), now on n1-standard-16"),
        (2, "Given up: x failed (CPUs full) after 2 resubmissions"),
    ],
)
def test_a_preview_is_the_alert_that_this_point_of_the_chain_would_give(
    tmp_path: Path, attempts: int, first_line: str
) -> None:
    body = json.loads((ROOT / "tests/cases/cpus-full-at-time-out.json").read_text())
    made = {
        "name": body["job"]["name"],
        "state": "JOB_STATE_FAILED",
        "policy": "starved-of-cpu",
        "step": 1,
        "verdict": "cpu_saturation",
        "changes": [{"field": "jobSpec.scheduling.timeout", "from": "60s", "to": "3600s"}],
    }
    path = tmp_path / "case.json"
    path.write_text(json.dumps({**body, "attempts": [made] * attempts}))
    assert LOADED is not None
    told = preview(case_of(str(path)), LOADED, Catalog.built_in())
    assert told is not None
    assert told.message.title == first_line


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="torn"),
        pytest.param("[]", id="a-list"),
        pytest.param("{}", id="no-job"),
        pytest.param('{"job": 7}', id="a-job-that-is-a-number"),
        pytest.param('{"job": {"name": "../../etc/passwd"}}', id="a-path"),
        pytest.param('{"now": NaN}', id="nan"),
        pytest.param('{"now": 1e999}', id="infinity"),
        pytest.param("[" * 100_000, id="deep"),
    ],
)
@pytest.mark.parametrize("command", ["diagnose", "plan"])
def test_what_is_no_case_is_one_line_and_exit_2(
    text: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "case.json"
    path.write_text(text)
    extra = ["--policies", str(ROOT / "policies.yaml")] if command == "plan" else []
    assert main([command, str(path), *extra]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize("sent", [b"{", b"\xff\xfe", b""], ids=["torn", "no-text", "nothing"])
def test_what_comes_by_standard_input_is_held_to_the_same(sent: bytes) -> None:
    command = [sys.executable, "-m", "remediator", "diagnose", "-"]
    done = subprocess.run(
        command, input=sent, cwd=ROOT, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert done.stdout == b""
    assert len(done.stderr.splitlines()) == 1
