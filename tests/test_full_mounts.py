"""A disk that is full and no machine's: a mounted file system, which no boot disk changes."""

from __future__ import annotations

import pytest

from remediator.domain import Action, Cause, Guard, History, Plan
from remediator.planning import plan
from tests.case_parts import of
from tests.jobs import CUSTOM, case, job, policies
from tests.planning.test_steps import BOOK, FILE
from tests.test_diagnosis_endings import TRACE, ended

MOUNTED = [
    ("OSError: [Errno 122] Disk quota exceeded: '/mnt/nfs/team/a.pt'", "/mnt/nfs/team/a.pt"),
    ("OSError: [Errno 28] No space left on device: '/mnt/nfs/a.pt'", "/mnt/nfs/a.pt"),
    ("OSError: [Errno 28] No space left on device: '/tmp/a' -> '/mnt/nfs/a'", "/mnt/nfs/a"),
    ("cp: error writing '/scratch/out.bam': No space left on device", "/scratch/out.bam"),
    ("cp: error writing \u2018/nfs/out.bam\u2019: No space left on device", "/nfs/out.bam"),
    ('rsync: write failed on "/filestore/a/x": No space left on device (28)', "/filestore/a/x"),
    ("tar: /mnt/nfs/a: Cannot write: No space left on device", "/mnt/nfs/a"),
]
OF_THE_MACHINE = [
    "OSError: [Errno 28] No space left on device",
    "OSError: [Errno 122] Disk quota exceeded",
    "OSError: [Errno 28] No space left on device: '/tmp/a.pt'",
    "OSError: [Errno 28] No space left on device: '/mnt/nfs/a' -> '/var/cache/a'",
    "OSError: [Errno 28] No space left on device: '/home/app/.cache/a'",
    "OSError: [Errno 28] No space left on device: '/app/mnt/a'",
    # A bucket has no limit of space: it is the local disk where Cloud Storage FUSE stages a file.
    "OSError: [Errno 28] No space left on device: '/gcs/bucket/a.pt'",
    "cp: error writing '/tmp/out': No space left on device",
]


def doubled(*rows: str) -> Plan:
    """What `disk: double` gives a job that ended with these lines."""
    document = job(CUSTOM)
    return plan(
        case(document),
        of(ended(*rows)),
        policies(FILE.format(step="disk: double")),
        History(),
        BOOK,
    )


@pytest.mark.parametrize(("row", "path"), MOUNTED)
def test_a_full_mount_buys_no_boot_disk(row: str, path: str) -> None:
    done = doubled(*TRACE, row) if row.startswith("OSError") else doubled(row)
    assert (done.verdict, done.action) == (Cause.DISK_FULL, Action.ALERT)
    assert done.refused_by == (Guard.NO_MACHINE,)
    assert f"{path} lies on a file system that is mounted from elsewhere" in done.because


@pytest.mark.parametrize(("row", "path"), MOUNTED)
def test_the_advice_names_the_path_of_a_full_mount(row: str, path: str) -> None:
    found = of(ended(row)).causes[0]
    assert found.cause is Cause.DISK_FULL
    assert f"the file system on which {path} lies" in found.advice
    assert "larger boot disk changes nothing" in found.advice


@pytest.mark.parametrize("row", OF_THE_MACHINE)
def test_the_machines_own_full_disk_is_doubled(row: str) -> None:
    found = of(ended(row))
    assert found.needs.full_mount is None
    assert doubled(row).action is Action.RESUBMIT
    assert "larger boot disk" in found.causes[0].advice


@pytest.mark.parametrize(
    ("path", "mounted"),
    [
        ("/mnt/nfs/team/a.pt", True),
        ("/mnt/nfs/other/a.pt", False),
        ("/scratch/a.pt", False),
        ("/mnt/x/a.pt", False),
    ],
)
def test_where_the_job_says_what_it_mounts_all_else_is_the_machines_own(
    path: str, *, mounted: bool
) -> None:
    told = ended(*TRACE, f"OSError: [Errno 28] No space left on device: '{path}'")
    pool = told["job"]["jobSpec"]["workerPoolSpecs"][0]
    pool["nfsMounts"] = [{"server": "10.0.0.2", "path": "/export", "mountPoint": "team"}]
    found = of(told)
    assert found.verdict is Cause.DISK_FULL
    assert (found.needs.full_mount is not None) is mounted
