"""What the services that a program asks answered it, as its log tells: fine, asked too often, or broken.

Owns the words of such answers. Most of a run that went to trying again after one kind of refusal is that refusal's,
not a slow network's. Pure; called by `read_timeline`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from remediator.case import LogLine
from remediator.diagnosis.durations import TEXT, span_of
from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.own_rates import states_own_rate
from remediator.diagnosis.progress_lines import is_progress
from remediator.diagnosis.status_counts import status_counts

__all__ = ["Answers", "read_answers"]

_STATUS = r"(?:status(?:[ _]?code)?|HTTP/[\d.]{1,3}|HTTP|code|error|response|due to|answered|got|returned|raised [A-Za-z]{1,40}:)\W{0,4}"
# A line that tells of an answer says whose, or what comes of it: a number and a bare word mean much else
# (`returned 504 rows`, `mean error 502.3`, `clocks throttled`, `rate limit 10/s`).
_OF_A_CALL = Linear(
    r"https?\b|\burls?\b|\bhosts?\b|\bapi\b|\bservers?\b|\bservice|\bupstream|\bgateway|\brequest(?:s|ed)?\b|\bretr(?:y|ies|ied|ying)\b|\bclient|\bcalls?\b|\bendpoint|\battempt|\bback(?:ing)?[ -]?off|\bsleep|\bwait|\bexceeded|\bslow down|\btry again|\btoo many|\b(?:429|50[0234]) [a-z]{3,}.{0,12}(?:requests|gateway|unavailable|error|time-?out)|\bstatus(?:[ _]?code)?\W{0,4}\d{3}\b|\w(?:Error|Exception)\b|\b[a-z0-9-]+(?:\.[a-z0-9-]+)+\.[a-z]{2,}"
)
# What looks alike: an allocator's answer, and trackers that send beside the work, which goes on.
_NOBODY = Linear(
    r"\boom\b|out of memory|allocat|^\W{0,3}(?:wandb|comet(?:_ml)?|neptune|mlflow|tensorboard|clearml)\b\W{0,2}[: \[]",
    needs="oom memory allocat wandb comet neptune mlflow tensorboard clearml",
)
# Steps of a training, which no counter tells.
_STEP = Linear(
    r"\b(?:loss|accuracy|acc|perplexity|reward|grad_norm)\b[\"']?\W{1,3}\d|\d ?it/s\b",
    needs="loss acc perplexity reward grad_norm it/s",
)
_TOO_OFTEN = Linear(
    rf"{_STATUS}429\b|\b429\b.{{0,12}}(?:too many requests|resource (?:has been )?exhausted)|^\W{{0,3}}429\b|\b429\b.{{0,12}}(?:wait|sleep|retry|back)|\btoo many requests\b|\brate[ _-]?limit(?:ed|s|ing)?(?: error)?\b|\bRateLimitError\b"
    r"|\bRESOURCE_?EXHAUSTED\b|\bquota exceeded\b|\bOVER_QUERY_LIMIT\b|\b(?:x-)?ratelimit-(?:remaining\W{1,4}0\b|reset\b)|\b(?:remaining|left)[ =:]{1,3}0\b.{0,60}\breset|\breset[ _]?(?:s|at|in|time)?[ =:]{1,3}.{0,40}\b(?:remaining|left)[ =:]{1,3}0\b|\b(?:request|query|daily|rate)[ _](?:quota|limit)\b|\bthrottl(?:ed|ing)\b|\bSlowDown\b",
    needs="429 too rate resource quota throttl slow limit reset",
)
_BROKEN = Linear(
    rf"{_STATUS}50[0234]\b|\b50[0234] from [a-z]|\b50[0234] (?:bad gateway|service unavailable|internal server error|gateway time-?out|unavailable|server error|backend error|get|post|put)\b"
    r"|\b50[0234] error\b|\b(?:backend|internal)Error\b|\bUNAVAILABLE\b|\bservice is currently unavailable\b|\bserviceunavailable\b|\boverloaded\b",
    needs="50 unavailable overloaded backenderror internalerror",
)
_FINE = Linear(rf"{_STATUS}20[0-6]\b|\b20[0-6] ok\b", needs="20")
# Of which every answer holds one: asked first, since most lines hold none.
_ANY = Linear(
    r"429|too many|rate[ _-]?limit|ratelimit|resource_?exhausted|quota exceeded|throttl|slowdown|over_query_limit|\breset|(?:request|query|daily)[ _](?:quota|limit)|50[0234]|backenderror|internalerror|unavailable|overloaded|20[0-6]"
)
_KINDS = ("too often", "broken", "fine")
_REFUSALS = ("too often", "broken")
_FEWEST = 10  # refusals of one kind; chosen
_MOST = 0.5  # of all answers, and of what the second half of the run tells; chosen
_END = 0.8  # of the run, at which they still go on; chosen


def _kind_of(text: str) -> str:
    """What kind of answer a line tells of; empty where it tells of none."""
    if not _ANY.is_in(text) or status_counts(text) is not None:
        return ""
    patterns = (_TOO_OFTEN, _BROKEN, _FINE)
    kind = next((kind for kind, one in zip(_KINDS, patterns, strict=True) if one.is_in(text)), "")
    if kind in _REFUSALS and (not _OF_A_CALL.is_in(text) or _NOBODY.is_in(text)):
        return ""
    if kind == _KINDS[0] and states_own_rate(text):
        return ""
    return kind


_GREW = 2.0  # times, from the first line that counts to the last; chosen


def _by_counts(lines: Sequence[LogLine]) -> Answers | None:
    """The same by counts that a log prints now and then (`upstream 2xx=76970 4xx=0 5xx=67875`): of its second half.

    Counts that only grow, and much, are those so far: what lies between the first and the last of the half came in it.
    Others begin anew with each line, and are added up.
    """
    counted = [(line, one) for line in lines if (one := status_counts(line.text[:TEXT]))]
    if len(counted) < 3:  # noqa: PLR2004  # the half, and its two ends
        return None
    half = [one for _, one in counted[len(counted) // 2 :]]
    known = [(one.fine, one.too_often, one.broken) for _, one in counted]
    grows = all(
        a <= b for before, after in pairwise(known) for a, b in zip(before, after, strict=True)
    )
    if grows and sum(known[-1]) >= sum(known[0]) * _GREW:
        fine, too_often, broken = (
            b - a for a, b in zip(known[len(counted) // 2], known[-1], strict=True)
        )
    else:
        fine, too_often, broken = (
            sum(counts)
            for counts in zip(*((one.fine, one.too_often, one.broken) for one in half), strict=True)
        )
    refused, of = max(too_often, broken), fine + too_often + broken
    if refused < _FEWEST or refused < of * _MOST:
        return None
    line = counted[-1][0]
    return Answers(
        too_often > broken, refused, of, line.insert_id or "logEntries", line.text[:_SHOWN]
    )


class Answers(Struct, frozen=True):
    """Refusals of one kind, of all answers that the log tells; `too_often`: for asking too often, else broken."""

    too_often: bool
    refused: int
    of: int
    where: str
    example: str


def read_answers(lines: Sequence[LogLine]) -> Answers | None:
    """Refusals that make up most answers and go on to the end; None where there are none such.

    `lines` are the workers', in order of time.
    """
    if not lines or lines[0].time is None or lines[-1].time is None:
        return None
    counted = _by_counts(lines)
    if counted is not None:
        return counted
    heard = [(line, _kind_of(line.text[:TEXT])) for line in lines]
    found = {kind: [line for line, one in heard if one == kind] for kind in _KINDS}
    worse = max(_REFUSALS, key=lambda kind: len(found[kind]))
    refused = found[worse]
    total = sum(map(len, found.values()))
    if len(refused) < _FEWEST or len(refused) < total * _MOST:
        return None
    first, last = lines[0].time.timestamp(), lines[-1].time.timestamp()
    late = [
        kind
        for line, kind in heard
        if line.time is not None
        and line.time.timestamp() >= (first + last) / 2
        # Work that goes on counts as an answer that came.
        and (
            kind
            or is_progress(line.text[:TEXT])
            or _STEP.is_in(line.text[:TEXT])
            or span_of(line) is not None
        )
    ]
    if late.count(worse) < len(late) * _MOST:
        return None
    latest = refused[-1]
    if latest.time is None or latest.time.timestamp() < first + (last - first) * _END:
        return None
    return Answers(
        worse == _KINDS[0],
        len(refused),
        total,
        latest.insert_id or "logEntries",
        latest.text[:_SHOWN],
    )


_SHOWN = 120  # characters of an answer; chosen
