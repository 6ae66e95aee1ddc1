"""What a Vertex AI job's container is doing, as one line of JSON on standard output.

Owns the in-job telemetry lines that vertex-remediator's diagnosis reads: how full CPUs, memory and
GPUs are, what the network carries, which section runs and which function the main thread is in.
Batch predictions have no such metrics from Google, and no job has its sections measured. Copy this
one file into the image (so it is one, however long); it needs the standard library of Python 3.8
or later and nothing else.

    python -m vertex_telemetry -- python train.py      # watches the command and all its processes
    import vertex_telemetry; vertex_telemetry.start()  # watches this process, and its stack
    with vertex_telemetry.section("preprocess"): ...   # names a part of the work
    vertex_telemetry.progress(1200, 9000)              # how far the work is

It must never disturb the job it watches: a fault of its own silences it, it raises nothing into
user code, and it changes no handler, no stream and no random state of the process it is imported
in. Environment: `VERTEX_TELEMETRY_SECONDS` (between lines, default 30), `VERTEX_TELEMETRY_STALL_SECONDS`
(how long the main thread stands at one line before the stacks of all threads are written, default 600),
`VERTEX_TELEMETRY=off`,
`VERTEX_TELEMETRY_ROOT` (where /proc and /sys are looked for; for tests).
"""

from __future__ import annotations

import atexit
import contextlib
import datetime as dt
import functools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from typing import Any, Callable, Iterator

try:
    import fcntl
    import resource
except ImportError:  # not a POSIX system: importing this must still break nothing
    fcntl = None  # type: ignore[assignment]
    resource = None  # type: ignore[assignment]

__all__ = ["progress", "section", "start", "stop"]

_DEFAULT_SECONDS = 30.0
_STALL_SECONDS = 600.0
_MOST_THREADS, _MOST_FRAMES = 16, 8  # of the stacks in one line
_STACKS_BYTES = 2600  # of a line that may be 4,096
_SHORTEST_PERIOD, _LONGEST_PERIOD = 0.05, 86400.0  # seconds
_SAMPLES_PER_LINE = 60  # looks at the stack and at memory between two lines
_SHORTEST_SAMPLE = 0.02  # seconds
_SHORTEST_RATE = 0.05  # seconds: over less, a rate says nothing
_LONGEST_LINE = 4096  # bytes that a pipe takes whole: PIPE_BUF on Linux
_ALARM_SHARE = 0.9  # of the memory limit: past it a line is written at once, once
_CALM_SHARE = 0.8
_GPU_TIMEOUT = 5.0  # seconds
_GPU_SHARE = 0.01  # of wall time that asking nvidia-smi may take
_READ_BYTES, _MOST_READS = 65536, 64
_MEBIBYTE = 1024 * 1024
_NO_LIMIT = 1 << 60  # cgroup v1 says "unlimited" by a number near 2**63
_WRAPPER = "VERTEX_TELEMETRY_WRAPPER"  # "pid:path of the turn file", set for the wrapped command
_LOCAL_RANKS = ("LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK")  # torchrun, mpirun
_THIS_FILE = (lambda: None).__code__.co_filename
_FORWARDED = ("HUP", "INT", "QUIT", "USR1", "USR2", "TERM", "WINCH", "CONT")


# --- what the machine says ---------------------------------------------------------------------


