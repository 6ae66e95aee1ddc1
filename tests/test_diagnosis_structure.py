"""Tracebacks of every runtime are one thing each; what is source, progress or a frame says nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from remediator.case import LogLine
from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.open_trace import LogItem
from remediator.diagnosis.progress_lines import complains, is_progress, without_zero_counts
from remediator.diagnosis.structure import read_log

START = datetime(2026, 11, 23, 10, tzinfo=UTC)


def said(text: str, *, entry_a_line: bool) -> list[LogItem]:
    """The text as one entry, or as one entry a line."""
    parts = text.split("\n") if entry_a_line else [text]
    return list(
        read_log(
            [
                LogLine(START + timedelta(milliseconds=i), "ERROR", part, f"a{i}", "w", {}, {})
                for i, part in enumerate(parts)
                if part.strip()
            ]
        )
    )


PYTHON = """\
2026-11-23 10:00:00 INFO trainer: start
Traceback (most recent call last):
  File "/app/train.py", line 9, in load
    rows = requests.get(url, timeout=30).json()
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/venv/lib/python3.11/site-packages/requests/api.py", line 73, in get
    raise ConnectionError(err, request=request)
requests.exceptions.ConnectionError: HTTPConnectionPool(host='x', port=80): Max retries exceeded

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/train.py", line 21, in <module>
    main()
  File "/app/train.py", line 12, in main
    raise RuntimeError("no features") from err
RuntimeError: no features"""

JAVA = """\
26/11/23 10:00:00 ERROR Executor: Exception in task 0.0
java.lang.RuntimeException: cannot write
	at com.acme.Job.write(Job.java:41)
	at java.base/java.lang.Thread.run(Thread.java:840)
Caused by: java.io.IOException: No space left on device
	at java.base/sun.nio.ch.FileDispatcherImpl.write0(Native Method)
	... 12 more"""

NODE = """\
/srv/app/predict.js:14
  throw new Error(`timeout=${t}`)
  ^

TypeError: Cannot read properties of undefined (reading 'rows')
    at predict (/srv/app/predict.js:14:9)
    at /srv/app/node_modules/express/lib/router.js:22:5"""

GO = """\
panic: runtime error: index out of range [3] with length 3

goroutine 1 [running]:
main.score({0xc000012345, 0x3, 0x3})
	/src/score.go:17 +0x1d
exit status 2"""

RICH = """\
╭───────────────────── Traceback (most recent call last) ──────────────────────╮
│ /app/train.py:12 in main                                                     │
│                                                                              │
│ ❱ 12 │   raise TimeoutError("permission denied")                             │
╰──────────────────────────────────────────────────────────────────────────────╯
ValueError: bad label 7"""

FATAL = """\
Fatal Python error: Segmentation fault

