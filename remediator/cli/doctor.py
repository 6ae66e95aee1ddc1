"""`doctor`: checks a live deployment and says how to fix what is missing.

It looks with the deployed function's own settings, where it can read them. Called by `main`.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from remediator.cli.input_output import DONE, FAILED, HERE, open_app, print_json
from remediator.domain import InvalidInput, RemediatorError
from remediator.redaction import redact, redact_json

if TYPE_CHECKING:
    from remediator.app import App

MOST_SECONDS = 600.0


def doctor(args: argparse.Namespace) -> int:
    from remediator.cli import project_asks
    from remediator.doctor import CheckStatus, as_text, examine

    if not 0 <= args.event_seconds <= MOST_SECONDS:
        msg = f"--event-seconds is from 0 to {MOST_SECONDS:g}"
        raise InvalidInput(msg)
    shell = open_app(args)
    region = args.region or shell.locations[0]
    context = project_asks.doctor_context(
        _as_deployed(shell, args.name, region),
        name=args.name,
        region=region,
        account=args.account,
        event_seconds=0.0 if args.no_event else args.event_seconds,
    )
    findings = examine(context)
    problems = [one for one in findings if one.status is CheckStatus.PROBLEM]
    if args.json:
        listed = [one.to_json() for one in findings]
        print_json(
            redact_json({"project": context.project, "healthy": not problems, "checks": listed})
        )
    else:
        print("\n".join(redact(line, 4000) for line in as_text(context, findings).splitlines()))
    return FAILED if problems else DONE


def _as_deployed(shell: App, name: str, region: str) -> App:
    """The App with the function's settings; with this shell's own where those cannot be read."""
    from remediator.app import App
    from remediator.cli import project_asks

    try:
        deployed = project_asks.deployed_environment(shell, name, region)
    except RemediatorError as err:
        print(
            f"doctor: looking with this shell's own settings: {redact(str(err), 400)}",
            file=sys.stderr,
        )
        return shell
    return App.from_environment({**os.environ, **deployed}, here=HERE)
