"""How languages, compilers and tools state an error: found by its form, judged by its words."""

from __future__ import annotations

import pytest

from remediator.domain import Cause, Frame
from tests.case_parts import of
from tests.test_diagnosis_endings import ended

CODE, INPUT, CONFIG = Cause.USER_CODE_ERROR, Cause.BAD_INPUT, Cause.INVALID_CONFIG
RIGHTS, SERVICE, NETWORK = Cause.PERMISSION, Cause.TRANSIENT_BACKEND, Cause.NETWORK_LATENCY

# What the software itself printed when it was made to fail so.
STATED = {
    "tcl": (
        CODE,
        (
            'invalid command name "frobnicate"\n    while executing\n"frobnicate $x"\n    (procedure "f" line 2)\n'
            '    invoked from within\n"f 3"\n    (file "run.tcl" line 4)'
        ),
    ),
    "lua": (
        CODE,
        (
            "lua: /app/score.lua:2: attempt to index a nil value (field '?')\nstack traceback:\n"
            "\t/app/score.lua:2: in local 'score'\n\t/app/score.lua:4: in main chunk\n\t[C]: in ?"
        ),
    ),
    "perl": (CODE, 'Can\'t call method "score" on an undefined value at run.pl line 3.'),
    "nim": (
        CODE,
        (
            "/app/run.nim(2, 6) Error: undeclared identifier: 'b'\n"
            "candidates (edit distance, scope distance); see '--spellSuggest': \n"
            " (1, 1): 'a' [let declared in /app/run.nim(1, 5)]"
        ),
    ),
    "rake": (
        CODE,
        (
            "rake aborted!\nNoMethodError: undefined method `scoer' for main:Object\n\n  puts scoer(3)\n"
            "       ^^^^^\n/app/Rakefile:2:in `block in <top (required)>'\nTasks: TOP => train\n"
            "(See full trace by running task with --trace)"
        ),
    ),
    "flex": (
        CODE,
        "run.l:2: bad character class\nrun.l:2: unrecognized rule\nrun.l:2: fatal parse error",
    ),
    "javac": (
        CODE,
        (
            "/app/Score.java:4: error: cannot find symbol\n        System.out.println(List.of(1, 2).lenght());\n"
            "                                        ^\n  symbol:   method lenght()\n1 error"
        ),
    ),
    "rake-task": (
        CONFIG,
        (
            "rake aborted!\nDon't know how to build task 'trian' (See the list of available tasks with `rake --tasks`)\n"
            "Did you mean?  train\n\n(See full trace by running task with --trace)"
        ),
    ),
    "ant": (
        CONFIG,
        'BUILD FAILED\nTarget "trian" does not exist in the project "a". \n\nTotal time: 0 seconds',
    ),
    "java": (
        CONFIG,
        (
            "Invalid maximum heap size: -Xmx9q\nError: Could not create the Java Virtual Machine.\n"
            "Error: A fatal exception has occurred. Program will exit."
        ),
    ),
    "shell": (CONFIG, "/app/run.sh: line 4: OUTPUT_DIR: unbound variable"),
    "exonerate": (INPUT, "** FATAL ERROR **: Cannot read file [/data/q.fa]\nexiting ..."),
    "dcmdump": (
        INPUT,
        "E: dcmdump: I/O suspension or premature end of stream: reading file: a.dcm",
    ),
    "lz4": (INPUT, "Error 44 : Unrecognized header : file cannot be decoded "),
    "tiff": (INPUT, "a.tif: Cannot read TIFF header."),
    "patch": (
        INPUT,
        "patching file a.txt\nHunk #1 FAILED at 1.\n1 out of 1 hunk FAILED -- saving rejects to file a.txt.rej",
    ),
    "restic": (RIGHTS, "Fatal: wrong password or no key found"),
    "ldap": (SERVICE, "ldap_sasl_bind(SIMPLE): Can't contact LDAP server (-1)"),
    "etcd": (NETWORK, "Error: context deadline exceeded"),
}


def stated(text: str, status: int = 1) -> dict:
    return ended(*(row for row in text.split("\n") if row.strip()), status=status)


@pytest.mark.parametrize(("cause", "text"), STATED.values(), ids=STATED)
def test_what_a_program_states_names_the_cause(cause: Cause, text: str) -> None:
    assert of(stated(text)).verdict is cause


@pytest.mark.parametrize("name", ["tcl", "lua", "nim", "javac"])
def test_the_place_in_the_code_is_told(name: str) -> None:
    places = {
        "tcl": Frame("run.tcl", 4),
        "lua": Frame("/app/score.lua", 2),
        "nim": Frame("/app/run.nim", 2),
        "javac": Frame("/app/Score.java", 4),
    }
    found = of(stated(STATED[name][1]))
    place = places[name]
    assert found.frame == place
    assert f"{place.file}, line {place.line}" in found.causes[0].advice


def test_work_after_an_error_takes_it_back() -> None:
    """Nobody knows why it ended: it went on after that error."""
    body = ended("error: cannot read shard 7, skipped", "step 8 of 90", "step 9 of 90", status=1)
    assert of(body).verdict is Cause.UNKNOWN


def test_a_source_line_below_an_error_is_no_evidence() -> None:
    text = (
        'ops.c:9:5: error: unknown type name "batch"\n  connect("permission denied", timeout);\n  ^'
    )
    assert of(stated(text)).verdict is CODE


def test_words_that_tell_nothing_are_quoted_with_the_place() -> None:
    found = of(stated("odd.jl:3: it went awry in the usual way"))
    assert found.verdict is CODE
    assert "odd.jl:3" in found.causes[0].evidence[0].says


def test_a_word_of_the_arguments_that_nobody_knows_is_a_setting() -> None:
    """What the message finds fault with stands in the job's own command."""
    said = stated('tabler: verb "frob" not found. Please use "tabler --help" for a list.')
    pool = {
        "machineSpec": {"machineType": "n1-standard-4"},
        "replicaCount": "1",
        "containerSpec": {
            "imageUri": "a/b:1",
            "command": ["tabler"],
            "args": ["--icsv", "frob", "/data/a.csv"],
        },
    }
    said["job"]["jobSpec"] = {"workerPoolSpecs": [pool]}
    assert of(said).verdict is CONFIG


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("At line 4 of file fit.f90 (unit = 10)\nFortran runtime error: End of file", INPUT),
        (
            "Can't locate Stats/Fast.pm in @INC (you may need to install the Stats::Fast module) (@INC contains: /etc/perl) at fit.pl line 1.",
            CODE,
        ),
        ("run.zsh:3: parse error near `end'", CODE),
        ("E: the cluster is down for maintenance: Can't contact server (-1)", SERVICE),
        ("srun: fatal: Could not resolve hostname head.internal", NETWORK),
    ],
)
def test_words_decide_within_a_form(text: str, cause: Cause) -> None:
    assert of(stated(text)).verdict is cause
