"""The demo: the twin, the real function over HTTP, and the field's stories, told as they happen.

Starts everything, plays `stories`, prints what people would receive and a closing table, and ends
what it started. The product is a process of its own, served by functions-framework; what this file
knows of it is what the cloud saw of it: calls, log entries, messages.
"""

from __future__ import annotations

import json
import random
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from twin.cloud import Cloud
from twin.stories import Told, tell_all

ROOT = Path(__file__).resolve().parent.parent
LIMIT_SECONDS = 110.0
_OUTCOMES = 'logName:"vertex-remediator-outcomes"'
_HOURS_BEHIND = 5
_SPEED = 2400.0  # two hours of a job in three seconds


@dataclass(frozen=True)
class Ending:
    """How a story really ended."""

    verdict: str
    action: str
    outcome: str
    wrong: tuple[str, ...]


def main(
    *,
    seed: int | None,
    only: int | None,
    sink_filter: str,
    spent: Callable[[Path], Mapping[str, float]],
) -> int:
    """Play the stories; 0 if each ended as it should.

    `sink_filter` is the filter that a deployment's log sink would have; `spent` reads what each
    chain cost from the ledger's file, by the root job's name.
    """
    console = Console(highlight=False)
    chosen = random.SystemRandom().randrange(10_000) if seed is None else seed
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="demo-") as folder,
        Cloud(lag=timedelta(hours=_HOURS_BEHIND), scale=_SPEED, seed=chosen) as cloud,
    ):
        ledger = Path(folder) / "ledger.sqlite3"
        console.rule("[bold]vertex-remediator: the whole loop on this machine")
        console.print(
            "A cloud of our own (real gRPC on loopback), the real function, seven failed jobs.\n"
            f"Order and names come from the seed {chosen}; the verdicts come from the evidence.\n"
        )
        play = _Play(console, cloud, ledger, sink_filter)
        told = play.begin(chosen, only)
        play.until_all_end(told, started + LIMIT_SECONDS)
        endings = [(one, play.ending(one)) for one in told]
        _show_mail(console, cloud)
        _table(console, endings, spent(ledger))
        took = time.monotonic() - started
        wrong = [(one, ending) for one, ending in endings if ending.wrong]
        for one, ending in wrong:
            console.print(f"[red]{one.story.title}: {'; '.join(ending.wrong)}")
        if wrong:
            console.print(Text(play.remediate.output()[-6000:]))
        good = len(endings) - len(wrong)
        console.print(f"{good} of {len(endings)} stories ended as they should, in {took:.0f} s.")
        return 1 if wrong else 0


