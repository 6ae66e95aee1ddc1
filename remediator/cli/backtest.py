"""`backtest`: what policies would have done about past failures and running jobs, and where two files differ.

Failures and jobs come from case files, or from the project through the App. Called by `main`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from remediator.cli.input_output import (
    DONE,
    catalogue_of,
    open_app_with_policies,
    plannable_case_of,
    policies_of,
    print_json,
    read_json,
)
from remediator.domain import InvalidInput
from remediator.redaction import redact, redact_json
from remediator.settings import resume_targets

if TYPE_CHECKING:
    from remediator.case import Case
    from remediator.catalog.catalog import Catalog
    from remediator.policy import Policies
    from remediator.watch.backtest import WatchedPast


def backtest(args: argparse.Namespace) -> int:
    from remediator.report import backtest as judging
    from remediator.watch import backtest as watching

    after = policies_of(args)
    other = argparse.Namespace(policies=args.against) if args.against else None
    before = policies_of(other) if other else None
    if args.days <= 0 or args.most <= 0:
        msg = "--days and --most are numbers above zero"
        raise InvalidInput(msg)
    catalog = catalogue_of(args)
    files = [(_shown(args.policies), after)]
    files += [(_shown(args.against), before)] if before else []
    past = _from_files(args) if args.cases else _from_project(args, [file for _, file in files])
    resume = resume_targets(os.environ)
    found = [
        judging.judge(name, file, past.failures, catalog, resume=resume) for name, file in files
    ]
    now, then = found[0], found[1] if before else None
    figures: dict[str, Any] = {
        "failed_usd": judging.wasted_usd(past.failures, catalog),
        "left_out": past.left_out,
        "rows": judging.rows_of(past.failures, found, catalog),
    }
    watched = _watched(files, past, catalog)
    if args.json:
        answer = judging.as_json(past.source, now, then, **figures)
        answer["watch"] = watching.as_json(*watched) if watched else None
        print_json(redact_json(answer))
    else:
        text = judging.as_text(past.source, now, then, **figures)
        text += f"\n\n{watching.as_text(*watched)}" if watched else ""
        print("\n".join(redact(line, 2000) for line in text.splitlines()))
    return DONE


class _Past(Struct, frozen=True):
    """What is judged: failures, and jobs whose lives are known; `source` and `left_out` in words."""

    source: str
    failures: tuple[Case, ...]
    lives: tuple[Case, ...]
    left_out: Mapping[str, int]


def _watched(
    files: Sequence[tuple[str, Policies]], past: _Past, catalog: Catalog
) -> tuple[WatchedPast, ...]:
    """What each file's entries of `watch` would have told; nothing where no file has any."""
    from remediator.watch.backtest import WatchedPast
    from remediator.watch.replay import replay

    if not any(file.enabled_watch() for _, file in files):
        return ()
    return tuple(WatchedPast(name, replay(file, past.lives, catalog)) for name, file in files)


def _progress(what: str, done: int, of: int) -> None:
    """How far the reading has come: in place on a terminal, else now and then a line."""
    if sys.stderr.isatty():
        print(f"\rreading {what}: {done + 1} of {of} ", end="", file=sys.stderr, flush=True)
        if done + 1 == of:
            print(file=sys.stderr)
    elif done and done % _EVERY == 0:
        print(f"reading {what}: {done} of {of}", file=sys.stderr)


_EVERY = 25  # chosen: a line for each 25 jobs where nobody looks on


def _shown(name: str) -> str:
    """A file in this folder by its name alone."""
    path = Path(name).resolve()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else name


def _from_files(args: argparse.Namespace) -> _Past:
    folder = Path(args.cases)
    if not folder.is_dir():
        msg = f"no such folder: {folder}"
        raise InvalidInput(msg)
    found = []
    others = 0
    for path in sorted(folder.rglob("*.json")):
        body = read_json(path)
        if isinstance(body, dict) and "job" in body:
            found.append(plannable_case_of(str(path)))
        else:
            others += 1
    if not found:
        msg = f"no case file in {folder}"
        raise InvalidInput(msg)
    failures = tuple(case for case in found if _has_ended_badly(case))
    left_out = {
        "file that is not a case": others,
        "job that did not fail": len(found) - len(failures),
    }
    return _Past(f"the case files in {folder}", failures, tuple(found), left_out)


def _has_ended_badly(case: Case) -> bool:
    """False for a job that runs, and for one that succeeded whole."""
    from remediator.domain import JobState

    return case.job.state.is_terminal and (
        case.is_failure or case.job.state is not JobState.SUCCEEDED
    )


def _from_project(args: argparse.Namespace, files: Sequence[Policies]) -> _Past:
    from remediator.cli import project_asks

    app = open_app_with_policies(args)
    cases, left_out = project_asks.past_failures(
        app, args.days, most=args.most, progress=partial(_progress, "failures")
    )
    lives, unwatched = project_asks.past_lives(
        app, args.days, files, most=args.most, progress=partial(_progress, "jobs that ran")
    )
    days = f"{args.days:g} day" + ("" if args.days == 1 else "s")
    source = f"the last {days} in {app.project_id}"
    return _Past(source, cases, lives, {**left_out, **unwatched})
