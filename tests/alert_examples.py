"""docs/alert-examples.md: each alert as it reads. `python -m tests.alert_examples > FILE` writes it."""

from __future__ import annotations

import sys

from msgspec.structs import replace

from remediator.alerts import as_text, compose
from tests.alert_situations import SITUATIONS, TEXTS

_HEAD = """\
# Each alert, as it reads

What `remediator.alerts` makes of made-up failures, as a terminal or a plain mail client shows it; a
test holds this page to it. In Slack the first line is the header and the text of the notification,
labels are bold, and the last line's words are links. Which of them are loud: [alerts.md](alerts.md).
"""
EXAMPLES = {
    "acted": "Resubmitted",
    "waiting": "Waiting",
    "approval": "A question",
    "nobody-answered": "A question that nobody answered",
    "observed": "Observed",
    "alert-limit": "Not resubmitted, since a limit refused",
    "alert-slow-code": "Not resubmitted, since no machine fixes it",
    "alert-unknown": "Not resubmitted, since the cause is unknown",
    "alert-partial": "Results in part",
    "alert-in-vain": "Not resubmitted, since the same was tried in vain",
    "alert-rerun-named": "Already rerun by somebody else",
    "next_attempt": "The next attempt",
    "recovered": "Recovered",
    "given_up": "Given up",
    "cancelled": "An attempt was cancelled",
    "overrun": "Over budget",
    "running": "A running job stands still",
    "running-cancelled": "The same, being cancelled and submitted again",
    "running-asked": "The same, a question",
    "refused_creation": "Refused at creation",
    "grouped": "Many alerts in one message",
    "digest": "A digest",
    "old_failures": "Old failures",
    "sink_silent": "The sink is silent",
    "no_permission": "The remediator lacks a permission",
    "policy_changed": "The policy file changed",
    "ledger_damaged": "A document of the ledger cannot be read",
}


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_example(name, title) for name, title in EXAMPLES.items())])


def _example(name: str, title: str) -> str:
    message = compose(SITUATIONS[name])
    links = " · ".join(link.label for link in message.links)
    text = as_text(replace(message, links=())) + (f"\n{links}\n" if links else "")
    return f"## {title}\n\n```text\n{text}```\n"


def write_texts() -> None:
    """Each situation's alert into its file, for `test_an_alert_reads_as_written_here`."""
    TEXTS.mkdir(parents=True, exist_ok=True)
    for name, facts in SITUATIONS.items():
        text = as_text(replace(compose(facts), links=()))
        (TEXTS / f"{name}.txt").write_text(text)


if __name__ == "__main__":
    if "--texts" in sys.argv:
        write_texts()
    else:
        print(page(), end="")  # noqa: T201  # that is what it is for
