"""A child that signal 9 ended, beside what its neighbours in a pipe then say of a stream that broke off."""

from __future__ import annotations

import pytest

from remediator.cli.subject import diagnose_inputs
from remediator.domain import Cause
from remediator.inputs import assemble
from remediator.inputs.documents import read_document
from tests.case_parts import custom, of
from tests.test_diagnosis_endings import TRACE, WITH_GPU, ended

KILLED = "run.sh: line 8: 214 Killed   bwa mem -t 8 ref.fa r1.fq r2.fq"
TELLS_OF_A_KILL = [
    KILLED,
    "Killed",
    "Killed: 9",
    "run.sh: line 8: 214 Killed: 9  bwa mem ref.fa",
    "run.sh: line 8:   214 Killed        bwa mem ref.fa r.fq | samtools sort -o out.bam -",
    "     32 Killed                  | bwa mem ref.fa -",
    "make: *** [Makefile:4: out.bam] Killed",
    "xargs: bwa: terminated by signal 9",
    "Process `align (1)` terminated by signal 9",
]
CUT_OFF = [
    ("[E::sam_parse1] unexpected end of line", "samtools sort: truncated file. Aborting"),
    ("gzip: stdin: unexpected end of file",),
    ("tar: Unexpected EOF in archive",),
    ("[W::bam_hdr_read] EOF marker is absent. The input is probably truncated",),
    ("[E::bgzf_read_block] block is cut: truncated",),
    ("cat: write error: Broken pipe",),
    ('samtools sort: failed to read header from "-"',),
    (*TRACE, "EOFError: Compressed file ended before the end-of-stream marker was reached"),
]


@pytest.mark.parametrize("kill", TELLS_OF_A_KILL)
def test_a_kill_that_a_shell_tells_explains_the_stream_that_broke_off(kill: str) -> None:
    assert of(ended(kill, *CUT_OFF[0])).verdict is Cause.MEMORY_PRESSURE


@pytest.mark.parametrize("kill", TELLS_OF_A_KILL)
def test_a_kill_that_a_shell_tells_is_of_memory_by_itself(kill: str) -> None:
    assert of(ended(kill)).verdict is Cause.MEMORY_PRESSURE


@pytest.mark.parametrize("rows", CUT_OFF, ids=lambda rows: rows[-1][:40])
def test_what_neighbours_in_a_pipe_say_of_a_stream_is_a_consequence(rows: tuple[str, ...]) -> None:
    assert of(ended(KILLED, *rows)).verdict is Cause.MEMORY_PRESSURE
    assert of(ended(*rows, KILLED)).verdict is Cause.MEMORY_PRESSURE


@pytest.mark.parametrize(
    "rows",
    [
        CUT_OFF[0],
        ("run.sh: line 8: 214 Terminated   bwa mem ref.fa r.fq", *CUT_OFF[0]),
        ("2 of 14 files were skipped: killed by the reviewer", *CUT_OFF[1]),
        ("Killed", "polars.exceptions.ComputeError: could not parse `n/a?` as dtype `i64` at column"),
    ],
    ids=("no kill", "asked to end", "another sense of killed", "of content, not of its end"),
)  # fmt: skip
def test_input_stays_to_blame_without_a_kill_or_where_its_content_is_wrong(
    rows: tuple[str, ...],
) -> None:
    assert of(ended(*rows)).verdict is Cause.BAD_INPUT


@pytest.mark.parametrize(
    "rows",
    [
        (
            "timeout: sending signal TERM to command 'bwa'",
            "timeout: sending signal KILL to command 'bwa'",
        ),
        ("TERM_RUNLIMIT: job killed after reaching LSF run time limit.",),
        ("slurmstepd: error: *** JOB 1 CANCELLED AT 2026-11-29 DUE TO TIME LIMIT ***",),
    ],
    ids=("timeout", "lsf", "slurm"),
)
def test_a_kill_at_a_limit_of_time_is_not_of_memory(rows: tuple[str, ...]) -> None:
    assert of(ended(*rows, KILLED)).verdict is not Cause.MEMORY_PRESSURE
    assert of(ended(*rows, "Killed")).verdict is not Cause.MEMORY_PRESSURE


KILLED_IN_TIME = [
    "deadline exceeded: killed",
    "timeout: killed",
    "time limit reached, killed",
    "ERROR wall-time exceeded: killed",
]


@pytest.mark.parametrize("row", KILLED_IN_TIME)
def test_a_line_that_says_that_time_was_up_is_no_kill_for_memory(row: str) -> None:
    alone = f"starting\nstep 1 of 40\n{row}\n"
    found = diagnose_inputs(assemble([read_document(alone.encode(), "job.log")]))
    assert found.verdict is not Cause.MEMORY_PRESSURE
    assert of(ended("step 1 of 40", row)).verdict is not Cause.MEMORY_PRESSURE
    assert of(ended("step 1 of 40", row, status=137)).verdict is not Cause.MEMORY_PRESSURE


@pytest.mark.parametrize("row", ["Killed", "step 1 of 40: killed", "Loading the model ... Killed"])
def test_a_log_alone_that_ends_in_a_bare_kill_is_of_memory(row: str) -> None:
    alone = f"starting\nrequests time out after 30 s\n{row}\n"
    found = diagnose_inputs(assemble([read_document(alone.encode(), "job.log")]))
    assert found.verdict is Cause.MEMORY_PRESSURE


