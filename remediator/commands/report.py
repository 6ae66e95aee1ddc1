"""`report -o FILE`: the ledger's history as one HTML page.

Called by `cli`.
"""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta
from pathlib import Path

from remediator.app import App
from remediator.commands.inputs import DONE, open_app_with_ledger
from remediator.domain import Unusable

MOST_READ = 100_000
"""Incidents and chains of one report; a ledger forgets after 400 days."""


def report(args: argparse.Namespace) -> int:
    app = open_app_with_ledger()
    page, told = _page(app, args.title)
    if args.output == "-":
        sys.stdout.write(page)
        return DONE
    _write(Path(args.output), page)
    print(f"{args.output}: {told} incidents")
    return DONE


def _page(app: App, title: str) -> tuple[str, int]:
    from remediator.report import render, stories
    from remediator.report.curves import read_curves

    incidents = app.ledger.incidents(MOST_READ)
    curves = {
        one.root: read_curves(
            one.curves, one.ended - timedelta(seconds=one.run_seconds or 0.0), one.ended
        )
        for one in incidents
        if one.curves and one.ended and not one.attempt
    }
    told = stories(incidents, app.ledger.chains(MOST_READ), curves=curves)
    heading = title or f"Failed jobs of {app.project_id}"
    return render(told, title=heading, made=app.now()), len(told)


def _write(path: Path, page: str) -> None:
    """Whole or not at all: a page that is being read is never half of one."""
    half = path.with_name(f".{path.name}.half")
    try:
        half.write_text(page, encoding="utf-8")
        half.replace(path)
    except OSError as err:
        half.unlink(missing_ok=True)
        msg = f"{path}: {err.strerror}"
        raise Unusable(msg) from err
