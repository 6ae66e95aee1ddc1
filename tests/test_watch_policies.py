"""The policy file's `watch`: what it may say, how its mistakes are told, and what `plan` makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from remediator.cli.main import main
from remediator.policy.language import load, schema
from tests.running import GPU, at, line, one_core, running, series, stalled, steps

HEAD = """\
version: 1
mode: enforce
rerun_safe: [batch_prediction, custom]
limits: {usd_per_job: 1000}
channels: {ml: {slack: {webhook: "env:HOOK"}}}
policies: [{name: all, when: {}, alert: [ml]}]
"""
CONTRACT = """\
watch:                          # running jobs; the first entry that matches decides
  - name: hung-training
    when: {running: [stalled, spinning], for: 30m, job: custom, labels: {team: nlp}, if: "job.usd_per_hour > 5"}
    log: {pattern: "step [0-9]+", stop_pattern: "training complete", for: 20m}
    do: alert
    alert: [ml]
"""
SAVED = [{"name": "gs://results/run/ckpt-9", "updated": at(80), "size": "9"}]


def entry(text: str, head: str = HEAD) -> str:
    return f"{head}watch:\n  - {{name: w, {text}, alert: [ml]}}\n"


# --- what may stand there ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "when: {running: stalled}",
        "when: {running: [will_time_out, memory_climbing], for: 2h30m}",
        "when: {machine: [a2-*, a3-*], location: us-*, service_account: '*@x.iam.gserviceaccount.com'}",
        "when: {running: stalled}, do: cancel",
        "when: {running: stalled}, do: {cancel_resubmit: {checkpoint: not_needed}}",
        "when: {running: stalled}, do: {cancel_resubmit: }",
        "when: {running: stalled}, do: cancel_resubmit",
        "log: {pattern: 'loss[ =:]+[0-9]', for: 20m}, do: cancel",
        "when: {running: stalled}, mode: approve, enabled: false, description: rolled out in June",
    ],
)
def test_what_an_entry_may_say(text: str) -> None:
    found = load(entry(text))
    # an empty mapping is a mistake wherever else it stands
    wrong = [one.message for one in found.mistakes if one.severity == "error"]
    if "cancel_resubmit: }" in text:
        assert wrong
        return
    assert found.mistakes == ()
    jsonschema.validate(json.loads(json.dumps(_plain(entry(text)))), schema())


def test_the_contracts_example_is_without_mistakes() -> None:
    found = load(HEAD + CONTRACT)
    assert found.mistakes == ()
    assert found.policies is not None
    first = found.policies.watch[0]
    assert [one.value for one in first.when.running or ()] == ["stalled", "spinning"]
    assert not first.cancels


def _plain(text: str) -> Any:
    import yaml

    return yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("when: {running: stuck}", "8:31", "unknown value `stuck`"),
        ("when: {running: healthy}", "8:31", "not a verdict on which anything is done"),
        (
            "when: {running: stalled, cause: quota}",
            "8:40",
            "a job that still runs has no cause yet",
        ),
        ("when: {running: stalled, for: soon}", "8:45", "for: "),
        ("when: {if: 'job.usd_per_hor > 5'}", "8:26", "did you mean `job.usd_per_hour`?"),
        ("when: {}, do: kill", "8:29", "unknown value `kill`"),
        ("when: {}, do: [cancel]", "8:29", "got a list"),
        ("when: {}, do: {cancel_resubmit: {checkpoint: maybe}}", "8:60", "unknown value `maybe`"),
        ("when: {}, do: {resubmit: {}}", "8:30", "unknown key `resubmit`"),
        ("log: {pattern: 'a(', for: 5m}", "8:30", "is not a regular expression (RE2)"),
        ("log: {pattern: 'step', for: 5m, stop: done}", "8:47", "unknown key `stop`"),
        ("log: {pattern: 'step'}", "8:15", "`for` is missing"),
        ("when: {machine: {}}", "8:31", "machine: "),
        ("when: {running: stalled}, alerts: [ml]", "8:41", "did you mean `alert`?"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, place: str, words: str) -> None:
    errors = [one.render("p.yaml") for one in load(entry(text)).errors]
    assert [one for one in errors if one.startswith(f"p.yaml:{place}:") and words in one], errors


def test_names_and_channels_are_checked_with_those_of_the_policies() -> None:
    text = HEAD + (
        "watch:\n  - {name: all, when: {running: stalled}, alert: [mll]}\n"
        "  - {name: two, when: {running: spinning}, alert: [owner]}\n"
    )
    told = [one.render("p.yaml") for one in load(text).errors]
    assert told == [
        "p.yaml:8:12: error: duplicate name `all`: line 6 has it already",
        "p.yaml:8:51: error: undefined channel `mll`; did you mean `ml`?",
        "p.yaml:9:52: error: `owner` needs an owner map: write `owners` at the top level",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("when: {running: [stalled], for: 5m}", "write 10m or more"),
        ("when: {running: waiting_for_quota}, log: {pattern: x, for: 1h}", "writes no log"),
        ("when: {running: waiting_for_capacity}, do: cancel_resubmit", "has no checkpoint"),
        (
            "when: {running: stalled, job: batch_prediction}, do: cancel_resubmit",
            "a batch prediction has no checkpoint",
        ),
        ("when: {if: 'job.exit_code == 137 || job.spot'}", "`job.exit_code` is only known once"),
        ("when: {if: 'diagnosis.cause == \"quota\"'}", "`diagnosis.cause` is only known once"),
        ("when: {if: 'now.hour > 6 && diagnosis . confidence > 0.5'}", "`diagnosis.confidence` is"),
    ],
)
def test_what_can_never_be_is_warned_of(text: str, words: str) -> None:
    (told,) = load(entry(text)).mistakes
    assert (told.severity, words in told.message) == ("warning", True)


def test_a_condition_that_a_running_job_can_answer_is_not_warned_of() -> None:
    text = "when: {if: 'job.labels.cause == \"diagnosis.cause\" && job.usd_per_hour > 5'}"
    assert load(entry(text)).mistakes == ()


def test_an_entry_that_an_earlier_one_takes_is_unreachable() -> None:
    several = HEAD + (
        "watch:\n"
        "  - {name: a, when: {running: [stalled, spinning], for: 30m}, alert: [ml]}\n"
        "  - {name: b, when: {running: stalled, for: 1h, job: custom}, alert: [ml]}\n"
        "  - {name: c, when: {running: stalled, for: 20m}, alert: [ml]}\n"
        "  - {name: d, when: {running: [spinning, will_time_out], for: 1h}, alert: [ml]}\n"
    )
    told = [one.render("p.yaml") for one in load(several).mistakes]
    assert told == [
        "p.yaml:9:12: warning: unreachable entry: all it could match is taken before it by `a`"
    ]


def test_a_limit_that_forbids_the_resubmission_and_money_without_a_limit_are_warned_of() -> None:
    act = "when: {running: stalled}, do: cancel_resubmit"
    (none,) = load(
        entry(act, HEAD.replace("usd_per_job: 1000", "attempts: 0, usd_per_job: 5"))
    ).mistakes
    assert "`attempts: 0` forbids `cancel_resubmit`" in none.message
    (free,) = load(entry(act, HEAD.replace("limits: {usd_per_job: 1000}\n", ""))).mistakes
    assert "`enforce` without a money limit" in free.message


# --- what `plan` makes of it ---------------------------------------------------------------------

Run = Any


@pytest.fixture
def planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(body: dict[str, Any], text: str) -> dict[str, Any]:
        (tmp_path / "case.json").write_text(json.dumps(body))
        (tmp_path / "p.yaml").write_text(text)
        code = main(
            ["plan", str(tmp_path / "case.json"), "--policies", str(tmp_path / "p.yaml"), "--json"]
        )
        out = capsys.readouterr()
        assert code == 0, out.err
        answer: dict[str, Any] = json.loads(out.out)
        return answer

    return run


HUNG = "when: {running: [stalled, spinning]}"


def test_an_entry_decides_by_its_first_match_and_names_what_it_would_do(planned: Run) -> None:
    text = (
        HEAD + "watch:\n"
        "  - {name: other-team, when: {running: stalled, labels: {team: vision}}, alert: [ml]}\n"
        "  - {name: dear, when: {running: stalled, if: 'job.usd_per_hour > 3'}, do: cancel, alert: [ml]}\n"
        "  - {name: rest, when: {running: stalled}, alert: [ml]}\n"
    )
    dear = planned(stalled(machine=GPU), text)
    assert (dear["policy"], dear["action"], dear["alerts"]) == ("dear", "cancel", ["ml"])
    assert (dear["mode"], dear["request"], dear["refused_by"]) == ("enforce", None, [])
    assert dear["watch"]["verdict"] == "stalled"
    cheap = planned(stalled(), text)
    assert (cheap["policy"], cheap["action"], cheap["alerts"]) == ("rest", "alert", ["ml"])


def test_a_healthy_job_is_told_to_nobody(planned: Run) -> None:
    metrics = (series("cpu/utilization", lambda _: 0.9, 120),)
    found = planned(running(120, metrics=metrics, lines=steps(119)), entry(f"{HUNG}, do: cancel"))
    assert (found["action"], found["alerts"], found["policy"]) == ("alert", [], "")
    assert found["watch"]["verdict"] == "healthy"


@pytest.mark.parametrize(
    ("kind", "out"),
    [
        ("custom", "has stood still since"),
        ("pipeline", "no alert is sent: the job is RUNNING: it has not failed"),
    ],
)
def test_the_alert_of_a_running_job_is_shown_where_an_entry_tells_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, out: str
) -> None:
    (tmp_path / "case.json").write_text(json.dumps(stalled()))
    text = entry(f"when: {{running: stalled, job: {kind}}}")
    (tmp_path / "p.yaml").write_text(text)
    files = [str(tmp_path / "case.json"), "--policies", str(tmp_path / "p.yaml")]
    assert main(["alert", "preview", *files, "--channel", "ml"]) == 0
    assert out in capsys.readouterr().out.partition("\n")[0]


@pytest.mark.parametrize(
    ("asked", "minutes", "verdict"),
    [("for: 20m", 125, "stalled"), ("for: 2h", 180, "healthy"), ("for: 2h", 230, "stalled")],
)
def test_an_entrys_own_number_takes_the_place_of_the_default(
    planned: Run, asked: str, minutes: int, verdict: str
) -> None:
    found = planned(stalled(minutes), entry(f"when: {{running: stalled, {asked}}}"))
    default = planned(stalled(minutes), HEAD)
    assert (found["policy"] == "w") is (verdict == "stalled")
    if verdict == "stalled":
        assert found["watch"]["verdict"] == verdict
    assert default["policy"] == ""


def test_the_jobs_own_label_widens_an_entrys_number_too(planned: Run) -> None:
    text = entry("when: {running: stalled, for: 20m}")
    quiet = stalled(180, job={"labels": {"remediator-silence": "4h"}})
    assert planned(quiet, text)["policy"] == ""
    assert planned(stalled(180), text)["policy"] == "w"
    assert (
        planned(stalled(360, job={"labels": {"remediator-silence": "4h"}}), text)["policy"] == "w"
    )


@pytest.mark.parametrize(("label", "is_told"), [("4hours", True), ("1h", False), ("", False)])
def test_a_label_of_silence_that_is_no_duration_is_told(
    planned: Run, label: str, is_told: bool
) -> None:
    body = stalled(180, job={"labels": {"remediator-silence": label}})
    found = planned(body, entry("when: {running: stalled}"))
    told = [
        one for one in found["watch"]["evidence"] if one["where"] == "labels.remediator-silence"
    ]
    assert (found["watch"]["verdict"], bool(told)) == ("stalled", is_told)
    assert all(label in one["says"] for one in told)


@pytest.mark.parametrize(
    ("mode", "own", "action", "shown"),
    [
        ("enforce", "", "cancel", "enforce"),
        ("approve", "", "approve", "approve"),
        ("observe", "", "cancel", "observe"),
        ("enforce", ", mode: approve", "approve", "approve"),
        ("enforce", ", mode: observe", "cancel", "observe"),
    ],
)
def test_modes_hold_for_cancels(planned: Run, mode: str, own: str, action: str, shown: str) -> None:
    head = HEAD.replace("mode: enforce", f"mode: {mode}")
    found = planned(stalled(machine=GPU), entry(f"{HUNG}, do: cancel{own}", head))
    assert (found["action"], found["mode"]) == (action, shown)


def test_cancel_and_resubmit_is_the_same_job_again_at_a_price(planned: Run) -> None:
    text = entry(f"{HUNG}, do: {{cancel_resubmit: {{checkpoint: required}}}}")
    found = planned(stalled(machine=GPU, outputs=SAVED), text)
    assert (found["action"], found["step"], found["changes"]) == ("cancel_resubmit", 1, [])
    assert found["request"]["labels"]["remediator-policy"] == "w"
    assert found["request"]["jobSpec"]["baseOutputDirectory"] == {
        "outputUriPrefix": "gs://results/run"
    }
    assert "state" not in found["request"]
    assert 0 < found["estimated_usd"] < found["worst_case_usd"]
    assert "from its checkpoint of 2026-11-28 09:20 UTC" in found["because"]


def test_without_a_checkpoint_the_job_is_left_running_unless_none_is_needed(planned: Run) -> None:
    act = f"{HUNG}, do: {{cancel_resubmit: {{checkpoint: %s}}}}"
    old = [{"name": "gs://results/run/ckpt-1", "updated": at(-30), "size": "9"}]
    beside = [{**SAVED[0], "name": "gs://results/run-2/ckpt-1"}]
    for outputs in ([], old, beside):
        left = planned(stalled(machine=GPU, outputs=outputs), entry(act % "required"))
        assert (left["action"], left["request"], left["alerts"]) == ("alert", None, ["ml"])
        assert "checkpoint" in left["because"]
    assert planned(stalled(machine=GPU), entry(act % "not_needed"))["action"] == "cancel_resubmit"


def test_a_kind_that_is_not_safe_to_run_again_asks_a_person_and_a_plain_cancel_does_not(
    planned: Run,
) -> None:
    head = HEAD.replace("rerun_safe: [batch_prediction, custom]\n", "")
    body = stalled(machine=GPU, outputs=SAVED)
    asked = planned(body, entry(f"{HUNG}, do: cancel_resubmit", head))
    assert (asked["action"], asked["mode"]) == ("approve", "approve")
    assert asked["request"] is not None
    assert planned(body, entry(f"{HUNG}, do: cancel", head))["action"] == "cancel"
    vouched = stalled(machine=GPU, outputs=SAVED, job={"labels": {"remediator": "on"}})
    assert (
        planned(vouched, entry(f"{HUNG}, do: cancel_resubmit", head))["action"] == "cancel_resubmit"
    )


def attempts(count: int, verdict: str, changes: bool = False) -> list[dict[str, Any]]:
    changed = [{"field": "jobSpec.scheduling.timeout", "from": "1s", "to": "2s"}]
    return [
        {
            "name": f"projects/123456789012/locations/us-central1/customJobs/{80 + n}",
            "state": "JOB_STATE_CANCELLED",
            "createTime": at(-300 + n),
            "policy": "w",
            "step": 1,
            "verdict": verdict,
            "changes": changed if changes else [],
        }
        for n in range(count)
    ]


@pytest.mark.parametrize(
    ("made", "limits", "action", "refused"),
    [
        (attempts(2, "stalled"), "attempts: 9", "cancel_resubmit", []),
        (attempts(3, "stalled"), "attempts: 9", "alert", ["attempts"]),
        (attempts(1, "stalled"), "attempts: 1", "alert", ["attempts"]),
        (attempts(1, "cpu_saturation", changes=True), "attempts: 1", "alert", ["attempts"]),
        (attempts(1, "stalled"), "attempts: 9, retries: 0", "cancel_resubmit", []),
        (attempts(1, "transient_backend"), "attempts: 1, retries: 9", "cancel_resubmit", []),
        (attempts(1, "stalled"), "attempts: 9, usd_per_job: 0.01", "alert", ["usd_per_job"]),
    ],
)
def test_a_resubmission_counts_against_attempts_and_three_times_in_a_chain(
    planned: Run, made: Any, limits: str, action: str, refused: list[str]
) -> None:
    money = "" if "usd_per_job" in limits else ", usd_per_job: 1000"
    head = HEAD.replace("{usd_per_job: 1000}", f"{{{limits}{money}}}")
    body = stalled(machine=GPU, outputs=SAVED, attempts=made)
    found = planned(body, entry(f"{HUNG}, do: cancel_resubmit", head))
    assert (found["action"], found["refused_by"]) == (action, refused)


def test_a_parent_and_the_label_off_keep_it_silent(planned: Run) -> None:
    text = entry(f"{HUNG}, do: cancel")
    child = stalled(machine=GPU, parent="pipeline run 7")
    found = planned(child, text)
    assert (found["action"], found["refused_by"], found["alerts"]) == ("alert", ["has_parent"], [])
    off = planned(stalled(machine=GPU, job={"labels": {"remediator": "off"}}), text)
    assert (off["watch"], off["action"], off["alerts"]) == (None, "alert", [])
    assert off["refused_by"] == ["label_off"]


def test_a_waiting_job_is_cancelled_where_the_entry_says_so(planned: Run) -> None:
    text = entry("when: {running: [waiting_for_capacity], for: 2h}, do: cancel")
    body = running(110, job={"state": "JOB_STATE_PENDING", "startTime": None})
    assert planned(body, text)["policy"] == ""
    found = planned(body | {"now": at(130)}, text)
    assert (found["action"], found["watch"]["usd_per_hour"]) == ("cancel", 0.0)


# --- log rules -------------------------------------------------------------------------------------

BUSY = (series("cpu/utilization", lambda _: 0.9, 120),)


@pytest.mark.parametrize(
    ("lines", "rule", "fires"),
    [
        ((*steps(60), *(line(m, f"step {m} loss nan") for m in range(60, 119))), "", True),
        (steps(119), "", False),
        (steps(105), "", False),  # not for so long yet
        ((*steps(60), line(61, "training complete")), ", stop_pattern: 'training complete'", False),
        ((*steps(60), line(61, "training complete")), "", True),
        ((line(1, "downloading"),), "", True),  # never in two hours
        ((), "", False),  # nothing can be seen of the log
    ],
)
def test_a_log_rule_decides_alone(planned: Run, lines: Any, rule: str, fires: bool) -> None:
    text = entry(f"log: {{pattern: 'loss [0-9]', for: 20m{rule}}}, do: cancel")
    found = planned(running(120, metrics=BUSY, lines=lines), text)
    assert (found["policy"], found["action"]) == (("w", "cancel") if fires else ("", "alert"))
    if fires:
        assert found["because"].startswith("No line that matches `loss [0-9]` for ")


def test_a_log_rule_finds_a_deadlock_that_keeps_one_core_at_work(planned: Run) -> None:
    """Its curves look like a program that compiles; its steps have stopped."""
    found = planned(one_core(200, 90), entry("log: {pattern: 'step [0-9]+', for: 60m}, do: cancel"))
    assert (found["policy"], found["action"]) == ("w", "cancel")
    assert found["watch"]["verdict"] == "healthy"
    assert "No line that matches `step [0-9]+` for 1 h" in found["because"]


def test_before_the_first_line_that_matches_more_time_is_allowed(planned: Run) -> None:
    text = entry("log: {pattern: 'loss [0-9]', for: 20m}")
    early = running(35, metrics=BUSY, lines=(line(1, "downloading"),))
    assert planned(early, text)["policy"] == ""
    assert planned(early | {"now": at(41)}, text)["policy"] == "w"


def test_beside_a_verdict_both_must_hold_and_other_lines_are_no_work(planned: Run) -> None:
    text = entry(f"{HUNG}, log: {{pattern: 'step [0-9]+', stop_pattern: complete, for: 20m}}")
    noise = tuple(line(m, f"free memory {m * 7} MB") for m in range(90, 180))
    noisy = stalled(machine=GPU, lines=(*steps(90), *noise))
    assert planned(noisy, HEAD)["watch"]["verdict"] == "healthy"
    found = planned(noisy, text)
    assert (found["policy"], found["watch"]["verdict"]) == ("w", "stalled")
    done = stalled(machine=GPU, lines=(*steps(90), line(90, "training complete")))
    assert planned(done, text)["policy"] == ""
    works = stalled(machine=GPU, lines=steps(179))
    assert planned(works, text)["policy"] == ""


# --- the other commands ------------------------------------------------------------------------------


def test_policy_tests_expect_what_plan_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.yaml").write_text(entry("when: {running: stalled, for: 20m}, do: cancel"))
    expected = {"policy": "w", "action": "cancel", "watch": {"verdict": "stalled"}}
    (tmp_path / "case.json").write_text(json.dumps({**stalled(125), "expect": expected}))
    assert main(["test", str(tmp_path / "case.json"), "--policies", str(tmp_path / "p.yaml")]) == 0
    assert "1 passed" in capsys.readouterr().out


def test_explain_says_why_each_entry_did_or_did_not_match(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = HEAD + (
        "watch:\n"
        "  - {name: a, when: {running: stalled, machine: n2-*}, alert: [ml]}\n"
        "  - {name: b, when: {running: spinning}, alert: [ml]}\n"
        "  - {name: c, when: {running: stalled}, enabled: false, alert: [ml]}\n"
        "  - {name: d, when: {running: stalled}, alert: [ml]}\n"
    )
    (tmp_path / "p.yaml").write_text(text)
    (tmp_path / "case.json").write_text(json.dumps(stalled(machine=GPU)))
    policies = ["--policies", str(tmp_path / "p.yaml")]
    assert main(["plan", str(tmp_path / "case.json"), *policies, "--explain"]) == 0
    told = capsys.readouterr().out
    for words in (
        "watch: stalled since 2026-11-28 09:29 UTC",
        "a: does not match: the job's machine type a2-highgpu-1g does not fit n2-*",
        "b: does not match: the verdict stalled is not among spinning",
        "c: does not match: it is switched off (`enabled: false`)",
        "d: matches",
        "because: Stalled (91% sure), since 2026-11-28 09:29 UTC (1 h 31 min), at $",
    ):
        assert words in told
