"""Small real programs, half of which come to stand still by a bug of their own: `record.py` runs and records them.

`python programs.py NAME FOLDER`. Each works for about `WORK` seconds and then stands still for good, or works
slowly to the end; a second stands for a minute of a job. Needs torch for those that say so.
"""

from __future__ import annotations

import asyncio
import fcntl
import gzip
import http.client
import http.server
import multiprocessing
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Queue

WORK = 60.0
WHOLE = 150.0
FOLDER = Path(sys.argv[2] if len(sys.argv) > 2 else tempfile.gettempdir())
Program = Callable[[], None]
STILL: dict[str, Program] = {}
SLOW: dict[str, Program] = {}
BEGAN = time.monotonic()


def still(program: Program) -> Program:
    STILL[program.__name__] = program
    return program


def slow(program: Program) -> Program:
    SLOW[program.__name__] = program
    return program


def say(text: str) -> None:
    print(text, flush=True)


def burn(seconds: float) -> float:
    """Work on one core; answers something that depends on it."""
    until, value = time.monotonic() + seconds, 0.5
    while time.monotonic() < until:
        for _ in range(2000):
            value = value * 3.9 * (1.0 - value)
    return value


def working(
    seconds: float = WORK, each: float = 1.0, line: str = "step {n} loss {loss:.4f}"
) -> int:
    """Steps with a line each, for so long; the number of the last one."""
    number = 0
    while time.monotonic() - BEGAN < seconds:
        burn(each)
        number += 1
        say(line.format(n=number, loss=5.0 / number + random.uniform(0, 0.05)))
    return number


def forever() -> None:
    threading.Event().wait()


# --- that come to stand still -----------------------------------------------------------------------


def _gloo(rank: int, port: int, world: int, uneven: str) -> None:
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world
    )
    weight = torch.zeros(2000, 200)
    number = 0
    while True:
        number += 1
        burn(0.5 if uneven != "straggler" or rank else 4.0)
        if (
            time.monotonic() - BEGAN > WORK
            and rank == world - 1
            and uneven in {"barrier", "all_reduce"}
        ):
            if uneven == "barrier":
                forever()  # it waits for data that does not come
            dist.barrier()  # its share of the data is at an end, and it leaves the loop
        if uneven == "barrier":
            dist.barrier()
        else:
            dist.all_reduce(weight)
        if rank == 0:
            say(f"step {number} loss {3.0 / number:.4f}")
        if time.monotonic() - BEGAN > WHOLE:
            return


def _spawn(uneven: str, world: int = 3) -> None:
    import torch.multiprocessing as spawned

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawned.spawn(_gloo, args=(port, world, uneven), nprocs=world)


@still
def gloo_barrier() -> None:
    _spawn("barrier")


@still
def gloo_all_reduce() -> None:
    _spawn("all_reduce")


@still
def store_key_that_never_comes() -> None:
    from datetime import timedelta

    import torch.distributed as dist

    store = dist.TCPStore("127.0.0.1", 0, 1, is_master=True, timeout=timedelta(hours=2))
    working()
    say("waiting for the other workers")
    store.wait(["worker-1/ready"])


def _task(number: int) -> float:
    value = burn(1.0)
    if number == int(WORK):
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when memory is short
    return value


@still
def killed_pool_worker() -> None:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        for number, value in enumerate(pool.imap(_task, range(int(WORK) + 3))):
            say(f"row {number} value {value:.5f}")


def _produce(queue: multiprocessing.Queue[float]) -> None:
    for _ in range(int(WORK)):
        queue.put(burn(1.0))


@still
def dead_producer() -> None:
    queue: multiprocessing.Queue[float] = multiprocessing.Queue()
    child = multiprocessing.Process(target=_produce, args=(queue,), daemon=True)
    child.start()
    number = 0
    while True:
        value = queue.get()
        number += 1
        say(f"batch {number} mean {value:.5f}")


@still
def loader_deadlock() -> None:
    import torch
    from torch.utils.data import DataLoader, Dataset

    lock = threading.Lock()

    class Images(Dataset[torch.Tensor]):
        def __len__(self) -> int:
            return 10_000

        def __getitem__(self, index: int) -> torch.Tensor:
            if time.monotonic() - BEGAN > WORK:
                with lock:  # held by a thread of the parent when this worker was forked
                    pass
            burn(0.05)
            return torch.full((8, 8), float(index))

    held = threading.Thread(target=lambda: (lock.acquire(), forever()), daemon=True)
    held.start()
    time.sleep(0.2)
    loader = DataLoader(Images(), batch_size=8, num_workers=2, multiprocessing_context="fork")
    for number, batch in enumerate(loader):
        say(f"step {number} mean {batch.mean().item():.3f}")


