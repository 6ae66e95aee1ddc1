"""`doctor`: checks a live deployment and says how to mend what is missing.

Called by `cli`.
"""

from __future__ import annotations

import argparse

from remediator.commands.inputs import DONE, FAILED, open_app, print_json
from remediator.domain import Unusable
from remediator.redact import redact, redact_json

MOST_SECONDS = 600.0


def doctor(args: argparse.Namespace) -> int:
    from remediator.doctor import Status, as_text, examine

    if not 0 <= args.event_seconds <= MOST_SECONDS:
        msg = f"--event-seconds is from 0 to {MOST_SECONDS:g}"
        raise Unusable(msg)
    ward = open_app().ward(
        name=args.name,
        account=args.account,
        event_seconds=0.0 if args.no_event else args.event_seconds,
    )
    findings = examine(ward)
    problems = [one for one in findings if one.status is Status.PROBLEM]
    if args.json:
        told = [one.to_json() for one in findings]
        print_json(redact_json({"project": ward.project, "healthy": not problems, "checks": told}))
    else:
        print("\n".join(redact(line, 4000) for line in as_text(ward, findings).splitlines()))
    return FAILED if problems else DONE