# --- last lines that are torn, and last lines that only warn ----------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        "torch.cuda.OutOfMemoryErr",
        "torch.cuda.OutOfMemory",
        "torch.cuda.OutOfMem",
        "torch.OutOfMemoryErr",
        "torch.OutOfMemory",
        "numba.cuda.OutOfMemoryE",
        "CUDA out of memor",
    ],
)
def test_a_torn_last_line_leaves_its_prefix_to_the_memory_of_the_gpu(row: str) -> None:
    assert of(ended(row, **WITH_GPU)).verdict is Cause.GPU_MEMORY
    assert of(ended(*TRACE, row, **WITH_GPU)).verdict is Cause.GPU_MEMORY


@pytest.mark.parametrize("row", ["java.lang.OutOfMemoryErr", "OutOfMemoryErr", "Out of memory"])
def test_out_of_memory_without_a_devices_prefix_is_the_hosts(row: str) -> None:
    assert of(ended(row, **WITH_GPU)).verdict is Cause.MEMORY_PRESSURE


@pytest.mark.parametrize(
    "row",
    [
        "WARNING:root:cannot parse option --foo of the config",
        "WARNING: failed to load plug-in extension",
        "Warning: cannot open file a.csv",
        "run.py:3: UserWarning: cannot parse the header of a.csv",
        "2026-11-29 10:00:00,123 - app.load - WARNING - cannot read header of /data/a.csv",
        "W1129 10:00:00.000000 1 reader.cc:3] cannot read header of /data/a.csv",
    ],
)
def test_a_warning_is_no_programs_last_word(row: str) -> None:
    assert of(ended(row)).verdict is Cause.UNKNOWN
    assert of(ended("error: cannot read header of /data/a.csv", row)).verdict is Cause.BAD_INPUT


def test_a_line_that_its_entry_calls_a_warning_is_no_last_word_unless_it_calls_itself_an_error() -> (
    None
):
    said = "cannot parse the header of a.csv"
    assert of(ended(said)).verdict is Cause.BAD_INPUT
    assert of(ended(said, severity="WARNING")).verdict is Cause.UNKNOWN
    assert of(ended(f"error: {said}", severity="WARNING")).verdict is Cause.BAD_INPUT


def test_words_alone_are_not_heard_where_the_jobs_error_only_warns() -> None:
    said = "the shards of the archive are damaged beyond repair in the second column"
    told = of(custom(600, said)).causes[0]
    assert told.cause is Cause.BAD_INPUT
    assert "by its words alone" in told.evidence[0].says
    assert of(custom(600, f"WARNING: {said}")).verdict is Cause.UNKNOWN
    assert of(custom(600, f"WARNING: nothing is cached\n{said}")).verdict is Cause.BAD_INPUT


def _limited(*command: str) -> dict:
    """Worker pools whose first process is this command."""
    container = {"imageUri": "gcr.io/p/train", "command": list(command[:1]), "args": [*command[1:]]}
    pool = {"machineSpec": {"machineType": "n1-standard-8"}, "containerSpec": container}
    return {"jobSpec": {"workerPoolSpecs": [{**pool, "replicaCount": "1"}]}}


OWN_LIMITS = [
    (143, ("timeout", "600", "python", "train.py")),
    (137, ("timeout", "-k", "30", "9.8m", "python", "train.py")),
    (137, ("/usr/bin/timeout", "--kill-after=10s", "--signal=INT", "590s", "./train")),
    (143, ("sh", "-c", "cd /app && timeout --preserve-status 10m python train.py")),
    (124, ("bash", "-c", "set -e; timeout -s KILL 0.165h Rscript fit.R")),
]


@pytest.mark.parametrize(("status", "command"), OWN_LIMITS, ids=lambda one: str(one)[:40])
def test_a_limit_in_the_jobs_own_command_is_neither_memory_nor_a_lost_machine(
    status: int, command: tuple[str, ...]
) -> None:
    found = of(ended("epoch 3 loss 0.4", status=status, **_limited(*command)))
    assert found.verdict is Cause.UNKNOWN
    assert any("`timeout` in its own command ended it after 9 min" in one or "after 10 min" in one for one in found.missing)  # fmt: skip


@pytest.mark.parametrize(
    ("status", "command"),
    [
        (143, ("timeout", "7200", "python", "train.py")),
        (137, ("timeout", "-k", "30", "2h", "python", "train.py")),
        (137, ("python", "train.py", "--timeout", "600", "x")),
    ],
    ids=("long before it", "killed long before it", "a flag of the program"),
)
def test_a_limit_that_was_not_reached_ended_nothing(status: int, command: tuple[str, ...]) -> None:
    found = of(ended("epoch 3 loss 0.4", status=status, **_limited(*command)))
    assert found.verdict is Cause.PREEMPTION


@pytest.mark.parametrize("status", [143, 137])
def test_a_program_that_tells_of_the_signal_met_its_commands_limit_all_the_same(
    status: int,
) -> None:
    command = _limited("timeout", "-k", "30", "590", "python", "train.py")
    found = of(ended("epoch 3 loss 0.4", "INFO received SIGTERM", status=status, **command))
    assert found.verdict is Cause.UNKNOWN


def test_memory_that_a_program_tells_of_outweighs_a_limit_that_was_near() -> None:
    command = _limited("timeout", "-k", "30", "590", "python", "train.py")
    found = of(ended("MemoryError: Unable to allocate 9.3 GiB", status=137, **command))
    assert found.verdict is Cause.MEMORY_PRESSURE


def test_uwsgi_that_was_asked_to_end_was_not_killed_for_memory() -> None:
    rows = ("...gracefully killing workers...", "...brutally killing workers...", "binary reloading uWSGI...")  # fmt: skip
    assert of(ended("spawned uWSGI worker 1 (pid: 7, cores: 1)", *rows, status=137)).verdict is Cause.UNKNOWN  # fmt: skip
