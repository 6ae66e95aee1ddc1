"""Runs the programs and writes down what could be seen of each: `recorded/NAME.json`.

A second of the program is a minute of the recording. Cores are what the processes asked for (time on a CPU
plus time in the run queue, /proc/PID/task/*/schedstat), so that a busy machine does not make work look idle;
memory is resident bytes. Network is not recorded: all processes share the loopback. Needs Linux, psutil and
torch; run by hand, once.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve().parent
SIDE_BY_SIDE = 4


def _asked_seconds(process: psutil.Process) -> tuple[dict[tuple[int, int], float], int]:
    """CPU seconds that each thread of the tree ran or waited to run, and resident bytes of all."""
    found: dict[tuple[int, int], float] = {}
    resident = 0
    for one in (process, *process.children(recursive=True)):
        try:
            resident += one.memory_info().rss
            for task in Path(f"/proc/{one.pid}/task").iterdir():
                ran, waited, _ = (task / "schedstat").read_text().split()
                found[one.pid, int(task.name)] = (int(ran) + int(waited)) / 1e9
        except (psutil.Error, OSError, ValueError):
            continue
    return found, resident


def record(name: str) -> dict[str, Any]:
    """Runs one program for its whole time; it is ended then if it has not ended by itself."""
    from bench.running.programs import STILL, WHOLE, WORK

    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        child = subprocess.Popen(
            [sys.executable, "-u", str(HERE / "programs.py"), name, folder],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        said: queue.Queue[tuple[float, str]] = queue.Queue()

        def read() -> None:
            for line in child.stdout or ():
                said.put((time.monotonic() - began, line.rstrip("\n")))

        threading.Thread(target=read, daemon=True).start()
        process = psutil.Process(child.pid)
        cores: list[float] = []
        busiest: list[float] = []
        memory: list[int] = []
        before, at = _asked_seconds(process)[0], began
        while child.poll() is None and time.monotonic() - began < WHOLE:
            time.sleep(max(0.05, began + len(cores) + 1 - time.monotonic()))
            now, resident = _asked_seconds(process)
            asked: dict[int, float] = defaultdict(float)
            for key, value in now.items():
                asked[key[0]] += max(0.0, value - before.get(key, 0.0))
            moment = time.monotonic()
            cores.append(round(sum(asked.values()) / (moment - at), 3))
            busiest.append(round(max(asked.values(), default=0.0) / (moment - at), 3))
            memory.append(resident)
            before, at = now, moment
        ended = time.monotonic() - began if child.poll() is not None else None
        for one in (*process.children(recursive=True), process) if ended is None else ():
            one.kill()
        lines = [said.get() for _ in range(said.qsize())]
        files = [
            {"name": path.name, "second": round(path.stat().st_mtime - (time.time() - (time.monotonic() - began)), 1)}
            for path in Path(folder).iterdir()
        ]  # fmt: skip
    return {
        "program": name,
        "stands_still": name in STILL,
        "worked_seconds": WORK if name in STILL else None,
        "ended": None if ended is None else round(ended, 1),
        "cores": cores,
        "busiest_process_cores": busiest,
        "memory_bytes": memory,
        "lines": [[round(second, 2), text] for second, text in lines],
        "files": files,
        "versions": {"python": sys.version.split()[0], "torch": _torch()},
    }


def _torch() -> str:
    import torch

    return str(torch.__version__)


def main() -> None:
    sys.path.insert(0, str(HERE.parents[1]))
    from bench.running.programs import SLOW, STILL

    names = sys.argv[1:] or [*STILL, *SLOW]

    def one(name: str) -> None:
        found = record(name)
        (HERE / "recorded" / f"{name}.json").write_text(json.dumps(found) + "\n")
        print(
            name,
            found["ended"],
            len(found["lines"]),
            [round(c, 2) for c in found["cores"][-5:]],
            flush=True,
        )

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        list(pool.map(one, names))


if __name__ == "__main__":
    main()
