"""Google's own emulators of Firestore and Pub/Sub for the benches, where gcloud and Java are there."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

_FIRESTORE_JAR = "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar"
_FIRESTORE = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
_PUBSUB = "platform/pubsub-emulator/bin/cloud-pubsub-emulator"


@contextlib.contextmanager
def firestore() -> Iterator[str]:
    """`host:port` of a Firestore emulator; empty where it is not installed."""
    jar = _sdk() / _FIRESTORE_JAR
    with _started(["java", "-cp", str(jar), _FIRESTORE, "--host", "127.0.0.1"], jar) as at:
        yield at


@contextlib.contextmanager
def pubsub() -> Iterator[str]:
    """`host:port` of a Pub/Sub emulator; empty where it is not installed."""
    script = _sdk() / _PUBSUB
    with _started([str(script), "--host=127.0.0.1"], script) as at:
        yield at


def _sdk() -> Path:
    gcloud = shutil.which("gcloud")
    if gcloud is None or shutil.which("java") is None:
        return Path("/nonexistent")
    ask = [gcloud, "info", "--format=value(installation.sdk_root)"]
    found = subprocess.run(ask, capture_output=True, text=True, check=False, timeout=60)
    return Path(found.stdout.strip() or "/nonexistent")


@contextlib.contextmanager
def _started(command: list[str], needed: Path) -> Iterator[str]:
    if not needed.is_file():
        yield ""
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [*command, f"--port={port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        ends = time.monotonic() + 60
        while time.monotonic() < ends and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            yield ""
            return
        yield f"127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=20)
