"""How right the diagnosis is, how well it knows it, and how fast: prints Markdown.

    python bench/diagnosis/run.py            prints the figures, and writes them to bench/diagnosis/README.md
    python bench/diagnosis/run.py --print    prints them only

Reads only the repository. The weights of the signatures are set by hand; one number of the product
is fitted, the temperature of `scoring`: on what sets of strangers' messages gave the first time.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.diagnosis.corpus import case_of, messages, thread_of
from bench.diagnosis.lab import Score, score
from bench.diagnosis.physics import DEATHS, Made, cases, deaths
from bench.diagnosis.strangers import (
    FIRST_TIME,
    FIRST_TIME_BY_TIER,
    FIRST_TIME_BY_TRUTH,
    Stranger,
    strangers,
)
from bench.diagnosis.train import measured
from remediator.case import Case
from remediator.diagnosis import diagnose
from remediator.domain import NEVER_RETRIED, Cause, Diagnosis

README = Path(__file__).with_name("README.md")
# Causes whose fitting remedy is a resubmission: precision matters most here.
RESUBMITTED = (
    frozenset(Cause) - NEVER_RETRIED - {Cause.UNKNOWN, Cause.SLOW_CODE, Cause.NETWORK_LATENCY}
)
_Z = 1.96
_BINS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.01)


def wilson(right: int, of: int) -> str:
    """A share with its 95% bounds, as text."""
    if not of:
        return "none"
    share = right / of
    middle = (share + _Z**2 / (2 * of)) / (1 + _Z**2 / of)
    half = _Z * math.sqrt(share * (1 - share) / of + _Z**2 / (4 * of * of)) / (1 + _Z**2 / of)
    return f"{right}/{of} = {share:.1%} [{max(0, middle - half):.1%}, {min(1, middle + half):.1%}]"


Judged = tuple[str, Diagnosis, dict[str, Any]]


def judge(rows: Iterable[dict[str, Any]]) -> list[Judged]:
    return [(row["cause"], diagnose(Case.parse(case_of(row))), row) for row in rows]


def accuracy(judged: list[Judged]) -> list[str]:
    """Top-1, precision of what would be resubmitted, and the four that must never be."""
    right = sum(truth == d.verdict.value for truth, d, _ in judged)
    given = [(truth, d) for truth, d, _ in judged if d.verdict is not Cause.UNKNOWN]
    sure = [j for j in judged if j[2].get("confidence", "high") == "high"]
    sent = [(truth, d) for truth, d in given if d.verdict in RESUBMITTED]
    never = [d for truth, d, _ in judged if Cause(truth) in NEVER_RETRIED]
    return [
        f"- top-1 (an `unknown` counts as wrong unless that is the label): {wilson(right, len(judged))}",
        f"- of those with a certain label: {wilson(sum(t == d.verdict.value for t, d, _ in sure), len(sure))}",
        (
            f"- verdicts given (not `unknown`): {len(given)}; right among them: "
            f"{wilson(sum(t == d.verdict.value for t, d in given), len(given))}"
        ),
        f"- verdicts that lead to a resubmission, right: {wilson(sum(t == d.verdict.value for t, d in sent), len(sent))}",
        (
            "- `user_code_error`, `bad_input`, `permission` or `invalid_config` called something that is resubmitted: "
            f"{sum(d.verdict in RESUBMITTED for d in never)} of {len(never)}"
        ),
    ]


_GROUPS: Mapping[Cause, str] = {
    **dict.fromkeys((Cause.CPU_SATURATION, Cause.SLOW_STARTUP), "a bigger machine"),
    **dict.fromkeys(
        (Cause.CAPACITY_STOCKOUT, Cause.QUOTA, Cause.PREEMPTION, Cause.TRANSIENT_BACKEND),
        "the same again, later or elsewhere",
    ),
}
"""Causes with one fitting remedy; every other has its own."""


def _fits(truth: str, verdict: Cause) -> bool:
    """The verdict leads to the remedy that fits the truth."""
    return _GROUPS.get(Cause(truth), truth) == _GROUPS.get(verdict, verdict.value)


def by_text(judged: list[Judged]) -> list[str]:
    """The same apart for messages whose text alone can tell, by a reader of the texts alone."""
    lines = []
    for name, answer in (("can tell", "yes"), ("cannot", "no")):
        held = [one for one in judged if one[2]["from_text"] == answer]
        sure = [one for one in held if one[2].get("confidence", "high") == "high"]
        sent = [(truth, d.verdict) for truth, d, _ in held if d.verdict in RESUBMITTED]
        never = [d.verdict for truth, d, _ in held if Cause(truth) in NEVER_RETRIED]
        cells = (
            wilson(sum(truth == d.verdict.value for truth, d, _ in held), len(held)),
            wilson(sum(truth == d.verdict.value for truth, d, _ in sure), len(sure)),
            wilson(sum(_fits(*one) for one in sent), len(sent)),
            f"{sum(verdict in RESUBMITTED for verdict in never)} of {len(never)}",
            f"{sum(d.verdict is Cause.UNKNOWN for _, d, _ in held)} of {len(held)}",
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    told = [one for one in judged if one[2]["from_text"] == "yes"]
    sure = [one for one in told if one[2].get("confidence", "high") == "high"]
    agreed, agreed_sure = (
        wilson(sum(truth == row["reader"] for truth, _, row in of), len(of)) for of in (told, sure)
    )
    return [
        "| the text alone | top-1 | of those with a certain label | resubmissions with the fitting remedy | never-retried called resubmitted | silent |",
        "| --- | --- | --- | --- | --- | --- |",
        *lines,
        "",
        f"The reader agreed with the label in {agreed} of those that can tell; with a certain label in {agreed_sure}.",
    ]


def calibration(judged: list[Judged]) -> list[str]:
    """Brier score of the first guess and a table of stated against found."""
    pairs = [
        (d.causes[0].confidence, float(d.causes[0].cause.value == truth))
        for truth, d, _ in judged
        if d.causes
    ]
    lines = [f"Brier score of the first guess: {brier(pairs):.3f} ({len(pairs)} with a guess)", ""]
    lines += ["| stated | number | mean stated | found right |", "| --- | --- | --- | --- |"]
    for low, high in zip((0.0, *_BINS), _BINS, strict=False):
        held = [(p, hit) for p, hit in pairs if low <= p < high]
        if held:
            lines.append(
                f"| {low:.1f} to {min(high, 1):.1f} | {len(held)} | {statistics.fmean(p for p, _ in held):.2f} "
                f"| {statistics.fmean(hit for _, hit in held):.2f} |"
            )
    return lines


def brier(pairs: list[tuple[float, float]]) -> float:
    return statistics.fmean((p - hit) ** 2 for p, hit in pairs)


def _tempered(p: float, temperature: float) -> float:
    logit = math.log(max(p, 1e-9) / max(1 - p, 1e-9))
    return 1 / (1 + math.exp(-logit / temperature))


def left_out(judged: list[Judged]) -> str:
    """Brier with a temperature fitted on all other threads, tested on the one left out."""
    threads: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for truth, d, row in judged:
        if d.causes:
            hit = float(d.causes[0].cause.value == truth)
            threads[thread_of(row)].append((d.causes[0].confidence, hit))
    grid = [0.5 + 0.1 * step for step in range(26)]
    tested: list[tuple[float, float]] = []
    chosen = []
    for thread, held in threads.items():
        rest = [pair for name, pairs in threads.items() if name != thread for pair in pairs]
        best = min(grid, key=lambda t: brier([(_tempered(p, t), hit) for p, hit in rest]))
        chosen.append(best)
        tested += [(_tempered(p, best), hit) for p, hit in held]
    return (
        f"With a temperature fitted on all other threads (median {statistics.median(chosen):.1f}) and tested on the one "
        f"left out ({len(threads)} threads): {brier(tested):.3f}. The product keeps its own, 1.5: on known ground any set asks for less."
    )


def confusion(judged: list[Judged]) -> list[str]:
    """What was called what, where it was wrong."""
    wrong = Counter((truth, d.verdict.value) for truth, d, _ in judged if truth != d.verdict.value)
    lines = ["| label | verdict | times |", "| --- | --- | --- |"]
    lines += [f"| {truth} | {given} | {times} |" for (truth, given), times in sorted(wrong.items())]
    return lines


def _own_lines(case: dict[str, Any]) -> list[dict[str, Any]]:
    """The log without the lines of telemetry."""
    return [e for e in case["logEntries"] if not e["insertId"].startswith("t")]


# What is known by tier of evidence; each holds all that the one before it holds.
TIERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "message alone": lambda c: {"job": c["job"], "errorFiles": c.get("errorFiles", {})},
    "+ places of data": lambda c: {**c, "logEntries": [], "timeSeries": []},
    "+ log": lambda c: {**c, "timeSeries": [], "logEntries": _own_lines(c)},
    "+ metrics": lambda c: {**c, "logEntries": _own_lines(c)},
    "+ telemetry": lambda c: c,
}


def tiers(made: list[Made]) -> list[str]:
    """A generated set, whole and with its evidence taken away by tiers."""
    lines = [
        "| evidence | right | abstained | wrong | right of those given | Brier |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    by_cause: list[str] = []
    for name, cut in TIERS.items():
        judged = [(m.truth, diagnose(Case.parse(cut(m.body)))) for m in made]
        found = [(truth, d.verdict.value) for truth, d in judged]
        right = sum(t == v for t, v in found)
        silent = sum(v == "unknown" for _, v in found)
        pairs = [
            (d.causes[0].confidence, float(d.causes[0].cause.value == truth))
            for truth, d in judged
            if d.causes
        ]
        score = f"{brier(pairs):.3f} ({len(pairs)})" if pairs else "no guess"
        lines.append(
            f"| {name} | {wilson(right, len(made))} | {silent} | {len(made) - right - silent} "
            f"| {wilson(right, len(made) - silent)} | {score} |"
        )
        by_cause = [
            f"| {truth} | {wilson(sum(t == v for t, v in found if t == truth), sum(t == truth for t, _ in found))} "
            f"| {', '.join(f'{v} {n}' for v, n in Counter(v for t, v in found if t == truth and v != t).items()) or 'none'} |"
            for truth in dict.fromkeys(t for t, _ in found)
        ]
    return [
        *lines,
        "",
        "With all evidence, by truth:",
        "",
        "| truth | right | else called |",
        "| --- | --- | --- |",
        *by_cause,
    ]


_OUTCOMES = ("right", "abstained", "wrong")
_Counts = Mapping[Any, tuple[int, int, int]]
_VIEWS: tuple[tuple[str, _Counts, Callable[[Stranger], int | str]], ...] = (
    ("wave", FIRST_TIME, lambda s: s.wave),
    ("truth", FIRST_TIME_BY_TRUTH, lambda s: s.truth),
    ("evidence", FIRST_TIME_BY_TIER, lambda s: s.tier),
)


def strange(made: Iterable[Stranger]) -> list[str]:
    """The strangers' set: the first time beside today, by wave, by truth and by evidence."""
    judged = [(s, diagnose(Case.parse(s.body)).verdict.value) for s in made]
    lines: list[str] = []
    for title, first, key in _VIEWS:
        lines += [
            f"| {title} | first time: right | abstained | wrong | today: right | abstained | wrong |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        sums = [tuple(sum(counts) for counts in zip(*first.values(), strict=True))]
        for name, then in [*first.items(), ("all", sums[0])]:
            found = Counter(s.judged(v) for s, v in judged if name in {"all", key(s)})
            now = tuple(found[outcome] for outcome in _OUTCOMES)
            cells = " | ".join(
                f"{wilson(counts[0], sum(counts))} | {counts[1]} | {counts[2]}"
                for counts in (then, now)
            )
            lines.append(f"| {name} | {cells} |")
        lines.append("")
    missed = Counter((s.truth, v) for s, v in judged if s.judged(v) != "right")
    named = ", ".join(f"{truth} called {v} {n}" for (truth, v), n in missed.most_common())
    costly = sum(s.judged(v) == "wrong" and Cause(v) in RESUBMITTED for s, v in judged)
    lines += [
        f"Not right today: {named or 'none'}.",
        f"Of the wrong ones, {costly} were called a cause that leads to a resubmission.",
    ]
    return lines


def reasons() -> dict[str, list[str]]:
    """What real software printed, by cause: the log lines of the real sets with certain labels."""
    rows = [row for name in ("messages", "held_out") for row in messages(name)]
    return {
        cause: [
            " ".join(row["text"].split())
            for row in rows
            if row["cause"] == cause
            and row["where"].startswith("log")
            and row["confidence"] == "high"
        ]
        for cause in DEATHS
    }


def log_of(count: int) -> dict[str, Any]:
    """A failed job with a log of `count` mixed lines, the cause near the end."""
    entries = []
    for i in range(count):
        text = (
            f"step {i}/{count} loss={1 / (i + 1):.5f} lr=0.001 {i % 977} samples/s",
            f"INFO:root:processed gs://bucket/part-{i:05d}.csv rows={i * 31 % 9973} in {i % 13}.{i % 10} s",
            f"2026-11-23 10:00:{i % 60:02d} WARNING retrying request {i} after connection reset by peer",
            f"I tensorflow/core/platform/cpu_feature_guard.cc:{i % 400}] rebuild with flags {i}",
        )[i % 4]
        entries.append(
            {
                "textPayload": text,
                "severity": "INFO" if i % 4 != 2 else "ERROR",
                "insertId": f"e{i}",
                "timestamp": datetime.fromtimestamp(1_800_000_000 + i, UTC).isoformat(),
                "resource": {"labels": {"task_name": "workerpool0-0"}},
            }
        )
    entries[-3]["textPayload"] = (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"
    )
    row = {
        "job_kind": "custom",
        "where": "job.error",
        "text": "The replica workerpool0-0 exited with a non-zero status of 1.",
    }
    return {**case_of(row), "logEntries": entries}


@dataclass(frozen=True, slots=True)
class FirstTime:
    """What one set gave on the day it was gathered, before any signature was changed for it.

    Each pair is (right, of); `never` is never-retried causes called one that is resubmitted.
    """

    name: str
    top: tuple[int, int]
    certain: tuple[int, int]
    given: tuple[int, int]
    sent: tuple[int, int]
    never: tuple[int, int]
    brier: float

    @property
    def row(self) -> str:
        shares = (wilson(*pair) for pair in (self.top, self.certain, self.given, self.sent))
        return f"| {self.name} | {' | '.join(shares)} | {self.never[0]} of {self.never[1]} | {self.brier:.3f} |"


_FIRST_TIMES = (
    FirstTime("first", (65, 85), (47, 61), (61, 72), (30, 35), (0, 35), 0.127),
    FirstTime("second", (37, 50), (17, 19), (30, 37), (17, 19), (0, 17), 0.173),
    FirstTime("third", (16, 30), (9, 14), (11, 19), (1, 5), (1, 17), 0.281),
    FirstTime("fourth", (107, 179), (61, 80), (96, 131), (55, 68), (8, 55), 0.194),
    FirstTime("fifth", (62, 89), (40, 47), (52, 70), (27, 33), (1, 34), 0.177),
    FirstTime("sixth", (72, 97), (46, 56), (70, 81), (42, 42), (0, 30), 0.117),
    FirstTime("seventh", (64, 97), (42, 57), (59, 75), (40, 50), (0, 23), 0.156),
    FirstTime("eighth", (68, 94), (43, 51), (64, 77), (36, 41), (1, 29), 0.118),
    FirstTime("ninth", (52, 97), (34, 47), (49, 72), (28, 35), (1, 30), 0.221),
    FirstTime("tenth", (69, 96), (54, 67), (66, 80), (38, 42), (0, 25), 0.124),
)
_FRESH_FIRST_TIME = FirstTime("eleventh", (82, 141), (53, 69), (77, 98), (36, 39), (0, 57), 0.149)
"""Of `fresh.jsonl`, at commit 9542a6e."""


_TWELFTH = (
    FirstTime("9542a6e, the first time", (89, 157), (56, 83), (87, 119), (50, 56), (2, 55), 0.175),
    FirstTime("af97538", (92, 157), (57, 83), (90, 122), (51, 57), (2, 55), 0.172),
)
"""Of `twelfth.jsonl`, which nobody who works on the diagnosis has read."""


_WRITTEN_BY_TEXT = (
    "| threads that no set names | right of certain labels | right of those where the text can tell | of these silent | wrong |",
    "| --- | --- | --- | --- | --- |",
    f"| thirteenth to fifteenth, at 96a7adb | {wilson(169, 233)} | {wilson(159, 200)} | 29 | 12 |",
)
"""Of `written.jsonl` and `written_held.jsonl` together, before anything was changed for them."""


def lab_rows() -> list[str]:
    """The lab's table; what stood before is of commit dadf1e7."""
    rows = []
    for name, before, held_before, first, first_given in (
        ("training", (97, 136), (51, 74), (57, 74), (57, 67)),
        ("serving", (63, 94), (27, 43), (39, 43), (39, 42)),
    ):
        today = score(name)
        figures = (
            before, held_before, first, first_given, (today.right, today.judged),
            (today.given_right, today.given),
        )  # fmt: skip
        rows.append(f"| {name} | {' | '.join(wilson(*pair) for pair in figures)} |")
    return rows


def blind_rows() -> list[str]:
    """The blind author's table; the first time is that of the commit after the recording's."""
    return [
        blind_row(half, score("blind", of_half=half), *first)
        for half, *first in (
            ("A", (64, 86), (64, 75), (24, 25)),
            ("B", (76, 105), (76, 96), (20, 20)),
        )
    ]


def blind_row(name: str, today: Score, *first: tuple[int, int]) -> str:
    """All, verdicts and resubmissions that were right: the first time, and today."""
    figures = (
        *first, (today.right, today.judged), (today.given_right, today.given),
        (today.resubmitted_right, today.resubmitted),
    )  # fmt: skip
    return f"| {name} | {' | '.join(wilson(*pair) for pair in figures)} |"


FRESH_BY_TEXT = (
    "| the text alone | top-1 | of those with a certain label | resubmissions with the fitting remedy | never-retried called resubmitted | silent |",
    "| --- | --- | --- | --- | --- | --- |",
    f"| can tell | {wilson(71, 107)} | {wilson(51, 65)} | {wilson(35, 36)} | 0 of 45 | 25 of 107 |",
    f"| cannot | {wilson(11, 34)} | {wilson(2, 4)} | {wilson(1, 3)} | 0 of 12 | 18 of 34 |",
)
"""Of the eleventh set, the first time."""


WORDS_TRIED = (
    "It fills little: of the 38 messages of the eleventh set that have a cause and on which the diagnosis was silent the first time, a",
    "model of everything before names a cause of 1 (rightly) by that rule; at 0.6 together and 0.4 alone of 6, 3 of them",
    "rightly; any cause at 0.5, of 9, 3 rightly. So the last line of a log is not handed to it either: of the 34 of these that",
    "are log lines it would have named 1.",
    "Tried in a solver of scikit-learn on the fifth to the tenth set (right of 324 certain labels): words and pairs 260; identifiers split at capitals and",
    "underscores with numbers by magnitude 259, with exceptions' names as words besides 258, with paths cut to their suffix 261; with the",
    "first 4, 5 or 6 letters of each word besides 265, 268 and 266; split with 5 letters of words of six and more 267, all of both 258.",
    "On the fifth to the eleventh, the rule of before (one never-retried cause at 0.7) takes 107 words, 97 of them right and 104 of a never-retried",
    "cause; 0.8 together and 0.45 alone, with 4 letters, 137, 120 right and 132 never retried; with 5 and the signatures' examples as further data 160, 134 and 154",
    "(their authors knew the sets' wordings by then: no measure). Several seeds have nothing to average: one optimum does no better.",
)
"""Of 2026-11-30."""


SPEED = (
    "What the first and the second diagnosis of a log cost whose lines are all different is measured by",
    "`python bench/first/run.py OTHER`, `OTHER` being another checkout. Against dadf1e7, before a text tried only the signatures",
    "whose words it holds (2026-11-29, a busy machine of 2 cores, medians of 3 alternating pairs of fresh processes, processor time):",
    "",
    "| different lines | first diagnosis, ms | second, ms | memory, MiB |",
    "| --- | --- | --- | --- |",
    "| 1,000 | 972 to 187 (0.19) | 148 to 87 (0.59) | 60 to 38 |",
    "| 10,000 | 3,108 to 860 (0.28) | 642 to 666 (1.04) | 122 to 59 |",
)
"""Of that day; `bench/RESULTS.md` has the newest run."""


def report() -> str:
    real, recalled = judge(messages("messages")), judge(messages("recalled"))
    held, fresh = judge(messages("held_out")), judge(messages("fresh"))
    twelfth = judge(messages("twelfth"))
    written, written_held = judge(messages("written")), judge(messages("written_held"))
    both = [*real, *held]
    return "\n".join(
        [
            "# Diagnosis: figures",
            "",
            "Printed by `python bench/diagnosis/run.py`. Bounds are 95% (Wilson).",
            "",
            "## Real messages, the message alone",
            "",
            "72 messages of `tests/corpus/messages.jsonl`. The signatures were written with these in view, so this is what they",
            "reach on known ground; what to expect of unknown messages is told by the next section.",
            "",
            *accuracy(real),
            "",
            "Wrong, or silent where a label exists:",
            "",
            *confusion(real),
            "",
            *calibration(real),
            "",
            left_out(real),
            "",
            "## Real messages, held out",
            "",
            f"{len(held)} messages quoted in public threads that the set above does not hold (`held_out.jsonl`: each with its",
            f"thread and the reason for its label; the container's home folder is written `~`), in {len(_FIRST_TIMES)} sets, each labelled by somebody who had not seen the signatures (from",
            "the fourth on) and **diagnosed once before any signature was changed for it**. That first time is what to expect",
            "of a stranger's message:",
            "",
            "| set | top-1 | of those with a certain label | right among verdicts given | right among those that lead to a resubmission | never-retried called resubmitted | Brier score of the first guess |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *(one.row for one in (*_FIRST_TIMES, _FRESH_FIRST_TIME)),
            "",
            f"The eleventh, {len(fresh)} messages, stands apart (`fresh.jsonl`) and is told of in the next section.",
            "Each set was diagnosed after the signatures had been fixed for the one before. The third is what was left over in",
            "the same threads: words that say little, notes beside the error, prose. The fourth was gathered to be hard: messages that",
            "look like one cause and are another, words that carry none; the sixth to the eighth are ordinary messages in other",
            "wordings; the ninth and the tenth, wordings and projects that none of the sets before had.",
            "What was wrong is fixed by class, not by text; still, the figures of today are those of known ground again:",
            "",
            *accuracy(held),
            "",
            "Wrong, or silent where a label exists:",
            "",
            *confusion(held),
            "",
            *calibration(held),
            "",
            f"All {len(both)} real messages, today: {left_out(both)}",
            "",
            "The stated confidences are tempered (1.5) since the fourth and the fifth set: untempered, what was stated at 0.84 and 0.96",
            "was right in 0.67 and 0.89 of the cases of the fourth (best temperature 2.0, Brier 0.194 to 0.178) and in 0.58 and 0.95 of the",
            "fifth (1.75, 0.177 to 0.161). In the five sets after that, tempered, of 121 stated at 0.74, 115 at 0.87 and 96 at 0.95 there were",
            "0.73, 0.89 and 0.96 right the first time.",
            "A bag-of-words model (naive Bayes over all earlier messages) as a fallback for silence was tried and left out: of the first",
            "165 held out it would have answered 21 of the silent ones, 9 rightly, and called three never-retried ones retried.",
            "",
            "Where one text means two things in different threads, the diagnosis is silent and names its best guess below the",
            "threshold: `Internal error occurred for the current attempt` (transient in the documentation, configuration in a",
            "thread), TorchServe's `Backend worker did not respond in given time` (start-up in two threads, slow code in one),",
            "a bare `INTERNAL`, a bare 503.",
            "",
            "## Real messages, gathered last",
            "",
            f"{len(fresh)} messages of `fresh.jsonl`, the eleventh set. Their author had the contract's vocabulary alone, opened neither",
            "the diagnosis nor a set, and kept what shares no thread and hardly any wording with the sets above; `from_text` and `reader` are",
            "by a second reader of the texts alone. Diagnosed once, at commit 9542a6e, before anything was changed for them (the table above,",
            "and here by what the text can tell):",
            "",
            *FRESH_BY_TEXT,
            "",
            "What was stated, and how often it was right, the first time: 0.5 to 0.6 in 3 of 6, 0.6 to 0.7 in 8 of 14, 0.7 to 0.8 in 24 of",
            "32, 0.8 to 0.9 in 19 of 22, 0.9 and above in 23 of 24. With the second blind set's: 13 of 26, 24 of 42, 46 of 59 (stated",
            "0.75, found 0.78): nothing there asks for another temperature.",
            "",
            "Today, as known ground:",
            "",
            *accuracy(fresh),
            "",
            *by_text(fresh),
            "",
            *calibration(fresh),
            "",
            "Wrong, or silent where a label exists:",
            "",
            *confusion(fresh),
            "",
            "## Real messages, still held back",
            "",
            f"{len(twelfth)} messages of `twelfth.jsonl`, gathered by another author in the same way, from threads that no set names and with",
            "wordings that are seldom quoted. Judged before and after a day's work on the diagnosis for the eleventh set and the second blind",
            "lab, and read by nobody who did that work: so the rows tell what such work brings a stranger's message, which is little.",
            "",
            "| commit | top-1 | of those with a certain label | right among verdicts given | right among those that lead to a resubmission | never-retried called resubmitted | Brier score of the first guess |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *(one.row for one in _TWELFTH),
            "",
            "Where the text can tell, 87 of 121 were right at af97538 (84 the first time), with a certain label 55 of 74 (54); the reader",
            "agreed with the label in 114 and 69 of them. Of the resubmissions among them 49 of 50 have the fitting remedy. Today:",
            "",
            *accuracy(twelfth),
            "",
            *by_text(twelfth),
            "",
            "## Real messages, written anew",
            "",
            f"{len(written) + len(written_held)} messages of the thirteenth to the fifteenth set. Each is a message of a public thread as another run of the same",
            "software would print it: other names, numbers and paths. `thread` says whether a set above names its thread (`known`) or none",
            "does (`new`). A third is held back (`written_held.jsonl`), read by nobody who works on the diagnosis. The first time:",
            "",
            *_WRITTEN_BY_TEXT,
            "",
            "Of the resubmissions among these 145 of 185 were right, and 5 of 141 never-retried were called resubmitted. Opened since",
            f"(`written.jsonl`, {len(written)}), today, as known ground:",
            "",
            *accuracy(written),
            "",
            *by_text(written),
            "",
            f"Held back ({len(written_held)}), today:",
            "",
            *accuracy(written_held),
            "",
            *by_text(written_held),
            "",
            "Three general vocabularies were asked where no signature knows the message, and left out: by what an error statement means",
            "(`error_meanings`) 5 of 53 were right, of never-retried causes alone 5 of 29; by what clients say of the services behind",
            "them (`clients.txt`) 6 of 95. What a signature does not know is seldom an error statement: it is a scheduler's event, a",
            "monitor's line or a time-out, and a log has an exit status besides, which says that the last line was the end.",
            "",
            "## What the text alone can tell",
            "",
            "Of each real message `from_text` says whether a careful reader could name the cause from the text, the place where it",
            "was seen and the kind of job, and `reader` what was named. One reader, who had not labelled the messages, saw those",
            "three alone, each text cut to 430 characters, without id, source, label or reason, and",
            "wrote down a cause, or none where the words fit several (a bare 504 of a custom job, an exit status, a worker's time-out),",
            "or a guess that does not count as one. Nothing was changed after the labels were laid beside it. One reader, who knew the",
            "field's software and some of these threads: a bound for what words can carry, no measure of people.",
            "",
            *by_text(both),
            "",
            "`the fitting remedy`: a bigger machine for full CPUs and slow starts; the same again, later or elsewhere, for capacity,",
            "quotas, preemption and passing errors; each other cause has its own.",
            "",
            "## The word model, where signatures are silent",
            "",
            "Each set by a model of the sets before it (`python bench/diagnosis/train.py --measure`), whether a signature knows the",
            "message or not; `the product would take`: a never-retried cause is worth 0.7, or 0.45 and all of them 0.8.",
            "",
            "| set | right of certain labels | right where the text can tell | right of those whose word the product would take | of these never retried |",
            "| --- | --- | --- | --- | --- |",
            *(one.line for one in measured()),
            "",
            *WORDS_TRIED,
            "",
            "## Messages of our own",
            "",
            "Five sets in the form that the software prints (`tests/corpus/recalled.jsonl`). Diagnosed once before any signature was",
            f"changed for them: first set {wilson(193, 215)}, second {wilson(85, 109)}, third {wilson(110, 131)}, fourth {wilson(78, 100)}, fifth {wilson(68, 82)}; of the wrong ones, 2, 1, 2, 4 and 1 were called",
            "another cause that is resubmitted, none of them a cause that must never be. Written by the signatures' own authors, so",
            "an upper bound for strangers' messages. Today, as a regression:",
            "",
            *accuracy(recalled),
            "",
            *calibration(recalled),
            "",
            "By what the text alone can tell, as one reader of the texts saw it who had written none of them (all labels count as certain):",
            "",
            *by_text(recalled),
            "",
            "## 504 and time-outs, generated",
            "",
            "400 cases of `physics.py`: batch requests that hit 600 s and custom jobs that hit their time-out, all with the same",
            "words; noise, a third of the samples lost, lines shuffled, 3% of custom jobs without any metric. Batch cases whose server",
            "carries no telemetry leave no number at all. For the message alone, `request_too_large` is what the contract wants.",
            "",
            *tiers(list(cases(400))),
            "",
            "## 504 and time-outs, by somebody who had not seen the rules",
            "",
            "The set above was written by the rules' own authors. These cases were written from the contract, the facts about",
            "Vertex and issue threads alone, before the rules were read, and judged **before any rule was changed for it**; then",
            "three further waves in other words, by an author who knew the rules by then, each judged once before any rule was changed for it (`strangers.py`, `scenes/*.yaml`). Full CPUs for",
            "the first tenth only, one busy thread on 4 to 32 vCPUs, a full GPU beside idle CPUs, a far bucket with a few bytes,",
            "waits for a lock, fetches that were quick: the misleading ones are among them, and where the evidence does not say,",
            "`unknown` is right. The first time is what to expect of a stranger's case; the rules were then fixed by class, so",
            "today's figures are those of known ground.",
            "",
            *strange(strangers()),
            "",
            "## Jobs that died without saying why, generated",
            "",
            "400 custom jobs of `physics.py` whose error is an exit status alone. The log holds one line that real software",
            "printed (from the real sets, which the signatures know today) in 80% of the cases, in 40% where memory killed; memory climbs over minutes, or in",
            "30% jumps between two samples; a GPU's memory is full in a fifth of the jobs that died of something else. Nothing",
            "is left to find in a job that printed nothing and whose numbers say nothing: silence is right there.",
            "",
            *tiers(list(deaths(400, reasons()))),
            "",
            "## Real software, made to fail",
            "",
            "Programs and servers of about 40 kinds, each made to fail with a cause that is known because it was injected",
            "(`tests/data/lab`, shown to us). Half of it, by a digest of the software's name, was held back while the log's",
            "structure, the speakers and the endings were written with the other half in view, and judged once by that state.",
            "Nothing but the figures of the held half was seen before; after that it was looked at too, so today's figures are",
            "those of known ground. A verdict that is `unknown` counts as not right.",
            "",
            "| set | before | held half, before | held half, the first time | right among its verdicts, the first time | today | right among verdicts, today |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *lab_rows(),
            "",
            "Money (called resubmitted though no acceptable cause is) was 2 and 2 in the held halves before, 1 and 0 the first",
            "time; a retriable cause called one that is never retried 5 and 0 before, 2 and 0 the first time.",
            "Messages of other software that the rules' own author wrote down from memory, judged once before any rule was changed",
            "for them (an upper bound, since author and rules are one): 85 of 96 custom jobs, 34 of 37 model servers.",
            "",
            "## Other software, recorded by a blind author",
            "",
            "191 failures of 108 programs that the sets above do not name (`lab/`, `tests/data/lab/blind.jsonl`): genomics and",
            "simulation tools, R, Fortran, MPI, a dozen languages, clients, workflow runners, servers. Author, labels and recording",
            "were done before their author had opened the diagnosis; the file was committed, then judged once: **140 of 191 right",
            "(73.3%), 140 of 171 verdicts given (81.9%)**. Two halves by a digest of the software's name: A may be looked at when",
            "something is fixed, B was held back (its list of wrong ones was printed once, with that first score). On 2026-11-30 its",
            "wrong ones were read as well, and what they had in common was mended by structure (81 to 96 right): since then both",
            "halves are known ground, and nothing here is held back any more.",
            "",
            "| half | right, the first time | right among its verdicts, the first time | resubmissions right, the first time | right today | right among verdicts, today | resubmissions right, today |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *blind_rows(),
            "",
            "The first time, one was called resubmitted though no acceptable cause is (A), and 10 retriable ones were called one",
            "that is never retried (3 in A, 7 in B); none of the 9 that no bigger machine helps was sent to one. By cause, the first",
            "time: memory 25 of 29 right, a full disk 7 of 9, rights 8 of 8, the user's code 30 of 34, transient 17 of 24, input",
            "30 of 49, configuration 12 of 18, network 5 of 10, no GPU 1 of 3.",
            "",
            "What was stated, and how often it was right, the first time: 0.5 to 0.6 in 18 of 28, 0.6 to 0.7 in 28 of 39, 0.7 to 0.8",
            "in 39 of 48, 0.8 to 0.9 in 32 of 33, 0.9 and above in 23 of 23. Half A was mended for by structure and by rows; what that",
            "brought half B before it was read was 76 to 81 of 105 (rows that others added since count in it too).",
            "",
            "## Other software, recorded by a second blind author",
            "",
            "115 failures of 106 programs that none of the sets above names (`tests/data/lab/second_blind.jsonl`,",
            "`lab/scenarios/second_*.toml`): data and build tools, genomics, clients, servers, archives, databases. Their author opened",
            "neither the diagnosis, nor its signatures, nor an earlier recording before the file was committed (2026-11-30; of the",
            "earlier work the recorder, one recorded line and the list of resubmitted causes were seen). It was judged once after that, at commit",
            "b55a602, by `diagnose` and by `plan` with the shipped policies, a process for each case, on a busy machine of 2 cores;",
            "nothing was mended for it before that score.",
            "",
            "| set | right, the first time | right among its verdicts, the first time | resubmissions right, the first time | right today | right among verdicts, today | resubmissions right, today |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            blind_row("second", score("second_blind"), (74, 115), (74, 102), (18, 21)),
            "",
            "The first time, two whose acceptable causes are all never retried were called one that is resubmitted (a missing reference",
            "genome, whose message ends in `try again`; an archive that is none, for which UnZip exits with 9), and three retriable ones",
            "one that is never retried (no OpenCL platform, no NVML, a sealed Vault). One of two programs whose own memory limit was too",
            "small was sent to a bigger machine (CD-HIT's `-M`). In 98 of 115 the verdict was at least of a kind that is acceptable",
            "(resubmitted, a full disk with it; never retried; or neither). The shipped policies offered a resubmission for 24, 22 of them after an",
            "approval; 22 of these have an acceptable cause that is resubmitted, and of the 34 whose best cause is, 21 were offered one.",
            "",
            'The two that were called retried are mended since, each in its kind: "check … and try again" is advice to whoever made the',
            "input, and a bare exit status of 9 is no signal (a kubelet tells that as 137, older services as `9(SIGKILL)`). The rest",
            "stands as it was; from now on the set is known ground.",
            "",
            "By best cause, the first time: input 24 of 40 (11 were called the user's code), configuration 9 of 20, transient 11 of 14,",
            "rights 9 of 11, the user's code 4 of 8 (Lua, Tcl, SBCL and javac: silent), memory 6 of 7, a full disk 6 of 6, quota 2 of 3,",
            "no GPU 0 of 2. What was stated, and how often it was right: 0.5 to 0.6 in 10 of 20, 0.6 to 0.7 in 16 of 28, 0.7 to 0.8 in",
            "22 of 27, 0.8 and above in 26 of 27. Labels stand as they were before the score, although two can be argued about: refused",
            "connections (`pymongo-no-primary`, `confluent-kafka-unreachable`) called network. One is the recording's fault:",
            "`xz-time-limit` was cut 57 s before the time limit that its job states, so that nothing in the case shows the limit.",
            "",
            "## Other software, recorded by a third blind author",
            "",
            "212 failures of 190 programs that no set above names (`tests/data/lab/third_blind.jsonl`, `lab/scenarios/third_*.toml`), by an",
            "author who had opened neither the diagnosis nor an earlier recording; frozen by a commit, then judged at 9542a6e, the tree",
            "of the morning of 2026-11-30, and at af97538, after a day's work for the second set by people who had not seen this one.",
            "",
            "| commit | right | right among its verdicts | resubmissions right | called resubmitted, none acceptable | retriable called never retried |",
            "| --- | --- | --- | --- | --- | --- |",
            f"| 9542a6e | {wilson(139, 212)} | {wilson(139, 195)} | {wilson(46, 47)} | 1 | 8 |",
            f"| af97538 | {wilson(168, 212)} | {wilson(168, 198)} | {wilson(47, 47)} | 0 | 7 |",
            "",
            "57 of them are of software that the two sets below name, which were recorded on the same day: without these 110 of 155 right",
            "and then 123 (79.4%), of verdicts given 110 of 143 and then 123 of 146 (84.2%). By best cause, then: input 59 of 66 (38 before),",
            "memory 16 of 23, configuration 16 of 22 (11), transient 17 of 26 (15), the user's code 20 of 25, a full disk 11 of 12, rights 7",
            "of 9, no GPU 5 of 7, quota 6 of 7, slow code 3 of 5, network 2 of 4, full CPUs 4 of 4. What was stated, and how often an",
            "acceptable cause was first: 0.5 to 0.6 in 27 of 31, 0.6 to 0.7 in 51 of 62, 0.7 to 0.8 in 40 of 47, 0.8 to 0.9 in 34 of 42, 0.9",
            "and above in 16 of 16. Its wrong answers have not been read.",
            "",
            "## Complaints that no row knows",
            "",
            "256 failures of readers and decoders of data, command-line tools and servers with a wrong setting",
            "(`tests/data/lab/complaints.jsonl`), recorded by the author of `diagnosis/complaints.py`, each labelled before its run. In",
            "a first round the rules of before were right for 72 of 159 (45.3%); the module was written with these in view. Of a",
            "second round of 97, run after the module had landed, the rules of before were right for 30 (30.9%) and the module, at",
            "first sight, for 61 (62.9%); it was then extended for their kinds. Of a third round of 37, which is not kept, the rules",
            f"of before were right for 22 (59.5%) and the module, at first sight, for 28 (75.7%). Today {_complaints_words()}.",
            "",
            "## Speed",
            "",
            *SPEED,
            "",
        ]
    )


def _complaints_words() -> str:
    """`222 of 256 (86.7%)`: known ground."""
    found = score("complaints")
    return f"{found.right} of {found.judged} ({found.right / found.judged:.1%})"


if __name__ == "__main__":
    text = report()
    print(text)
    if "--print" not in sys.argv:
        README.write_text(text, encoding="utf-8")