class _Machine:
    """Counters of the processes under `pid`, their memory limit and network, read from files.

    Every reading is None where the machine does not say; nothing here raises OSError or ValueError.
    """

    def __init__(self, root: str, pid: int) -> None:
        self._root = root
        self._pid = pid
        self._ticks = float(os.sysconf("SC_CLK_TCK"))
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._total: int | None = None
        self._tightest: tuple[int, tuple[str, ...], str] | None = None
        self.find_limit()

    def _text(self, *parts: str) -> str:
        # By bare system calls: in a process that computes, each costs a wait for the interpreter.
        chunks: list[bytes] = []
        try:
            file = os.open(os.path.join(self._root, *parts), os.O_RDONLY | os.O_CLOEXEC)
            try:
                while len(chunks) < _MOST_READS:
                    chunks.append(os.read(file, _READ_BYTES))
                    if not chunks[-1]:
                        break
            finally:
                os.close(file)
        except (OSError, ValueError):
            return ""
        return b"".join(chunks).decode("ascii", "replace")

    def _number(self, *parts: str) -> int | None:
        text = self._text(*parts).strip()
        return int(text) if text.isdigit() and int(text) < _NO_LIMIT else None

    def _table(self, *parts: str) -> dict[str, int]:
        """A file of `name number` lines (memory.stat, meminfo)."""
        rows = (line.split() for line in self._text(*parts).splitlines())
        return {
            row[0].rstrip(":"): int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()
        }

    def _levels(self, controller: str) -> list[tuple[str, ...]]:
        """The process's cgroup folders for one controller, v1 and v2, innermost first."""
        paths = {}
        for line in self._text("proc/self/cgroup").splitlines():
            fields = line.split(":", 2)
            for name in fields[1].split(",") if len(fields) > 2 else ():
                paths[name] = fields[2]
        levels: list[tuple[str, ...]] = []
        for mount, path in (
            ("sys/fs/cgroup/" + controller, paths.get(controller, "/")),
            ("sys/fs/cgroup", paths.get("", "/")),
        ):
            steps = [step for step in path.split("/") if step]
            if ".." in steps:  # our own cgroup lies outside of what is mounted here
                steps = []
            levels += [(mount, *steps[:depth]) for depth in range(len(steps), -1, -1)]
        return levels

    def vcpus(self) -> float:
        """CPUs that may be used: those of the affinity mask, less where a cgroup has a quota."""
        try:
            best = float(len(os.sched_getaffinity(0)))
        except (AttributeError, OSError):
            best = float(os.cpu_count() or 1)
        for level in self._levels("cpu"):
            fields = self._text(*level, "cpu.max").split()
            fields = fields or [
                self._text(*level, "cpu.cfs_quota_us").strip(),
                self._text(*level, "cpu.cfs_period_us").strip(),
            ]
            if len(fields) == 2 and all(field.isdigit() for field in fields) and int(fields[1]):
                best = min(best, int(fields[0]) / int(fields[1]) or best)
        return best

    def tree(self) -> tuple[float, int | None]:
        """CPU seconds used so far by the process and all below it, and their resident bytes.

        A child that was waited for is counted in its parent. Without /proc: what the process knows
        of itself and of its ended children, and no bytes.
        """
        parents: dict[int, int] = {}
        used: dict[int, tuple[int, int]] = {}
        try:
            names = os.listdir(os.path.join(self._root, "proc"))
        except OSError:
            names = []
        for name in names:
            if not name.isdigit():
                continue
            # The command's name stands in brackets and may itself hold brackets and spaces.
            fields = self._text("proc", name, "stat").rpartition(")")[2].split()
            if len(fields) > 21:
                parents[int(name)] = int(fields[1])
                used[int(name)] = (sum(int(field) for field in fields[11:15]), int(fields[21]))
        if self._pid not in used:
            times = os.times()
            return sum(times[:4]), None
        children: dict[int, list[int]] = {}
        for pid, parent in parents.items():
            children.setdefault(parent, []).append(pid)
        ticks = pages = 0
        waiting = [self._pid]
        while waiting:
            pid = waiting.pop()
            ticks += used[pid][0]
            pages += used[pid][1]
            waiting.extend(children.pop(pid, ()))
        return ticks / self._ticks, pages * self._page

    def find_limit(self) -> None:
        """Looks up which limit ends the job: of the tightest cgroup, else the machine's memory."""
        self._total = self._table("proc/meminfo").get("MemTotal", 0) * 1024 or None
        self._tightest = None
        for level in self._levels("memory"):
            for limit_file, usage_file in (
                ("memory.max", "memory.current"),
                ("memory.limit_in_bytes", "memory.usage_in_bytes"),
            ):
                limit = self._number(*level, limit_file)
                if limit and limit < (
                    self._tightest[0] if self._tightest else self._total or _NO_LIMIT
                ):
                    self._tightest = (limit, level, usage_file)

    def memory(self) -> tuple[int | None, int | None]:
        """Bytes in use that cannot be given back, and the limit.

        Cached file pages are left out: the kernel drops them before it kills.
        """
        if self._tightest is None:
            info = self._table("proc/meminfo")
            free = info.get("MemAvailable", info.get("MemFree"))
            used = None if free is None or self._total is None else self._total - free * 1024
            return used, self._total
        limit, level, usage_file = self._tightest
        usage = self._number(*level, usage_file)
        if usage is None:
            return self.tree()[1], limit
        stat = self._table(*level, "memory.stat")
        names = ("active_file", "inactive_file")
        cached = sum(stat.get("total_" + name, stat.get(name, 0)) for name in names)
        return max(0, usage - cached), limit

    def network(self) -> tuple[int, int] | None:
        """Bytes received and sent so far over every interface but loopback."""
        received = sent = 0
        seen = False
        for line in self._text("proc/self/net/dev").splitlines():
            name, colon, rest = line.partition(":")
            fields = rest.split()
            if colon and name.strip() != "lo" and len(fields) > 8:
                seen = True
                received += int(fields[0])
                sent += int(fields[8])
        return (received, sent) if seen else None


