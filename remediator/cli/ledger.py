"""Commands about what stands in the ledger: the questions that wait, the answers, the state.

Called by `main`.
"""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from remediator.cli.input_output import DONE, open_app_with_ledger, print_json, program
from remediator.domain import InvalidInput
from remediator.domain.time_words import moment_words

if TYPE_CHECKING:
    from remediator.app import App
    from remediator.ledger import Incident
    from remediator.ledger.approvals import PendingApproval

MOST_READ = 100_000
"""Incidents, chains and messages that are looked at; a ledger forgets after 400 days."""
_ALL = timedelta(days=36_500)  # a hundred years: whatever waits in the outbox


def approvals(args: argparse.Namespace) -> int:
    """What waits for a yes: job, question, price, until when, why it is asked."""
    app = open_app_with_ledger(args)
    found = _pending(app)
    if args.json:
        print_json([one.to_json() for one in found])
        return DONE
    if not found:
        print("nothing waits for an approval")
    for one in found:
        print("\n".join(_lines(one)))
    same = _largest_group(found)
    if same:
        print(
            f"{len(same)} ask the same: {program()} approve --like {same[0].id} answers all of them"
        )
    return DONE


def _lines(one: PendingApproval) -> list[str]:
    from remediator.alerts.wording import amount, shown

    name = shown(one.display_name, 100) or one.job
    lines = [
        f"{one.id}",
        f"  {name}: {one.question} {amount(one.usd)}, until {moment_words(one.until)}",
        f"  {one.job}",
    ]
    return [*lines, f"  asked because {one.reason}"] if one.reason else lines


def _largest_group(found: tuple[PendingApproval, ...]) -> list[PendingApproval]:
    groups = [[other for other in found if one.asks_the_same_as(other)] for one in found]
    largest = max(groups, key=len, default=[])
    return largest if len(largest) > 1 else []


def answer(args: argparse.Namespace) -> int:
    """Say yes or no to one question, or to all that ask the same."""
    from remediator.cli import project_asks
    from remediator.ledger.approvals import chosen_approval

    if bool(args.id) == bool(args.like):
        msg = "give one ID (or the beginning of one, or a job's name), or --like ID"
        raise InvalidInput(msg)
    app = open_app_with_ledger(args)
    text = args.id or args.like
    pending = _pending(app)
    one = chosen_approval(pending, text)
    if one is None:  # the ledger knows best why not: answered, expired, or never asked
        print(project_asks.answer(app, text, approved=args.command == "approve"))
        return DONE
    alike = [other for other in pending if one.asks_the_same_as(other)] if args.like else [one]
    for other in alike:
        said = project_asks.answer(app, other.id, approved=args.command == "approve")
        print(f"{other.display_name or other.job}: {said}" if args.like else said)
    return DONE


def status(args: argparse.Namespace) -> int:
    """What stands in the ledger: open incidents, attempts, what is in the outbox, the switch, the money."""
    from remediator.alerts.wording import amount, plural
    from remediator.ledger import Stage

    app = open_app_with_ledger(args)
    now = app.now()
    incidents = app.ledger.incidents(MOST_READ)
    found = {
        "open": sum(one.stage is not Stage.DONE for one in incidents),
        "attempts": _running_attempts(app),
        "owed": len(app.ledger.messages_due(now + _ALL, MOST_READ)),
        "approvals": len(_pending(app)),
        "stopped": app.ledger.stopped(),
        "usd_today": round(_usd_today(app, now), 4),
    }
    if args.json:
        print_json(found)
        return DONE
    print(
        f"{plural(int(found['open']), 'open incident')}, {plural(int(found['attempts']), 'running attempt')}"
    )
    print(f"{plural(int(found['approvals']), 'plan')} waiting for approval (see `approvals`)")
    print(f"{plural(int(found['owed']), 'message')} not delivered yet")
    print(f"{amount(float(found['usd_today']))} set aside or spent today (UTC)")
    print("stopped: nothing is resubmitted until `start`" if found["stopped"] else "not stopped")
    return DONE


def _running_attempts(app: App) -> int:
    return sum(
        not chain.final and bool(chain.attempts) and not chain.attempts[-1].state.is_terminal
        for chain in app.ledger.chains(MOST_READ)
    )


def _usd_today(app: App, now: datetime) -> float:
    from remediator.ledger import Limit

    return app.ledger.used(Limit(f"usd:{now:%Y-%m-%d}", "usd_per_day", 0.0, 0.0), now)


def _pending(app: App) -> tuple[PendingApproval, ...]:
    from remediator.ledger.approvals import pending_approvals

    return pending_approvals(app.ledger.incidents(MOST_READ), app.now(), _question)


def _question(incident: Incident) -> str:
    from remediator.alerts.running import asked as asked_of_a_running_job
    from remediator.alerts.wording import asked
    from remediator.domain import Action

    if incident.action in {Action.CANCEL, Action.CANCEL_RESUBMIT}:
        return asked_of_a_running_job(resubmits=incident.action == Action.CANCEL_RESUBMIT)
    return asked(incident.changes)
