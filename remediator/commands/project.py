"""Commands that speak to a project, through the App.

Called by `cli`.
"""

from __future__ import annotations

import argparse
import os
import sys

from remediator.commands.inputs import (
    DONE,
    FAILED,
    assembly_of,
    captured,
    open_app,
    open_app_with_policies,
    print_json,
    print_text,
    write_case,
)
from remediator.commands.subject import no_failure_words
from remediator.domain import JobName, JobState, Unusable


def capture(args: argparse.Namespace) -> int:
    from remediator.inputs import parse_reference

    if parse_reference(args.job) is None:
        JobName.parse(args.job)  # says what a job's name looks like
    case = captured(args.job, args)
    write_case(case, args.output)
    if args.output == "-":
        return DONE
    print(f"{args.output}: {len(case.log_lines)} log entries, {len(case.series)} time series")
    if case.parent:
        print(
            f"  note: it belongs to {case.parent}. That is what is diagnosed and resubmitted, never "
            "this job by itself: capture the parent."
        )
    for gap in case.gaps:
        print_text(f"  not read: {gap.source}: {gap.why}")
    return DONE


def follow(args: argparse.Namespace) -> int:
    from remediator.follow import stand

    standing = open_app(args).follow(args.job, wait=args.wait)
    if args.json:
        print_json(standing.to_json())
    else:
        print_text(stand(standing))
    return DONE if standing.succeeded else FAILED


def switch(args: argparse.Namespace) -> int:
    """Throw the stop switch, read it back, and name the ledger that it is in."""
    app = open_app(args)
    if not app.settings.ledger and not args.local:
        msg = (
            "REMEDIATOR_LEDGER is not set, so no deployment would hear of it: set it to the "
            "deployment's (firestore://vertex-remediator/remediator unless it was named otherwise), "
            "or say --local for the ledger of this folder"
        )
        raise Unusable(msg)
    app.switch_stop(on=args.command == "stop")
    place = app.settings.ledger or "the ledger of this folder"
    if app.ledger.stopped():
        print(f"stopped, in {place}: nothing is resubmitted until `start`")
    else:
        print(f"started, in {place}: resubmissions go on")
    return DONE


def probe(args: argparse.Namespace) -> int:
    from remediator import network

    here = network.is_at_loopback(os.environ.get("REMEDIATOR_VERTEX_ENDPOINT", ""))
    measured = [
        network.probe(url, tries=args.tries, timeout=args.timeout, allow_loopback=here)
        for url in args.urls
    ]
    slow = [one for one in measured if one.seconds is not None and one.seconds > args.threshold]
    silent = [one for one in measured if one.seconds is None and not one.was_skipped]
    if args.json:
        print_json([{**one.to_json(), "over": one in slow} for one in measured])
    else:
        print_text(network.table(measured, args.threshold))
    return FAILED if slow or silent else DONE


def alert_preview(args: argparse.Namespace) -> int:
    """The alert of a case: as text, as JSON, as the mail's page, or as Slack's blocks."""
    from remediator.alerts import as_text
    from remediator.alerts.render import page_of, render_slack

    if not args.channel and not (args.html or args.slack):
        msg = "say --channel NAME, or --html or --slack for what would be sent to any"
        raise Unusable(msg)
    found = assembly_of(args)
    state = no_failure_words(found.case.job) if found.has_job else ""
    if state and found.case.job.state is not JobState.UNSPECIFIED:
        print(f"no alert is sent: {state}", file=sys.stderr if args.json else sys.stdout)
        if args.json:
            print("null")
        return DONE
    if found.silent:
        print(
            "no alert is sent: the log complains of nothing",
            file=sys.stderr if args.json else sys.stdout,
        )
        if args.json:
            print("null")
        return DONE
    message = open_app_with_policies(args).preview(
        found.case, args.channel, send=args.send, has_job=found.has_job
    )
    if args.html:
        print(page_of(message), end="")
    elif args.slack:
        print_json(render_slack(message, buttons=True))
    elif args.json:
        print_json(message.to_json())
    else:
        print(as_text(message))
    return DONE
