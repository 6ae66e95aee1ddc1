"""What the job's own program is, and what its image installs: by the form of the command, whatever it is called."""

from __future__ import annotations

import pytest

from bench.diagnosis.lab import custom_job
from remediator.case import Case
from remediator.diagnosis.first_process import at_fault, is_installed
from remediator.domain import Cause

OWN, DATA, ARGUMENTS = Cause.USER_CODE_ERROR, Cause.BAD_INPUT, Cause.INVALID_CONFIG

COMMANDS = {
    "exec python train.py": OWN,
    "exec ./prep /data/rows.csv": OWN,
    "exec valgrind --error-exitcode=3 /app/score": OWN,
    "exec some-language /app/score.some": OWN,
    "exec packer -d /data/shard.pack /app/shard": DATA,
    "exec packer --model GTR /data/genes.fasta": DATA,
    "exec fetcher http://mirror.internal/shard.tar": ARGUMENTS,
    "exec runner /app/runner.toml": ARGUMENTS,
    "exec runner --loud": ARGUMENTS,
}


@pytest.mark.parametrize(("command", "cause"), COMMANDS.items(), ids=COMMANDS.keys())
def test_what_is_at_fault_where_words_do_not_say(command: str, cause: Cause) -> None:
    line = {"command": command, "exit": 1, "seconds": 6.0, "log": []}
    job = Case.parse(custom_job(line | {"pid1_signal": 0, "oom_kills": 0})).job
    assert at_fault(job) is cause
    assert is_installed(job) is (cause is not OWN)
