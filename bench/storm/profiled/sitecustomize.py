"""Where a process spends its CPU time, told every second in the file that STORM_PROFILE names.

Python imports this by itself where the folder stands on PYTHONPATH. A thread of a forked worker looks
at all others a hundred times a second, and charges what each has used since to the innermost function
of ours on its stack.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

_STEP = 0.01
_TOLD_EVERY = 1.0
_OURS = f"{os.sep}remediator{os.sep}"


@functools.cache
def _name(code: CodeType) -> str:
    """`ledger/book.py:Ledger.claim` for a function of ours, else empty."""
    _, ours, file = code.co_filename.rpartition(_OURS)
    return f"{file}:{code.co_qualname}" if ours else ""


def _innermost_of_ours(frame: FrameType | None) -> str:
    while frame is not None:
        name = _name(frame.f_code)
        if name:
            return name
        frame = frame.f_back
    return "(nothing of ours)"


def _watch(file: Path) -> None:
    used: dict[int, float] = {}
    ours = Counter[str]()
    told = time.monotonic()
    while True:
        time.sleep(_STEP)
        # Not `threading.enumerate`: a finaliser that starts a thread while its lock is held hangs all.
        natives = {key: one.native_id for key, one in threading._active.copy().items()}  # noqa: SLF001
        # Before Python 3.12 a collection inside this call can wait for ever for a lock that it holds.
        gc.disable()
        frames = sys._current_frames()  # noqa: SLF001  # made for this
        gc.enable()
        for ident, frame in frames.items():
            native = natives.get(ident)
            if native is None or ident == threading.get_ident():
                continue
            try:  # nanoseconds on a CPU stand first
                now = int(Path(f"/proc/self/task/{native}/schedstat").read_text().split()[0]) / 1e9
            except OSError:  # it has just ended
                continue
            spent = now - used.get(native, 0.0)
            used[native] = now
            if spent > 0:
                ours[_innermost_of_ours(frame)] += spent
        if time.monotonic() - told >= _TOLD_EVERY:
            told = time.monotonic()
            part = file.with_suffix(f".{os.getpid()}")
            part.write_text(json.dumps({"cpu": time.process_time(), "ours": ours.most_common(60)}))
            part.replace(file)


def _begin() -> None:
    where = Path(os.environ["STORM_PROFILE"])
    threading.Thread(target=_watch, args=(where,), daemon=True, name="profile").start()


if os.environ.get("STORM_PROFILE"):
    os.register_at_fork(after_in_child=_begin)  # the worker's: threads do not outlive a fork
