"""What the newer words of the language make the planner do, and when it passes a step over."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from remediator.catalog.catalog import Catalog
from remediator.domain import Action, Attempt, Cause, Change, Guard, History, Mode, Plan
from remediator.job import Job
from remediator.job.change_words import change_list, change_phrase, plan_words
from remediator.job.differences import difference_is_legal
from remediator.planning import plan
from tests.jobs import BATCH, CUSTOM, TRAINING, attempt, case, diagnosis, job, policies

SAFE = "rerun_safe: [batch_prediction, custom, training_pipeline]"
SPEC = "jobSpec.workerPoolSpecs[0].containerSpec"


def planned(
    document: Job,
    policy: str,
    cause: Cause = Cause.GPU_MEMORY,
    *,
    head: str = "mode: enforce",
    attempts: tuple[Attempt, ...] = (),
    **more: Any,
) -> Plan:
    text = f"{head}\n{SAFE}\npolicies:\n  - {{name: one, {policy}}}\n  - {{name: rest}}\n"
    return plan(
        case(document, **more),
        diagnosis(document, cause),
        policies(text),
        History(attempts=attempts),
        Catalog.built_in(),
    )


def told(made: Plan) -> list[tuple[str, Any, Any]]:
    return [(change.field, change.before, change.after) for change in made.changes]


def container(**parts: Any) -> Job:
    """A custom job with these parts of its container."""
    document = job(CUSTOM)
    for key, value in parts.items():
        document = document.changed(f"{SPEC}.{key}", value)
    return document


# --- a smaller batch where the program says how large it is ---------------------------------------


def variables(**held: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in held.items()]


def test_a_named_variable_is_halved_and_no_other() -> None:
    document = container(env=variables(LR="16", BATCH_SIZE="16"))
    made = planned(document, "do: [{resubmit: {env: {BATCH_SIZE: halve}}}]")
    assert told(made) == [(f"{SPEC}.env[1].value", "16", "8")]
    assert "BATCH_SIZE 16 becomes 8" in made.because
    assert made.request is not None
    request = Job(document.name, made.request)
    kept = [v for v in request.read(f"{SPEC}.env") if not v["name"].startswith("REMEDIATOR_")]
    assert kept == variables(LR="16", BATCH_SIZE="8")
    assert difference_is_legal(document, made.request, made.changes)
    assert not difference_is_legal(document, made.request)


def test_the_change_names_the_place_that_the_variable_has_in_the_next_job() -> None:
    ours = variables(REMEDIATOR_ATTEMPT="1", BATCH_SIZE="16")
    made = planned(container(env=ours), "do: [{resubmit: {env: {BATCH_SIZE: halve}}}]")
    ((path, _, after),) = told(made)
    assert made.request is not None
    assert Job(job(CUSTOM).name, made.request).read(path) == after == "8"


def test_every_worker_pool_that_sets_the_variable_gets_the_smaller_batch() -> None:
    document = container(env=variables(BATCH_SIZE="7"))
    pool = document.read("jobSpec.workerPoolSpecs[0]")
    document = document.changed("jobSpec.workerPoolSpecs", [pool, pool])
    made = planned(document, "do: [{resubmit: {env: {BATCH_SIZE: halve}}}]")
    second = SPEC.replace("[0]", "[1]")
    assert told(made) == [
        (f"{SPEC}.env[0].value", "7", "3"),
        (f"{second}.env[0].value", "7", "3"),
    ]


@pytest.mark.parametrize(
    ("args", "after"),
    [
        (["--batch_size=16"], ["--batch_size=8"]),
        (["--batch_size", "16", "--epochs", "16"], ["--batch_size", "8", "--epochs", "16"]),
        (["-c", "python train.py --batch_size 16 --lr 16"], ["-c", "python train.py --batch_size 8 --lr 16"]),
        (["-c", "python train.py --batch_size='16'"], ["-c", "python train.py --batch_size='8'"]),
        (["--eval_batch_size=16", "--batch_size=3"], ["--eval_batch_size=16", "--batch_size=1"]),
        (["--eval-batch-size=16", "--batch-size=3"], ["--eval-batch-size=16", "--batch-size=1"]),
        (["--batch-size", "16"], ["--batch-size", "8"]),
        (["-c", "python train.py --batch-size 16 --lr 16"], ["-c", "python train.py --batch-size 8 --lr 16"]),
        (["-batch_size=16", "--batch_size=16"], ["-batch_size=16", "--batch_size=8"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("flag", ["--batch_size", "--batch-size"])
def test_a_named_flag_is_halved_however_it_is_passed(
    flag: str, args: list[str], after: list[str]
) -> None:
    document = container(args=args)
    made = planned(document, f'do: [{{resubmit: {{args: {{"{flag}": halve}}}}}}]')
    assert made.action is Action.RESUBMIT
    assert made.request is not None
    assert Job(document.name, made.request).read(f"{SPEC}.args") == after
    assert difference_is_legal(document, made.request, made.changes)


def test_a_flag_that_is_named_in_both_spellings_is_halved_once() -> None:
    document = container(args=["--batch-size=16"])
    both = '{"--batch_size": halve, "--batch-size": halve}'
    (change,) = planned(document, f"do: [{{resubmit: {{args: {both}}}}}]").changes
    assert change.after == "--batch-size=8"


def test_a_training_pipelines_inputs_are_read_in_their_own_spelling() -> None:
    made = planned(job(TRAINING), "do: [{resubmit: {disk: double}}]", Cause.DISK_FULL)
    ((path, _, after),) = told(made)
    assert (path.rpartition(".")[2].lower().replace("_", ""), after) == ("bootdisksizegb", 200)


@pytest.mark.parametrize(
    ("step", "cause", "said"),
    [
        (
            "{disk: double}",
            Cause.DISK_FULL,
            "Disk full (90% sure): boot disk 100 GB becomes 200 GB;",
        ),
        ("{env: {ROWS: halve}}", Cause.GPU_MEMORY, "GPU memory (90% sure): ROWS 64 becomes 32;"),
        ("{env: {ROWS: halve}}", Cause.CPU_SATURATION, "CPU saturation (90% sure): ROWS 64"),
        ('{args: {"--rows": halve}}', Cause.GPU_MEMORY, "GPU memory (90% sure): --rows 16 becomes"),
        (
            '{args: {"--n": halve}}',
            Cause.GPU_MEMORY,
            "GPU memory (90% sure): argument --n=8 becomes",
        ),
    ],
)
def test_a_plans_sentence_names_units_and_writes_names_as_people_do(
    step: str, cause: Cause, said: str
) -> None:
    document = container(env=[{"name": "ROWS", "value": "64"}], args=["--n=8", "--rows", "16"])
    assert planned(document, f"do: [{{resubmit: {step}}}]", cause).because.startswith(said)


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ("{env: {BATCH_SIZE: halve}}", "the job sets no BATCH_SIZE to a whole number"),
        ("{env: {RATE: halve}}", "the job sets no RATE to a whole number"),
        ("{env: {ONE: halve}}", "ONE is 1 already"),
        ('{args: {"--reads": halve}}', "the job sets no --reads to a whole number"),
        ('{args: {"--part": halve}}', "the job sets no --part to a whole number"),
        (
            "{machine_type: bigger, max_usd: 0.1}",
            "it would cost about $0.90, more than its max_usd",
        ),
        ("{rows: remaining}", "running only the rows that are left is not set up"),
    ],
)
def test_a_step_with_nothing_to_give_is_passed_over(step: str, why: str) -> None:
    document = container(
        env=variables(ONE="1", RATE="0.5"), args=["--reads=gs://genomes/16", "--part=16.5"]
    )
    if "rows" in step:
        document = job(BATCH)
    made = planned(document, f"do: [{{resubmit: {step}}}, {{resubmit: {{}}}}]")
    assert (made.action, made.step, made.changes) == (Action.RESUBMIT, 2, ())
    assert f"step 1 is passed over: {why}" in made.because


def test_where_only_the_rows_that_are_left_may_run_a_guard_says_so() -> None:
    made = planned(job(BATCH), "do: [{resubmit: {rows: remaining}}]")
    assert (made.action, made.refused_by, made.request) == (Action.ALERT, (Guard.ROWS,), None)


# --- strategies -----------------------------------------------------------------------------------


def test_a_job_that_leaves_flex_start_leaves_its_wait_behind() -> None:
    held = {"strategy": "FLEX_START", "maxWaitDuration": "3600s"}
    document = job(CUSTOM).changed("jobSpec.scheduling", held)
    made = planned(document, "do: [{resubmit: {strategy: SPOT}}]", Cause.CAPACITY_STOCKOUT)
    assert told(made) == [
        ("jobSpec.scheduling.strategy", "FLEX_START", "SPOT"),
        ("jobSpec.scheduling.maxWaitDuration", "3600s", None),
    ]
    again = planned(document, "do: [{resubmit: {max_wait: 8h}}]", Cause.CAPACITY_STOCKOUT)
    assert told(again) == [("jobSpec.scheduling.maxWaitDuration", "3600s", "28800s")]


@pytest.mark.parametrize("held", ["", "STRATEGY_UNSPECIFIED", "ON_DEMAND", "STANDARD"])
def test_standard_by_any_of_its_names_is_standard(held: str) -> None:
    document = job(CUSTOM).changed("jobSpec.scheduling.strategy", held or None)
    made = planned(document, "do: [{resubmit: {strategy: STANDARD, timeout: 2h}}]")
    assert [field for field, _, _ in told(made)] == ["jobSpec.scheduling.timeout"]


# --- exits by which a program asks to be run again ------------------------------------------------


def exited(code: int, **more: Any) -> Job:
    message = f"The replica workerpool0-0 exited with a non-zero status of {code}."
    return job(CUSTOM, error={"code": 3, "message": message}, **more)


@pytest.mark.parametrize(
    ("code", "refused"), [(75, ()), (143, ()), (1, (Guard.CAUSE,)), (7, (Guard.CAUSE,))]
)
def test_an_exit_that_the_policy_names_is_retried(code: int, refused: tuple[Guard, ...]) -> None:
    policy = "do: [{resubmit: {}, times: 2}], retry_exit_codes: [75, 143]"
    made = planned(exited(code), policy, Cause.USER_CODE_ERROR)
    assert made.refused_by == refused
    assert made.action is (Action.ALERT if refused else Action.RESUBMIT)


def test_a_retried_exit_is_counted_among_the_retries() -> None:
    made = planned(
        exited(75),
        "do: [{resubmit: {}, times: 9}], retry_exit_codes: 75, limits: {retries: 2}",
        Cause.USER_CODE_ERROR,
        attempts=tuple(attempt("one", number=n, changed=False) for n in (1, 2)),
    )
    assert made.refused_by == (Guard.RETRIES,)


def test_an_exit_code_is_read_from_the_log_where_the_error_does_not_say_it() -> None:
    text = "Job failed: replica workerpool0-0 exited with a non-zero status of 75."
    made = planned(
        job(CUSTOM),
        "do: [{resubmit: {}}], retry_exit_codes: 75",
        Cause.USER_CODE_ERROR,
        logEntries=[{"textPayload": text, "insertId": "a"}],
    )
    assert made.action is Action.RESUBMIT


# --- how far a policy may go, and when it matches ---------------------------------------------------


@pytest.mark.parametrize(
    ("whole", "own", "holds", "action"),
    [
        ("enforce", "observe", Mode.OBSERVE, Action.RESUBMIT),
        ("enforce", "approve", Mode.APPROVE, Action.APPROVE),
        ("enforce", "enforce", Mode.ENFORCE, Action.RESUBMIT),
        ("approve", "enforce", Mode.APPROVE, Action.APPROVE),
        ("observe", "enforce", Mode.OBSERVE, Action.RESUBMIT),
    ],
)
def test_the_stricter_of_file_and_policy_holds(
    whole: str, own: str, holds: Mode, action: Action
) -> None:
    made = planned(job(CUSTOM), f"mode: {own}, do: [{{resubmit: {{}}}}]", head=f"mode: {whole}")
    assert (made.mode, made.action) == (holds, action)


def test_a_policy_that_is_switched_off_never_matches() -> None:
    made = planned(job(CUSTOM), "enabled: false, do: [{resubmit: {}}]")
    assert (made.policy, made.action) == ("rest", Action.ALERT)
    assert "one: does not match: it is switched off (`enabled: false`)" in made.explanation


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        ("job.exit_code == 75", True),
        ("job.exit_code == 1", False),
        ("job.disk_gb <= 100", True),
        ("job.strategy == 'SPOT'", True),
        ("job.image.startsWith('us-docker.pkg.dev/p/genomics/')", True),
        ("job.usd_per_hour < 1.0", True),
        ("job.usd_per_hour > 1.0", False),
        ("attempt.cause == 'gpu_memory'", True),
        ("attempt.cause == diagnosis.cause", True),
        ("attempt.cause == 'quota'", False),
    ],
)
def test_a_condition_asks_about_exit_disk_strategy_image_rate_and_the_cause_before(
    condition: str, *, matches: bool
) -> None:
    document = exited(75).changed("jobSpec.scheduling.strategy", "SPOT")
    made = planned(
        document,
        f'when: {{if: "{condition}"}}',
        attempts=(replace(attempt("one", number=1), verdict="gpu_memory"),),
    )
    assert (made.policy == "one") is matches


@pytest.mark.parametrize(
    ("zone", "hour", "weekday"),
    [("", 23, 1), (", zone: Europe/Berlin", 0, 2), (", zone: America/New_York", 18, 1)],
)
def test_now_is_told_in_the_zone_that_the_policy_names(zone: str, hour: int, weekday: int) -> None:
    condition = f"now.hour == {hour} && now.weekday == {weekday}"
    made = planned(
        job(CUSTOM),
        f'when: {{if: "{condition}"{zone}}}',
        now="2026-11-23T23:30:00Z",
    )
    assert made.policy == "one"


def test_devices_of_a_pipelines_spec_are_told_in_whole_numbers() -> None:
    """Its numbers are doubles: protobuf's Struct knows no other."""
    machine = "jobSpec.workerPoolSpecs[0].machineSpec"
    made = job(CUSTOM).changed(f"{machine}.acceleratorCount", 2.0)
    changes = (
        Change(f"{machine}.acceleratorType", "NVIDIA_TESLA_T4", "NVIDIA_L4"),
        Change(f"{machine}.acceleratorCount", 1.0, 2.0),
    )
    words = "accelerator 1 NVIDIA_TESLA_T4 becomes 2 NVIDIA_L4"
    assert plan_words(changes, made, only_rows_left=False) == words
    listed = change_list(changes, lambda _: "accelerator", lambda text, _: text)
    assert listed == "accelerator 1 NVIDIA_TESLA_T4 -> 2 NVIDIA_L4"
    phrase = change_phrase(changes, lambda _: "accelerator", lambda text, _: text)
    assert phrase == "with 2 NVIDIA_L4"