@still
def full_queue() -> None:
    queue: Queue[int] = Queue(maxsize=4)

    def consume() -> None:
        while time.monotonic() - BEGAN < WORK:
            queue.get()
            burn(0.5)

    threading.Thread(target=consume, daemon=True).start()
    for number in range(100_000):
        queue.put(number)
        say(f"queued shard {number}")


def _server(answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> int:
    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_address[1])


def _get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", path)
    return connection.getresponse().read()


def _answer(one: http.server.BaseHTTPRequestHandler, body: bytes = b"ok") -> None:
    one.send_response(200)
    one.send_header("Content-Length", str(len(body)))
    one.end_headers()
    one.wfile.write(body)


@still
def server_does_not_answer() -> None:
    port = _server(lambda one: _answer(one) if time.monotonic() - BEGAN < WORK else forever())
    for number in range(100_000):
        burn(0.6)
        _get(port, f"/features/{number}")
        say(f"row {number} scored")


@still
def download_that_stops() -> None:
    def half(one: http.server.BaseHTTPRequestHandler) -> None:
        body = os.urandom(200_000)
        one.send_response(200)
        one.send_header("Content-Length", str(len(body)))
        one.end_headers()
        one.wfile.write(body[:90_000])
        if time.monotonic() - BEGAN > WORK:
            forever()
        one.wfile.write(body[90_000:])

    port = _server(half)
    for number in range(100_000):
        data = _get(port, f"/shard/{number}")
        burn(0.8)
        say(f"shard {number}: {len(data)} bytes, checksum {sum(data[:1000])}")


def _hold(path: str, ready: multiprocessing.synchronize.Event) -> None:
    with Path(path).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        ready.set()
        forever()


@still
def lock_of_another_process() -> None:
    working()
    ready = multiprocessing.Event()
    path = str(FOLDER / "cache.lock")
    multiprocessing.Process(target=_hold, args=(path, ready), daemon=True).start()
    ready.wait()
    with Path(path).open("w") as file:
        say("writing the cache")
        fcntl.flock(file, fcntl.LOCK_EX)


@still
def child_with_a_full_pipe() -> None:
    working()
    say("running the aligner")
    code = "import sys; sys.stdout.write('x' * 1_000_000)"
    subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE).wait()


@still
def two_locks_in_two_orders() -> None:
    first, second = threading.Lock(), threading.Lock()
    working()

    def other() -> None:
        with second:
            time.sleep(0.5)
            with first:
                pass

    threading.Thread(target=other, daemon=True).start()
    with first:
        time.sleep(0.5)
        with second:
            say("never said")


@still
def thread_that_keeps_the_process() -> None:
    threading.Thread(target=forever).start()
    working()
    (FOLDER / "model.bin").write_bytes(b"0" * 1000)
    say("training complete")


@still
def wedged_under_a_heartbeat() -> None:
    def beat() -> None:
        for number in range(10_000):
            say(f"heartbeat {number}: worker is alive")
            time.sleep(5)

    threading.Thread(target=beat, daemon=True).start()
    working()
    forever()


@still
def wedged_under_a_monitor() -> None:
    def look() -> None:
        while True:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            load = Path("/proc/loadavg").read_text().split()[0]
            say(f"[monitor] rss={pages * 4 / 1024 + random.uniform(0, 3):.1f}MB load={load}")
            time.sleep(2)

    threading.Thread(target=look, daemon=True).start()
    working()
    forever()


@still
def semaphore_never_released() -> None:
    async def run() -> None:
        slots = asyncio.Semaphore(3)
        number = 0
        while True:
            await slots.acquire()
            number += 1
            burn(1.0)
            say(f"page {number} parsed")
            if time.monotonic() - BEGAN < WORK:
                slots.release()  # an error path forgets it afterwards

    asyncio.run(run())


@still
def database_is_locked() -> None:
    path = FOLDER / "runs.sqlite"
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute("CREATE TABLE runs (n INTEGER)")
    writer = sqlite3.connect(path, timeout=7200, isolation_level=None)
    for number in range(100_000):
        if time.monotonic() - BEGAN > WORK and not holder.in_transaction:
            holder.execute("BEGIN EXCLUSIVE")
        writer.execute("INSERT INTO runs VALUES (?)", (number,))
        burn(0.8)
        say(f"run {number} stored")


# --- that are only slow --------------------------------------------------------------------------------