class _Play:
    """The running demo."""

    def __init__(self, console: Console, cloud: Cloud, ledger: Path, sink_filter: str) -> None:
        self._console = console
        self._cloud = cloud
        self._shown = 0
        env = cloud.env(
            REMEDIATOR_POLICIES=str(ROOT / "twin" / "demo-policies.yaml"),
            REMEDIATOR_LEDGER=f"sqlite:///{ledger}",
        )
        with console.status("starting the function"):
            self.remediate = cloud.serve(ROOT, "remediate", env)
            self._reconcile = cloud.serve(ROOT, "reconcile", env)
        self._sink = cloud.add_sink(self.remediate.url, sink_filter)

    def begin(self, seed: int, only: int | None) -> list[Told]:
        told = tell_all(self._cloud, seed, only)
        for one in told:
            kind = one.job.split("/")[4]
            self._say(f"[bold]{one.display_name}[/] failed ({kind}): {one.story.title}")
        self._console.print()
        return told

    def until_all_end(self, told: list[Told], deadline: float) -> None:
        """Let Scheduler's minute pass, again and again, and show every message as it arrives."""
        with self._console.status("diagnosing, deciding, following"):
            while time.monotonic() < deadline:
                self._reconcile.post()
                self._sink.wait_idle()
                self._show_messages()
                if all(self._final(one) for one in told):
                    break
                time.sleep(0.4)
            self._reconcile.post()
            self._show_messages()

    def _outcomes(self, one: Told) -> list[Mapping[str, Any]]:
        entries = self._cloud.logs.find(_OUTCOMES)
        payloads = (entry.get("jsonPayload") or {} for entry in entries)
        return [dict(p) for p in payloads if _same(p.get("root"), one.job)]

    def _final(self, one: Told) -> bool:
        return any(outcome.get("final") for outcome in self._outcomes(one))

    def ending(self, one: Told) -> Ending:
        """What became of a story, by the outcome log, the create calls and the messages."""
        expected, outcomes = one.story.expected, self._outcomes(one)
        first, last = (outcomes[0], outcomes[-1]) if outcomes else ({}, {})
        verdict, action = str(first.get("verdict", "")), str(first.get("action", ""))
        recovered = last.get("state") == "JOB_STATE_SUCCEEDED" and bool(last.get("final"))
        creates = sum(
            one.display_name in json.dumps(dict(call.request), default=str)
            for call in self._cloud.calls("JobService.Create*", outcome="OK")
        )
        messages = [m.text for m in self._cloud.slack.messages if one.display_name in m.text]
        wrong = []
        if verdict != expected.verdict:
            wrong.append(f"the verdict was {verdict or 'none'}, not {expected.verdict}")
        if action != expected.action:
            wrong.append(f"the action was {action or 'none'}, not {expected.action}")
        if recovered != expected.recovers:
            wrong.append("it recovered" if recovered else "it did not recover")
        if creates != expected.creates:
            wrong.append(f"{creates} jobs were created, not {expected.creates}")
        wrong += [
            f"no message says {word!r}"
            for word in expected.says
            if not any(word in text for text in messages)
        ]
        wanted = 2 if expected.recovers else 1
        if len(messages) != wanted:
            wrong.append(f"{len(messages)} messages, not {wanted}")
        outcome = "recovered" if recovered else "told, for a person to mend"
        if not recovered and "already" in " ".join(messages):
            outcome = "left alone"
        return Ending(verdict, action, outcome, tuple(wrong))

    def _show_messages(self) -> None:
        for message in self._cloud.slack.messages[self._shown :]:
            self._shown += 1
            self._console.print(Panel(_as_shown(message.body), title="Slack", width=100))

    def _say(self, text: str) -> None:
        self._console.print(text)


def _as_shown(body: Mapping[str, Any]) -> Text:
    """A message's blocks as Slack shows them: labels bold, links by their names."""
    shown = Text()
    for block in body.get("blocks") or ():
        for node in [block["text"]] if "text" in block else block.get("elements") or ():
            text = node["text"] if isinstance(node["text"], str) else node["text"]["text"]
            if shown:
                shown.append("\n")
            if node["type"] == "plain_text":
                shown.append(text, style="bold" if block["type"] == "header" else "")
            else:
                shown.append_text(_marked_up(text))
    return shown


def _marked_up(text: str) -> Text:
    """Slack's own mark-up, as far as alerts use it: `*bold*`, `<url|name>`, three escapes."""
    shown = Text()
    for bold, url, name, rest in _MARKS.findall(text):
        style = "bold" if bold else f"underline link {_unescaped(url)}" if url else ""
        shown.append(_unescaped(bold or name or rest), style=style)
    return shown


_MARKS = re.compile(r"\*([^*\n]+)\*|<(https://[^|>]+)\|([^>]*)>|([^*<]+|.)")


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _same(name: object, job: str) -> bool:
    return str(name).partition("/locations/")[2] == job.partition("/locations/")[2]


def _show_mail(console: Console, cloud: Cloud) -> None:
    mails = cloud.mail.messages
    if mails:
        mail = mails[-1]
        part = mail.get_body(preferencelist=("plain",)) if hasattr(mail, "get_body") else None
        text = part.get_content() if part else str(mail)
        console.print(
            Panel(
                Text(f"Subject: {mail['Subject']}\n\n{text.strip()}"),
                title=f"one of {len(mails)} e-mails, as text",
                width=100,
            )
        )


def _table(
    console: Console, endings: list[tuple[Told, Ending]], spent: Mapping[str, float]
) -> None:
    table = Table(title="How it ended", width=100)
    for heading in ("story", "verdict", "action", "outcome", "cost"):
        table.add_column(heading, overflow="fold")
    for one, ending in endings:
        usd = next((cost for root, cost in spent.items() if _same(root, one.job)), 0.0)
        table.add_row(
            f"{one.story.title} ({one.display_name})",
            ending.verdict,
            ending.action,
            ending.outcome,
            f"{usd:.2f} USD" if usd else "nothing",
        )
    console.print(table)