Current thread 0x00007f67af1702c0 (most recent call first):
  File "/usr/lib/python3.11/ctypes/__init__.py", line 519 in string_at
  File "/app/train.py", line 5 in <module>"""

RANKS = """\
[rank0]: Traceback (most recent call last):
[rank1]: Traceback (most recent call last):
[rank0]:   File "/app/train.py", line 8, in step
[rank1]:   File "/app/data.py", line 3, in read
[rank0]:     dist.all_reduce(loss)
[rank1]:     raise KeyError(name)
[rank0]: RuntimeError: Connection closed by peer
[rank1]: KeyError: 'age'"""

LOGGED = """\
2026-11-29T10:02:58,441 [INFO ] W-9000-m_1.0-stdout MODEL_LOG - Traceback (most recent call last):
2026-11-29T10:02:58,441 [INFO ] W-9000-m_1.0-stdout MODEL_LOG -   File "/tmp/models/handler.py", line 9, in initialize
2026-11-29T10:02:58,442 [INFO ] W-9000-m_1.0-stdout MODEL_LOG -     torch.load(path, map_location="cuda")
2026-11-29T10:02:58,442 [INFO ] W-9000-m_1.0-stdout MODEL_LOG - FileNotFoundError: [Errno 2] No such file: 'm.pt'"""


@pytest.mark.parametrize("entry_a_line", [True, False], ids=["lines", "one-entry"])
@pytest.mark.parametrize(
    ("text", "chain", "place"),
    [
        pytest.param(PYTHON, ["RuntimeError", "requests.exceptions.ConnectionError"], ("/app/train.py", 12, "main"), id="python"),
        pytest.param(JAVA, ["java.lang.RuntimeException", "java.io.IOException"], ("Job.java", 41, "com.acme.Job.write"), id="java"),
        pytest.param(RICH, ["ValueError"], ("/app/train.py", 12, "main"), id="rich"),
        pytest.param(FATAL, ["Fatal Python error"], ("/app/train.py", 5, "<module>"), id="fatal"),
        pytest.param(LOGGED, ["FileNotFoundError"], ("/tmp/models/handler.py", 9, "initialize"), id="behind-a-logger"),
    ],
)  # fmt: skip
def test_a_traceback_is_its_exceptions_and_the_users_own_frame(text, chain, place, entry_a_line):
    found = [one for one in said(text, entry_a_line=entry_a_line) if one.raised]
    assert len(found) == 1
    assert [one.name for one in found[0].raised] == chain
    frame = found[0].frame
    assert frame is not None
    assert (frame.file, frame.line, frame.function) == place


@pytest.mark.parametrize("entry_a_line", [True, False], ids=["lines", "one-entry"])
@pytest.mark.parametrize(
    ("text", "source"),
    [
        (PYTHON, ["timeout=30", "raise ConnectionError", 'File "']),
        (JAVA, ["at com.acme", "Native Method", "12 more"]),
        (NODE, ["timeout=", "node_modules"]),
        (GO, ["goroutine", "score.go"]),
        (RICH, ["permission denied", "TimeoutError"]),
        (RANKS, ["all_reduce", "raise KeyError"]),
    ],
    ids=["python", "java", "node", "go", "rich", "ranks"],
)
def test_source_lines_and_frames_are_never_said(text, source, entry_a_line):
    texts = [t for one in said(text, entry_a_line=entry_a_line) for t in (one.text, *(r.text for r in one.raised))]  # fmt: skip
    assert texts
    for words in source:
        assert not any(words in one for one in texts), words


def test_two_ranks_at_once_are_two_tracebacks():
    found = {one.raised[0].text: one.frame for one in said(RANKS, entry_a_line=True) if one.raised}
    assert set(found) == {"RuntimeError: Connection closed by peer", "KeyError: 'age'"}
    assert found["KeyError: 'age'"] is not None
    assert found["KeyError: 'age'"].file == "/app/data.py"


def test_what_a_worker_raised_is_the_cause_in_its_parents_message():
    text = (
        "Traceback (most recent call last):\n"
        '  File "/app/train.py", line 10, in <module>\n    for batch in loader:\n'
        "RuntimeError: Caught RuntimeError in DataLoader worker process 0.\n"
        "Original Traceback (most recent call last):\n"
        '  File "/app/data.py", line 4, in __getitem__\n    raise ValueError(i)\n'
        "ValueError: row 17 has no label"
    )
    (found,) = [one for one in said(text, entry_a_line=True) if one.raised]
    assert [one.name for one in found.raised] == ["RuntimeError", "ValueError"]


@pytest.mark.parametrize("last", ["urllib3/connectionpool.py", "app/score.py"])
def test_a_program_that_is_stopped_says_where_it_stood(last):
    text = (
        "Traceback (most recent call last):\n"
        '  File "/app/main.py", line 3, in predict\n    score(x)\n'
        f'  File "/usr/lib/{last}", line 3, in f\n    g()\n'
        "SystemExit: 1"
    )
    (found,) = [one for one in said(text, entry_a_line=False) if one.raised]
    assert found.stood_in == ("network" if "urllib3" in last else "code")


def _raised_in(function: str, exception: str) -> str:
    return (
        "Traceback (most recent call last):\n"
        '  File "/app/main.py", line 3, in predict\n    requests.get(url)\n'
        '  File "/usr/lib/python3.11/socket.py", line 706, in readinto\n    return self._sock.recv_into(b)\n'
        f'  File "/app/main.py", line 40, in {function}\n    raise Stop\n{exception}'
    )


@pytest.mark.parametrize(
    ("function", "exception"),
    [
        ("_on_term", "TimeoutError: told to end"),
        ("handle_sigterm", "TimeoutError: told to end"),
        ("Trainer.on_terminate", "RuntimeError"),
        ("handler", "TimeoutError: received SIGTERM"),
        ("shutdown", "RuntimeError: signal 15"),
    ],
)
def test_a_handler_of_sigterm_gives_way_to_the_frame_that_it_interrupted(function, exception):
    (found,) = [
        one for one in said(_raised_in(function, exception), entry_a_line=False) if one.raised
    ]
    assert found.frame.line == 3
    assert found.stood_in == "network"
    assert not found.traced


@pytest.mark.parametrize(
    ("function", "exception"),
    [
        ("add_term", "ValueError: bad"),
        ("handler", "ValueError: bad"),
        ("score", "ValueError: received SIGTERM"),
    ],
)
def test_a_function_that_handles_no_sigterm_keeps_its_error(function, exception):
    (found,) = [
        one for one in said(_raised_in(function, exception), entry_a_line=False) if one.raised
    ]
    assert found.frame.line == 40
    assert found.traced
    assert not found.stood_in


@pytest.mark.parametrize(
    "text",
    [
        "step 400 loss 0.31",
        "row 352000 of 3000000, 3643 rows/s",
        "record 26000 of 100000: 0 invalid rows, 0 parse errors",
        "2026-11-23 10:00:00,123 INFO trainer: epoch 3/10 done",
        "Epoch 3:  45%|████      | 450/1000 [00:10<00:12, 44.9it/s]",
    ],
)
def test_what_counts_and_complains_of_nothing_is_progress(text):
    assert is_progress(text)


@pytest.mark.parametrize(
    "text",
    [
        "row 17 has 3 fields, expected 4",
        "step 400 loss nan",
        "Premature end of JPEG data. Stopped at line 1214/2593",
        "/app/run.sh: line 4: OUTPUT_DIR: unbound variable",
        "26/11/29 09:57:35 INFO MemoryStore: cleared",
        "batch 3 of 10 failed",
    ],
)
def test_a_complaint_is_no_progress(text):
    assert not is_progress(text)


def test_what_did_not_happen_is_not_said():
    assert "error" not in without_zero_counts("done: 0 parse errors, 12 rows")
    assert not complains("read 100 rows, 0 invalid rows")
    assert complains("read 100 rows, 3 invalid rows")


@pytest.mark.parametrize("text", ["", "Step 3 of 9", "step 3/9 \ud800", "épreuve 4/5", "nothing"])
def test_whether_a_pattern_is_in_a_text_is_what_search_says(text: str) -> None:
    pattern = Linear(r"step \d|\d/\d")
    assert pattern.is_in(text) is (pattern.search(text) is not None)


IGNORED = """\
Exception ignored in: <function Reader.__del__ at 0x7f13>
Traceback (most recent call last):
  File "/app/reader.py", line 213, in __del__
    self.close()