@slow
def slow_loader() -> None:
    for number in range(15):
        time.sleep(9)
        burn(1.0)
        say(f"step {number} loss {3.0 / (number + 1):.4f}")


@slow
def silent_evaluation() -> None:
    working(40)
    say("evaluating")
    burn(60)
    working(WHOLE)


@slow
def silent_matrix_work() -> None:
    import torch

    torch.set_num_threads(1)
    held = torch.rand(400, 400)
    say("fitting")
    while time.monotonic() - BEGAN < WHOLE:
        held = (held @ held).clamp(0, 1)


@slow
def compiles_for_long() -> None:
    working(30)
    source = "\n".join(
        f"def f{n}(a):\n    return [a * {n} + b for b in range({n})]" for n in range(4000)
    )
    say("compiling")
    until = time.monotonic() + 50
    while time.monotonic() < until:
        compile(source, "generated", "exec")
    working(WHOLE)


@slow
def saves_slowly() -> None:
    for number in range(5):
        working((number + 1) * 28 - 12)
        say(f"saving checkpoint {number}")
        with (FOLDER / f"ckpt-{number}").open("wb") as file:
            for _ in range(10):
                file.write(os.urandom(200_000))
                file.flush()
                os.fsync(file.fileno())
                time.sleep(1.0)
        say(f"saved checkpoint {number}")


@slow
def encodes_a_data_set() -> None:
    words = [f"word{n}" for n in range(5000)]
    for percent in range(100):
        table: dict[str, int] = {}
        until = time.monotonic() + 1.2
        while time.monotonic() < until:
            for word in words:
                table[word] = table.get(word, 0) + 1
        say(f"Map: {percent:3d}%|{'#' * (percent // 10):10s}| {percent * 50}/5000")
    working(WHOLE)


@slow
def slow_remote_rows() -> None:
    """Nothing to do here but wait: a row each few seconds from a service that is slow."""
    port = _server(lambda one: (time.sleep(6), _answer(one))[0])
    for number in range(24):
        _get(port, f"/rows/{number}")
        say(f"row {number} of 24 scored")


@slow
def backs_off() -> None:
    for number in range(6):
        working(number * 25 + 5)
        for attempt in range(3):
            wait = 2.0 * 2**attempt
            say(f"429 from the service, retry {attempt + 1} in {wait:.0f} s")
            time.sleep(wait)
        say(f"request {number} answered")


@slow
def waits_for_another_job() -> None:
    working(30)
    for share in range(0, 100, 5):
        say(f"export job: {share}% done")
        time.sleep(5)
    working(WHOLE)


@slow
def throttled_download() -> None:
    def drip(one: http.server.BaseHTTPRequestHandler) -> None:
        one.send_response(200)
        one.send_header("Content-Length", str(140 * 8192))
        one.end_headers()
        for _ in range(140):
            one.wfile.write(b"0" * 8192)
            time.sleep(1.0)

    port = _server(drip)
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/reads.fastq")
    answer, got = connection.getresponse(), 0
    while chunk := answer.read(8 * 8192):
        got += len(chunk)
        say(f"{got} of {140 * 8192} bytes")


@slow
def one_slow_worker() -> None:
    _spawn("straggler", world=2)


@slow
def long_tasks_in_a_pool() -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for number, _ in enumerate(pool.imap(burn, [45.0] * 8)):
            say(f"chromosome {number} done")


@slow
def compresses_silently() -> None:
    data = os.urandom(100_000) + b"ACGT" * 200_000
    say("compressing")
    while time.monotonic() - BEGAN < WHOLE:
        gzip.compress(data, 9)


@slow
def works_now_and_then() -> None:
    for number in range(6):
        burn(4)
        say(f"window {number} aggregated")
        time.sleep(20)


@slow
def works_under_a_heartbeat() -> None:
    def beat() -> None:
        for number in range(10_000):
            say(f"heartbeat {number}: worker is alive")
            time.sleep(5)

    threading.Thread(target=beat, daemon=True).start()
    while time.monotonic() - BEGAN < WHOLE:
        burn(14)
        say(f"fold loss {random.uniform(0.1, 0.2):.4f}")


@slow
def sorts_on_disk() -> None:
    path = FOLDER / "reads.txt"
    say("sorting")
    while time.monotonic() - BEGAN < WHOLE:
        path.write_text("\n".join(str(random.random()) for _ in range(200_000)))
        subprocess.run(["sort", "-S", "4M", "-o", str(path), str(path)], check=True)


if __name__ == "__main__":
    {**STILL, **SLOW}[sys.argv[1]]()
