"""`rows`: what a batch prediction did with its rows, and which of them to send again.

Over files on this machine, without an account; or of a project's own job, where its files lie in
Cloud Storage.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from remediator.cli.input_output import DONE, FAILED, asked_of_project, print_json, print_text
from remediator.domain import InvalidInput

if TYPE_CHECKING:
    from remediator.job.rows import RowAccount
    from remediator.rows import AccountedRows, RowFile

_BUFFER = 2**20  # bytes that are read or written at once; chosen


def rows(args: argparse.Namespace) -> int:
    """0 where the account is sound, 1 where it is not; nothing is written then."""
    found = _of_files(args) if _names_files(args) else _of_job(args)
    if args.remaining and not found.files.inputs:
        msg = (
            "its rows are in BigQuery: --remaining writes lines of files, and a deployment a table"
        )
        raise InvalidInput(msg)
    if args.remaining and found.account.sound:
        _write_remaining(Path(args.remaining), found)
    if args.json:
        print_json(found.account.to_json())
    else:
        print_text(_account_as_text(found, args.remaining))
    if args.remaining and not found.account.sound:
        print(f"note: nothing is written to {args.remaining}", file=sys.stderr)
    return DONE if found.account.sound else FAILED


def _names_files(args: argparse.Namespace) -> bool:
    """Whether files are named, and not a job; raises InvalidInput where it is both or neither."""
    flags = {"--input": args.rows_input, "--output": args.rows_output}
    named = [*args.rows_input, *args.rows_output, *args.rows_errors]
    if args.job and named:
        msg = f"either the job {args.job} or files: both together have no meaning"
        raise InvalidInput(msg)
    absent = [flag for flag, names in flags.items() if not names]
    if absent and not args.job:
        what = "the batch's input and output files"
        job = "" if named else ", or a job: its name, id or console URL"
        msg = f"give {' and '.join(absent)}: {what}{job}"
        raise InvalidInput(msg)
    target = args.remaining
    if target == "-":
        msg = "--remaining needs the name of a file"
        raise InvalidInput(msg)
    if target and Path(target).resolve() in {Path(name).resolve() for name in named}:
        msg = f"{target}: is read here, and would be written over; name another file"
        raise InvalidInput(msg)
    return not args.job


def _of_job(args: argparse.Namespace) -> AccountedRows:
    """The rows of a job in its project, read where they lie; nothing is changed there."""
    from remediator.cli import project_asks

    return asked_of_project(
        args.job, args, lambda app, name: project_asks.account_rows(app, name, key=args.key)
    )


def _of_files(args: argparse.Namespace) -> AccountedRows:
    from remediator.rows import Files, account

    inputs = _sources(args.rows_input)
    errors = _sources(args.rows_errors)
    outputs = _sources(args.rows_output, besides=errors)
    for source in (*outputs, *errors):
        if source.is_csv:
            msg = f"{source.name}: output as CSV is not read; JSONL is"
            raise InvalidInput(msg)
    files = Files.sorted_by_name(inputs, outputs, errors)
    with tempfile.TemporaryDirectory(prefix="vertex-remediator-rows-") as folder:
        try:
            return account(files, Path(folder), key=args.key)
        except OSError as err:
            msg = f"{err.filename or folder}: {err.strerror}"
            raise InvalidInput(msg) from err


def _sources(names: Sequence[str], besides: Sequence[RowFile] = ()) -> list[RowFile]:
    """The files, each once, however it was named; raises InvalidInput for what cannot be read."""
    from remediator.rows import RowFile

    seen = {Path(source.name).resolve() for source in besides}
    found = []
    for name in names:
        path = Path(name)
        try:
            if path.is_dir():
                msg = f"{name}: is a folder; name the files in it, such as {path / 'prediction*'}"
                raise InvalidInput(msg)
            if not path.is_file():
                msg = f"{name}: {'is not a file' if path.exists() else 'No such file or directory'}"
                raise InvalidInput(msg)
            with path.open("rb"):
                size = path.stat().st_size
        except OSError as err:
            msg = f"{name}: {err.strerror}"
            raise InvalidInput(msg) from err
        if (real := path.resolve()) not in seen:
            seen.add(real)
            found.append(RowFile(name, functools.partial(_open, path), size))
    return found


def _open(path: Path) -> BinaryIO:
    return io.BufferedReader(io.FileIO(path), _BUFFER)


def _write_remaining(path: Path, found: AccountedRows) -> None:
    """Whole or not at all, beside its place first."""
    half = path.with_name(f".{path.name}.half")
    try:
        with half.open("wb", buffering=_BUFFER) as stream:
            stream.writelines(found.remaining())
        half.replace(path)
    except OSError as err:
        with contextlib.suppress(OSError):
            half.unlink()
        msg = f"{path}: {err.strerror}"
        raise InvalidInput(msg) from err


_MOST_SHOWN = 20  # messages of failed rows in the text, the most frequent; chosen


def _account_as_text(found: AccountedRows, remaining: str | None) -> str:
    account = found.account
    failed = sum(account.failed.values())
    passing = f", {account.retriable:,} of them may pass when sent again" if failed else ""
    messages = list(account.failed.items())
    lines = [
        f"{account.rows:>12,} rows",
        f"{account.done:>12,} done",
        f"{failed:>12,} failed{passing}",
        *(f"{n:>16,} {' '.join(message.split())}" for message, n in messages[:_MOST_SHOWN]),
        f"{account.missing:>12,} missing",
    ]
    if len(messages) > _MOST_SHOWN:
        more = len(messages) - _MOST_SHOWN
        lines.insert(-1, f"{'':>17}and {more:,} other messages (--json shows them)")
    if account.unmatched:
        lines.append(f"{account.unmatched:>12,} lines of the output match no row")
    if account.duplicates:
        lines.append(f"{account.duplicates:>12,} rows repeat an earlier one")
    lines.append("")
    lines.append(f"{'sound' if account.sound else 'NOT SOUND'}: {account.because}")
    if account.sound:
        lines += _next_lines(account, remaining, bool(found.files.absent), failed)
    return "\n".join(lines)


def _next_lines(
    account: RowAccount, remaining: str | None, is_partial: bool, failed: int
) -> list[str]:
    """What a sound account leads to."""
    lines = []
    left = f"{account.left:,} row{'s' * (account.left != 1)}"
    if remaining:
        lines.append(f"{left} to send again {_are(account.left)} in {remaining}")
    elif account.left:
        lines.append(f"{left} to send again: -o FILE writes {_them(account.left)}")
    if never := failed - account.retriable:
        those = f"{never:,} failed row{'s' * (never != 1)}"
        lines.append(f"{those} would fail again and {_are(never)} not among those to send")
    if is_partial:
        lines.append(
            "careful: rows in shards that were not given count as missing, and would be sent again"
        )
    return lines


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _them(count: int) -> str:
    return "it" if count == 1 else "them"
