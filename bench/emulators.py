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

from twin.serving import free_port

_FIRESTORE_JAR = "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar"
_FIRESTORE = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
_PUBSUB = "platform/pubsub-emulator/bin/cloud-pubsub-emulator"

FOR_TESTS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Java's options for an emulator that a few hundred calls are made to: without the second compiler
it takes half of the processor time (10.5 s in place of 21.7 over 67 tests of the ledger, measured)."""


@contextlib.contextmanager
def firestore(java_options: str = "") -> Iterator[str]:
    """`host:port` of a Firestore emulator; empty where it is not installed."""
    jar = _sdk() / _FIRESTORE_JAR
    command = ["java", "-cp", str(jar), _FIRESTORE, "--host", "127.0.0.1"]
    with _started(command, jar, java_options) as at:
        yield at


@contextlib.contextmanager
def pubsub(java_options: str = "") -> Iterator[str]:
    """`host:port` of a Pub/Sub emulator; empty where it is not installed."""
    script = _sdk() / _PUBSUB
    with _started([str(script), "--host=127.0.0.1"], script, java_options) as at:
        yield at


def _sdk() -> Path:
    gcloud = shutil.which("gcloud")
    if gcloud is None or shutil.which("java") is None:
        return Path("/nonexistent")
    ask = [gcloud, "info", "--format=value(installation.sdk_root)"]
    found = subprocess.run(ask, capture_output=True, text=True, check=False, timeout=60)
    return Path(found.stdout.strip() or "/nonexistent")


@contextlib.contextmanager
def _started(command: list[str], needed: Path, java_options: str) -> Iterator[str]:
    if not needed.is_file():
        yield ""
        return
    port = free_port()
    process = subprocess.Popen(
        [*command, f"--port={port}"],
        env={**os.environ, **({"JAVA_TOOL_OPTIONS": java_options} if java_options else {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        ends = time.monotonic() + 120
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
        process.wait(timeout=120)
