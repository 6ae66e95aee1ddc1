"""`backtest` from case files: what policies would have done, and where two files differ."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).parent / "cases"
BEFORE = """\
version: 1
mode: enforce
rerun_safe: [batch_prediction, custom]
limits: {attempts: 3, usd_per_job: 50, usd_per_day: 500}
channels: {ml: {email: {smtp: "env:SMTP_URL", from: "v@example.com", to: ["ml@example.com"]}}}
policies:
  - name: starved
    when: {cause: cpu_saturation}
    do: [{resubmit: {machine_type: bigger}}]
    alert: [ml]
  - name: the-rest
    when: {}
    do: []
    alert: [ml]
"""
AFTER = BEFORE.replace(
    "  - name: the-rest",
    """  - name: too-much
    when: {cause: request_too_large}
    do: [{resubmit: {batch_size: halve}}]
    alert: [ml]
  - name: the-rest""",
)
NAMES = ("cpus-full-at-time-out", "batch-504-alone", "input-missing")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cases").mkdir()
    for name in NAMES:
        shutil.copy(CASES / f"{name}.json", tmp_path / "cases")
    (tmp_path / "before.yaml").write_text(BEFORE)
    (tmp_path / "policies.yaml").write_text(AFTER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(run: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, str, str]]:
    return partial(run, "backtest")


@pytest.mark.usefixtures("files")
def test_two_files_are_compared_failure_by_failure(run: Any) -> None:
    code, out, err = run(
        "--cases", "cases", "--policies", "policies.yaml", "--against", "before.yaml"
    )
    assert (code, err) == (0, "")
    assert out == EXPECTED


EXPECTED = """\
## 3 failures of the case files in cases

The failed runs themselves cost about $0.54.

### policies.yaml (mode enforce): 2 resubmit, 0 wait, 0 approve, 1 alert; about $1.49, $37.63 at most

| policy   | failures | resubmit | wait | approve | alert |  USD |
| -------- | -------: | -------: | ---: | ------: | ----: | ---: |
| starved  |        1 |        1 |    0 |       0 |     0 | 0.90 |
| the-rest |        1 |        0 |    0 |       0 |     1 | 0.00 |
| too-much |        1 |        1 |    0 |       0 |     0 | 0.59 |

### before.yaml (mode enforce): 1 resubmit, 0 wait, 0 approve, 2 alert; about $0.90, $0.90 at most

| policy   | failures | resubmit | wait | approve | alert |  USD |
| -------- | -------: | -------: | ---: | ------: | ----: | ---: |
| the-rest |        2 |        0 |    0 |       0 |     2 | 0.00 |
| starved  |        1 |        1 |    0 |       0 |     0 | 0.90 |

### 1 difference

- `y` projects/123/locations/us-central1/batchPredictionJobs/43: request_too_large (77%)
  - before.yaml: alert (the-rest)
  - policies.yaml: resubmit, with batch size 32 (too-much, step 1), about $0.59
"""


@pytest.mark.usefixtures("files")
def test_json_holds_both_files_and_every_failure(run: Any) -> None:
    asked = (
        "--cases",
        "cases",
        "--policies",
        "policies.yaml",
        "--against",
        "before.yaml",
        "--json",
    )
    code, out, _ = run(*asked)
    told = json.loads(out)
    assert code == 0
    assert (told["judged"], told["source"]) == (3, "the case files in cases")
    assert told["policies"]["resubmit"] == 2
    assert told["against"]["resubmit"] == 1
    (difference,) = told["differences"]
    assert difference["before"]["policy"] == "the-rest"
    assert difference["after"]["changes"][0]["field"].endswith("batchSize")
    assert [one["policy"] for one in told["failures"]].count("starved") == 1
    assert "request" not in told["failures"][0]


@pytest.mark.usefixtures("files")
def test_the_same_file_twice_differs_in_nothing(run: Any) -> None:
    _, out, _ = run("--cases", "cases", "--policies", "before.yaml", "--against", "before.yaml")
    assert out.endswith("### 0 differences\n")


def test_a_budget_fills_up_as_it_would_have(files: Path, run: Any) -> None:
    body = json.loads((files / "cases" / "cpus-full-at-time-out.json").read_text())
    for number in range(4):
        body["job"]["name"] = body["job"]["name"].rpartition("/")[0] + f"/{number + 1}"
        (files / "cases" / f"again-{number}.json").write_text(json.dumps(body))
    (files / "tight.yaml").write_text(
        BEFORE.replace("usd_per_day: 500", "usd_per_day: 500, resubmissions_per_hour: 2")
    )
    _, out, _ = run("--cases", "cases", "--policies", "tight.yaml", "--json")
    told = json.loads(out)
    refused = [one["refused_by"] for one in told["failures"] if one["policy"] == "starved"]
    assert refused == [[], [], ["rate"], ["rate"], ["rate"]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--cases", "nowhere"), "backtest: no such folder: nowhere"),
        (("--cases", "empty"), "backtest: no case file in empty"),
        (("--cases", "cases", "--days", "0"), "backtest: --days and --most are numbers above zero"),
        (
            ("--cases", "cases", "--against", "none.yaml"),
            "backtest: none.yaml: No such file or directory",
        ),
    ],
    ids=["no-folder", "no-cases", "no-days", "no-other-file"],
)
def test_unusable_input_is_one_line(
    files: Path, run: Any, arguments: tuple[str, ...], said: str
) -> None:
    (files / "empty").mkdir()
    code, out, err = run("--policies", "policies.yaml", *arguments)
    assert (code, out, err) == (2, "", said + "\n")


def test_rows_of_past_batches_say_what_a_resume_would_have_saved(
    files: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the file says; with the setting, a file that asks for it is seen to resume them."""
    path = files / "cases" / "batch-504-alone.json"
    case = json.loads(path.read_text())
    rows = {"rows": 1000, "done": 700, "failed": {}, "missing": 300, "key": "id", "sound": True}
    path.write_text(json.dumps({**case, "rows": rows}))
    resuming = AFTER.replace("{batch_size: halve}", "{batch_size: halve, rows: remaining}")
    (files / "policies.yaml").write_text(resuming)
    arguments = ("--cases", "cases", "--policies", "policies.yaml", "--against", "before.yaml")
    code, out, _ = run(*arguments, "--json")
    found = json.loads(out)["rows"]
    assert (code, found["batches"], found["rows"], found["unpriced"]) == (0, 1, 700, 0)
    assert found["saved_usd"] > 0
    assert found["resumed"] == {"policies.yaml": 0, "before.yaml": 0}
    monkeypatch.setenv("REMEDIATOR_RESUME_BUCKET", "gs://ours/parts")
    _, out, _ = run(*arguments)
    assert (
        f"Rows: 1 batch came back in part: 700 rows need not have run again, which saves about "
        f"${found['saved_usd']:.2f}. policies.yaml resumes 1; before.yaml resumes 0."
    ) in out
