"""`backtest`: what policies would have done about past failures, and where two files differ.

The failures come from case files, or from the project through the App. Called by `main`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from remediator.case import Case


def backtest(args: argparse.Namespace) -> int:
    from remediator.report import backtest as judging

    after = policies_of(args)
    other = argparse.Namespace(policies=args.against) if args.against else None
    before = policies_of(other) if other else None
    if args.days <= 0 or args.most <= 0:
        msg = "--days and --most are numbers above zero"
        raise InvalidInput(msg)
    catalog = catalogue_of(args)
    source, cases, left_out = _from_files(args) if args.cases else _from_project(args)
    now = judging.judge(_shown(args.policies), after, cases, catalog)
    then = judging.judge(_shown(args.against), before, cases, catalog) if before else None
    wasted = judging.wasted_usd(cases, catalog)
    if args.json:
        print_json(
            redact_json(judging.as_json(source, now, then, failed_usd=wasted, left_out=left_out))
        )
    else:
        text = judging.as_text(source, now, then, failed_usd=wasted, left_out=left_out)
        print("\n".join(redact(line, 2000) for line in text.splitlines()))
    return DONE


def _progress(done: int, of: int) -> None:
    """How far the reading has come: in place on a terminal, else now and then a line."""
    if sys.stderr.isatty():
        print(f"\rreading failures: {done + 1} of {of} ", end="", file=sys.stderr, flush=True)
        if done + 1 == of:
            print(file=sys.stderr)
    elif done and done % _EVERY == 0:
        print(f"reading failures: {done} of {of}", file=sys.stderr)


_EVERY = 25  # chosen: a line for each 25 failures where nobody looks on


def _shown(name: str) -> str:
    """A file in this folder by its name alone."""
    path = Path(name).resolve()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else name


def _from_files(args: argparse.Namespace) -> tuple[str, tuple[Case, ...], Mapping[str, int]]:
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
    return f"the cases in {folder}", tuple(found), {"file that is no case": others}


def _from_project(args: argparse.Namespace) -> tuple[str, tuple[Case, ...], Mapping[str, int]]:
    from remediator.cli import project_asks

    app = open_app_with_policies(args)
    cases, left_out = project_asks.past_failures(app, args.days, most=args.most, progress=_progress)
    days = f"{args.days:g} day" + ("" if args.days == 1 else "s")
    return f"the last {days} in {app.project_id}", cases, left_out