class _Gpus:
    """nvidia-smi, asked so seldom that asking stays cheap; silent where it is absent or failing."""

    def __init__(self) -> None:
        self._path = shutil.which("nvidia-smi")
        self._not_before = 0.0

    def read(self, now: float) -> list[dict[str, Any]] | None:
        if self._path is None or now < self._not_before:
            return None
        lines = self._ask("--query-gpu=utilization.gpu,memory.used,memory.total")
        self._not_before = now + (time.monotonic() - now) / _GPU_SHARE
        return [_gpu(line) for line in lines if line.count(",") == 2] or None

    def processes(self) -> list[dict[str, Any]] | None:
        """What holds memory on the devices; asked once for a stall, whatever it costs."""
        if self._path is None:
            return None
        lines = self._ask("--query-compute-apps=pid,process_name,used_memory")
        return [_gpu_process(line) for line in lines if line.count(",") >= 2][:16] or None

    def _ask(self, query: str) -> list[str]:
        try:
            answer = subprocess.run(  # noqa: S603  # the path is what the container's PATH names
                [self._path or "", query, "--format=csv,noheader,nounits"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=_GPU_TIMEOUT,
                check=True,
                close_fds=False,  # lets it be spawned without copying a large process's page tables
            ).stdout.decode("ascii", "replace")
        except (OSError, subprocess.SubprocessError):
            self._path = None
            return []
        return answer.splitlines()


def _gpu(line: str) -> dict[str, Any]:
    """One device from nvidia-smi's `utilization, MiB used, MiB in all`; `[N/A]` is left out."""
    scales = (("utilization", 0.01), ("memoryBytes", _MEBIBYTE), ("memoryLimitBytes", _MEBIBYTE))
    device: dict[str, Any] = {}
    for (name, scale), text in zip(scales, line.split(",")):
        if text.strip().isdigit():
            value = int(text) * scale
            device[name] = round(value, 2) if name == "utilization" else value
    return device


def _gpu_process(line: str) -> dict[str, Any]:
    """One process from nvidia-smi's `pid, name, MiB used`; `[N/A]` is left out."""
    pid, _, rest = line.partition(",")
    name, _, used = rest.rpartition(",")
    process: dict[str, Any] = {"name": os.path.basename(name.strip())[:40]}
    if pid.strip().isdigit():
        process["pid"] = int(pid)
    if used.strip().isdigit():
        process["memoryBytes"] = int(used) * _MEBIBYTE
    return process


# --- what the code is doing --------------------------------------------------------------------


class _Sections:
    """Which named parts of the work are open, and how long each was the innermost one."""

    def __init__(self) -> None:
        # Reentrant: a signal handler of the user's may open a section inside of one.
        self._lock = threading.RLock()
        self._open: list[tuple[object, str]] = []
        self._spent: dict[str | None, float] = {}
        self._since = time.monotonic()

    def _count(self) -> None:
        now = time.monotonic()
        name = self._open[-1][1] if self._open else None
        if name not in self._spent and len(self._spent) > 255:
            name = None  # names made from data must not grow without end
        self._spent[name] = self._spent.get(name, 0.0) + now - self._since
        self._since = now

    def enter(self, name: str) -> object:
        token = object()
        with self._lock:
            self._count()
            self._open.append((token, name))
        return token

    def leave(self, token: object) -> None:
        with self._lock:
            self._count()
            self._open = [pair for pair in self._open if pair[0] is not token]

    def take(self) -> str | None:
        """The section that had most of the time since the last call; None where none had."""
        with self._lock:
            self._count()
            spent, self._spent = self._spent, {}
        return max(spent, key=lambda name: spent[name]) if spent else None

    def after_fork(self) -> None:
        self._lock = threading.RLock()


class _Progress:
    """How far the work says it is: the last `progress(n, of)` of the process."""

    def __init__(self) -> None:
        self.done: float | None = None
        self.of: float | None = None
        self.at = 0.0

    def note(self, done: float, of: float | None) -> None:
        if done != self.done or of != self.of:
            self.at = time.monotonic()
        self.done, self.of = done, of

    def as_json(self) -> dict[str, float] | None:
        if self.done is None:
            return None
        return {"done": self.done} if self.of is None else {"done": self.done, "of": self.of}


class _Stack:
    """Samples which function of the user's own code the main thread is in."""

    def __init__(self) -> None:
        self._main = threading.main_thread().ident
        self._place: tuple[int, int] | None = None
        self._since = time.monotonic()
        self._seen: dict[tuple[str, str], dict[int, int]] = {}
        paths = sysconfig.get_paths()
        names = ("stdlib", "platstdlib", "purelib", "platlib")
        self._foreign = tuple({paths[name] + os.sep for name in names if paths.get(name)})
        # A training package is installed among the libraries; the one that runs is the user's.
        main_file = getattr(sys.modules.get("__main__"), "__file__", None) or ""
        home = os.path.dirname(os.path.abspath(main_file)) + os.sep
        self._home = home if "-packages" + os.sep in home[:-1] else None

    def _is_users(self, path: str) -> bool:
        if self._home is not None and path.startswith(self._home):
            return True
        return not (
            path.startswith((*self._foreign, "<frozen"))
            or path == _THIS_FILE
            or "-packages" + os.sep in path
        )

    def sample(self) -> None:
        # The frame is let go at once: holding it would keep the user's local variables alive.
        innermost = frame = sys._current_frames().get(self._main or 0)  # noqa: SLF001  # documented
        place = (id(frame.f_code), frame.f_lasti) if frame is not None else None
        if place != self._place:
            self._place, self._since = place, time.monotonic()
        while frame is not None and not self._is_users(frame.f_code.co_filename):
            frame = frame.f_back
        frame = frame or innermost
        if frame is not None and frame.f_code.co_filename != _THIS_FILE:
            lines = self._seen.setdefault((frame.f_code.co_filename, frame.f_code.co_name), {})
            line = frame.f_lineno or 0
            lines[line] = lines.get(line, 0) + 1
        del frame, innermost

    def stands_for(self) -> float:
        """Seconds that the main thread has been seen at one place of one function alone."""
        return time.monotonic() - self._since

    def take(self) -> str | None:
        """`preprocess.py:41 normalise`: the function seen most since the last call."""
        seen, self._seen = self._seen, {}
        if not seen:
            return None
        path, function = max(seen, key=lambda key: sum(seen[key].values()))
        lines = seen[path, function]
        line = max(lines, key=lambda number: lines[number])
        return "{}:{} {}".format(os.path.basename(path), line, function)


def _all_stacks() -> list[str]:
    """Each thread as `MainThread: innermost.py:41 f < caller.py:7 g`, the main one first, ours left out."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    main = threading.main_thread().ident
    own = threading.get_ident()
    told: list[str] = []
    size = 0
    frames = sys._current_frames()  # noqa: SLF001  # documented
    for ident in sorted(frames, key=lambda one: one != main):
        if ident == own or len(told) >= _MOST_THREADS:
            continue
        frame, places = frames[ident], []
        while frame is not None and len(places) < _MOST_FRAMES:
            name = os.path.basename(frame.f_code.co_filename)
            places.append("{}:{} {}".format(name, frame.f_lineno, frame.f_code.co_name))
            frame = frame.f_back
        text = "{}: {}".format(names.get(ident, "thread"), " < ".join(places))[:600]
        size += len(text) + 4
        if size > _STACKS_BYTES:
            break
        told.append(text)
    del frames, frame
    return told


# --- writing -----------------------------------------------------------------------------------


class _Stdout:
    """File descriptor 1 as it was at the start; a line goes out in one write, or not at all."""

    def __init__(self) -> None:
        self._identity = self._now()

    @staticmethod
    def _now() -> tuple[int, int] | None:
        try:
            stat = os.fstat(1)
        except OSError:
            return None
        return stat.st_dev, stat.st_ino

    def write(self, line: dict[str, Any]) -> None:
        # A job may close its stdout and open a file that gets number 1: that file is not ours.
        if self._identity is None or self._now() != self._identity:
            return
        for sacrifice in ("", "gpuProcesses", "stack", "gpus", "stacks", "section"):
            line.pop(sacrifice, None)
            data = (json.dumps(line) + "\n").encode("ascii")
            if len(data) <= _LONGEST_LINE:
                break
        if sys.__stdout__ is not None:  # what the job has printed so far comes first, whole
            with contextlib.suppress(Exception):
                sys.__stdout__.flush()
        os.write(1, data)


class _Turn:
    """Whose turn it is to write where a wrapper and the wrapped process both could: a file lock.

    The wrapped process takes the lock for good (it also knows sections and stack); the wrapper
    writes while it can have the lock, so also when the wrapped process was killed. POSIX record
    locks are not inherited by forked workers and end with their process.
    """

    def __init__(self, path: str | None, keep: bool) -> None:
        self._keep = keep
        self._file: int | None = os.open(path, os.O_RDWR | os.O_CLOEXEC) if path else None

    def is_ours(self) -> bool:
        if self._file is None or fcntl is None:
            return True
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        if not self._keep:
            fcntl.lockf(self._file, fcntl.LOCK_UN)
        return True

    def written(self) -> None:
        if self._file is not None and self._keep:
            os.utime(self._file)

    def seconds_since_other_wrote(self) -> float:
        if self._file is None or self._keep:
            return float("inf")
        return time.time() - os.fstat(self._file).st_mtime

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


# --- the watcher -------------------------------------------------------------------------------


class _Watcher:
    """Takes readings in a thread of its own and writes a line per period, and one at the end."""

    def __init__(self, machine: _Machine, turn: _Turn, stack: _Stack | None) -> None:
        self._machine = machine
        self._turn = turn
        self._stack = stack
        self._period = _period()
        self._pause = max(_SHORTEST_SAMPLE, self._period / _SAMPLES_PER_LINE)
        self._random = random.Random()  # noqa: S311  # jitter; the job's own seed stays untouched
        self._stdout = _Stdout()
        self._gpus = _Gpus()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._ending = self._by_force = False
        self._alarmed = False
        self._stalled = False
        self._stall_seconds = _stall_seconds()
        self._peak: int | None = None
        self._limit: int | None = None
        self._then = time.monotonic()
        self._cpu = machine.tree()[0]
        self._net = machine.network()
        self._next_look = self._then + self._pause  # kept while parked: who forks often is seen too
        self._next_line = self._then + self._period

    def begin(self) -> None:
        # An event for each thread: one that was too busy to be parked still ends by its own.
        self._wake = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._wake,), name="vertex-telemetry", daemon=True
        )
        self._thread.start()

    def park(self, seconds: float) -> None:
        """Lets the thread end, waiting so long at most; `begin` goes on where it was."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._wake.set()
            thread.join(seconds)

    def end(self, *, by_force: bool = False) -> None:
        """The last line; written by the thread, which has the signals blocked.

        Where the wrapped process has just told its own end, a wrapper adds nothing; one that was
        killed (`by_force`) could not.
        """
        self._ending = True
        self._by_force = by_force
        self.park(2.0)
        self._turn.release()

    def _run(self, wake: threading.Event) -> None:
        with contextlib.suppress(Exception):  # protects the job: our fault is silence
            # The job's signals belong to its own threads, and a closed pipe must not kill it.
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            while not wake.wait(max(0.0, self._next_look - time.monotonic())):
                self._look()
                pause = self._pause * self._random.uniform(0.5, 1.5)  # in step with no loop
                self._next_look = time.monotonic() + pause
            if self._ending:
                if self._stack is not None:  # a wrapper's command is gone, and its memory with it
                    self._weigh()
                self._tell(last=True)

    def _look(self) -> None:
        if self._stack is not None:
            self._stack.sample()
        alarm = self._weigh()
        stalls = self._is_stalled()
        is_new = stalls and not self._stalled
        self._stalled = stalls
        now = time.monotonic()
        is_due = now >= self._next_line
        if is_due:
            self._next_line = max(self._next_line + self._period, now)
        if is_due or alarm or is_new:
            self._tell(last=False, stalls=is_new)

    def _is_stalled(self) -> bool:
        """Whether the main thread has stood at one place, and no progress was told, for so long."""
        if self._stack is None or self._stack.stands_for() < self._stall_seconds:
            return False
        return time.monotonic() - _progress.at >= self._stall_seconds

    def _weigh(self) -> bool:
        """Notes the memory in use; whether it has come close to the limit since it was calm."""
        usage, limit = self._machine.memory()
        self._limit = limit
        if usage is not None:
            self._peak = max(usage, self._peak or 0)
        share = usage / limit if usage is not None and limit else 0.0
        alarm = share > _ALARM_SHARE and not self._alarmed
        self._alarmed = share > (_CALM_SHARE if self._alarmed else _ALARM_SHARE)
        return alarm

    def _tell(self, last: bool, *, stalls: bool = False) -> None:
        before = time.monotonic()
        cpu = self._machine.tree()[0]
        now = (before + time.monotonic()) / 2  # beside a busy main thread, looking takes a while
        elapsed = now - self._then
        net = self._machine.network()
        line: dict[str, Any] = {"remediatorTelemetry": 1, "time": _utc_now()}
        if elapsed >= _SHORTEST_RATE:
            share = (cpu - self._cpu) / elapsed / self._machine.vcpus()
            line["cpu"] = round(min(1.0, max(0.0, share)), 4)
        if self._peak is not None:
            line["memoryBytes"] = self._peak
        if self._limit is not None:
            line["memoryLimitBytes"] = self._limit
        # At the end the devices are idle again: that would be a false reading, and costs time.
        gpus = None if last else self._gpus.read(now)
        if gpus:
            line["gpus"] = gpus
        if net and self._net and elapsed >= _SHORTEST_RATE:
            line["receivedBytesPerSecond"] = max(0, round((net[0] - self._net[0]) / elapsed))
            line["sentBytesPerSecond"] = max(0, round((net[1] - self._net[1]) / elapsed))
        line.update(self._of_the_code(stalls))
        self._then, self._cpu, self._net, self._peak = now, cpu, net, None
        self._machine.find_limit()
        was_told = self._turn.seconds_since_other_wrote() < min(1.0, self._period)
        if self._turn.is_ours() and not (last and was_told and not self._by_force):
            self._stdout.write(line)
            self._turn.written()

    def _of_the_code(self, stalls: bool) -> dict[str, Any]:
        """What only the inside knows; at a standstill the stacks of all threads too."""
        found: dict[str, Any] = {}
        section_name = _sections.take()
        if section_name:
            found["section"] = section_name
        stack = self._stack.take() if self._stack else None
        if stack:
            found["stack"] = stack[:200]
        done = _progress.as_json()
        if done:
            found["progress"] = done
        if stalls:
            found["stacks"] = _all_stacks()
            processes = self._gpus.processes()
            if processes:
                found["gpuProcesses"] = processes
        return found


def _utc_now() -> str:
    now = dt.datetime.now(dt.timezone.utc)
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _period() -> float:
    try:
        seconds = float(os.environ.get("VERTEX_TELEMETRY_SECONDS", ""))
    except ValueError:
        return _DEFAULT_SECONDS
    is_sane = _SHORTEST_PERIOD <= seconds < _LONGEST_PERIOD  # false for "nan"
    return seconds if is_sane else _DEFAULT_SECONDS


def _stall_seconds() -> float:
    try:
        seconds = float(os.environ.get("VERTEX_TELEMETRY_STALL_SECONDS", ""))
    except ValueError:
        return _STALL_SECONDS
    is_sane = _SHORTEST_PERIOD <= seconds < _LONGEST_PERIOD  # false for "nan"
    return seconds if is_sane else _STALL_SECONDS


def _is_off() -> bool:
    return os.environ.get("VERTEX_TELEMETRY", "").lower() in ("off", "0", "false", "no")


# --- by import ---------------------------------------------------------------------------------

_sections = _Sections()
_progress = _Progress()
_lock = threading.RLock()
_watcher: _Watcher | None = None
_is_settled = False  # watching, refused, or a forked worker of a watched process


def start() -> None:
    """Watches this process and all below it; a second call does nothing. Raises nothing.

    Of several ranks on one machine (torchrun, mpirun) the first watches them all. In a worker of
    multiprocessing, or forked from a watched process, it does nothing: the parent sees it.
    """
    global _watcher, _is_settled  # noqa: PLW0603  # one for a process
    with contextlib.suppress(Exception), _lock:  # protects the job: our fault is silence
        if _is_settled:
            return
        _is_settled = True
        rank = next((os.environ[name] for name in _LOCAL_RANKS if name in os.environ), None)
        if _is_off() or rank not in (None, "0") or _is_spawned_worker():
            return
        pid, _, path = os.environ.get(_WRAPPER, "").partition(":")
        top = os.getpid() if rank is None or os.getppid() <= 1 else os.getppid()
        machine = _Machine(_root(), int(pid) if pid.isdigit() else top)
        _watcher = _Watcher(machine, _Turn(path or None, keep=True), _Stack())
        atexit.register(stop)
        os.register_at_fork(
            before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_forked_worker
        )
        _watcher.begin()


def _is_spawned_worker() -> bool:
    """Of multiprocessing, which runs the main module again in each: the parent sees them."""
    module = sys.modules.get("multiprocessing.process")
    if module is None:
        return False
    # While the main module runs again, the worker does not know its parent yet.
    is_starting = getattr(module.current_process(), "_inheriting", False)
    return is_starting or module.parent_process() is not None


def stop() -> None:
    """Writes the last line and watches no more; called by itself when the process ends."""
    global _watcher  # one for a process
    with contextlib.suppress(Exception), _lock:  # protects the job: our fault is silence
        watcher, _watcher = _watcher, None
        if watcher is not None:
            watcher.end()


def progress(done: float, of: float | None = None) -> None:
    """Says how far the work is: `done` (steps, rows) of `of`, where that is known. Raises nothing.

    Watching begins with the first call. What does not count up (NaN, text) is not said.
    """
    with contextlib.suppress(Exception):  # protects the job: our fault is silence
        start()
        count = float(done)
        whole = None if of is None else float(of)
        if count >= 0 and count < float("inf") and (whole is None or 0 < whole < float("inf")):
            _progress.note(count, whole)


class section:  # noqa: N801  # read as a statement: `with section("preprocess"):`
    """Names a part of the work, as `with section("preprocess"):` or as a decorator.

    Watching begins with the first one. For parts of seconds and more: entering and leaving costs
    some microseconds. Raises nothing of its own and swallows nothing.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._tokens: list[object] = []

    def __enter__(self) -> section:  # noqa: PYI034  # Self is younger than Python 3.8
        with contextlib.suppress(Exception):  # protects the job: our fault is silence
            start()
            self._tokens.append(_sections.enter(str(self._name)[:100]))
        return self

    def __exit__(self, *_exception: object) -> None:
        with contextlib.suppress(Exception):  # protects the job: our fault is silence
            if self._tokens:
                _sections.leave(self._tokens.pop())

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def named(*args: Any, **kwargs: Any) -> Any:
            with section(self._name):
                return function(*args, **kwargs)

        return named


def _root() -> str:
    return os.environ.get("VERTEX_TELEMETRY_ROOT", "/")


def _before_fork() -> None:
    # No thread of ours lives while the process forks: none can hold a lock that the worker then
    # waits for, and Python 3.12 and later has no thread of ours to warn of.
    with contextlib.suppress(Exception):  # protects the job: our fault is silence
        if _watcher is not None:
            _watcher.park(0.2)


def _after_fork() -> None:
    with contextlib.suppress(Exception):  # protects the job: our fault is silence
        if _watcher is not None:
            _watcher.begin()


def _in_forked_worker() -> None:
    global _watcher, _lock  # noqa: PLW0603  # one for a process
    _watcher = None
    _lock = threading.RLock()
    _sections.after_fork()


# --- around a command --------------------------------------------------------------------------

_USAGE = "usage: python -m vertex_telemetry -- COMMAND [ARGUMENT ...]\n"


def main(arguments: list[str]) -> int:
    """Runs the command, passing signals to it, and ends as it ends: its code, or its signal.

    127: there is no such command, 126: it cannot be run, 2: none was named.
    """
    if arguments in (["-h"], ["--help"]):
        sys.stdout.write(_USAGE)
        return 0
    command = arguments[1:] if arguments[:1] == ["--"] else arguments
    if not command:
        sys.stderr.write(_USAGE)
        return 2
    if _is_off() or _WRAPPER in os.environ:  # switched off, or watched already
        try:
            for name in ("PIPE", "XFSZ"):  # Python ignores these; a command expects that it dies
                signal.signal(getattr(signal, "SIG" + name), signal.SIG_DFL)
            os.execvp(command[0], command)  # noqa: S606  # running the given command is its purpose
        except OSError as error:
            return _cannot_run(command[0], error)
    try:
        with _turn_file() as path:
            status = _run_watched(command, path)
    except OSError as error:
        return _cannot_run(command[0], error)
    return _ended_like(status)


def _cannot_run(name: str, error: OSError) -> int:
    sys.stderr.write("vertex_telemetry: cannot run {}: {}\n".format(name, error.strerror))
    return 127 if isinstance(error, FileNotFoundError) else 126


@contextlib.contextmanager
def _turn_file() -> Iterator[str | None]:
    """An empty file that wrapper and wrapped lock in turn; None where no file can be made."""
    try:
        file, path = tempfile.mkstemp(prefix="vertex-telemetry-")
        os.utime(path, (0, 0))
        os.close(file)
    except OSError:
        yield None
        return
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _run_watched(command: list[str], turn_path: str | None) -> int:
    """The wait status of the command; OSError where it cannot be run."""
    child: list[int] = []
    early: list[int] = []

    def forward(signum: int, _frame: object) -> None:
        if not child:
            early.append(signum)
        elif child[0]:
            with contextlib.suppress(OSError):
                os.kill(child[0], signum)

    for name in _FORWARDED:
        signum = getattr(signal, "SIG" + name, None)
        # A signal that is ignored (as by nohup) stays so, here and in the command.
        if signum is not None and signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, forward)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would hide how the command ended
    environment = dict(os.environ)
    if turn_path is not None:
        environment[_WRAPPER] = "{}:{}".format(os.getpid(), turn_path)
    watcher = _watch_below(turn_path)
    process = subprocess.Popen(command, env=environment, close_fds=False)  # noqa: S603  # as told
    child.append(process.pid)
    for signum in early:
        forward(signum, None)
    if watcher is not None:
        _quietly(watcher.begin)
    status = _wait_for(process.pid)
    child[0] = 0
    if watcher is not None:
        _quietly(lambda: watcher.end(by_force=os.WIFSIGNALED(status)))
    process.returncode = 0  # it was waited for; Popen need not complain
    return status


def _watch_below(turn_path: str | None) -> _Watcher | None:
    try:
        return _Watcher(_Machine(_root(), os.getpid()), _Turn(turn_path, keep=False), None)
    except Exception:  # noqa: BLE001  # protects the job: it runs unwatched
        return None


def _quietly(act: Callable[[], None]) -> None:
    with contextlib.suppress(Exception):  # protects the job: our fault is silence
        act()


def _wait_for(wanted: int) -> int:
    """The wait status of the command; as a container's process 1, orphans are reaped meanwhile."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == wanted:
            return status


def _ended_like(status: int) -> int:
    if not os.WIFSIGNALED(status):
        return os.WEXITSTATUS(status)
    signum = os.WTERMSIG(status)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # one core file, the command's, is enough
        if signum not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)
    return 128 + signum  # process 1 of a container cannot kill itself


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
