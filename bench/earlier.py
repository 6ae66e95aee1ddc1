"""An earlier commit of this repository in a folder of its own, to be measured beside the present one.

`BASELINE` is the commit that the aims of speed are ratios to. Called by the benches alone.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BASELINE = "dadf1e7"


@contextlib.contextmanager
def checkout(commit: str = BASELINE) -> Iterator[Path]:
    """The files of the commit; a folder's path is taken as it is, for what is not committed."""
    if Path(commit).is_dir():
        yield Path(commit).resolve()
        return
    packed = subprocess.run(
        ["git", "archive", commit], cwd=ROOT, capture_output=True, check=True, timeout=120
    ).stdout
    with tempfile.TemporaryDirectory(prefix="earlier-") as name:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(name, filter="data")
        yield Path(name)
