"""Profiles for Hypothesis, and what all processes of a run share.

No property is judged by how long an example takes. `make test` draws the same examples each time,
so that it is green or red for the change alone; `make fuzz` draws fresh ones, a hundred thousand
where a property sets no number of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from bench import emulators
from remediator.cli.main import main

_SLOW_MACHINE = [HealthCheck.too_slow]  # says how busy the machine is, nothing of the product

settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=_SLOW_MACHINE,
)
settings.register_profile(
    "fresh", deadline=None, print_blob=True, suppress_health_check=_SLOW_MACHINE
)
settings.register_profile(
    "fuzz", max_examples=100_000, deadline=None, suppress_health_check=list(HealthCheck)
)
settings.load_profile("suite")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is collected stays to the end: no collector of garbage need look at it again.

    A process has 10,000 tests and Google's clients in memory: 8 of the 16 s that collecting took were
    spent on looking for garbage among them (measured, 2026-11-30), and a third of a second each time
    later.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _worker() -> tuple[int, int]:
    """Which of how many processes of the run this is, from 0."""
    number = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return int(number), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


_TESTS = Path(__file__).parent


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Each process of a run begins to import the tests at another place, and finds the rest compiled by others.

    Else all of them rewrite the asserts of all 240 files at once in a fresh checkout: 10 of the 20 s of
    processor time that collecting takes a process (measured, 2026-12-01).
    """
    report = yield
    if collector.path == _TESTS and isinstance(collector, pytest.Directory):
        number, count = _worker()
        begin = len(report.result) * number // count
        report.result = [*report.result[begin:], *report.result[:begin]]
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the order of the files again, which is to be the same in every process."""
    if _worker()[1] > 1:
        items.sort(key=lambda item: item.path.relative_to(_TESTS).parts[0])


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of the run have in common."""
    folder = tmp_path_factory.getbasetemp()
    return (
        folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    )  # each has its own in it


@pytest.fixture(scope="session")
def firestore_emulator(shared: Path) -> Iterator[str]:
    """`host:port` of a Firestore emulator, one for all processes: each story has its own collection.

    The process that started it ends it, when no other uses it any more.
    """
    with (shared / "firestore.users").open("a+") as users, contextlib.ExitStack() as stack:
        fcntl.flock(users, fcntl.LOCK_SH)
        with (shared / "firestore.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            users.seek(0)
            address = users.read()
            if not address:
                address = stack.enter_context(emulators.firestore(emulators.FOR_TESTS))
                users.write(address)
                users.flush()
                stack.callback(users.truncate, 0)
                stack.callback(fcntl.flock, users, fcntl.LOCK_EX)  # waits for the others
        if not address:
            pytest.skip("gcloud's Firestore emulator or Java is not installed")
        yield address


@pytest.fixture(scope="session")
def build_once(
    shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, Callable[[Path], None]], Path]:
    """A folder that one process of the run fills and all of them read: `build_once(name, build)`.

    Where filling it failed or was skipped, the next one that asks tries again in a new folder.
    """

    def call(name: str, build: Callable[[Path], None]) -> Path:
        with (shared / f"{name}.lock").open("a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.seek(0)
            ready = lock.read()
            if not ready:
                folder = tmp_path_factory.mktemp(name)
                build(folder)
                ready = str(folder)
                lock.write(ready)
            return Path(ready)

    return call


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`run("diagnose", "case.json")`: the command line's exit code, standard output and error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call
