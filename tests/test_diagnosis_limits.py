"""What a message about memory says that it wanted, and whose limit it met."""

from __future__ import annotations

import pytest

from remediator.case import Case
from remediator.diagnosis import diagnose
from remediator.domain import Cause, Needs

GIB, MIB = 1 << 30, 1 << 20


def read(line: str, *, args: list[str] | None = None) -> tuple[Cause, Needs]:
    container = {"imageUri": "us-docker.pkg.dev/p/r/train:1", "args": args or []}
    machine = {"machineSpec": {"machineType": "n1-standard-8"}, "containerSpec": container}
    found = diagnose(
        Case.parse(
            {
                "job": {
                    "name": "projects/1/locations/us-central1/customJobs/7",
                    "state": "JOB_STATE_FAILED",
                    "jobSpec": {"workerPoolSpecs": [machine]},
                    "error": {
                        "code": 3,
                        "message": "The replica workerpool0-0 exited with a non-zero status of 1.",
                    },
                },
                "logEntries": [
                    {
                        "timestamp": "2026-11-23T10:00:00Z",
                        "insertId": "a1",
                        "severity": "ERROR",
                        "textPayload": line,
                    }
                ],
            }
        )
    )
    return found.verdict, found.needs


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("numpy.exceptions._ArrayMemoryError: Unable to allocate 7.28 TiB for an array with shape (1000000, 1000000)", 7.28 * (1 << 40)),
        ("numpy.exceptions._ArrayMemoryError: Unable to allocate 300. GiB for an array with shape (200000, 201000)", 300 * GIB),
        ("RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000000000 bytes. Error code 12", 4e12),
        ("Error: cannot allocate vector of size 74.5 Gb", 74.5 * GIB),
        ("pyarrow.lib.ArrowMemoryError: malloc of size 32059200 failed", 32059200),
        ("memory allocation of 68719476736 bytes failed", 64 * GIB),
        ("ERROR: out of memory DETAIL: Failed on request of size 1073741824 in memory context", GIB),
    ],
)  # fmt: skip
def test_the_size_that_a_message_wanted(line: str, wanted: float) -> None:
    verdict, needs = read(line)
    assert verdict is Cause.MEMORY_PRESSURE
    assert needs.wanted is not None
    assert needs.wanted.bytes == pytest.approx(wanted, rel=0.001)
    assert not needs.wanted.device


def test_what_a_device_wanted_is_told_apart() -> None:
    verdict, needs = read(
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a "
        "total capacity of 14.75 GiB"
    )
    assert verdict is Cause.GPU_MEMORY
    assert needs.wanted is not None
    assert (needs.wanted.bytes, needs.wanted.device) == (20 * GIB, True)


DASK = (
    "distributed.worker.memory - WARNING - Worker is at 96% memory usage. Process memory: 3.84 GiB -- Worker memory limit: 4.00 GiB\n"
    "distributed.nanny.memory - WARNING - Worker tcp://10.0.0.2:1 (pid=7) exceeded 95% memory budget. Restarting...\n"
    "distributed.scheduler.KilledWorker: Attempted to run task 'sum' on 4 different workers, but all those workers died while running it."
)


@pytest.mark.parametrize(
    ("line", "args", "name", "size", "fixed"),
    [
        ("java.lang.OutOfMemoryError: Java heap space", ["java -Xmx512m -jar app.jar"], "heap", 512 * MIB, True),
        ("java.lang.OutOfMemoryError: Java heap space", [], "heap", None, False),
        ("FATAL ERROR: Ineffective mark-compacts near heap limit Allocation failed - JavaScript heap out of memory", ["node --max-old-space-size=64 a.js"], "Node.js", 64 * MIB, True),
        ("duckdb.OutOfMemoryException: Out of Memory Error: could not allocate block of size 256.0 KiB (95.3 MiB/95.3 MiB used)", [], "duckdb", 95.3 * MIB, True),
        ("RuntimeError: unable to allocate shared memory(shm) for file </torch_4_0>: No space left on device (28)", [], "/dev/shm", None, True),
        ("MemoryError", ["ulimit -v 500000; exec python prep.py"], "ulimit", 500000 * 1024, True),
        ("duckdb.OutOfMemoryException: Out of Memory Error: failed to allocate data of size 512.0 KiB (23.4 GiB/23.4 GiB used)", [], "duckdb", 23.4 * GIB, False),
        ("duckdb.OutOfMemoryException: Out of Memory Error: failed to allocate data of size 512.0 KiB (20.0 GiB/20.0 GiB used)", [], "duckdb", 20 * GIB, True),
        (DASK, ["dask-worker", "--memory-limit=4GB"], "dask", 4 * GIB, True),
        (DASK, ["dask-worker", "--memory-limit=12GB"], "dask", 4 * GIB, False),
        (DASK, [], "dask", 4 * GIB, False),
        ("PHP Fatal error: Allowed memory size of 134217728 bytes exhausted (tried to allocate 20480 bytes)", [], "PHP", 128 * MIB, True),
    ],
)  # fmt: skip
def test_a_limit_of_the_programs_own(line, args, name, size, fixed) -> None:
    verdict, needs = read(line, args=args)
    assert verdict is Cause.MEMORY_PRESSURE
    assert needs.own_limit is not None
    assert name in needs.own_limit.name
    assert needs.own_limit.fixed is fixed
    if size is None:
        assert needs.own_limit.bytes is None
    else:
        assert needs.own_limit.bytes == pytest.approx(size, rel=0.001)


def test_nothing_is_read_where_memory_was_not_short() -> None:
    verdict, needs = read("ValueError: unable to allocate seats: 3", args=["-Xmx512m"])
    assert verdict is not Cause.MEMORY_PRESSURE
    assert (needs.wanted, needs.own_limit) == (None, None)


@pytest.mark.parametrize(
    "line",
    [
        "OSError: [Errno 28] No space left on device",
        "The node was low on resource: ephemeral-storage.",
        "RuntimeError: [enforce fail at inline_container.cc:672] . unexpected pos 832 vs 726",
    ],
)
def test_a_full_disk_is_its_own_cause(line: str) -> None:
    verdict, needs = read(line)
    assert verdict is Cause.DISK_FULL
    assert needs.own_limit is None


def test_a_limit_of_the_configuration_is_quoted_without_what_stands_around_it() -> None:
    _, needs = read(
        "java.lang.OutOfMemoryError: Java heap space", args=["-Xmx512m", "-jar", "a.jar"]
    )
    assert needs.own_limit is not None
    assert needs.own_limit.evidence.says == 'its configuration: "-Xmx512m"'
