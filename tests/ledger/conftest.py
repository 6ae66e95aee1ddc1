"""Both stores of the ledger: SQLite always, Firestore on Google's emulator where it is installed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from remediator.ledger import Ledger
from remediator.ledger.firestore import FirestoreStore
from remediator.ledger.sqlite import SqliteStore
from tests.waiting import HANG_SECONDS

_JAR = "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar"
_MAIN = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"


def _emulator_jar() -> Path | None:
    gcloud = shutil.which("gcloud")
    if gcloud is None or shutil.which("java") is None:
        return None
    found = subprocess.run(
        [gcloud, "info", "--format=value(installation.sdk_root)"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    jar = Path(found.stdout.strip()) / _JAR
    return jar if jar.is_file() else None


@pytest.fixture(scope="session")
def firestore_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of a Firestore emulator that ends with the session."""
    jar = _emulator_jar()
    if jar is None:
        pytest.skip("gcloud's Firestore emulator or Java is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("firestore") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["java", "-cp", str(jar), _MAIN, "--host", "127.0.0.1", "--port", str(port)],
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        for _ in range(1200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            pytest.skip(f"the Firestore emulator did not start: {log.read_text()[-300:]}")
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=HANG_SECONDS)


@pytest.fixture(params=["sqlite", pytest.param("firestore", marks=pytest.mark.emulator)])
def open_ledger(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Ledger]]:
    """Opens the same ledger again and again, as several instances would."""
    opened: list[Ledger] = []
    if request.param == "firestore":
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", request.getfixturevalue("firestore_emulator"))
    collection = f"t{uuid.uuid4().hex[:8]}"

    def start() -> Ledger:
        store = (
            SqliteStore(tmp_path / "ledger.sqlite3")
            if request.param == "sqlite"
            else FirestoreStore("lab", "(default)", collection)
        )
        opened.append(Ledger(store))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.fixture
def ledger(open_ledger: Callable[[], Ledger]) -> Ledger:
    return open_ledger()
