"""`report -o FILE`: the ledger's history as one HTML page.

Called by `cli`.
"""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta
from pathlib import Path

from remediator.app import App
from remediator.commands.inputs import DONE, open_app_with_ledger, write_whole

MOST_READ = 100_000
"""Incidents and chains of one report; a ledger forgets after 400 days."""


def report(args: argparse.Namespace) -> int:
    app = open_app_with_ledger(args)
    page, told = _page(app, args.title)
    if args.output == "-":
        sys.stdout.write(page)
        return DONE
    write_whole(Path(args.output), page)
    from remediator.alerts.wording import plural

    print(f"{args.output}: {plural(told, 'incident')}")
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
