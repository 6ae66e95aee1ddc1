"""The commands that need nothing but files, as they are typed: answers, exit codes, one line of error."""

from __future__ import annotations

import argparse
import copy
import io
import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from remediator.catalog.catalog import Catalog
from remediator.cli.commands import build, parse
from remediator.cli.input_output import write_whole
from remediator.cli.parser import PartialParser
from remediator.domain import InvalidInput
from tests.jobs import CUSTOM

POLICIES = """\
version: 1
mode: enforce
rerun_safe: [custom]
limits: {usd_per_job: 1}
channels: {ml: {slack: {webhook: "env:W"}}}
policies:
  - name: grown
    when: {}
    do: [{resubmit: {machine_type: bigger}, times: 3}]
    alert: [ml]
"""
KILLED = "The replica workerpool0-0 ran out of memory and exited with a non-zero status of 137."


@pytest.fixture
def run(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Where `policies.yaml` stands in the folder that commands run in."""
    (tmp_path / "policies.yaml").write_text(POLICIES)
    monkeypatch.chdir(tmp_path)
    return run


def case(path: Path, **parts: Any) -> str:
    body = copy.deepcopy(CUSTOM) | {"error": {"code": 3, "message": KILLED}}
    path.write_text(json.dumps({"job": body} | parts))
    return str(path)


def planned(run: Any, file: str) -> dict[str, Any]:
    code, out, err = run("plan", file, "--policies", "policies.yaml", "--json")
    assert (code, err) == (0, "")
    answer: dict[str, Any] = json.loads(out)
    return answer


GOOD = "version: 1\npolicies: []\n"


def test_several_policy_files_and_standard_input_are_checked_at_once(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(GOOD + "mode: on\n")
    piped = io.TextIOWrapper(io.BytesIO(b"version: 2\npolicies: []\n"))
    monkeypatch.setitem(sys.__dict__, "stdin", piped)
    code, out, err = run("validate", "a.yaml", "b.yaml", "-")
    assert (code, err) == (1, "")
    assert out.splitlines() == [
        "a.yaml: 0 policies, mode observe: no mistakes",
        "b.yaml:3:7: error: mode: unknown value `on`; did you mean `enforce`?",
        "b.yaml: 1 error: it does not load",
        "stdin:1:10: error: version: `2` is not known here: this product reads version 1",
        "stdin: 1 error: it does not load",
    ]
    code, out, _ = run("validate", "a.yaml", "b.yaml", "--json")
    assert (code, [one["file"] for one in json.loads(out)]) == (1, ["b.yaml"])
    assert run("validate", "a.yaml", "--json") == (0, "[]\n", "")
    code, out, _ = run("validate", "b.yaml", "--json")  # one file's mistakes name it too
    assert (code, [one["file"] for one in json.loads(out)]) == (1, ["b.yaml"])


def test_validate_knows_which_regions_are_served(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text(GOOD + "limits: {usd_per_job: 5}\n")
    monkeypatch.setenv("REMEDIATOR_LOCATIONS", "us-east1, mars-north1")
    code, out, _ = run("validate", "a.yaml")
    assert code == 1
    assert "no price is known in the served region `mars-north1`" in out
    assert "us-east1" not in out


@pytest.mark.parametrize(
    "part", ["model", "logEntry", "errorFiles", "buckets", "logEntries", "attempts", "now"]
)
@pytest.mark.parametrize("odd", [-1, 1.5, "x", True, [None]], ids=str)
def test_an_odd_part_of_a_case_file_is_one_line_and_exit_2(
    run: Any, tmp_path: Path, part: str, odd: object
) -> None:
    file = case(tmp_path / "case.json", **{part: odd})
    for command in (("diagnose", file), ("plan", file, "--policies", "policies.yaml")):
        code, out, err = run(*command)
        assert (code, out) == (2, "")
        (line,) = err.splitlines()
        assert f"`{part}`" in line


@pytest.mark.parametrize("odd", [-1, 1.5, "x", True, [None], [[]]], ids=str)
def test_labels_that_no_job_has_are_one_line_and_exit_2(run: Any, odd: object) -> None:
    body = copy.deepcopy(CUSTOM) | {"labels": odd}
    case(Path("case.json"), job=body, expect={})
    for command in (
        ("plan", "case.json"),
        ("test", "."),
        ("backtest", "--cases", "."),
        ("alert", "preview", "case.json", "--channel", "ml"),
    ):
        code, out, err = run(*command, "--policies", "policies.yaml")
        assert (code, out) == (2, "")
        assert err == f"{command[0]}: case.json: the job's `labels` must be an object\n"


def test_a_job_without_a_case_around_it_is_a_case(run: Any, tmp_path: Path) -> None:
    body = copy.deepcopy(CUSTOM) | {"error": {"code": 3, "message": KILLED}}
    (tmp_path / "job.json").write_text(json.dumps(body))
    code, out, err = run("diagnose", "job.json", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["verdict"] == "memory_pressure"


def test_a_time_in_another_zone_is_told_and_matched_in_utc(run: Any, tmp_path: Path) -> None:
    text = POLICIES.replace("when: {}", "when: {if: 'now.hour == 2 && now.weekday == 7'}")
    text = text.replace("{machine_type: bigger}", "{wait: 10m}")
    (tmp_path / "policies.yaml").write_text(text)
    made = planned(run, case(tmp_path / "case.json", now="2026-11-22T03:59:00+01:00"))
    assert (made["policy"], made["not_before"]) == ("grown", "2026-11-22T03:09:00Z")


@pytest.mark.parametrize(
    ("earlier", "refused"),
    [
        ([], []),
        ([None], ["usd_per_job"]),  # one failed attempt, which is the job: 0.46 by what it ran
        ([9.0], ["usd_per_job"]),  # whatever it was estimated at
        ([0.0, None], ["usd_per_job"]),
        (["much", None], ["usd_per_job"]),  # no number: not known
    ],
)
def test_what_the_chain_has_cost_so_far_counts(
    run: Any, tmp_path: Path, earlier: list[float | str | None], refused: list[str]
) -> None:
    attempts = [
        {
            "name": f"projects/1/locations/us-central1/customJobs/{number}",
            "policy": "other",
            "estimated_usd": usd,
            "changes": [],
        }
        for number, usd in enumerate(earlier)
    ]
    made = planned(run, case(tmp_path / "case.json", attempts=attempts))
    assert made["estimated_usd"] == 0.9
    assert made["refused_by"] == refused
    if refused:
        assert "$0.46 spent for this job and $0.90 more would pass $1.00" in made["because"]


def test_a_refused_step_is_printed_as_one_that_is_not_taken(run: Any, tmp_path: Path) -> None:
    file = case(tmp_path / "case.json")
    _, allowed, _ = run("plan", file, "--policies", "policies.yaml")
    assert "refused" not in allowed
    text = (tmp_path / "policies.yaml").read_text()
    (tmp_path / "policies.yaml").write_text(text.replace("usd_per_job: 1", "usd_per_job: 0.5"))
    _, refused, _ = run("plan", file, "--policies", "policies.yaml")
    step = [line for line in allowed.splitlines() if line.startswith(("  ", "estimated"))]
    lines = refused.splitlines()
    start = lines.index("refused by: usd_per_job")
    assert lines[start + 1] == "the step that is refused, and not taken:"
    assert lines[start + 2 : start + 2 + len(step)] == step


def test_a_refused_step_without_a_change_says_so(run: Any, tmp_path: Path) -> None:
    file = case(tmp_path / "case.json")
    written = (tmp_path / "policies.yaml").read_text()
    before, _, _ = written.partition("policies:")
    one = "{name: again, when: {}, do: [{resubmit: {}}]}"
    text = before.replace("usd_per_job: 1", "usd_per_job: 0.01") + f"policies: [{one}]\n"
    (tmp_path / "policies.yaml").write_text(text)
    _, refused, _ = run("plan", file, "--policies", "policies.yaml")
    lines = refused.splitlines()
    start = lines.index("the step that is refused, and not taken:")
    assert lines[start + 1] == "  the same job again, unchanged"


def test_an_estimate_of_an_earlier_attempt_counts_as_plans_spell_it(
    run: Any, tmp_path: Path
) -> None:
    (tmp_path / "policies.yaml").write_text(POLICIES.replace("usd_per_job: 1", "usd_per_job: 9"))
    last = {"name": CUSTOM["name"], "changes": [{"field": "f", "from": 1, "to": 2}]}
    file = case(tmp_path / "case.json", attempts=[{**last, "estimated_usd": 7.7}, last])
    assert "$8.16 spent for this job" in planned(run, file)["because"]


def test_json_of_a_plan_holds_the_explanation_where_it_is_asked_for(
    run: Any, tmp_path: Path
) -> None:
    file = case(tmp_path / "case.json")
    assert "explanation" not in planned(run, file)
    code, out, _ = run("plan", file, "--policies", "policies.yaml", "--json", "--explain")
    assert code == 0
    assert json.loads(out)["explanation"][0] == "grown: matches"


def test_policy_tests_as_json_name_each_difference(run: Any, tmp_path: Path) -> None:
    cases = tmp_path / "cases"
    cases.mkdir()
    case(cases / "a.json", expect={"verdict": "memory_pressure", "step": 1})
    case(cases / "b.json", expect={"kind": "custom", "action": "alert", "verdikt": None})
    case(cases / "no-test.json")
    code, out, err = run("test", "cases", "--policies", "policies.yaml", "--json")
    assert code == 1
    assert err == "note: cases/no-test.json: has no `expect` object: skipped\n"
    assert json.loads(out) == {
        "passed": 1,
        "failed": 1,
        "cases": [
            {"case": "cases/a.json", "passed": True, "differences": []},
            {
                "case": "cases/b.json",
                "passed": False,
                "differences": [
                    "verdikt: neither `diagnose` nor `plan` answers such a key",
                    "action: expected 'alert', got 'resubmit'",
                ],
            },
        ],
    }


def test_an_expectation_that_is_no_object_is_unusable(run: Any, tmp_path: Path) -> None:
    case(tmp_path / "case.json", expect=["memory_pressure"])
    code, out, err = run("test", ".", "--policies", "policies.yaml")
    assert (code, out) == (2, "")
    assert "`expect` must be an object" in err


@pytest.mark.parametrize("name", ["nowhere/x.json", "policies.yaml/x.json", "folder"])
def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "policies.yaml").write_text(POLICIES)
    with pytest.raises(InvalidInput, match=f"{name}: "):
        write_whole(tmp_path / name, "text")
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["folder", "policies.yaml"]


def test_an_entry_of_the_catalogue_is_what_it_is_costs_and_leads_to(run: Any) -> None:
    code, out, err = run("catalog", "show", "n1-standard-8")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    for line in (
        "memory_gib: 30.0",
        "usd_per_hour: 0.437",
        "accelerator: none",
        "    bigger: n1-standard-16",
        "      NVIDIA_TESLA_T4: 1, 2, 4",
    ):
        assert line in lines


@pytest.mark.parametrize("name", sorted(Catalog.built_in().machines))
def test_every_entry_of_the_catalogue_is_told_and_no_price_is_nothing(run: Any, name: str) -> None:
    code, out, err = run("catalog", "show", name)
    assert (code, err) == (0, "")
    _, as_json, _ = run("catalog", "show", name, "--json")
    price = json.loads(as_json)["usd_per_hour"]
    assert f"\nusd_per_hour: {'unknown' if price is None else price}\n" in out
    assert "None" not in out
    assert max(len(line) for line in out.splitlines()) < 300


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("N1-STANDARD-8", "there is no machine type N1-STANDARD-8 (did you mean n1-standard-8?)"),
        ("nvidia-tesla-t4", "(did you mean NVIDIA_TESLA_T4?)"),
        ("n1-standard-12", "there is no machine type n1-standard-12 (did you mean n1-standard-2?)"),
        ("c4-standard-8", "Vertex AI takes no c4-standard-8: Compute Engine alone has it"),
    ],
)
def test_a_type_that_vertex_does_not_take_is_one_line(run: Any, name: str, says: str) -> None:
    code, out, err = run("catalog", "show", name)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert says in line


def test_a_probe_that_nobody_answers_is_a_failed_check(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:  # bound, and nobody listens
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("REMEDIATOR_VERTEX_ENDPOINT", "127.0.0.1:1")
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        code, out, err = run("probe", url, "--tries", "1")
    assert (code, err) == (1, "")
    assert "no answer" in out


@pytest.mark.parametrize("endpoint", ["", "aiplatform.example:443", "127.0.0.1", "http://[x"])
def test_a_probe_goes_to_loopback_only_where_the_vertex_endpoint_is_there(
    run: Any, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("REMEDIATOR_VERTEX_ENDPOINT", endpoint)
    code, out, err = run("probe", "http://127.0.0.1:9/", "--tries", "1")
    assert (code, out) == (2, "")
    assert "private, local or reserved" in err


def test_a_probe_that_a_proxy_would_answer_is_skipped_and_no_failure(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "")
    code, out, _ = run("probe", "https://data.example/", "--tries", "1")
    assert code == 0
    assert "skipped behind a proxy" in out


def test_policies_kept_elsewhere_are_no_file_for_commands_that_need_nothing_but_files(
    run: Any, tmp_path: Path
) -> None:
    code, out, err = run("plan", case(tmp_path / "c.json"), "--policies", "gs://bucket/policies")
    assert (code, out) == (2, "")
    assert err == (
        "plan: gs://bucket/policies is not a file on this machine: name one with --policies\n"
    )


def test_a_probe_is_judged_by_the_threshold_of_the_policy_file(run: Any, tmp_path: Path) -> None:
    probes = [{"url": "https://data.example", "seconds": 0.3, "from": "us-central1"}]
    stopped = copy.deepcopy(CUSTOM) | {
        "error": {"code": 1, "message": "Job timed out after 3600 seconds"}
    }
    container = stopped["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    container["args"] = ["--source=https://data.example/reads"]
    idle = {
        "metric": {"type": "ml.googleapis.com/training/cpu/utilization"},
        "points": [
            {
                "interval": {"endTime": f"2026-11-23T18:{minute:02d}:00Z"},
                "value": {"doubleValue": 0.03},
            }
            for minute in range(60)
        ],
    }
    file = case(tmp_path / "case.json", job=stopped, probes=probes, timeSeries=[idle])
    lax = planned(run, file)
    (tmp_path / "policies.yaml").write_text(
        POLICIES + 'probes: {hosts: ["data.example"], threshold: 0.1s}\n'
    )
    strict = planned(run, file)
    assert "Network latency" not in lax["because"]
    assert strict["verdict"] == "network_latency"


def test_a_new_folder_names_no_schema_that_it_lacks(run: Any, tmp_path: Path) -> None:
    """The shipped file names the schema of the checkout; the copy has as many lines, and loads."""
    assert run("init", str(tmp_path / "mine"))[0] == 0
    text = (tmp_path / "mine" / "policies.yaml").read_text()
    assert "$schema" not in text
    shipped = (Path(__file__).parents[1] / "policies.yaml").read_text()
    assert text.splitlines()[1:] == shipped.splitlines()[1:]
    assert run("validate", str(tmp_path / "mine" / "policies.yaml"))[0] == 0


def test_a_machine_type_is_shown_without_the_word_show(run: Any) -> None:
    assert run("catalog", "n1-standard-8") == run("catalog", "show", "n1-standard-8")
    assert run("catalog", "n1-standard-8", "--json") == run(
        "catalog", "show", "n1-standard-8", "--json"
    )


def test_the_schema_that_is_printed_is_the_one_that_is_shipped(run: Any) -> None:
    shipped = Path(__file__).parents[1] / "docs" / "policies.schema.json"
    code, out, err = run("schema")
    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads(shipped.read_text())


def test_every_command_and_every_option_is_explained() -> None:
    def bare(parser: argparse.ArgumentParser) -> list[str]:
        found = [] if parser.description else [parser.prog]
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for one in action.choices.values():
                    found += bare(one)
            elif not action.help:
                found.append(f"{parser.prog} {action.dest}")
        return found

    assert bare(build()) == []


def test_a_parser_that_is_built_for_one_command_parses_it_as_the_whole_one() -> None:
    (commands,) = (a for a in build()._actions if isinstance(a, argparse._SubParsersAction))
    for name, whole in commands.choices.items():
        (known,) = (
            action
            for action in build(PartialParser, upto=name)._actions
            if isinstance(action, argparse._SubParsersAction)
        )
        assert known.choices[name].format_help() == whole.format_help()
    assert list(known.choices) == list(commands.choices), "the last command knows all"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("diagnose", "remediator diagnose: error: the following arguments are required: INPUT"),
        ("diagnose x --channel y", "remediator: error: unrecognized arguments: --channel y"),
        ("diagnose x --catalo y", "did you mean '--catalog'?"),
        ("diagnos x", "did you mean 'diagnose'?"),
        ("folow x", "did you mean 'follow'?"),
        ("", "the following arguments are required: COMMAND"),
    ],
)
def test_what_is_wrong_is_told_by_the_whole_parser(
    words: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        parse(words.split())
    assert left.value.code == 2
    assert told in capsys.readouterr().err


def test_what_a_preview_needs_is_told_whole(run: Any, tmp_path: Path) -> None:
    code, _, err = run("alert", "preview", case(tmp_path / "case.json"))
    assert code == 2
    assert err.strip().endswith("--google-chat, --pagerduty and --webhook")
    assert "redacted" not in err


def test_a_preview_prints_one_body(run: Any, tmp_path: Path) -> None:
    file = case(tmp_path / "case.json")
    code, out, err = run("alert", "preview", file, "--html", "--slack")
    assert (code, out) == (2, "")
    assert "--html and --slack: each prints a body of its own" in err


def test_a_preview_says_that_pagerduty_is_told_nothing(run: Any, tmp_path: Path) -> None:
    file = case(tmp_path / "case.json")
    code, out, err = run("alert", "preview", file, "--pagerduty")
    paged = json.loads(out)
    assert (code, paged is None) == (0, "PagerDuty gets nothing" in err)
    assert paged is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("projects/p/locations/x/customJobs/7",), "the name says x, which is not a region"),
        (("7", "--project", "p", "--region", "moon"), "--region says moon, which is not a region"),
    ],
)
def test_a_place_that_is_no_region_is_told_where_it_stands(
    run: Any, words: tuple[str, ...], told: str
) -> None:
    code, _, err = run("diagnose", *words)
    assert code == 2
    assert told in err
    assert "REMEDIATOR_LOCATIONS" not in err


def test_the_policy_file_is_looked_for_anew_in_each_call(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that calls the command line twice, as a notebook does, may change its environment."""
    file = case(tmp_path / "case.json")
    named = []
    for name in ("one", "two"):
        policies = tmp_path / f"{name}.yaml"
        policies.write_text(f"version: 1\npolicies: [{{name: {name}, when: {{}}, do: []}}]\n")
        monkeypatch.setenv("REMEDIATOR_POLICIES", str(policies))
        named.append(json.loads(run("plan", file, "--json")[1])["policy"])
    assert named == ["one", "two"]
