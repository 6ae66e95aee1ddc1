"""What the job's first process is: its own script or binary, or a program that its image installs.

Owns the reading of commands and arguments for what a program's words do not say: of its own program the code is at
fault, of an installed one the data or the arguments that it was given. Pure; called by `process_exits`.
"""

from __future__ import annotations

from remediator.diagnosis.complaints import names_data, names_settings
from remediator.domain import Cause
from remediator.domain.late_pattern import late_pattern
from remediator.job import Job

_SHELL = late_pattern(
    r"^(?:\S*/)?(?:ba|da|z|k)?sh (?:-\w+ ){0,3}-\w*c (?:\s*set -\S+(?: pipefail)?[;\n]\s*)?(?:exec )?"
)
_OWN_PROGRAM = late_pattern(
    r"^\S*\b(?:python|pypy|Rscript|R|node|deno|bun|java|scala|ruby|perl|php|lua|julia|ghc|runghc|dotnet|sh|bash|make|tclsh|octave|guile|sbcl|erl|awk|gawk)[\d.]*(?:\s|$)"
    r"|^(?:\./|/app/|/src/|/home/|/opt/app)|\.(?:py|R|jl|js|rb|pl|sh|jar|m|lua|tcl|php)(?:\s|$)"
)
# Another program may run what is the job's own, such as `nice` or an interpreter.
_FIRST_PATH = late_pattern(r"(?:^|[\s=])(?P<path>[\w.~+-]*/[\w./+-]+)")
_OWN_FOLDER = late_pattern(r"\./|/app/|/src/|/opt/app/")
_URL = late_pattern(r"\b[a-z]\w{1,10}://\S+")
_WORD_OF = late_pattern(r"(?:^|(?<=[\s='\"]))[A-Za-z][\w@:+./-]{2,60}(?=$|[\s'\";])")


def at_fault(job: Job) -> Cause:
    """What is at fault where a program's words do not say: the job's own script or binary; of a program that the
    image installs, the data that its arguments name, or else those arguments.
    """
    if not is_installed(job):
        return Cause.USER_CODE_ERROR
    return Cause.BAD_INPUT if reads_data(job) else Cause.INVALID_CONFIG


def is_installed(job: Job) -> bool:
    """Whether the first process is a program that the image installs and that runs nothing of the job's own."""
    first = _commands(job)
    return bool(first) and not any(_OWN_PROGRAM.search(one) or _runs_own(one) for one in first)


def reads_data(job: Job) -> bool:
    """Whether its arguments name a file or a folder of data, not one of another host."""
    return any(names_data(_URL.sub("", one)) for one in _commands(job))


def argument_words(job: Job) -> frozenset[str]:
    """Words of the commands and arguments that are no path, no file's name and no option's."""
    said = (word for one in job.first_processes for part in one for word in _WORD_OF.findall(part))
    return frozenset(word for word in said if "/" not in word and "." not in word)


def _commands(job: Job) -> list[str]:
    return [_SHELL.sub("", " ".join(one)) for one in job.first_processes]


def _runs_own(command: str) -> bool:
    """Whether the first path among its arguments is one of the job's own programs."""
    found = _FIRST_PATH.search(_URL.sub("", command))
    path = found["path"] if found else ""
    return bool(_OWN_FOLDER.match(path)) and not names_data(path) and not names_settings(path)
