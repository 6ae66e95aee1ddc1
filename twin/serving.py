"""The product's function, served by the real functions-framework in a process of its own."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from twin.sink import post, wait_for_port


class Served:
    """A served entry point: `url`, its output in `log`, `stop` or `kill` it.

    `workers` and `threads` are gunicorn's. The output goes to a file, so that it can be read while
    the process lives.
    """

    def __init__(
        self,
        main_dir: str | Path,
        target: str,
        env: Mapping[str, str],
        *,
        log: str | Path | None = None,
        workers: int = 1,
        threads: int = 16,
        wait_seconds: float = 60.0,
        signature: str = "",
        python: str | Path = sys.executable,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        if log is None:
            handle, name = tempfile.mkstemp(prefix=f"twin-{target}-", suffix=".log")
            os.close(handle)
            log = name
        self.log = Path(log)
        signature_flags = ["--signature-type", signature] if signature else []
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    *(str(python), "-m", "functions_framework"),
                    *("--target", target, "--source", "main.py"),
                    *("--host", "127.0.0.1", "--port", str(self.port)),
                    *signature_flags,
                ],
                cwd=main_dir,
                env={
                    **_own_environment(),
                    "PYTHONUNBUFFERED": "1",
                    "WORKERS": str(workers),
                    "THREADS": str(threads),
                    **env,
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if not wait_for_port(self.port, wait_seconds, lambda: self._process.poll() is None):
            self.kill()
            msg = f"the function {target!r} did not start:\n{self.output()[-4000:]}"
            raise RuntimeError(msg)

    @property
    def pid(self) -> int:
        """Of the server's first process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def output(self) -> str:
        """Everything that it has printed so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def post(
        self, body: object = None, *, headers: Mapping[str, str] | None = None, seconds: float = 120
    ) -> tuple[int, str]:
        """One POST to the entry point: status and text."""
        return post(self.url + "/", body, headers=headers, seconds=seconds)

    def stop(self) -> None:
        """Asks it to end, and waits."""
        if self.is_alive:
            self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to it and all its children, as a crash would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=10)


# Below the ports that systems give to whoever asks for any: 32768 is Linux's first, documented.
_FIRST_PORT, _END_OF_PORTS = 10_000, 32_768


def free_port() -> int:
    """A loopback port that nobody listens on just now, and that no outgoing connection takes before a server does."""
    while True:
        port = _FIRST_PORT + secrets.randbelow(_END_OF_PORTS - _FIRST_PORT)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _own_environment() -> dict[str, str]:
    """What a process needs to start at all; nothing of Google's and no proxy of this machine."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "SYSTEMROOT")
    return {key: os.environ[key] for key in kept if key in os.environ}
