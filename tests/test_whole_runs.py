"""What took a whole run, by a reader's principles: who held the work up, who refused to the end, which part was longest."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.case import Case
from remediator.diagnosis import diagnose
from remediator.diagnosis.durations import parts_in
from remediator.domain import Cause, Diagnosis
from tests.case_parts import TIMEOUT_504, at, batch, cpu, custom, series
from tests.test_durations import STARTED, entries, every, found_in, told

Said = list[tuple[float, Any]]


def since(start: float, step: float, line: str, *, until: float = 3590) -> Said:
    """The line every `step` seconds from `start` on, its `{n}` counted."""
    return [(start + step * n, line.format(n=n)) for n in range(int((until - start) // step))]


def ended_by_itself(said: Said, load: float | None = None, status: int = 1) -> Diagnosis:
    """A job without a time-out that ended itself in failure after an hour."""
    body = custom(
        message=f"The replica workerpool0-0 exited with a non-zero status of {status}.",
    )
    body["job"]["jobSpec"]["scheduling"]["timeout"] = "604800s"
    body["logEntries"] = entries(sorted(said, key=lambda one: one[0]))
    if load is not None:
        body["timeSeries"] = cpu(load)
    return diagnose(Case.parse(body))


# --- a wait belongs to a line only while the work stood still -------------------------------------------

CHORES = (
    "WARNING:root:metrics push to http://pushgateway.monitoring:9091 failed once: timed out",
    "WARN statsd: send failed: timed out",
    "telemetry export timed out, will try again",
    "A new version of dvc is available: 3.50 -> 3.51 (download: https://dvc.example)",
    "access token refreshed from https://auth.example",
    "wandb: Network error (ReadTimeout), entering retry loop.",
)


@pytest.mark.parametrize("chore", CHORES)
def test_a_chore_in_the_silence_owns_none_of_it(chore: str) -> None:
    said = [STARTED, *every(5, "row {n} parsed", until=300), (1100.0, chore)]
    assert found_in(said, load=0.125).verdict is Cause.SLOW_CODE


@pytest.mark.parametrize("chore", CHORES)
def test_a_chore_beside_a_loop_owns_none_of_it(chore: str) -> None:
    said = [*every(200, "Epoch 0: 1% {n}/9000 loss=0.5"), (1201.0, chore)]
    assert not any("waiting" in says for says in told(found_in(sorted(said))))


def test_a_rare_complaint_after_which_the_loop_stands_still_owns_the_wait() -> None:
    wait = (401.0, "fetching shard 7 timed out, fetching it again from https://far.example")
    stood = [*every(20, "step {n} of 9000", until=400), wait]
    found = found_in([*stood, *since(3300, 20, "step {n} of 9000")])
    assert any("waiting" in says for says in told(found))
    went_on = found_in(sorted([*every(20, "step {n} of 9000"), wait]))
    assert not any("waiting" in says for says in told(went_on))


# --- what is refused to the end -------------------------------------------------------------------------

REFUSED = (
    (Cause.QUOTA, "WARN putRecords: ProvisionedThroughputExceeded shard-3, sleeping 20s ({n})"),
    (Cause.QUOTA, "launcher: worker {n} not created: HttpError 403: Quota 'CPUS' exceeded. Limit: 72.0"),
    (Cause.QUOTA, "pods is forbidden: exceeded quota: team-a, requested: cpu=8 (attempt {n})"),
    (Cause.QUOTA, "this request would exceed your organization's daily token limit; sleeping 60 s ({n})"),
    (Cause.TRANSIENT_BACKEND, "geocoder: connection refused (10.3.1.7:8080); attempt {n} failed"),
    (Cause.TRANSIENT_BACKEND, "status = UNAVAILABLE details = no healthy upstream, attempt {n}"),
    (Cause.TRANSIENT_BACKEND, "warehouse answered: system is under maintenance, try again later ({n})"),
    (Cause.PERMISSION, "poll {n}: 403 Forbidden: caller does not have storage.objects.get access"),
    (Cause.DISK_FULL, "batch {n}: write error: No space left on device, starting it again"),
)  # fmt: skip


@pytest.mark.parametrize(("cause", "line"), REFUSED)
def test_what_is_refused_to_the_end_is_the_cause_whatever_the_last_words(
    cause: Cause, line: str
) -> None:
    work = every(20, "{n}000 rows sent", until=900)
    end = (3595.0, "jobs.errors.DeadlineError: batch not finished within 60 min")
    found = ended_by_itself([STARTED, *work, *since(930, 40, line), end], load=0.01)
    assert found.verdict is cause


def test_nothing_is_resubmitted_for_a_refusal_that_words_alone_know() -> None:
    known = found_in([STARTED, *since(60, 30, "UNAVAILABLE: no healthy upstream, attempt {n}")])
    assert (known.verdict, known.by_words_alone) == (Cause.TRANSIENT_BACKEND, False)
    own = "error: the partner closed its doors for now, backing off, attempt {n}"
    found = found_in([STARTED, *since(60, 30, own)])
    assert (found.verdict, found.by_words_alone) == (Cause.TRANSIENT_BACKEND, True)


@pytest.mark.parametrize("line", [line for _, line in REFUSED])
def test_a_refusal_beside_which_the_work_goes_on_is_none(line: str) -> None:
    said = [STARTED, *every(10, "{n}000 rows sent"), *since(930, 40, line)]
    found = found_in(sorted(said, key=lambda one: one[0]), load=0.3)
    assert not any("until the run ended" in says for says in told(found))


@pytest.mark.parametrize("line", [line for _, line in REFUSED])
def test_a_refusal_that_stopped_long_before_the_end_is_none(line: str) -> None:
    said = [STARTED, *since(60, 20, line, until=1200), *since(1200, 20, "{n}000 rows sent")]
    assert not any("until the run ended" in says for says in told(found_in(said, load=0.3)))


@pytest.mark.parametrize(
    "line",
    [
        "WARN otel exporter: failed to export spans: UNAVAILABLE, retrying ({n})",
        "rank 0: connection refused by peer 10.0.0.3, attempt {n}",
        "worker {n} killed: exceeding memory limits",
    ],
)
def test_its_own_parts_refuse_nothing(line: str) -> None:
    found = found_in([STARTED, *since(60, 40, line)], load=0.01)
    assert not any("until the run ended" in says for says in told(found))


# --- the largest part of a line -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "key", "waits"),
    [
        ("wall=60.0s redis=58.0s (mget x30, p50 1.91s, p99 2.21s) compute=1.8s", "redis", True),
        ("dns=5.007 connect=0.024 tls=0.033 ttfb=0.108 total=5.151 api.example 200", "dns", True),
        ("scene 1/1800 read B04,B08 73.0s ndvi 0.6s write 0.3s", "read B04,B08", False),
        ("tile 4 wall 60.2s name resolution 55.0s body 4.0s", "resolution", True),
        ("chunk 3: decode 58.0s fetch 1.1s", "decode", False),
        ("row 9 parse=4.1 db=0.2 total=4.4", "parse", False),
    ],
)
def test_the_longest_part_of_a_line_is_told(line: str, key: str, waits: bool) -> None:
    found = parts_in(line)
    assert found is not None
    assert (found.key, found.waits) == (key, waits)


def test_losses_are_no_times() -> None:
    assert parts_in("epoch 3 loss=0.41 total=3.2 read=0.1") is None


def test_to_read_beside_idle_cpus_is_a_wait() -> None:
    said = [STARTED, *every(60, "scene {n} read B04,B08 55.0s ndvi 0.6s write 0.3s")]
    assert found_in(said, load=0.02).verdict is Cause.NETWORK_LATENCY
    assert found_in(said, load=0.125).verdict is Cause.SLOW_CODE


# --- reports, locks and polls ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "scenario {n}/5000 threads busy 8.0/8",
        "heartbeat load average: 8.06, 8.01, 7.98 on 8 cpus ({n})",
        "PID {n} solver 798% CPU",
        "cpu_used=7.9 cpu_total=8 ({n})",
        "cpu idle 0.4% ({n})",
        "nr_periods 600 nr_throttled 598 ({n})",
    ],
)
def test_a_few_reports_that_agree_tell_of_full_cpus(line: str) -> None:
    said = [*every(60, "iter {n}/4000"), *since(700, 800, line)]
    assert found_in(sorted(said)).verdict is Cause.CPU_SATURATION


@pytest.mark.parametrize(
    "line", ["threads busy 8/8 ({n})", "load average: 8.06, 2.01, 0.98 ({n})", "gpu idle 1% ({n})"]
)
def test_a_pool_that_may_wait_and_a_load_that_rises_are_none(line: str) -> None:
    said = [*every(60, "iter {n}/4000"), *since(2700, 800, line)]
    assert found_in(sorted(said)).verdict is not Cause.CPU_SATURATION


def test_threads_that_share_one_lock_of_their_language_are_slow_code() -> None:
    said = [*every(60, "{n}/900 docs, 8 threads"), (1801.0, "GIL: 100.00%, Active: 103.00%")]
    assert found_in(sorted(said)).verdict is Cause.SLOW_CODE
    said = [*every(60, "{n}/900 docs, 8 threads"), (1801.0, "GIL: 4.00%, Active: 103.00%")]
    assert found_in(sorted(said)).verdict is Cause.UNKNOWN


PYTHON = (
    "Thread 0x00007f2a21 (most recent call first):",
    '  File "/app/store.py", line 71 in commit   # with self.index_lock',
    "Thread 0x00007f2a28 (most recent call first):",
    '  File "/usr/lib/python3.11/threading.py", line 1119 in join',
    '  File "/app/main.py", line 22 in main',
)
PY_SPY = (
    'Thread 1 (idle): "MainThread"',
    "    wait (threading.py:327)",
    "    get (multiprocessing/queues.py:113)",
    "py-spy dump --native --pid 77",
    'Thread 77 (idle): "MainThread"',
    "    __lll_lock_wait (libpthread-2.31.so)",
    "    resize (augment.py:52)",
)
JAVA = (
    '"main" #1 prio=5 tid=0x1 nid=0x7 in Object.wait()',
    "\tat java.lang.Thread.join(Thread.java:1300)",
    '"worker-1" #11 prio=5 tid=0x2 nid=0x8 waiting for monitor entry',
    "   java.lang.Thread.State: BLOCKED (on object monitor)",
    "\tat com.acme.Store.commit(Store.java:71)",
    "\t- waiting to lock <0x01> (a java.lang.Object)",
)
GO = (
    "goroutine 1 [semacquire, 48 minutes]:",
    "sync.runtime_Semacquire(0xc0000b4008)",
    "\t/usr/local/go/src/runtime/sema.go:62 +0x25",
    "goroutine 18 [sync.Mutex.Lock, 48 minutes]:",
    "main.(*Store).Commit(0xc00010)",
    "\t/src/store.go:71 +0x99",
)
GDB = (
    "Thread 2 (Thread 0x7f1c (LWP 31)):",
    "#0  __lll_lock_wait () at ../sysdeps/lowlevellock.S:135",
    "#1  0x00007f3c in pthread_mutex_lock () from /lib/libpthread.so.0",
    "Thread 1 (Thread 0x7f1d (LWP 30)):",
    "#0  futex_wait (private=0) at ../sysdeps/nptl/futex-internal.h:146",
)


@pytest.mark.parametrize("dump", [PYTHON, PY_SPY, JAVA, GO, GDB])
def test_one_dump_of_threads_that_wait_for_locks_is_a_hang(dump: tuple[str, ...]) -> None:
    body = custom(state="JOB_STATE_CANCELLED")
    said = every(10, "merged feed {n}/420", until=600)
    dumped = [(3000.0 + n / 100, line) for n, line in enumerate(dump)]
    body["logEntries"] = entries([*said, *dumped])
    body["timeSeries"] = [series("cpu/utilization", [0.4] * 10 + [0.002] * 50)]
    assert diagnose(Case.parse(body)).verdict is Cause.SLOW_CODE
    body["logEntries"] = entries([*said, *dumped, (3100.0, "merged feed 61/420")])
    assert not any("or for a lock" in says for says in told(diagnose(Case.parse(body))))


POLLS = (
    "poll load job bq_8812: DONE (errors: none), waiting for SUCCEEDED",
    "operation 77: state=Complete, waiting for state COMPLETED",
    "export job status is 'success' (expected 'SUCCESS'), next check in 30s",
    "waiting until phase == 'Succeeded'; got 'Finished'",
    "remote run finished at 10:02 (exit 0); still waiting for _SUCCESS marker",
)
NO_POLLS = (
    "poll load job bq_8812: RUNNING, waiting for DONE",
    "shard {n} DONE, waiting for shard 9",
    "status=SUCCEEDED, expected SUCCEEDED",
    "task {n} done, waiting for next task",
)


@pytest.mark.parametrize("line", POLLS)
def test_a_poll_that_is_told_the_end_by_another_word_is_the_programs_own(line: str) -> None:
    assert found_in([STARTED, *since(60, 30, line)], load=0.002).verdict is Cause.SLOW_CODE


@pytest.mark.parametrize("line", NO_POLLS)
def test_other_polls_are_not(line: str) -> None:
    found = found_in([STARTED, *since(60, 30, line)], load=0.002)
    assert not any("by another word" in says for says in told(found))


# --- when the time was up -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "last",
    [
        "launcher: deadline 1 h: not done",
        "wall clock budget of 60 min used up, giving up",
        "jobs.DeadlineError: batch not finished within 0h59m",
        "FATAL: limit of 3600s reached",
        "run exceeded 1:00:00",
    ],
)
def test_a_limit_as_long_as_the_run_ended_it(last: str) -> None:
    found = ended_by_itself([*every(60, "block {n} of 900"), (3595.0, last)], load=0.98)
    assert found.verdict is Cause.CPU_SATURATION


@pytest.mark.parametrize("last", ["call timed out after 30 s", "deadline 4 h", "done in 1 h"])
def test_other_lengths_are_no_limit_of_the_run(last: str) -> None:
    found = ended_by_itself([*every(60, "block {n} of 900"), (3595.0, last)])
    assert not any("ran out of time" in says for says in told(found))


def tuning(*states: str, seconds: float = 3610) -> Case:
    spec = custom()["job"]["jobSpec"]
    job = {
        "name": "projects/1/locations/us-central1/hyperparameterTuningJobs/7",
        "state": "JOB_STATE_CANCELLED",
        "startTime": at(0),
        "endTime": at(seconds),
        "trialJobSpec": spec,
        "trials": [{"id": str(n), "state": state} for n, state in enumerate(states)],
    }
    body = {"job": job, "timeSeries": cpu(0.99, seconds), "logEntries": entries([STARTED])}
    return Case.parse(body)


def test_trials_whose_time_was_up_ran_out_of_it_and_a_person_is_respected() -> None:
    case = tuning("ACTIVE", "ACTIVE")
    assert diagnose(case).verdict is Cause.CPU_SATURATION
    assert case.job.cancelled_by_person
    assert not tuning("SUCCEEDED", "ACTIVE").job.trials_ran_out
    assert not tuning("ACTIVE", seconds=1800).job.trials_ran_out


# --- accounts, questions, requests ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("summary: 3,541 s of 3,590 s waiting for the tile server", Cause.NETWORK_LATENCY),
        ("stages: load 1%, match_pairs 97% (3482 s), write 2%", Cause.SLOW_CODE),
        (" 98102 3391.2    0.000 3402.1    0.000 match.py:70(levenshtein)", Cause.SLOW_CODE),
        ("stages: load 97% (31 s)", Cause.UNKNOWN),
    ],
)
def test_a_line_that_accounts_for_the_run_names_what_took_it(line: str, cause: Cause) -> None:
    assert found_in([*every(60, "rec {n}"), (3595.0, line)]).verdict is cause


@pytest.mark.parametrize("line", ["Overwrite existing output? [y/N]", "(Pdb) ", "Password: "])
def test_a_question_that_nobody_answers_is_the_programs_own(line: str) -> None:
    assert found_in([STARTED, (9.0, line)], load=0.002).verdict is Cause.USER_CODE_ERROR
    assert found_in([STARTED, (3500.0, line)], load=0.002).verdict is not Cause.USER_CODE_ERROR


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("caption: warm-up request n=8 done in 81.2 s", Cause.REQUEST_TOO_LARGE),
        ("caption: 8 images answered, took 81.2 s", Cause.REQUEST_TOO_LARGE),
        ("caption: request n=8 done in 1.2 s", Cause.SLOW_CODE),
        ("caption: request n=64 done in 581.2 s", Cause.SLOW_CODE),
    ],
)
def test_a_smaller_request_that_was_answered_in_time_tells_of_its_size(
    line: str, cause: Cause
) -> None:
    body = batch(manualBatchTuningParameters={"batchSize": 64})
    assert TIMEOUT_504 in str(body)
    work = [(100.0 + 100 * n, f"section caption: decode_beam took {99}.0 s") for n in range(1, 6)]
    body["logEntries"] = entries([STARTED, (90.0, line), *work])
    assert diagnose(Case.parse(body)).verdict is cause
