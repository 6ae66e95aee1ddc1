"""What commands take and give: files, cases, policies, the App; one JSON form on standard output.

Every fault of an input is `Unusable`, one line for standard error. Called by the commands.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remediator.domain import Json, Unusable

if TYPE_CHECKING:
    from remediator.app import App
    from remediator.case import Case
    from remediator.policy import Catalogue, Policies

HERE = Path(__file__).resolve().parent.parent.parent
DONE, FAILED, UNUSABLE = 0, 1, 2


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        msg = f"{path}: {err.strerror}"
        raise Unusable(msg) from err


def write_whole(path: Path, text: str) -> None:
    """Whole or not at all: a file that is being read is never half of one."""
    half = path.with_name(f".{path.name}.half")
    try:
        half.write_text(text, encoding="utf-8")
        half.replace(path)
    except OSError as err:
        with contextlib.suppress(OSError):
            half.unlink()
        msg = f"{path}: {err.strerror}"
        raise Unusable(msg) from err


def read_json(path: Path) -> Any:
    return _parsed(read_bytes(path), str(path))


def _parsed(text: str | bytes, name: str) -> Any:
    """JSON as its standard has it: no NaN, no infinity, and no halves of characters."""
    try:
        return _whole(json.loads(text, parse_constant=_no_number, parse_float=_finite))
    except (ValueError, RecursionError) as err:
        msg = f"{name}: not JSON: {err}"
        raise Unusable(msg) from err


def _stdin() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as err:
        msg = f"stdin: not JSON: {err}"
        raise Unusable(msg) from err


def _no_number(word: str) -> float:
    msg = f"{word} is no number"
    raise ValueError(msg)


def _finite(text: str) -> float:
    found = float(text)
    return found if math.isfinite(found) else _no_number(text[:20])


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value


def case_of(name: str) -> Case:
    from remediator.case import Case

    path = Path(name)
    body = _parsed(_stdin(), "stdin") if name == "-" else read_json(path)
    if not isinstance(body, dict):
        msg = f"{path}: a case file is a JSON object"
        raise Unusable(msg)
    try:
        return Case.parse(body)
    except (Unusable, TypeError, ValueError, AttributeError) as err:
        msg = f"{path}: {err}"
        raise Unusable(msg) from err


def plannable_case_of(name: str) -> Case:
    """A case whose job has a shape that a job can have: whoever plans reads all of it."""
    from remediator.job.validation import require_shape

    case = case_of(name)
    try:
        require_shape(case.job)
    except Unusable as err:
        msg = f"{name}: {err}"
        raise Unusable(msg) from err
    return case


def policies_of(args: argparse.Namespace) -> Policies:
    from remediator import policy

    if args.policies.startswith(("gs://", "secret:")):
        msg = f"{args.policies} is no file on this machine: name one with --policies"
        raise Unusable(msg)
    path = Path(args.policies)
    loaded = policy.load(read_bytes(path), str(path))
    if loaded.policies is None:
        for mistake in loaded.mistakes:
            print(mistake.render(str(path)), file=sys.stderr)
        msg = f"{path} does not load"
        raise Unusable(msg)
    return loaded.policies


def catalogue_of(args: argparse.Namespace) -> Catalogue:
    from remediator import policy

    built_in = policy.Catalogue.built_in()
    own = getattr(args, "catalog", None)
    return built_in.with_overrides(read_json(Path(own))) if own else built_in


def open_app() -> App:
    from remediator.app import App

    return App.from_environment(os.environ, here=HERE)


def open_app_with_ledger() -> App:
    """The App, for a command that is nothing without the deployment's ledger: says if it is not it."""
    app = open_app()
    if not app.settings.ledger:
        print(
            "note: REMEDIATOR_LEDGER is not set, so this is the ledger of this folder, and no "
            "deployment hears of it (firestore://vertex-remediator/remediator is a deployment's)",
            file=sys.stderr,
        )
    return app


def open_app_with_policies(args: argparse.Namespace) -> App:
    from remediator.app import App

    environ = {**os.environ, "REMEDIATOR_POLICIES": args.policies}
    return App.from_environment(environ, here=HERE)


def print_json(value: Json | list[Any]) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))
