"""Why it failed, and the proof: the diagnosis as a person reads it, each thing once. Pure.

Owns what of a diagnosis is worth a line at night. Called by `compose`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from remediator.alerts.facts import AlertFacts
from remediator.alerts.running import STOOD
from remediator.alerts.wording import (
    CAUSES,
    LINE_LIMIT,
    certainty,
    plain_error,
    read_at,
    sentence_start,
    shown,
)
from remediator.domain import FIELDS_MARK, Cause, Evidence
from remediator.domain.cause_words import MEANINGS
from remediator.domain.late_pattern import late_pattern
from remediator.domain.time_words import span_words
from remediator.job.summary import COUNTS_PATH

EVIDENCE_LINES = 6


def why(facts: AlertFacts) -> str:
    diagnosis = facts.diagnosis
    if facts.watch_reason:
        return f"It {STOOD[facts.watch_reason]}, and an entry of `watch` had it cancelled."
    if diagnosis is None:
        return _why_made(facts) or (
            f"{sentence_start(CAUSES[facts.verdict])}: {MEANINGS[facts.verdict]}."
            if facts.plan
            else ""
        )
    lines = []
    if diagnosis.verdict is Cause.UNKNOWN:
        lines.append("Unknown: the evidence does not carry a verdict.")
        suspects = diagnosis.causes
    else:
        sure = f"{certainty(diagnosis.confidence)} sure"
        name = sentence_start(CAUSES[diagnosis.verdict])
        lines.append(f"{name} ({sure}): {MEANINGS[diagnosis.verdict]}.")
        suspects = diagnosis.causes[1:]
    frame = diagnosis.frame
    if frame is not None:
        inside = f", in {shown(frame.function, 80)}" if frame.function else ""
        lines.append(f"In your code: {shown(frame.file, 160)}, line {frame.line}{inside}.")
    longest = facts.longest if diagnosis.verdict in _ABOUT_TIME else None
    if longest is not None and not any(f'"{longest.name}"' in e.says for e in evidence(facts)):
        took = f"{longest.share:.0%} of the run ({span_words(longest.seconds)})"
        lines.append(f"Longest section: {shown(longest.name, 100)}, {took}.")
    likely = diagnosis.verdict is Cause.UNKNOWN or (
        suspects != () and suspects[0].confidence >= LEAST_SHOWN
    )
    if likely and suspects and suspects[0].cause is not Cause.UNKNOWN:
        order = "Most likely" if diagnosis.verdict is Cause.UNKNOWN else "Next most likely"
        lines.append(f"{order}: {CAUSES[suspects[0].cause]} ({suspects[0].confidence:.0%}).")
    lines += [f"Speaks against it: {shown(e.says, LINE_LIMIT)}" for e in _against(facts)]
    wanted = [what for what in diagnosis.missing if not any(g.why in what for g in facts.gaps)]
    lines += [f"Would settle it: {shown(what, LINE_LIMIT)}" for what in wanted[:3]]
    lines += [
        f"Not read: {gap.source.value}, {shown(_CALLED.sub('', gap.why), LINE_LIMIT)}"
        for gap in facts.gaps[:4]
    ]
    return "\n".join(lines)


def last_lines(facts: AlertFacts) -> str:
    """What the workers wrote last, where no proof quotes it already."""
    lines = facts.diagnosis.last_lines if facts.diagnosis is not None else ()
    proof = " ".join(item.says for item in evidence(facts))
    kept: list[str] = []
    for line in [line for line in lines if _tells(line)][-MOST_LAST_LINES:]:
        said, mark, fields = line.partition(FIELDS_MARK)
        said = shown(plain_error(said), _LAST_LINE)
        if said.strip(" .…") not in proof:
            kept.append(said + mark + shown(fields, _LAST_LINE))
    return "\n".join(kept)


MOST_LAST_LINES = 5
_LAST_LINE = 200  # chosen: two lines of a telephone


def _why_made(facts: AlertFacts) -> str:
    """Of an attempt that was cancelled: what the one before it had failed of."""
    last = facts.attempts[-1] if facts.attempts else None
    if not facts.was_cancelled or last is None or last.verdict not in set(Cause):
        return ""
    cause = Cause(last.verdict)
    return f"The attempt was made because the one before failed: {MEANINGS[cause]}."


LEAST_SHOWN = 0.1
"""A second cause less likely than that is noise at night; `diagnose` lists them all."""
_ABOUT_TIME = frozenset(
    {
        Cause.CPU_SATURATION,
        Cause.ACCELERATOR_MISSING,
        Cause.NETWORK_LATENCY,
        Cause.SLOW_CODE,
        Cause.REQUEST_TOO_LARGE,
        Cause.UNKNOWN,
    }
)
"""Where the time of a section says something; a job that ran out of memory was somewhere too."""
_CALLED = late_pattern(r"\b(?:GET|POST|PUT|DELETE) https?://\S{1,2000}: ")
"""Google's clients begin an error's words with the call; the words alone are for people."""


def _against(facts: AlertFacts) -> tuple[Evidence, ...]:
    top = facts.top
    return top.against[:2] if top else ()


def evidence(facts: AlertFacts) -> tuple[Evidence, ...]:
    """The proof, each line once; a quotation that was read already is not read again."""
    quoted: dict[str, Evidence] = {}
    error = " ".join(shown(plain_error(facts.error), 600).split())  # stands under `The job`
    above: list[str] = []
    for item in facts.top.evidence if facts.top else ():
        if facts.rows is not None and item.where == COUNTS_PATH:
            continue  # told row by row
        whole = shown(plain_error(item.says), LINE_LIMIT)
        says = _said_once(_said_once(whole, [error], _BELOW), above, _ABOVE)
        if _tells(says):
            quoted.setdefault(says, Evidence(item.source, shown(read_at(item.where), 160), says))
        above.append(whole)
    kept = [item for says, item in quoted.items() if not _is_echo(says, quoted)]
    return tuple(kept[:EVIDENCE_LINES])


def _said_once(says: str, elsewhere: Sequence[str], where: str) -> str:
    """Without a quotation that the alert holds elsewhere: `the job's error, quoted below`."""
    quoted = _QUOTED.search(says)
    words = quoted["words"].strip(" .…") if quoted else ""
    if quoted is None or len(words) < LEAST_QUOTED:
        return says
    # Quotations are cut at either end; the middle of a long one is enough to know it by.
    middle = words[len(words) // 4 : -(len(words) // 4)] if len(words) > LONG_QUOTED else words
    if not any(middle in text for text in elsewhere):
        return says
    return f"{says[: quoted.start()]}{where}{says[quoted.end() :]}"


def _is_echo(says: str, quoted: Mapping[str, Evidence]) -> bool:
    """`an error row, 3 times, as above`, right after the error row."""
    begins = says.partition(_ABOVE)[0]
    return begins != says and any(f'{begins}: "' in other for other in quoted)


_ABOVE = ", as above"
_BELOW = ", quoted below"
LEAST_QUOTED = 20
"""Characters; a shorter quotation costs nobody time."""
LONG_QUOTED = 60
_QUOTED = late_pattern(r"(?:, for example)?: \"(?P<words>[^\n]{1,2000})\"(?=[^\"]{0,200}$)")


def _tells(says: str) -> bool:
    """Whether anything is left of a line beside placeholders such as `<*>`."""
    return any(char.isalnum() for char in re.sub(r"<[^<>]{0,20}>", "", says))