def test_eight_devices_of_another_type_do_not_read_as_seven_more() -> None:
    machine = "jobSpec.workerPoolSpecs[0].machineSpec"
    changed = Change(f"{machine}.acceleratorType", "NVIDIA_TESLA_A100", "NVIDIA_A100_80GB")
    for count, words in (
        (8, "accelerator 8 NVIDIA_TESLA_A100 becomes 8 NVIDIA_A100_80GB"),
        (1, "accelerator NVIDIA_TESLA_A100 becomes 1 NVIDIA_A100_80GB"),
    ):
        made = job(CUSTOM).changed(f"{machine}.acceleratorCount", count)
        assert plan_words((changed,), made, only_rows_left=False) == words


def test_a_batch_that_leaves_flex_start_for_spot_is_told_in_words() -> None:
    changes = (
        Change("dedicatedResources.flexStart", {"maxRuntimeDuration": "3600s"}, None),
        Change("dedicatedResources.spot", None, True),
    )
    words = "flex-start on becomes off, spot off becomes on"
    assert plan_words(changes, job(BATCH), only_rows_left=False) == words


def test_an_output_in_snake_case_is_told_in_words() -> None:
    change = Change("jobSpec.base_output_directory.output_uri_prefix", "gs://a", "gs://b")
    assert plan_words((change,), job(CUSTOM), only_rows_left=False) == (
        "output gs://a becomes gs://b"
    )


