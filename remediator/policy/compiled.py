"""Policies compiled ahead: what a text was read as, as JSON, so that a start needs neither YAML nor pydantic.

Owns the form, and that it stands for one text and one version of the language alone. `reread` gives what
was read, or None for whatever is not exactly what `compile_policies` wrote of this text with this code:
absent, torn, changed, older. Then the text is read in full. Warnings are kept as they were when the file
was compiled; a file with an error is not compiled. Who can write the compiled file can write the policy
file, so its digests guard against accidents, not against people. Called by `policy_source` and the
command line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import time, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from remediator import __version__
from remediator.domain import Cause, JobKind, Mode, WatchVerdict
from remediator.policy import channels, loaded, model, selection, steps, watch_entries
from remediator.policy.loaded import Loaded
from remediator.policy.model import LimitLines

_HOUSE = Path(__file__).resolve().parents[1]
_ROOMS = ("policy", "domain")
"""The folders whose code makes a value of a text."""
_WORDS: Mapping[str, type[StrEnum]] = {
    one.__name__: one for one in (Cause, JobKind, Mode, WatchVerdict)
}
_PARTS: Mapping[str, type[Any]] = {
    one.__name__: one
    for module in (channels, loaded, model, selection, steps, watch_entries)
    for one in vars(module).values()
    if isinstance(one, type) and issubclass(one, msgspec.Struct)
}


def compile_policies(text: bytes, reading: Loaded) -> bytes:
    """What `reread` takes again; `reading` is what `text` was read as, without an error."""
    body = json.dumps(_written(reading), separators=(",", ":"))
    head = {"text": _digest(text), "code": code_version(), "body": _digest(body.encode())}
    return f"{json.dumps(head)}\n{body}\n".encode()


def compiled_beside(path: Path) -> Path:
    """Where the compiled form of a policy file lies: beside `policies.yaml`, `policies.compiled.json`."""
    return path.with_suffix(".compiled.json")


def reread(text: bytes, form: bytes, filename: str) -> Loaded | None:
    """What the text was read as when it was compiled to this form; None where it must be read itself.

    `filename` is the policy file's own, as `load` takes it.
    """
    try:
        first, _, body = form.removesuffix(b"\n").partition(b"\n")
        head = {"text": _digest(text), "code": code_version(), "body": _digest(body)}
        if not head["code"] or json.loads(first) != head:
            return None
        known = _read(json.loads(body))
    except _UNREADABLE:
        return None
    if not isinstance(known, Loaded) or known.policies is None or known.policies.lines is None:
        return None
    lines = LimitLines(filename.rpartition("/")[2], known.policies.lines.by_keys)
    return Loaded(known.policies.changed(lines=lines), known.mistakes, filename)


_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What a file that is none of ours makes of its reading: a start must not fail by what only hastens it."""


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@cache
def code_version(house: Path = _HOUSE) -> str:
    """The digest of the code that makes a value of a text; empty where the sources cannot be read."""
    digest = hashlib.sha256(__version__.encode())
    try:
        files = [file for room in _ROOMS for file in sorted((house / room).glob("*.py"))]
        for file in files:
            digest.update(f"\n{file.parent.name}/{file.name}\n".encode() + file.read_bytes())
    except OSError:
        return ""
    return digest.hexdigest() if files else ""


# --- values as JSON: what JSON has as it is, and [kind, content] for the rest -------------------------


def _written(value: Any) -> Any:
    kind = type(value).__name__
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, StrEnum):
        return [kind, value.value]
    if isinstance(value, str):
        return value
    if isinstance(value, msgspec.Struct) and _PARTS.get(kind) is type(value):
        pairs = ((name, getattr(value, name)) for name in value.__struct_fields__)
        return [kind, {name: _written(one) for name, one in pairs if one is not None}]
    if isinstance(value, Mapping):
        return ["dict", {str(key): _written(one) for key, one in value.items()}]
    if isinstance(value, tuple):
        return ["tuple", [_written(one) for one in value]]
    if isinstance(value, timedelta):
        return ["timedelta", [value.days, value.seconds, value.microseconds]]
    if isinstance(value, time):
        return ["time", value.isoformat()]
    msg = f"{kind} is no value of a policy file"
    raise TypeError(msg)


_MADE: Mapping[str, Callable[[Any], Any]] = {
    "dict": lambda content: {key: _read(one) for key, one in content.items()},
    "tuple": lambda content: tuple(map(_read, content)),
    "timedelta": lambda content: timedelta(*content),
    "time": time.fromisoformat,
    **_WORDS,
}


def _read(written: Any) -> Any:
    if not isinstance(written, list):
        return written
    kind, content = written
    if kind in _PARTS:
        return _PARTS[kind](**{name: _read(one) for name, one in content.items()})
    return _MADE[kind](content)
