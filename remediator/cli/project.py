"""Commands that speak to a project, through the App.

Called by `main`.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from remediator.cli.alert_bodies import BODIES, HTML, flag, service_body
from remediator.cli.input_output import (
    DONE,
    FAILED,
    asked_of_project,
    assembly_of,
    captured,
    open_app,
    open_app_with_policies,
    print_json,
    print_text,
    write_case,
)
from remediator.cli.subject import RUNS, diagnose_inputs, no_failure_words
from remediator.domain import InvalidInput, JobName, JobState

if TYPE_CHECKING:
    from remediator.alerts import Message


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
    from remediator.cli import project_asks
    from remediator.inputs import parse_reference
    from remediator.report.chain_status import as_text

    if parse_reference(args.job) is None or args.job.startswith("projects/"):
        standing = project_asks.follow(open_app(args), args.job, wait=args.wait)
    else:
        standing = asked_of_project(
            args.job, args, lambda app, job: project_asks.follow(app, str(job), wait=args.wait)
        )
    if args.json:
        print_json(standing.to_json())
    else:
        print_text(as_text(standing))
    return DONE if standing.succeeded else FAILED


def switch(args: argparse.Namespace) -> int:
    """Turn the stop switch on, read it back, and name the ledger that it is in."""
    from remediator.cli import project_asks

    app = open_app(args)
    if not app.settings.ledger and not args.local:
        msg = (
            "REMEDIATOR_LEDGER is not set, so no deployment would hear of it: set it to the "
            "deployment's (firestore://vertex-remediator/remediator unless it was named otherwise), "
            "or give --local for the ledger of this folder"
        )
        raise InvalidInput(msg)
    project_asks.switch_stop(app, on=args.command == "stop")
    place = app.settings.ledger or "the ledger of this folder"
    if app.ledger.stopped():
        print(f"stopped, in {place}: nothing is resubmitted until `start`")
    else:
        print(f"started, in {place}: resubmissions go on")
    return DONE


def probe(args: argparse.Namespace) -> int:
    from remediator.evidence import probe

    here = probe.is_at_loopback(os.environ.get("REMEDIATOR_VERTEX_ENDPOINT", ""))
    measured = [
        probe.probe(url, tries=args.tries, timeout=args.timeout, allow_loopback=here)
        for url in args.urls
    ]
    slow = [one for one in measured if one.seconds is not None and one.seconds > args.threshold]
    silent = [one for one in measured if one.seconds is None and not one.was_skipped]
    if args.json:
        print_json([{**one.to_json(), "over": one in slow} for one in measured])
    else:
        print_text(probe.table(measured, args.threshold))
    return FAILED if slow or silent else DONE


def alert_preview(args: argparse.Namespace) -> int:
    """The alert of a case: as text, as JSON, as the mail's page, or as what a service gets."""
    from remediator.cli import project_asks

    body = _body_asked_for(args)
    if not args.channel and not body:
        *flags, last = map(flag, BODIES)
        msg = (
            "give --channel NAME, a channel of the policy file; or, to print what a service would get, "
            f"one of {', '.join(flags)} and {last}"
        )
        raise InvalidInput(msg)
    found = assembly_of(args)
    state = no_failure_words(found.case.job) if found.has_job else ""
    if state and found.case.job.state not in {JobState.UNSPECIFIED, *RUNS}:
        return _no_alert(args, state)
    if found.silent or (found.without_complaint and not diagnose_inputs(found).causes):
        return _no_alert(args, "the log shows no error")
    made = project_asks.preview(
        open_app_with_policies(args),
        found.case,
        args.channel,
        send=args.send,
        has_job=found.has_job,
    )
    if made is None:
        return _no_alert(args, state)
    _print_alert(made.message, body, as_json=args.json)
    is_text = not (body or args.json)
    for words in made.held:
        print(f"note: {words}", file=sys.stdout if is_text else sys.stderr)
    return DONE


def _body_asked_for(args: argparse.Namespace) -> str:
    """Which body is to be printed, `html` or a service's; empty: the text, or JSON."""
    asked = [one for one in BODIES if getattr(args, one)]
    if len(asked) > 1:
        flags = " and ".join(map(flag, asked))
        msg = f"{flags}: each prints a body of its own, so give one of them"
        raise InvalidInput(msg)
    return asked[0] if asked else ""


def _print_alert(message: Message, body: str, *, as_json: bool) -> None:
    from remediator.alerts import as_text
    from remediator.alerts.render import page_of

    if body == HTML:
        print(page_of(message), end="")
    elif body:
        payload = service_body(message, body)
        if payload is None:
            print("PagerDuty gets nothing: this alert asks nothing of a person.", file=sys.stderr)
        print_json(payload)
    elif as_json:
        print_json(message.to_json())
    else:
        print(as_text(message))


def _no_alert(args: argparse.Namespace, why: str) -> int:
    print(f"no alert is sent: {why}", file=sys.stderr if args.json else sys.stdout)
    if args.json:
        print("null")
    return DONE