def phrase_of(made: Plan) -> str:
    return change_phrase(made.changes, lambda path: path, lambda text, limit: text[:limit])


@pytest.mark.parametrize(
    ("parts", "step", "phrase", "spelled"),
    [
        (
            {"env": variables(BATCH_SIZE="64", WORKERS="8")},
            "{env: {BATCH_SIZE: halve, WORKERS: halve}}",
            "with BATCH_SIZE 32 with WORKERS 4",
            "BATCH_SIZE 64 -> 32; WORKERS 8 -> 4",
        ),
        (
            {"env": variables(timeout="64")},
            "{env: {timeout: halve}}",
            "with timeout 32",
            "timeout 64 -> 32",
        ),
        (
            {"args": ["--batch_size", "64"]},
            '{args: {"--batch_size": halve}}',
            "with --batch_size 32",
            "--batch_size 64 -> 32",
        ),
        (
            {"args": ["--batch_size=64"]},
            '{args: {"--batch_size": halve}}',
            "with --batch_size=32",
            f"{SPEC}.args[0] --batch_size=64 -> --batch_size=32",
        ),
    ],
    ids=["variables", "variable-like-a-field", "flag-and-value", "flag"],
)
def test_a_changed_setting_is_told_by_its_own_name(
    parts: dict[str, Any], step: str, phrase: str, spelled: str
) -> None:
    made = planned(container(**parts), f"when: {{cause: gpu_memory}}, do: [{{resubmit: {step}}}]")
    assert phrase_of(made) == phrase
    assert change_list(made.changes, lambda path: path, lambda text, _: text) == spelled
    kept = tuple(Change.parse(change.to_json()) for change in made.changes)
    assert kept == made.changes


def test_a_batch_size_that_is_no_number_is_taken_for_the_default() -> None:
    document = job(BATCH).changed("manualBatchTuningParameters.batchSize", "many")
    document = document.changed("dedicatedResources.machineSpec.machineType", "z9-ultra-4")
    policy = "when: {cause: gpu_memory}, do: [{resubmit: {batch_size: halve}}]"
    assert phrase_of(planned(document, policy)) == "with batch size 32"
