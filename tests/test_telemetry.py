"""The in-job telemetry module, watching real processes on this machine.

Where a figure would depend on what else the machine does, the limits are staged under a root of
their own (`VERTEX_TELEMETRY_ROOT`) and the processes stay real. A job here does not work for some
time: it works until the lines that a test wants have been written (`converse`), so that a busy
machine makes it slower and nothing else. In one file, as what it watches is (it is so long, since
every job that it runs stands in it).
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.case import Case
from remediator.diagnosis import diagnose
from remediator.domain import Cause, Json, Source, parse_time, rfc3339
from tests.waiting import HANG_SECONDS

MODULE = Path(__file__).parent.parent / "telemetry" / "vertex_telemetry.py"
FIELDS = {
    "remediatorTelemetry",
    "time",
    "cpu",
    "memoryBytes",
    "memoryLimitBytes",
    "gpus",
    "receivedBytesPerSecond",
    "sentBytesPerSecond",
    "section",
    "stack",
    "progress",
    "stacks",
    "gpuProcesses",
}
WRAP = [sys.executable, str(MODULE), "--"]
MIB = 1024 * 1024


def environment(**more: str) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if "RANK" not in key}
    return {
        **inherited,
        "PYTHONPATH": str(MODULE.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "VERTEX_TELEMETRY_SECONDS": "0.1",
        **more,
    }


def run(command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )


Lines = list[dict[str, Any]]
Enough = Callable[[Lines], bool]


def converse(command: list[str], *steps: Enough, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs the command beside its telemetry lines: each step waits until those so far are enough.

    After a step the command gets a line on its standard input, after the last the end of it.
    """
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command,
            env=environment(**more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        watchdog = threading.Timer(HANG_SECONDS, process.kill)
        watchdog.start()
        said: list[str] = []
        lines: Lines = []
        waiting = list(steps)
        for text in process.stdout:
            said.append(text)
            lines += split(text)[0]
            while waiting and waiting[0](lines):
                waiting.pop(0)
                with contextlib.suppress(BrokenPipeError):  # it is gone, as its test may want
                    process.stdin.write("\n")
                    process.stdin.flush()
                    if not waiting:
                        process.stdin.close()
        process.wait()
        watchdog.cancel()
        errors.seek(0)
        return subprocess.CompletedProcess(
            command, process.returncode, "".join(said), errors.read()
        )


def at_least(number: int, is_one: Callable[[dict[str, Any]], object] = bool) -> Enough:
    """Enough are so many lines of which this is true."""
    return lambda lines: sum(bool(is_one(line)) for line in lines) >= number


def script(tmp_path: Path, text: str, name: str = "job.py") -> list[str]:
    path = tmp_path / name
    path.write_text(textwrap.dedent(text))
    return [sys.executable, str(path)]


def split(output: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The telemetry lines, and everything else that was printed."""
    lines = output.splitlines()
    telemetry = [json.loads(line) for line in lines if line.startswith('{"remediatorTelemetry"')]
    return telemetry, [line for line in lines if not line.startswith('{"remediatorTelemetry"')]


def staged(tmp_path: Path, files: dict[str, str | bytes], *, proc: bool = True) -> str:
    """A root with this machine's /proc, and cgroup files as told."""
    root = tmp_path / "root"
    root.mkdir()
    if proc:
        (root / "proc").symlink_to("/proc")
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(root)


def load() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("vertex_telemetry", MODULE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- three kinds of work -----------------------------------------------------------------------

BUSY = """
    import select, sys
    import vertex_telemetry

    def normalise():
        while not select.select([sys.stdin], [], [], 0)[0]:
            sum(range(2000))

    with vertex_telemetry.section("preprocess"):
        normalise()
"""

HUNGRY = """
    import os, signal, sys
    import vertex_telemetry

    vertex_telemetry.start()
    kept = []
    for _ in range(10):
        kept.append(b"x" * (19 * 1024 * 1024))
        sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does at the limit
"""

WAITING = """
    import socket, sys, threading
    import vertex_telemetry

    vertex_telemetry.start()
    server = socket.create_server(("127.0.0.1", 0))

    def fetch():
        with socket.create_connection(server.getsockname()) as connection:
            connection.recv(1)

    def answer():
        with server.accept()[0]:
            sys.stdin.read()

    threading.Thread(target=answer).start()
    fetch()
"""


LITTLE = "5000 100000\n"  # cpu.max: of a twentieth of a CPU any machine has as much to give
WAITS = "fetch_data.py:10 fetch"


def is_full(line: dict[str, Any]) -> bool:
    in_loop = str(line.get("stack")).endswith(" normalise")
    return bool(line.get("cpu", 0) > 0.9 and in_loop and line.get("section") == "preprocess")


def is_near_limit(line: dict[str, Any]) -> bool:
    return bool(line.get("memoryBytes", 0) > 0.92 * line.get("memoryLimitBytes", 0))


Watched = dict[str, subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """The three of them, watched side by side."""
    limits: dict[str, dict[str, str | bytes]] = {
        "preprocess.py": {"sys/fs/cgroup/cpu.max": LITTLE},
        "train.py": {"sys/fs/cgroup/memory.max": f"{210 * MIB}\n"},
        "fetch_data.py": {},
    }
    texts = {"preprocess.py": BUSY, "train.py": HUNGRY, "fetch_data.py": WAITING}
    steps: dict[str, list[Enough]] = {
        "preprocess.py": [at_least(20, is_full)],
        "train.py": [*(at_least(number) for number in range(1, 10)), at_least(1, is_near_limit)],
        "fetch_data.py": [at_least(6, lambda line: line.get("stack") == WAITS)],
    }

    # Made here: pytest's factory of folders is not for several threads at once.
    folders = {name: tmp_path_factory.mktemp(name) for name in texts}

    def watch(name: str) -> subprocess.CompletedProcess[str]:
        folder = folders[name]
        command = [*WRAP, *script(folder, texts[name], name)]
        return converse(command, *steps[name], VERTEX_TELEMETRY_ROOT=staged(folder, limits[name]))

    with ThreadPoolExecutor() as pool:
        return dict(zip(texts, pool.map(watch, texts), strict=True))


def test_a_busy_process_shows_full_cpus_its_section_and_its_function(watched: Watched) -> None:
    result = watched["preprocess.py"]
    lines, rest = split(result.stdout)
    assert (result.returncode, result.stderr, rest) == (0, "", [])
    full = [line for line in lines if is_full(line)]
    assert len(full) >= 20
    assert {line["stack"] for line in full} <= {
        "preprocess.py:6 normalise",
        "preprocess.py:7 normalise",
    }


def test_a_hungry_process_shows_memory_climbing_to_the_limit_though_it_was_killed(
    watched: Watched,
) -> None:
    result = watched["train.py"]
    lines, _ = split(result.stdout)
    assert result.returncode == -signal.SIGKILL
    # The line at the end of a killed process has no memory left to measure.
    used = [
        line["memoryBytes"] / line["memoryLimitBytes"] for line in lines if "memoryBytes" in line
    ]
    assert used[0] < 0.5
    assert max(used) > 0.92
    assert used.index(max(used)) >= len(used) // 2


def test_a_waiting_process_shows_idle_cpus_and_where_it_waits(watched: Watched) -> None:
    result = watched["fetch_data.py"]
    lines, _ = split(result.stdout)
    assert (result.returncode, result.stderr) == (0, "")
    waiting = [line for line in lines if line.get("stack") == WAITS]
    assert len(waiting) >= 6
    assert max(line.get("cpu", 0) for line in waiting[1:]) < 0.5


def test_memory_near_its_limit_is_told_at_once_since_the_next_line_may_never_come(
    tmp_path: Path,
) -> None:
    root = staged(tmp_path, {"sys/fs/cgroup/memory.max": f"{200 * MIB}\n"})
    text = HUNGRY.replace("range(10)", "range(1)").replace("19 * 1024", "190 * 1024")
    command = script(tmp_path, text)
    result = converse(
        command, at_least(1), VERTEX_TELEMETRY_ROOT=root, VERTEX_TELEMETRY_SECONDS="40"
    )
    (line,), _ = split(result.stdout)
    assert result.returncode == -signal.SIGKILL
    assert line["memoryBytes"] > 0.9 * line["memoryLimitBytes"]


def test_a_process_that_the_kernel_kills_at_a_real_limit_is_seen_climbing(tmp_path: Path) -> None:
    parent = Path("/sys/fs/cgroup/memory")
    names = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
    if not parent.is_dir():
        parent, names = Path("/sys/fs/cgroup"), ("memory.max", "memory.swap.max")
    group = parent / f"vertex-telemetry-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / names[0]).write_text(str(150 * MIB))
    except OSError as error:
        group.rmdir() if group.is_dir() else None
        pytest.skip(f"no memory cgroup can be made here: {error}")
    try:
        inside = ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh"]
        # The next 19 MiB are taken when a line has told the last: no step outruns the measuring.
        steps = [
            at_least(1, lambda line, least=number * 19 * MIB: line.get("memoryBytes", 0) > least)
            for number in range(1, 11)
        ]
        result = converse([*inside, *WRAP, *script(tmp_path, HUNGRY)], *steps)
    finally:
        deadline = time.monotonic() + 10
        while group.is_dir() and time.monotonic() < deadline:
            try:
                group.rmdir()
            except OSError:
                time.sleep(0.02)
    lines, _ = split(result.stdout)
    assert result.returncode == -signal.SIGKILL
    assert {line["memoryLimitBytes"] for line in lines} == {150 * MIB}
    assert max(line.get("memoryBytes", 0) for line in lines) > 110 * MIB


# --- the line ----------------------------------------------------------------------------------


def test_every_line_keeps_to_the_contract(watched: Watched) -> None:
    lines = [line for result in watched.values() for line in split(result.stdout)[0]]
    for line in lines:
        assert set(line) <= FIELDS
        assert line["remediatorTelemetry"] == 1
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
        assert 0 <= line.get("cpu", 0) <= 1
        for name in ("memoryBytes", "memoryLimitBytes", "receivedBytesPerSecond"):
            assert isinstance(line.get(name, 0), int)


def test_lines_are_never_torn_by_what_several_processes_print(tmp_path: Path) -> None:
    result = converse(
        [
            *WRAP,
            *script(
                tmp_path,
                """
                import os, select, vertex_telemetry
                vertex_telemetry.start()
                for _ in range(3):
                    os.fork()
                for _ in range(20):
                    os.write(1, b"y" * 200 + b"\\n")
                while not select.select([0], [], [], 0.001)[0]:
                    os.write(1, b"y" * 200 + b"\\n")
                """,
            ),
        ],
        at_least(4),
        VERTEX_TELEMETRY_SECONDS="0.05",
    )
    lines, rest = split(result.stdout)
    assert set(rest) == {"y" * 200}
    assert len(lines) >= 4


def test_what_the_job_printed_before_stands_before_in_whole_lines(tmp_path: Path) -> None:
    text = """
        import itertools, select, sys, vertex_telemetry
        vertex_telemetry.start()
        for number in itertools.count():
            sys.stdout.write(f"row {number}\\n")
            if select.select([sys.stdin], [], [], 0.01)[0]:
                break
    """
    result = converse(script(tmp_path, text), at_least(3))
    lines, rest = split(result.stdout)
    assert rest == [f"row {number}" for number in range(len(rest))]
    assert result.stdout.index('{"remed') < result.stdout.index(rest[-1])
    assert len(lines) >= 3


def test_a_line_too_long_for_one_write_loses_its_ornaments_first() -> None:
    module = load()
    read, write = os.pipe()
    saved = os.dup(1)
    try:
        os.dup2(write, 1)
        line = {"remediatorTelemetry": 1, "cpu": 0.5, "stack": "s" * 9000, "section": "load"}
        module._Stdout().write(line)
    finally:
        os.dup2(saved, 1)
        for number in (saved, write):
            os.close(number)
    with os.fdopen(read) as pipe:
        assert json.loads(pipe.read()) == {"remediatorTelemetry": 1, "cpu": 0.5, "section": "load"}


# --- around a command --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shell", "expected"),
    [
        pytest.param("exit 0", 0, id="success"),
        pytest.param("exit 3", 3, id="a-code-of-its-own"),
        pytest.param("kill -9 $$", -9, id="killed"),
        pytest.param("kill -TERM $$", -15, id="terminated"),
    ],
)
def test_the_wrapper_ends_as_its_command_ends(shell: str, expected: int) -> None:
    result = run([*WRAP, "sh", "-c", shell], VERTEX_TELEMETRY_SECONDS="600")
    assert (result.returncode, result.stderr) == (expected, "")
    assert len(split(result.stdout)[0]) == 1


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        pytest.param([], 2, "usage: python -m vertex_telemetry -- COMMAND", id="no-command"),
        pytest.param(["no-such-command"], 127, "cannot run no-such-command", id="not-found"),
        pytest.param(["/etc/hostname"], 126, "cannot run /etc/hostname", id="not-executable"),
    ],
)
def test_a_command_that_cannot_run_is_told_as_a_shell_tells_it(
    command: list[str], code: int, says: str
) -> None:
    result = run([*WRAP, *command])
    assert result.returncode == code
    assert says in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture
def interruptible() -> Iterator[None]:
    """In a shell's background SIGINT is ignored, and what is ignored stays so in a command."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("name", ["TERM", "INT", "USR1"])
@pytest.mark.usefixtures("interruptible")
def test_signals_reach_the_command(name: str) -> None:
    shell = f'trap "echo got {name}; exit 5" {name}; echo ready; while :; do sleep 0.02; done'
    with subprocess.Popen(
        [*WRAP, "sh", "-c", shell],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        watchdog = threading.Timer(HANG_SECONDS, process.kill)
        watchdog.start()
        for line in process.stdout:
            if line == "ready\n":
                break
        process.send_signal(getattr(signal, "SIG" + name))
        rest = split(process.stdout.read())[1]
        watchdog.cancel()
    assert (process.returncode, rest) == (5, [f"got {name}"])


def test_arguments_standard_input_and_error_pass_through() -> None:
    result = subprocess.run(
        [*WRAP, "sh", "-c", 'cat; echo "$1" >&2', "sh", "--two words"],
        env=environment(VERTEX_TELEMETRY_SECONDS="30"),
        input="typed\n",
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    assert (split(result.stdout)[1], result.stderr) == (["typed"], "--two words\n")


def test_the_processes_below_the_command_are_measured_too(tmp_path: Path) -> None:
    root = staged(tmp_path, {"sys/fs/cgroup/cpu.max": LITTLE})
    busy = f"{sys.executable} -c 'for i in range(9000000): pass' & wait"
    lines, _ = split(run([*WRAP, "sh", "-c", busy], VERTEX_TELEMETRY_ROOT=root).stdout)
    assert max(line.get("cpu", 0) for line in lines) > 0.9


def test_wrapper_and_wrapped_take_turns_and_the_wrapper_speaks_for_the_killed(
    tmp_path: Path,
) -> None:
    text = """
        import os, sys
        from vertex_telemetry import section
        with section("load"):
            sys.stdin.read()
        os.kill(os.getpid(), 9)
    """
    loads = at_least(5, lambda line: line.get("section") == "load")
    lines, _ = split(converse([*WRAP, *script(tmp_path, text)], loads).stdout)
    moments = [line["time"] for line in lines]
    assert moments == sorted(moments)
    assert "section" not in lines[-1]
    # One of them a period, and not both: by the times that the lines themselves tell.
    first, last = parse_time(moments[0]), parse_time(moments[-1])
    assert first is not None
    assert last is not None
    assert len(lines) <= 1.5 * ((last - first).total_seconds() / 0.1) + 3


def test_a_wrapper_in_a_wrapper_leaves_the_writing_to_the_outer() -> None:
    result = run([*WRAP, *WRAP, "sh", "-c", "exit 4"], VERTEX_TELEMETRY_SECONDS="30")
    assert result.returncode == 4
    assert len(split(result.stdout)[0]) == 1


# --- the job is never disturbed ----------------------------------------------------------------

GARBAGE = {
    "binary": {"memory.max": b"\xff\x00\xfe", "memory.current": b"\x00", "cpu.max": b"\xff\xff"},
    "words": {"memory.max": "lots", "memory.current": "-1", "cpu.max": "a b c"},
    "zeros": {"memory.max": "0", "memory.current": "0", "cpu.max": "0 0"},
    "empty": {"memory.max": "", "memory.current": "", "memory.stat": "", "cpu.max": ""},
    "odd-stat": {"memory.max": "9000000", "memory.current": "5", "memory.stat": "active_file\nx 1"},
    "a-folder": {"memory.max/x": "", "cpu.max/x": ""},
}


@pytest.mark.parametrize(
    ("files", "wrapper"),
    [
        *(pytest.param(files, [], id=f"by-import-{name}") for name, files in GARBAGE.items()),
        pytest.param(GARBAGE["binary"], WRAP, id="wrapped-binary"),
    ],
)
def test_unreadable_limits_cost_a_field_and_never_the_job(
    tmp_path: Path, files: dict[str, str | bytes], wrapper: list[str]
) -> None:
    root = staged(tmp_path, {"sys/fs/cgroup/" + name: text for name, text in files.items()})
    text = "import vertex_telemetry, sys; vertex_telemetry.start(); sys.stdin.read(); print('done')"
    command = [*wrapper, sys.executable, "-c", text]
    result = converse(command, at_least(1), VERTEX_TELEMETRY_ROOT=root)
    lines, rest = split(result.stdout)
    assert (result.returncode, result.stderr, rest) == (0, "", ["done"])
    assert lines


def test_without_proc_the_process_is_still_measured(tmp_path: Path) -> None:
    root = staged(tmp_path, {"sys/fs/cgroup/cpu.max": LITTLE}, proc=False)
    result = converse(script(tmp_path, BUSY), at_least(2, is_full), VERTEX_TELEMETRY_ROOT=root)
    lines, _ = split(result.stdout)
    assert (result.returncode, result.stderr) == (0, "")
    assert max(line.get("cpu", 0) for line in lines) > 0.9
    assert all("memoryBytes" not in line for line in lines)


def test_a_fault_of_its_own_makes_it_silent(tmp_path: Path) -> None:
    text = """
        import time, vertex_telemetry
        class Broken:
            def __getattr__(self, name):
                raise RuntimeError(name)
        vertex_telemetry._sections = Broken()
        with vertex_telemetry.section("load"):
            time.sleep(0.2)
        vertex_telemetry.stop()
        print("done")
    """
    result = run(script(tmp_path, text))
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")


def test_a_file_that_got_the_number_of_a_closed_stdout_is_not_written_to(tmp_path: Path) -> None:
    results = tmp_path / "results.txt"
    text = f"""
        import os, time, vertex_telemetry
        vertex_telemetry.start()
        os.close(1)
        assert os.open({str(results)!r}, os.O_CREAT | os.O_WRONLY) == 1
        time.sleep(0.3)
    """
    result = run(script(tmp_path, text))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert results.read_text() == ""


@pytest.mark.parametrize("wrapper", [[], WRAP], ids=["by-import", "wrapped"])
def test_a_reader_that_went_away_does_not_end_a_job_that_restored_sigpipe(
    tmp_path: Path, wrapper: list[str]
) -> None:
    text = """
        import signal, sys, time, vertex_telemetry
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        vertex_telemetry.start()
        time.sleep(0.3)
        print("lived", file=sys.stderr)
    """
    with subprocess.Popen(
        [*wrapper, *script(tmp_path, text)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == "lived\n"
    assert process.returncode == 0


def test_workers_stay_silent_and_the_job_is_left_as_it_was(tmp_path: Path) -> None:
    text = """
        import multiprocessing, os, random, signal, sys, time
        import vertex_telemetry
        before = [signal.getsignal(number) for number in range(1, 30)]
        random.seed(7)
        expected = random.Random(7).random()
        vertex_telemetry.start()
        vertex_telemetry.start()

        def work(_):
            with vertex_telemetry.section("worker"):
                vertex_telemetry.start()
                time.sleep(0.25)
            return os.getpid()

        if __name__ == "__main__":
            for way in ("fork", "spawn"):
                with multiprocessing.get_context(way).Pool(2) as pool:
                    pool.map(work, range(2))
            assert random.random() == expected
            assert before == [signal.getsignal(number) for number in range(1, 30)]
            sys.stdin.readline()
            print("done")
    """
    started = time.monotonic()
    result = converse(script(tmp_path, text), at_least(3), VERTEX_TELEMETRY_SECONDS="0.2")
    seconds = time.monotonic() - started
    lines, rest = split(result.stdout)
    assert (result.returncode, result.stderr, rest) == (0, "", ["done"])
    assert len(lines) <= seconds / 0.2 + 2
    assert all(line.get("section") != "worker" for line in lines)


def test_a_process_that_forks_all_the_time_is_still_watched(tmp_path: Path) -> None:
    text = """
        import os, select, vertex_telemetry
        vertex_telemetry.start()
        while not select.select([0], [], [], 0)[0]:
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
    """
    result = converse(script(tmp_path, text), at_least(3))
    assert (result.returncode, result.stderr) == (0, "")
    assert len(split(result.stdout)[0]) >= 3


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"VERTEX_TELEMETRY": "off"}, id="switched-off"),
        pytest.param({"LOCAL_RANK": "1"}, id="second-rank"),
        pytest.param({"VERTEX_TELEMETRY_SECONDS": "x"}, id="nothing-at-start"),
    ],
)
def test_it_says_nothing_where_it_should_not(more: dict[str, str]) -> None:
    text = (
        "import vertex_telemetry, time, os; vertex_telemetry.start(); time.sleep(.2); os._exit(0)"
    )
    result = run([sys.executable, "-c", text], **more)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_switched_off_wrapper_becomes_its_command() -> None:
    result = run([*WRAP, "sh", "-c", "echo $PPID; exit 6"], VERTEX_TELEMETRY="off")
    assert (result.returncode, result.stdout) == (6, f"{os.getpid()}\n")


# --- sections and stack ------------------------------------------------------------------------


def test_sections_nest_return_values_and_swallow_nothing(tmp_path: Path) -> None:
    text = """
        import sys
        from vertex_telemetry import section, stop

        @section("score")
        def score(x):
            "Scores."
            sys.stdin.readline()
            return x + 1

        assert score(1) == 2 and score.__doc__ == "Scores."
        with section("outer"):
            with section("inner"):
                sys.stdin.readline()
            try:
                with section("failing"):
                    raise KeyError("mine")
            except KeyError as error:
                assert error.args == ("mine",)
            sys.stdin.readline()
        stop()
    """
    order = ("score", "inner", "outer")
    steps = [at_least(2, lambda line, name=name: line.get("section") == name) for name in order]
    result = converse(script(tmp_path, text), *steps)
    lines, _ = split(result.stdout)
    assert (result.returncode, result.stderr) == (0, "")
    names = [line["section"] for line in lines if "section" in line]
    assert tuple(dict.fromkeys(names)) == order


def test_time_in_a_library_is_told_as_the_users_line_that_called_it(tmp_path: Path) -> None:
    text = """
        import queue, sys, threading
        import vertex_telemetry

        rows = queue.Queue()

        def parse():
            rows.get()

        threading.Thread(target=lambda: rows.put(sys.stdin.read())).start()
        vertex_telemetry.start()
        parse()
    """
    # The main thread waits inside of the library, so every sample finds it there.
    inside = at_least(3, lambda line: line.get("stack") == "job.py:8 parse")
    lines, _ = split(converse(script(tmp_path, text), inside).stdout)
    assert {line["stack"] for line in lines[1:] if "stack" in line} == {"job.py:8 parse"}


# --- what the machine says ---------------------------------------------------------------------

STAT = "active_file 100\ninactive_file 200\nanon 700\n"


@pytest.mark.parametrize(
    ("files", "memory", "vcpus"),
    [
        pytest.param(
            {
                "proc/self/cgroup": "0::/\n",
                "sys/fs/cgroup/memory.max": "2000\n",
                "sys/fs/cgroup/memory.current": "1000\n",
                "sys/fs/cgroup/memory.stat": STAT,
                "sys/fs/cgroup/cpu.max": "50000 100000\n",
            },
            (700, 2000),
            0.5,
            id="v2-in-a-container",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/pod/box\n",
                "sys/fs/cgroup/pod/memory.max": "1500\n",
                "sys/fs/cgroup/pod/memory.current": "1200\n",
                "sys/fs/cgroup/pod/box/memory.max": "max\n",
                "sys/fs/cgroup/pod/box/memory.current": "900\n",
                "sys/fs/cgroup/pod/cpu.max": "25000 100000\n",
                "sys/fs/cgroup/pod/box/cpu.max": "max 100000\n",
            },
            (1200, 1500),
            0.25,
            id="v2-the-parent-is-tighter",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "3000\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "1000\n",
                "sys/fs/cgroup/memory/memory.stat": "inactive_file 9\ntotal_inactive_file 300\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "20000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            (700, 3000),
            0.2,
            id="v1-whose-path-is-the-hosts",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "4:memory:/\n2:cpu:/\n",
                "proc/meminfo": "MemTotal: 8 kB\nMemFree: 1 kB\nMemAvailable: 3 kB\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "10\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            (5 * 1024, 8 * 1024),
            float(len(os.sched_getaffinity(0))),
            id="v1-unlimited-is-the-machine",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/../../elsewhere\n",
                "proc/meminfo": "MemTotal: 8 kB\nMemAvailable: 3 kB\n",
                "sys/fs/cgroup/memory.max": "90000\n",
                "sys/fs/cgroup/memory.current": "10\n",
            },
            (5 * 1024, 8 * 1024),
            float(len(os.sched_getaffinity(0))),
            id="a-limit-above-the-machines-memory",
        ),
        pytest.param({}, (None, None), float(len(os.sched_getaffinity(0))), id="nothing-known"),
    ],
)
def test_limits_are_those_of_the_tightest_cgroup(
    tmp_path: Path, files: dict[str, str | bytes], memory: tuple[int, int], vcpus: float
) -> None:
    machine = load()._Machine(staged(tmp_path, files, proc=False), os.getpid())
    assert (machine.memory(), machine.vcpus()) == (memory, vcpus)


def test_network_counts_every_interface_but_loopback(tmp_path: Path) -> None:
    table = (
        "Inter-|   Receive                |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets\n"
        "    lo: 99999 1 0 0 0 0 0 0 99999 1 0 0 0 0 0 0\n"
        "  eth0: 1000 1 0 0 0 0 0 0 2000 1 0 0 0 0 0 0\n"
        "  eth1:30 1 0 0 0 0 0 0 4 1 0 0 0 0 0 0\n"
    )
    root = staged(tmp_path, {"proc/self/net/dev": table}, proc=False)
    assert load()._Machine(root, 1).network() == (1030, 2004)


def test_the_tree_holds_a_process_whose_name_is_written_to_confuse(tmp_path: Path) -> None:
    tail = " 0 0 0 0 0 0 0 0 0 {} 0 {} 0 0 0 0 0 0 0 3 0"
    files = {
        "proc/10/stat": "10 (python) S 1" + tail.format(100, 5),
        "proc/11/stat": "11 (a) S 99 (b) S 10" + tail.format(200, 0),
        "proc/12/stat": "12 (child of 11) S 11" + tail.format(300, 0),
        "proc/13/stat": "13 (stranger) S 1" + tail.format(5000, 0),
        "proc/14/stat": "14 (cut",
    }
    module = load()
    machine = module._Machine(staged(tmp_path, dict(files), proc=False), 10)
    ticks = os.sysconf("SC_CLK_TCK")
    assert machine.tree() == (605 / ticks, 9 * os.sysconf("SC_PAGE_SIZE"))


FAKE_SMI = """\
#!/bin/sh
echo "37, 1024, 15360"
echo "[N/A], 5, 40960"
"""


def test_gpus_are_read_where_nvidia_smi_is_and_what_it_does_not_know_is_left_out(
    tmp_path: Path,
) -> None:
    (tmp_path / "nvidia-smi").write_text(FAKE_SMI)
    (tmp_path / "nvidia-smi").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    lines, _ = split(converse([*WRAP, "cat"], at_least(2), PATH=path).stdout)
    assert lines[0]["gpus"] == [
        {"utilization": 0.37, "memoryBytes": 1024 * MIB, "memoryLimitBytes": 15360 * MIB},
        {"memoryBytes": 5 * MIB, "memoryLimitBytes": 40960 * MIB},
    ]
    # Asking took some milliseconds; a hundred times as long it is not asked again.
    assert sum("gpus" in line for line in lines) < len(lines)


def test_a_failing_nvidia_smi_costs_the_field_alone(tmp_path: Path) -> None:
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho No devices were found; exit 9\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    result = converse([*WRAP, "cat"], at_least(2), PATH=f"{tmp_path}:{os.environ['PATH']}")
    lines, rest = split(result.stdout)
    rest = [line for line in rest if line]  # what cat was given
    assert (result.returncode, result.stderr, rest) == (0, "", [])
    assert lines
    assert all("gpus" not in line for line in lines)


# --- the file itself ---------------------------------------------------------------------------


def test_the_file_is_python_3_8_and_standard_library_alone() -> None:
    tree = ast.parse(MODULE.read_text(), feature_version=(3, 8))
    names = {
        alias.name if isinstance(node, ast.Import) else str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names | {"__future__"}


def test_importing_it_starts_nothing() -> None:
    code = "import threading, vertex_telemetry; print(threading.active_count())"
    assert run([sys.executable, "-c", code]).stdout == "1\n"


# --- and what the diagnosis makes of it --------------------------------------------------------


def case_of(result: subprocess.CompletedProcess[str], error: Json | None) -> Case:
    """A custom job that printed these lines, and was stopped by its time-out or by its error."""
    lines, _ = split(result.stdout)
    start, end = parse_time(lines[0]["time"]), parse_time(lines[-1]["time"])
    assert start is not None
    assert end is not None
    job = {
        "name": "projects/123456789012/locations/us-central1/customJobs/4711",
        "displayName": "watched",
        "state": "JOB_STATE_FAILED" if error else "JOB_STATE_CANCELLED",
        "createTime": rfc3339(start - timedelta(seconds=1)),
        "startTime": rfc3339(start),
        "endTime": rfc3339(end),
        "jobSpec": {
            "workerPoolSpecs": [
                {
                    "machineSpec": {"machineType": "n1-standard-4"},
                    "replicaCount": "1",
                    "containerSpec": {"imageUri": "us-docker.pkg.dev/project/train/train:1"},
                }
            ],
            "scheduling": {
                "timeout": "604800s" if error else f"{(end - start).total_seconds():.3f}s"
            },
        },
    }
    if error:
        job["error"] = error
    entries = [
        {
            "insertId": f"line-{number}",
            "timestamp": line["time"],
            "severity": "INFO",
            "resource": {"type": "ml_job", "labels": {"job_id": "4711"}},
            "labels": {"task_name": "workerpool0-0"},
            "textPayload": json.dumps(line),
        }
        for number, line in enumerate(lines)
    ]
    return Case.parse({"job": job, "logEntries": entries, "now": rfc3339(end + timedelta(hours=1))})


KILLED = {
    "code": 9,
    "message": "The replica workerpool0-0 exited with a non-zero status of 137. "
    "Termination reason: Error.",
}


@pytest.mark.parametrize(
    ("name", "error", "verdict"),
    [
        pytest.param("preprocess.py", None, Cause.CPU_SATURATION, id="cpu-bound-and-timed-out"),
        pytest.param("train.py", KILLED, Cause.MEMORY_PRESSURE, id="memory-hungry-and-killed"),
        pytest.param("fetch_data.py", None, Cause.NETWORK_LATENCY, id="waiting-and-timed-out"),
    ],
)
def test_the_diagnosis_of_a_real_watched_process_is_right(
    watched: Watched, name: str, error: Json | None, verdict: Cause
) -> None:
    found = diagnose(case_of(watched[name], error))
    assert found.verdict is verdict, found.to_json()
    assert Source.TELEMETRY in {item.source for item in found.causes[0].evidence}


# --- a standstill, and how far the work is ---------------------------------------------------------

STANDS = """
    import sys, threading, vertex_telemetry
    gate = threading.Event()
    def wait_for_a_batch(): sys.stdin.readline()
    def feed(): gate.wait()
    threading.Thread(target=feed, name="feeder", daemon=True).start()
    vertex_telemetry.progress(float("nan"))
    vertex_telemetry.progress("many", object())
    vertex_telemetry.progress(3, 40)
    wait_for_a_batch()
"""


def test_a_main_thread_that_stands_still_has_the_stacks_of_all_threads_written_once(
    tmp_path: Path,
) -> None:
    has_stacks = at_least(1, lambda line: "stacks" in line)
    done = converse(
        script(tmp_path, STANDS),
        lambda lines: has_stacks(lines) and "stacks" not in lines[-1],
        VERTEX_TELEMETRY_STALL_SECONDS="0.3",
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = split(done.stdout)[0]
    (told,) = [line for line in lines if "stacks" in line]
    main, *others = told["stacks"]
    assert re.match(r"MainThread: job\.py:\d+ wait_for_a_batch < job\.py:\d+ <module>", main)
    assert any(one.startswith("feeder: ") and " feed" in one for one in others)
    assert not any("vertex-telemetry" in one for one in told["stacks"])
    assert told["progress"] == {"done": 3.0, "of": 40.0}
    assert set(told) <= FIELDS


def test_what_goes_on_is_no_standstill(tmp_path: Path) -> None:
    program = """
        import sys, threading, vertex_telemetry
        vertex_telemetry.start()
        ended = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.readline(), ended.set()), daemon=True).start()
        number = 0
        while not ended.wait(0.001):
            number += 1
            vertex_telemetry.progress(number)
    """
    done = converse(
        script(tmp_path, program),
        at_least(5, lambda line: line.get("progress", {}).get("done", 0) > 0),
        VERTEX_TELEMETRY_STALL_SECONDS="60",
    )
    lines = split(done.stdout)[0]
    told = [line["progress"]["done"] for line in lines if "progress" in line]
    assert told == sorted(told)
    assert "of" not in lines[-1]["progress"]
    assert not any("stacks" in line for line in lines)
