"""The demo: the twin, the real function over HTTP, and the field's stories, told as they happen.

Starts everything, plays `stories`, prints a line for each event, one alert in full and a closing
table, and ends what it started (or, asked to, keeps it until it is interrupted). The product is a process of its own, served by functions-framework; what this file
knows of it is what the cloud saw of it: calls, log entries, messages.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import shlex
import sys
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
_ROUND_SECONDS = 2.0  # between rounds of a demo that is kept: Scheduler's minute, in brief
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
    keep: bool,
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
        play.show_one_alert()
        _table(console, endings, spent(ledger))
        took = time.monotonic() - started
        wrong = [(one, ending) for one, ending in endings if ending.wrong]
        for one, ending in wrong:
            console.print(f"[red]{one.story.title}: {'; '.join(ending.wrong)}")
        if wrong:
            console.print(Text(play.remediate.output()[-6000:]))
        good = len(endings) - len(wrong)
        console.print(f"{good} of {len(endings)} stories ended as they should, in {took:.0f} s.")
        if keep:
            play.keep(told)
        else:
            console.print(_NEXT.format(python=_python()))
        return 1 if wrong else 0


_NEXT = """
What to try next:
  {python} -m remediator demo --keep     this cloud, for your own commands
  {python} -m remediator diagnose docs/examples/case.json
  {python} -m remediator plan docs/examples/case.json --explain
  and docs/README.md, from here to your own project"""


def _python() -> str:
    """This interpreter as it is typed here: by its path below this folder, where it is there."""
    path = Path(sys.executable)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else "python"


class _Play:
    """The running demo."""

    def __init__(self, console: Console, cloud: Cloud, ledger: Path, sink_filter: str) -> None:
        self._console = console
        self._cloud = cloud
        self._shown = 0
        self._began = time.monotonic()
        self._env = env = cloud.env(
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
            self._say("failed", f"{one.display_name} ({kind}): {one.story.title}")
        return told

    def until_all_end(self, told: list[Told], deadline: float) -> None:
        """Let Scheduler's minute pass, again and again, and show every message as it arrives."""
        with self._console.status("") as status:
            while time.monotonic() < deadline:
                ended = sum(self._final(one) for one in told)
                status.update(f"diagnosing, deciding, following: {ended} of {len(told)} have ended")
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
        outcome = "recovered" if recovered else "left to a person"
        if not recovered and "already" in " ".join(messages):
            outcome = "left alone"
        return Ending(verdict, action, outcome, tuple(wrong))

    def _show_messages(self) -> None:
        """A line for each message: its first one, which stands alone in a notification."""
        for message in self._cloud.slack.messages[self._shown :]:
            self._shown += 1
            self._say("Slack", _as_shown(message.body).plain.partition("\n")[0])

    def show_one_alert(self) -> None:
        """The first message that says what was done, whole."""
        messages = self._cloud.slack.messages
        acted = (one for one in messages if "esubmitted" in one.text.partition("\n")[0])
        chosen = next(acted, messages[0] if messages else None)
        if chosen is not None:
            title = f"one of {len(messages)} messages, whole"
            self._console.print()
            self._console.print(Panel(_as_shown(chosen.body), title=title))
        mails = len(self._cloud.mail.messages)
        self._console.print(f"The same went out as e-mail ({mails} messages).\n")

    def keep(self, told: list[Told]) -> None:
        """Leave everything up, with what a shell needs to speak to it, until it is interrupted."""
        print = self._console.print  # noqa: A001  # what a shell reads, without a colour
        print("\nThe cloud stays up until Ctrl-C. In another terminal, in this folder:\n")
        for name, value in sorted(self._env.items()):
            print(f"export {name}={shlex.quote(value)}", soft_wrap=True)
        print("\nThen, for example:")
        print(f"  {_python()} -m remediator diagnose {told[0].job}", soft_wrap=True)
        print(f"  {_python()} -m remediator status")
        print(f"  {_python()} -m remediator report -o report.html")
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                self._reconcile.post()
                time.sleep(_ROUND_SECONDS)

    def _say(self, what: str, text: str) -> None:
        took = time.monotonic() - self._began
        line = Text(f"{took:5.1f} s  {what:<7} {text}")
        if self._console.is_terminal:
            self._console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
        else:
            self._console.print(line, soft_wrap=True)  # a file takes lines of any length


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


def _table(
    console: Console, endings: list[tuple[Told, Ending]], spent: Mapping[str, float]
) -> None:
    table = Table(title="How it ended")
    table.add_column("story", overflow="fold", ratio=1)
    for heading in ("verdict", "action", "outcome"):
        table.add_column(heading, no_wrap=True)
    table.add_column("cost", no_wrap=True, justify="right")
    for one, ending in endings:
        usd = next((cost for root, cost in spent.items() if _same(root, one.job)), 0.0)
        table.add_row(
            f"{one.display_name}: {one.story.title}",
            ending.verdict,
            ending.action,
            ending.outcome,
            f"${usd:.2f}" if usd else "$0",
        )
    console.print(table)
