"""What was refused over and over until the run ended, in whatever words.

Owns the reading: of lines that come again and again in the last part of a run the signatures, and where they know none
the word model, say which kind of refusal they are. While work goes on in between, they are none. Pure; called by
`read_timeline`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from msgspec import Struct

from remediator.case import LogLine
from remediator.diagnosis.durations import TEXT, span_of
from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.matching import signatures_in
from remediator.diagnosis.own_rates import states_own_rate
from remediator.diagnosis.progress_lines import complains, is_progress
from remediator.diagnosis.signature import TextPlace
from remediator.diagnosis.status_counts import status_counts
from remediator.diagnosis.timeline.line_words import CHORE, template_of
from remediator.diagnosis.words import guess
from remediator.domain import Cause

__all__ = ["Refusals", "read_refusals"]

# What somebody else refuses, by a signature; and what words alone may name.
_BY_SIGNATURE = frozenset(
    {
        Cause.QUOTA,
        Cause.TRANSIENT_BACKEND,
        Cause.CAPACITY_STOCKOUT,
        Cause.PERMISSION,
        Cause.DISK_FULL,
    }
)
_BY_WORDS = frozenset({Cause.QUOTA, Cause.TRANSIENT_BACKEND, Cause.PERMISSION})
_LATER = Linear(r"\bmaintenance\b|\btry (?:again )?later\b", needs="maintenance later")
# What a refusal says plainly, whoever wrote it: no room on a disk, too much asked, nobody there.
_PLAINLY = (
    (
        Cause.DISK_FULL,
        Linear(
            r"\bno space left|\bdisk (?:usage |space )?(?:is |was |has )?(?:full|exhausted|exceeded)\b|\bflood[- ]stage\b|\bdisk watermark\b|\bENOSPC\b"
        ),
    ),
    (
        Cause.QUOTA,
        Linear(
            r"\b(?:429|too many requests)\b|\brate[ _-]?limit|\bthrottled\b|\bthrottling ?(?:exception|error)|\bquota.{0,60}(?:exceed|exhaust|reached|used up|insufficient)|(?:exceed|exhaust|insufficient|reached).{0,60}\bquota|\bthroughput ?exceeded|\bslow ?down\b|\breduce your request rate\b|\b(?:would )?exceed(?:s|ed|ing)?\b.{0,60}\b(?:limits?|quotas?|rates?|allowance|budget|credits)\b|\blimit\b.{0,24}\b(?:reached|exceeded|hit|used up|exhausted)\b"
            r"|\b(?:reached|hit|used up|exhausted)\b.{0,40}\b(?:limits?|quotas?|allowance|credits|budget)\b|\b(?:licen[cs]es?|seats|slots|tokens|credits)\b.{0,40}\b(?:already |all )?(?:reached|in use|used up|exhausted|taken)\b|\bno (?:more |free )?(?:licen[cs]es?|seats|credits)\b|\blicensed number of users\b"
        ),
    ),
    (
        Cause.TRANSIENT_BACKEND,
        Linear(
            r"\bUNAVAILABLE\b|\bno healthy\b|\bconnection refused\b|\boverloaded\b|\bunder maintenance\b|\bmaintenance mode\b|\bcircuit ?breaker\b.{0,20}\bopen\b|\b50[023]\b.{0,20}\b(?:error|errors|bad gateway|service|unavailable|from|for)\b|\b(?:status|http|code|answered|got|returned|:)\W{0,3}50[023]\b|\bbad gateway\b|\btemporarily (?:down|closed|out of service)\b|\bnot accepting (?:connections|requests)\b|\bbackend ?error\b|\bno living connections\b"
        ),
    ),
)
_SURE = 0.7  # of the words; chosen, as of a log's ending
# The job's own processes and stores are nobody else.
_OWN = Linear(
    r"\b127\.\d|\blocalhost\b|\[::1\]|\b(?:gloo|nccl|c10d|mpi|horovod|rendezvous|sqlite3?|workerpool\d|master-replica|ray(?:let)?|dask|scheduler|nannys?|peers?|rank \d|memory|heap|killed|oom)\b"
)
_LAST = 2 / 3  # of the run, after which it counts; chosen
_FEWEST, _FEWEST_LATE = 10, 5  # lines of one kind, and of these in the last part; chosen
_MOST = 0.5  # of what the last part tells; chosen
_END = 0.9  # of the run, in which it still came; chosen
_SEVERAL = 3  # parts of the last third, in each of which it came; chosen
_TEMPLATES = 40  # kinds of lines that are looked at; chosen
_SHOWN = 120  # characters; chosen


class Refusals(Struct, frozen=True):
    """How many lines tell of one kind of refusal, of which cause, from when to when (seconds), and the last of them."""

    cause: Cause
    count: int
    seconds: float
    where: str
    example: str
    kinds: frozenset[str]
    by_words: bool = False
    """Whether the word model alone says what is refused: nothing is resubmitted for that."""

    def tells(self, text: str) -> bool:
        """Whether a text is one of them."""
        return template_of(text) in self.kinds


def read_refusals(lines: Sequence[LogLine]) -> Refusals | None:
    """What was refused until the run ended; None where nothing was, or work went on beside it.

    `lines` are the workers', in order of time.
    """
    if len(lines) < _FEWEST or lines[0].time is None or lines[-1].time is None:
        return None
    first, last = lines[0].time.timestamp(), lines[-1].time.timestamp()
    begin = first + (last - first) * _LAST
    late = [line for line in lines if line.time is not None and line.time.timestamp() >= begin]
    loud = [line for line in late if _is_loud(line.text[:TEXT])]
    kinds = {line.text: template_of(line.text) for line in loud}
    causes = _causes_of(loud, kinds)
    if not causes:
        return None
    of_causes: dict[Cause, list[float]] = defaultdict(list)
    worked = 0
    for line in late:
        refusal = causes.get(kinds.get(line.text, ""))
        if refusal is not None and line.time is not None:
            of_causes[refusal.cause].append(line.time.timestamp())
        elif _works(line):
            worked += 1
    cause, moments = max(of_causes.items(), key=lambda item: len(item[1]), default=(None, []))
    if cause is None or len(moments) < (len(moments) + worked) * _MOST:
        return None
    parts = {int((moment - begin) * _SEVERAL / (last - begin + 1.0)) for moment in moments}
    if len(parts) < _SEVERAL or moments[-1] < first + (last - first) * _END:
        return None
    named = {kind: one for kind, one in causes.items() if one.cause is cause}
    return _all_of(lines, named, cause)


class _Refusal(Struct, frozen=True):
    """What lines of one kind say is refused, and whether the word model alone says so."""

    cause: Cause
    by_words: bool = False


def _causes_of(late: Sequence[LogLine], kinds: Mapping[str, str]) -> dict[str, _Refusal]:
    """What is refused by the lines of each kind that come again and again; `kinds`: of each text."""
    often = Counter(kinds[line.text] for line in late)
    latest = {kinds[line.text]: line.text for line in late}
    several = [kind for kind in latest if often[kind] >= _FEWEST_LATE][-_TEMPLATES:]
    found = {kind: _refusal_in(latest[kind]) for kind in several}
    return {kind: one for kind, one in found.items() if one is not None}


def _is_loud(text: str) -> bool:
    return complains(text) or _LATER.is_in(text)


def _works(line: LogLine) -> bool:
    text = line.text[:TEXT]
    return (is_progress(text) or span_of(line) is not None) and not complains(text)


def _all_of(
    lines: Sequence[LogLine], kinds: Mapping[str, _Refusal], cause: Cause
) -> Refusals | None:
    """The refusals of these kinds over the whole run."""
    held = [line for line in lines if template_of(line.text) in kinds]
    first, latest = held[0], held[-1]
    if len(held) < _FEWEST or first.time is None or latest.time is None:
        return None
    seconds = (latest.time - first.time).total_seconds()
    where = latest.insert_id or "logEntries"
    example = " ".join(latest.text.split())[:_SHOWN]
    by_words = all(one.by_words for one in kinds.values())
    return Refusals(cause, len(held), seconds, where, example, frozenset(kinds), by_words)


def _refusal_in(text: str) -> _Refusal | None:
    """Which kind of refusal by somebody else a line tells of; None where it tells of none."""
    head = " ".join(text[:TEXT].split())
    if not _is_loud(head) or _OWN.is_in(head) or CHORE.is_in(head):
        return None
    if states_own_rate(head) or status_counts(head) is not None:
        return None
    for cause, pattern in _PLAINLY:
        if pattern.is_in(head):
            return _Refusal(cause)
    rows = [row for row in signatures_in(head, TextPlace.LOG) if row.cause is not None]
    of_others = [row for row in rows if row.cause in _BY_SIGNATURE]
    first = max(of_others, key=lambda row: row.weight, default=None)
    if first is not None and first.cause is not None:
        return _Refusal(first.cause)
    by_words = guess(head, _SURE) if not rows else None
    known = by_words is not None and by_words.cause in _BY_WORDS
    return _Refusal(by_words.cause, by_words=True) if by_words is not None and known else None