AttributeError: 'Reader' object has no attribute 'handle'
"""
REAL = """\
Traceback (most recent call last):
  File "/app/train.py", line 9, in load
    x = open(path)
FileNotFoundError: [Errno 2] No such file or directory: '/data/a.csv'"""


@pytest.mark.parametrize("entry_a_line", [True, False])
@pytest.mark.parametrize("between", ["", "step 3\n", "2026-11-23 10:00:00 INFO step 3\n"])
def test_what_the_interpreter_ignored_takes_nothing_that_follows_with_it(
    between: str, *, entry_a_line: bool
) -> None:
    found = said(f"{IGNORED}{between}{REAL}", entry_a_line=entry_a_line)
    raised = [[one.name for one in item.raised] for item in found if item.raised]
    assert raised == [["FileNotFoundError"]]
    assert [item.text for item in found if not item.raised] == (
        [between.strip()] if between else []
    )


def test_what_the_interpreter_ignored_is_no_part_of_the_exception_before_it() -> None:
    (found,) = said(f"{REAL}\n{IGNORED}", entry_a_line=True)
    assert [one.name for one in found.raised] == ["FileNotFoundError"]
    assert "ignored" not in found.text


@pytest.mark.parametrize(
    ("following", "left"),
    [
        ("BrokenPipeError: [Errno 32] Broken pipe", []),
        ("ERROR: cannot open /data/a.csv", ["ERROR: cannot open /data/a.csv"]),
        ("Killed", ["Killed"]),
    ],
)
def test_what_was_ignored_without_frames_is_its_next_line_alone(
    following: str, left: list[str]
) -> None:
    text = f"Exception ignored in: <_io.TextIOWrapper name='<stdout>'>\n{following}\n{REAL}"
    found = said(text, entry_a_line=True)
    assert [item.text for item in found if not item.raised] == left
    assert [item.raised[0].name for item in found if item.raised] == ["FileNotFoundError"]
