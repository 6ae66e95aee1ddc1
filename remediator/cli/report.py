"""`report [-o FILE] [--days N] [--json | --csv]`: the ledger's history as a page or as data.

Called by `main`.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from remediator.cli.input_output import DONE, open_app_with_ledger, write_whole
from remediator.domain import InvalidInput, JobName

if TYPE_CHECKING:
    from remediator.app import App
    from remediator.ledger import Incident
    from remediator.report.history import Story

MOST_READ = 100_000
"""Incidents and chains of one report; a ledger forgets after 400 days."""
_PAGE = "report.html"


def report(args: argparse.Namespace) -> int:
    days = _days(args.days)
    app = open_app_with_ledger(args)
    incidents = app.ledger.incidents(MOST_READ)
    all_stories = _stories(app, incidents, days)
    text = _written(args, app, _title(args.title, app, incidents), all_stories, days)
    output = args.output or ("-" if args.json or args.csv else _PAGE)
    if output == "-":
        sys.stdout.write(text)
        return DONE
    write_whole(Path(output), text)
    from remediator.alerts.wording import plural

    waiting = sum(one.question is not None for one in all_stories)
    asks = f", {waiting:,} waiting for approval (see `approvals`)" if waiting else ""
    print(f"{output}: {plural(len(all_stories), 'incident')}{asks}")
    return DONE


def _days(days: float | None) -> float | None:
    if days is not None and not (math.isfinite(days) and days > 0):
        msg = f"--days {days:g}: say how many days, more than 0"
        raise InvalidInput(msg)
    return days


def _written(
    args: argparse.Namespace,
    app: App,
    title: str,
    all_stories: tuple[Story, ...],
    days: float | None,
) -> str:
    from remediator.alerts.wording import shell_command
    from remediator.report.export import as_csv, as_json
    from remediator.report.page import render

    watched = app.ledger.watched.all(MOST_READ)
    # A file's name says what it is to hold, unless a flag does.
    ends = "" if args.json or args.csv else Path(args.output or "").suffix.lower()
    if args.json or ends == ".json":
        body = as_json(all_stories, title=title, made=app.now(), days=days, watched=watched)
        return json.dumps(body, indent=2, ensure_ascii=False) + "\n"
    if args.csv or ends == ".csv":
        return as_csv(all_stories)

    def command(words: str, region: str) -> str:
        project, ledger = app.settings.project, app.settings.ledger
        return shell_command(words, project=project, region=region, ledger=ledger)

    return render(
        all_stories, title=title, made=app.now(), days=days, command=command, watched=watched
    )


def _stories(app: App, incidents: tuple[Incident, ...], days: float | None) -> tuple[Story, ...]:
    from remediator.report.curves import read_curves
    from remediator.report.history import StoryOutcome, stories

    curves = {
        one.root: read_curves(
            one.curves, one.ended - timedelta(seconds=one.run_seconds or 0.0), one.ended
        )
        for one in incidents
        if one.curves and one.ended and not one.attempt
    }
    now = app.now()
    all_stories = stories(incidents, app.ledger.chains(MOST_READ), curves=curves, now=now)
    if days is None:
        return all_stories
    since = now - timedelta(days=min(days, _LONGEST_DAYS))
    still_open = {StoryOutcome.OPEN, StoryOutcome.WAITING}
    return tuple(one for one in all_stories if one.failed_at >= since or one.outcome in still_open)


_LONGEST_DAYS = 36_500.0


def _title(asked: str, app: App, incidents: Iterable[Incident]) -> str:
    """The project by the settings, else as the jobs' own names have it: nobody is asked for it."""
    project = app.settings.project or next(filter(None, map(_project_of, incidents)), "")
    return asked or (f"Failed jobs of {project}" if project else "Failed jobs")


def _project_of(incident: Incident) -> str:
    try:
        project = JobName.parse(incident.job).project
    except InvalidInput:
        return ""
    return "" if project == "-" else project  # stands for a document that could not be read
